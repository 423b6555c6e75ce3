"""Checks of the draw: against scipy on hand-made tables, enumeration, and their own sizes."""

from __future__ import annotations

from itertools import combinations
from math import factorial, prod

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from loyalty_exp.stats.balance import balance, losses, split

Floats = npt.NDArray[np.float64]


def test_two_arms_are_fishers_test() -> None:
    # Fisher's lady tasting tea with three of four right: one-sided 17/70, two-sided 34/70.
    table = losses(np.array([[3, 1]]), np.array([[4, 4]]))
    assert table.p_value == pytest.approx(34 / 70)
    assert table.by_stratum == pytest.approx([34 / 70])
    assert table.rates == pytest.approx([0.75, 0.25])
    assert not table.alarm


def test_losses_in_one_stratum_only_raise_the_alarm() -> None:
    assigned = np.array([[5000, 5000], [200, 200]])
    lost = np.array([[400, 380], [1, 21]])
    found = losses(lost, assigned)
    assert found.alarm
    assert found.p_value > 0.01
    assert found.by_stratum[1] == pytest.approx(stats.hypergeom(400, 22, 200).cdf(1) * 2, rel=1e-9)


def test_more_arms_are_each_set_against_the_others() -> None:
    lost, assigned = np.array([[10, 30, 12]]), np.array([[100, 100, 100]])
    smallest = min(
        stats.fisher_exact([[10, 90], [42, 158]]).pvalue,
        stats.fisher_exact([[30, 70], [22, 178]]).pvalue,
        stats.fisher_exact([[12, 88], [40, 160]]).pvalue,
    )
    assert losses(lost, assigned).p_value == pytest.approx(3 * smallest)


def test_nobody_lost_is_no_alarm() -> None:
    found = losses(np.zeros((2, 3), dtype=int), np.array([[5, 0, 5], [1, 0, 1]]))
    assert found.p_value == 1
    assert np.isnan(found.rates[1])


def test_more_lost_than_assigned_is_refused() -> None:
    with pytest.raises(ValueError, match="among the assigned"):
        losses(np.array([[5, 0]]), np.array([[4, 4]]))


def test_binomial_split() -> None:
    assert split([60, 40], [0.5, 0.5]).p_value == pytest.approx(
        2 * stats.binom(100, 0.5).cdf(40), rel=1e-9
    )
    assert split([5200, 4800], [0.5, 0.5]).alarm
    assert not split([50, 450], [0.1, 0.9]).alarm


def test_multinomial_split_by_enumeration() -> None:
    counts, shares = (7, 2, 3), (0.3, 0.3, 0.4)

    def chance(cell: tuple[int, ...]) -> float:
        ways = factorial(12) / prod(factorial(number) for number in cell)
        return float(ways * prod(p**number for p, number in zip(shares, cell, strict=True)))

    cells = [(i, j, 12 - i - j) for i in range(13) for j in range(13 - i)]
    exact = sum(c for c in map(chance, cells) if c <= chance(counts) * (1 + 1e-9))
    found = split(counts, shares)
    assert found.method == "exact"
    assert found.p_value == pytest.approx(exact, rel=1e-9)


def test_large_multinomial_split_is_chi_square() -> None:
    found = split([2000, 4050, 3950], [0.2, 0.4, 0.4])
    assert found.method == "chi-square"
    assert found.p_value == pytest.approx(stats.chi2(2).sf(50**2 / 4000 * 2), rel=1e-9)


@pytest.mark.parametrize("shares", [[0.5, 0.6], [1.0, 0.0], [1.0]])
def test_bad_shares_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="one positive share an arm"):
        split([5, 5], shares)


