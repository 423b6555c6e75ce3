"""Sums that give a wave's moments: added up by the engine, or in process from a stream of rows.

Both roads give the same sums about a constant near the mean. No row outlives its block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.queries.moments import METRICS, Window, group_moments, third_variables
from loyalty_exp.store.queries.streams import (
    flow_rows,
    group_sizes,
    number_customers,
    numbered_flows,
    numbered_places,
    numbers,
)

__all__ = ["GroupSums", "batches", "read_sums"]

Floats = NDArray[np.float64]

BLOCK_VECTORS = 32
"""Months of units held at a time, in vectors of 2,048: blocks that stay in the cache."""

PLACE_VECTORS = 512
"""Rows of rosters held at a time, in vectors: they are only written down."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupSums:
    """Sums over the units of an arm and segment, of p variables v about a constant c.

    Attributes:
        arm: The arm.
        segment: The segment.
        n: Units, those with zero spend included.
        shift: The constant c, shape (p,).
        sums: Sums of v - c, shape (p,).
        products: Sums of (v - c)(w - c), shape (p, p).
        third: Sums of yyy, yyx, yxx, xxx about c, a row each of `third_variables`, shape (q, 4).
    """

    arm: str
    segment: str
    n: int
    shift: Floats
    sums: Floats
    products: Floats
    third: Floats


def read_sums(
    connection: sa.Connection, windows: Sequence[Window], third: Sequence[tuple[str, str]]
) -> list[list[GroupSums]]:
    """Sums of every arm and segment, for each wave.

    Waves of customers over the same months share one pass over what customers did, so that many
    campaigns cost little more than one.

    Args:
        connection: an open store.
        windows: one a wave, of any campaigns.
        third: (metric, covariate) pairs whose third sums are wanted.
    """
    capabilities = capabilities_of(connection.dialect.name)
    if not capabilities.in_process:
        most = capabilities.most_columns
        return [_in_the_engine(connection, window, third, most) for window in windows]
    found: dict[int, list[GroupSums]] = {}
    for places in _sharing(windows):
        sums = _streamed(connection, [windows[place] for place in places], third)
        found |= dict(zip(places, sums, strict=True))
    return [found[place] for place in range(len(windows))]


def _sharing(windows: Sequence[Window]) -> list[list[int]]:
    """Places of the windows that can share a pass; each of the others alone."""
    shares: dict[object, list[int]] = {}
    for place, window in enumerate(windows):
        alone = window.with_exposures or not window.by_customer
        same = replace(window, campaign="", wave=0, redemption_cost=())
        shares.setdefault(place if alone else same, []).append(place)
    return list(shares.values())


def _in_the_engine(
    connection: sa.Connection,
    window: Window,
    third: Sequence[tuple[str, str]],
    most_columns: int | None,
) -> list[GroupSums]:
    """Sums of every group, as the engine adds them up."""
    statements = group_moments(window, third, most_columns)
    parts = [connection.execute(statement).mappings().all() for statement in statements]
    rows = [{k: v for part in row for k, v in part.items()} for row in zip(*parts, strict=True)]
    p, q = len(window.variables), len(third_variables(window, third))
    return [_from_row(row, p, q) for row in rows]


def _from_row(row: Any, p: int, q: int) -> GroupSums:
    """Sums of a group as the engine added them up."""
    products = np.empty((p, p))
    for i in range(p):
        for j in range(i, p):
            products[i, j] = products[j, i] = row[f"p_{i}_{j}"]
    return GroupSums(
        arm=str(row["arm"]),
        segment=str(row["segment"]),
        n=int(row["n"]),
        shift=np.array([row[f"c_{i}"] for i in range(p)], dtype=np.float64),
        sums=np.array([row[f"s_{i}"] for i in range(p)], dtype=np.float64),
        products=products,
        third=np.array(
            [[row[f"t_{i}_{k}"] for k in range(4)] for i in range(q)], dtype=np.float64
        ).reshape(q, 4),
    )


def _streamed(
    connection: sa.Connection, windows: Sequence[Window], third: Sequence[tuple[str, str]]
) -> list[list[GroupSums]]:
    """Sums of every group of waves that share their months, always added up in the same order."""
    window = windows[0]
    sizes = [connection.execute(group_sizes(each)).all() for each in windows]
    terms = _Terms(window, third)
    totals = _Totals(terms, [[int(n) for *_, n in each] for each in sizes])
    if len(windows) == 1:
        groups = [(str(arm), str(segment)) for arm, segment, _ in sizes[0]]
        blocks = _blocks(window, batches(connection, flow_rows(window, groups)))
    else:
        places = _places(connection, windows, sizes)
        blocks = _blocks(window, batches(connection, numbered_flows(window)), places)
    for place, rows in blocks:
        totals.add(place, rows)
    if len(windows) > 1:
        numbers.drop(connection)
    return [
        totals.finish(wave, [(str(arm), str(segment)) for arm, segment, _ in each])
        for wave, each in enumerate(sizes)
    ]


