"""Checks on a drawn campaign in a store: what each finds, against pandas, scipy and statsmodels."""

from __future__ import annotations

import copy
import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
import statsmodels.api as sm
from scipy import stats
from support import fill_store, keep_members, new_store

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.declare.models import Campaign, Project
from loyalty_exp.design.draw import draw_wave
from loyalty_exp.measure.checks import before_windows, campaign_checks
from loyalty_exp.measure.draw_checks import (
    Histories,
    _balance_by_sums,
    read_standing,
    timing_check,
)
from loyalty_exp.measure.economics import economics
from loyalty_exp.measure.results import Check, CheckStatus
from loyalty_exp.segment.features import customer_features
from loyalty_exp.stats.balance import balance
from loyalty_exp.stats.looks import boundaries, obrien_fleming
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store
from loyalty_exp.store.outcomes import read_outcomes, window_of
from loyalty_exp.store.queries.draw import UNIVERSAL

PASSED, WARNING, FAILED = CheckStatus.PASSED, CheckStatus.WARNING, CheckStatus.FAILED
ABSENT = CheckStatus.NOT_APPLICABLE
START = dt.date(2026, 3, 1)
PROJECT = Project(name="Test", currency="EUR", timezone="Europe/Paris", margin_rate=0.4)
COSTS = {"fixed": 100.0, "per_contact": {"call": 1.0}}


def orders_of(customers: int, first: int = 2024 * 12 + 1) -> list[tuple[str, str, Any, float]]:
    """Orders to May 2026 of customers who order in 40 % of months."""
    rng = np.random.default_rng(4)
    rows = []
    for number in range(customers):
        for month in range(first, 2026 * 12 + 6):
            if rng.random() < 0.4:
                year, place = divmod(month - 1, 12)
                when = dt.datetime(year, place + 1, int(rng.integers(1, 28)), 12)
                rows.append((f"o{len(rows)}", f"c{number:04d}", when, float(rng.lognormal(4, 1))))
    return rows


class Case:
    """A launched campaign in a store, and its checks."""

    def __init__(self, folder: Path, customers: int, **how: Any) -> None:
        self.store: Store = new_store(folder)
        self.orders = orders_of(customers, how.pop("first", 2024 * 12 + 1))
        fill_store(self.store, self.orders)
        declared = Campaign.model_validate(
            {
                "name": "Win-back",
                "segments": ["gold"],
                "lever": "relational",
                "objective": "revenue",
                "start": START,
                "end": dt.date(2026, 4, 30),
                "measure_until": dt.date(2026, 8, 31),
                "arms": {"holdout": 30.0, "call": 70.0},
                "costs": COSTS,
            }
            | how
        )
        with self.store.write() as connection:
            members = sorted({row[1] for row in self.orders})
            keep_members(connection, "gold", dt.date(2026, 2, 28), members)
            self.plan: FrozenPlan = draw_wave(
                connection,
                "winback",
                declared,
                project=PROJECT,
                wave=0,
                start=START,
                as_of=dt.date(2026, 2, 28),
                rules={"gold": "by hand"},
                tiers={},
                known_through=dt.date(2026, 2, 28),
                features=customer_features,
                now=dt.datetime(2026, 2, 28, 9),
                version="test",
            )

    def roster(self) -> pd.DataFrame:
        with self.store.read() as connection:
            rows = connection.execute(sa.select(tables.assignments)).mappings().all()
        return pd.DataFrame([dict(row) for row in rows])

    def expose(self, customers: Sequence[str]) -> None:
        rows = [
            {
                "campaign": "winback",
                "customer": name,
                "at": dt.datetime(2026, 3, 10),
                "kind": "sent",
                "cost": None,
                "load_id": "t",
            }
            for name in customers
        ]
        self.change(tables.exposures.insert(), rows)

    def change(self, statement: Any, rows: Any = None) -> None:
        with self.store.write() as connection:
            connection.execute(statement, rows) if rows else connection.execute(statement)

    def erase(self, customers: Sequence[str], *, from_assignments: bool = True) -> None:
        gone = [tables.orders, tables.customer_month]
        gone += [tables.assignments] if from_assignments else []
        for table in gone:
            self.change(table.delete().where(table.c.customer.in_(list(customers))))

    def checks(
        self, *, closed: int = 3, logged: bool = False, deviations: Sequence[str] = ()
    ) -> dict[str, Check]:
        plan = self.plan
        calendar = Calendar(plan.first_month, plan.looks, closed, closed)
        with self.store.read() as connection:
            window = window_of(
                plan, plan.first_month, months=closed, by_customer=True, logged=logged
            )
            outcomes = read_outcomes(connection, [window], COSTS["per_contact"])
            money = {arm: economics(plan, outcomes, calendar, arm) for arm in plan.treated_arms}
            before = read_outcomes(connection, before_windows(connection, [plan]), {})
            found = campaign_checks(
                connection, [plan], outcomes, calendar, money, before, deviations
            )
        assert len({check.name for check in found}) == len(found)
        return {check.name: check for check in found}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("small"), 300)


