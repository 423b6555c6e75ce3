"""The calibration itself: its own formulas against others', and every bar reached by some cell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from loyalty_exp.stats.moments import Moments

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture(autouse=True)
def _importable() -> Iterator[None]:
    sys.path.insert(0, BENCHMARKS)
    yield
    sys.path.remove(BENCHMARKS)


def _forget_population() -> None:
    from calibration import draws, studies

    for kept in (draws.population, draws.population_readings, studies.order_counts):
        kept.cache_clear()


def test_recursion_against_published_boundaries() -> None:
    from calibration.exact import boundary_error, spent

    # Lan and DeMets (1983), alpha_1* on each side, five equal looks.
    assert spent(np.array([4.877, 3.357, 2.680, 2.290, 2.031])) == pytest.approx(0.05, abs=1e-4)
    # Armitage, McPherson and Rowe (1969), table 2: repeated tests at .05.
    for looks, error in ((1, 0.050), (2, 0.083), (5, 0.142), (10, 0.193)):
        assert spent(np.full(looks, 1.96)) == pytest.approx(error, abs=6e-4)
    assert boundary_error(12) == pytest.approx(0.05, abs=1e-3)


def test_growthbooks_multiplier() -> None:
    from calibration.rivals import growthbook_multiplier

    # rho^2 = (5.9915 + ln 6.9915) / 5000 = .0015872; N rho^2 = .09523 and 79.36.
    assert growthbook_multiplier(60) == pytest.approx(8.363, abs=2e-3)
    assert growthbook_multiplier(50_000) == pytest.approx(3.242, abs=2e-3)


def test_rivals_against_scipy_and_by_hand() -> None:
    from calibration.rivals import Arm, lin, welch

    rng, draws = np.random.default_rng(1), []
    for _ in range(3):
        x, treated = rng.lognormal(size=90), rng.random(90) < 0.7
        draws.append((x, x + rng.lognormal(size=90), treated))
    arms = [
        Arm.of([Moments.from_rows("yx", np.column_stack([y, x])[t == side]) for x, y, t in draws])
        for side in (True, False)
    ]
    no_covariate, own_slopes = np.transpose(welch(*arms, 0)), np.transpose(lin(*arms, 0, 1))
    for row, (x, y, treated) in enumerate(draws):
        oracle = stats.ttest_ind(y[treated], y[~treated], equal_var=False).confidence_interval()
        assert no_covariate[row] == pytest.approx((oracle.low, oracle.high))
        # Lin's estimate is the treatment coefficient of the fully interacted regression, and
        # Neyman's variance that of the two arms' own regressions.
        centred = x - x.mean()
        design = np.column_stack([np.ones(90), treated, centred, treated * centred])
        fitted, *_ = np.linalg.lstsq(design, y)
        squares = (y - design @ fitted) ** 2
        variance = sum(
            squares[arm].sum() / ((arm.sum() - 1) * arm.sum()) for arm in (treated, ~treated)
        )
        half = stats.norm.isf(0.025) * np.sqrt(variance)
        assert own_slopes[row] == pytest.approx((fitted[1] - half, fitted[1] + half))


def test_tallies_add_up() -> None:
    from calibration.tally import Tally

    rng = np.random.default_rng(2)
    values, whole, parts = rng.normal(size=40), Tally(), [Tally(), Tally()]
    whole.add("v", [*values, np.nan])
    for part, some in zip(parts, (values[:15], values[15:]), strict=True):
        part.add("v", some)
    parts[0].merge(parts[1])
    for tally in (whole, parts[0]):
        assert tally.mean("v") == pytest.approx(values.mean())
        assert tally.error("v") == pytest.approx(values.std() / np.sqrt(40))
    lower, upper = np.array([1.0, np.nan]), np.array([3.0, np.nan])
    whole.interval("i", lower, upper, truth=0.5, unit=4.0)
    names = ("known", "cover", "over", "under", "width")
    assert [whole.mean(f"i/{name}") for name in names] == [0.5, 0.0, 1.0, 0.0, 0.5]
    assert np.isnan(whole.mean("nothing"))


def test_draws_treat_as_the_product_does() -> None:
    from calibration.draws import bands, draw

    rng = np.random.default_rng(3)
    past = np.where(rng.random(1_000) < 0.4, 0.0, rng.lognormal(3, 1, 1_000))
    strata = bands(past)
    shares = np.bincount(strata) / 1_000
    zero = (past == 0).mean()
    assert shares == pytest.approx([zero, *np.array([0.5, 0.3, 0.15, 0.05]) * (1 - zero)], abs=2e-3)
    treated = draw(strata, Fraction(1, 10), rng)
    assert (~treated).sum() == 100
    for stratum in range(5):
        inside = strata == stratum
        assert abs((~treated[inside]).sum() - inside.sum() / 10) < 1


def test_every_promise_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    from calibration import draws, studies
    from calibration.bars import PROMISES, checks, plan
    from calibration.page import page

    monkeypatch.setattr(draws, "POPULATION", 4_000)
    monkeypatch.setattr(studies, "REDRAWS", 19)
    sales = np.random.default_rng(5).lognormal(size=(500, 12))
    monkeypatch.setattr(studies, "household_months", lambda: sales)
    _forget_population()
    results = {}
    for cell in plan():
        small = studies.Cell(
            cell.study, cell.market, min(cell.units, 500), cell.holdout, cell.relative
        )
        results[cell] = studies.STUDIES[cell.study](small, 2, np.random.default_rng(4))
    _forget_population()
    found = checks(results)
    assert {check.bar for check in found} == set(PROMISES)
    # Two draws may both have too few customers for an interval, in the smallest lists only.
    assert [c.label for c in found if np.isnan(c.value) and "n = 60," not in c.label] == []
    text = page(results, found, "Two draws.", seconds=90.0)
    assert all(f"| {bar} | {promise} |" in text for bar, promise in PROMISES.items())


def test_a_figure_far_outside_its_bar_is_missed() -> None:
    from calibration.bars import Check

    statuses = [Check(1, "", value, 0.01, 0.93, 0.97).status for value in (0.95, 0.915, 0.90)]
    assert statuses == ["held", "within noise", "missed"]
    assert Check(1, "", 0.90, 0.01, 0.93, 0.97).distance == pytest.approx(3)
    assert Check(1, "", 0.98, 0.0, 0.93, 0.97).distance == np.inf
    assert Check(1, "", np.nan, np.nan, 0.93, 0.97).status == "missed"
    warned = [Check(3, "", -6.0, 0.0, -3.0, 3.0, share).status for share in (0.4, 0.6)]
    assert warned == ["missed", "missed, warned"]


def test_bias_of_all_draws_by_enumeration() -> None:
    from calibration.exact import bias_of_all_draws

    rng = np.random.default_rng(6)
    past, added = rng.lognormal(size=9), rng.lognormal(size=9)
    untreated = 2 * past + rng.normal(size=9)
    d = past - past.mean()
    errors = []
    for chosen in combinations(range(9), 3):
        treated = np.isin(np.arange(9), chosen)
        y = untreated + added * treated
        e = y - (d @ y) / (d @ d) * d
        errors.append(e[treated].mean() - e[~treated].mean() - added.mean())
    assert bias_of_all_draws(added, past) == pytest.approx(np.mean(errors), rel=1e-12)


def test_waves_count_nothing_before_they_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from calibration import draws

    monkeypatch.setattr(draws, "POPULATION", 4_000)
    _forget_population()
    looks, method = draws.joining("B2C", 600, Fraction(1, 2), 3, np.random.default_rng(7))
    _forget_population()
    # Waves of 200 start in months 0, 2 and 4: until then each adds customers and no purchase.
    assert (looks.n_treated, looks.n_control) == (300, 300)
    means = looks.raw_mean_control
    growth = np.diff(means, prepend=0.0)
    assert growth[:2].mean() < growth[2:4].mean() < growth[4:].mean()
    assert method in {"w1", "w2"}