def _places(
    connection: sa.Connection, windows: Sequence[Window], sizes: Sequence[Sequence[Any]]
) -> NDArray[np.int16]:
    """Place of every numbered customer among the groups of each wave, (waves, customers).

    A customer outside a wave has the place after its last group.
    """
    numbers.create(connection)
    connection.execute(number_customers(windows[0]))
    count = connection.scalar(sa.select(sa.func.count()).select_from(numbers)) or 0
    found = np.empty((len(windows), count), dtype=np.int16)
    found[:] = np.array([len(each) for each in sizes], dtype=np.int16)[:, None]
    groups: list[tuple[str, int, str, str]] = []
    wave: list[int] = []
    place: list[int] = []
    for index, (window, each) in enumerate(zip(windows, sizes, strict=True)):
        groups += [(window.campaign, window.wave, str(arm), str(part)) for arm, part, _ in each]
        wave += [index] * len(each)
        place += range(len(each))
    of_wave, of_place = np.array(wave), np.array(place, dtype=np.int16)
    statement = numbered_places(windows[0].roster, groups)
    for number, group in batches(connection, statement, PLACE_VECTORS):
        found[of_wave[group], number] = of_place[group]
    return found


class _Terms:
    """What is added up of each unit: variables about a constant, and the terms of third sums."""

    def __init__(self, window: Window, third: Sequence[tuple[str, str]]) -> None:
        names, m = window.variables, window.months
        self.p, self.q = len(names), len(third) * (2 * m - 1)
        self.width = self.p + 3 * self.q + len(third)
        starts = range(0, self.q, 2 * m - 1)
        self.blocks = [
            (slice(start, start + 2 * m - 1), names.index(f"{metric}_0"), names.index(covariate))
            for start, (metric, covariate) in zip(starts, third, strict=True)
        ]
        self.months = m
        self.shift: Floats | None = None

    def of(self, rows: Floats) -> Floats:
        """All terms of some units, (width, units): the centred variables come first."""
        if self.shift is None:
            self.shift = rows.mean(axis=1, keepdims=True)
        terms = np.empty((self.width, rows.shape[1]))
        v = np.subtract(rows, self.shift, out=terms[: self.p])
        yyy, yyx, yxx = terms[self.p : self.p + 3 * self.q].reshape(3, self.q, -1)
        y = np.empty((2 * self.months - 1, rows.shape[1]))
        for number, (block, first, covariate) in enumerate(self.blocks):
            months, x = v[first : first + self.months], v[covariate]
            y[: self.months] = months
            y[self.months :] = np.cumsum(months, axis=0)[1:]
            xx = x * x
            np.multiply(y, xx, out=yxx[block])
            yy = np.multiply(y, y)
            np.multiply(yy, x, out=yyx[block])
            np.multiply(yy, y, out=yyy[block])
            np.multiply(xx, x, out=terms[self.p + 3 * self.q + number])
        return terms

    def third(self, sums: Floats) -> Floats:
        """The third sums of a group, (q, 4), from the sums of its terms."""
        mixed = sums[self.p : self.p + 3 * self.q].reshape(3, self.q)
        xxx = np.repeat(sums[self.p + 3 * self.q :], 2 * self.months - 1)
        return np.column_stack([*mixed, xxx])


