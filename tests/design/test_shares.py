"""Shares of the draw in SQL: exact for any strata, and the same as those counted in Python."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.pool import StaticPool

from loyalty_exp.declare.frozen import StratumCounts
from loyalty_exp.stats.allocation import allocate
from loyalty_exp.store import tables
from loyalty_exp.store.queries import audience as queries
from loyalty_exp.store.queries.audience import Population
from loyalty_exp.store.queries.draw import Draw, assign, redrawn_differences, roster_units

ENGINE = sa.create_engine("duckdb:///:memory:", poolclass=StaticPool)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=15),
    percents=st.lists(st.integers(1, 90), min_size=2, max_size=4),
    salt=st.text("0123456789abcdef", min_size=4, max_size=8),
)
def test_every_stratum_and_arm_gets_exactly_its_count(
    sizes: list[int], percents: list[int], salt: str
) -> None:
    shares = [Fraction(p, sum(percents)) for p in percents]
    counts = allocate(sizes, shares, salt)
    arms = tuple(f"arm{n}" if n else "holdout" for n in range(len(shares)))
    strata = tuple(
        StratumCounts(f"band=0|s={n:02d}", size, tuple(row))
        for n, (size, row) in enumerate(zip(sizes, counts, strict=True))
    )
    drawn = Draw("test", 0, salt, arms, strata)
    units = [
        {"unit": f"u{n}-{k}", "segment": "all", "declared": f"s={n:02d}", "history": 0.0}
        for n, size in enumerate(sizes)
        for k in range(size)
    ]
    with standing(units) as connection:
        connection.execute(queries.count_strata(()))
        found = connection.execute(queries.stratum_sizes()).all()
        assert [tuple(row) for row in found] == [(row.stratum, row.units) for row in strata]
        population = Population(tables.customers_table())
        connection.execute(assign(drawn, (), population))
        roster = {
            (stratum, arm): units
            for stratum, arm, units in connection.execute(roster_units("test", 0))
        }
        assert connection.scalar(redrawn_differences(drawn)) == 0
    expected = {
        (row.stratum, arm): count
        for row in strata
        for arm, count in zip(arms, row.counts, strict=True)
        if count
    }
    assert roster == expected
    total = sum(sizes)
    held = sum(row.counts[0] for row in strata)
    assert abs(held - shares[0] * total) < 1
    for row in strata:
        assert abs(row.counts[0] - shares[0] * row.units) < 1


def test_units_whose_digests_begin_alike_are_told_apart_by_the_rest() -> None:
    salt, by_start = "0123", defaultdict[str, list[str]](list)
    for n in range(30_000):
        by_start[digest_of(salt, f"u{n}")[:6]].append(f"u{n}")
    pairs = [pair for pair in by_start.values() if len(pair) > 1]
    assert len(pairs) > 10
    strata = tuple(
        StratumCounts(f"band=0|s={n:03d}", len(pair), (1, len(pair) - 1))
        for n, pair in enumerate(pairs)
    )
    drawn = Draw("test", 0, salt, ("holdout", "arm"), strata)
    units = [
        {"unit": unit, "segment": "all", "declared": f"s={n:03d}", "history": 0.0}
        for n, pair in enumerate(pairs)
        for unit in pair
    ]
    with standing(units) as connection:
        connection.execute(queries.count_strata(()))
        connection.execute(assign(drawn, (), Population(tables.customers_table())))
        assert connection.scalar(redrawn_differences(drawn)) == 0
        held = tables.assignments.c.arm == "holdout"
        found = connection.scalars(sa.select(tables.assignments.c.unit).where(held))
        assert sorted(found) == sorted(min(p, key=lambda u: digest_of(salt, u)) for p in pairs)


def digest_of(salt: str, unit: str) -> str:
    return hashlib.md5(f"{salt}:{unit}".encode(), usedforsecurity=False).hexdigest()


@contextmanager
def standing(units: list[dict[str, Any]]) -> Iterator[sa.Connection]:
    """A store where these units are the audience, and no other is assigned."""
    with ENGINE.connect() as connection, connection.begin():
        tables.metadata.create_all(connection)
        connection.execute(tables.assignments.delete())
        for table in (queries.audience, queries.strata):
            table.drop(connection, checkfirst=True)
            table.create(connection)
        connection.execute(queries.audience.insert(), units)
        yield connection
