"""Covariate-adjusted effects of an arm against the holdout, with their joint covariance.

It works on moments only: no customer row, no knowledge of looks, months or money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loyalty_exp.stats.intervals import (
    IntervalMethod,
    Notes,
    Reason,
    RelativeEffects,
    choose_method,
    critical_values,
    decidable,
    interval,
    interval_notes,
    method_covariance,
    one_sided_probability,
    p_values,
    relative_effects,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.stats.moments import Moments

__all__ = [
    "Comparison",
    "IntervalMethod",
    "JointEffects",
    "Reason",
    "RelativeEffects",
    "choose_method",
    "critical_values",
    "decidable",
    "interval",
    "interval_notes",
    "joint_effects",
    "less_certain",
    "linear_combination",
    "method_covariance",
    "one_sided_probability",
    "p_values",
    "relative_effects",
]

Floats = NDArray[np.float64]

SMALL_HOLDOUT = 20
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One disjoint stratum or wave: the moments of its two arms, of the same variables."""

    treated: Moments
    control: Moments


@dataclass(frozen=True, slots=True, eq=False)
class JointEffects:
    """Adjusted effects of q outcomes per customer, with their joint covariance.

    Every array has shape (q,) or (q, q), in the unit of its outcomes (or the product of two).
    What cannot be estimated is NaN, with the reason in `notes`.

    Attributes:
        outcomes: The q outcomes.
        estimate: Effect per customer, treated minus holdout, adjusted by pooled CUPED.
        covariance: Its covariance from each arm's own variances: the sum of the two below.
        df: Welch-Satterthwaite degrees of freedom of each effect.
        n_treated: Customers assigned to the treated arm.
        n_control: Customers assigned to the holdout.
        mean_treated: Adjusted mean of the treated arm; minus mean_control it is the estimate.
        mean_control: Adjusted mean of the holdout.
        covariance_treated: Covariance of mean_treated.
        covariance_control: Covariance of mean_control.
        pooled_covariance_treated: The same with the residual variance pooled over the arms (W2).
        pooled_covariance_control: The same for the holdout.
        pooled_df: Degrees of freedom of the pooled variance.
        skewness: Skewness gamma of the estimate; NaN where third moments are absent.
        raw_mean_treated: Unadjusted mean of the treated arm.
        raw_mean_control: Unadjusted mean of the holdout.
        raw_variance: Variance of the unadjusted difference.
        theta: Slope on the covariate, averaged over strata by their size.
        slope_bias: Bias expected of the estimate because the slope depends on the draw, as a share
            of the effect, were that in proportion to what each customer is expected to buy;
            below 0 towards no effect. See `expected_bias`. NaN without third moments, or where
            mean_control is not positive.
        notes: Reasons and warnings per outcome.
    """

    outcomes: tuple[str, ...]
    estimate: Floats
    covariance: Floats
    df: Floats
    n_treated: int
    n_control: int
    mean_treated: Floats
    mean_control: Floats
    covariance_treated: Floats
    covariance_control: Floats
    pooled_covariance_treated: Floats
    pooled_covariance_control: Floats
    pooled_df: float
    skewness: Floats
    raw_mean_treated: Floats
    raw_mean_control: Floats
    raw_variance: Floats
    theta: Floats
    slope_bias: Floats
    notes: Notes

    @property
    def pooled_variance(self) -> Floats:
        """Variance Vp of the estimate with the residual variance pooled, shape (q,)."""
        return np.diag(self.pooled_covariance_treated) + np.diag(self.pooled_covariance_control)

    @property
    def raw_difference(self) -> Floats:
        """Unadjusted difference of the means, shape (q,)."""
        return self.raw_mean_treated - self.raw_mean_control

    def position(self, outcome: str) -> int:
        """Place of an outcome in the arrays; raises ValueError for an unknown one."""
        if outcome not in self.outcomes:
            raise ValueError(f"no effect on {outcome!r}")
        return self.outcomes.index(outcome)

    def select(self, outcomes: Sequence[str]) -> JointEffects:
        """The effects on some outcomes, in the order asked for."""
        keep = np.array([self.position(outcome) for outcome in outcomes], dtype=np.intp)
        square = np.ix_(keep, keep)
        return JointEffects(
            outcomes=tuple(outcomes),
            estimate=self.estimate[keep],
            covariance=self.covariance[square],
            df=self.df[keep],
            n_treated=self.n_treated,
            n_control=self.n_control,
            mean_treated=self.mean_treated[keep],
            mean_control=self.mean_control[keep],
            covariance_treated=self.covariance_treated[square],
            covariance_control=self.covariance_control[square],
            pooled_covariance_treated=self.pooled_covariance_treated[square],
            pooled_covariance_control=self.pooled_covariance_control[square],
            pooled_df=self.pooled_df,
            skewness=self.skewness[keep],
            raw_mean_treated=self.raw_mean_treated[keep],
            raw_mean_control=self.raw_mean_control[keep],
            raw_variance=self.raw_variance[keep],
            theta=self.theta[keep],
            slope_bias=self.slope_bias[keep],
            notes=tuple(self.notes[index] for index in keep),
        )


