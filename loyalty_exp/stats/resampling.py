"""Re-draws of the actual draw: an exact-in-spirit test for small lists, and a band for the path.

Works on customer rows in memory; it gives a p-value or a band, never the headline interval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PathBand", "PermutationTest", "max_t_band", "permutation_test", "redraws"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CELLS_AT_ONCE = 2_000_000
TIE = 1e-9


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """Two-sided studentized permutation test of one effect.

    Attributes:
        p_value: (1 + re-draws at least as extreme) / (1 + re-draws), in (0, 1]; NaN if not
            estimable.
        statistic: Effect minus its null value, over its standard error; no unit.
        draws: Number of re-draws.
        reason: Why there is no p-value, in words; empty if there is one.
    """

    p_value: float
    statistic: float
    draws: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PathBand:
    """Simultaneous band for the effects of several months.

    Attributes:
        effect: Effect per unit, money, shape (months,).
        standard_error: Its W1 standard error, same unit and shape.
        lower: Lower limits, all months together at the stated level, same unit and shape.
        upper: Upper limits, likewise.
        draws: Number of re-draws.
        reasons: Why a month has no limits (NaN), in words, shape (months,); empty if it has.
    """

    effect: Floats
    standard_error: Floats
    lower: Floats
    upper: Floats
    draws: int
    reasons: tuple[str, ...]


def permutation_test(
    outcome: Floats,
    covariate: Floats,
    treated: Bools,
    strata: Ints,
    *,
    digest: str,
    draws: int = 4_999,
    null_effect: float = 0.0,
) -> PermutationTest:
    """Tests an effect by re-drawing who was treated, stratum by stratum with the same counts.

    The statistic is the pooled-CUPED effect over its Welch standard error, computed anew in every
    re-draw: exact if the effect is the same for everybody, and right on average in large lists
    if it is not.

    Args:
        outcome: Outcome of each unit, shape (units,).
        covariate: The same before the start, shape (units,).
        treated: Whether each unit is treated, shape (units,).
        strata: Stratum of each unit in the draw, shape (units,).
        digest: Digest of the frozen launch: the seed of the re-draws.
        draws: Number of re-draws.
        null_effect: Effect per unit to be tested, in the unit of the outcome.

    Returns:
        The test; NaN with a reason where an arm has fewer than two units or nothing varies.

    Raises:
        ValueError: If the arrays differ in length.

    Source: Chung and Romano (2013); Wu and Ding (2021).
    """
    _check_lengths(outcome, covariate, treated, strata)
    reason = _too_few(treated)
    if reason:
        return PermutationTest(np.nan, np.nan, 0, reason)
    under_null = outcome - null_effect * treated
    residual = _residuals(under_null[:, None], covariate)
    if np.ptp(residual) <= TIE * np.abs(under_null).max():
        return PermutationTest(np.nan, np.nan, 0, "the outcome does not vary in either arm")
    observed = float(_statistics(residual, ~treated[None, :])[0][0, 0])
    redrawn = np.concatenate(
        [_statistics(residual, holdout)[0] for holdout in redraws(treated, strata, digest, draws)]
    )
    extreme = np.abs(redrawn) >= abs(observed) * (1 - TIE)
    return PermutationTest(float((1 + extreme.sum()) / (1 + draws)), observed, draws)


def max_t_band(
    outcomes: Floats,
    covariate: Floats,
    treated: Bools,
    strata: Ints,
    *,
    digest: str,
    draws: int = 4_999,
    alpha: float = 0.05,
) -> PathBand:
    """Returns a band that holds the effects of all months at once with probability 1 - alpha.

    Residuals of each month are centred within their arm, labels re-drawn within strata, and the
    limits taken from the largest and the smallest t over the months of each re-draw. Unlike a
    normal band it stays right for sparse months and small holdouts.

    Args:
        outcomes: Outcome of each unit and month, shape (units, months).
        covariate: The same before the start, shape (units,).
        treated: Whether each unit is treated, shape (units,).
        strata: Stratum of each unit in the draw, shape (units,).
        digest: Digest of the frozen launch: the seed of the re-draws.
        draws: Number of re-draws.
        alpha: Probability that some month escapes.

    Returns:
        The band; NaN limits with a reason for a month that does not vary in either arm.

    Raises:
        ValueError: If the arrays differ in length.

    Source: Westfall and Young (1993), max-T.
    """
    _check_lengths(outcomes, covariate, treated, strata)
    months = outcomes.shape[1]
    nothing = np.full(months, np.nan)
    reason = _too_few(treated)
    if reason:
        return PathBand(nothing, nothing, nothing, nothing, 0, (reason,) * months)
    residual = _residuals(outcomes, covariate)
    _, effect, error = (row[0] for row in _statistics(residual, ~treated[None, :]))
    varies = error > TIE * np.abs(outcomes).max(axis=0)
    centred = residual - np.where(
        treated[:, None], residual[treated].mean(axis=0), residual[~treated].mean(axis=0)
    )
    lower, upper = nothing.copy(), nothing.copy()
    if varies.any():
        extremes = [
            (redrawn.min(axis=1), redrawn.max(axis=1))
            for holdout in redraws(treated, strata, digest, draws)
            for redrawn in (_statistics(centred[:, varies], holdout)[0],)
        ]
        smallest, largest = (np.concatenate(side) for side in zip(*extremes, strict=True))
        lower[varies] = (effect - _quantile(largest, 1 - alpha / 2) * error)[varies]
        upper[varies] = (effect - _quantile(smallest, alpha / 2) * error)[varies]
    reasons = ("" if moves else "the outcome does not vary in either arm" for moves in varies)
    return PathBand(effect, error, lower, upper, draws, tuple(reasons))


def _residuals(outcomes: Floats, covariate: Floats) -> Floats:
    """Returns Y - theta X, both centred, theta pooled over all units; shape (units, months)."""
    y = outcomes - outcomes.mean(axis=0)
    x = covariate - covariate.mean()
    square = x @ x
    theta = (x @ y) / square if square > 0 else np.zeros(y.shape[1])
    return np.asarray(y - np.outer(x, theta), dtype=np.float64)


def _statistics(residual: Floats, holdout: Bools) -> tuple[Floats, Floats, Floats]:
    """Returns t, effect and Welch standard error of each re-draw and month.

    Args:
        residual: Centred residuals, shape (units, months).
        holdout: Who is held out in each re-draw, shape (draws, units); equal counts.

    Returns:
        Three arrays of shape (draws, months); t is 0 for no effect, infinite for one that has no
        standard error.
    """
    n_0 = int(holdout[0].sum())
    n_1 = residual.shape[0] - n_0
    squares = residual**2
    weights = holdout.astype(np.float64)
    sum_0, square_0 = weights @ residual, weights @ squares
    sum_1, square_1 = residual.sum(axis=0) - sum_0, squares.sum(axis=0) - square_0
    effect = sum_1 / n_1 - sum_0 / n_0
    variance = np.maximum(square_1 - sum_1**2 / n_1, 0) / (n_1 * (n_1 - 1))
    variance += np.maximum(square_0 - sum_0**2 / n_0, 0) / (n_0 * (n_0 - 1))
    error = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(effect == 0, 0.0, effect / error)
    return t, effect, error


def redraws(treated: Bools, strata: Ints, digest: str, draws: int) -> Iterator[Bools]:
    """Yields re-draws of who is held out: within strata, the counts of the draw as it was.

    Args:
        treated: Whether each unit is treated, shape (units,).
        strata: Stratum of each unit in the draw, shape (units,).
        digest: Digest of the frozen launch: the seed.
        draws: Number of re-draws in all.

    Yields:
        Blocks of re-draws, shape (some draws, units), true for a unit held out. How they are cut
        into blocks does not change them.
    """
    seed = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:16], "big")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    at_once = max(1, CELLS_AT_ONCE // treated.size)
    for first in range(0, draws, at_once):
        rows = min(at_once, draws - first)
        keys = rng.random((rows, treated.size))
        holdout = np.zeros((rows, treated.size), dtype=np.bool_)
        for units in members:
            held = int((~treated[units]).sum())
            if held:
                order = np.argpartition(keys[:, units], held - 1, axis=1)[:, :held]
                np.put_along_axis(holdout, units[order], True, axis=1)
        yield holdout


def _quantile(values: Floats, probability: float) -> float:
    """Returns the order statistic (n + 1) p, so that n re-draws and the draw itself count."""
    return float(np.quantile(values, probability, method="weibull"))


def _check_lengths(*arrays: npt.NDArray[np.generic]) -> None:
    if len({array.shape[0] for array in arrays}) > 1:
        raise ValueError("one row a unit is expected in every array")


def _too_few(treated: Bools) -> str:
    if min(treated.sum(), (~treated).sum()) < 2:
        return "an arm has fewer than two units"
    return ""
