"""Influence: against least squares on the rows that are left."""

from __future__ import annotations

import numpy as np
import pytest

from loyalty_exp.stats.influence import without_largest


def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.lognormal(3, 1.2, 300)
    y = x * rng.lognormal(0, 0.7, 300)
    return y, x, rng.random(300) < 0.8


def test_each_line_is_cuped_on_the_rest() -> None:
    y, x, treated = sample()
    for line in without_largest(y, x, treated):
        keep = np.ones(300, dtype=bool)
        for arm in (treated, ~treated):
            cut = np.sort(y[arm])[::-1][line.dropped - 1] if line.dropped else np.inf
            keep &= ~(arm & (y >= cut))
        assert keep.sum() == 300 - 2 * line.dropped
        e = y[keep] - np.polyfit(x[keep], y[keep], 1)[0] * x[keep]
        one, two = e[treated[keep]], e[~treated[keep]]
        assert line.effect == pytest.approx(one.mean() - two.mean(), rel=1e-9)
        variance = one.var(ddof=1) / one.size + two.var(ddof=1) / two.size
        assert line.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)
        assert line.share_of_outcome == pytest.approx(y[~keep].sum() / y.sum(), abs=1e-12)


def test_one_whale_shows() -> None:
    y, x, treated = sample()
    y[np.flatnonzero(treated)[0]] = 1e6
    whole, without, *_ = without_largest(y, x, treated)
    assert whole.effect > 1e6 / 300
    assert abs(without.effect) < 100
    assert without.share_of_outcome > 0.9


def test_covariate_that_does_not_vary() -> None:
    y, _, treated = sample()
    line = without_largest(y, np.zeros(300), treated, [0])[0]
    assert line.effect == pytest.approx(y[treated].mean() - y[~treated].mean())


def test_too_few_left() -> None:
    y, x = np.arange(12.0), np.zeros(12)
    lines = without_largest(y, x, np.arange(12) < 6)
    assert [np.isnan(line.effect) for line in lines] == [False, False, True, True]
    assert "fewer than two" in lines[2].reason


def test_nothing_bought() -> None:
    line = without_largest(np.zeros(8), np.zeros(8), np.arange(8) < 4, [1])[0]
    assert line.effect == 0
    assert np.isnan(line.share_of_outcome)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one row a unit"):
        without_largest(np.zeros(3), np.zeros(2), np.zeros(3, dtype=bool))
