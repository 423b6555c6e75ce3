"""Whether an effect fades while a campaign runs, and what it loses after its end.

Both are linear in the effects; neither can say what will happen in months not yet seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loyalty_exp.stats.ancova import linear_combination
from loyalty_exp.stats.intervals import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.stats.ancova import JointEffects

__all__ = ["LinearEffect", "WearOut", "pull_forward", "wear_out"]

Floats = NDArray[np.float64]

FEWEST_MONTHS = 4
WORST_CONDITION = 1e12
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class LinearEffect:
    """A weighted sum of effects with Welch's interval, in the outcome's unit per customer.

    Attributes:
        estimate: Its value; NaN where it cannot be estimated.
        lower: Lower limit.
        upper: Upper limit.
        standard_error: Standard error.
        df: Welch-Satterthwaite degrees of freedom.
        p_value: Two-sided, of the value being 0.
        reason: Why it is NaN; None when it is not.
    """

    estimate: float
    lower: float
    upper: float
    standard_error: float
    df: float
    p_value: float
    reason: Reason | None


@dataclass(frozen=True, slots=True, eq=False)
class WearOut:
    """A straight line through the monthly effects.

    Attributes:
        slope: Change of the monthly effect from one month to the next; negative when it fades.
        intercept: The line's effect at month 0, in the outcome's unit; NaN without a line.
        months: The months used, (k,).
    """

    slope: LinearEffect
    intercept: float
    months: Floats


def wear_out(
    effects: JointEffects, outcomes: Sequence[str], months: Sequence[float], level: float = 0.95
) -> WearOut:
    """Generalised least squares of monthly effects on (1, m), with their joint covariance.

    Args:
        effects: Effects that hold the outcomes.
        outcomes: The outcomes of the closed months, after the first full one.
        months: Their campaign months m, as many.
        level: Confidence level.

    Returns:
        The line; without slope below four estimable months or where months repeat each other.

    Source: Aitken (1935).
    """
    chosen = effects.select(outcomes)
    usable = np.flatnonzero(np.isfinite(chosen.estimate))
    m = np.asarray(months, dtype=np.float64)[usable]
    if len(usable) < FEWEST_MONTHS:
        return WearOut(_nothing(Reason.FEW_MONTHS), math.nan, m)
    spread = np.sqrt(np.diag(chosen.covariance)[usable])
    correlation = chosen.covariance[np.ix_(usable, usable)] / np.outer(spread, spread)
    if np.linalg.cond(correlation) > WORST_CONDITION:
        return WearOut(_nothing(Reason.SINGULAR), math.nan, m)
    design = np.column_stack([np.ones_like(m), m]) / spread[:, None]
    whitened = np.linalg.solve(correlation, design)
    solver = np.linalg.solve(design.T @ whitened, whitened.T) / spread
    weights = np.zeros((2, len(chosen.outcomes)))
    weights[:, usable] = solver
    intercept = float(solver[0] @ chosen.estimate[usable])
    return WearOut(_linear(chosen, weights[1], level), intercept, m)


def pull_forward(
    effects: JointEffects, at_end: str, after_follow_up: str, level: float = 0.95
) -> LinearEffect:
    """What the cumulative effect gained or, if purchases were only pulled forward, lost afterwards.

    Args:
        effects: Effects that hold both outcomes.
        at_end: The cumulative outcome at the campaign's end.
        after_follow_up: The same at the end of the follow-up.
        level: Confidence level.

    Returns:
        The later effect minus the earlier one; negative when the gain was borrowed from the future.
    """
    chosen = effects.select((at_end, after_follow_up))
    if not np.isfinite(chosen.estimate).all():
        return _nothing(Reason.PART_MISSING)
    return _linear(chosen, np.array([-1.0, 1.0]), level)


def _linear(effects: JointEffects, weights: Floats, level: float) -> LinearEffect:
    estimate, variance, df = linear_combination(effects, weights)
    if variance <= ROUNDING * float(weights**2 @ np.nan_to_num(np.diag(effects.covariance))):
        return _nothing(Reason.NO_CHANGE)
    error = math.sqrt(variance)
    half = float(stats.t.isf((1 - level) / 2, df)) * error
    p = float(2 * stats.t.sf(abs(estimate) / error, df))
    return LinearEffect(estimate, estimate - half, estimate + half, error, df, p, None)


def _nothing(reason: Reason) -> LinearEffect:
    return LinearEffect(*(math.nan,) * 6, reason)
