"""The customers of two years in cells: segment of year 1, segment of year 2, and status.

Every table of the comparison is a sum over these cells. Reads the store, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries import compare as queries
from loyalty_exp.store.queries.compare import NOBODY, Window

__all__ = ["ALL", "NOBODY", "Cell", "Figures", "figures", "read_cells"]

ALL = "all"
"""The whole company, in every table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Customers alike in both segments and in status; sums over them."""

    segment1: str
    """segment at the end of year 1"""
    segment2: str
    """segment at the end of year 2"""
    status: str
    """retained, lost, new, reactivated or dormant"""
    customers: int
    """customers of the cell"""
    revenue1: float
    """revenue of year 1, in currency"""
    revenue2: float
    margin1: float
    margin2: float
    orders1: int
    """orders of year 1, refunds not counted"""
    orders2: int
    buyers1: int
    """customers with an order in year 1"""
    buyers2: int
    repeaters1: int
    """customers with two orders or more in year 1"""
    repeaters2: int
    frequency: float
    """part of revenue2 - revenue1 that comes from the number of orders of retained customers"""

    def present(self, year: int) -> bool:
        """Whether its customers have an order or a refund in a year."""
        return self.status == "retained" or self.status in (
            ("lost",) if year == 1 else ("new", "reactivated")
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """A set of customers in one year. Money in currency; ratios None without a denominator."""

    members: int
    """customers in the set, buying or not"""
    customers: int
    """those with an order or a refund in the year"""
    revenue: float
    margin: float
    orders: int
    basket: float | None
    """revenue / orders"""
    frequency: float | None
    """orders / customers with an order"""
    revenue_per_member: float | None
    """revenue / members"""
    repurchase_rate: float | None
    """customers with two orders or more / customers with an order"""
    share: float | None
    """revenue / revenue of the company"""


def read_cells(
    connection: sa.Connection, year1: Window, year2: Window, segments: queries.Segments = None
) -> tuple[Cell, ...]:
    """The cells of two windows, by the segments given (see `queries.portfolio`)."""
    statement = queries.portfolio(year1, year2, segments)
    return tuple(_cell(row) for row in connection.execute(statement).mappings())


def _cell(row: sa.RowMapping) -> Cell:
    values: dict[str, Any] = {}
    for name, kind in Cell.__annotations__.items():
        value = row[name]
        values[name] = value if kind == "str" else {"int": int, "float": float}[kind](value)
    return Cell(**values)


def figures(
    cells: Iterable[Cell], year: int, company: float, inside: Callable[[Cell], bool]
) -> Figures:
    """Figures of the customers in some cells, in year 1 or 2.

    Args:
        cells: all cells.
        year: 1 or 2.
        company: revenue of the company in that year, in currency.
        inside: which cells belong to the set.
    """
    kept = [cell for cell in cells if inside(cell)]

    def total(name: str) -> Any:
        return sum(getattr(cell, f"{name}{year}") for cell in kept)

    members = sum(cell.customers for cell in kept)
    revenue, placed, buyers = float(total("revenue")), int(total("orders")), total("buyers")
    return Figures(
        members=members,
        customers=sum(cell.customers for cell in kept if cell.present(year)),
        revenue=revenue,
        margin=float(total("margin")),
        orders=placed,
        basket=_ratio(revenue, placed),
        frequency=_ratio(placed, buyers),
        revenue_per_member=_ratio(revenue, members),
        repurchase_rate=_ratio(total("repeaters"), buyers),
        share=_ratio(revenue, company),
    )


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None
