"""Customer-level methods: against rows, scipy's permutations and the influence of stats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support import fill_store, new_store

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.measure.effects import Question, effect_rows
from loyalty_exp.measure.small import (
    Units,
    influence,
    path_band,
    permutation_p_value,
    read_largest,
    read_units,
    with_path_band,
)
from loyalty_exp.stats.influence import without_largest
from loyalty_exp.store import tables
from loyalty_exp.store.outcomes import read_outcomes
from loyalty_exp.store.queries.moments import Window

COUNTS = {"holdout": 60, "offer": 140}
Make = Callable[..., Any]


def units_of(company: Any) -> Units:
    strata = (company.values["revenue_x"] > np.median(company.values["revenue_x"])).astype(np.int64)
    return Units(company.arm, strata, 1, company.values)


def largest_of(company: Any, closed: int) -> dict[tuple[int, str], np.ndarray]:
    found = {}
    for arm in np.unique(company.arm):
        total, past = company.of(f"revenue_c{closed - 1}", arm), company.of("revenue_x", arm)
        top = np.argsort(-total)[:10]
        found[company.wave, str(arm)] = np.column_stack([total[top], past[top]])
    return found


def test_influence_equals_the_estimate_on_the_rows_left(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, lift=0.5, seed=6, segments=("one", "two"))
    plan = plan_of(COUNTS)
    found = influence(plan, outcomes_of(made), largest_of(made, 3), calendar_of(plan, 3), "offer")
    treated = made.arm == "offer"
    expected = without_largest(made.values["revenue_c2"], made.values["revenue_x"], treated)
    assert [line.removed for line in found] == [1, 5, 10]
    for line, other in zip(found, expected[1:], strict=True):
        assert line.effect.value == pytest.approx(other.effect, rel=1e-9)
        width = (line.effect.upper - line.effect.lower) / 2 / other.standard_error
        low, high = (stats.t.isf(0.025, df) for df in (198 - 2 * line.removed, 59 - line.removed))
        assert low <= width <= high
        assert line.same_sign == (np.sign(other.effect) == np.sign(expected[0].effect))


def test_one_customer_who_decides_is_seen(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """All of the effect is one order: without its customer the sign turns."""
    made = company(COUNTS, seed=6)
    plan = plan_of(COUNTS)
    total = made.values["revenue_c2"]
    offer, holdout = (np.flatnonzero(made.arm == arm) for arm in ("offer", "holdout"))
    total[offer] = 10.0 + np.arange(140) % 3
    total[holdout] = 20.0 + np.arange(60) % 3
    total[offer[0]] = 5000.0
    found = influence(plan, outcomes_of(made), largest_of(made, 3), calendar_of(plan, 3), "offer")
    assert not found[0].same_sign
    assert not found[0].same_verdict
    assert found[0].effect.upper < 0


def test_influence_ranks_over_waves_and_stops_where_nobody_is_left(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    small = {"holdout": 27, "offer": 30}
    waves = [company(COUNTS, seed=1), company(small, seed=2, wave=1)]
    plan = plan_of(COUNTS)
    largest = largest_of(waves[0], 2) | largest_of(waves[1], 2)
    found = influence(plan, outcomes_of(*waves), largest, calendar_of(plan, 2), "offer")
    one = found[0].effect.value
    rows = []
    total_n = 257
    for wave in waves:
        keep = np.ones(len(wave.arm), bool)
        for arm in ("offer", "holdout"):
            best = max(waves, key=lambda w: w.of("revenue_c1", arm).max())
            if wave is best:
                inside = np.flatnonzero(wave.arm == arm)
                keep[inside[np.argmax(wave.values["revenue_c1"][inside])]] = False
        y, x = wave.values["revenue_c1"][keep], wave.values["revenue_x"][keep]
        both = np.cov(y, x)
        e = y - both[0, 1] / both[1, 1] * x
        treated = wave.arm[keep] == "offer"
        rows.append((keep.sum(), e[treated].mean() - e[~treated].mean()))
    assert one == pytest.approx(sum(n * tau for n, tau in rows) / (total_n - 2), rel=1e-9)
    few = {"holdout": 8, "offer": 30}
    tiny = company(few, seed=3)
    lines = influence(
        plan_of(few), outcomes_of(tiny), largest_of(tiny, 2), calendar_of(plan, 2), "offer"
    )
    assert [line.removed for line in lines] == [1, 5], "ten cannot be taken from eight"
    assert influence(plan, outcomes_of(*waves), largest, calendar_of(plan, 0), "offer") == ()


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


def test_rows_and_largest_from_a_store(store: Any, plan_of: Make, calendar_of: Make) -> None:
    """Influence from the store's moments less its largest rows is that of the rows themselves."""
    windows = [
        Window(
            campaign="x",
            wave=wave,
            start=dt.date(2025, 7, 1),
            first_month=month_of(2025, 7),
            months=3,
            covariate_months=6,
            by_customer=True,
        )
        for wave in (0, 1)
    ]
    with store.read() as connection:
        units = read_units(connection, windows)
        largest = read_largest(connection, windows, "revenue", 3)
        outcomes = read_outcomes(connection, windows[:1], {})
        first = read_units(connection, windows[:1])
    assert units.waves == 2
    assert len(units.arm) == 40
    assert len(np.unique(units.stratum)) == 6, "three strata in each of two waves"
    assert len(largest[0, "offer"]) == 10
    plan = plan_of({"holdout": 10, "offer": 10})
    found = influence(plan, outcomes, largest, calendar_of(plan, 3), "offer")
    treated = first.arm == "offer"
    expected = without_largest(
        first.total("revenue", 3), first.values["revenue_x"], treated, (1, 5)
    )
    values = [line.effect.value for line in found]
    assert values == pytest.approx([line.effect for line in expected], rel=1e-9)


def test_where_too_few_decide_there_is_no_band_and_no_verdict_to_compare(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, months=2, seed=5)
    few = plan_of(COUNTS, methods=dict.fromkeys(plan_of(COUNTS).methods, "too few"))
    lines = influence(few, outcomes_of(made), largest_of(made, 2), calendar_of(few, 2), "offer")
    assert [line.removed for line in lines] == [1, 5, 10]
    assert all(line.effect.value is not None and line.effect.lower is None for line in lines)
    assert path_band(few, units_of(made), calendar_of(few, 2), "offer") is None
    assert path_band(plan_of(COUNTS), units_of(made), calendar_of(few, 2), "offer") is not None


def test_influence_takes_tiny_waves_together(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """A first wave of one holdout unit and a second of many are read as one list."""
    counts = {"holdout": 1, "offer": 9}
    waves = [company(counts, seed=1), company(COUNTS, seed=2, wave=1)]
    largest = largest_of(waves[0], 2) | largest_of(waves[1], 2)
    plan = plan_of(COUNTS)
    found = influence(plan, outcomes_of(*waves), largest, calendar_of(plan, 2), "offer")
    y, x, arm = (
        np.concatenate([wave.values[name] for wave in waves])
        if name
        else np.concatenate([wave.arm for wave in waves])
        for name in ("revenue_c1", "revenue_x", "")
    )
    for line in found:
        keep = np.ones(len(arm), bool)
        for side in ("offer", "holdout"):
            inside = np.flatnonzero(arm == side)
            keep[inside[np.argsort(-y[inside], kind="stable")[: line.removed]]] = False
        both = np.cov(y[keep], x[keep])
        e = y - both[0, 1] / both[1, 1] * x
        expected = e[keep & (arm == "offer")].mean() - e[keep & (arm == "holdout")].mean()
        assert line.effect.value == pytest.approx(expected, rel=1e-9)