@pytest.fixture
def case(template: Case, tmp_path: Path) -> Case:
    """A launched campaign of 300 customers, a copy of its own for each test."""
    mine = copy.copy(template)
    shutil.copy(template.store.path, tmp_path / "store.duckdb")
    mine.store = new_store(tmp_path)
    return mine


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("large"), 700)


def test_all_is_well_after_a_launch(case: Case) -> None:
    found = case.checks()
    absent = {name for name, check in found.items() if check.status is ABSENT}
    assert absent == {"contamination", "reach"}
    failed = {name for name, check in found.items() if check.status is FAILED}
    assert not failed
    critical = {name for name, check in found.items() if check.critical}
    assert critical == {"roster", "randomization", "split", "balance", "contamination"}
    assert found["roster"].values == {"units": 300, "missing": 0, "extra": 0}
    assert found["deviations"].status is PASSED


@pytest.mark.parametrize(
    ("known_through", "status", "values"),
    [
        (dt.date(2026, 2, 28), PASSED, {"days": 0, "late": 0, "waves": 1}),
        (dt.date(2026, 3, 1), WARNING, {"days": 1, "late": 1, "waves": 1}),
        (dt.date(2026, 4, 9), WARNING, {"days": 40, "late": 1, "waves": 1}),
        (None, ABSENT, {}),
    ],
)
def test_orders_known_from_the_start_on_make_a_draw_late(
    case: Case, known_through: dt.date | None, status: CheckStatus, values: dict[str, int]
) -> None:
    found = timing_check([replace(case.plan, known_through=known_through)])
    assert (found.status, found.values, found.critical) == (status, values, False)


def test_one_late_wave_is_enough_and_a_split_drawn_elsewhere_tells_nothing(case: Case) -> None:
    late = replace(case.plan, known_through=dt.date(2026, 3, 3))
    assert timing_check([case.plan, late]).values == {"days": 3, "late": 1, "waves": 2}
    split = {**case.plan.declaration, "assignment": {"source": "split.csv"}}
    assert timing_check([replace(late, declaration=split)]).status is ABSENT


def test_a_unit_moved_or_added_fails_the_roster(case: Case) -> None:
    someone = case.roster().query("arm == 'holdout'").iloc[0]
    moved = tables.assignments.update().where(tables.assignments.c.unit == someone.unit)
    case.change(moved.values(arm="call"))
    found = case.checks()
    assert found["roster"].status is FAILED
    assert found["roster"].values["extra"] == 1
    assert found["randomization"].status is FAILED
    case.change(moved.values(arm="holdout"))
    assert case.checks()["roster"].status is PASSED
    added = {**case.roster().iloc[0].to_dict(), "unit": "zz", "customer": "zz", "stratum": "new"}
    case.change(tables.assignments.insert(), [added])
    assert case.checks()["roster"].values["extra"] == 1


def test_two_units_exchanged_fail_although_the_counts_agree(case: Case) -> None:
    roster = case.roster()
    stratum = roster.stratum.mode()[0]
    pair = [
        roster[(roster.arm == arm) & (roster.stratum == stratum)].iloc[0].unit
        for arm in ("holdout", "call")
    ]
    for unit, arm in zip(pair, ("call", "holdout"), strict=True):
        where = tables.assignments.c.unit == unit
        case.change(tables.assignments.update().where(where).values(arm=arm))
    found = case.checks()
    assert found["roster"].status is FAILED
    assert found["roster"].values["missing"] == found["roster"].values["extra"] == 0
    assert found["randomization"].values["differences"] == 2


