"""What is added up of units in process, block by block: their variables, products and third sums.

Takes arrays and returns arrays: reads no store. No row outlives its block.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_exp.store.queries.moments import METRICS, Window

__all__ = ["Block", "GroupSums", "Members", "Totals", "unit_blocks"]

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]

BLOCK_UNITS = 1024
RANKED = 11
"""Units of a group that are ranked: ten, and one to tell whether the tenth stands alone."""


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
        largest: The p variables of up to `RANKED` units that did something, those with the most
            margin in the months that the window ranks by, shape (units, p); None if not asked for.
    """

    arm: str
    segment: str
    n: int
    shift: Floats
    sums: Floats
    products: Floats
    third: Floats
    largest: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A group of a wave: arm, segment, units, and a bit for each numbered unit, packed."""

    arm: str
    segment: str
    n: int
    packed: Bits


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What some units did, month by month.

    Attributes:
        number: Their numbers, increasing, (units,).
        oldest: Index of the first month.
        figures: Of each of `METRICS`, (months, units).
        cost: Variable costs of contacts, (months, units); None without a log.
        reached: 1 for a unit that was ever contacted, (units,); None without a log.
    """

    number: NDArray[np.int32]
    oldest: int
    figures: Mapping[str, Floats]
    cost: Floats | None = None
    reached: Floats | None = None


def unit_blocks(
    oldest: int, months: int, batches: Iterable[Sequence[NDArray[Any]]]
) -> Iterator[Block]:
    """Blocks of whole units, so small that all that is made of one stays in the cache.

    The first batch is one block: its mean is the constant that all variables are taken about.

    Args:
        oldest: index of the first month.
        months: how many months there are.
        batches: columns of `numbered_flows`, in the order of the numbers, units whole.
    """
    for place, columns in enumerate(batches):
        number = columns[0]
        first = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
        cuts = first[::BLOCK_UNITS] if place else first[:1]
        for begin, end in itertools.pairwise([*cuts, len(number)]):
            yield _block(oldest, months, [column[begin:end] for column in columns])


def _block(oldest: int, months: int, columns: Sequence[NDArray[Any]]) -> Block:
    """The block of some whole units."""
    number, month, *values = columns
    first = np.concatenate([[True], number[1:] != number[:-1]])
    unit = np.cumsum(first) - 1
    units = int(unit[-1]) + 1

    place = unit * months + (month - oldest)

    def table(figures: NDArray[Any], rows: Any = slice(None)) -> Floats:
        """The figures by month and unit, (months, units): filled in the order of the rows."""
        found = np.zeros(units * months)
        found[place[rows]] = figures[rows]
        return np.ascontiguousarray(found.reshape(units, months).T)

    logged = len(values) > 3
    spent = values[4] == 0 if logged else slice(None)
    figures = dict(zip(METRICS, (table(each, spent) for each in values[:3]), strict=False))
    figures["active"] = (figures["orders"] > 0).astype(np.float64)
    if not logged:
        return Block(number[first], oldest, figures)
    contacts = values[4] == 1
    reached = np.bincount(unit, weights=contacts, minlength=units) > 0
    cost = table(values[3], contacts)
    return Block(number[first], oldest, figures, cost, reached.astype(np.float64))


