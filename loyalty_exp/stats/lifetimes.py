"""How long customers stay and what they will buy: BG/NBD purchases and gamma-gamma spend.

Takes arrays of purchase histories, gives fitted parameters and forecasts; reads no store.

Sources: Fader, Hardie and Lee (2005), "Counting your customers the easy way: an alternative to the
Pareto/NBD model" (equations 6, 8 and 10 below); Fader and Hardie (2013), "The gamma-gamma model of
monetary value". A customer buys as a Poisson process of rate lambda, and after each repeat purchase
leaves for ever with probability p; over customers lambda ~ gamma(r, alpha), p ~ beta(a, b). The
spend of a purchase is gamma(p, nu), the customer's own rate nu ~ gamma(q, gamma). Both assume that
rate and spend do not drift and are independent: a season or a trend breaks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import digamma, gammaln, hyp2f1

__all__ = [
    "Histories",
    "PurchaseModel",
    "SpendModel",
    "expected_purchases",
    "expected_spend",
    "fit_purchases",
    "fit_spend",
    "p_alive",
    "purchase_log_likelihood",
    "spend_log_likelihood",
]

Vector = NDArray[np.float64]

_WALL = 12.0
"""A log-parameter this far from its start has run away: the data do not bound it."""


@dataclass(frozen=True, slots=True)
class Histories:
    """Purchase histories, several customers a row; all shape (rows,)."""

    x: Vector
    """repeat purchases, a count"""
    t_x: Vector
    """time from the first purchase to the last, 0 where x = 0"""
    T: Vector
    """time from the first purchase to the end of observation, the same unit"""
    n: Vector
    """customers with this history"""


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """Fitted BG/NBD model; time in the unit of the histories."""

    r: float
    """shape of the purchase rate over customers"""
    alpha: float
    """scale of the purchase rate, in time; r / alpha purchases a unit of time on average"""
    a: float
    """first parameter of the chance to leave"""
    b: float
    """second parameter of the chance to leave; a / (a + b) on average after a purchase"""
    standard_errors: tuple[float, float, float, float]
    """of r, alpha, a, b, from the Hessian of the log parameters; NaN where it is not estimable"""
    log_likelihood: float
    customers: int
    notes: tuple[str, ...]
    """in words, what is not estimable; empty when all is well"""


@dataclass(frozen=True, slots=True)
class SpendModel:
    """Fitted gamma-gamma model; money in the unit of the spend."""

    p: float
    """shape of a purchase's spend"""
    q: float
    """shape of the scale over customers; the mean spend exists for q > 1"""
    gamma: float
    """scale, in money"""
    standard_errors: tuple[float, float, float]
    """of p, q, gamma"""
    log_likelihood: float
    customers: int
    notes: tuple[str, ...]


def purchase_log_likelihood(parameters: Vector, histories: Histories) -> tuple[float, Vector]:
    """Log-likelihood of r, alpha, a, b (equation 6), and its gradient.

    Args:
        parameters: r, alpha, a, b, all positive, shape (4,).
        histories: the customers.
    """
    r, alpha, a, b = parameters
    x, t_x, T, n = histories.x, histories.t_x, histories.T, histories.n
    again = x > 0
    stayed = -(r + x) * np.log(alpha + T)
    after = np.where(again, b + x - 1, 1.0)
    left = np.where(again, np.log(a / after) - (r + x) * np.log(alpha + t_x), -np.inf)
    both = np.logaddexp(stayed, left)
    w = np.exp(left - both)
    rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    chance = gammaln(b + x) - gammaln(a + b + x) - gammaln(b) + gammaln(a + b)
    common = digamma(a + b) - digamma(a + b + x)
    gradient = (
        digamma(r + x) - digamma(r) + np.log(alpha)
        - (1 - w) * np.log(alpha + T) - w * np.log(alpha + t_x),
        r / alpha - (r + x) * ((1 - w) / (alpha + T) + w / (alpha + t_x)),
        common + w / a,
        common + digamma(b + x) - digamma(b) - w / after,
    )  # fmt: skip
    return float(n @ (rate + chance + both)), np.array([n @ part for part in gradient])


