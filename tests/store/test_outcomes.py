"""Moments from the engine against numpy on rows built by pandas from the orders."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from support import MARGIN, Order, fill_store, new_store

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store import sums, tables
from loyalty_exp.store.database import Store
from loyalty_exp.store.outcomes import covariate_of, read_many, read_outcomes
from loyalty_exp.store.queries.moments import METRICS, Window, cap, largest_units, unit_rows

FIRST = month_of(2026, 3)
MONTHS = 3


def orders_of(customers: int) -> list[Order]:
    rng = np.random.default_rng(5)
    rows: list[Order] = []
    for number in range(customers):
        for k in rng.choice(450, size=rng.poisson(6), replace=True):
            when = dt.datetime(2025, 3, 1) + dt.timedelta(days=int(k), hours=int(rng.integers(24)))
            revenue = float(rng.lognormal(4, 1))
            rows.append((f"o{len(rows)}", f"c{number:03d}", when, revenue))
            if rng.random() < 0.1:
                back = when + dt.timedelta(days=3)
                rows.append((f"o{len(rows)}", f"c{number:03d}", back, -revenue / 2))
    return rows


ORDERS = orders_of(120)
ARMS = {f"c{n:03d}": ("holdout", "a", "b", "b")[n % 4] for n in range(130)}  # ten never bought
UNITS = {name: f"k{n // 8}{ARMS[name]}" for n, name in enumerate(ARMS)}


@pytest.fixture(scope="module", params=["customer", "unit"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = new_store(tmp_path_factory.mktemp(request.param))
    fill_store(store, ORDERS)
    by_customer = request.param == "customer"
    with store.write() as connection:
        connection.execute(
            tables.assignments.insert(),
            [
                {
                    "campaign": "x",
                    "wave": 0,
                    "unit": name if by_customer else UNITS[name],
                    "customer": name,
                    "segment": "s1" if ord(ARMS[name][0]) % 2 or n % 3 else "s2",
                    "stratum": "z",
                    "arm": ARMS[name],
                }
                for n, name in enumerate(ARMS)
            ]
            if by_customer
            else [
                {
                    "campaign": "x",
                    "wave": 0,
                    "unit": UNITS[name],
                    "customer": name,
                    "segment": "s1",
                    "stratum": "z",
                    "arm": ARMS[name],
                }
                for name in ARMS
            ],
        )
        exposed = [name for name, arm in ARMS.items() if arm == "a"][:20]
        connection.execute(
            tables.exposures.insert(),
            [
                {
                    "campaign": "x",
                    "customer": name,
                    "at": dt.datetime(2026, 3, 20 + n % 5, 9),
                    "kind": "redeemed" if n % 2 else "sent",
                    "cost": None if n % 3 else 0.5,
                    "load_id": "t",
                }
                for n, name in enumerate(exposed)
            ],
        )
    return store, by_customer


def window(by_customer: bool, start: dt.date, **changed: Any) -> Window:
    return Window(
        campaign="x",
        wave=0,
        start=start,
        first_month=FIRST,
        months=MONTHS,
        covariate_months=12,
        by_customer=by_customer,
        **changed,
    )


def frame_of(store: Store) -> pd.DataFrame:
    """One row an assigned customer and order."""
    with store.read() as connection:
        roster = pd.DataFrame(connection.execute(sa.select(tables.assignments)).mappings().all())
    orders = pd.DataFrame(ORDERS, columns=["order_id", "customer", "at", "revenue"])
    orders["margin"] = MARGIN * orders["revenue"]
    orders["orders"] = (orders["revenue"] >= 0).astype(float)
    orders["month"] = orders["at"].dt.year * 12 + orders["at"].dt.month
    return roster.merge(orders, on="customer", how="left")


def brute_force(store: Store, start: dt.date) -> pd.DataFrame:
    """One row a unit with the variables of the window, by pandas."""
    frame = frame_of(store)
    begin = month_of(start.year, start.month)
    units = frame[["unit", "arm", "segment"]].drop_duplicates().set_index("unit")
    for metric in METRICS:
        for k in range(MONTHS):
            inside = frame[(frame["month"] == FIRST + k) & (frame["at"] >= pd.Timestamp(start))]
            units[f"{metric}_{k}"] = sum_of(inside, metric)
        before = frame[(frame["month"] < begin) & (frame["month"] >= begin - 12)]
        units[f"{metric}_x"] = sum_of(before, metric)
    return units.fillna(0.0)


def sum_of(rows: pd.DataFrame, metric: str) -> pd.Series:
    if metric != "active":
        return rows.groupby("unit")[metric].sum()
    months = rows.groupby(["unit", "month"])["orders"].sum()
    return (months > 0).astype(float).groupby("unit").sum()


@pytest.mark.parametrize("start", [dt.date(2026, 3, 1), dt.date(2026, 3, 17)])
def test_moments_equal_numpy_on_the_units_rows(filled: Any, start: dt.date) -> None:
    store, by_customer = filled
    units = brute_force(store, start)
    with store.read() as connection:
        outcomes = read_outcomes(connection, [window(by_customer, start)], {})
    assert sum(m.n for m in outcomes.groups.values()) == len(units)
    for arm in ("holdout", "a", "b"):
        rows = units[units["arm"] == arm]
        names = [column for column in units.columns if column not in {"arm", "segment"}]
        values = rows[names].to_numpy()
        for metric in METRICS:
            sums = rows[[f"{metric}_{k}" for k in range(MONTHS)]].to_numpy().cumsum(axis=1)
            values = np.hstack([values, sums])
            names += [f"{metric}_c{k}" for k in range(MONTHS)]
        pairs = [(n, covariate_of(n)) for n in names if not n.endswith("_x")]
        expected = Moments.from_rows(names, values, pairs)
        found = outcomes.arm(arm)[0].select(names)
        assert found.n == expected.n
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9, atol=1e-9)
        scale = np.sqrt(np.outer(np.diag(expected.scatter), np.diag(expected.scatter))) + 1
        np.testing.assert_allclose(found.scatter / scale, expected.scatter / scale, atol=1e-9)
        for pair, sums in expected.third.items():
            np.testing.assert_allclose(found.third[pair], sums, rtol=1e-7, atol=1e-5)


def test_rows_of_units_are_the_same_as_by_pandas(filled: Any) -> None:
    store, by_customer = filled
    start = dt.date(2026, 3, 1)
    units = brute_force(store, start)
    with store.read() as connection:
        rows = connection.execute(unit_rows(window(by_customer, start))).mappings().all()
    found = pd.DataFrame(rows).set_index("unit")
    names = [name for name in units.columns if name not in {"arm", "segment"}]
    expected = units.loc[found.index, names]
    np.testing.assert_allclose(found[names].astype(float), expected, rtol=1e-9, atol=1e-9)


def test_the_cap_is_the_99th_percentile_of_positive_months(filled: Any) -> None:
    store, by_customer = filled
    frame = frame_of(store)
    frame = frame[(frame["month"] >= FIRST - 12) & (frame["month"] < FIRST + MONTHS)]
    months = frame.groupby(["unit", "month"])["revenue"].sum()
    with store.read() as connection:
        found = connection.scalar(cap(window(by_customer, dt.date(2026, 3, 1)), "revenue"))
    assert found == pytest.approx(np.quantile(months[months > 0], 0.99), rel=1e-9)


def test_capped_months_are_cut_at_the_cap(filled: Any) -> None:
    store, by_customer = filled
    start = dt.date(2026, 3, 1)
    units = brute_force(store, start)
    with store.read() as connection:
        outcomes = read_outcomes(
            connection, [window(by_customer, start, cap=("revenue", 90.0))], {}
        )
    for arm in ("holdout", "a", "b"):
        rows = units[units["arm"] == arm]
        for k in range(MONTHS):
            mean = outcomes.arm(arm)[0].mean_of(f"capped_{k}")
            assert mean == pytest.approx(rows[f"revenue_{k}"].clip(upper=90.0).mean(), rel=1e-9)


COUNTED = {
    "by the log": ({}, lambda _, cost: np.nan_to_num(cost)),
    "a declared price where the log has none": (
        {"redemption_cost": (("a", 20.0), ("b", 20.0))},
        lambda kind, cost: np.where(np.isnan(cost), 20.0 * (kind == "redeemed"), cost),
    ),
    "contacts by their declared price only": (
        {"priced_contacts": ("a",)},
        lambda kind, cost: np.nan_to_num(cost) * (kind == "redeemed"),
    ),
    "the price of another arm's contacts changes nothing": (
        {"priced_contacts": ("b",)},
        lambda _, cost: np.nan_to_num(cost),
    ),
    "vouchers that the orders are net of": (
        {"vouchers_in_orders": True},
        lambda kind, cost: np.nan_to_num(cost) * (kind != "redeemed"),
    ),
}


@pytest.mark.parametrize("how", COUNTED)
def test_net_is_margin_minus_what_the_log_says_each_amount_once(filled: Any, how: str) -> None:
    store, by_customer = filled
    changed, price = COUNTED[how]
    logged = window(by_customer, dt.date(2026, 3, 1), with_exposures=True, **changed)
    with store.read() as connection:
        outcomes = read_outcomes(connection, [logged], {"a": 2.0, "b": 3.0})
        rows = pd.DataFrame(connection.execute(sa.select(tables.exposures)).mappings().all())
    paid = price(rows["kind"].to_numpy(), rows["cost"].astype(float).to_numpy()).sum()
    treated = outcomes.arm("a")[0]
    difference = treated.mean_of("margin_c0") - treated.mean_of("net_c0")
    assert difference == pytest.approx(paid / treated.n, rel=1e-9), "contacts are apart"
    assert treated.mean_of("net_1") == pytest.approx(treated.mean_of("margin_1"))
    holdout = outcomes.arm("holdout")[0]
    assert holdout.mean_of("net_c2") == pytest.approx(holdout.mean_of("margin_c2"))
    assert 0 < treated.mean_of("reached") <= 1
    assert holdout.mean_of("reached") == 0
    assert holdout.covariance_of("reached", "reached") == 0
    ours, theirs = outcomes.contact_costs("a", "holdout")
    assert ours == pytest.approx([2.0] * MONTHS)
    assert theirs == pytest.approx([0.0] * MONTHS)


def test_contacts_before_the_start_are_booked_in_its_month(filled: Any) -> None:
    """The log is of 20 to 24 March; seen from a start on 23 March or 1 April, all of it counts."""
    store, by_customer = filled
    from_the_first = logged_net(store, by_customer, dt.date(2026, 3, 1))
    for start, month in ((dt.date(2026, 3, 23), 0), (dt.date(2026, 4, 1), 1)):
        reached, costs = logged_net(store, by_customer, start)
        assert reached == from_the_first[0]
        expected = np.zeros(MONTHS)
        expected[month] = from_the_first[1].sum()
        np.testing.assert_allclose(costs, expected, rtol=1e-9, atol=1e-12)


def logged_net(store: Store, by_customer: bool, start: dt.date) -> tuple[float, np.ndarray]:
    """Share reached in the contacted arm, and what the log cost a unit in each month."""
    with store.read() as connection:
        logged = window(by_customer, start, with_exposures=True)
        treated = read_outcomes(connection, [logged], {}).arm("a")[0]
    margin, net = (
        np.array([treated.mean_of(f"{metric}_{k}") for k in range(MONTHS)])
        for metric in ("margin", "net")
    )
    return treated.mean_of("reached"), margin - net


def test_months_before_a_later_wave_hold_zero(filled: Any) -> None:
    store, by_customer = filled
    with store.read() as connection:
        outcomes = read_outcomes(connection, [window(by_customer, dt.date(2026, 4, 1))], {})
    for moments in outcomes.groups.values():
        assert moments.mean_of("revenue_0") == 0
        assert moments.mean_of("revenue_1") != 0


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("start", [dt.date(2026, 3, 1), dt.date(2026, 3, 17)])
def test_the_largest_units_are_the_largest(filled: Any, start: dt.date, few: bool) -> None:
    store, by_customer = filled
    units = brute_force(store, start)
    totals = units[["revenue_0", "revenue_1"]].sum(axis=1)
    with store.read() as connection:
        arms = ("holdout", "a", "b")
        read = window(by_customer, start)
        found = connection.execute(largest_units(read, "revenue", 2, 3, arms, few=few))
        rows = found.mappings().all()
    assert [row["place"] for row in rows] == 3 * [1, 2, 3]
    for arm in arms:
        top = totals[units["arm"] == arm].sort_values(ascending=False).head(3)
        sums = [row["revenue_0"] + row["revenue_1"] for row in rows if row["arm"] == arm]
        np.testing.assert_allclose(sums, top, rtol=1e-9)


@pytest.mark.parametrize("logged", [True, False])
def test_the_largest_units_are_seen_when_outcomes_are_read(filled: Any, logged: bool) -> None:
    """Eleven of each group, or all that did anything, against all rows of units put in order."""
    store, by_customer = filled
    read = window(by_customer, dt.date(2026, 3, 17), ranked=2, with_exposures=logged)
    with store.read() as connection:
        largest = read_outcomes(connection, [read], {}).largest
        rows = pd.DataFrame(connection.execute(unit_rows(read)).mappings().all())
    figure = "net" if logged else "margin"
    rows["brought"] = rows[f"{figure}_0"] + rows[f"{figure}_1"]
    rows = rows[(rows[list(read.variables)] != 0).any(axis=1)]
    groups = rows.sort_values(["brought", "unit"], ascending=[False, True], kind="stable")
    assert len(largest) == len(groups.groupby(["arm", "segment"])) > 2
    for (arm, segment), units in groups.groupby(["arm", "segment"]):
        found = largest[0, str(arm), str(segment)]
        np.testing.assert_allclose(found, units[list(read.variables)].head(11), atol=1e-9)
    with store.read() as connection:
        assert not read_outcomes(connection, [replace(read, ranked=0)], {}).largest


def test_campaigns_that_share_a_pass_have_the_outcomes_they_have_alone(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, by_customer = filled
    with store.write() as connection:
        copied = sa.select(tables.assignments).where(tables.assignments.c.campaign == "x")
        rows = [dict(row) for row in connection.execute(copied).mappings()]
        for number, row in enumerate(rows):
            row["campaign"] = "y"
            row["arm"] = (
                ("b", "a", "holdout")[int(row["unit"][1:]) % 3] if by_customer else row["arm"]
            )
            row["segment"] = "s3" if number % 2 and by_customer else row["segment"]
        kept = rows[: len(rows) // 2] if by_customer else rows
        connection.execute(tables.assignments.insert(), kept)
    first = window(by_customer, dt.date(2026, 3, 1))
    later = window(by_customer, dt.date(2026, 4, 1))
    within = window(by_customer, dt.date(2026, 3, 17))
    logged = window(by_customer, dt.date(2026, 3, 1), with_exposures=True)
    capped = replace(first, campaign="y", cap=("margin", 20.0))
    before = replace(
        first, start=dt.date(2025, 12, 1), first_month=FIRST - 3, months=2, metrics=("orders",)
    )
    campaigns = [
        ([first], {}),
        ([replace(first, campaign="y")], {"a": 1.0}),
        ([later], {}),
        ([capped], {}),
        ([replace(first, cap=("revenue", 60.0))], {}),
        ([before], {}),
        ([within], {}),
        ([logged], {"b": 1.0}),
        ([replace(before, campaign="y")], {}),
    ]
    asked = [[1, 3], [6, 5], [7, 5], [5, 7]]  # half the buyers in no roster; one wave, two windows
    with store.read() as connection:
        alone = [read_outcomes(connection, *each) for each in campaigns]
        together = read_many(connection, campaigns)
        some = [read_many(connection, [campaigns[i] for i in places]) for places in asked]
        monkeypatch.setattr(sums, "RANGE_UNITS", 1)
        monkeypatch.setattr(sums, "MOST_RANGES", 5)  # statements, each of a stretch of numbers
        stretched = read_many(connection, campaigns)
    pairs = [*zip(alone, together, strict=True), *zip(alone, stretched, strict=True)]
    for places, found in zip(asked, some, strict=True):
        pairs += zip([alone[i] for i in places], found, strict=True)
    for one, other in pairs:
        assert one.groups.keys() == other.groups.keys()
        for key, moments in one.groups.items():
            again = other.groups[key]
            assert (again.n, again.names) == (moments.n, moments.names)
            np.testing.assert_allclose(again.mean, moments.mean, rtol=1e-9, atol=1e-9)
            spread = np.sqrt(np.diag(moments.scatter)) + 1e-6
            scale = np.outer(spread, spread)
            np.testing.assert_allclose(again.scatter / scale, moments.scatter / scale, atol=1e-9)
            for pair, third in moments.third.items():
                np.testing.assert_allclose(again.third[pair], third, rtol=1e-7, atol=1e-5)


def test_two_windows_of_a_wave_are_read_in_one_pass(filled: Any) -> None:
    """Months before the start come with the campaign's own, though its start month is a part."""
    store, by_customer = filled
    before = replace(window(by_customer, dt.date(2025, 12, 1)), first_month=FIRST - 3, months=2)
    for start in (dt.date(2026, 3, 1), dt.date(2026, 3, 17)):
        for logged in (False, True):
            main = window(by_customer, start, with_exposures=logged)
            streams: list[str] = []
            with store.read() as connection:

                def noted(_: Any, __: Any, text: str, *___: Any, seen: list[str] = streams) -> None:
                    seen += [text] if "ORDER BY flows.number" in text else []

                sa.event.listen(connection, "before_cursor_execute", noted)
                read_many(connection, [([main], {}), ([before], {})])
            assert len(streams) == 1
