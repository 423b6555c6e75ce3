"""Who is in each group of a wave, one bit a customer.

Kept at launch where sums are made in process, so that measuring many campaigns joins no roster.
The numbers of customers are never given again, and say nothing of a person.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from loyalty_exp.store.blocks import Members
from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.queries import streams as queries
from loyalty_exp.store.queries.streams import Wave
from loyalty_exp.store.tables import assignments, roster_members, roster_numbers

__all__ = ["keep_members", "kept_members", "members_differ", "read_members"]

_FASTEST = 1
"""Level of compression: bits of a draw hardly shrink, empty stretches do at any level."""


def keep_members(connection: sa.Connection, wave: Wave) -> None:
    """Keep the groups of a wave whose roster stands and whose units are customers.

    Args:
        connection: a writing transaction.
        wave: campaign and number of the wave.
    """
    if not capabilities_of(connection.dialect.name).in_process:
        return
    groups = _by_roster(connection, wave)
    if any(np.bitwise_count(group.packed).sum() < group.n for group in groups):
        # Only where there are newcomers: DuckDB 1.5.6 may lose all rows of a large INSERT that
        # follows, in the same transaction and table, one of no row.
        connection.execute(queries.number_newcomers(wave))
        groups = _by_roster(connection, wave)
    rows = [
        {
            "campaign": wave[0],
            "wave": wave[1],
            "arm": group.arm,
            "segment": group.segment,
            "units": group.n,
            "members": zlib.compress(group.packed.tobytes(), _FASTEST),
        }
        for group in groups
    ]
    if rows:
        connection.execute(roster_members.insert(), rows)


def members_differ(connection: sa.Connection, wave: Wave) -> bool:
    """Whether what is kept of a wave is not what its roster says; nothing kept never differs.

    Args:
        connection: an open store.
        wave: campaign and number of the wave.
    """
    if not capabilities_of(connection.dialect.name).in_process:
        return False
    bits = _bits(connection)
    kept = _kept(connection, [wave], bits)
    if not kept:
        return False
    return _as_set(kept[wave]) != _as_set(_by_roster(connection, wave))


def _by_roster(connection: sa.Connection, wave: Wave) -> list[Members]:
    """The groups of a wave, by its roster and the kept numbers."""
    bits = _bits(connection)
    found = read_members(connection, assignments, [wave], bits, roster_numbers, by_customer=True)
    return found.get(wave, [])


def _as_set(groups: Sequence[Members]) -> set[tuple[str, str, int, bytes]]:
    return {(group.arm, group.segment, group.n, group.packed.tobytes()) for group in groups}


def kept_members(
    connection: sa.Connection, waves: Sequence[Wave]
) -> tuple[int, dict[Wave, list[Members]]] | None:
    """The kept groups of some waves.

    Args:
        connection: an open store.
        waves: campaigns and numbers of the waves.

    Returns:
        Bits of a group and the groups of each wave, numbers those of `roster_numbers`; None where
        they are not kept of all, and for a single wave of few of those who have a number.
    """
    bits = _bits(connection)
    found = _kept(connection, waves, bits)
    if found.keys() != set(waves):
        return None
    few = sum(group.n for group in found[waves[0]]) < bits // 2
    return None if len(found) == 1 and few else (bits, found)


def _kept(connection: sa.Connection, waves: Sequence[Wave], bits: int) -> dict[Wave, list[Members]]:
    """What is kept of the groups of some waves, in the order of arm and segment."""
    found: dict[Wave, list[Members]] = {}
    for row in connection.execute(queries.kept_groups(waves)):
        known = np.frombuffer(zlib.decompress(row.members), dtype=np.uint8)
        packed = np.zeros(bits // 8, dtype=np.uint8)
        packed[: len(known)] = known
        group = Members(row.arm, row.segment, row.units, packed)
        found.setdefault((row.campaign, row.wave), []).append(group)
    return found


def read_members(
    connection: sa.Connection,
    roster: sa.FromClause,
    waves: Sequence[Wave],
    bits: int,
    numbered: sa.Table,
    *,
    by_customer: bool,
) -> dict[Wave, list[Members]]:
    """The groups of each wave, from its roster; arguments as for `group_members`."""
    found: dict[Wave, list[Members]] = {}
    statement = queries.group_members(
        roster, waves, bits, by_customer=by_customer, numbered=numbered
    )
    rows = connection.execute(statement).all()
    for campaign, wave, arm, segment, n, members in sorted(rows, key=lambda row: row[:4]):
        packed = np.frombuffer(members or bytes(bits // 8), dtype=np.uint8)
        found.setdefault((campaign, wave), []).append(Members(arm, segment, n, packed))
    return found


def _bits(connection: sa.Connection) -> int:
    """Bits of a group: a multiple of 8 above every kept number."""
    count = connection.scalar(queries.kept_numbers()) or 0
    return int(8 * (count // 8 + 1))