def spend_log_likelihood(
    parameters: Vector, purchases: Vector, spend: Vector
) -> tuple[float, Vector]:
    """Log-likelihood of p, q, gamma, and its gradient.

    Args:
        parameters: p, q, gamma, all positive, shape (3,).
        purchases: purchases of each customer, at least 1, shape (customers,).
        spend: their mean spend, positive, shape (customers,).
    """
    p, q, gamma = parameters
    total = purchases * spend
    log_sum, log_total = np.log(gamma + total), np.log(total)
    px = p * purchases
    value = (
        gammaln(px + q) - gammaln(px) - gammaln(q)
        + q * (np.log(gamma) - log_sum) + px * (log_total - log_sum) - np.log(spend)
    )  # fmt: skip
    gradient = (
        purchases * (digamma(px + q) - digamma(px) + log_total - log_sum),
        digamma(px + q) - digamma(q) + np.log(gamma) - log_sum,
        q / gamma - (px + q) / (gamma + total),
    )
    return float(value.sum()), np.array([part.sum() for part in gradient])


def fit_purchases(histories: Histories) -> PurchaseModel:
    """BG/NBD by maximum likelihood, on the logarithms of the parameters.

    Raises:
        ValueError: no customer, or nobody bought twice: nothing says how fast customers buy.
    """
    customers = int(histories.n.sum())
    repeats = float(histories.n @ histories.x)
    if repeats == 0:
        raise ValueError("not estimable: no customer bought on two days")
    unit = float(histories.n @ histories.T) / customers
    scaled = Histories(histories.x, histories.t_x / unit, histories.T / unit, histories.n)
    start = np.log([1.0, customers / repeats, 0.5, 2.0])
    best = _maximise(lambda theta: purchase_log_likelihood(theta, scaled), start, customers)
    r, alpha, a, b = (best.parameters * (1.0, unit, 1.0, 1.0)).tolist()
    errors = best.standard_errors * (1.0, unit, 1.0, 1.0)
    return PurchaseModel(
        r, alpha, a, b,
        tuple(errors.tolist()),
        float(best.value - repeats * np.log(unit)),
        customers,
        _remarks(best, ("r", "alpha", "a", "b")),
    )  # fmt: skip


def fit_spend(purchases: Vector, spend: Vector) -> SpendModel:
    """Gamma-gamma by maximum likelihood, on the logarithms of the parameters.

    Args:
        purchases: purchases of each customer, at least 1, shape (customers,).
        spend: their mean spend, positive, shape (customers,).

    Raises:
        ValueError: fewer than two customers, or all spend alike.
    """
    if len(spend) < 2 or np.ptp(spend) == 0:
        raise ValueError("not estimable: no two customers differ in spend")
    unit = float(np.median(spend))
    start = np.log([2.0, 3.0, 1.0])
    best = _maximise(
        lambda theta: spend_log_likelihood(theta, purchases, spend / unit), start, len(spend)
    )
    p, q, gamma = (best.parameters * (1.0, 1.0, unit)).tolist()
    errors = best.standard_errors * (1.0, 1.0, unit)
    value = float(best.value - len(spend) * np.log(unit))
    notes = _remarks(best, ("p", "q", "gamma"))
    if q <= 1:
        notes += ("q <= 1: customers without purchases have no expected spend",)
    return SpendModel(p, q, gamma, tuple(errors.tolist()), value, len(spend), notes)


def p_alive(model: PurchaseModel, x: Vector, t_x: Vector, T: Vector) -> Vector:
    """Probability that each customer has not left; 1 without a repeat purchase, by the model.

    Args:
        model: the fitted model.
        x: repeat purchases, shape (customers,).
        t_x: time from the first to the last purchase, shape (customers,).
        T: time from the first purchase to now, shape (customers,).
    """
    power = (model.r + x) * (np.log(model.alpha + T) - np.log(model.alpha + t_x))
    log_odds = np.log(model.a / np.where(x > 0, model.b + x - 1, 1.0)) + power
    return np.where(x > 0, np.exp(-np.logaddexp(0.0, log_odds)), 1.0)


