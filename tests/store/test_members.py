"""What is kept of rosters for measuring: their groups, whatever was launched or forgotten since."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from shops import DECLARATION, done, open_shop, run
from support import fill_store, new_store

import loyalty_exp as lx
from loyalty_exp.declare.frozen import month_of
from loyalty_exp.errors import StoreError
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store
from loyalty_exp.store.members import keep_members, kept_members, members_differ
from loyalty_exp.store.outcomes import read_many
from loyalty_exp.store.queries.moments import Window

ARMS = ("holdout", "a", "b")
WAVES = (("x", 0), ("x", 1), ("y", 0))
CAMPAIGNS = """
[campaign.summer]
name = "Summer"
segments = ["all"]
lever = "relational"
objective = "revenue"
start = 2026-04-01
end = 2026-05-31
measure_until = 2026-06-30
arms = { holdout = 40, call = 60 }
"""


def drawn(wave: tuple[str, int], customers: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "campaign": wave[0],
            "wave": wave[1],
            "unit": name,
            "customer": name,
            "segment": ("s1", "s2")[place % 2],
            "stratum": "z",
            "arm": ARMS[(place + len(wave[0]) + wave[1]) % 3],
        }
        for place, name in enumerate(customers)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three waves: the second of others and a few of the first, the third of many."""
    random = np.random.default_rng(3)
    names = [f"c{number:03d}" for number in random.permutation(200)]
    orders = [
        (f"o{k}", names[random.integers(180)], dt.datetime(2026, 1 + k % 5, 9), 10.0 + k % 7)
        for k in range(2_000)
    ]
    store = new_store(tmp_path)
    fill_store(store, orders)
    rosters = (names[:90], [*names[150:], *names[:5]], names[40:180])
    for wave, customers in zip(WAVES, rosters, strict=True):
        with store.write() as connection:
            connection.execute(tables.assignments.insert(), drawn(wave, customers))
            keep_members(connection, wave)
    return store


def windows(waves: tuple[tuple[str, int], ...]) -> list[Window]:
    first = month_of(2026, 3)
    return [
        Window(campaign, wave, dt.date(2026, 3, 1), first, 3, 2, by_customer=True)
        for campaign, wave in waves
    ]


def kept_rows(connection: sa.Connection) -> dict[tuple[str, int, str, str], set[str]]:
    """Customers of every kept group, their numbers looked up one by one."""
    found = kept_members(connection, WAVES)
    assert found is not None
    _, groups = found
    of_number = {
        number: customer
        for customer, number in connection.execute(sa.select(tables.roster_numbers))
    }
    return {
        (*wave, group.arm, group.segment): {
            of_number[int(place)] for place in np.flatnonzero(np.unpackbits(group.packed))
        }
        for wave, listed in groups.items()
        for group in listed
    }


def by_roster(connection: sa.Connection) -> dict[tuple[str, int, str, str], set[str]]:
    found: dict[tuple[str, int, str, str], set[str]] = {}
    for row in connection.execute(sa.select(tables.assignments)):
        group = (row.campaign, row.wave, row.arm, row.segment)
        found.setdefault(group, set()).add(row.customer)
    return found


def test_kept_groups_are_those_of_the_rosters(store: Store) -> None:
    with store.read() as connection:
        assert kept_rows(connection) == by_roster(connection)
        numbers = connection.scalars(sa.select(tables.roster_numbers.c.number)).all()
        assert sorted(numbers) == list(range(200))
        assert not any(members_differ(connection, wave) for wave in WAVES)


def test_a_wave_of_no_newcomers_costs_later_ones_no_number(store: Store) -> None:
    """All in one transaction, in which DuckDB 1.5.6 may lose all rows after an INSERT of none."""
    many = (
        "INSERT INTO assignments SELECT 'z', 0, 'n' || i, 'n' || i, 's1', 'z', 'a' "
        "FROM range(300000) AS t(i)"
    )
    with store.write() as connection:
        connection.execute(tables.assignments.insert(), drawn(("w", 0), ["c001", "c002"]))
        keep_members(connection, ("w", 0))
        connection.exec_driver_sql(many)
        keep_members(connection, ("z", 0))
        numbers = connection.scalars(sa.select(tables.roster_numbers.c.number)).all()
    assert sorted(numbers) == list(range(300_200))


