"""BG/NBD and gamma-gamma against integration of the individual model, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from loyalty_exp.stats.lifetimes import (
    Histories,
    PurchaseModel,
    SpendModel,
    expected_purchases,
    expected_spend,
    fit_purchases,
    fit_spend,
    p_alive,
    purchase_log_likelihood,
    spend_log_likelihood,
)

CDNOW = np.array([0.243, 4.414, 0.793, 2.426])
"""Estimates of Fader, Hardie and Lee (2005), table 2, weeks: a realistic point."""


def model(parameters: np.ndarray) -> PurchaseModel:
    r, alpha, a, b = parameters
    return PurchaseModel(r, alpha, a, b, (np.nan,) * 4, np.nan, 0, ())


def histories(rows: list[tuple[float, float, float]]) -> Histories:
    x, t_x, T = (np.array(column) for column in zip(*rows, strict=True))
    return Histories(x, t_x, T, np.ones(len(rows)))


def over_customers(parameters: np.ndarray, function) -> float:
    """Integral of function(rate, chance to leave) over the population: Gauss rules, 150 x 80."""
    r, alpha, a, b = parameters
    rates, rate_weights = special.roots_genlaguerre(150, r - 1)
    chances, chance_weights = special.roots_sh_jacobi(80, a + b - 1, a)
    values = function(rates[:, None] / alpha, chances[None, :])
    return rate_weights @ values @ chance_weights / rate_weights.sum() / chance_weights.sum()


def of_one(x: float, t_x: float, T: float):
    """Likelihood of a customer of known rate and chance to leave (equation 3 of the paper)."""

    def likelihood(rate: np.ndarray, p: np.ndarray) -> np.ndarray:
        stays = (1 - p) ** x * rate**x * np.exp(-rate * T)
        leaves = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x > 0 else 0.0
        return stays + leaves

    return likelihood


@pytest.mark.parametrize("row", [(0, 0.0, 20.0), (1, 3.0, 25.0), (2, 30.4, 38.9), (6, 20.0, 21.0)])
@pytest.mark.parametrize(
    "parameters", [np.array([1.6, 5.0, 1.4, 2.4]), np.array([2.2, 9.0, 1.1, 4.0])]
)
def test_likelihood_is_the_individual_one_integrated(
    parameters: np.ndarray, row: tuple[float, float, float]
) -> None:
    value, _ = purchase_log_likelihood(parameters, histories([row]))
    assert np.exp(value) == pytest.approx(over_customers(parameters, of_one(*row)), rel=1e-6)


@pytest.mark.parametrize("parameters", [CDNOW, np.array([1.5, 40.0, 2.0, 3.0])])
def test_gradients(parameters: np.ndarray) -> None:
    rows = histories([(0, 0.0, 20.0), (1, 3.0, 25.0), (2, 30.4, 38.9), (40, 20.0, 21.0)])
    _, gradient = purchase_log_likelihood(parameters, rows)
    numeric = optimize.approx_fprime(
        parameters, lambda theta: purchase_log_likelihood(theta, rows)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4)
    purchases, spend = np.array([1.0, 3.0, 9.0]), np.array([20.0, 35.0, 4.0])
    theta = np.array([6.25, 3.74, 15.44])
    _, gradient = spend_log_likelihood(theta, purchases, spend)
    numeric = optimize.approx_fprime(
        theta, lambda x: spend_log_likelihood(x, purchases, spend)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4)


@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 20.0), (1, 3.0, 25.0), (3, 20.0, 26.0)])
def test_forecasts_are_the_individual_ones_integrated(x: int, t_x: float, T: float) -> None:
    parameters, t = np.array([1.6, 5.0, 1.4, 2.4]), 30.0
    likelihood = of_one(x, t_x, T)

    def alive(rate: np.ndarray, p: np.ndarray) -> np.ndarray:
        return (1 - p) ** x * rate**x * np.exp(-rate * T)

    def coming(rate: np.ndarray, p: np.ndarray) -> np.ndarray:
        return alive(rate, p) * -np.expm1(-rate * p * t) / p

    whole = over_customers(parameters, likelihood)
    arrays = [np.array([float(value)]) for value in (x, t_x, T)]
    found = p_alive(model(parameters), *arrays)
    assert found[0] == pytest.approx(over_customers(parameters, alive) / whole, rel=1e-6)
    found = expected_purchases(model(parameters), t, *arrays)
    assert found[0] == pytest.approx(over_customers(parameters, coming) / whole, rel=1e-5)


@pytest.mark.parametrize("a", [0.3, 0.999995, 1.0, 1.2, 8.0])
@pytest.mark.parametrize("x", [0.0, 1.0, 25.0, 900.0])
def test_expected_purchases_by_quadrature_of_the_posterior(a: float, x: float) -> None:
    """Alive, p ~ beta(a, b + x): E[(1 - (1 + p u)^-(r + x)) / p] with u = t/(alpha + T)."""
    r, alpha, b, T, t = 0.8, 12.0, 2.5, 400.0, 365.0
    u = t / (alpha + T)
    chances = stats.beta(a, b + x)

    def inner(quantile: float) -> float:
        p = chances.ppf(quantile)
        return (r + x) * u if p < 1e-12 else -np.expm1(-(r + x) * np.log1p(p * u)) / p

    expected, _ = integrate.quad(inner, 0, 1, epsabs=0, epsrel=1e-8, limit=400)
    arrays = [np.array([value]) for value in (x, 400.0 if x else 0.0, T)]
    fitted = model(np.array([r, alpha, a, b]))
    found = expected_purchases(fitted, t, *arrays) / p_alive(fitted, *arrays)
    assert found[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("x", [0.0, 5.0, 20.0])
def test_where_the_chance_to_leave_is_nearly_the_same_for_all(x: float) -> None:
    """a and b without bound: p is a / (a + b) for everybody, and nothing overflows."""
    r, alpha, a, b, T, t = 7.4, 470.0, 36873.0, 325510.0, 700.0, 365.0
    p, u = a / (a + b), t / (alpha + T)
    arrays = [np.array([value]) for value in (x, T if x else 0.0, T)]
    fitted = model(np.array([r, alpha, a, b]))
    found = expected_purchases(fitted, t, *arrays) / p_alive(fitted, *arrays)
    assert found[0] == pytest.approx(-np.expm1(-(r + x) * np.log1p(p * u)) / p, rel=1e-3)


def test_published_expectation() -> None:
    """Customer 1 of the CDNOW spreadsheet note: x = 2, t_x = 30.43, T = 38.86, 39 weeks ahead."""
    one = [np.array([value]) for value in (2.0, 30.43, 38.86)]
    found = expected_purchases(model(np.array([0.24259, 4.41353, 0.79282, 2.42591])), 39.0, *one)
    assert found[0] == pytest.approx(1.226, abs=5e-4)


def simulate(parameters: np.ndarray, customers: int, seed: int) -> Histories:
    rng = np.random.default_rng(seed)
    r, alpha, a, b = parameters
    rates = rng.gamma(r, 1 / alpha, customers)
    chances = rng.beta(a, b, customers)
    T = rng.uniform(20, 80, customers)
    x, t_x = np.zeros(customers), np.zeros(customers)
    clock, here = np.zeros(customers), np.ones(customers, bool)
    while here.any():
        clock = clock + rng.exponential(1 / np.maximum(rates, 1e-300))
        here &= clock <= T
        x[here] += 1
        t_x[here] = clock[here]
        here &= rng.random(customers) >= chances
    return Histories(x, t_x, T, np.ones(customers))


@pytest.mark.parametrize(
    ("parameters", "seed"),
    [(CDNOW, 1), (np.array([1.2, 6.0, 0.6, 3.0]), 2), (np.array([0.6, 10.0, 1.5, 2.0]), 3)],
)
def test_planted_parameters_are_recovered(parameters: np.ndarray, seed: int) -> None:
    """Within 3.5 standard errors each: 12 comparisons, chance of a false alarm 0.6 %."""
    fitted = fit_purchases(simulate(parameters, 20_000, seed))
    found = np.array([fitted.r, fitted.alpha, fitted.a, fitted.b])
    errors = np.array(fitted.standard_errors)
    assert fitted.notes == ()
    assert (errors / found < 0.2).all()
    assert (np.abs(found - parameters) < 3.5 * errors).all()


def test_stated_standard_errors_are_the_real_ones() -> None:
    """Over 60 samples the z-scores have variance 1; chi-square limits at 1e-4 on each side."""
    parameters = np.array([1.2, 6.0, 0.6, 3.0])
    scores = []
    for seed in range(60):
        fitted = fit_purchases(simulate(parameters, 3000, 100 + seed))
        found = np.log([fitted.r, fitted.alpha, fitted.a, fitted.b])
        errors = np.array(fitted.standard_errors) / np.exp(found)
        scores.append((found - np.log(parameters)) / errors)
    squares = (np.array(scores) ** 2).sum(axis=0)
    assert (squares > stats.chi2.ppf(1e-4, 60)).all()
    assert (squares < stats.chi2.ppf(1 - 1e-4, 60)).all()


def test_unit_of_time_and_grouping_change_nothing() -> None:
    one = simulate(CDNOW, 3000, 7)
    days = Histories(one.x, one.t_x * 7, one.T * 7, one.n)
    doubled = Histories(one.x, one.t_x, one.T, one.n * 2)
    fit, in_days, twice = (fit_purchases(rows) for rows in (one, days, doubled))
    assert in_days.alpha == pytest.approx(7 * fit.alpha, rel=1e-4)
    assert in_days.a == pytest.approx(fit.a, rel=1e-4)
    value, _ = purchase_log_likelihood(np.array([fit.r, fit.alpha, fit.a, fit.b]), one)
    assert fit.log_likelihood == pytest.approx(value, rel=1e-9)
    assert twice.r == pytest.approx(fit.r, rel=1e-3)
    assert twice.standard_errors[0] == pytest.approx(fit.standard_errors[0] / 2**0.5, rel=1e-2)


def test_what_cannot_be_estimated_says_so() -> None:
    with pytest.raises(ValueError, match="not estimable: no customer bought on two days"):
        fit_purchases(histories([(0, 0.0, 9.0), (0, 0.0, 8.0)]))
    faithful = fit_purchases(histories([(9, 90.0, 90.0), (10, 100.0, 100.0)] * 50))
    assert faithful.notes
    assert np.isnan(faithful.standard_errors).any()
    with pytest.raises(ValueError, match="not estimable: no two customers differ"):
        fit_spend(np.array([1.0, 2.0]), np.array([5.0, 5.0]))


def test_spend_parameters_are_recovered() -> None:
    """p, q and gamma of Fader and Hardie (2013); three comparisons at 3.5 standard errors."""
    rng = np.random.default_rng(5)
    p, q, gamma = 6.25, 3.74, 15.44
    purchases = 1.0 + rng.poisson(2.0, 20_000)
    scale = rng.gamma(q, 1 / gamma, purchases.size)
    spend = rng.gamma(p * purchases, 1 / scale) / purchases
    fitted = fit_spend(purchases, spend)
    found = np.array([fitted.p, fitted.q, fitted.gamma])
    errors = np.array(fitted.standard_errors)
    assert (np.abs(found - (p, q, gamma)) < 3.5 * errors).all()
    assert (errors / found < 0.2).all()
    value, _ = spend_log_likelihood(found, purchases, spend)
    assert fitted.log_likelihood == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("n", "mean"), [(1.0, 30.0), (4.0, 8.0)])
def test_expected_spend_by_quadrature(n: float, mean: float) -> None:
    """Posterior mean of p / scale given a mean spend, over the gamma scale of customers."""
    p, q, gamma = 2.5, 3.7, 15.0
    prior = stats.gamma(q, scale=1 / gamma)

    def weight(scale: float) -> float:
        return stats.gamma(p * n, scale=1 / (scale * n)).pdf(mean) * prior.pdf(scale)

    bottom, _ = integrate.quad(weight, 0, np.inf, epsabs=1e-14)
    top, _ = integrate.quad(lambda scale: weight(scale) * p / scale, 0, np.inf, epsabs=1e-14)
    fitted = SpendModel(p, q, gamma, (np.nan,) * 3, np.nan, 0, ())
    found = expected_spend(fitted, np.array([n]), np.array([mean]))
    assert found[0] == pytest.approx(top / bottom, rel=1e-6)
    value, _ = spend_log_likelihood(np.array([p, q, gamma]), np.array([n]), np.array([mean]))
    assert np.exp(value) == pytest.approx(bottom, rel=1e-6)


def test_expected_spend_where_it_has_no_mean() -> None:
    heavy = SpendModel(0.5, 0.9, 10.0, (np.nan,) * 3, np.nan, 0, ())
    found = expected_spend(heavy, np.array([0.0, 1.0]), np.array([0.0, 5.0]))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.5 * 15 / 0.4)