def expected_purchases(model: PurchaseModel, t: float, x: Vector, t_x: Vector, T: Vector) -> Vector:
    """Purchases expected of each customer in the coming time t (equation 10).

    The hypergeometric function is taken after Euler's transformation, F(r + x, b + x; c; z) =
    (1 - z)^(a - 1 - r - x) F(a + b - 1 - r, a - 1; c; z), whose large power cancels against the one
    in front: nothing overflows for frequent buyers. Around a = 1, where
    numerator and denominator vanish, the smooth quotient is interpolated.

    Args:
        model: the fitted model.
        t: how far ahead, in the unit of the histories.
        x: repeat purchases, shape (customers,).
        t_x: time from the first to the last purchase, shape (customers,).
        T: time from the first purchase to now, shape (customers,).
    """
    z = t / (model.alpha + T + t)
    step = 1e-4
    if abs(model.a - 1) < step:
        low, high = (_if_alive(model, 1 + side * step, x, z) for side in (-1, 1))
        near = low + (model.a - 1 + step) / (2 * step) * (high - low)
    else:
        near = _if_alive(model, model.a, x, z)
    return near * p_alive(model, x, t_x, T)


def expected_spend(model: SpendModel, purchases: Vector, spend: Vector) -> Vector:
    """Mean spend per coming purchase of each customer, own mean drawn towards that of all.

    Args:
        model: the fitted model.
        purchases: purchases so far, shape (customers,).
        spend: their mean spend, shape (customers,); anything where there was no purchase.

    Returns:
        p (gamma + n m) / (p n + q - 1); NaN where that has no positive denominator.
    """
    total = np.where(purchases > 0, purchases * spend, 0.0)
    weight = model.p * purchases + model.q - 1
    return np.where(
        weight > 0, model.p * (model.gamma + total) / np.where(weight > 0, weight, 1), np.nan
    )


def _if_alive(model: PurchaseModel, a: float, x: Vector, z: Vector) -> Vector:
    """Equation 10 without its denominator, by Euler's transform where that holds its range.

    Where nearly everybody leaves (large a and b) the transform is 0 x infinity; the form as printed
    is not.
    """
    r, b = model.r, model.b
    c = a + b + x - 1
    with np.errstate(invalid="ignore", over="ignore"):
        left: Vector = (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, c, z)
    printed = (1 - z) ** (r + x) * hyp2f1(r + x, b + x, c, z)
    forecast: Vector = c / (a - 1) * (1 - np.where(np.isfinite(left), left, printed))
    return forecast


@dataclass(frozen=True, slots=True)
class _Maximum:
    parameters: Vector
    standard_errors: Vector
    value: float
    converged: bool
    at_wall: NDArray[np.bool_]


def _maximise(
    likelihood: Callable[[Vector], tuple[float, Vector]], start: Vector, customers: int
) -> _Maximum:
    """Maximum over positive parameters, with standard errors by the delta method."""

    def loss(logs: Vector) -> tuple[float, Vector]:
        parameters = np.exp(logs)
        value, gradient = likelihood(parameters)
        return -value / customers, -gradient * parameters / customers

    bounds = [(log - _WALL, log + _WALL) for log in start]
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-8},
    )  # fmt: skip
    at_wall = np.abs(found.x - start) > _WALL - 1e-3
    parameters = np.exp(found.x)
    errors = np.full(len(start), np.nan)
    if not at_wall.any():
        errors = parameters * _log_errors(loss, found.x, customers)
    converged = bool(np.max(np.abs(np.where(at_wall, 0.0, found.jac))) < 1e-5)
    return _Maximum(parameters, errors, -float(found.fun) * customers, converged, at_wall)


def _log_errors(
    loss: Callable[[Vector], tuple[float, Vector]], logs: Vector, customers: int
) -> Vector:
    """Standard errors of the log parameters: central differences of the exact gradient."""
    step = 1e-4
    sides = np.eye(len(logs)) * step
    hessian = np.array([(loss(logs + s)[1] - loss(logs - s)[1]) / (2 * step) for s in sides])
    hessian = (hessian + hessian.T) / 2 * customers
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return np.full(len(logs), np.nan)
    errors: Vector = np.sqrt(np.diag(np.linalg.inv(hessian)))
    return errors


def _remarks(best: _Maximum, names: tuple[str, ...]) -> tuple[str, ...]:
    remarks = [
        f"{name} is not bounded by these data"
        for name, out in zip(names, best.at_wall, strict=True)
        if out
    ]
    if not best.converged:
        remarks.append("the maximum was not reached: do not rely on this fit")
    if not remarks and np.isnan(best.standard_errors).any():
        remarks.append("standard errors are not estimable: the likelihood is flat at its maximum")
    return tuple(remarks)
