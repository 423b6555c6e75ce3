"""Effect on the units that a campaign reached, when it did not reach all it was assigned to.

The ratio of two effects of being assigned; it supposes that being assigned matters only through
being reached, and leaves the headline (everybody assigned) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ReachedEffect", "effect_on_reached"]

WEAK_F = 10.0


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
    critical: float,
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
        critical: Critical value of the effect's own interval.

    Returns:
        The effect and its limits; NaN with a reason where the set is unbounded.

    Source: Anderson and Rubin (1949); Fieller (1954); F < 10: Staiger and Stock (1997).
    """
    if not np.isfinite([outcome, reached, variance_outcome, covariance, variance_reached]).all():
        return _unknown(np.nan, "not estimable: an effect of being assigned is missing")
    with np.errstate(divide="ignore", invalid="ignore"):
        f = float(np.divide(reached**2, variance_reached))
    a = reached**2 - critical**2 * variance_reached
    if not a > 0:
        return _unknown(f, "not estimable, see the effect on all: too few more were reached")
    half_b = outcome * reached - critical**2 * covariance
    c = outcome**2 - critical**2 * variance_outcome
    root = np.sqrt(max(half_b**2 - a * c, 0.0))
    return ReachedEffect(
        outcome / reached, float((half_b - root) / a), float((half_b + root) / a), f, f < WEAK_F
    )


def _unknown(f: float, reason: str) -> ReachedEffect:
    return ReachedEffect(np.nan, np.nan, np.nan, f, not f >= WEAK_F, reason)