def test_sums_are_those_that_the_rosters_give_and_join_none(store: Store) -> None:
    asked = [([window], {}) for window in windows(WAVES)]
    texts: list[str] = []

    def noted(*event: Any) -> None:
        texts.append(event[2])

    with store.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", noted)
        kept = read_many(connection, asked)
    assert texts
    assert not any("assignments" in text for text in texts)
    with store.write() as connection:
        connection.execute(tables.roster_members.delete())
    with store.read() as connection:
        joined = read_many(connection, asked)
    for one, other in zip(kept, joined, strict=True):
        assert one.groups.keys() == other.groups.keys()
        for key, moments in one.groups.items():
            again = other.groups[key]
            assert moments.n == again.n
            np.testing.assert_allclose(moments.mean, again.mean, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(moments.scatter, again.scatter, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("waves", "kept"), [((WAVES[0],), False), ((WAVES[2],), True), (WAVES[:2], True)]
)
def test_a_wave_of_few_reads_its_own_customers_only(
    store: Store, waves: tuple[tuple[str, int], ...], kept: bool
) -> None:
    with store.read() as connection:
        assert (kept_members(connection, waves) is not None) is kept


def test_a_wave_that_is_not_kept_is_read_from_its_roster(store: Store) -> None:
    with store.write() as connection:
        connection.execute(tables.assignments.insert(), drawn(("z", 0), ["c001", "c002", "c003"]))
        assert kept_members(connection, [*WAVES, ("z", 0)]) is None
        found = read_many(connection, [([window], {}) for window in windows((*WAVES, ("z", 0)))])
    assert sum(moments.n for moments in found[-1].groups.values()) == 3


def test_an_edit_of_the_copy_or_of_the_roster_is_found(store: Store) -> None:
    kept = tables.roster_members
    with store.write() as connection:
        swapped = sa.case((kept.c.arm == "a", "b"), (kept.c.arm == "b", "a"), else_=kept.c.arm)
        connection.execute(kept.update().where(kept.c.campaign == "y").values(arm=swapped))
    with store.write() as connection:
        edited = tables.assignments.c
        first = sa.and_(edited.campaign == "x", edited.wave == 0, edited.customer == "c001")
        connection.execute(tables.assignments.update().where(first).values(segment="s3"))
        inside = connection.scalar(sa.select(sa.func.count()).where(first))
        differ = [members_differ(connection, wave) for wave in WAVES]
    assert differ == [bool(inside), False, True]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    shop = open_shop(tmp_path, DECLARATION + CAMPAIGNS)
    done(shop, "load")
    done(shop, "launch", "spring")
    done(shop, "launch", "summer")
    return shop


def frames(shop: Path) -> list[Any]:
    return [result.to_frame() for result in lx.open(shop).measure_all()]


def test_a_forgotten_person_keeps_a_number_and_no_id(shop: Path) -> None:
    before = frames(shop)
    done(shop, "forget", "00007")
    assert "agrees" in done(shop, "verify")
    with lx.open(shop).store.read() as connection:
        numbered = connection.scalars(sa.select(tables.roster_numbers.c.customer)).all()
        assert "00007" not in numbered
        assert len([name for name in numbered if name.startswith("forgotten-")]) == 1
    for now, then in zip(frames(shop), before, strict=True):
        names = ["n_treated", "n_holdout", "mean_treated", "mean_holdout", "effect_per_customer"]
        np.testing.assert_allclose(now[names], then[names], rtol=1e-9, atol=1e-12)


def test_an_edited_copy_fails_the_verification(shop: Path) -> None:
    assert "agrees" in done(shop, "verify")
    with lx.open(shop).store.write() as connection:
        connection.execute(
            tables.roster_members.update().values(units=tables.roster_members.c.units + 1)
        )
    result = run(shop, "verify")
    assert result.exit_code == 1
    assert "the copy of the roster that measuring reads is not the roster" in result.output


def test_a_store_of_an_earlier_version_gets_its_copy_by_the_next_load(shop: Path) -> None:
    before, store = frames(shop), lx.open(shop).store
    with store.read() as connection:
        kept = sorted(connection.execute(sa.select(tables.roster_members)).all())
    with store.write() as connection:
        tables.roster_members.drop(connection)
        tables.roster_numbers.drop(connection)
    with (
        pytest.raises(StoreError, match="an earlier version; run `loyalty-exp load`"),
        store.read(),
    ):
        pass
    done(shop, "load")
    with store.read() as connection:
        assert sorted(connection.execute(sa.select(tables.roster_members)).all()) == kept
    for now, then in zip(frames(shop), before, strict=True):
        assert now.equals(then)
