"""The replay against brute force on the same units, and against its own promises."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loyalty_exp.design.replay import PastAudience, _labels, crossing, replay

SHARES = (Fraction(3, 10), Fraction(7, 10))


def past(units: int, seed: int = 1, strata: int = 4, **changed: Any) -> PastAudience:
    """Customers who persist: what they bought before tells half of what they buy after."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=units)
    spent = [
        np.where(rng.random(units) < 0.6, np.exp(3 + 0.7 * taste + 0.6 * rng.normal(size=units)), 0)
        for _ in range(4)
    ]
    given_: dict[str, Any] = {
        "as_of": dt.date(2025, 3, 31),
        "months": 3,
        "covariate_months": 12,
        "audience": units,
        "stratum": np.sort(rng.integers(0, strata, units)),
        "outcome": spent[0],
        "covariate": spent[1],
        "margin": 0.4 * spent[0],
        "margin_covariate": 0.4 * spent[1],
        "before": spent[2][:, None],
        "before_covariate": spent[3],
    }
    return PastAudience(**(given_ | changed))


def brute_force(found: PastAudience, effect: float, draws: int, seed: int) -> tuple[float, float]:
    """Power and coverage of CUPED with Welch's interval, unstratified, by plain numpy and scipy."""
    rng = np.random.default_rng(seed)
    n = found.units
    held = round(n * float(SHARES[0]))
    above = covered = 0
    for _ in range(draws):
        treated = np.ones(n, dtype=bool)
        treated[rng.choice(n, held, replace=False)] = False
        y = np.where(treated, found.outcome * (1 + effect), found.outcome)
        theta = np.cov(y, found.covariate)[0, 1] / np.var(found.covariate, ddof=1)
        e = y - theta * found.covariate
        fit = stats.ttest_ind(e[treated], e[~treated], equal_var=False)
        low, high = fit.confidence_interval(0.95)
        above += low > 0
        covered += low <= effect * found.outcome.mean() <= high
    return above / draws, covered / draws


def test_power_and_coverage_agree_with_brute_force() -> None:
    # 2,000 draws on each side: 3 Monte-Carlo errors of a difference of shares are at most 0.047;
    # theta is pooled over all units in both, and with one stratum the draw is the same.
    found = past(1500, strata=1)
    effects = (0.0, 0.1, 0.2)
    [arm] = replay(
        [found], ("holdout", "a"), SHARES, draws=2000, alpha=0.05, seed="s", effects=effects
    )
    assert set(arm.methods) == {"W1"}
    for k in (1, 2):
        power, coverage = brute_force(found, effects[k], 2000, 7)
        assert arm.power[k] == pytest.approx(power, abs=0.047)
        assert arm.coverage[k] == pytest.approx(coverage, abs=0.021)


def test_without_an_effect_alarms_are_as_rare_as_declared() -> None:
    # Monte-Carlo error of a share of 0.05 in 3,000 draws: 0.004; 4 of them are allowed.
    for alpha in (0.05, 0.1):
        [arm] = replay(
            [past(800)], ("holdout", "a"), SHARES,
            draws=3000, alpha=alpha, seed="s", effects=(0.0,),
        )  # fmt: skip
        assert arm.false_alarm_rate == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 3000))
        assert arm.coverage[0] == pytest.approx(1 - arm.false_alarm_rate, abs=1e-12)


def test_totals_without_an_effect_centre_on_nothing() -> None:
    found = past(800)
    [arm] = replay(
        [found], ("holdout", "a"), SHARES, draws=2000, alpha=0.05, seed="s", effects=(0.0,)
    )
    error = arm.null_totals.std() / np.sqrt(2000)
    assert abs(arm.null_totals.mean()) < 4 * error
    e = found.margin - np.polyval(
        np.polyfit(found.margin_covariate, found.margin, 1), found.margin_covariate
    )
    expected = e.std() * np.sqrt(1 / 240 + 1 / 560)
    # a stratified draw at random strata changes nothing; 2,000 draws tell a spread to 1.6 %.
    assert arm.null_totals.std() == pytest.approx(expected, rel=0.07)


