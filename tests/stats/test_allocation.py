"""Allocation: exact totals, no favoured stratum, anyone can recompute it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_exp.stats.allocation import allocate, systematic_rounding, uniform_from_salt

SIZES = st.lists(st.integers(0, 400), min_size=1, max_size=8)
WEIGHTS = st.lists(st.integers(0, 50), min_size=2, max_size=4).filter(any)
UNIFORMS = st.fractions(0, 1, max_denominator=997).filter(lambda u: u < 1)


def as_shares(weights: list[int]) -> list[Fraction]:
    return [Fraction(weight, sum(weights)) for weight in weights]


def test_uniform_is_the_documented_recipe() -> None:
    # printf '%s' 'U:abc' | md5sum  ->  68123383e90f6d54db007dcc98bfb8d0
    assert uniform_from_salt("abc") == Fraction(0x68123383E90F6, 2**52)


def test_uniforms_are_uniform() -> None:
    values = np.array([float(uniform_from_salt(f"salt {i}")) for i in range(4000)])
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    # Chi-square with 19 degrees of freedom: .999 quantile 43.8; the salts are fixed.
    assert float(((counts - 200) ** 2 / 200).sum()) < 43.8


@given(st.lists(st.fractions(0, 30, max_denominator=60), max_size=8), UNIFORMS)
def test_rounding_goes_to_a_neighbour_for_each_and_for_the_sum(
    expected: list[Fraction], u: Fraction
) -> None:
    counts = systematic_rounding(expected, u)
    for count, mean in zip([*counts, sum(counts)], [*expected, sum(expected)], strict=True):
        assert floor(mean) <= count <= ceil(mean)


@given(st.lists(st.fractions(0, 12, max_denominator=12), min_size=1, max_size=6))
def test_rounding_is_exactly_unbiased(expected: list[Fraction]) -> None:
    # All running sums are multiples of 1/m, so counts are constant for u in [i/m, (i+1)/m):
    # the mean over i is the integral over u.
    m = int(np.lcm.reduce([mean.denominator for mean in expected]))
    draws = [systematic_rounding(expected, Fraction(i, m)) for i in range(m)]
    for stratum, mean in enumerate(expected):
        assert Fraction(sum(draw[stratum] for draw in draws), m) == mean


@given(SIZES, WEIGHTS, st.text(max_size=8))
def test_every_unit_gets_one_arm_and_totals_hold(
    sizes: list[int], weights: list[int], salt: str
) -> None:
    shares = as_shares(weights)
    counts = allocate(sizes, shares, salt)
    assert [sum(row) for row in counts] == sizes
    assert all(count >= 0 for row in counts for count in row)
    totals = [sum(row[arm] for row in counts) for arm in range(len(shares))]
    for arm, share in enumerate(shares):
        expected = share * sum(sizes)
        # The holdout's total is a neighbour; each later arm inherits what was rounded before it.
        assert abs(totals[arm] - expected) < 1 + arm
        if share == 0:
            assert totals[arm] == 0


def test_whole_totals_are_met_exactly() -> None:
    sizes = [13, 29, 41, 17]
    shares = [Fraction(1, 5), Fraction(2, 5), Fraction(2, 5)]
    for i in range(200):
        counts = allocate(sizes, shares, f"s{i}")
        assert [sum(column) for column in zip(*counts, strict=True)] == [20, 40, 40]


def test_arms_after_the_first_are_unbiased_in_each_stratum() -> None:
    sizes, shares = [3, 5, 7, 4], [Fraction(1, 5), Fraction(3, 10), Fraction(1, 2)]
    draws = np.array([allocate(sizes, shares, f"draw {i}") for i in range(4000)])
    mean, error = draws.mean(axis=0), draws.std(axis=0) / np.sqrt(len(draws))
    target = np.outer(sizes, [float(share) for share in shares])
    # Twelve z-scores on fixed salts: 3.5 errors each.
    assert np.all(np.abs(mean - target) <= 3.5 * error)


def test_shares_may_differ_by_stratum() -> None:
    counts = allocate(
        [10, 20], [[Fraction(1, 2), Fraction(1, 2)], [Fraction(1, 10), Fraction(9, 10)]], "x"
    )
    assert counts == [[5, 5], [2, 18]]


def test_an_arm_of_share_one_leaves_nothing() -> None:
    assert allocate([4, 6], [Fraction(1), Fraction(0), Fraction(0)], "x") == [[4, 0, 0], [6, 0, 0]]
    assert allocate([], [Fraction(1, 2), Fraction(1, 2)], "x") == []


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ([-1], [Fraction(1, 2), Fraction(1, 2)]),
        ([5], [Fraction(1, 2), Fraction(1, 3)]),
        ([5], [Fraction(3, 2), Fraction(-1, 2)]),
        ([5], [[Fraction(1)], [Fraction(1)]]),
        ([5, 5], [[Fraction(1)], [Fraction(1, 2), Fraction(1, 2)]]),
    ],
)
def test_bad_shares_are_refused(sizes: list[int], shares: list[Fraction]) -> None:
    with pytest.raises(ValueError, match=r"shares|negative"):
        allocate(sizes, shares, "x")


def test_u_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        systematic_rounding([Fraction(1)], Fraction(1))
    with pytest.raises(ValueError, match="negative"):
        systematic_rounding([Fraction(-1)], Fraction(0))
