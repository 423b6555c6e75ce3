"""Was the split what it was meant to be, and were the arms alike before the start?

Tests of the draw itself; outcomes after the start have no business here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from scipy import stats

from loyalty_exp.stats.resampling import redraws

__all__ = ["ALARM", "Balance", "Losses", "Split", "balance", "losses", "omnibus", "split"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ALARM = 0.001
PERMUTE_BELOW = 500
MOST_SPLITS = 100_000
TIE = 1e-9
RANK = 1e-8
"""Share of the largest eigenvalue of the correlations below which one is rounding."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Whether units were lost from the arms at the same rate: erased, merged, missing.

    Attributes:
        p_value: Over all strata together, in (0, 1].
        by_stratum: The same in each stratum, shape (strata,).
        rates: Share of each arm's assigned units that are lost, shape (arms,); NaN for an empty
            arm.
        alarm: Whether any of these p-values is below 0.001.
    """

    p_value: float
    by_stratum: Floats
    rates: Floats
    alarm: bool


@dataclass(frozen=True, slots=True)
class Split:
    """Whether a split made elsewhere has the shares it should have.

    Attributes:
        p_value: In (0, 1].
        method: "exact", or "chi-square" where the exact one has too many terms.
        alarm: Whether the p-value is below 0.001.
    """

    p_value: float
    method: str
    alarm: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether two arms were alike before the start, in all covariates at once.

    Attributes:
        d2: Hansen and Bowers' statistic, no unit; NaN if no covariate varies.
        df: Its degrees of freedom, the rank of the covariates within strata.
        p_value: In (0, 1]; NaN if no covariate varies.
        method: "chi-square", or "permutation" for fewer than 500 units.
        standardised: Difference of means over the root mean square of the arms' standard
            deviations, after log1p, treated minus holdout, shape (covariates,); NaN for a
            covariate that varies in neither arm.
        alarm: Whether the p-value is below 0.001.
    """

    d2: float
    df: int
    p_value: float
    method: str
    standardised: Floats
    alarm: bool


def losses(lost: Ints, assigned: Ints) -> Losses:
    """Tests whether being lost depends on the arm.

    With two arms Fisher's exact test; with more, each arm against all the others, the smallest
    p-value times the number of arms (Bonferroni). A chi-square on the counts that are left would
    hardly see a loss of several percent.

    Args:
        lost: Units lost of each stratum and arm, shape (strata, arms).
        assigned: Units assigned, lost ones included, same shape.

    Returns:
        The tests, per stratum and pooled.

    Raises:
        ValueError: If more units are lost than were assigned, or the shapes differ.

    Source: Fisher (1935).
    """
    if lost.shape != assigned.shape or np.any(lost < 0) or np.any(lost > assigned):
        raise ValueError("lost units are counted among the assigned ones, per stratum and arm")
    by_stratum = np.array(
        [_fisher(gone, drawn) for gone, drawn in zip(lost, assigned, strict=True)]
    )
    gone, drawn = lost.sum(axis=0), assigned.sum(axis=0)
    pooled = _fisher(gone, drawn)
    rates = np.divide(gone, drawn, out=np.full(gone.size, np.nan), where=drawn > 0)
    return Losses(pooled, by_stratum, rates, bool(min(pooled, *by_stratum) < ALARM))


def split(counts: Sequence[int], shares: Sequence[float]) -> Split:
    """Tests the counts of a split made elsewhere against its declared shares.

    Args:
        counts: Units in each arm, shape (arms,).
        shares: Declared share of each arm, shape (arms,), summing to 1.

    Returns:
        The exact binomial or multinomial test, whose p-value is the chance of a split no likelier
        than this one; Pearson's chi-square where that has over 100,000 terms.

    Raises:
        ValueError: If shares do not sum to 1 or do not match the arms.
    """
    if len(counts) != len(shares) or abs(sum(shares) - 1) > TIE or min(shares) <= 0:
        raise ValueError("one positive share an arm is expected, summing to 1")
    total, arms = sum(counts), len(counts)
    method = "exact"
    if arms == 2:
        p_value = float(stats.binomtest(counts[0], total, shares[0]).pvalue)
    elif comb(total + arms - 1, arms - 1) <= MOST_SPLITS:
        p_value = _multinomial(counts, shares)
    else:
        method = "chi-square"
        p_value = float(stats.chisquare(counts, total * np.asarray(shares)).pvalue)
    return Split(p_value, method, p_value < ALARM)


