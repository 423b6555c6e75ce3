"""Boundaries that keep the risk of a false alarm over repeated looks at the same customers.

It knows correlations and error rates only: what is measured at a look is not its business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from scipy.stats import qmc

if TYPE_CHECKING:
    from loyalty_exp.stats.ancova import JointEffects

__all__ = [
    "CAP",
    "SpendingFunction",
    "boundaries",
    "digits",
    "exceedance",
    "look_correlation",
    "obrien_fleming",
    "pocock",
    "power",
    "rays",
    "spending_function",
]

Floats = NDArray[np.float64]
SpendingFunction = Callable[[float, float], float]
"""From the share t of the looks taken and alpha: the two-sided error spent by then."""

CAP = 8.3
SEED = 20_240_229
SINGULAR = 1e-10


def obrien_fleming(t: float, alpha: float) -> float:
    """Error spent by share t of the looks, late: O'Brien-Fleming type, alpha/2 on each side.

    Source: Lan and DeMets (1983), alpha_1*, for each side.
    """
    return float(4 * special.ndtr(special.ndtri(alpha / 4) / math.sqrt(t)))


def pocock(t: float, alpha: float) -> float:
    """Error spent by share t of the looks, early: Pocock type. Lan and DeMets (1983), alpha_2*."""
    return alpha * math.log1p((math.e - 1) * t)


def power(rho: float) -> SpendingFunction:
    """The power family alpha t^rho, rho > 0. Source: Kim and DeMets (1987)."""
    if rho <= 0:
        raise ValueError("the power of a spending function must be positive")

    def spend(t: float, alpha: float) -> float:
        return float(alpha * t**rho)

    return spend


def spending_function(name: str, rho: float = 2.0) -> SpendingFunction:
    """The spending function of a declared name: obrien-fleming, pocock, or power (with rho)."""
    named = {"obrien-fleming": obrien_fleming, "pocock": pocock, "power": power(rho)}
    if name not in named:
        raise ValueError(f"no spending function {name!r}; there are {', '.join(named)}")
    return named[name]


def look_correlation(effects: JointEffects) -> Floats:
    """Correlation of the looks, (k, k), from the effects on the k cumulative outcomes in order.

    A look that cannot be estimated has a row and a column of NaN.
    """
    spread = np.sqrt(np.diag(effects.covariance))
    correlation: Floats = effects.covariance / np.outer(spread, spread)
    return np.clip(correlation, -1.0, 1.0)


def boundaries(
    correlation: Floats,
    spending: SpendingFunction,
    alpha: float,
    planned: int,
    points: int | None = None,
) -> Floats:
    """Critical values of the looks taken so far.

    P(|Z_j| > c_j for some j <= k) is what the spending function allows at k / planned. The value at
    a look depends on that look and those before it only, so past boundaries never move.

    Args:
        correlation: Correlation of the k looks taken, (k, k), k <= planned. A row of NaN is a look
            that could not be estimated: it has no boundary, and the next one takes up its error.
        spending: Cumulative error allowed at a share of the looks.
        alpha: Two-sided error over all planned looks.
        planned: Looks planned, K; frozen.
        points: Integration points, a power of 2; by default 4,096 up to 12 looks, then 16,384.

    Returns:
        Critical values on the normal scale, (k,), at most 8.3; NaN where the look is not estimable.

    Raises:
        ValueError: More looks taken than planned.

    Source: Lan and DeMets (1983, 1989) for the boundary; Deak (1980) for the integral.
    """
    looks = len(correlation)
    if looks > planned:
        raise ValueError(f"{looks} looks taken, but only {planned} were planned")
    return _boundaries(digits(correlation), looks, spending, alpha, planned, points).copy()


def digits(correlation: Floats) -> bytes:
    """A correlation matrix as a key to what follows from it: figures in proportion share theirs.

    Twelve digits; the rest is rounding.
    """
    # Adding 0 makes -0 a 0.
    return (np.round(correlation, 12) + 0.0).tobytes()


@lru_cache(maxsize=128)
def _boundaries(
    key: bytes,
    looks: int,
    spending: SpendingFunction,
    alpha: float,
    planned: int,
    points: int | None,
) -> Floats:
    """As `boundaries`, kept: net result and margin, pages and verdicts ask for the same ones."""
    correlation = np.frombuffer(key).reshape(looks, looks)
    boundary = np.full(looks, np.nan)
    usable = np.flatnonzero(~np.isnan(np.diag(correlation)))
    lengths = rays(correlation[np.ix_(usable, usable)], planned, points)
    nearest = np.full(len(lengths), np.inf)
    spent = np.zeros(len(lengths))
    for column, look in enumerate(usable):
        allowed = spending((look + 1) / planned, alpha)
        length = lengths[:, column]
        if column == 0:
            boundary[look] = min(-float(special.ndtri(allowed / 2)), CAP)
        else:
            boundary[look] = _solve(nearest, spent, length, planned, allowed)
        radius = (boundary[look] / length) ** 2
        nearer = radius < nearest
        nearest[nearer] = radius[nearer]
        spent[nearer] = special.chdtrc(planned, radius[nearer])
    return boundary


def exceedance(squared_radius: Floats, dimensions: int) -> float:
    """Mean probability that a normal vector leaves the region, by its squared radius per direction.

    Source: Deak (1980): given the direction, the squared length is chi-square.
    """
    return float(special.chdtrc(dimensions, squared_radius).mean())


def rays(correlation: Floats, dimensions: int, points: int | None = None) -> Floats:
    """Absolute values of k correlated normals along random directions of unit length.

    Args:
        correlation: Correlation matrix, (k, k); may be singular.
        dimensions: Dimensions of the directions, at least k.
        points: Directions, a power of 2; by default 4,096 up to 12 dimensions, then 16,384.

    Returns:
        |(L u_i)_j| with L the Cholesky factor, shape (points, k), never exactly 0.
    """
    directions = _directions(dimensions, points or (4096 if dimensions <= 12 else 16384))
    factor = _cholesky(correlation)
    lengths: Floats = np.abs(directions[:, : len(factor)] @ factor.T)
    return np.asfortranarray(np.maximum(lengths, 1e-300))


def _solve(
    nearest: Floats, spent: Floats, length: Floats, dimensions: int, allowed: float
) -> float:
    """The critical value at which the error spent is what is allowed, capped at 8.3.

    The search starts between the values that need no earlier look and no overlap with one; it
    widens where integration error has put the answer outside.
    """
    fresh = max(allowed - float(spent.mean()), 1e-300)
    alone, apart = (-float(special.ndtri(error / 2)) for error in (allowed, fresh))
    for low, high in ((0.95 * alone, min(1.05 * apart, CAP)), (0.0, CAP)):
        excess = _excess(nearest, spent, length, dimensions, allowed, low)
        if excess(high) < 0 <= excess(low):
            return float(optimize.brentq(excess, low, high, xtol=1e-6, rtol=1e-9))
    return CAP


def _excess(
    nearest: Floats,
    spent: Floats,
    length: Floats,
    dimensions: int,
    allowed: float,
    low: float,
) -> Callable[[float], float]:
    """Error spent beyond what is allowed, for critical values from `low` on.

    Only directions that a value as low as that could cut shorter are looked at again, and of these
    only those whose probability is not lost in the total.
    """
    negligible = special.chdtri(dimensions, 1e-7 * allowed)
    active = (low / length) ** 2 < np.minimum(nearest, negligible)
    kept = float(spent[~active].sum())
    bound, inverse = nearest[active], 1 / length[active] ** 2

    def excess(c: float) -> float:
        again = special.chdtrc(dimensions, np.minimum(bound, c * c * inverse))
        return (kept + float(again.sum())) / len(nearest) - allowed

    return excess


@lru_cache(maxsize=16)
def _directions(dimensions: int, points: int) -> Floats:
    """Quasi-random directions on the unit sphere, (points, dimensions), always the same ones."""
    uniform = qmc.Sobol(dimensions, scramble=True, seed=SEED).random(points)
    normal = special.ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    directions: Floats = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    directions.setflags(write=False)
    return directions


def _cholesky(correlation: Floats) -> Floats:
    """Lower Cholesky factor, row by row; a row that adds nothing new has a zero on the diagonal."""
    size = len(correlation)
    factor = np.zeros((size, size))
    for row in range(size):
        for column in range(row):
            pivot = factor[column, column]
            rest = correlation[row, column] - factor[row, :column] @ factor[column, :column]
            factor[row, column] = rest / pivot if pivot > 0 else 0.0
        left = correlation[row, row] - factor[row, :row] @ factor[row, :row]
        factor[row, row] = math.sqrt(left) if left > SINGULAR else 0.0
    return factor
