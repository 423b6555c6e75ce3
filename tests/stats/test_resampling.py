"""Permutation test and max-t band, against enumeration of every possible draw."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from loyalty_exp.stats.resampling import max_t_band, permutation_test

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def t_statistic(y: Floats, x: Floats, treated: Bools) -> float:
    """CUPED by least squares on the covariate, then scipy's Welch statistic."""
    theta = np.polyfit(x, y, 1)[0]
    e = y - theta * x
    return float(stats.ttest_ind(e[treated], e[~treated], equal_var=False).statistic)


def every_draw(treated: Bools, strata: npt.NDArray[np.int64]) -> list[Bools]:
    """All draws with the same counts in every stratum."""
    choices = []
    for stratum in np.unique(strata):
        units = np.flatnonzero(strata == stratum)
        choices.append(list(combinations(units, int((~treated[units]).sum()))))
    draws = []
    for picked in product(*choices):
        draw = np.ones(treated.size, dtype=bool)
        draw[[unit for part in picked for unit in part]] = False
        draws.append(draw)
    return draws


def tiny(seed: int) -> tuple[Floats, Floats, Bools, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    strata = np.repeat([0, 1], [6, 7])
    x = rng.exponential(size=13) * (1 + strata)
    y = x + rng.exponential(size=13)
    treated = np.ones(13, dtype=bool)
    treated[[0, 3, 7, 9, 12]] = False
    return y, x, treated, strata


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p_value_is_that_of_all_draws(seed: int) -> None:
    y, x, treated, strata = tiny(seed)
    result = permutation_test(y, x, treated, strata, digest="d", draws=9_999)
    observed = t_statistic(y, x, treated)
    assert result.statistic == pytest.approx(observed, rel=1e-9)
    values = np.array([t_statistic(y, x, draw) for draw in every_draw(treated, strata)])
    exact = float(np.mean(np.abs(values) >= abs(observed) - 1e-9))
    # Four Monte-Carlo errors of 9,999 re-draws.
    assert abs(result.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 9_999) + 1e-4


def test_null_value_is_subtracted_from_the_treated() -> None:
    y, x, treated, strata = tiny(4)
    shifted = permutation_test(
        y + 5.0 * treated, x, treated, strata, digest="d", draws=999, null_effect=5.0
    )
    plain = permutation_test(y, x, treated, strata, digest="d", draws=999)
    assert shifted.p_value == plain.p_value
    assert shifted.statistic == pytest.approx(plain.statistic)


def test_the_digest_is_the_seed() -> None:
    y, x, treated, strata = tiny(5)
    p = [
        permutation_test(y, x, treated, strata, digest=digest, draws=199).p_value
        for digest in ("a", "a", "b", "c", "d")
    ]
    assert p[0] == p[1]
    assert len(set(p)) > 1


def test_size_is_right_where_welch_fails() -> None:
    # Log-normal, 8 of 80 held out, no effect: rejections at .05 of 400 draws, four errors of .011.
    rng = np.random.default_rng(6)
    y, x = np.exp(2 * rng.standard_normal((2, 80)))
    rejected = 0
    for draw in range(400):
        treated = np.ones(80, dtype=bool)
        treated[rng.choice(80, 8, replace=False)] = False
        test = permutation_test(
            y, x, treated, np.zeros(80, dtype=np.int64), digest=str(draw), draws=199
        )
        rejected += test.p_value <= 0.05
    assert abs(rejected / 400 - 0.05) < 0.044


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x, treated, strata = tiny(7)
    whole = permutation_test(y, x, treated, strata, digest="d", draws=500)
    monkeypatch.setattr("loyalty_exp.stats.resampling.CELLS_AT_ONCE", 13 * 7)
    assert permutation_test(y, x, treated, strata, digest="d", draws=500) == whole


def test_band_is_that_of_all_draws() -> None:
    y, x, treated, strata = tiny(8)
    months = np.column_stack([y, y[::-1], np.roll(y, 3) * 10])
    band = max_t_band(months, x, treated, strata, digest="d", draws=20_000)
    smallest, largest, effects, errors = [], [], [], []
    centred = np.empty_like(months)
    for month in range(3):
        e = months[:, month] - np.polyfit(x, months[:, month], 1)[0] * x
        effects.append(e[treated].mean() - e[~treated].mean())
        errors.append(effects[-1] / t_statistic(months[:, month], x, treated))
        centred[:, month] = e - np.where(treated, e[treated].mean(), e[~treated].mean())
    for draw in every_draw(treated, strata):
        t = stats.ttest_ind(centred[draw], centred[~draw], equal_var=False).statistic
        smallest.append(t.min())
        largest.append(t.max())
    assert band.effect == pytest.approx(np.array(effects), rel=1e-9)
    assert band.standard_error == pytest.approx(np.array(errors), rel=1e-9)
    # 525 possible draws: quantiles may land on the neighbouring one, hence the tolerance.
    upper, lower = np.quantile(largest, 0.975), np.quantile(smallest, 0.025)
    assert (band.effect - band.lower) / band.standard_error == pytest.approx(upper, rel=0.06)
    assert (band.effect - band.upper) / band.standard_error == pytest.approx(lower, rel=0.06)
    # The same multiple in every month.
    assert np.ptp((band.effect - band.lower) / band.standard_error) < 1e-9


def test_a_wider_path_needs_a_wider_band() -> None:
    rng = np.random.default_rng(9)
    y, x = rng.exponential(size=(200, 12)), rng.exponential(size=200)
    treated = rng.random(200) < 0.5
    strata = np.zeros(200, dtype=np.int64)
    twelve = max_t_band(y, x, treated, strata, digest="d", draws=999)
    one = max_t_band(y[:, :1], x, treated, strata, digest="d", draws=999)
    assert twelve.upper[0] - twelve.lower[0] > 1.2 * (one.upper[0] - one.lower[0])
    looser = max_t_band(y, x, treated, strata, digest="d", draws=999, alpha=0.2)
    assert np.all(looser.upper - looser.lower < twelve.upper - twelve.lower)


def test_a_month_that_does_not_vary_has_no_limits() -> None:
    y, x, treated, strata = tiny(10)
    band = max_t_band(np.column_stack([y, np.zeros(13)]), x, treated, strata, digest="d", draws=99)
    assert np.isfinite(band.lower[0])
    assert np.isnan(band.lower[1])
    assert np.isnan(band.upper[1])
    assert band.reasons == ("", "the outcome does not vary in either arm")
    test = permutation_test(np.full(13, 7.1), x, treated, strata, digest="d")
    assert np.isnan(test.p_value)
    assert "does not vary" in test.reason


def test_too_few_units() -> None:
    y, x, _, strata = tiny(11)
    treated = np.ones(13, dtype=bool)
    treated[4] = False
    assert permutation_test(y, x, treated, strata, digest="d").reason.startswith("an arm has fewer")
    band = max_t_band(y[:, None], x, treated, strata, digest="d")
    assert band.reasons == ("an arm has fewer than two units",)


def test_lengths_must_agree() -> None:
    y, x, treated, strata = tiny(12)
    with pytest.raises(ValueError, match="one row a unit"):
        permutation_test(y, x[:-1], treated, strata, digest="d")
