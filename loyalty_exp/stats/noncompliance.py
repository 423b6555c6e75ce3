"""Effect on the units that a campaign reached, when it did not reach all it was assigned to.

The ratio of two effects of being assigned; it supposes that being assigned matters only through
being reached, and leaves the headline (everybody assigned) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loyalty_exp.stats.ancova import Comparison, joint_effects
from loyalty_exp.stats.intervals import IntervalMethod, method_covariance
from loyalty_exp.stats.ratios import fieller

if TYPE_CHECKING:
    from loyalty_exp.stats.moments import Moments

__all__ = ["ReachedEffect", "effect_on_reached", "effect_per_reached"]

WEAK_F = 10.0
MISSING = "not estimable: an effect of being assigned is missing"
UNBOUNDED = "not estimable, see the effect on all: too few more were reached"


@dataclass(frozen=True, slots=True)
class ReachedEffect:
    """Effect per reached unit.

    Attributes:
        estimate: Effect on the outcome over effect on being reached, in the unit of the outcome;
            NaN if not estimable.
        lower: Lower limit of the Anderson-Rubin set, same unit; NaN likewise.
        upper: Upper limit, likewise.
        f: First-stage F, the squared t of the effect on being reached; no unit.
        weak: Whether F is below 10: the estimate leans, the limits still hold.
        reason: Why there is no estimate, in words; empty if there is one.
    """

    estimate: float
    lower: float
    upper: float
    f: float
    weak: bool
    reason: str = ""


def effect_on_reached(
    outcome: float,
    reached: float,
    *,
    variance_outcome: float,
    covariance: float,
    variance_reached: float,
    critical: float | tuple[float, float],
) -> ReachedEffect:
    """Returns the effect on the reached, with the set of values that the data do not refute.

    The set is {b : (outcome - b reached)^2 <= critical^2 Var(outcome - b reached)}, as valid with
    a weak first stage as with a strong one. It is an interval exactly when the effect on being
    reached differs from zero at the same critical value.

    Args:
        outcome: Effect of being assigned on the outcome, per unit.
        reached: Effect of being assigned on the share reached, treated less holdout.
        variance_outcome: Variance of the first estimate.
        covariance: Covariance of the two.
        variance_reached: Variance of the second; 0 if all treated units and no other are reached.
        critical: Critical value of the effect's own interval, or its (down, up).

    Returns:
        The effect and its limits; NaN with a reason where the set is unbounded.

    Source: Anderson and Rubin (1949); Fieller (1954); F < 10: Staiger and Stock (1997).
    """
    numbers = [outcome, reached, variance_outcome, covariance, variance_reached]
    if not np.isfinite([*numbers, *np.ravel(critical)]).all():
        return _unknown(np.nan, MISSING)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = float(np.divide(reached**2, variance_reached))
    joint = np.array([[variance_outcome, covariance], [covariance, variance_reached]])
    region = fieller(outcome, reached, joint, critical)
    if not region.is_bounded:
        return _unknown(f, UNBOUNDED)
    return ReachedEffect(outcome / reached, region.lower, region.upper, f, f < WEAK_F)


def effect_per_reached(
    comparisons: Sequence[Comparison],
    outcome: str,
    reached: str,
    covariate: str | None,
    *,
    method: IntervalMethod,
    critical: float | tuple[float, float],
) -> ReachedEffect:
    """Returns the effect on the reached from moments, both effects adjusted on one covariate.

    Nobody in the holdout being reached is the rule, so that variable alone is constant there and
    has no effect of its own. The effects of the outcome with and without a multiple of it do,
    and give both effects with their covariance.

    Args:
        comparisons: Disjoint strata or waves, at least one.
        outcome: The outcome.
        reached: 1 for a unit that was reached, 0 for one that was not.
        covariate: The pre-period variable of the outcome, or None for no adjustment.
        method: The frozen method, for the covariance.
        critical: Critical value of the outcome's own interval, or its (down, up).

    Returns:
        As `effect_on_reached`.
    """
    wanted = (outcome, reached, *([covariate] if covariate else []))
    arms = [arm.select(wanted) for c in comparisons for arm in (c.treated, c.control)]
    spread = np.sum([np.diag(arm.scatter) for arm in arms], axis=0)
    scale = float(np.sqrt(spread[0] / spread[1])) if spread[0] > 0 and spread[1] > 0 else 1.0
    names = (outcome, "less reached", *wanted[2:])
    matrix = np.eye(len(names))
    matrix[1, :2] = 1.0, -scale

    def mixed(arm: Moments) -> Moments:
        return arm.select(wanted).transform(names, matrix)

    mixtures = [Comparison(mixed(c.treated), mixed(c.control)) for c in comparisons]
    effects = joint_effects(mixtures, names[:2], [covariate, covariate])
    back = np.array([[1.0, 0.0], [1 / scale, -1 / scale]])
    covariance = back @ sum(method_covariance(effects, method)) @ back.T
    first, second = back @ effects.estimate
    return effect_on_reached(
        float(first),
        float(second),
        variance_outcome=float(covariance[0, 0]),
        covariance=float(covariance[0, 1]),
        variance_reached=max(float(covariance[1, 1]), 0.0),
        critical=critical,
    )


def _unknown(f: float, reason: str) -> ReachedEffect:
    return ReachedEffect(np.nan, np.nan, np.nan, f, not f >= WEAK_F, reason)
