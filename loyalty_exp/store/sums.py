"""Sums that give a wave's moments: added up by the engine, or in process from a stream of rows.

Both roads give the same sums about a constant near the mean. No row outlives its block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.store.blocks import GroupSums, Members, Totals, unit_blocks
from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.members import kept_members, read_members
from loyalty_exp.store.queries.moments import Window, group_moments, third_variables
from loyalty_exp.store.queries.streams import (
    Wave,
    number_buyers,
    number_roster,
    numbered_flows,
    numbers,
    outermost,
)
from loyalty_exp.store.tables import assignments, roster_numbers

__all__ = ["GroupSums", "batches", "read_sums"]

BLOCK_VECTORS = 32
"""Rows of a result held at a time, in vectors of 2,048."""

RANGE_UNITS = 250_000
"""Fewest units that one statement puts in order, where there are so many: those of one stretch of
numbers lie near each other in the roll-up, and few fit into the cache and into memory."""

MOST_RANGES = 16
"""Most statements: where numbers were given in another order, each reads all of the roll-up."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Windows whose customers are read together, and their places among those asked for."""

    windows: list[Window] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, window: Window, place: int) -> None:
        self.windows.append(window)
        self.places.append(place)

    def reads(self, window: Window) -> bool:
        """Whether what is read of a wave of this pass serves this window of the same wave too."""
        lead = self.windows[0]
        whole = lead.start.day == 1 or window.last_month < lead.start_month
        return whole and window.start.day == 1 and not window.with_exposures

    @property
    def waves(self) -> list[Wave]:
        """The waves, each once."""
        return list(dict.fromkeys((each.campaign, each.wave) for each in self.windows))

    @property
    def widest(self) -> Window:
        """A window over the months of all."""
        lead, last = self.windows[0], max(each.last_month for each in self.windows)
        oldest = min(each.start_month - each.covariate_months for each in self.windows)
        months = last - lead.first_month + 1
        before = lead.start_month - oldest
        return replace(lead, cap=None, months=months, covariate_months=before)


def read_sums(connection: sa.Connection, windows: Sequence[Window]) -> list[list[GroupSums]]:
    """Sums of every arm and segment, for each window, third sums of its pairs included.

    Waves of customers share one pass over what customers did, so that many campaigns, and several
    windows of one, cost little more than one.

    Args:
        connection: an open store.
        windows: one a wave, of any campaigns; perhaps several of a wave.
    """
    capabilities = capabilities_of(connection.dialect.name)
    if not capabilities.in_process:
        most = capabilities.most_columns
        return [_in_the_engine(connection, window, most) for window in windows]
    found: dict[int, list[GroupSums]] = {}
    for each in _passes(windows):
        found |= dict(zip(each.places, _streamed(connection, each), strict=True))
    return [found[place] for place in range(len(windows))]


def _passes(windows: Sequence[Window]) -> list[_Pass]:
    """The windows by what they can be read with.

    Customers share a pass whatever their months, unless the start lies within one: there a month
    of the pass is not the whole month. Units of other kinds, and logs of contacts, are read wave by
    wave. A further window of a wave joins the pass that its wave has, if that serves.
    """
    passes: dict[object, _Pass] = {}
    of_wave: dict[object, _Pass] = {}
    for place, window in enumerate(windows):
        wave = (window.roster, window.by_customer, window.campaign, window.wave)
        known = of_wave.get(wave)
        if known is None or not known.reads(window):
            owner: object = None if window.by_customer else wave
            if window.with_exposures:
                owner = replace(window, cap=None)
            within = window.start if window.start.day > 1 else None
            known = passes.setdefault((window.roster, owner, within), _Pass())
            of_wave.setdefault(wave, known)
        known.add(window, place)
    return list(passes.values())


def _in_the_engine(
    connection: sa.Connection, window: Window, most_columns: int | None
) -> list[GroupSums]:
    """Sums of every group, as the engine adds them up."""
    statements = group_moments(window, window.pairs, most_columns)
    parts = [connection.execute(statement).mappings().all() for statement in statements]
    rows = [{k: v for part in row for k, v in part.items()} for row in zip(*parts, strict=True)]
    p, q = len(window.variables), len(third_variables(window, window.pairs))
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


def _streamed(connection: sa.Connection, asked: _Pass) -> list[list[GroupSums]]:
    """Sums of every group of the windows of a pass, always added up in the same order."""
    widest = asked.widest
    bits, members, numbered = _numbered(connection, asked)
    alike: dict[object, list[int]] = {}
    for place, window in enumerate(asked.windows):
        alike.setdefault(replace(window, campaign="", wave=0, cap=None), []).append(place)
    totals = []
    for places in alike.values():
        windows = [asked.windows[place] for place in places]
        groups = [members.get((each.campaign, each.wave), []) for each in windows]
        totals.append(Totals(windows, groups, bits))
    oldest = widest.start_month - widest.covariate_months
    months = widest.last_month - oldest + 1
    rows = _whole_units(_flows(connection, widest, numbered, bits))
    for block in unit_blocks(oldest, months, rows):
        for total in totals:
            total.add(block)
    if numbered is numbers:
        numbers.drop(connection)
    found: dict[int, list[GroupSums]] = {}
    for places, total in zip(alike.values(), totals, strict=True):
        found |= {place: total.finish(index) for index, place in enumerate(places)}
    return [found[place] for place in range(len(asked.windows))]


def _numbered(
    connection: sa.Connection, asked: _Pass
) -> tuple[int, dict[Wave, list[Members]], sa.Table]:
    """Bits of a group, the groups of each wave, and the table that numbers their units."""
    lead, widest, waves = asked.windows[0], asked.widest, asked.waves
    if lead.roster is assignments and lead.by_customer and not lead.with_exposures:
        kept = kept_members(connection, waves)
        if kept is not None:
            return *kept, roster_numbers
    numbers.create(connection)
    connection.execute(number_roster(widest) if len(waves) == 1 else number_buyers(widest))
    count = connection.scalar(sa.select(sa.func.max(numbers.c.number))) or 0
    bits = 8 * (count // 8 + 1)
    by_customer = lead.by_customer
    members = read_members(connection, lead.roster, waves, bits, numbers, by_customer=by_customer)
    return bits, members, numbers


def _flows(
    connection: sa.Connection, widest: Window, numbered: sa.Table, bits: int
) -> Iterator[list[NDArray[Any]]]:
    """Columns of what all units did, in the order of their numbers, some rows at a time."""
    units = max(RANGE_UNITS, -(-bits // MOST_RANGES))
    for first in range(0, bits, units):
        stretch = numbered, first, first + units - 1
        lowest, highest = connection.execute(outermost(*stretch)).one()
        if lowest is not None:
            yield from batches(connection, numbered_flows(widest, *stretch, (lowest, highest)))


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