def test_people_erased_are_losses_not_a_broken_draw(case: Case) -> None:
    roster = case.roster()
    gone = [*roster.query("arm == 'call'").unit[:7], *roster.query("arm == 'holdout'").unit[:3]]
    case.erase(gone)
    found = case.checks()
    assert found["roster"].status is WARNING
    assert found["roster"].values["missing"] == 10
    assert found["randomization"].status is PASSED, "at most one unit moves at each limit"
    assert found["split"].status is PASSED
    assert found["split"].values["lost_treated"] == 7
    assert found["split"].values["lost_holdout"] == 3
    n = {arm: case.plan.units_of(arm) for arm in ("call", "holdout")}
    table = [[7, n["call"] - 7], [3, n["holdout"] - 3]]
    assert found["split"].values["p_value"] == pytest.approx(stats.fisher_exact(table).pvalue)


def test_losses_on_one_side_suspend(case: Case) -> None:
    gone = case.roster().query("arm == 'call'").unit[:60]
    case.erase(list(gone), from_assignments=False)
    found = case.checks()
    assert found["roster"].status is PASSED, "the assignments are whole"
    assert found["split"].status is FAILED
    assert found["split"].values["lost_treated"] == 60


def test_a_split_made_elsewhere_is_judged_by_its_shares(case: Case) -> None:
    declaration = {**case.plan.declaration, "assignment": {"source": "crm.csv"}}
    case.plan = replace(case.plan, declaration=declaration)
    found = case.checks()
    assert found["randomization"].status is ABSENT
    assert found["split"].status is PASSED
    case.plan = replace(case.plan, percents=(50.0, 50.0))
    found = case.checks()
    assert found["split"].status is FAILED
    n = case.plan.units_of("holdout")
    assert found["split"].values["p_value"] == pytest.approx(stats.binomtest(n, 300, 0.5).pvalue)


def history_of(case: Case) -> pd.DataFrame:
    """Roster with each unit's revenue, orders and months of the year before, by pandas."""
    orders = pd.DataFrame(case.orders, columns=["order", "customer", "at", "revenue"])
    before = orders[(orders["at"] >= "2025-03-01") & (orders["at"] < "2026-03-01")]
    roster = case.roster().set_index("customer")
    by_customer = before.groupby("customer")
    roster["x"] = by_customer["revenue"].sum()
    roster["orders"] = by_customer["order"].nunique()
    roster["active"] = by_customer["at"].agg(lambda at: at.dt.to_period("M").nunique())
    figures = ["x", "orders", "active"]
    roster[figures] = roster[figures].fillna(0).astype(float)
    return roster


@pytest.mark.parametrize("size", ["small", "large"])
def test_balance_equals_the_one_of_the_rows(size: str, case: Case, large: Case) -> None:
    """By re-draws under 500 units, by sums above: both the test of stats.balance on the rows."""
    case = case if size == "small" else large
    roster = history_of(case).sort_values("unit")
    expected = balance(
        roster[["x", "orders", "active"]].to_numpy(),
        (roster.arm == "call").to_numpy(),
        np.unique(roster.stratum, return_inverse=True)[1].astype(np.int64),
        digest=case.plan.digest,
    )
    assert expected.method == ("permutation" if size == "small" else "chi-square")
    assert expected.df == 2  # nobody ordered twice in a month here: months repeat the orders
    found = case.checks()["balance"]
    assert found.values["p_value"] == pytest.approx(expected.p_value, rel=1e-9)
    gaps = [found.values[f"{name}_gap"] for name in ("revenue", "orders", "active")]
    assert gaps == pytest.approx(list(expected.standardised), rel=1e-9)


def test_balance_of_sums_is_a_regression_test_within_strata(large: Case) -> None:
    """In one stratum d2 is n - 1 times the R2 of the arm on the figures, by least squares."""
    roster = history_of(large)
    stratum = str(roster.stratum.mode()[0])
    inside = roster[roster.stratum == stratum]
    figures = np.log1p(inside[["x", "orders"]])
    held = (inside.arm == "holdout").astype(float)
    fitted = sm.OLS(held, sm.add_constant(figures)).fit()
    with large.store.read() as connection:
        history = read_standing(connection, large.plan, large.plan.first_month).history
    row = sorted(set(roster.stratum)).index(stratum)
    one = [getattr(history, name)[[row]] for name in ("units", "mean", "scatter")]
    p_value, _ = _balance_by_sums([Histories(*one, without=0)], 1)
    assert p_value == pytest.approx(stats.chi2.sf((len(inside) - 1) * fitted.rsquared, 2), rel=1e-8)