def test_more_units_detect_smaller_effects_by_the_root() -> None:
    mde = [
        replay([past(n)], ("holdout", "a"), SHARES, draws=600, alpha=0.05, seed="s")[0].mde
        for n in (1000, 4000)
    ]
    assert mde[0] is not None
    assert mde[1] is not None
    assert mde[0] / mde[1] == pytest.approx(2, rel=0.2)


def test_every_arm_is_judged_by_its_own_size() -> None:
    shares = (Fraction(2, 10), Fraction(5, 10), Fraction(3, 10))
    arms = ("holdout", "large", "small")
    large, small = replay([past(2000)], arms, shares, draws=300, alpha=0.05, seed="s")
    assert (large.arm, small.arm) == ("large", "small")
    assert large.mde is not None
    assert small.mde is not None
    assert large.mde < small.mde


def test_draws_are_shared_among_the_periods_and_repeat_exactly() -> None:
    audiences = [past(300, seed) for seed in (1, 2, 3)]
    first, second = (
        replay(audiences, ("holdout", "a"), SHARES, draws=100, alpha=0.05, seed="s")[0]
        for _ in range(2)
    )
    assert first.draws == 102
    assert first.units == 300
    assert np.array_equal(first.power, second.power)
    other = replay(audiences, ("holdout", "a"), SHARES, draws=100, alpha=0.05, seed="t")[0]
    assert not np.array_equal(first.power, other.power)


def test_a_handful_of_units_is_told_not_to_suffice() -> None:
    few = past(6, strata=1)
    [arm] = replay([few], ("holdout", "a"), SHARES, draws=50, alpha=0.05, seed="s")
    assert arm.mde is None
    whale = past(60, outcome=np.r_[np.zeros(59), 1e6], before=np.r_[np.zeros(59), 1e6][:, None])
    shares = (Fraction(1, 10), Fraction(9, 10))
    [arm] = replay([whale], ("holdout", "a"), shares, draws=50, alpha=0.05, seed="s")
    assert arm.without_interval == 1
    assert np.isnan(arm.coverage).all()
    assert arm.power.max() == 0


def test_without_earlier_history_the_careful_interval_is_taken() -> None:
    [arm] = replay(
        [past(500, before=None, before_covariate=None)],
        ("holdout", "a"), SHARES, draws=20, alpha=0.05, seed="s",
    )  # fmt: skip
    assert arm.methods == {"W2": 20}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    percents=st.lists(st.integers(1, 60), min_size=2, max_size=4),
)
def test_labels_keep_the_shares_in_every_draw(sizes: list[int], percents: list[int]) -> None:
    shares = [Fraction(p, sum(percents)) for p in percents]
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    n = stratum.size
    found = past(n, stratum=stratum)
    labels = np.concatenate(list(_labels(found, shares, 5, "seed")))
    assert labels.shape == (5, n)
    for row in labels:
        held = row == 0
        assert abs(held.sum() - shares[0] * n) < 1
        for place, size in enumerate(sizes):
            assert abs(held[stratum == place].sum() - shares[0] * size) < 1


def test_no_unit_is_favoured() -> None:
    found = past(10, stratum=np.array([0] * 3 + [1] * 7))
    labels = np.concatenate(list(_labels(found, SHARES, 8000, "seed")))
    held = (labels == 0).mean(axis=0)
    # 10 units, 4.5 Monte-Carlo errors of 0.3 in 8,000 draws
    assert np.abs(held - 0.3).max() < 4.5 * np.sqrt(0.21 / 8000)


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        ([0.05, 0.4, 0.9], 0.1 + 0.1 * 0.4 / 0.5),
        ([0.05, 0.8, 0.7], 0.1),
        ([0.05, 0.3, 0.79], None),
        ([0.9, 0.9, 0.9], 0.0),
    ],
)
def test_the_crossing_is_interpolated(power: list[float], expected: float | None) -> None:
    found = crossing(np.array([0.0, 0.1, 0.2]), np.array(power))
    assert found == pytest.approx(expected) if expected is not None else found is None


@pytest.mark.parametrize("effects", [(0.1, 0.2), (0.0, 0.2, 0.1)])
def test_effects_must_ascend_from_none(effects: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend from 0"):
        replay([past(50)], ("h", "a"), SHARES, draws=2, alpha=0.05, seed="s", effects=effects)
    with pytest.raises(ValueError, match="at least one"):
        replay([], ("h", "a"), SHARES, draws=2, alpha=0.05, seed="s")