class _Totals:
    """Sums of the groups of some waves as they grow; the last of a wave are those outside it.

    The largest group of a wave is not added up: it is what the others leave of the whole.
    """

    def __init__(self, terms: _Terms, sizes: Sequence[Sequence[int]]) -> None:
        self.terms, self.sizes = terms, sizes
        self.largest = [int(np.argmax(each)) for each in sizes]
        self.added = [
            (wave, group)
            for wave, each in enumerate(sizes)
            for group in range(len(each) + 1)
            if group != self.largest[wave]
        ]
        self.seen, self.seen_of = 0, np.zeros(len(self.added), dtype=np.int64)
        self.linear: Floats = np.zeros(terms.width)
        self.linear_of: Floats = np.zeros((len(self.added), terms.width))
        self.products: Floats = np.zeros((terms.p, terms.p))
        self.products_of: Floats = np.zeros((len(self.added), terms.p, terms.p))

    def add(self, place: NDArray[np.int16], rows: Floats) -> None:
        """Add a block of units, (p, units), whose groups in each wave are (waves, units)."""
        linear = self.terms.of(rows)
        v = linear[: self.terms.p]
        member = np.stack([place[wave] == group for wave, group in self.added])
        self.seen += rows.shape[1]
        self.seen_of += member.sum(axis=1)
        self.linear += linear.sum(axis=1)
        self.linear_of += member.astype(np.float64) @ linear.T
        self.products += v @ v.T
        for row in np.flatnonzero(member.any(axis=1)):
            mine = v.take(np.flatnonzero(member[row]), axis=1)
            self.products_of[row] += mine @ mine.T

    def finish(self, wave: int, groups: Sequence[tuple[str, str]]) -> list[GroupSums]:
        """The sums of every group of a wave, those who did nothing counted with zeros."""
        rows = [row for row, (of, _) in enumerate(self.added) if of == wave]
        by_group = {self.added[row][1]: row for row in rows}
        idle = self.terms.of(np.zeros((self.terms.p, 1)))[:, 0]
        v = idle[: self.terms.p]
        found = []
        for place, (arm, segment) in enumerate(groups):
            if place == self.largest[wave]:
                seen = self.seen - int(self.seen_of[rows].sum())
                sums = self.linear - self.linear_of[rows].sum(axis=0)
                products = self.products - self.products_of[rows].sum(axis=0)
            else:
                row = by_group[place]
                seen, sums = int(self.seen_of[row]), self.linear_of[row]
                products = self.products_of[row]
            n = self.sizes[wave][place]
            sums = sums + (n - seen) * idle
            products = products + (n - seen) * np.outer(v, v)
            third = self.terms.third(sums)
            found.append(GroupSums(arm, segment, n, -v, sums[: self.terms.p], products, third))
        return found


def _blocks(
    window: Window,
    batches: Iterator[list[NDArray[Any]]],
    places: NDArray[np.int16] | None = None,
) -> Iterator[tuple[NDArray[np.int16], Floats]]:
    """Places of some units in the groups of each wave, (waves, some), and their variables."""

    def block(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int16], Floats]:
        first = np.concatenate([[True], columns[0][1:] != columns[0][:-1]])
        if places is not None:
            return places[:, columns[0][first]], _unit_rows(window, columns, first)
        place = columns[-1][first].astype(np.int16)[None, :]
        return place, _unit_rows(window, columns[:-1], first)

    rest: list[NDArray[Any]] | None = None
    for batch in batches:
        columns = batch
        if rest is not None:
            columns = [np.concatenate(pair) for pair in zip(rest, batch, strict=True)]
        whole = int(np.searchsorted(columns[0], columns[0][-1]))
        rest = [column[whole:] for column in columns]
        if whole:
            yield block([column[:whole] for column in columns])
    if rest is not None:
        yield block(rest)


def batches(
    connection: sa.Connection, statement: sa.Select[Any], vectors: int = BLOCK_VECTORS
) -> Iterator[list[NDArray[Any]]]:
    """Columns of a result, some rows at a time; NULL is 0."""
    with connection.execute(statement) as result:
        cursor: Any = result.cursor
        while len(frame := cursor.fetch_df_chunk(vectors)):
            yield [frame[name].fillna(0).to_numpy() for name in frame]


def _unit_rows(window: Window, columns: Sequence[NDArray[Any]], first: NDArray[np.bool_]) -> Floats:
    """Variables of the units of a block, (p, units), in the order of `window.variables`."""
    _, month, *values = columns
    unit = np.cumsum(first) - 1
    units = int(unit[-1]) + 1
    oldest = window.start_month - window.covariate_months
    span = window.first_month + window.months - oldest
    spent = slice(None) if len(values) == 3 else values[4] == 0

    def table(figures: NDArray[Any], rows: Any = slice(None)) -> Floats:
        """The figures by month and unit, (span, units)."""
        found = np.zeros((span, units))
        found[month[rows] - oldest, unit[rows]] = figures[rows]
        return found

    by_metric = dict(zip(METRICS, (table(each, spent) for each in values[:3]), strict=False))
    by_metric["active"] = (by_metric["orders"] > 0).astype(np.float64)
    outcomes = partial(_outcomes, window)
    parts = [part for metric in window.metrics for part in outcomes(by_metric[metric])]
    if window.cap is not None:
        metric, cap = window.cap
        parts += outcomes(np.minimum(by_metric[metric], cap))
    if window.with_exposures:
        contacts = values[4] == 1
        parts += outcomes(by_metric["margin"] - table(values[3], contacts))[:-1]
        reached = np.bincount(unit, weights=contacts, minlength=units) > 0
        parts.append(reached.astype(np.float64)[None, :])
    return np.concatenate(parts)


def _outcomes(window: Window, figures: Floats) -> list[Floats]:
    """Outcome months and, last, the sum of the covariate months; (some, units) each."""
    before, units = window.covariate_months, figures.shape[1]
    not_yet = np.zeros((max(0, window.start_month - window.first_month), units))
    skipped = max(0, window.first_month - window.start_month)
    sums = figures[:before].sum(axis=0, keepdims=True)
    return [not_yet, figures[before + skipped :], sums]
