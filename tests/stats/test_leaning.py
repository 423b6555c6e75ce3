"""Bias of pooled CUPED against the enumeration of every draw, and against the rows by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from loyalty_exp.stats.ancova import Comparison, IntervalMethod, JointEffects, joint_effects
from loyalty_exp.stats.leaning import expected_bias
from loyalty_exp.stats.moments import Moments

W1, TOO_FEW = IntervalMethod.W1, IntervalMethod.TOO_FEW
NAMES, PAIRS = ("y", "x"), (("y", "x"),)


def estimate(y: np.ndarray, x: np.ndarray, treated: np.ndarray) -> JointEffects:
    return joint_effects([compare(y, x, treated)], ["y"], ["x"])


def compare(y: np.ndarray, x: np.ndarray, treated: np.ndarray) -> Comparison:
    rows = np.column_stack([y, x])
    arms = (Moments.from_rows(NAMES, rows[arm], PAIRS) for arm in (treated, ~treated))
    return Comparison(*arms)


def skewed(units: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What customers would spend untreated, nearly in line with their past, and that past."""
    rng = np.random.default_rng(seed)
    x = rng.lognormal(0, 1, units)
    return 1 + 0.7 * x + rng.normal(0, 0.05, units), x


def all_draws(units: int, treated: int) -> np.ndarray:
    chosen = [np.isin(np.arange(units), part) for part in combinations(range(units), treated)]
    return np.array(chosen)


@pytest.mark.parametrize("treated", [3, 5, 8])
def test_expected_bias_is_the_mean_error_over_every_draw(treated: int) -> None:
    untreated, x = skewed(10, 1)
    # In proportion to what the past leads to expect, and small, so that it leaves the slope alone.
    slope = np.polyfit(x, untreated, 1)
    added = 1e-4 * np.polyval(slope, x)
    draws = all_draws(10, treated)
    found = [estimate(untreated + added * draw, x, draw) for draw in draws]
    plain = [estimate(untreated, x, draw) for draw in draws]
    biases = np.array([effects.estimate[0] for effects in found]) - added.mean()
    shares = np.array([effects.slope_bias[0] for effects in found])
    # The draw's own noise is the same with and without the effect; its mean is zero.
    assert np.mean([effects.estimate[0] for effects in plain]) == pytest.approx(0, abs=1e-12)
    square = (x - x.mean()) ** 2
    exact = -(added @ square) / square.sum() / 9
    assert biases.mean() == pytest.approx(exact, rel=1e-6)
    # Only the holdout's mean and the slope are estimated: a few percent of noise.
    assert added.mean() * shares.mean() == pytest.approx(exact, rel=0.03)


def test_share_by_hand_from_rows() -> None:
    untreated, x = skewed(400, 2)
    treated = np.random.default_rng(3).random(400) < 0.7
    y = untreated * np.where(treated, 1.4, 1.0)
    effects = estimate(y, x, treated)
    d = x - x.mean()
    theta = d @ y / (d @ d)
    held = (y - theta * d)[~treated].mean()
    share = -(1 + theta * (d**3).sum() / (d @ d) / held) / 399
    found = expected_bias(effects, W1)
    assert effects.slope_bias[0] == pytest.approx(share, rel=1e-10)
    error = np.sqrt(effects.covariance[0, 0])
    assert found.amount[0] == pytest.approx(share * effects.estimate[0], rel=1e-10)
    assert found.in_errors[0] == pytest.approx(share * effects.estimate[0] / error, rel=1e-10)
    assert found.material[0]
    assert not expected_bias(effects, TOO_FEW).material[0]


def test_strata_are_averaged_by_their_size() -> None:
    parts = [(*skewed(200, 4), np.arange(200) % 2 > 0), (*skewed(100, 5), np.arange(100) % 2 > 0)]
    comparisons = [compare(*part) for part in parts]
    whole = joint_effects(comparisons, ["y"], ["x"])
    each = [joint_effects([comparison], ["y"], ["x"]) for comparison in comparisons]
    lost = sum(
        share * one.slope_bias[0] * one.mean_control[0]
        for share, one in zip((2 / 3, 1 / 3), each, strict=True)
    )
    assert whole.slope_bias[0] == pytest.approx(lost / whole.mean_control[0], rel=1e-12)


def test_no_lean_without_effect_adjustment_or_third_moments() -> None:
    untreated, x = skewed(300, 6)
    treated = np.arange(300) % 2 > 0
    tiny = estimate(untreated * (1 + 1e-6 * treated), x, treated)
    assert not expected_bias(tiny, W1).material[0]
    comparison = compare(untreated, x, treated)
    assert joint_effects([comparison], ["y"], [None]).slope_bias[0] == 0
    bare = Comparison(
        *(
            Moments(arm.names, arm.n, arm.mean, arm.scatter)
            for arm in (comparison.treated, comparison.control)
        )
    )
    found = expected_bias(joint_effects([bare], ["y"], ["x"]), W1)
    assert np.isnan(found.amount[0])
    assert not found.material[0]
