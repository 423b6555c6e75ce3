"""What others would report on the same draws, written from their published formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GROWTHBOOK_TUNING = 5_000


def welch(y: Floats, treated: Bools) -> tuple[float, float, float]:
    """Difference of means and its Welch interval, without a covariate."""
    one, two = y[treated], y[~treated]
    v_1, v_0 = one.var(ddof=1) / one.size, two.var(ddof=1) / two.size
    df = (v_1 + v_0) ** 2 / (v_1**2 / (one.size - 1) + v_0**2 / (two.size - 1))
    return _interval(one.mean() - two.mean(), v_1 + v_0, float(df))


def lin(y: Floats, x: Floats, treated: Bools) -> tuple[float, float, float]:
    """Slopes of each arm's own, Neyman variance of the residuals, normal limits (Lin 2013)."""
    estimate, variance = 0.0, 0.0
    for sign, arm in ((1, treated), (-1, ~treated)):
        own_x = x[arm] - x[arm].mean()
        square = own_x @ own_x
        slope = own_x @ y[arm] / square if square > 0 else 0.0
        estimate += sign * (y[arm].mean() - slope * (x[arm].mean() - x.mean()))
        residual = y[arm] - y[arm].mean() - slope * own_x
        variance += residual @ residual / ((arm.sum() - 1) * arm.sum())
    return _interval(estimate, float(variance), np.inf)


def growthbook_multiplier(units: int, alpha: float = 0.05) -> float:
    """Standard errors on each side of GrowthBook's sequential interval, with its default tuning.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024),
    with rho^2 = (-2 ln alpha + ln(1 - 2 ln alpha)) / N*, N* = 5,000; N counts the units of all
    arms: https://docs.growthbook.io/statistics/sequential
    """
    rho2 = (-2 * np.log(alpha) + np.log1p(-2 * np.log(alpha))) / GROWTHBOOK_TUNING
    information = units * rho2
    spread = 2 * (information + 1) / information
    return float(np.sqrt(spread * np.log(np.sqrt(information + 1) / alpha)))


def _interval(estimate: float, variance: float, df: float) -> tuple[float, float, float]:
    reach = float(stats.t.ppf(0.975, df)) * float(np.sqrt(variance))
    return estimate, estimate - reach, estimate + reach
