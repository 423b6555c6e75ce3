"""What others would report on the same draws, written from their published formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from scipy import special

if TYPE_CHECKING:
    from loyalty_exp.stats.moments import Moments

Floats = npt.NDArray[np.float64]
Limits = tuple[Floats, Floats]

GROWTHBOOK_TUNING = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One arm in many draws.

    Attributes:
        n: Its units, shape (draws,).
        mean: Means of p variables, shape (draws, p).
        scatter: Their centred sums of cross-products, shape (draws, p, p).
    """

    n: Floats
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, draws: Sequence[Moments]) -> Self:
        """The same arm's moments, one a draw."""
        n = np.array([arm.n for arm in draws], dtype=np.float64)
        return cls(n, np.array([a.mean for a in draws]), np.array([a.scatter for a in draws]))


def welch(treated: Arm, control: Arm, y: int) -> Limits:
    """Welch's interval of the difference of means of variable y, no covariate; (draws,) each."""
    v_1, v_0 = (arm.scatter[:, y, y] / ((arm.n - 1) * arm.n) for arm in (treated, control))
    with np.errstate(invalid="ignore"):
        df = (v_1 + v_0) ** 2 / (v_1**2 / (treated.n - 1) + v_0**2 / (control.n - 1))
    reach = special.stdtrit(df, 0.975) * np.sqrt(v_1 + v_0)
    estimate = treated.mean[:, y] - control.mean[:, y]
    return estimate - reach, estimate + reach


def lin(treated: Arm, control: Arm, y: int, x: int) -> Limits:
    """Slopes of each arm's own, Neyman variance of the residuals, normal limits (Lin 2013)."""
    everybody = treated.n + control.n
    centre = (treated.n * treated.mean[:, x] + control.n * control.mean[:, x]) / everybody
    estimate, variance = np.zeros_like(centre), np.zeros_like(centre)
    for sign, arm in ((1, treated), (-1, control)):
        square, cross = arm.scatter[:, x, x], arm.scatter[:, x, y]
        slope = np.divide(cross, square, out=np.zeros_like(cross), where=square > 0)
        estimate += sign * (arm.mean[:, y] - slope * (arm.mean[:, x] - centre))
        residual = np.maximum(arm.scatter[:, y, y] - slope * cross, 0.0)
        variance += residual / ((arm.n - 1) * arm.n)
    reach = special.ndtri(0.975) * np.sqrt(variance)
    return estimate - reach, estimate + reach


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
