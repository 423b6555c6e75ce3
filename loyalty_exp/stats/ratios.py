"""Ratios of effects and of means: return on cost, cost per order, basket and frequency.

A ratio whose denominator may be zero is said to be so; it never becomes a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loyalty_exp.stats.intervals import Reason, t_reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.stats.ancova import Comparison

__all__ = [
    "FiellerKind",
    "FiellerSet",
    "Ratio",
    "RatioEffect",
    "cost_per_incremental_order",
    "fieller",
    "iroi",
    "ratio_effect",
]

Floats = NDArray[np.float64]
Criticals = float | tuple[float, float]

COST_VARIATION = 0.3
ROUNDING = 1e-14
CANCELLED = 1e-12
"""Of the variances of the parts, a remainder this small is rounding: sums of many units."""


class FiellerKind(StrEnum):
    """The shapes that the confidence set of a ratio can take."""

    BOUNDED = "bounded"
    HALF_LINE = "half line"
    COMPLEMENT = "complement"
    WHOLE_LINE = "whole line"


@dataclass(frozen=True, slots=True)
class FiellerSet:
    """Confidence set of a ratio, in the ratio's unit.

    Attributes:
        kind: BOUNDED is [lower, upper]; HALF_LINE likewise with one end infinite; COMPLEMENT is
            everything up to lower and from upper on; WHOLE_LINE excludes nothing.
        lower: See kind; minus infinity for the whole line.
        upper: See kind; infinity for the whole line.
    """

    kind: FiellerKind
    lower: float
    upper: float

    @property
    def is_bounded(self) -> bool:
        """Whether the set is an interval with two ends."""
        return self.kind is FiellerKind.BOUNDED

    def contains(self, value: float) -> bool:
        """Whether a ratio is compatible with the data."""
        if self.kind is FiellerKind.COMPLEMENT:
            return value <= self.lower or value >= self.upper
        return self.lower <= value <= self.upper


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two effects, or the reason why it is not shown.

    Attributes:
        estimate: In the ratio's unit; NaN where it is not shown.
        lower: Lower limit; NaN where the ratio is not shown.
        upper: Upper limit; NaN where the ratio is not shown.
        region: The confidence set behind it (of iROI + 1 for the iROI); None where an effect is
            missing.
        reason: Why there is no figure; None when there is one.
    """

    estimate: float
    lower: float
    upper: float
    region: FiellerSet | None
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class RatioEffect:
    """Difference of a ratio of means between the arms: not an effect on the same people.

    Attributes:
        estimate: Treated minus holdout, adjusted, in the ratio's unit.
        lower: Lower limit.
        upper: Upper limit.
        variance: Variance of the estimate.
        df: Welch-Satterthwaite degrees of freedom.
        ratio_treated: Adjusted ratio of the treated arm.
        ratio_control: Adjusted ratio of the holdout.
        theta: Slope on the ratio of the pre-period, 0 without one.
        reason: Why all of it is NaN; None when it is not.
    """

    estimate: float
    lower: float
    upper: float
    variance: float
    df: float
    ratio_treated: float
    ratio_control: float
    theta: float
    reason: Reason | None


def fieller(
    numerator: float, denominator: float, covariance: Floats, critical: Criticals
) -> FiellerSet:
    """The ratios b with |numerator - b denominator| within critical standard errors of 0.

    Args:
        numerator: Estimate y.
        denominator: Estimate x.
        covariance: Covariance of (y, x), shape (2, 2).
        critical: Critical value, or a pair (down, up) from `critical_values` when they differ.

    Returns:
        The set {b: (y - b x)^2 <= c^2 (V_yy - 2 b V_yx + b^2 V_xx)}. With a pair, each limit has
        its own c; if either has no end, the set of the larger c.

    Raises:
        ValueError: A NaN among the arguments.

    Source: Fieller (1954); the same set is Anderson and Rubin's (1949) for a Wald ratio.
    """
    down, up = critical if isinstance(critical, tuple) else (critical, critical)
    if not np.isfinite([numerator, denominator, down, up, *np.ravel(covariance)]).all():
        raise ValueError("a ratio's confidence set needs finite numbers")
    if down == up:
        return _fieller(numerator, denominator, covariance, down)
    if denominator < 0:
        down, up = up, down
    ends = [_fieller(numerator, denominator, covariance, c) for c in (down, up)]
    if all(end.is_bounded for end in ends):
        return FiellerSet(FiellerKind.BOUNDED, ends[0].lower, ends[1].upper)
    return ends[0] if down > up else ends[1]


