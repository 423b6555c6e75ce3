"""Like for like: whether two windows may be compared, and what must be said beside them.

Refuses what would mislead; reads only on which days the store holds orders.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence

from loyalty_exp.declare.frozen import month_label, month_of
from loyalty_exp.errors import MeasureError
from loyalty_exp.store.queries.compare import Window

__all__ = ["QUIET_DAYS", "Window", "check_windows", "equal_windows", "last_year"]

QUIET_DAYS = 3
"""Days without orders that any business may have at the edge of a window."""


def last_year(data_through: dt.date, first_month: int) -> Window:
    """The last fiscal year that the data hold whole.

    Args:
        data_through: last day of data.
        first_month: month the fiscal year starts with, 1 to 12.
    """
    after = dt.date(data_through.year, first_month, 1)
    if after > data_through + dt.timedelta(days=1):
        after = after.replace(year=after.year - 1)
    return Window(after.replace(year=after.year - 1), after - dt.timedelta(days=1))


def equal_windows(days: Sequence[dt.date], known_until: dt.date | None = None) -> str:
    """The latest equal windows of up to twelve whole months that the data hold, as options.

    Args:
        days: all days on which the store holds orders, ascending.
        known_until: last day of the data, where the export says so.

    Returns:
        "--year1 2024-12-01 2025-10-31 --year2 2025-12-01 2026-10-31"; empty without a month that
        the data hold whole in two years.
    """
    if not days:
        return ""
    after = max(days[-1], known_until or days[-1]) + dt.timedelta(days=1)
    first = _index(days[0]) + (days[0].day > 1 + QUIET_DAYS)
    last = _index(after) - 1
    months = min(12, last - 12 - first + 1)
    if months < 1:
        return ""
    starts = [_first_of(last - months + 1 - back) for back in (12, 0)]
    ends = [_first_of(last + 1 - back) - dt.timedelta(days=1) for back in (12, 0)]
    pairs = zip(starts, ends, strict=True)
    return " ".join(f"--year{n} {start} {end}" for n, (start, end) in enumerate(pairs, start=1))


def check_windows(
    year1: Window,
    year2: Window,
    days: Sequence[dt.date],
    known_until: dt.date | None = None,
) -> tuple[str, ...]:
    """What the reader must know about the windows.

    Args:
        year1: first window.
        year2: second window.
        days: all days on which the store holds orders, ascending.
        known_until: last day of the data, where the export says so; None judges by the orders.

    Returns:
        Remarks in English: a leap day, seasons that differ, a history that starts too late, quiet
        days at an edge.

    Raises:
        MeasureError: the windows overlap, are not equal, or reach into time without data.
    """
    months = _equal(year1, year2)
    if not days:
        raise MeasureError("there are no orders to compare")
    _whole(year1, year2, days)
    remarks = [*_edges(year1, year2, days, known_until)]
    if year1.days != year2.days:
        remarks.append(f"The calendar gives year 1 {year1.days} days, and year 2 {year2.days}.")
    if months % 12:
        remarks.append("The windows are of different seasons: part of the change is the season.")
    if days[0] >= year1.start:
        remarks.append(
            "Orders before year 1 are not known: customers of earlier days who come back in "
            "year 2 count as new."
        )
    return tuple(remarks)


def _equal(year1: Window, year2: Window) -> int:
    """Months from one window to the other; refuses windows that are not the same part of a year."""
    if not (year1.start <= year1.end < year2.start <= year2.end):
        raise MeasureError(f"{_words(year1)} and {_words(year2)} are not two windows in order")
    months = _index(year2.start) - _index(year1.start)
    same = months == _index(year2.after) - _index(year1.after)
    days = (year1.start.day == year2.start.day, year1.after.day == year2.after.day)
    leap = _last_of_february(year1.end) and _last_of_february(year2.end)
    if not (same and days[0] and (days[1] or leap)):
        raise MeasureError(
            f"{_words(year1)} has {year1.days} days, {_words(year2)} has {year2.days}: these are "
            "not the same days of the calendar; choose equal windows"
        )
    return months


def _whole(year1: Window, year2: Window, days: Sequence[dt.date]) -> None:
    """Refuses a month that holds orders in one window and none in the other."""
    known = {_index(day) for day in days}
    shift = _index(year2.start) - _index(year1.start)
    for month in range(_index(year1.start), _index(year1.end) + 1):
        pair = (month, month + shift)
        missing = [month_label(index) for index in pair if index not in known]
        if len(missing) == 1:
            other = next(month_label(index) for index in pair if index in known)
            raise MeasureError(
                f"no order is known in {missing[0]}, but there are some in {other}: load "
                f"the missing month, or choose windows without it"
            )


def _edges(
    year1: Window, year2: Window, days: Sequence[dt.date], known_until: dt.date | None
) -> list[str]:
    """Refuses windows that begin before the data, or end after; short silences are told."""
    steps = [(later - day).days - 1 for day, later in itertools.pairwise(days)]
    usual = max([QUIET_DAYS, *steps])
    last = max(days[-1], known_until or days[-1])
    early, late = (days[0] - year1.start).days, (year2.end - last).days
    if early > usual:
        raise MeasureError(
            f"orders are known from {days[0]} only: {_words(year1)} starts {early} days before"
        )
    if late > usual:
        raise MeasureError(
            f"orders are known to {last} only: {_words(year2)} ends {late} days later, and a "
            "partial month is not compared with a whole one"
        )
    remarks = []
    if early > 0:
        remarks.append(f"Year 1 holds no order before {days[0]}: not loaded, or quiet.")
    if late > 0:
        remarks.append(f"Year 2 holds no order after {last}: not loaded, or quiet.")
    return remarks


def _first_of(month: int) -> dt.date:
    return dt.date((month - 1) // 12, (month - 1) % 12 + 1, 1)


def _index(day: dt.date) -> int:
    return month_of(day.year, day.month)


def _last_of_february(day: dt.date) -> bool:
    return day.month == 2 and (day + dt.timedelta(days=1)).month == 3


def _words(window: Window) -> str:
    return f"{window.start} to {window.end}"
