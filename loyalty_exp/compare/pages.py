"""What the year-over-year page shows beside the comparison, with its small groups hidden.

Reads the store, writes nothing. A figure that would tell of a few customers leaves here as None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from loyalty_exp.compare.cohorts import CohortRow, retention_triangle
from loyalty_exp.compare.kpis import (
    DEFINITIONS,
    MonthKpis,
    YearKpis,
    kpis_by_month,
    kpis_by_year,
)
from loyalty_exp.compare.portfolio import ALL, NOBODY
from loyalty_exp.compare.years import Comparison
from loyalty_exp.declare.frozen import month_of
from loyalty_exp.segment.features import TierRule, customer_features
from loyalty_exp.segment.schemes import SCHEMES
from loyalty_exp.store.queries.compare import Window

__all__ = ["hidden_cells", "hidden_parts", "kpi_data", "page_data"]

_KEPT = {"year", "month", "segment"}
Field = tuple[str, str]


def page_data(
    connection: sa.Connection,
    comparison: Comparison,
    *,
    scheme: str = "rfm",
    tiers: TierRule | None = None,
    costs: tuple[float | None, float | None] = (None, None),
    min_cell: int = 5,
) -> dict[str, Any]:
    """The object of `Comparison.to_dict`, its small groups hidden, and that of `kpi_data`.

    Args:
        connection: a reading connection of the store.
        comparison: the comparison of the same store.
        scheme: built-in scheme that it compares.
        tiers: where gold and silver begin, as in the comparison.
        costs: what the programme cost in each year, in currency; None where it is not known.
        min_cell: fewest customers of whom a figure is shown.
    """
    windows = comparison.year1, comparison.year2
    given: dict[str, Any] = {"scheme": scheme, "tiers": tiers, "costs": costs, "min_cell": min_cell}
    return {**_comparison(comparison, min_cell), **kpi_data(connection, *windows, **given)}


def kpi_data(
    connection: sa.Connection,
    year1: Window,
    year2: Window,
    *,
    scheme: str = "rfm",
    tiers: TierRule | None = None,
    costs: tuple[float | None, float | None] = (None, None),
    min_cell: int = 5,
) -> dict[str, Any]:
    """KPIs of two years as JSON types, their small groups hidden.

    A hidden row has `few`: True of fewer than `min_cell` customers, False where it would give such
    a row away. The keys: `kpis_by_year` and `kpis_by_month` (the segments are those at the end of
    year 1, followed), `cohorts`, `definitions` and `names` (by language), and `min_cell`. By month
    only where the windows are whole months.

    Args:
        connection: a reading connection of the store.
        year1: the earlier window.
        year2: the later window.
        scheme: built-in scheme.
        tiers: where gold and silver begin.
        costs: what the programme cost in each year, in currency; None where it is not known.
        min_cell: fewest customers of whom a figure is shown.
    """
    years = ((year1.start, year1.end), (year2.start, year2.end))
    yearly = kpis_by_year(connection, *years, scheme=scheme, tiers=tiers, costs=costs)
    found = {
        "kpis_by_year": _yearly(yearly, min_cell),
        "kpis_by_month": [],
        "cohorts": [],
        "definitions": {
            name: {"en": text.english, "fr": text.french} for name, text in DEFINITIONS.items()
        },
        "names": {
            segment.name: {"en": segment.english, "fr": segment.french}
            for segment in SCHEMES[scheme].segments
        },
        "min_cell": min_cell,
    }
    if year1.whole_months and year2.whole_months:
        first = month_of(year1.start.year, year1.start.month)
        last = month_of(year2.end.year, year2.end.month)
        column = SCHEMES[scheme].column
        members = customer_features(year1.end, [column], tiers=tiers).subquery()
        segments = sa.select(members.c.customer, members.c[column].label("segment"))
        monthly = kpis_by_month(connection, first, last, segments)
        found["kpis_by_month"] = _monthly(monthly, min_cell)
        found["cohorts"] = _cohorts(retention_triangle(connection, first, last), min_cell)
    return found


def hidden_parts(sizes: Mapping[str, int], least: int) -> set[str]:
    """Parts of a whole to hide: those of 1 to `least` - 1 customers.

    A single hidden part would be the whole less the others: the next smallest is hidden with it.
    """
    small = {part for part, size in sizes.items() if 0 < size < least}
    rest = [part for part, size in sizes.items() if size and part not in small]
    if len(small) == 1 and rest:
        small.add(min(rest, key=lambda part: sizes[part]))
    return small


def hidden_cells(sizes: Mapping[Field, int], least: int) -> set[Field]:
    """Fields of a table to hide, so that no row and no column has a single hidden one.

    Args:
        sizes: customers by row and column.
        least: fewest customers of a field that is shown.
    """
    small = {field for field, size in sizes.items() if 0 < size < least}
    lines = [
        {field for field in sizes if field[axis] == name and sizes[field]}
        for axis in (0, 1)
        for name in dict.fromkeys(field[axis] for field in sizes)
    ]
    while alone := [line for line in lines if len(line & small) == 1 and len(line) > 1]:
        small.add(min(alone[0] - small, key=lambda field: sizes[field]))
    return small


def _comparison(comparison: Comparison, least: int) -> dict[str, Any]:
    """The comparison without the figures of segments and moves of a few customers."""
    found = comparison.to_dict()
    hidden: dict[tuple[str, str], bool] = {}
    for view in ("followed", "same_rule"):
        for year in ("year1", "year2"):
            sizes = {
                row["segment"]: int(row[year] or 0)
                for row in found["segments"]
                if (row["view"], row["metric"]) == (view, "members") and row["segment"] != ALL
            }
            for segment in hidden_parts(sizes, least):
                hidden[view, segment] = sizes[segment] < least or hidden.get((view, segment), False)
    for row in found["segments"]:
        if (key := (row["view"], row["segment"])) in hidden:
            row.update(dict.fromkeys(("year1", "year2", "change", "relative_change")))
            row["few"] = hidden[key]
    for row in found["bridge"]:
        if ("followed", row["segment"]) in hidden:
            row["amount"] = None
    sizes_of = {(row["from"], row["to"]): row["customers"] for row in found["moves"]}
    few = hidden_cells(sizes_of, least)
    for row in found["moves"]:
        if (row["from"], row["to"]) in few:
            row["few"] = row["customers"] < least
            row.update(dict.fromkeys(("customers", "revenue_year1", "revenue_year2")))
    return found


def _yearly(rows: Iterable[YearKpis], least: int) -> list[dict[str, Any]]:
    rows = list(rows)
    hidden: set[tuple[str, str]] = set()
    for year in ("year1", "year2"):
        sizes = {r.segment: r.active for r in rows if r.year == year and r.segment != ALL}
        hidden |= {(year, segment) for segment in hidden_parts(sizes, least)}
    return [_row(asdict(row), (row.year, row.segment) in hidden, least) for row in rows]


def _monthly(rows: Iterable[MonthKpis], least: int) -> list[dict[str, Any]]:
    """Months of segments, those of a few buyers without figures; nobody's segment left out."""
    return [
        _row(asdict(row), row.segment != ALL and 0 < row.active < least, least)
        for row in rows
        if row.segment != NOBODY
    ]


def _cohorts(rows: Iterable[CohortRow], least: int) -> list[dict[str, Any]]:
    return [
        asdict(row) | (dict.fromkeys(("active", "retention")) if 0 < row.active < least else {})
        for row in rows
        if row.customers >= least
    ]


def _row(row: dict[str, Any], hide: bool, least: int) -> dict[str, Any]:
    """A row as it may be shown: when hidden, its names only, and whether it is of a few."""
    if not hide:
        return row
    few = row["active"] < least
    return {name: value if name in _KEPT else None for name, value in row.items()} | {"few": few}