def iroi(
    margin: float,
    cost: float,
    covariance: Floats,
    critical: Criticals,
    fixed_cost: float = 0.0,
) -> Ratio:
    """Return on investment: incremental margin over incremental cost, minus 1.

    Not shown where the cost is not positive, its coefficient of variation is above 0.3, or the
    confidence set has no end: then only the net result is.

    Args:
        margin: Effect on the margin per customer, money.
        cost: Effect on the variable cost per customer, money.
        covariance: Covariance of (margin, cost), shape (2, 2).
        critical: That of the net result's interval: the return then excludes 0 when the net result
            does.
        fixed_cost: Fixed cost per treated customer, money; certain.

    Returns:
        The return, 0.5 meaning that each unit of money spent brought back 1.5.
    """
    total = cost + fixed_cost
    found = _ratio(margin, total, covariance, critical)
    if found.region is None:
        return found
    if total <= 0:
        return _withheld(found.region, Reason.NO_COST)
    if math.sqrt(covariance[1, 1]) > COST_VARIATION * total:
        return _withheld(found.region, Reason.COST_UNCERTAIN)
    if not found.region.is_bounded:
        return _withheld(found.region, Reason.RATIO_UNBOUNDED)
    return Ratio(found.estimate - 1, found.lower - 1, found.upper - 1, found.region, None)


def cost_per_incremental_order(
    cost: float,
    orders: float,
    covariance: Floats,
    critical: Criticals,
    fixed_cost: float = 0.0,
) -> Ratio:
    """Incremental cost over incremental orders, money per order.

    Not determined where the confidence set has no end, that is, where the effect on orders may
    be 0; not meaningful where orders were lost.

    Args:
        cost: Effect on the variable cost per customer, money.
        orders: Effect on the orders per customer.
        covariance: Covariance of (cost, orders), shape (2, 2).
        critical: Critical value of the effect's interval.
        fixed_cost: Fixed cost per treated customer, money; certain.
    """
    found = _ratio(cost + fixed_cost, orders, covariance, critical)
    if found.region is None:
        return found
    if not found.region.is_bounded:
        return _withheld(found.region, Reason.ORDERS_UNDETERMINED)
    return found if orders > 0 else _withheld(found.region, Reason.ORDERS_LOST)


def ratio_effect(
    comparisons: Sequence[Comparison],
    numerator: str,
    denominator: str,
    past: tuple[str, str] | None = None,
    level: float = 0.95,
) -> RatioEffect:
    """Difference between the arms of a ratio of means, such as revenue per order.

    Delta method on each arm's ratio; CUPED on the linearised outcome with the same ratio of the
    pre-period; strata combined by their size before dividing.

    Args:
        comparisons: Disjoint strata or waves, at least one.
        numerator: Variable above: revenue for the basket, orders for the frequency.
        denominator: Variable below: orders for the basket, active months for the frequency.
        past: The same two variables of the pre-period, or None for no adjustment.
        level: Confidence level.

    Returns:
        The difference with Welch's interval, or the reason why there is none.

    Source: Deng, Knoblich and Lu (2018), section 3; Deng, Xu, Kohavi and Walker (2013), appendix B.
    """
    names = (numerator, denominator, *(past or ()))
    arms = [[c.treated.select(names) for c in comparisons]]
    arms.append([c.control.select(names) for c in comparisons])
    if min(sample.n for arm in arms for sample in arm) < 2:
        return _no_ratio_effect(Reason.SINGLE_CUSTOMER)
    pooled = [treated + control for treated, control in zip(*arms, strict=True)]
    weights = np.array([both.n for both in pooled]) / sum(both.n for both in pooled)
    means = [weights @ np.array([sample.mean for sample in arm]) for arm in arms]
    if min(mean[1] for mean in means) <= 0:
        return _no_ratio_effect(Reason.NO_BUYERS)
    centre = weights @ np.array([both.mean for both in pooled])
    theta = 0.0
    if past is not None and min(mean[3] for mean in means) > 0:
        theta = _linearised_slope(centre, np.sum([both.scatter for both in pooled], axis=0))
    ratios, variances, squares = [], [], 0.0
    for arm, mean in zip(arms, means, strict=True):
        ratio, gradient = _adjusted_ratio(mean, centre, theta)
        parts = [
            w**2 * _spread(gradient, sample.covariance()) / sample.n
            for w, sample in zip(weights, arm, strict=True)
        ]
        ratios.append(ratio)
        variances.append(sum(parts))
        squares += sum(v**2 / (sample.n - 1) for v, sample in zip(parts, arm, strict=True))
    return _welch(ratios, sum(variances), squares, theta, level)