def joint_effects(
    comparisons: Sequence[Comparison],
    outcomes: Sequence[str],
    covariates: Sequence[str | None],
) -> JointEffects:
    """Effects of the arm on q outcomes by pooled CUPED, combined over strata by their size.

    Args:
        comparisons: Disjoint strata or waves, at least one.
        outcomes: The q outcomes.
        covariates: For each outcome its pre-period variable, or None for no adjustment.

    Returns:
        Effects with joint covariance. An outcome that cannot be estimated is NaN with its reason.

    Raises:
        ValueError: No comparison, or not one covariate (or None) for each outcome.

    Source: Deng, Xu, Kohavi and Walker (2013), eq. 4-5; Welch (1947) for the degrees of freedom.
    """
    if not comparisons:
        raise ValueError("at least one comparison is needed")
    if len(outcomes) != len(covariates):
        raise ValueError("one covariate, or None, is needed for each outcome")
    smallest = min(min(c.treated.n, c.control.n) for c in comparisons)
    n_treated = sum(c.treated.n for c in comparisons)
    n_control = sum(c.control.n for c in comparisons)
    if smallest < 2:
        reason = Reason.SINGLE_CUSTOMER if smallest else Reason.EMPTY_ARM
        return _nothing(tuple(outcomes), n_treated, n_control, reason)
    total = n_treated + n_control
    parts = [_stratum(c, outcomes, covariates, total) for c in comparisons]
    sums: dict[str, Floats] = {
        name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]
    }
    notes, void = _notes(sums, min(n_treated, n_control))
    for name, array in sums.items():
        if not name.startswith("raw"):
            array[void] = np.nan
            if array.ndim == 2:
                array[:, void] = np.nan
    variance = np.diag(sums["cov_t"]) + np.diag(sums["cov_c"])
    pooled = np.diag(sums["pooled_t"]) + np.diag(sums["pooled_c"])
    held = np.where(sums["mean_c"] > 0, sums["mean_c"], np.nan)
    return JointEffects(
        outcomes=tuple(outcomes),
        estimate=sums["mean_t"] - sums["mean_c"],
        covariance=sums["cov_t"] + sums["cov_c"],
        df=variance**2 / sums["welch"],
        n_treated=n_treated,
        n_control=n_control,
        mean_treated=sums["mean_t"],
        mean_control=sums["mean_c"],
        covariance_treated=sums["cov_t"],
        covariance_control=sums["cov_c"],
        pooled_covariance_treated=sums["pooled_t"],
        pooled_covariance_control=sums["pooled_c"],
        pooled_df=float(total - 3 * len(parts)),
        skewness=sums["cumulant"] / pooled**1.5,
        raw_mean_treated=sums["raw_mean_t"],
        raw_mean_control=sums["raw_mean_c"],
        raw_variance=sums["raw_var_t"] + sums["raw_var_c"],
        theta=sums["theta"],
        slope_bias=-sums["leverage"] / held,
        notes=notes,
    )