class _Terms:
    """What is added up of each unit: variables about a constant, and the terms of third sums.

    The variables are those of the window, and then those of each cap.
    """

    def __init__(self, window: Window, caps: Sequence[tuple[str, float]]) -> None:
        names, third, m = window.variables, window.pairs, window.months
        self.window = window
        self.names, self.caps = names, caps
        self.p, self.q = len(names) + len(caps) * (m + 1), len(third) * (2 * m - 1)
        self.width = self.p + 2 * self.q + len(third) * (m + 1)
        starts = range(0, self.q, 2 * m - 1)
        self.blocks = [
            (slice(start, start + 2 * m - 1), names.index(f"{metric}_0"), names.index(covariate))
            for start, (metric, covariate) in zip(starts, third, strict=True)
        ]
        self.months = m
        ranked = "net_0" if window.with_exposures else "margin_0"
        self.ranking = names.index(ranked) if window.ranked else 0
        self.shift: Floats | None = None

    def places(self, window: Window) -> list[int]:
        """Where the variables of a wave are."""
        place = {name: index for index, name in enumerate(self.names)}
        if window.cap is not None:
            suffixes = (*range(self.months), "x")
            start = len(self.names) + self.caps.index(window.cap) * len(suffixes)
            place |= {f"capped_{suffix}": start + k for k, suffix in enumerate(suffixes)}
        return [place[name] for name in window.variables]

    def variables(self, block: Block) -> Floats:
        """The variables of the units of a block, (p, units)."""
        window, figures = self.window, block.figures
        parts = [part for metric in window.metrics for part in self._outcomes(block, metric)]
        if block.cost is not None and block.reached is not None and window.with_exposures:
            parts += self._months(block.oldest, figures["margin"] - block.cost)
            parts.append(block.reached[None, :])
        for metric, cap in self.caps:
            parts += self._outcomes(block, metric, cap)
        return np.concatenate(parts)

    def _outcomes(self, block: Block, metric: str, cap: float = np.inf) -> list[Floats]:
        """Outcome months and, last, the sum of the covariate months; (some, units) each."""
        figures, window = block.figures[metric], self.window
        if cap < np.inf:
            figures = np.minimum(figures, cap)
        start = window.start_month - block.oldest
        before = figures[start - window.covariate_months : start]
        return [*self._months(block.oldest, figures), before.sum(axis=0, keepdims=True)]

    def _months(self, oldest: int, figures: Floats) -> list[Floats]:
        """Outcome months; before the start they hold zeros."""
        window = self.window
        first, start = window.first_month - oldest, window.start_month - oldest
        not_yet = np.zeros((max(0, start - first), figures.shape[1]))
        return [not_yet, figures[max(first, start) : first + window.months]]

    def centred(self, rows: Floats) -> Floats:
        """Variables about the constant, in their own place, (p, units)."""
        if self.shift is None:
            self.shift = rows.mean(axis=1, keepdims=True)
        return np.subtract(rows, self.shift, out=rows)

    @property
    def idle(self) -> Floats:
        """The centred variables of a unit that did nothing, (p, 1)."""
        return np.zeros((self.p, 1)) if self.shift is None else -self.shift

    def sums(self, v: Floats, weights: Floats) -> Floats:
        """Weighted sums of all terms, (parts, width).

        Args:
            v: centred variables, (p, units).
            weights: of each unit in each part, (parts, units).
        """
        found = np.empty((len(weights), self.width))
        found[:, : self.p] = weights @ v.T
        yyy, yyx = found[:, self.p : self.p + 2 * self.q].reshape(-1, 2, self.q).swapaxes(0, 1)
        by_xx = found[:, self.p + 2 * self.q :].reshape(-1, len(self.blocks), self.months + 1)
        y, yy, z = np.empty((3, 2 * self.months - 1, v.shape[1]))
        for number, (block, first, covariate) in enumerate(self.blocks):
            months, x = v[first : first + self.months], v[covariate]
            y[: self.months] = months  # the first sum is the first month's
            total = months[0]
            for k in range(1, self.months):  # numpy's cumulative sum takes five times as long
                total = np.add(total, months[k], out=y[self.months + k - 1])
            np.multiply(y, y, out=yy)
            yyx[:, block] = weights @ np.multiply(yy, x, out=z).T
            yy *= y
            yyy[:, block] = weights @ yy.T
            xx = x * x
            by_xx[:, number, :-1] = weights @ np.multiply(months, xx, out=z[: self.months]).T
            by_xx[:, number, -1] = weights @ (xx * x)
        return found

    def third(self, sums: Floats) -> Floats:
        """The third sums of a group, (q, 4), from the sums of its terms."""
        yyy, yyx = sums[self.p : self.p + 2 * self.q].reshape(2, self.q)
        by_xx = sums[self.p + 2 * self.q :].reshape(-1, self.months + 1)
        months = by_xx[:, :-1]
        yxx = np.hstack([months, np.cumsum(months, axis=1)[:, 1:]])
        xxx = np.repeat(by_xx[:, -1], 2 * self.months - 1)
        return np.column_stack([yyy, yyx, yxx.ravel(), xxx])


