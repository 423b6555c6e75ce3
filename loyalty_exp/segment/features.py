"""Customer features at a date with the names of the schemes beside them. Builds, never runs.

`rfm` is one of the 11 names of the grid. `risk` of leaving is low while the customer's silence is
within the usual gap between orders, medium up to twice the gap, high beyond; the gap is the
customer's own (the reorder rhythm, in a business between companies), or, after a single order, the
usual one of all customers. Where nobody ever came back no rhythm is known: medium.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from loyalty_exp.segment.rfm import rfm_name
from loyalty_exp.store.queries import features as queries
from loyalty_exp.store.queries.features import Survival
from loyalty_exp.store.queries.snapshots import TierRule

__all__ = ["FEATURES", "NAMED", "Survival", "TierRule", "customer_features"]

NAMED = {"rfm": ("r", "f", "m"), "risk": ("recency_days", "median_gap_days", "usual_gap_days")}
"""Features that are names, and what they are told by."""

FEATURES = (*queries.FEATURES, *NAMED)
"""Every feature a rule may use, and `customer_features` gives."""

LATE, VERY_LATE = 1.0, 2.0
"""Silence, in usual gaps, from which the risk is medium, and high."""


def customer_features(
    as_of: dt.date,
    columns: Collection[str] | None = None,
    *,
    tiers: TierRule | None = None,
    survival: Survival | None = None,
) -> sa.Select[Any]:
    """One statement: a row for each customer who ordered up to the end of the as-of day.

    Args:
        as_of: last day that counts, on the wall clock of the project.
        columns: names from `FEATURES`; None means all that the arguments allow.
        tiers: where gold and silver begin.
        survival: fitted parameters, needed by `p_alive`.

    Returns:
        A select of `customer` and the columns, in the order of `FEATURES`.

    Raises:
        KeyError: a column is not a feature.
        ValueError: `p_alive` is asked for without `survival`.
    """
    if columns is None:
        columns = [name for name in FEATURES if name != "p_alive" or survival is not None]
    named = [name for name in NAMED if name in columns]
    plain = set(columns) - set(named)
    needed = plain.union(*(NAMED[name] for name in named))
    statement = queries.features(as_of, needed, tiers=tiers, survival=survival)
    if not named:
        return statement
    found = statement.subquery("features")
    names = {"rfm": lambda: rfm_name(found.c.r, found.c.f, found.c.m), "risk": lambda: _risk(found)}
    kept = [found.c[name] for name in queries.FEATURES if name in plain]
    return sa.select(found.c.customer, *kept, *(names[name]().label(name) for name in named))


def _risk(found: sa.Subquery) -> sa.ColumnElement[str]:
    gap = sa.func.coalesce(found.c.median_gap_days, found.c.usual_gap_days, type_=sa.Double)
    silence = sa.cast(found.c.recency_days, sa.Double)
    return sa.case(
        (gap.is_(None), "medium"),
        (silence <= LATE * gap, "low"),
        (silence <= VERY_LATE * gap, "medium"),
        else_="high",
    )
