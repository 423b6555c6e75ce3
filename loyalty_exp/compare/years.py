"""Year 2 against year 1: the one entry point of the comparison. Reads the store, writes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from loyalty_exp.compare.bridge import BridgeRow, bridge
from loyalty_exp.compare.causes import CauseRow, MeasuredEffect, causes
from loyalty_exp.compare.moves import MoveRow, NetMove, moves, net_moves
from loyalty_exp.compare.portfolio import ALL, NOBODY, Cell, Figures, figures, read_cells
from loyalty_exp.compare.windows import check_windows, equal_windows
from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import TierRule
from loyalty_exp.segment.membership import named, scheme_at
from loyalty_exp.segment.schemes import SCHEMES
from loyalty_exp.store.queries.compare import Window, months_with_days

__all__ = ["Comparison", "MembersAt", "SegmentYear", "Totals", "comparable", "compare"]

REGRESSION_TO_THE_MEAN = (
    "The followed view keeps the members of year 1. Those who were best in year 1 were so partly "
    "by luck and fall on average in year 2, with or without us, and the weakest rise: compare "
    "with a holdout, or with the same rule applied in each year, before crediting anyone."
)

MembersAt = Callable[[dt.date], sa.Select[Any]]
"""The members of a declared segment at a date: a select of `customer`."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The company in both years. Money in currency."""

    revenue: tuple[float, float]
    """net of refunds, year 1 and year 2"""
    margin: tuple[float, float]
    customers: tuple[int, int]
    """customers with an order or a refund in the year"""
    orders: tuple[int, int]
    """refunds not counted"""