@pytest.mark.parametrize("size", [300, 700])
def test_arms_that_differed_before_fail(size: int, tmp_path: Path) -> None:
    """The best customers of each stratum treated: what a sort in place of a draw does."""
    case = Case(tmp_path, size)
    roster = history_of(case)
    sorted_arms: dict[str, str] = {}
    for stratum in case.plan.strata:
        inside = roster[roster.stratum == stratum.stratum].sort_values("x")
        arms = np.repeat(case.plan.arms, stratum.counts)
        sorted_arms |= dict(zip(inside.unit, map(str, arms), strict=True))
    arm = sa.case(sorted_arms, value=tables.assignments.c.unit)
    case.change(tables.assignments.update().values(arm=arm))
    case.change(tables.roster_members.delete())  # what is kept of the draw as it was
    found = case.checks()
    assert found["balance"].status is FAILED
    assert found["balance"].values["revenue_gap"] > 0
    assert found["aa_before"].status is WARNING


def test_a_a_before_is_least_squares_on_the_months_before(large: Case) -> None:
    """Six looks planned: September to February as outcome, the twelve months before adjust."""
    roster = large.roster().set_index("customer")
    orders = pd.DataFrame(large.orders, columns=["order", "customer", "at", "revenue"])
    for name, first, end in (("y", "2025-09", "2026-03"), ("x", "2024-09", "2025-09")):
        inside = orders[(orders["at"] >= f"{first}-01") & (orders["at"] < f"{end}-01")]
        roster[name] = inside.groupby("customer")["revenue"].sum()
    roster = roster.fillna(0.0)
    slope = sm.OLS(roster.y, sm.add_constant(roster.x)).fit().params["x"]
    e = roster.y - slope * roster.x
    sides = [e[roster.arm == arm] for arm in ("call", "holdout")]
    large.plan = replace(large.plan, methods=dict.fromkeys(large.plan.methods, "w1"))
    found = large.checks()["aa_before"]
    expected = stats.ttest_ind(*sides, equal_var=False).pvalue
    assert found.values["months"] == 6
    assert found.values["p_value"] == pytest.approx(expected, rel=1e-8)


def test_contacts_of_the_holdout(case: Case) -> None:
    roster = case.roster()
    treated = list(roster.query("arm == 'call'").unit)
    held = list(roster.query("arm == 'holdout'").unit)
    case.expose(treated[:120])
    found = case.checks(logged=True)
    assert found["contamination"].status is PASSED
    assert found["contamination"].values == {"contaminated": 0, "share": 0.0}
    assert found["reach"].status is PASSED
    assert found["reach"].values["reached"] == 120
    assert found["reach"].values["share"] == pytest.approx(120 / len(treated))
    case.expose([held[0], held[0], held[1]])
    found = case.checks(logged=True)
    assert found["contamination"].status is WARNING
    assert found["contamination"].values["contaminated"] == 2, "units, not contacts"
    case.expose(held[2:10])
    assert case.checks(logged=True)["contamination"].status is FAILED


def test_few_reached_warns(case: Case) -> None:
    case.expose(list(case.roster().query("arm == 'call'").unit)[:90])
    assert case.checks(logged=True)["reach"].status is WARNING


