"""The draw against a re-implementation of the printed recipe, and what verification finds."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from support import fill_store, keep_members, new_store

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import Campaign, Project, Segments
from loyalty_exp.design.draw import (
    draw_wave,
    launched_plans,
    planned_looks,
    salt_of,
    verify_wave,
)
from loyalty_exp.design.edits import changes
from loyalty_exp.errors import LaunchError
from loyalty_exp.segment.features import customer_features
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store
from loyalty_exp.store.engines import joined_as_written

START = dt.date(2026, 3, 1)
AS_OF = dt.date(2026, 2, 28)
PROJECT = Project(name="Test", currency="EUR", timezone="Europe/Paris", margin_rate=0.4)


HALVES = {"holdout": 50.0, "call": 50.0}


def campaign(**changed: Any) -> Campaign:
    declared = {
        "name": "Win-back",
        "segments": ["gold"],
        "lever": "relational",
        "objective": "revenue",
        "start": START,
        "end": dt.date(2026, 4, 30),
        "measure_until": dt.date(2026, 6, 30),
        "arms": {"holdout": 20.0, "call": 40.0, "voucher": 40.0},
    }
    return Campaign.model_validate(declared | changed)


def orders_of(customers: int, seed: int = 1) -> list[tuple[str, str, dt.datetime, float]]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        for month in range(1, 13):
            if rng.random() < 0.4:
                when = dt.datetime(2025, month, int(rng.integers(1, 28)), 12)
                rows.append((f"o{len(rows)}", f"c{number:04d}", when, float(rng.lognormal(4, 1))))
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = new_store(tmp_path)
    orders = orders_of(500)
    kinds = [("company", "text"), ("optin", "boolean"), ("region", "text")]
    customers = {
        f"c{number:04d}": {
            "company": f"k{number // 3:03d}",
            "optin": number % 5 != 0,
            "region": "north" if number % 2 else "south",
        }
        for number in range(500)
    }
    fill_store(store, orders, customers, kinds)
    with store.write() as connection:
        keep_members(connection, "gold", AS_OF, sorted({row[1] for row in orders}))
        keep_members(connection, "disputes", AS_OF, ["c0001", "c0002"])
    return store


def launch(store: Store, declared: Campaign, wave: int = 0, **named: Any) -> FrozenPlan:
    given = {
        "project": PROJECT,
        "wave": wave,
        "start": START,
        "as_of": AS_OF,
        "rules": {"gold": "by hand"},
        "tiers": {},
        "known_through": AS_OF,
        "features": customer_features,
        "now": dt.datetime(2026, 2, 28, 9, 0),
        "version": "test",
    }
    with store.write() as connection:
        return draw_wave(connection, "winback", declared, **(given | named))


def roster(store: Store) -> list[sa.Row[Any]]:
    with store.read() as connection:
        return list(connection.execute(sa.select(tables.assignments)))


def test_anyone_can_draw_it_again_from_the_printed_recipe(store: Store) -> None:
    plan = launch(store, campaign())
    strata = defaultdict(set)
    for row in roster(store):
        strata[row.stratum].add(row.unit)
    again = {}
    for stratum in plan.strata:
        ordered = sorted(
            strata[stratum.stratum],
            key=lambda u: hashlib.md5(f"{plan.salt}:{u}".encode()).hexdigest(),
        )
        arms = [arm for arm, k in zip(plan.arms, stratum.counts, strict=True) for _ in range(k)]
        again |= dict(zip(ordered, arms, strict=True))
    assert again == {row.unit: row.arm for row in roster(store)}


def test_shares_are_exact_over_all_and_near_in_every_stratum(store: Store) -> None:
    plan = launch(store, campaign())
    units = sum(row.units for row in plan.strata)
    counted = Counter(row.arm for row in roster(store))
    for arm, percent in zip(plan.arms, plan.percents, strict=True):
        assert abs(counted[arm] - units * percent / 100) <= 2
    for row in plan.strata:
        assert abs(row.counts[0] - row.units * 0.2) < 1


def test_strata_are_bands_of_the_revenue_before(store: Store) -> None:
    plan = launch(store, campaign())
    with store.read() as connection:
        spent: dict[str, float] = {}
        for customer, revenue in connection.execute(
            sa.select(tables.customer_month.c.customer, tables.customer_month.c.revenue).where(
                tables.customer_month.c.month >= 2025 * 12 + 3
            )
        ):
            spent[customer] = spent.get(customer, 0.0) + revenue
    cuts = np.quantile([x for x in spent.values() if x > 0], [0.5, 0.8, 0.95])
    assert plan.band_cuts == pytest.approx(cuts, rel=1e-12)
    for row in roster(store):
        x = spent.get(row.customer, 0.0)
        assert row.stratum == f"band={int(x > 0) + int((x > cuts).sum())}"


def test_consent_exclusion_and_flow_are_counted(store: Store) -> None:
    plan = launch(store, campaign(exclude=["disputes"], consent="optin"))
    drawn = {row.customer for row in roster(store)}
    assert drawn.isdisjoint({"c0001", "c0002"})
    assert all(int(name[1:]) % 5 for name in drawn)
    steps = dict(plan.flow)
    assert steps["eligible"] == len(drawn)
    out = sum(n for step, n in plan.flow if step.startswith("excluded"))
    assert steps["segment"] == out + steps["eligible"]


def test_the_flow_of_units_counts_each_once(store: Store) -> None:
    """Companies of three: k000 holds the two with a dispute; one customer in five has no consent,
    which keeps a company out only when all of its buyers have none."""
    with store.write() as connection:
        keep_members(
            connection, "few", AS_OF, ["c0001", "c0003", "c0005", "c0010", "c0011", "c0015"]
        )
    chosen = campaign(
        segments=["few"], exclude=["disputes"], consent="optin", unit="company", arms=HALVES
    )
    plan = launch(store, chosen, rules={"few": "by hand"})
    assert plan.flow == (
        ("segment", 4),
        ("excluded: in disputes", 1),
        ("excluded: no consent", 1),
        ("eligible", 2),
        *((f"arm: {arm}", plan.units_of(arm)) for arm in plan.arms),
    )


def test_all_customers_of_a_unit_share_its_arm(store: Store) -> None:
    launch(store, campaign(unit="company"))
    arms = defaultdict(set)
    members = defaultdict(set)
    for row in roster(store):
        arms[row.unit].add(row.arm)
        members[row.unit].add(row.customer)
    assert all(len(found) == 1 for found in arms.values())
    assert members["k010"] == {"c0030", "c0031", "c0032"}


def test_declared_strata_join_the_bands(store: Store) -> None:
    plan = launch(store, campaign(stratify_by=["region", "revenue_band"]))
    assert {row.stratum.split("|")[1] for row in plan.strata} == {"region=north", "region=south"}


def test_strata_may_be_features(store: Store) -> None:
    plan = launch(store, campaign(stratify_by=["tier"]))
    assert {row.stratum.split("|")[1] for row in plan.strata} == {
        "tier=gold", "tier=silver", "tier=bronze",
    }  # fmt: skip


@pytest.mark.parametrize(
    "field", [{"consent": "nothing"}, {"unit": "nothing"}, {"stratify_by": ["nothing"]}]
)
def test_an_unknown_attribute_is_named_with_those_at_hand(store: Store, field: Any) -> None:
    with pytest.raises(LaunchError, match="no such attribute was loaded; attributes at hand"):
        launch(store, campaign(**field))


def test_nothing_is_kept_of_a_launch_that_fails(store: Store) -> None:
    with pytest.raises(LaunchError, match="nobody is eligible"):
        launch(store, campaign(segments=["empty"]))
    with store.read() as connection:
        assert launched_plans(connection) == []
        assert not connection.execute(sa.select(tables.assignments)).all()


def test_a_second_wave_takes_the_newly_eligible_only(store: Store) -> None:
    with store.write() as connection:
        connection.execute(
            sa.delete(tables.memberships).where(tables.memberships.c.customer > "c0250")
        )
    rolling = campaign(enrolment="rolling")
    launch(store, rolling)
    first = {row.customer for row in roster(store)}
    later = dt.date(2026, 3, 31)
    with store.write() as connection:
        keep_members(connection, "gold", later, [f"c{n:04d}" for n in range(200, 400)])
    plan = launch(store, rolling, wave=1, start=dt.date(2026, 4, 1), as_of=later)
    second = {row.customer for row in roster(store) if row.wave == 1}
    assert second.isdisjoint(first)
    assert dict(plan.flow)["excluded: drawn already"] > 0
    with store.read() as connection:
        assert [p.wave for p in launched_plans(connection)] == [0, 1]
        assert plan.salt != launched_plans(connection)[0].salt


def test_verification_agrees_with_an_honest_roster(store: Store) -> None:
    launch(store, campaign(unit="company"))
    with store.read() as connection:
        assert verify_wave(connection, "winback", 0).problems == ()


FORGERIES = {
    "an arm changed": "UPDATE assignments SET arm = 'call' WHERE unit = "
    "(SELECT min(unit) FROM assignments WHERE arm = 'holdout')",
    "a unit taken out": "DELETE FROM assignments WHERE unit = (SELECT min(unit) FROM assignments)",
    "a unit put in": "INSERT INTO assignments SELECT campaign, wave, 'new', 'new', segment, "
    "stratum, arm FROM assignments LIMIT 1",
    "two units swapped": "UPDATE assignments SET arm = CASE arm WHEN 'call' THEN 'voucher' ELSE "
    "'call' END WHERE unit IN ((SELECT min(unit) FROM assignments WHERE arm = 'call'), "
    "(SELECT min(unit) FROM assignments WHERE arm = 'voucher'))",
    "the plan edited": "UPDATE launches SET plan = replace(plan, '0.05', '0.10')",
    "a customer renamed": "UPDATE assignments SET customer = 'someone' WHERE unit = "
    "(SELECT min(unit) FROM assignments)",
}


@pytest.mark.parametrize("statement", FORGERIES.values(), ids=FORGERIES)
def test_verification_finds_a_forgery(store: Store, statement: str) -> None:
    launch(store, campaign())
    with store.write() as connection:
        connection.exec_driver_sql(statement)
    with store.read() as connection:
        assert verify_wave(connection, "winback", 0).problems


def test_the_plan_survives_its_json_and_its_digest_is_stable(store: Store) -> None:
    plan = launch(store, campaign())
    again = FrozenPlan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert hashlib.sha256(plan.to_json().encode()).hexdigest() == plan.digest


def test_changes_name_the_fields_edited_after_the_launch(store: Store) -> None:
    plan = launch(store, campaign(), rules={"gold": "orders_12m > 2", "all": "rfm: all"})

    def since(rule: str = "orders_12m > 2", **edited: Any) -> tuple[str, ...]:
        segments = Segments.model_validate({"scheme": "tiers", "gold": {"where": rule}})
        return changes(plan, campaign(**edited), segments)

    assert since() == ()
    assert since(alpha=0.1) == ("alpha: frozen 0.05, now 0.1",)
    assert since(arms={"holdout": 20.0, "call": 80.0}) == (
        "arms.call: frozen 40, now 80",
        "arms.voucher: frozen 40, now nothing",
    )
    assert since(costs={"per_contact": {"call": 1.5}}, name="Réveil") == (
        "costs.per_contact.call: frozen nothing, now 1.5",
        'name: frozen "Win-back", now "Réveil"',
    )
    assert since("orders_12m > 3") == (
        'segments.gold: frozen "orders_12m > 2", now "orders_12m > 3"',
    )


def test_the_interval_is_chosen_from_the_past_and_frozen(store: Store) -> None:
    plan = launch(store, campaign())
    metrics = ("revenue", "margin", "orders", "active", "net")
    pairs = ("call", "voucher", "call:voucher")
    assert set(plan.methods) == {f"{pair}:{m}" for pair in pairs for m in metrics}
    assert plan.skewness.keys() == plan.methods.keys()
    for key, gammas in plan.skewness.items():
        sizes = np.abs(np.array(gammas, dtype=float))
        assert len(sizes) > 1, "months, and all together"
        few, plain = sizes[-1] > 1.5, bool((sizes <= 0.2).all())
        assert plan.methods[key] == ("too few" if few else "w1" if plain else "w2")
    assert plan.caps["revenue"] is not None


def test_a_plan_from_before_the_skewness_was_kept_reads_and_digests_as_it_was(
    store: Store,
) -> None:
    plan = launch(store, campaign())
    old = json.loads(plan.to_json())
    del old["skewness"]
    text = json.dumps(old, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    again = FrozenPlan.from_json(text)
    assert again.skewness == {}
    assert again.to_json() == text
    assert again.digest == hashlib.sha256(text.encode()).hexdigest()


def test_another_seed_or_campaign_is_another_draw() -> None:
    salts = {
        salt_of(PROJECT, "a", 0),
        salt_of(PROJECT, "a", 1),
        salt_of(PROJECT, "b", 0),
        salt_of(PROJECT.model_copy(update={"seed": 2}), "a", 0),
    }
    assert len(salts) == 4


@pytest.mark.parametrize(
    ("start", "until", "looks"),
    [
        (dt.date(2026, 3, 1), dt.date(2026, 12, 31), 10),
        (dt.date(2026, 3, 15), dt.date(2026, 3, 31), 1),
        (dt.date(2026, 3, 15), dt.date(2026, 5, 30), 2),
        (dt.date(2026, 3, 15), dt.date(2026, 3, 20), 0),
        (dt.date(2025, 11, 1), dt.date(2026, 2, 28), 4),
    ],
)
def test_looks_are_the_whole_months(start: dt.date, until: dt.date, looks: int) -> None:
    assert planned_looks(start, until) == looks


def test_the_draw_looks_up_strata_for_units_and_not_units_for_strata(store: Store) -> None:
    """The engine takes both tables, filled a moment ago, for empty."""
    few = "(VALUES (1), (2), (3)) AS few (n)"
    with store.write() as connection:
        connection.exec_driver_sql(
            "CREATE TEMP TABLE many AS SELECT i % 3 AS n FROM range(9999) r(i)"
        )

        def probed() -> bool:
            statement = f"EXPLAIN (FORMAT json) SELECT * FROM many JOIN {few} USING (n)"
            plan = json.loads(connection.exec_driver_sql(statement).all()[0][1])
            joins = [plan[0]]
            while joins[-1]["name"].strip() != "HASH_JOIN":
                joins.append(joins[-1]["children"][0])
            return "many" in json.dumps(joins[-1]["children"][0])

        assert not probed()
        with joined_as_written(connection):
            assert probed()
        assert not probed()
