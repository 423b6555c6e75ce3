"""Customer-level methods: against rows, scipy's permutations and the influence of stats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from scipy import stats
from support import fill_store, new_store

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.measure.draw_checks import few_of_all
from loyalty_exp.measure.effects import Question, effect_rows
from loyalty_exp.measure.influence import read_largest
from loyalty_exp.measure.small import (
    Units,
    path_band,
    permutation_p_value,
    read_units,
    with_path_band,
)
from loyalty_exp.store import tables
from loyalty_exp.store.outcomes import read_outcomes
from loyalty_exp.store.queries.moments import Window

COUNTS = {"holdout": 60, "offer": 140}
Make = Callable[..., Any]


def units_of(company: Any) -> Units:
    strata = (company.values["revenue_x"] > np.median(company.values["revenue_x"])).astype(np.int64)
    return Units(company.arm, strata, 1, company.values)


def test_permutation_only_where_an_arm_is_small(
    company: Make, plan_of: Make, calendar_of: Make
) -> None:
    large = {"holdout": 250, "offer": 300}
    made = company(large, seed=1)
    plan = plan_of(large)
    assert permutation_p_value(plan, units_of(made), calendar_of(plan, 2), "offer") is None
    quiet = company(large, seed=1)
    for k in range(2):
        quiet.values[f"orders_{k}"][:] = 0
        quiet.values[f"orders_{k}"][:49] = 1
    assert permutation_p_value(plan, units_of(quiet), calendar_of(plan, 2), "offer") is not None
    assert permutation_p_value(plan, units_of(quiet), calendar_of(plan, 0), "offer") is None


def test_permutation_p_value_against_scipy(company: Make, plan_of: Make, calendar_of: Make) -> None:
    """Without strata: scipy's permutation test of the studentized residual difference."""
    made = company(COUNTS, lift=0.25, seed=12)
    plan = plan_of(COUNTS)
    units = Units(made.arm, np.zeros(200, np.int64), 1, made.values)
    p = permutation_p_value(plan, units, calendar_of(plan, 4), "offer")
    y, x = made.values["revenue_c3"], made.values["revenue_x"]
    both = np.cov(y, x)
    e = y - both[0, 1] / both[1, 1] * x

    def t(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        error = np.sqrt(a.var(axis, ddof=1) / a.shape[axis] + b.var(axis, ddof=1) / b.shape[axis])
        return (a.mean(axis) - b.mean(axis)) / error

    sides = [e[made.arm == arm] for arm in ("offer", "holdout")]
    other = stats.permutation_test(
        sides,
        lambda a, b, axis: np.abs(t(a, b, axis)),
        permutation_type="independent",
        n_resamples=4999,
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    error = np.sqrt(other.pvalue * (1 - other.pvalue) / 5000)
    assert abs(p - other.pvalue) < 4 * np.sqrt(2) * error + 1e-4


def test_path_band_takes_the_place_of_the_other_one(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, lift=0.3, seed=2)
    plan, calendar = plan_of(COUNTS), calendar_of(plan_of(COUNTS), 3, 4)
    band = path_band(plan, units_of(made), calendar, "offer")
    rows = effect_rows(plan, outcomes_of(made), calendar, Question("offer", "holdout"))
    changed = with_path_band(rows, plan, "offer", band)
    assert list(band) == ["2024-03", "2024-04", "2024-05", "2024-06"]
    for old, new in zip(rows, changed, strict=True):
        if old.metric == "revenue" and old.month != "cumulative":
            assert old.effect_per_customer == pytest.approx(band[old.month].value, rel=1e-9)
            assert new.simultaneous_ci_lower == band[old.month].lower < new.ci_lower
        else:
            assert old is new
    several = Units(made.arm, np.zeros(200, np.int64), 2, made.values)
    assert path_band(plan, several, calendar, "offer") is None


@pytest.fixture(name="store")
def store_fixture(tmp_path: Path) -> Any:
    """Forty customers of two waves with one order a month or none."""
    rng = np.random.default_rng(8)
    orders = [
        (f"o{n}-{k}", f"c{n:02d}", dt.datetime(2025, 1 + k, 10), float(rng.lognormal(3, 1)))
        for n in range(40)
        for k in range(12)
        if rng.random() < 0.6
    ]
    store = new_store(tmp_path)
    fill_store(store, orders)
    with store.write() as connection:
        connection.execute(
            tables.assignments.insert(),
            [
                {
                    "campaign": "x",
                    "wave": n % 2,
                    "unit": f"c{n:02d}",
                    "customer": f"c{n:02d}",
                    "segment": "one",
                    "stratum": f"s{n % 3}",
                    "arm": "holdout" if n % 4 < 2 else "offer",
                }
                for n in range(40)
            ],
        )
    return store


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("units", [20, 18])
def test_rows_and_largest_from_a_store(
    units: int, seen: bool, store: Any, plan_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest are those whose rows hold the most margin, with their figures.

    By a plan of half of all customers, or of less; as the outcomes saw them, or asked for.
    """
    monkeypatch.setattr("loyalty_exp.measure.influence.REMOVED", (1, 8))
    if seen:
        monkeypatch.setattr("loyalty_exp.measure.influence.largest_units", None)
    windows = [
        Window(
            campaign="x",
            wave=wave,
            start=dt.date(2025, 7, 1),
            first_month=month_of(2025, 7),
            months=3,
            covariate_months=6,
            by_customer=True,
            ranked=3 if seen else 0,
        )
        for wave in (0, 1)
    ]
    half = {"holdout": units // 2, "offer": units // 2}
    plans = [plan_of(half, metric="orders", wave=wave) for wave in (0, 1)]
    with store.read() as connection:
        assert few_of_all(connection, plans[0]) == (units < 20)
        rows = read_units(connection, windows)
        largest = read_largest(
            connection, plans, windows, 3, read_outcomes(connection, windows, {})
        )
        first = read_units(connection, windows[:1])
    assert rows.waves == 2
    assert len(rows.arm) == 40
    assert len(np.unique(rows.stratum)) == 6, "three strata in each of two waves"
    inside = first.arm == "offer"
    margin = first.total("margin", 3)[inside]
    top = np.argsort(-margin, kind="stable")[:8]
    expected = [
        first.total("orders", 3)[inside][top],
        first.values["orders_x"][inside][top],
        margin[top],
        first.values["margin_x"][inside][top],
        margin[top],
    ]
    np.testing.assert_allclose(largest[0, "offer"].T, expected, rtol=1e-12)


@pytest.mark.parametrize("made", ["alike", "nothing"])
def test_the_store_tells_the_largest_of_units_alike(made: str, store: Any, plan_of: Make) -> None:
    """Of two units that brought as much the one of the smaller id is taken; so of those of none."""
    with store.write() as connection:
        kept = tables.customer_month
        more = kept.c.margin * 1000
        if made == "alike":
            connection.execute(kept.update().values(margin=7.0))
        else:
            many = kept.c.customer < "c08"
            connection.execute(kept.update().values(margin=sa.case((many, more), else_=0)))
    window = Window(
        campaign="x", wave=0, start=dt.date(2025, 7, 1), first_month=month_of(2025, 7), months=3,
        covariate_months=6, by_customer=True, ranked=3,
    )  # fmt: skip
    plans = [plan_of({"holdout": 10, "offer": 10}, metric="orders")]
    with store.read() as connection:
        outcomes = read_outcomes(connection, [window], {})
        asked = replace(outcomes, largest={})
        found = read_largest(connection, plans, [window], 3, outcomes)
        expected = read_largest(connection, plans, [window], 3, asked)
    assert outcomes.largest.keys() == {(0, "holdout", "one"), (0, "offer", "one")}
    for key, rows in expected.items():
        np.testing.assert_array_equal(found[key], rows)


def test_where_too_few_decide_there_is_no_band(
    company: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, months=2, seed=5)
    few = plan_of(COUNTS, methods=dict.fromkeys(plan_of(COUNTS).methods, "too few"))
    assert path_band(few, units_of(made), calendar_of(few, 2), "offer") is None
    assert path_band(plan_of(COUNTS), units_of(made), calendar_of(few, 2), "offer") is not None