class Totals:
    """Sums of the groups of some waves over the same months as they grow.

    A wave parts the units of all waves into its groups and those outside it. The largest part is
    not added up: it is what the others leave of the whole.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        waves: Sequence[Sequence[Members]],
        bits: int,
    ) -> None:
        caps = list(dict.fromkeys(each.cap for each in windows if each.cap is not None))
        terms = _Terms(replace(windows[0], cap=None), caps)
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
        self.ranked = [_Ranked(len(wave), terms.p) for wave in waves]
        self.parts = np.stack([*parts, whole])
        self.seen = np.zeros(len(self.parts), dtype=np.int64)
        self.linear: Floats = np.zeros((len(self.parts), terms.width))
        self.products: dict[int, Floats] = {}
        self.whole: dict[object, Floats] = {}
        for cap, places in self.places.items():
            self.whole[cap] = np.zeros((len(places), len(places)))
        for cap, rows in zip(self.caps, self.rows, strict=True):
            self.products |= {row: np.zeros_like(self.whole[cap]) for row in rows}

    def add(self, block: Block) -> None:
        """Add a block."""
        number = block.number
        first, last = number[0] // 8, number[-1] // 8 + 1
        member = np.unpackbits(self.parts[:, first:last], axis=1)[:, number - 8 * first]
        inside = member[-1] == 1
        rows = self.terms.variables(block)
        if not inside.all():
            member, rows = member[:, inside], rows[:, inside]
        if not rows.size:
            return
        mine = member.astype(bool)
        self._rank(rows, mine)
        v = self.terms.centred(rows)
        self.seen += member.sum(axis=1, dtype=np.int64)
        self.linear += self.terms.sums(v, member.astype(np.float64))
        for cap, places in self.places.items():
            chosen = v[places]
            self.whole[cap] += chosen @ chosen.T
            for wave in (wave for wave, own in enumerate(self.caps) if own == cap):
                for row in self.rows[wave]:
                    some = chosen.compress(mine[row], axis=1)
                    self.products[row] += some @ some.T

    def _rank(self, rows: Floats, mine: NDArray[np.bool_]) -> None:
        """Keep the units of most margin among those of a block."""
        if not (months := self.terms.window.ranked):
            return
        figure = self.terms.ranking
        total = rows[figure : figure + months].sum(axis=0)
        for ranked, groups, largest in zip(self.ranked, self.rows, self.largest, strict=True):
            members = [mine[row] for row in groups]
            members.insert(largest, ~np.logical_or.reduce([np.zeros_like(mine[0]), *members]))
            ranked.add(rows, total, members)

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
        idle = self.terms.sums(self.terms.idle, np.ones((1, 1)))[0]
        places = self.places[cap]
        v = idle[places]
        found = []
        for number, group in enumerate(self.waves[wave]):
            seen, linear, products = sums_of[number]
            more = group.n - seen
            sums = linear + more * idle
            squares = products + more * np.outer(v, v)
            third = self.terms.third(sums)
            named, most = (group.arm, group.segment, group.n), None
            if self.terms.window.ranked:
                most = self.ranked[wave].rows[number][:, places]
            found.append(GroupSums(*named, -v, sums[places], squares, third, most))
        return found


class _Ranked:
    """Of each group of a wave the units of most margin, the first of them first.

    Of two alike the one of the smaller number comes first.
    """

    def __init__(self, groups: int, variables: int) -> None:
        self.totals = [np.zeros(0)] * groups
        self.rows = [np.zeros((0, variables))] * groups

    def add(self, rows: Floats, total: Floats, members: Sequence[NDArray[np.bool_]]) -> None:
        """Add the units of a block.

        Args:
            rows: their variables, (p, units).
            total: their margin, (units,).
            members: who is in each group, perhaps in others after them; (units,) each.
        """
        for group, (kept, mine) in enumerate(zip(self.totals, members, strict=False)):
            least = kept[-1] if len(kept) == RANKED else -np.inf
            new = np.flatnonzero(mine & (total > least))
            if len(new):
                both = np.concatenate([kept, total[new]])
                first = np.argsort(-both, kind="stable")[:RANKED]
                self.totals[group] = both[first]
                self.rows[group] = np.concatenate([self.rows[group], rows[:, new].T])[first]


def _union(parts: Sequence[Bits], bits: int) -> Bits:
    found: Bits = np.bitwise_or.reduce([np.zeros(bits // 8, dtype=np.uint8), *parts])
    return found
