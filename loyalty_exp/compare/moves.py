"""Who moved from which segment to which between the ends of two years. Sums cells only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loyalty_exp.compare.portfolio import Cell

__all__ = ["MoveRow", "NetMove", "moves", "net_moves"]


@dataclass(frozen=True, slots=True)
class MoveRow:
    """Customers of one segment at the end of year 1 and of one at the end of year 2."""

    origin: str
    """segment at the end of year 1; `none` if not yet a customer"""
    destination: str
    """segment at the end of year 2"""
    customers: int
    revenue_year1: float
    """their revenue of year 1, in currency"""
    revenue_year2: float
    """their revenue of year 2, in currency"""


@dataclass(frozen=True, slots=True)
class NetMove:
    """What a segment gained and lost, in customers."""

    segment: str
    stayed: int
    arrived: int
    left: int

    @property
    def net(self) -> int:
        """Customers gained less customers lost."""
        return self.arrived - self.left


def moves(cells: Sequence[Cell], order: Sequence[str]) -> tuple[MoveRow, ...]:
    """The matrix of moves, without its empty fields, in the order of the segments."""
    sums: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        row = sums.setdefault((cell.segment1, cell.segment2), [0, 0.0, 0.0])
        row[0] += cell.customers
        row[1] += cell.revenue1
        row[2] += cell.revenue2
    place: Mapping[str, int] = {name: index for index, name in enumerate(order)}
    return tuple(
        MoveRow(origin, destination, int(customers), revenue1, revenue2)
        for (origin, destination), (customers, revenue1, revenue2) in sorted(
            sums.items(), key=lambda item: (place[item[0][0]], place[item[0][1]])
        )
    )


def net_moves(rows: Sequence[MoveRow], order: Sequence[str]) -> tuple[NetMove, ...]:
    """What every segment gained and lost; arrivals of new customers come from `none`."""

    def total(segment: str, *, leaving: bool, staying: bool) -> int:
        return sum(
            row.customers
            for row in rows
            if (row.origin if leaving else row.destination) == segment
            and (row.origin == row.destination) == staying
        )

    return tuple(
        NetMove(
            segment,
            stayed=total(segment, leaving=True, staying=True),
            arrived=total(segment, leaving=False, staying=False),
            left=total(segment, leaving=True, staying=False),
        )
        for segment in order
    )
