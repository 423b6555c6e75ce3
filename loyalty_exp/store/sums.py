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
    group_members,
    number_buyers,
    number_roster,
    numbered_flows,
    numbers,
)

__all__ = ["GroupSums", "batches", "read_sums"]

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]

BLOCK_VECTORS = 32
"""Months of units held at a time, in vectors of 2,048: blocks that stay in the cache."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """A group of a wave: arm, segment, units, and a bit for each numbered unit, packed."""

    arm: str
    segment: str
    n: int
    packed: Bits


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
        same = replace(window, campaign="", wave=0, cap=None, redemption_cost=())
        same = replace(same, priced_contacts=(), vouchers_in_orders=False)
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
    window = replace(windows[0], cap=None)
    caps = list(dict.fromkeys(each.cap for each in windows if each.cap is not None))
    numbers.create(connection)
    connection.execute(number_roster(window) if len(windows) == 1 else number_buyers(window))
    count = connection.scalar(sa.select(sa.func.max(numbers.c.number))) or 0
    bits = 8 * (count // 8 + 1)
    totals = _Totals(_Terms(window, caps, third), windows, _waves(connection, windows, bits), bits)
    for columns in _whole_units(batches(connection, numbered_flows(window))):
        first = np.concatenate([[True], columns[0][1:] != columns[0][:-1]])
        totals.add(columns[0][first], _unit_rows(window, caps, columns, first))
    numbers.drop(connection)
    return [totals.finish(wave) for wave in range(len(windows))]


def _waves(connection: sa.Connection, windows: Sequence[Window], bits: int) -> list[list[_Members]]:
    """The groups of each wave."""
    found: dict[tuple[str, int], list[_Members]] = {}
    rows = connection.execute(group_members(windows, bits)).all()
    for campaign, wave, arm, segment, n, members in sorted(rows, key=lambda row: row[:4]):
        packed = np.frombuffer(members or bytes(bits // 8), dtype=np.uint8)
        found.setdefault((campaign, wave), []).append(_Members(arm, segment, n, packed))
    return [found.get((window.campaign, window.wave), []) for window in windows]


class _Terms:
    """What is added up of each unit: variables about a constant, and the terms of third sums.

    The variables are those of the window, and then those of each cap.
    """

    def __init__(
        self,
        window: Window,
        caps: Sequence[tuple[str, float]],
        third: Sequence[tuple[str, str]],
    ) -> None:
        names, m = window.variables, window.months
        self.names, self.caps = names, caps
        self.p, self.q = len(names) + len(caps) * (m + 1), len(third) * (2 * m - 1)
        self.width = self.p + 2 * self.q + len(third) * (m + 1)
        starts = range(0, self.q, 2 * m - 1)
        self.blocks = [
            (slice(start, start + 2 * m - 1), names.index(f"{metric}_0"), names.index(covariate))
            for start, (metric, covariate) in zip(starts, third, strict=True)
        ]
        self.months = m
        self.shift: Floats | None = None

    def places(self, window: Window) -> list[int]:
        """Where the variables of a wave are."""
        place = {name: index for index, name in enumerate(self.names)}
        if window.cap is not None:
            suffixes = (*range(self.months), "x")
            start = len(self.names) + self.caps.index(window.cap) * len(suffixes)
            place |= {f"capped_{suffix}": start + k for k, suffix in enumerate(suffixes)}
        return [place[name] for name in window.variables]

    def of(self, rows: Floats) -> Floats:
        """All terms of some units, (width, units): the centred variables come first."""
        if self.shift is None:
            self.shift = rows.mean(axis=1, keepdims=True)
        terms = np.empty((self.width, rows.shape[1]))
        v = np.subtract(rows, self.shift, out=terms[: self.p])
        yyy, yyx = terms[self.p : self.p + 2 * self.q].reshape(2, self.q, -1)
        by_xx = terms[self.p + 2 * self.q :].reshape(-1, self.months + 1, rows.shape[1])
        y = np.empty((2 * self.months - 1, rows.shape[1]))
        for number, (block, first, covariate) in enumerate(self.blocks):
            months, x = v[first : first + self.months], v[covariate]
            np.cumsum(months, axis=0, out=y[self.months - 1 :])
            y[: self.months] = months  # the first sum is the first month's
            yy = np.multiply(y, y, out=yyy[block])
            np.multiply(yy, x, out=yyx[block])
            yy *= y
            np.multiply(months, x * x, out=by_xx[number, :-1])
            np.multiply(x * x, x, out=by_xx[number, -1])
        return terms

    def third(self, sums: Floats) -> Floats:
        """The third sums of a group, (q, 4), from the sums of its terms."""
        yyy, yyx = sums[self.p : self.p + 2 * self.q].reshape(2, self.q)
        by_xx = sums[self.p + 2 * self.q :].reshape(-1, self.months + 1)
        months = by_xx[:, :-1]
        yxx = np.hstack([months, np.cumsum(months, axis=1)[:, 1:]])
        xxx = np.repeat(by_xx[:, -1], 2 * self.months - 1)
        return np.column_stack([yyy, yyx, yxx.ravel(), xxx])


class _Totals:
    """Sums of the groups of some waves as they grow.

    A wave parts the units of all waves into its groups and those outside it. The largest part is
    not added up: it is what the others leave of the whole.
    """

    def __init__(
        self,
        terms: _Terms,
        windows: Sequence[Window],
        waves: Sequence[Sequence[_Members]],
        bits: int,
    ) -> None:
        self.terms, self.waves = terms, waves
        whole = _union([group.packed for wave in waves for group in wave], bits)
        parts: list[Bits] = []
        self.rows: list[range] = []
        self.largest: list[int] = []
        self.caps = [window.cap for window in windows]
        self.places = {window.cap: terms.places(window) for window in windows}
        for wave in waves:
            packed = [group.packed for group in wave]
            outside = whole & ~_union(packed, bits)
            packed += [outside] if outside.any() or not wave else []
            largest = int(np.argmax([np.bitwise_count(each).sum() for each in packed]))
            self.largest.append(largest)
            self.rows.append(range(len(parts), len(parts) + len(packed) - 1))
            parts += packed[:largest] + packed[largest + 1 :]
        self.parts = np.stack([*parts, whole])
        self.seen = np.zeros(len(self.parts), dtype=np.int64)
        self.linear: Floats = np.zeros((len(self.parts), terms.width))
        self.products: dict[int, Floats] = {}
        self.whole: dict[object, Floats] = {}
        for cap, places in self.places.items():
            self.whole[cap] = np.zeros((len(places), len(places)))
        for cap, rows in zip(self.caps, self.rows, strict=True):
            self.products |= {row: np.zeros_like(self.whole[cap]) for row in rows}

    def add(self, number: NDArray[np.int32], rows: Floats) -> None:
        """Add a block: increasing numbers of its units, and their variables, (p, units)."""
        first, last = number[0] // 8, number[-1] // 8 + 1
        member = np.unpackbits(self.parts[:, first:last], axis=1)[:, number - 8 * first]
        inside = member[-1] == 1
        if not inside.all():
            member, rows = member[:, inside], rows[:, inside]
        if not rows.size:
            return
        linear = self.terms.of(rows)
        self.seen += member.sum(axis=1, dtype=np.int64)
        self.linear += member.astype(np.float64) @ linear.T
        mine = member.astype(bool)
        for cap, places in self.places.items():
            v = linear[places].T.copy()
            self.whole[cap] += v.T @ v
            for wave in (wave for wave, own in enumerate(self.caps) if own == cap):
                for row in self.rows[wave]:
                    some = v.compress(mine[row], axis=0)
                    self.products[row] += some.T @ some

    def finish(self, wave: int) -> list[GroupSums]:
        """The sums of every group of a wave, those who did nothing counted with zeros."""
        rows, cap = list(self.rows[wave]), self.caps[wave]
        left = (
            self.seen[-1] - self.seen[rows].sum(),
            self.linear[-1] - self.linear[rows].sum(axis=0),
            self.whole[cap] - sum(self.products[row] for row in rows),
        )
        sums_of = [(self.seen[row], self.linear[row], self.products[row]) for row in rows]
        sums_of.insert(self.largest[wave], left)
        idle = self.terms.of(np.zeros((self.terms.p, 1)))[:, 0]
        places = self.places[cap]
        v = idle[places]
        found = []
        for group, (seen, linear, products) in zip(self.waves[wave], sums_of, strict=False):
            more = group.n - seen
            sums = linear + more * idle
            squares = products + more * np.outer(v, v)
            third = self.terms.third(sums)
            sums = sums[places]
            found.append(GroupSums(group.arm, group.segment, group.n, -v, sums, squares, third))
        return found


def _union(parts: Sequence[Bits], bits: int) -> Bits:
    found: Bits = np.bitwise_or.reduce([np.zeros(bits // 8, dtype=np.uint8), *parts])
    return found


def _whole_units(pieces: Iterator[list[NDArray[Any]]]) -> Iterator[list[NDArray[Any]]]:
    """The same rows, those of a unit in one batch."""
    rest: list[NDArray[Any]] | None = None
    for batch in pieces:
        columns = batch
        if rest is not None:
            columns = [np.concatenate(pair) for pair in zip(rest, batch, strict=True)]
        whole = int(np.searchsorted(columns[0], columns[0][-1]))
        rest = [column[whole:] for column in columns]
        if whole:
            yield [column[:whole] for column in columns]
    if rest is not None:
        yield rest


def batches(
    connection: sa.Connection, statement: sa.Select[Any], vectors: int = BLOCK_VECTORS
) -> Iterator[list[NDArray[Any]]]:
    """Columns of a result, some rows at a time; NULL is 0."""
    with connection.execute(statement) as result:
        cursor: Any = result.cursor
        while len(frame := cursor.fetch_df_chunk(vectors)):
            yield [frame[name].fillna(0).to_numpy() for name in frame]


def _unit_rows(
    window: Window,
    caps: Sequence[tuple[str, float]],
    columns: Sequence[NDArray[Any]],
    first: NDArray[np.bool_],
) -> Floats:
    """Variables of the units of a block, (p, units), in the order of `_Terms`."""
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
    if window.with_exposures:
        contacts = values[4] == 1
        parts += outcomes(by_metric["margin"] - table(values[3], contacts))[:-1]
        reached = np.bincount(unit, weights=contacts, minlength=units) > 0
        parts.append(reached.astype(np.float64)[None, :])
    for metric, cap in caps:
        parts += outcomes(np.minimum(by_metric[metric], cap))
    return np.concatenate(parts)


def _outcomes(window: Window, figures: Floats) -> list[Floats]:
    """Outcome months and, last, the sum of the covariate months; (some, units) each."""
    before, units = window.covariate_months, figures.shape[1]
    not_yet = np.zeros((max(0, window.start_month - window.first_month), units))
    skipped = max(0, window.first_month - window.start_month)
    sums = figures[:before].sum(axis=0, keepdims=True)
    return [not_yet, figures[before + skipped :], sums]
