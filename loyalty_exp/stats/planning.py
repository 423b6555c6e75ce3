"""Before launch: what can be detected, what must be reached, how large a holdout is worth it.

Normal and Student formulas from a residual standard deviation; the replay of real history is the
judge, and is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = [
    "HoldoutAdvice",
    "advised_holdout",
    "break_even_effect",
    "holdout_needed",
    "minimum_detectable_effect",
    "months_needed",
    "planned_standard_error",
    "power_at",
]

Floats = npt.NDArray[np.float64]

LARGEST_HOLDOUT = 0.5


@dataclass(frozen=True, slots=True)
class HoldoutAdvice:
    """What each size of holdout costs: margin withheld now, wrong decisions later.

    Attributes:
        shares: Holdout shares considered, in (0, 1/2], shape (shares,).
        withheld: Expected net margin withheld from the holdout while it lasts, money, same shape;
            negative where the campaign is expected to lose money.
        wrong_decision: Expected loss by rolling out what does not pay, or not what does, money,
            same shape.
        advised: The share at which the two together are smallest.
        at_edge: Whether that is the smallest or the largest share considered, so that the true
            optimum may lie beyond.
    """

    shares: Floats
    withheld: Floats
    wrong_decision: Floats
    advised: float
    at_edge: bool


def planned_standard_error(residual_sd: float, treated: float, holdout: float) -> float:
    """Returns the standard error that an effect per unit will have.

    Args:
        residual_sd: Standard deviation of the CUPED residual over a comparable past period, in
            the unit of the outcome.
        treated: Units to be treated.
        holdout: Units to be held out.

    Returns:
        The standard error, in the unit of the outcome; infinite without units in both arms.
    """
    if min(treated, holdout) <= 0:
        return float("inf")
    return float(residual_sd * np.sqrt(1 / treated + 1 / holdout))


def minimum_detectable_effect(
    standard_error: float, df: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Returns the smallest effect that will be detected with the given power.

    Args:
        standard_error: Planned standard error of the effect.
        df: Its degrees of freedom.
        alpha: Two-sided level of the test.
        power: Wanted probability of detection.

    Returns:
        (t_(1 - alpha/2) + t_power) times the standard error, in its unit.

    Source: Bloom (1995), eq. 1.
    """
    return float((stats.t.ppf(1 - alpha / 2, df) + stats.t.ppf(power, df)) * standard_error)


def power_at(effect: float, standard_error: float, df: float, *, alpha: float = 0.05) -> float:
    """Returns the probability that an effect will be detected, on either side.

    It is .8 at the minimum detectable effect for a power of .8, up to detection on the wrong
    side.

    Args:
        effect: True effect, in the unit of the standard error.
        standard_error: Planned standard error of the effect.
        df: Its degrees of freedom.
        alpha: Two-sided level of the test.

    Returns:
        A probability.
    """
    critical, shift = stats.t.ppf(1 - alpha / 2, df), abs(effect) / standard_error
    return float(stats.t.cdf(shift - critical, df) + stats.t.cdf(-shift - critical, df))


def break_even_effect(cost: float, treated: int) -> float:
    """Returns the margin per treated unit that pays the whole cost; NaN without treated units."""
    return cost / treated if treated > 0 else float("nan")


def holdout_needed(
    effect: float, residual_sd: float, units: int, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Returns the smallest holdout share that detects an effect.

    Args:
        effect: Effect per unit to be detected, in the unit of the outcome.
        residual_sd: Standard deviation of the CUPED residual over a comparable past period.
        units: Units in all arms together.
        alpha: Two-sided level of the test.
        power: Wanted probability of detection.

    Returns:
        A share up to 1/2; NaN if even half of the units do not suffice.
    """
    if units < 4 or effect == 0:
        return float("nan")
    unit_error = minimum_detectable_effect(residual_sd, units - 2, alpha=alpha, power=power)
    # The effect equals the MDE where h (1 - h) = (MDE of one unit / effect)^2 / N.
    product = (unit_error / effect) ** 2 / units
    if product > LARGEST_HOLDOUT * (1 - LARGEST_HOLDOUT):
        return float("nan")
    return float((1 - np.sqrt(1 - 4 * product)) / 2)


def months_needed(
    effect: Floats, standard_error: Floats, critical: Floats, *, power: float = 0.8
) -> int | None:
    """Returns after how many closed months an effect will have been detected.

    Each month is taken alone, so that the answer errs on the late side.

    Args:
        effect: True cumulative effect at the end of each month, shape (months,).
        standard_error: Its planned standard error, same unit and shape.
        critical: Critical value at each look, normal scale, shape (months,).
        power: Wanted probability of detection.

    Returns:
        A number of months from 1 on, or None if the planned months do not suffice.
    """
    shift = np.abs(effect) / standard_error
    reached = stats.norm.sf(critical - shift) + stats.norm.sf(critical + shift) >= power
    return int(reached.argmax()) + 1 if reached.any() else None


def advised_holdout(
    units: int,
    *,
    margin: float,
    cost: float,
    residual_sd: float,
    prior_mean: float,
    prior_sd: float,
    horizon: float,
    shares: Floats | None = None,
) -> HoldoutAdvice:
    """Advises the holdout share that costs least, this campaign and the decision after it together.

    The net effect per unit has the prior N(prior_mean margin - cost, (prior_sd margin)^2). After
    the campaign it is rolled out if its posterior mean is positive. What the wrong decision
    costs is the value of perfect information less that of the experiment, both normal integrals.

    Args:
        units: Units in all arms together.
        margin: Expected margin per untreated unit over the measured period, money.
        cost: Variable cost per treated unit over the same period, money.
        residual_sd: Standard deviation of the CUPED residual of margin over a comparable past
            period, money.
        prior_mean: Expected relative effect on margin, 0.03 for +3 %.
        prior_sd: Standard deviation of what one believes of it.
        horizon: How many periods of the same length the decision afterwards holds for.
        shares: Holdout shares to consider; 1 to 50 % in steps of 1 point if not given.

    Returns:
        The two costs of each share, and the best one.

    Raises:
        ValueError: If margin, prior_sd or units are not positive, or a share is not in (0, 1/2].

    Source: Raiffa and Schlaifer (1961), section 5.4 (preposterior analysis, normal prior).
    """
    grid = np.arange(1, 51) / 100 if shares is None else np.asarray(shares, dtype=np.float64)
    if min(margin, prior_sd, units) <= 0:
        raise ValueError("margin, prior_sd and units must be positive")
    if np.any(grid <= 0) or np.any(grid > LARGEST_HOLDOUT):
        raise ValueError("holdout shares lie above 0 and up to 1/2")
    mean, sd = prior_mean * margin - cost, prior_sd * margin
    variance = residual_sd**2 / (units * grid * (1 - grid))
    learned = sd**2 / np.sqrt(sd**2 + variance)
    loss = _mean_above_zero(mean, np.array([sd])) - _mean_above_zero(mean, learned)
    withheld = grid * units * mean
    wrong = units * horizon * loss
    best = int(np.argmin(withheld + wrong))
    return HoldoutAdvice(grid, withheld, wrong, float(grid[best]), best in {0, grid.size - 1})


def _mean_above_zero(mean: float, sd: Floats) -> Floats:
    """Returns E max(0, N(mean, sd^2))."""
    z = mean / sd
    return np.asarray(mean * stats.norm.cdf(z) + sd * stats.norm.pdf(z), dtype=np.float64)