@dataclass(frozen=True, slots=True)
class SegmentYear:
    """One metric of a segment in both years; None where it has no denominator."""

    view: str
    """followed: the members of year 1 in both years; same_rule: the members of each year"""
    segment: str
    metric: str
    """a field of `Figures`"""
    year1: float | None
    year2: float | None
    change: float | None
    """year2 - year1"""
    relative_change: float | None
    """change / year1; None unless year1 is positive"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Year 2 against year 1."""

    year1: Window
    year2: Window
    totals: Totals
    segments: tuple[SegmentYear, ...]
    bridge: tuple[BridgeRow, ...]
    moves: tuple[MoveRow, ...]
    net_moves: tuple[NetMove, ...]
    causes: tuple[CauseRow, ...]
    notes: tuple[str, ...]
    """what must be said beside the figures"""

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `compare --format json`."""
        periods = {
            name: {"start": window.start.isoformat(), "end": window.end.isoformat()}
            for name, window in (("year1", self.year1), ("year2", self.year2))
        }
        totals = asdict(self.totals).items()
        return {
            "periods": periods,
            "totals": {
                year: {name: both[place] for name, both in totals}
                for place, year in enumerate(("year1", "year2"))
            },
            "segments": [asdict(row) for row in self.segments],
            "bridge": [asdict(row) for row in self.bridge],
            "moves": [
                {
                    "from": row.origin,
                    "to": row.destination,
                    "customers": row.customers,
                    "revenue_year1": row.revenue_year1,
                    "revenue_year2": row.revenue_year2,
                }
                for row in self.moves
            ],
            "causes": [asdict(row) for row in self.causes],
            "notes": list(self.notes),
        }


def compare(
    connection: sa.Connection,
    year1: tuple[dt.date, dt.date],
    year2: tuple[dt.date, dt.date],
    *,
    scheme: str | None = "rfm",
    declared: Mapping[str, MembersAt] | None = None,
    effects: Iterable[MeasuredEffect] = (),
    shared: Collection[str] = (),
    tiers: TierRule | None = None,
    known_until: dt.date | None = None,
) -> Comparison:
    """Compare two equal windows, by segment in two views, with bridge, moves and causes.

    Memberships are those at the last day of each window.

    Args:
        connection: a reading connection of the store.
        year1: first and last day of year 1.
        year2: first and last day of year 2.
        scheme: built-in scheme whose segments are compared; None compares the company only.
        declared: further segments by name, which may overlap.
        effects: incremental revenue measured within year 2, by segment.
        shared: segments whose effects count the same customers, see `causes`.
        tiers: where gold and silver begin.
        known_until: last day of the data, where the export says so; None judges by the orders.

    Raises:
        MeasureError: the windows are not equal, or reach into time without data.
        KeyError: no such scheme.
    """
    first, second = Window(*year1), Window(*year2)
    notes = comparable(connection, first, second, known_until)
    at = None if scheme is None else scheme_at(scheme, first.end, second.end, tiers=tiers)
    cells = read_cells(connection, first, second, at)
    names = () if scheme is None else SCHEMES[scheme].names
    known = (*names, NOBODY) if names else ()
    segments = [*_views(cells, known)]
    parts = [*bridge(cells, (*known, ALL))]
    changes = {name: _change(cells, name) for name in (*names, ALL)}
    for name, members_at in (declared or {}).items():
        pair = named(name, members_at(first.end)), named(name, members_at(second.end))
        own = read_cells(connection, first, second, pair)
        segments += [row for row in _views(own, (name,)) if row.segment == name]
        parts += bridge(own, (name,))
        changes[name] = _change(own, name)
    moved = moves(cells, known) if names else ()
    return Comparison(
        first,
        second,
        _totals(cells),
        tuple(segments),
        tuple(parts),
        moved,
        net_moves(moved, known),
        causes(changes, effects, shared),
        (*notes, REGRESSION_TO_THE_MEAN) if names or declared else notes,
    )


def comparable(
    connection: sa.Connection, year1: Window, year2: Window, known_until: dt.date | None
) -> tuple[str, ...]:
    """What must be said beside two windows, as `check_windows` finds it in the store.

    Raises:
        MeasureError: the windows are not equal, or reach into time without data; it names windows
            that would do.
    """
    days = [
        dt.date((month - 1) // 12, (month - 1) % 12 + 1, day)
        for month, bits in connection.execute(months_with_days())
        for day in range(1, 32)
        if bits >> (day - 1) & 1
    ]
    try:
        return check_windows(year1, year2, days, known_until)
    except MeasureError as error:
        options = equal_windows(days, known_until)
        if not options:
            raise
        raise MeasureError(f"{error}; the data hold {options}") from error


def _totals(cells: Sequence[Cell]) -> Totals:
    one, two = (figures(cells, year, 0.0, lambda _: True) for year in (1, 2))
    return Totals(
        (one.revenue, two.revenue),
        (one.margin, two.margin),
        (one.customers, two.customers),
        (one.orders, two.orders),
    )


def _change(cells: Sequence[Cell], segment: str) -> float:
    kept = [cell for cell in cells if segment in (ALL, cell.segment1)]
    return sum(cell.revenue2 for cell in kept) - sum(cell.revenue1 for cell in kept)


def _views(cells: Sequence[Cell], segments: Sequence[str]) -> Iterator[SegmentYear]:
    """Both views of the segments and of the company; the company is the same in both."""
    company = {year: float(sum(getattr(c, f"revenue{year}") for c in cells)) for year in (1, 2)}
    for view in ("followed", "same_rule"):
        for segment in (*segments, ALL):
            one, two = (
                figures(cells, year, company[year], _membership(view, segment, year))
                for year in (1, 2)
            )
            yield from _rows(view, segment, one, two)


def _membership(view: str, segment: str, year: int) -> Callable[[Cell], bool]:
    """Which cells are in a segment; the company of year 1 is all but who was new in year 2."""
    if segment == ALL:
        return lambda cell: year == 2 or cell.status != "new"
    if view == "followed" or year == 1:
        return lambda cell: cell.segment1 == segment
    return lambda cell: cell.segment2 == segment


def _rows(view: str, segment: str, one: Figures, two: Figures) -> Iterator[SegmentYear]:
    for field in fields(Figures):
        year1, year2 = getattr(one, field.name), getattr(two, field.name)
        change = None if year1 is None or year2 is None else year2 - year1
        relative = change / year1 if change is not None and year1 > 0 else None
        yield SegmentYear(view, segment, field.name, year1, year2, change, relative)