def strata_of(n: int) -> npt.NDArray[np.int64]:
    return np.repeat([0, 1], [n // 3, n - n // 3])


def draw(rng: np.random.Generator, strata: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    treated = np.ones(strata.size, dtype=bool)
    for stratum in np.unique(strata):
        units = np.flatnonzero(strata == stratum)
        treated[rng.choice(units, max(1, units.size // 4), replace=False)] = False
    return treated


def test_d2_has_the_covariance_of_all_draws() -> None:
    # Every draw of 2 of 5 and 2 of 6: the exact covariance of the holdout's sums.
    rng = np.random.default_rng(1)
    strata = np.repeat([0, 1], [5, 6])
    x = rng.lognormal(size=(11, 2))
    logged = np.log1p(x)
    sums = np.array(
        [
            logged[[*a, *b]].sum(axis=0)
            for a in combinations(range(5), 2)
            for b in combinations(range(5, 11), 2)
        ]
    )
    covariance = np.cov(sums.T, bias=True)
    treated = np.ones(11, dtype=bool)
    treated[[0, 3, 5, 8]] = False
    gap = logged[~treated].sum(axis=0) - sums.mean(axis=0)
    exact = gap @ np.linalg.solve(covariance, gap)
    gaps = sums - sums.mean(axis=0)
    others = ((gaps @ np.linalg.inv(covariance)) * gaps).sum(axis=1)
    found = balance(x, treated, strata, digest="d", draws=9_999)
    assert found.d2 == pytest.approx(exact, rel=1e-9)
    assert found.df == 2
    p_value = np.mean(others >= exact - 1e-9)
    # Four Monte-Carlo errors of 9,999 re-draws.
    assert abs(found.p_value - p_value) < 4 * np.sqrt(p_value * (1 - p_value) / 9_999) + 1e-4


def test_one_covariate_one_stratum_is_the_finite_population_z_test() -> None:
    rng = np.random.default_rng(2)
    x = rng.lognormal(3, 1.5, 900)
    treated = draw(rng, np.zeros(900, dtype=np.int64))
    logged = np.log1p(x)
    n_1, n_0 = treated.sum(), (~treated).sum()
    error = np.sqrt(logged.var(ddof=1) * (1 / n_1 + 1 / n_0))
    z = (logged[treated].mean() - logged[~treated].mean()) / error
    found = balance(x[:, None], treated, np.zeros(900, dtype=np.int64), digest="d")
    assert found.method == "chi-square"
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    spread = np.sqrt((logged[treated].var(ddof=1) + logged[~treated].var(ddof=1)) / 2)
    gap = logged[treated].mean() - logged[~treated].mean()
    assert found.standardised == pytest.approx([gap / spread])


@pytest.mark.parametrize("n", [150, 600])
def test_size(n: int) -> None:
    rng = np.random.default_rng(3)
    strata = strata_of(n)
    x = np.where(rng.random((n, 3)) < 0.5, 0.0, rng.lognormal(3, 2, (n, 3)))
    rejected = sum(
        balance(x, draw(rng, strata), strata, digest=str(i), draws=199).p_value <= 0.05
        for i in range(600)
    )
    # Nominal .05, four Monte-Carlo errors of .009.
    assert abs(rejected / 600 - 0.05) < 0.036


def test_a_leak_is_found() -> None:
    rng = np.random.default_rng(4)
    x = rng.lognormal(3, 1.5, (2000, 2))
    best_kept = x[:, 0] + rng.lognormal(3, 1.5, 2000) > np.quantile(x[:, 0], 0.4)
    assert balance(x, best_kept, np.zeros(2000, dtype=np.int64), digest="d").alarm


def test_repeated_and_constant_covariates_change_nothing() -> None:
    rng = np.random.default_rng(5)
    strata = strata_of(700)
    x, treated = rng.lognormal(3, 1, 700), draw(rng, strata)
    alone = balance(x[:, None], treated, strata, digest="d")
    more = balance(np.column_stack([x, x, np.full(700, 7.1)]), treated, strata, digest="d")
    assert more.df == alone.df == 1
    assert more.p_value == pytest.approx(alone.p_value)
    assert np.isnan(more.standardised[2])


def test_refunds_may_be_negative() -> None:
    rng = np.random.default_rng(6)
    x, treated = rng.normal(size=(600, 1)), draw(rng, strata_of(600))
    positive = balance(x, treated, strata_of(600), digest="d")
    assert positive.d2 == pytest.approx(balance(-x, treated, strata_of(600), digest="d").d2)


def test_nothing_varies() -> None:
    found = balance(np.ones((6, 1)), np.arange(6) < 3, np.zeros(6, dtype=np.int64), digest="d")
    assert np.isnan(found.p_value)
    assert not found.alarm


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one row a unit"):
        balance(np.ones((6, 1)), np.arange(5) < 3, np.zeros(6, dtype=np.int64), digest="d")
