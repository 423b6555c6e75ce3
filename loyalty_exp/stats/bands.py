"""Bands that hold for all months of a path together.

They serve pictures of a path: verdicts come from the looks, whose boundaries are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from loyalty_exp.stats.intervals import IntervalMethod, interval
from loyalty_exp.stats.looks import digits, exceedance, look_correlation, rays

if TYPE_CHECKING:
    from loyalty_exp.stats.ancova import JointEffects

__all__ = ["Band", "simultaneous_band", "sup_t_critical"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A simultaneous confidence band over q outcomes.

    Attributes:
        lower: Lower limits, (q,), in the outcomes' unit; NaN where not estimable.
        upper: Upper limits, likewise.
        critical: The common critical value on the normal scale; NaN when nothing is estimable.
    """

    lower: Floats
    upper: Floats
    critical: float


def sup_t_critical(correlation: Floats, level: float = 0.95, points: int | None = None) -> float:
    """The c with P(max_j |Z_j| <= c) = level for Z ~ N(0, correlation).

    Args:
        correlation: Shape (k, k); rows of NaN are left out.
        level: Confidence that the whole path lies in the band.
        points: Integration points, a power of 2; defaults as in `looks.rays`.

    Returns:
        The critical value on the normal scale; NaN when no row is left.

    Source: Montiel Olea and Plagborg-Moller (2019), sup-t; Deak (1980) for the integral.
    """
    return _sup_t_critical(digits(correlation), len(correlation), level, points)


@lru_cache(maxsize=128)
def _sup_t_critical(key: bytes, size: int, level: float, points: int | None) -> float:
    """As `sup_t_critical`, kept: metrics in proportion to each other share theirs."""
    correlation = np.frombuffer(key).reshape(size, size)
    usable = np.flatnonzero(~np.isnan(np.diag(correlation)))
    if len(usable) == 0:
        return float("nan")
    single = float(stats.norm.isf((1 - level) / 2))
    if len(usable) == 1:
        return single
    k = len(usable)
    longest = rays(correlation[np.ix_(usable, usable)], k, points).max(axis=1)

    def excess(c: float) -> float:
        return exceedance((c / longest) ** 2, k) - (1 - level)

    independent = float(stats.norm.isf((1 - level) / (2 * k)))
    return float(optimize.brentq(excess, 0.9 * single, 1.1 * independent, xtol=1e-8))


def simultaneous_band(
    effects: JointEffects,
    method: IntervalMethod,
    level: float = 0.95,
    points: int | None = None,
) -> Band:
    """Band that holds all q effects together with the given confidence.

    Args:
        effects: Effects on the q outcomes of the path, usually the closed months.
        method: The frozen method, for every month alike.
        level: Confidence that the whole path lies in the band.
        points: Integration points, as in `sup_t_critical`.

    Returns:
        The band, at least as wide everywhere as the intervals of single months.
    """
    critical = sup_t_critical(look_correlation(effects), level, points)
    lower, upper = interval(effects, method, critical=critical)
    return Band(lower, upper, critical)