def _fieller(numerator: float, denominator: float, covariance: Floats, c: float) -> FiellerSet:
    vyy, vyx, vxx = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    square = float(denominator**2 - c**2 * vxx)
    linear = float(numerator * denominator - c**2 * vyx)
    constant = float(numerator**2 - c**2 * vyy)
    discriminant = linear**2 - square * constant
    if square == 0 and linear != 0:
        end = constant / (2 * linear)
        ends = (end, math.inf) if linear > 0 else (-math.inf, end)
        return FiellerSet(FiellerKind.HALF_LINE, *ends)
    if square == 0 or (square < 0 and discriminant <= 0):
        return FiellerSet(FiellerKind.WHOLE_LINE, -math.inf, math.inf)
    outer = linear + math.copysign(math.sqrt(max(discriminant, 0.0)), linear)
    ends = (outer / square, constant / outer if outer else 0.0)
    kind = FiellerKind.BOUNDED if square > 0 else FiellerKind.COMPLEMENT
    return FiellerSet(kind, min(ends), max(ends))


def _ratio(numerator: float, denominator: float, covariance: Floats, critical: Criticals) -> Ratio:
    """The ratio and its set, before any rule about showing it."""
    numbers = [numerator, denominator, *np.ravel(covariance), *np.ravel(critical)]
    if not np.isfinite(numbers).all():
        return Ratio(math.nan, math.nan, math.nan, None, Reason.PART_MISSING)
    region = fieller(numerator, denominator, covariance, critical)
    estimate = numerator / denominator if denominator else math.nan
    return Ratio(estimate, region.lower, region.upper, region, None)


def _withheld(region: FiellerSet, reason: Reason) -> Ratio:
    return Ratio(math.nan, math.nan, math.nan, region, reason)


def _gradient(mean: Floats) -> Floats:
    """Gradient of the ratio mean[0] / mean[1], shape (2,)."""
    ratio, below = float(mean[0] / mean[1]), float(mean[1])
    return np.array([1 / below, -ratio / below])


def _adjusted_ratio(mean: Floats, centre: Floats, theta: float) -> tuple[float, Floats]:
    """An arm's ratio adjusted on that of the past, and its gradient in the means."""
    ratio = float(mean[0] / mean[1])
    gradient = np.zeros_like(mean)
    gradient[:2] = _gradient(mean[:2])
    if theta:
        ratio -= theta * float(mean[2] / mean[3] - centre[2] / centre[3])
        gradient[2:] = -theta * _gradient(mean[2:])
    return ratio, gradient


def _spread(gradient: Floats, covariance: Floats) -> float:
    """Variance of a linear combination; exactly 0 where only rounding is left of its parts."""
    spread = float(gradient @ covariance @ gradient)
    parts = float((gradient**2) @ np.diag(covariance))
    return spread if spread > CANCELLED * parts else 0.0


def _linearised_slope(centre: Floats, scatter: Floats) -> float:
    """Slope of the linearised ratio on that of the past, from pooled means and scatter."""
    now, past = _gradient(centre[:2]), _gradient(centre[2:])
    spread = float(past @ scatter[2:, 2:] @ past)
    largest = float((past**2) @ np.diag(scatter)[2:])
    return float(now @ scatter[:2, 2:] @ past) / spread if spread > ROUNDING * largest else 0.0


def _welch(
    ratios: list[float], variance: float, squares: float, theta: float, level: float
) -> RatioEffect:
    if not variance > 0:
        return _no_ratio_effect(Reason.NO_RESIDUAL)
    df = variance**2 / squares
    estimate = ratios[0] - ratios[1]
    half = float(t_reach((1 - level) / 2, df)) * math.sqrt(variance)
    lower, upper = estimate - half, estimate + half
    return RatioEffect(estimate, lower, upper, variance, df, ratios[0], ratios[1], theta, None)


def _no_ratio_effect(reason: Reason) -> RatioEffect:
    return RatioEffect(*(math.nan,) * 8, reason)