def less_certain(effects: JointEffects, treated: Floats, control: Floats) -> JointEffects:
    """The effects after certain amounts per customer were taken off both arms.

    Args:
        effects: The effects, estimated without these amounts: a certain amount is not adjusted.
        treated: What every treated customer cost for sure, (q,), in the outcomes' unit.
        control: The same for the holdout.

    Returns:
        Means and estimates less these amounts; variances, skewness and slopes as they were.
    """
    return replace(
        effects,
        estimate=effects.estimate - treated + control,
        mean_treated=effects.mean_treated - treated,
        mean_control=effects.mean_control - control,
        raw_mean_treated=effects.raw_mean_treated - treated,
        raw_mean_control=effects.raw_mean_control - control,
    )


def linear_combination(effects: JointEffects, weights: Floats) -> tuple[float, float, float]:
    """A weighted sum of the effects.

    Args:
        effects: The effects.
        weights: Shape (q,); outcomes of weight 0 are left out, so they may be NaN.

    Returns:
        Estimate, variance and Welch-Satterthwaite degrees of freedom.
    """
    used = np.flatnonzero(weights)
    w = np.asarray(weights, dtype=np.float64)[used]
    square = np.ix_(used, used)
    treated = float(w @ effects.covariance_treated[square] @ w)
    control = float(w @ effects.covariance_control[square] @ w)
    variance = treated + control
    welch = treated**2 / (effects.n_treated - 1) + control**2 / (effects.n_control - 1)
    df = variance**2 / welch if welch > 0 else float("nan")
    return float(w @ effects.estimate[used]), variance, df


def _stratum(
    comparison: Comparison,
    outcomes: Sequence[str],
    covariates: Sequence[str | None],
    total: int,
) -> dict[str, Floats]:
    """What one stratum adds to the sums over strata; keys of raw figures start with `raw`."""
    wanted = tuple(dict.fromkeys([*outcomes, *(name for name in covariates if name is not None)]))
    arms = (comparison.treated, comparison.control)
    thirds = [_third_sums(sample, outcomes, covariates) for sample in arms]
    treated, control = (replace(sample, third={}).select(wanted) for sample in arms)
    both = treated + control
    weight = both.n / total
    place = {name: row for row, name in enumerate(wanted)}
    y = np.array([place[name] for name in outcomes], dtype=np.intp)
    # Without a covariate the slope is 0, whatever it is multiplied with.
    x = np.array([place[name or outcomes[0]] for name in covariates], dtype=np.intp)
    used = np.array([name is not None for name in covariates], dtype=np.bool_)
    theta = _slopes(both, y, x, used)
    part = {"theta": weight * theta, "welch": np.zeros(len(y)), "cumulant": np.zeros(len(y))}
    pooled, k, k_x = np.zeros((len(y), len(y))), np.zeros(len(y)), np.zeros(len(y))
    powers = np.stack([np.ones_like(theta), -3 * theta, 3 * theta**2, -(theta**3)], axis=1)
    for arm, sample, third in (("t", treated, thirds[0]), ("c", control, thirds[1])):
        scatter = _residual_scatter(sample.scatter, y, x, theta)
        covariance = weight**2 * scatter / ((sample.n - 1) * sample.n)
        pooled += scatter / (both.n - 2)
        k += (third * powers).sum(axis=1) / both.n
        gap = (sample.mean - both.mean)[x]
        k_x += third[:, 3] + 3 * gap * sample.scatter[x, x] + sample.n * gap**3
        part[f"mean_{arm}"] = weight * (sample.mean[y] - theta * gap)
        part[f"cov_{arm}"] = covariance
        part["welch"] += np.diag(covariance) ** 2 / (sample.n - 1)
        part[f"raw_mean_{arm}"] = weight * sample.mean[y]
        raw = sample.scatter[y, y] / ((sample.n - 1) * sample.n)
        part[f"raw_var_{arm}"] = weight**2 * raw
    adjusted = theta != 0
    pull = theta[adjusted] * k_x[adjusted] / both.scatter[x, x][adjusted]
    part["leverage"] = np.zeros(len(y))
    part["leverage"][adjusted] = (part["mean_c"][adjusted] + weight * pull) / (both.n - 1)
    part["pooled_t"] = weight**2 * pooled / treated.n
    part["pooled_c"] = weight**2 * pooled / control.n
    part["cumulant"] = weight**3 * k * (1 / treated.n**2 - 1 / control.n**2)
    return part


