"""Hides small groups of descriptive tables, so that no row tells of a few persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loyalty_exp.segment.membership import SegmentRow

__all__ = ["suppress_small"]


def suppress_small(rows: Sequence[SegmentRow], min_cell: int) -> list[SegmentRow]:
    """The rows, those of 1 to min_cell - 1 customers without any figure.

    Where a scheme would hide a single row, its figures would be the total less the others: the
    next smallest row is hidden with it. A segment without customers tells of nobody and stays.

    Args:
        rows: sizes, of one scheme and of declared segments.
        min_cell: fewest customers that a shown row may have; 1 hides nothing.
    """
    small = {id(row) for row in rows if row.customers and row.customers < min_cell}
    for scheme in {row.scheme for row in rows if row.scheme != "declared"}:
        filled = [row for row in rows if row.scheme == scheme and row.customers]
        if sum(id(row) in small for row in filled) == 1 and len(filled) > 1:
            rest = [row for row in filled if id(row) not in small]
            small.add(id(min(rest, key=lambda row: row.customers or 0)))
    return [_hidden(row) if id(row) in small else row for row in rows]


def _hidden(row: SegmentRow) -> SegmentRow:
    return replace(row, customers=None, active=None, revenue_12m=None, orders_12m=None, share=None)
