"""Moments against brute force on the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loyalty_exp.stats.moments import Moments

NAMES = ("y", "z", "x")
PAIRS = (("y", "x"), ("z", "x"), ("y", "y"))


def rows_of(n: int, seed: int, scale: float = 1.0, level: float = 0.0) -> np.ndarray:
    return level + scale * np.random.default_rng(seed).lognormal(0.0, 1.0, (n, 3))


def third_by_hand(rows: np.ndarray, pair: tuple[str, str]) -> list[float]:
    centred = rows - rows.mean(axis=0)
    y, x = (centred[:, NAMES.index(name)] for name in pair)
    return [float(sum(t)) for t in (y * y * y, y * y * x, y * x * x, x * x * x)]


def assert_same(found: Moments, wanted: Moments, rtol: float = 1e-10) -> None:
    """Equal up to rounding, which is relative to the size of the matrix, not of the entry."""
    assert found.names == wanted.names
    assert found.n == wanted.n
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=rtol)
    np.testing.assert_allclose(
        found.scatter, wanted.scatter, rtol=rtol, atol=rtol * np.abs(wanted.scatter).max()
    )
    assert found.third.keys() == wanted.third.keys()
    for pair, sums in wanted.third.items():
        scale = np.abs(sums).max()
        np.testing.assert_allclose(found.third[pair], sums, rtol=rtol, atol=rtol * scale)


def test_rows_against_numpy_and_scipy() -> None:
    rows = rows_of(50, 1)
    found = Moments.from_rows(NAMES, rows, PAIRS)
    np.testing.assert_allclose(found.covariance(), np.cov(rows.T), rtol=1e-12)
    assert found.mean_of("z") == pytest.approx(rows[:, 1].mean(), rel=1e-14)
    assert found.covariance_of("y", "x") == pytest.approx(np.cov(rows.T)[0, 2], rel=1e-12)
    skew = stats.moment(rows[:, 0], order=3) * 50
    np.testing.assert_allclose(found.third["y", "y"], [skew] * 4, rtol=1e-12)
    for pair in PAIRS:
        np.testing.assert_allclose(found.third[pair], third_by_hand(rows, pair), rtol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 40),
    cut=st.integers(0, 40),
    seed=st.integers(0, 10**6),
    level=st.sampled_from([0.0, -3.0, 100.0]),
)
def test_pooling_disjoint_groups_is_the_whole(n: int, cut: int, seed: int, level: float) -> None:
    rows = rows_of(n, seed, level=level)
    cut = min(cut, n)
    parts = [Moments.from_rows(NAMES, part, PAIRS) for part in (rows[:cut], rows[cut:])]
    whole = Moments.from_rows(NAMES, rows, PAIRS)
    assert_same(parts[0] + parts[1], whole, rtol=1e-9)


def test_pooling_is_associative_with_empty_groups() -> None:
    rows = rows_of(30, 5)
    a, b, c = (Moments.from_rows(NAMES, part, PAIRS) for part in np.split(rows, [4, 11]))
    empty = Moments.from_rows(NAMES, np.empty((0, 3)), PAIRS)
    assert_same((a + b) + c, a + (b + c))
    assert_same(empty + a, a)
    assert_same(a + empty, a)


@pytest.mark.parametrize("shift", [np.zeros(3), np.array([1.0, 2.0, -1.0])])
def test_sums_about_any_constant_give_the_same(shift: np.ndarray) -> None:
    rows = rows_of(80, 2)
    moved = rows - shift
    third = {
        (a, b): np.array(
            [
                (moved[:, NAMES.index(a)] ** (3 - k) * moved[:, NAMES.index(b)] ** k).sum()
                for k in range(4)
            ]
        )
        for a, b in PAIRS
    }
    found = Moments.from_sums(
        NAMES, 80, shift, moved.sum(axis=0), moved.T @ moved, third_sums=third
    )
    assert_same(found, Moments.from_rows(NAMES, rows, PAIRS))


def test_a_shift_near_the_mean_keeps_digits_that_raw_sums_lose() -> None:
    rows = rows_of(200, 3, scale=1e-3, level=1e7)
    shift = np.full(3, 1e7)
    moved = rows - shift
    found = Moments.from_sums(NAMES, 200, shift, moved.sum(axis=0), moved.T @ moved)
    wanted = np.cov(moved.T)
    np.testing.assert_allclose(found.covariance(), wanted, rtol=1e-9)
    raw = Moments.from_sums(NAMES, 200, np.zeros(3), rows.sum(axis=0), rows.T @ rows)
    assert not np.allclose(raw.covariance(), wanted, rtol=0.5, atol=0)


def test_transform_is_the_moments_of_transformed_rows() -> None:
    rows = rows_of(25, 4)
    matrix = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, -2.0, 0.5], [0.0, 0.0, 1.0]])
    names = ("c1", "c2", "mix", "x")
    wanted = Moments.from_rows(names, rows @ matrix.T)
    found = Moments.from_rows(NAMES, rows, PAIRS).transform(names, matrix)
    assert_same(found, wanted)
    third = {("c1", "x"): np.arange(4.0)}
    assert Moments.from_rows(NAMES, rows).transform(names, matrix, third).third == third


def test_third_sums_of_transformed_variables_can_be_added() -> None:
    rows = rows_of(25, 6)
    matrix = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    shift = np.array([1.0, 0.5, 2.0])
    moved = (rows - shift) @ matrix.T
    raw = np.array([(moved[:, 0] ** (3 - k) * moved[:, 1] ** k).sum() for k in range(4)])
    found = (
        Moments.from_rows(NAMES, rows)
        .transform(("c", "x"), matrix)
        .with_third({("c", "x"): raw}, matrix @ shift)
    )
    assert_same(found, Moments.from_rows(("c", "x"), rows @ matrix.T, [("c", "x")]))


def test_select_keeps_order_and_the_third_moments_that_remain() -> None:
    rows = rows_of(25, 7)
    found = Moments.from_rows(NAMES, rows, PAIRS).select(("x", "y"))
    assert found.names == ("x", "y")
    assert set(found.third) == {("y", "x"), ("y", "y")}
    np.testing.assert_allclose(found.covariance(), np.cov(rows[:, [2, 0]].T), rtol=1e-12)


def test_below_two_units_a_covariance_is_not_a_number() -> None:
    one = Moments.from_rows(NAMES, rows_of(1, 8))
    assert np.isnan(one.covariance()).all()
    assert np.isnan(one.covariance_of("y", "x"))
    empty = Moments.from_sums(NAMES, 0, np.zeros(3), np.zeros(3), np.zeros((3, 3)))
    assert np.isnan(empty.mean_of("y"))


def test_wrong_names_are_refused() -> None:
    a = Moments.from_rows(NAMES, rows_of(5, 9))
    with pytest.raises(ValueError, match="different variables"):
        _ = a + a.select(("y", "x"))
    with pytest.raises(ValueError, match="no moments of 'w'"):
        a.select(("w",))
    with pytest.raises(ValueError, match="no moments of w"):
        a.with_third({("w", "x"): np.zeros(4)}, np.zeros(3))
    with pytest.raises(ValueError, match="repeated"):
        Moments.from_rows(("y", "y", "x"), rows_of(5, 9))
    with pytest.raises(ValueError, match="shape"):
        Moments(("y",), 2, np.zeros(2), np.zeros((1, 1)))
