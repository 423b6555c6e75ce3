"""Effect on the units that a campaign reached, when it did not reach all it was assigned to.

The ratio of two effects of being assigned; it supposes that being assigned matters only through
being reached, and leaves the headline (everybody assigned) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loyalty_exp.stats.ratios import fieller

__all__ = ["ReachedEffect", "effect_on_reached"]

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


def _unknown(f: float, reason: str) -> ReachedEffect:
    return ReachedEffect(np.nan, np.nan, np.nan, f, not f >= WEAK_F, reason)
