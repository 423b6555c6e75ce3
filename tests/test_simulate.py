"""The reference generators: their stated moments, their planted truths, their repeatability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loyalty_exp.simulate import (
    B2B,
    B2C,
    SPARSE,
    Market,
    company_chunks,
    customer_months,
    synthetic_company,
)


@pytest.mark.parametrize(
    ("market", "without_order", "skew"),
    # The method notes state 80, 61 and 91 % and skews of 8, 37 and 18. The sample skewness of so
    # heavy a tail varies by a factor of two from seed to seed even with 100,000 customers.
    [(B2C, 0.80, (5, 14)), (B2B, 0.61, (15, 80)), (SPARSE, 0.91, (10, 35))],
    ids=["B2C", "B2B", "sparse"],
)
def test_markets_have_the_stated_moments(
    market: Market, without_order: float, skew: tuple[float, float]
) -> None:
    drawn = customer_months(market, 100_000, np.random.default_rng(1))
    assert abs((~drawn.active).mean() - without_order) < 0.01
    assert skew[0] < stats.skew(drawn.revenue.ravel()) < skew[1]


def test_mean_of_orders_given_an_order_does_not_depend_on_their_number() -> None:
    flat = Market("flat", b=0.0, su=0.0, sw=0.0, lo=0.0, sv=0.0, sb=0.8, lam=2.0)
    drawn = customer_months(flat, 40_000, np.random.default_rng(2))
    for orders in (1, 2, 4):
        basket = drawn.revenue[drawn.orders == orders] / orders
        error = basket.std() / np.sqrt(basket.size)
        # Mean and variance of a log-normal basket, and of the mean of independent ones.
        assert abs(basket.mean() - np.exp(4 + 0.8**2 / 2)) < 4 * error
        one = np.exp(8 + 0.8**2) * np.expm1(0.8**2)
        assert basket.var() == pytest.approx(one / orders, rel=0.05)


def test_buying_persists_and_has_seasons() -> None:
    drawn = customer_months(B2C, 50_000, np.random.default_rng(3))
    state = drawn.active.astype(float)
    near = np.corrcoef(state[:, 12], state[:, 13])[0, 1]
    far = np.corrcoef(state[:, 0], state[:, 23])[0, 1]
    assert near > far > 0.05
    assert drawn.active[:, 11].mean() > drawn.active[:, 1].mean()


def test_response_is_heavier_for_heavier_buyers_and_averages_to_the_planted_effect() -> None:
    drawn = customer_months(B2B, 5_000, np.random.default_rng(4))
    added, after = drawn.effect(0.05), drawn.revenue[:, 12:]
    assert np.all(added[:, :12] == 0)
    assert added.sum() == pytest.approx(0.05 * after.sum(), rel=1e-12)
    assert drawn.response.max() / drawn.response.min() == pytest.approx(3.0)
    assert np.corrcoef(drawn.response, after.sum(axis=1))[0, 1] > 0.1


def test_same_seed_same_customers() -> None:
    one = customer_months(SPARSE, 100, np.random.default_rng(5))
    two = customer_months(SPARSE, 100, np.random.default_rng(5))
    assert np.array_equal(one.revenue, two.revenue)


def test_orders_add_up_to_the_months() -> None:
    company = synthetic_company(400, seed=6)
    orders = company.orders
    assert orders["order_id"].is_unique
    assert len(company.customers) == 400
    assert company.customers["customer_id"].is_unique
    month = (orders["ordered_at"].dt.year - 2024) * 12 + orders["ordered_at"].dt.month - 1
    row = orders["customer_id"].str[1:].astype(int)
    sums, counts = np.zeros((400, 24)), np.zeros((400, 24), dtype=int)
    np.add.at(sums, (row, month), orders["revenue"])
    np.add.at(counts, (row, month), 1)
    assert np.array_equal(counts, company.untreated.orders)
    # Each order is rounded to half a cent.
    assert np.all(np.abs(sums - company.untreated.revenue) <= 0.01 * np.maximum(counts, 1))
    rate = orders["margin"].sum() / orders["revenue"].sum()
    assert 0.40 < rate < 0.44


def test_treating_somebody_changes_that_customers_later_revenue_only() -> None:
    plain = synthetic_company(300, seed=7)
    chosen = plain.customers["customer_id"].iloc[::3]
    treated = synthetic_company(300, seed=7, treated=chosen, relative_effect=0.2)
    same = ["order_id", "customer_id", "ordered_at"]
    pd.testing.assert_frame_equal(plain.orders[same], treated.orders[same])
    pd.testing.assert_frame_equal(plain.customers, treated.customers)
    changed = plain.orders["customer_id"].isin(chosen) & (plain.orders["ordered_at"] >= "2025-01")
    equal = plain.orders["revenue"] == treated.orders["revenue"]
    assert equal[~changed].all()
    assert not equal[changed].any()
    gain = (treated.orders["revenue"] - plain.orders["revenue"]).sum()
    # Rounding to cents: half a cent an order at most.
    truth = plain.untreated.effect(0.2)[::3].sum()
    assert gain == pytest.approx(truth, abs=0.01 * changed.sum())


def test_chunks_make_the_same_company_whoever_asks() -> None:
    chunks = list(company_chunks(250, seed=8, chunk=100))
    assert [len(chunk.customers) for chunk in chunks] == [100, 100, 50]
    third = pd.concat([chunk.customers for chunk in chunks])["customer_id"]
    assert third.is_unique
    again = list(company_chunks(250, seed=8, chunk=100))[2]
    pd.testing.assert_frame_equal(chunks[2].orders, again.orders)


@pytest.mark.parametrize(("customers", "months"), [(0, 24), (10, 12)])
def test_nothing_to_draw_is_refused(customers: int, months: int) -> None:
    with pytest.raises(ValueError, match="at least 1 customer and 13 months"):
        customer_months(B2C, customers, np.random.default_rng(9), months)


def test_an_empty_company_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one customer"):
        synthetic_company(0, seed=1)
