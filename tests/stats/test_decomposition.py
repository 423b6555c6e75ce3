"""The decomposition against its identity, Shapley's, finite differences and simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loyalty_exp.stats.ancova import Comparison, JointEffects, Reason, joint_effects
from loyalty_exp.stats.decomposition import COMPONENTS, decompose
from loyalty_exp.stats.moments import Moments

NAMES = ("active", "orders", "revenue", "past_active", "past_orders", "past_revenue")
OUTCOMES, PAST = NAMES[:3], NAMES[3:]
positive = st.floats(0.01, 1e4)


def from_means(
    treated: np.ndarray, control: np.ndarray, c1: np.ndarray | None = None, c0=None
) -> JointEffects:
    row, square = np.ones(3), np.eye(3)
    c1 = square if c1 is None else c1
    c0 = square if c0 is None else c0
    return JointEffects(
        outcomes=OUTCOMES,
        estimate=treated - control,
        covariance=c1 + c0,
        df=row,
        n_treated=90,
        n_control=30,
        mean_treated=treated,
        mean_control=control,
        covariance_treated=c1,
        covariance_control=c0,
        pooled_covariance_treated=square,
        pooled_covariance_control=square,
        pooled_df=1.0,
        skewness=row,
        raw_mean_treated=row,
        raw_mean_control=row,
        raw_variance=row,
        theta=row,
        slope_bias=row,
        notes=((),) * 3,
    )


@settings(max_examples=200, deadline=None)
@given(means=st.tuples(*[positive] * 6))
def test_parts_add_up_to_the_effect(means: tuple[float, ...]) -> None:
    treated, control = np.array(means[:3]), np.array(means[3:])
    found = decompose(from_means(treated, control), *OUTCOMES)
    scale = np.abs(found.estimate).max() + max(means)
    assert abs(found.estimate.sum() - found.total) < 1e-13 * scale * 10


def shapley(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Average over the six orders in which a, o / a and r / o can change."""
    one, zero = (np.array([m[0], m[1] / m[0], m[2] / m[1]]) for m in (treated, control))
    parts = np.zeros(3)
    for order in permutations(range(3)):
        now = zero.copy()
        for k in order:
            before = now.prod()
            now[k] = one[k]
            parts[k] += (now.prod() - before) / 6
    return parts


def test_close_to_shapley_for_small_changes() -> None:
    control = np.array([0.4, 0.7, 35.0])
    treated = control * [1.04, 1.07, 1.09]
    found = decompose(from_means(treated, control), *OUTCOMES)
    np.testing.assert_allclose(found.estimate, shapley(treated, control), atol=2e-4 * control[2])


@pytest.mark.parametrize(
    "ratio", [[1.3, 1.2, 1.5], [1.0, 1.0, 1.0], [1.1, 1.2, 1.0005], [0.7, 0.9, 0.2]]
)
def test_variance_is_the_delta_method_by_finite_differences(ratio: list[float]) -> None:
    rng = np.random.default_rng(1)
    control = np.array([0.4, 0.7, 35.0])
    treated = control * ratio
    half1, half0 = rng.normal(size=(2, 3, 3)) * 0.01
    c1, c0 = half1 @ half1.T, half0 @ half0.T
    found = decompose(from_means(treated, control, c1, c0), *OUTCOMES)
    means = np.concatenate([treated, control])

    def parts(m: np.ndarray) -> np.ndarray:
        return decompose(from_means(m[:3], m[3:]), *OUTCOMES).estimate

    jacobian = np.column_stack(
        [
            (parts(means + step) - parts(means - step)) / (2 * step.sum())
            for step in np.diag(1e-5 * means)
        ]
    )
    v1 = jacobian[:, :3] @ c1 @ jacobian[:, :3].T
    v0 = jacobian[:, 3:] @ c0 @ jacobian[:, 3:].T
    np.testing.assert_allclose(found.covariance, v1 + v0, rtol=1e-5, atol=1e-10)
    df = np.diag(v1 + v0) ** 2 / (np.diag(v1) ** 2 / 89 + np.diag(v0) ** 2 / 29)
    np.testing.assert_allclose(found.df, df, rtol=1e-5)
    half = stats.t.ppf(0.975, df) * np.sqrt(np.diag(v1 + v0))
    np.testing.assert_allclose(found.upper - found.estimate, half, rtol=1e-5)
    np.testing.assert_allclose(found.estimate - found.lower, half, rtol=1e-5)