def _slopes(
    both: Moments, y: NDArray[np.intp], x: NDArray[np.intp], used: NDArray[np.bool_]
) -> Floats:
    """Slopes theta (q,) on all units; 0 without a covariate, or where it does not vary."""
    spread = both.scatter[x, x]
    varies = used & (spread > ROUNDING * both.n * both.mean[x] ** 2)
    theta: Floats = np.where(varies, both.scatter[x, y] / np.where(varies, spread, 1.0), 0.0)
    return theta


def _residual_scatter(
    scatter: Floats, y: NDArray[np.intp], x: NDArray[np.intp], theta: Floats
) -> Floats:
    """Scatter (q, q) of e = Y - theta X; no product of matrices, whose threads would only wait."""
    cross = theta[:, None] * scatter[np.ix_(x, y)]
    square = np.outer(theta, theta) * scatter[np.ix_(x, x)]
    found: Floats = scatter[np.ix_(y, y)] - cross - cross.T + square
    return found


def _third_sums(
    sample: Moments, outcomes: Sequence[str], covariates: Sequence[str | None]
) -> Floats:
    """Centred third sums (q, 4) of each outcome with its covariate; NaN where absent."""
    absent = np.full(4, np.nan)
    alone = {} if all(covariates) else {pair[0]: sums[0] for pair, sums in sample.third.items()}
    rows = [
        [alone.get(outcome, np.nan), 0.0, 0.0, 0.0]
        if covariate is None
        else sample.third.get((outcome, covariate), absent)
        for outcome, covariate in zip(outcomes, covariates, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _notes(sums: dict[str, Floats], smallest_arm: int) -> tuple[Notes, NDArray[np.bool_]]:
    """Reasons per outcome, and which outcomes cannot be estimated."""
    constant = {}
    for arm in ("t", "c"):
        scale = ROUNDING * sums[f"raw_mean_{arm}"] ** 2
        constant[arm] = sums[f"raw_var_{arm}"] * smallest_arm <= scale
    left = np.diag(sums["cov_t"]) + np.diag(sums["cov_c"])
    empty = left <= ROUNDING * (sums["raw_var_t"] + sums["raw_var_c"])
    empty &= ~(constant["t"] | constant["c"])
    small = np.full(left.shape, smallest_arm < SMALL_HOLDOUT)
    tests = (
        (constant["t"], Reason.CONSTANT_TREATED),
        (constant["c"], Reason.CONSTANT_CONTROL),
        (empty, Reason.NO_RESIDUAL),
        (small, Reason.SMALL_HOLDOUT),
    )
    notes = tuple(
        tuple(reason for holds, reason in tests if holds[row]) for row in range(len(left))
    )
    return notes, constant["t"] | constant["c"] | empty


def _nothing(
    outcomes: tuple[str, ...], n_treated: int, n_control: int, reason: Reason
) -> JointEffects:
    """Effects of which none can be estimated."""
    q = len(outcomes)
    row, square = np.full(q, np.nan), np.full((q, q), np.nan)
    return JointEffects(
        outcomes,
        row,
        square,
        row,
        n_treated,
        n_control,
        row,
        row,
        square,
        square,
        square,
        square,
        float("nan"),
        row,
        row,
        row,
        row,
        row,
        row,
        ((reason,),) * q,
    )