def test_power_against_break_even(large: Case) -> None:
    """From the rows: (t of the boundary + t.8) Welch errors, as shares of the holdout's mean."""
    roster = history_of(large)
    orders = pd.DataFrame(large.orders, columns=["order", "customer", "at", "revenue"])
    x = 0.4 * roster.x
    residuals = []
    for until in ("2026-04-01", "2026-05-01", "2026-06-01"):
        after = orders[(orders["at"] >= "2026-03-01") & (orders["at"] < until)]
        y = (0.4 * after.groupby("customer")["revenue"].sum()).reindex(roster.index).fillna(0.0)
        slope = sm.OLS(y, sm.add_constant(x)).fit().params.iloc[1]
        residuals.append(y - slope * (x - x.mean()))
    sides = [np.array(residuals)[:, (roster.arm == arm).to_numpy()] for arm in ("call", "holdout")]
    sigma = sum(np.cov(side) / side.shape[1] for side in sides)
    spread = np.sqrt(np.diag(sigma))
    boundary = boundaries(sigma / np.outer(spread, spread), obrien_fleming, 0.05, 6)[-1]
    v = [side[-1].var(ddof=1) / side.shape[1] for side in sides]
    df = sum(v) ** 2 / sum(a**2 / (s.shape[1] - 1) for a, s in zip(v, sides, strict=True))
    critical = stats.t.isf(stats.norm.sf(boundary), df)
    detectable = (critical + stats.t.isf(0.2, df)) * np.sqrt(sum(v))
    large.plan = replace(large.plan, methods=dict.fromkeys(large.plan.methods, "w1"))
    found = large.checks()["power"]
    even = 1 + 100 / sides[0].shape[1]
    held = sides[1][-1].mean()
    assert found.values["mde_per_unit"] == pytest.approx(detectable, rel=1e-8)
    assert found.values["mde_relative"] == pytest.approx(detectable / held, rel=1e-8)
    assert found.values["break_even_relative"] == pytest.approx(even / held, rel=1e-8)
    assert found.status is (WARNING if detectable > even else PASSED)
    large.plan = replace(large.plan, methods=dict.fromkeys(large.plan.methods, "too few"))
    assert large.checks()["power"].status is ABSENT


def test_the_universal_holdout_is_contaminated_by_any_campaign(case: Case) -> None:
    held = list(case.roster().query("arm == 'holdout'").unit)
    table = tables.assignments
    case.change(table.update().values(campaign=UNIVERSAL))
    case.plan = replace(case.plan, campaign=UNIVERSAL)
    assert case.checks()["contamination"].status is ABSENT
    case.expose([held[0], held[0]])
    late = {"campaign": "autumn", "kind": "sent", "cost": None, "load_id": "t"}
    times = (dt.datetime(2026, 2, 28, 23), dt.datetime(2026, 8, 31, 22), dt.datetime(2026, 9, 1))
    rows = [late | {"customer": name, "at": at} for name, at in zip(held[1:], times, strict=False)]
    case.change(tables.exposures.insert(), rows)
    found = case.checks()["contamination"]
    assert found.values == {"contaminated": 2, "share": 2 / len(held)}
    assert found.status is WARNING


def test_buyers_are_counted_from_the_start_on(case: Case) -> None:
    orders = pd.DataFrame(case.orders, columns=["order", "customer", "at", "revenue"])
    bought = set(orders[(orders["at"] >= "2026-03-01") & (orders["at"] < "2026-04-01")].customer)
    roster = case.roster()
    counts = roster[roster.customer.isin(bought)].groupby("arm").size()
    found = case.checks(closed=1)["buyers"]
    assert found.values == {"buyers": counts.min(), "units": case.plan.units_of("holdout")}
    assert found.status is PASSED


def test_a_handful_of_buyers_warns(tmp_path: Path) -> None:
    small = Case(tmp_path, 24)
    found = small.checks(closed=1)
    assert found["buyers"].status is WARNING
    assert found["buyers"].values["units"] < 20


def test_history_missing_in_part_or_whole(case: Case, tmp_path: Path) -> None:
    found = case.checks()["missing_history"]
    share = (history_of(case).x == 0).mean()
    assert found.values == {"share": pytest.approx(share), "months": 12, "wanted": 12}
    assert found.status is PASSED
    (tmp_path / "short").mkdir()
    short = Case(tmp_path / "short", 60, first=2026 * 12 + 1).checks()
    assert short["missing_history"].status is WARNING
    assert short["missing_history"].values["months"] == 2
    assert short["aa_before"].values["months"] == 1
    (tmp_path / "none").mkdir()
    gone = Case(tmp_path / "none", 60)
    for table in (tables.orders, tables.customer_month):
        gone.change(table.delete().where(table.c.month < gone.plan.first_month))
    found = gone.checks()
    assert found["balance"].status is ABSENT
    assert found["aa_before"].status is ABSENT
    assert found["missing_history"].status is WARNING


def test_deviations_are_counted(case: Case) -> None:
    found = case.checks(deviations=("end: frozen 1, now 2", "name: frozen 'a', now 'b'"))
    assert found["deviations"].status is WARNING
    assert found["deviations"].values == {"count": 2}
    assert not found["deviations"].critical