def test_one_lever_alone_takes_the_whole_effect() -> None:
    control = np.array([0.4, 0.7, 35.0])
    for k, lever in enumerate(([1.2, 1.2, 1.2], [1.0, 1.2, 1.2], [1.0, 1.0, 1.2])):
        found = decompose(from_means(control * lever, control), *OUTCOMES)
        wanted = np.zeros(3)
        wanted[k] = 7.0
        np.testing.assert_allclose(found.estimate, wanted, atol=1e-12)
    assert COMPONENTS == ("reactivation", "frequency", "basket")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.0, Reason.NOT_POSITIVE), (-1.0, Reason.NOT_POSITIVE), (np.nan, Reason.PART_MISSING)],
)
def test_undefined_in_words(value: float, reason: Reason) -> None:
    treated, control = np.array([0.4, 0.7, 35.0]), np.array([0.3, value, 30.0])
    found = decompose(from_means(treated, control), *OUTCOMES)
    assert found.reason is reason
    assert np.isnan(found.estimate).all()
    assert np.isnan(found.covariance).all()
    assert found.total == 5.0


def company(n: int, rng: np.random.Generator, lever: float) -> np.ndarray:
    """Active months, orders and revenue of a year, and of the year before."""
    taste = rng.normal(size=n)
    years = []
    for boost in (lever, 0.0):
        active = rng.binomial(12, 1 / (1 + np.exp(1.0 - taste - boost)))
        orders = active + rng.poisson(0.4 * active * (1 + boost))
        basket = np.exp(3 + 0.3 * taste + rng.normal(0, 0.4, n)) * (1 + boost)
        years.append([active, orders, orders * basket])
    return np.array(years, dtype=float).reshape(6, n).T


def test_parts_cover_their_true_values() -> None:
    """1,200 draws, 300 treated and 100 held out; Monte-Carlo error .0063, bar [.915, .98]."""
    rng = np.random.default_rng(2)
    big = [company(400_000, rng, lever).mean(axis=0)[:3] for lever in (0.15, 0.0)]
    truth = decompose(from_means(*big), *OUTCOMES).estimate
    assert (truth > 1).all()
    inside = np.zeros(3)
    for _ in range(1200):
        comparison = Comparison(
            Moments.from_rows(NAMES, company(300, rng, 0.15)),
            Moments.from_rows(NAMES, company(100, rng, 0.0)),
        )
        found = decompose(joint_effects([comparison], OUTCOMES, PAST), *OUTCOMES)
        residual = abs(found.estimate.sum() - found.total)
        assert residual < 1e-10 * abs(found.total) + 1e-12
        inside += (found.lower <= truth) & (truth <= found.upper)
    assert ((inside / 1200 >= 0.915) & (inside / 1200 <= 0.98)).all()


def test_a_part_in_which_nothing_varies_is_zero_without_doubt() -> None:
    """Nobody orders twice in a month: orders and active months are one variable."""
    rng = np.random.default_rng(3)
    sides = []
    for n in (400, 150):
        bought = rng.random((n, 2)) < 0.4
        paid = bought * rng.lognormal(3, 0.7, (n, 2))
        columns = [bought[:, 0], bought[:, 0], paid[:, 0], bought[:, 1], bought[:, 1], paid[:, 1]]
        sides.append(Moments.from_rows(NAMES, np.column_stack(columns).astype(float)))
    found = decompose(joint_effects([Comparison(*sides)], OUTCOMES, PAST), *OUTCOMES)
    assert abs(found.estimate[1]) < 1e-12
    assert found.lower[1] == found.estimate[1] == found.upper[1]
    assert np.isfinite([found.lower, found.upper]).all()
    assert found.estimate.sum() == pytest.approx(found.total)
