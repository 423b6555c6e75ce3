"""The cohort retention triangle: of those who came in a month, who still buys, month after month.

Reads the roll-up, writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_label
from loyalty_exp.store.queries import compare as queries

__all__ = ["CohortRow", "retention_triangle"]


@dataclass(frozen=True, slots=True)
class CohortRow:
    """Customers of one cohort in one month."""

    cohort: str
    """month of the first known order, YYYY-MM"""
    age: int
    """months since; 0 is the month itself"""
    customers: int
    """customers of the cohort"""
    active: int
    """those with an order in that month"""
    retention: float
    """active / customers"""


def retention_triangle(connection: sa.Connection, first: int, last: int) -> tuple[CohortRow, ...]:
    """Every cohort from `first` on, at every age up to the month `last`, months of nobody included.

    A cohort of the first months of the store holds customers of before too: history is cut there.

    Args:
        connection: a reading connection of the store.
        first: month index of the first cohort.
        last: month index of the last whole month.
    """
    found: dict[int, dict[int, int]] = {}
    for row in connection.execute(queries.cohorts(first, last)).mappings():
        found.setdefault(row["cohort"], {})[row["age"]] = row["customers"]
    return tuple(
        CohortRow(month_label(cohort), age, ages[0], ages.get(age, 0), ages.get(age, 0) / ages[0])
        for cohort, ages in sorted(found.items())
        for age in range(last - cohort + 1)
    )