def balance(
    covariates: Floats, treated: Bools, strata: Ints, *, digest: str, draws: int = 4_999
) -> Balance:
    """Tests whether the arms were alike before the start, given the strata of the draw.

    Covariates are taken as sign(x) log(1 + |x|): on raw money the test rejects too often or too
    rarely. The reference is chi-square, or re-draws when there are fewer than 500 units.

    Args:
        covariates: Values before the start, shape (units, covariates).
        treated: Whether each unit is treated, shape (units,).
        strata: Stratum of each unit in the draw, shape (units,).
        digest: Digest of the frozen launch: the seed of the re-draws.
        draws: Number of re-draws.

    Returns:
        The test over all covariates, and each one's standardised difference.

    Raises:
        ValueError: If the arrays differ in length.

    Source: Hansen and Bowers (2008), eq. 7, with the finite-population covariance.
    """
    if not covariates.shape[0] == treated.size == strata.size:
        raise ValueError("one row a unit is expected in every array")
    values = np.sign(covariates) * np.log1p(np.abs(covariates))
    standardised = _standardised(values, treated)
    centred, covariance = _within_strata(values, treated, strata)
    inverse, df = _inverse(covariance, np.abs(values).max(axis=0))
    if df == 0:
        return Balance(np.nan, 0, np.nan, "chi-square", standardised, alarm=False)
    d2 = float(_quadratic(centred[~treated].sum(axis=0)[None, :], inverse)[0])
    method = "chi-square" if treated.size >= PERMUTE_BELOW else "permutation"
    if method == "permutation":
        sums = np.concatenate([held @ centred for held in redraws(treated, strata, digest, draws)])
        larger = _quadratic(sums, inverse) >= d2 * (1 - TIE)
        p_value = float((1 + larger.sum()) / (1 + draws))
    else:
        p_value = float(stats.chi2.sf(d2, df))
    return Balance(d2, df, p_value, method, standardised, p_value < ALARM)


def omnibus(gap: Floats, covariance: Floats, size: Floats) -> tuple[float, int]:
    """Hansen and Bowers' statistic over all covariates, from sums, and its degrees of freedom.

    Args:
        gap: Sum over the holdout of each covariate, centred within strata, shape (covariates,).
        covariance: Its covariance over all draws, shape (covariates, covariates).
        size: What is large for each covariate, so that rounding is told from spread, likewise.

    Returns:
        d2 and the rank of the covariance; NaN and 0 if no covariate varies.

    Source: Hansen and Bowers (2008), eq. 7.
    """
    inverse, df = _inverse(covariance, size)
    return (float(_quadratic(gap[None, :], inverse)[0]) if df else np.nan), df


def _inverse(covariance: Floats, size: Floats) -> tuple[Floats, int]:
    """Generalised inverse of a covariance and its rank; covariates that do not vary weigh 0."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    use = np.flatnonzero(scale > TIE * np.maximum(size, TIE))
    inverse = np.zeros_like(covariance)
    if not use.size:
        return inverse, 0
    spread = np.outer(scale[use], scale[use])
    correlation = covariance[np.ix_(use, use)] / spread
    df = int(np.linalg.matrix_rank(correlation, tol=RANK, hermitian=True))
    inverse[np.ix_(use, use)] = np.linalg.pinv(correlation, rcond=RANK, hermitian=True) / spread
    return inverse, df


def _fisher(lost: Ints, assigned: Ints) -> float:
    """Returns the p-value of lost x arm for one table, arms in a vector."""
    kept = assigned - lost
    arms = range(1 if lost.size == 2 else lost.size)
    p_values = [
        stats.fisher_exact(
            [[lost[arm], kept[arm]], [lost.sum() - lost[arm], kept.sum() - kept[arm]]]
        ).pvalue
        for arm in arms
    ]
    return float(min(1.0, len(p_values) * min(p_values)))


def _multinomial(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Returns the chance of a split no likelier than this one, by listing all of them."""
    total, arms = sum(counts), len(counts)
    bars = np.array(list(combinations(range(total + arms - 1), arms - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), total + arms - 1)])
    law = stats.multinomial(total, shares)
    chances = law.pmf(np.diff(edges, axis=1) - 1)
    return float(min(1.0, chances[chances <= law.pmf(counts) * (1 + TIE)].sum()))


def _within_strata(values: Floats, treated: Bools, strata: Ints) -> tuple[Floats, Floats]:
    """Returns values centred within strata, and the covariance of their sum over the holdout."""
    centred = np.empty_like(values)
    covariance = np.zeros((values.shape[1], values.shape[1]))
    for stratum in np.unique(strata):
        inside = strata == stratum
        part = values[inside] - values[inside].mean(axis=0)
        centred[inside] = part
        n, n_1 = part.shape[0], int(treated[inside].sum())
        if n > 1:
            covariance += n_1 * (n - n_1) / (n * (n - 1)) * (part.T @ part)
    return centred, covariance


def _quadratic(sums: Floats, inverse: Floats) -> Floats:
    """Returns d' V^- d of each row."""
    return np.asarray(((sums @ inverse) * sums).sum(axis=1), dtype=np.float64)


def _standardised(values: Floats, treated: Bools) -> Floats:
    """Returns differences of means in standard deviations, per covariate (Austin 2009)."""
    nothing = np.full(values.shape[1], np.nan)
    one, two = values[treated], values[~treated]
    if min(len(one), len(two)) < 2:
        return nothing
    spread = np.sqrt((one.var(axis=0, ddof=1) + two.var(axis=0, ddof=1)) / 2)
    gap = one.mean(axis=0) - two.mean(axis=0)
    varies = spread > TIE * np.abs(values).max(axis=0)
    return np.asarray(np.divide(gap, spread, out=nothing, where=varies), dtype=np.float64)
