"""Splits an effect on revenue exactly into came back, came more often and bought more.

The parts are an identity of adjusted means, not three effects on the same people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loyalty_exp.stats.intervals import Reason

if TYPE_CHECKING:
    from loyalty_exp.stats.ancova import JointEffects

__all__ = ["COMPONENTS", "Decomposition", "decompose"]

Floats = NDArray[np.float64]

COMPONENTS = ("reactivation", "frequency", "basket")

ROUNDING = 1e-12
"""Share of its terms below which a variance is nothing but rounding: that part is the same for all,
as frequency is where nobody orders twice in a month."""


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """The effect on revenue per customer in three parts that add up to it.

    Arrays have shape (3,), in the order of COMPONENTS, in revenue per customer; all NaN, with a
    reason, where the parts are not defined.

    Attributes:
        estimate: Part through more active customer-months (reactivation), through more orders in
            each (frequency), through more revenue in each order (basket).
        lower: Lower limits.
        upper: Upper limits.
        covariance: Covariance of the parts, (3, 3), by the delta method.
        df: Welch-Satterthwaite degrees of freedom of each part; NaN where nothing varies.
        total: The effect on revenue per customer, which they add up to.
        reason: Why the parts are not defined; None when they are.
    """

    estimate: Floats
    lower: Floats
    upper: Floats
    covariance: Floats
    df: Floats
    total: float
    reason: Reason | None


def decompose(
    effects: JointEffects, active: str, orders: str, revenue: str, level: float = 0.95
) -> Decomposition:
    """Logarithmic mean Divisia decomposition of the effect on revenue.

    Args:
        effects: Effects that hold the three outcomes, each adjusted on its own pre-period value.
        active: The outcome that counts active months.
        orders: The outcome that counts orders.
        revenue: The outcome that sums revenue, over the same period.
        level: Confidence level of each part's interval.

    Returns:
        The three parts; undefined where one of the six adjusted means is not positive.

    Source: Ang (2004), eq. 5-7.
    """
    chosen = effects.select((active, orders, revenue))
    treated, control = chosen.mean_treated, chosen.mean_control
    total = float(chosen.estimate[2])
    means = np.concatenate([treated, control])
    if np.isnan(means).any():
        return _undefined(total, Reason.PART_MISSING)
    if (means <= 0).any():
        return _undefined(total, Reason.NOT_POSITIVE)
    weights = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    change = weights @ np.log(treated / control)
    mean, slopes = _logarithmic_mean(float(treated[2]), float(control[2]))
    gradients = []
    for side, values in ((0, treated), (1, control)):
        gradient = (1 - 2 * side) * mean * weights / values
        gradient[:, 2] += change * slopes[side]
        gradients.append(gradient)
    sides = list(
        zip(gradients, (chosen.covariance_treated, chosen.covariance_control), strict=True)
    )
    parts = [gradient @ covariance @ gradient.T for gradient, covariance in sides]
    covariance = parts[0] + parts[1]
    size = sum(np.diag(abs(gradient) @ abs(each) @ abs(gradient).T) for gradient, each in sides)
    varies = np.diag(covariance) > ROUNDING * size
    variance = np.where(varies, np.diag(covariance), 0.0)
    welch = np.diag(parts[0]) ** 2 / (chosen.n_treated - 1)
    welch = welch + np.diag(parts[1]) ** 2 / (chosen.n_control - 1)
    df = np.divide(variance**2, welch, out=np.full(3, np.nan), where=varies)
    half = np.where(varies, stats.t.isf((1 - level) / 2, df) * np.sqrt(variance), 0.0)
    estimate = mean * change
    return Decomposition(estimate, estimate - half, estimate + half, covariance, df, total, None)


def _logarithmic_mean(r1: float, r0: float) -> tuple[float, tuple[float, float]]:
    """(r1 - r0) / ln(r1 / r0), also at r1 = r0, and its two partial derivatives.

    With y = ln(r1 / r0) / 2 it is sqrt(r1 r0) sinh(y) / y, which does not cancel.
    """
    y = math.log(r1 / r0) / 2
    geometric = math.sqrt(r1 * r0)
    if abs(y) < 1e-3:
        shape, slope = 1 + y * y / 6 + y**4 / 120, y / 3 + y**3 / 30
    else:
        shape = math.sinh(y) / y
        slope = (math.cosh(y) - shape) / y
    return geometric * shape, (
        geometric * (shape + slope) / (2 * r1),
        geometric * (shape - slope) / (2 * r0),
    )


def _undefined(total: float, reason: Reason) -> Decomposition:
    nothing = np.full(3, np.nan)
    return Decomposition(nothing, nothing, nothing, np.full((3, 3), np.nan), nothing, total, reason)
