"""From the revenue of year 1 to that of year 2, exactly: who left, who came, who bought otherwise.

Sums cells; reads no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loyalty_exp.compare.portfolio import ALL, Cell

__all__ = ["COMPONENTS", "BridgeRow", "bridge"]

COMPONENTS = ("lost", "new", "reactivated", "frequency", "basket")
"""Parts of the change of revenue; they add up to it."""


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """One part of the change of revenue of a segment from year 1 to year 2."""

    segment: str
    """segment at the end of year 1; `none` holds who was not yet a customer"""
    component: str
    """lost, new, reactivated, frequency or basket"""
    amount: float
    """in currency; the five components of a segment add up to its change of revenue"""


def bridge(cells: Sequence[Cell], segments: Iterable[str]) -> tuple[BridgeRow, ...]:
    """The bridge of each segment of year 1.

    Frequency and basket are of retained customers, customer by customer (see
    `queries.compare.portfolio`), so that segments add up to the company.

    Args:
        cells: all cells.
        segments: segments of year 1 to give; `all` is the company.
    """
    rows = []
    for segment in segments:
        kept = [cell for cell in cells if segment in (ALL, cell.segment1)]
        for component, amount in _amounts(kept).items():
            rows.append(BridgeRow(segment, component, amount))
    return tuple(rows)


def _amounts(cells: Sequence[Cell]) -> dict[str, float]:
    def total(year: int, status: str) -> float:
        return float(sum(getattr(c, f"revenue{year}") for c in cells if c.status == status))

    frequency = float(sum(cell.frequency for cell in cells))
    return {
        "lost": 0.0 - total(1, "lost"),
        "new": total(2, "new"),
        "reactivated": total(2, "reactivated"),
        "frequency": frequency,
        "basket": total(2, "retained") - total(1, "retained") - frequency,
    }
