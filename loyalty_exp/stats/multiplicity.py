"""Several comparisons at once: adjusted p-values, heterogeneity of segments, shrunken effects.

Takes estimates with their standard errors; it may not choose which comparisons are primary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import chi2

__all__ = ["Heterogeneity", "Shrunken", "heterogeneity", "holm", "shrink"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Whether effects differ between disjoint segments by more than chance.

    Attributes:
        q: Cochran's Q, no unit; NaN if fewer than two segments are estimable.
        df: Its degrees of freedom: estimable segments less one.
        p_value: Probability of so large a Q were all effects equal; NaN if not estimable.
        reason: Why there is no test, in words; empty if there is one.
    """

    q: float
    df: int
    p_value: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Shrunken:
    """Effects of segments pulled towards their common mean by how little each one knows.

    Attributes:
        effect: Posterior means, in the unit of the effects, shape (segments,); NaN where the
            segment itself is not estimable.
        standard_error: Posterior standard deviations given the two parameters below, same shape.
        common_mean: Estimated mean of the effects, same unit.
        between_sd: Estimated standard deviation between true effects, same unit.
        reason: Why nothing could be shrunken, in words; empty if it could.
    """

    effect: Floats
    standard_error: Floats
    common_mean: float
    between_sd: float
    reason: str = ""


def holm(p_values: Sequence[float]) -> Floats:
    """Adjusts p-values so that the chance of any false alarm among them is held.

    Args:
        p_values: One p-value a comparison, shape (comparisons,); NaN where not estimable: it
            stays NaN and does not count as a comparison.

    Returns:
        Adjusted p-values, same shape.

    Source: Holm (1979).
    """
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415  slow to import

    adjusted = np.asarray(p_values, dtype=np.float64).copy()
    known = np.isfinite(adjusted)
    if known.any():
        adjusted[known] = multipletests(adjusted[known], method="holm")[1]
    return adjusted


def heterogeneity(effect: Sequence[float], standard_error: Sequence[float]) -> Heterogeneity:
    """Tests whether the effects of disjoint segments are equal.

    Args:
        effect: Effect of each segment, shape (segments,).
        standard_error: Its standard error, same unit and shape.

    Returns:
        Cochran's test over the segments that are estimable.

    Raises:
        ValueError: If the two differ in length.

    Source: Cochran (1954).
    """
    estimates, variances = _estimable(effect, standard_error)
    df = estimates.size - 1
    if df < 1:
        return Heterogeneity(np.nan, max(df, 0), np.nan, "fewer than two segments are estimable")
    weights = 1 / variances
    mean = weights @ estimates / weights.sum()
    q = float(weights @ (estimates - mean) ** 2)
    return Heterogeneity(q, df, float(chi2.sf(q, df)))


def shrink(effect: Sequence[float], standard_error: Sequence[float]) -> Shrunken:
    """Shrinks the effects of disjoint segments: normal-normal empirical Bayes.

    The variance between true effects solves Paule and Mandel's equation; each posterior mean
    weighs the segment's own effect by between / (between + own variance). The standard errors
    include that of the common mean but take the variance between as known: somewhat too small
    with few segments, hence exploratory.

    Args:
        effect: Effect of each segment, shape (segments,).
        standard_error: Its standard error, same unit and shape.

    Returns:
        The shrunken effects; NaN with a reason if fewer than three segments are estimable.

    Raises:
        ValueError: If the two differ in length.

    Source: Paule and Mandel (1982); Morris (1983), eq. 1.9 to 1.12.
    """
    estimates, variances = _estimable(effect, standard_error)
    nothing = np.full(len(effect), np.nan)
    if estimates.size < 3:
        return Shrunken(nothing, nothing, np.nan, np.nan, "fewer than three segments are estimable")
    between = _paule_mandel(estimates, variances)
    weights = 1 / (variances + between)
    mean = float(weights @ estimates / weights.sum())
    own = np.asarray(effect, np.float64)
    variance = np.asarray(standard_error, np.float64) ** 2
    known = np.isfinite(own) & np.isfinite(variance) & (variance > 0)
    factor = np.full(own.size, np.nan)
    factor[known] = between / (between + variance[known])
    posterior = mean + factor * (own - mean)
    error = np.sqrt(factor * variance + (1 - factor) ** 2 / weights.sum())
    return Shrunken(posterior, error, mean, float(np.sqrt(between)))


def _paule_mandel(estimates: Floats, variances: Floats) -> float:
    """Returns the variance between effects at which Q equals its degrees of freedom, or 0."""

    def excess(between: float) -> float:
        weights = 1 / (variances + between)
        mean = weights @ estimates / weights.sum()
        return float(weights @ (estimates - mean) ** 2) - (estimates.size - 1)

    if excess(0.0) <= 0:
        return 0.0
    # With equal weights Q is at most the squared range times n over the variance.
    highest = estimates.size * float(np.ptp(estimates)) ** 2
    return float(brentq(excess, 0.0, highest, xtol=1e-14 * highest, rtol=1e-12))


def _estimable(effect: Sequence[float], standard_error: Sequence[float]) -> tuple[Floats, Floats]:
    """Returns effects and variances of the segments that have both."""
    estimates = np.asarray(effect, dtype=np.float64)
    errors = np.asarray(standard_error, dtype=np.float64)
    if estimates.shape != errors.shape:
        raise ValueError("one standard error an effect is expected")
    known = np.isfinite(estimates) & np.isfinite(errors) & (errors > 0)
    return estimates[known], errors[known] ** 2
