"""Features, scores, tiers and sizes on the demo's orders against pandas, which shares no code."""

from __future__ import annotations

import datetime as dt
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from loyalty_exp.segment.features import Survival, customer_features
from loyalty_exp.segment.membership import scheme_members, segment_sizes
from loyalty_exp.store.database import Store

AS_OF = dt.date(2017, 10, 17)
FITTED = Survival(r=0.9, alpha=20.0, a=0.6, b=3.0)


def by_pandas(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Every feature, from the definitions in words."""
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    orders = orders[orders["ordered_at"] < end]
    last = orders[orders["ordered_at"] >= end - pd.DateOffset(years=1)]
    older = orders[orders["ordered_at"] >= end - pd.DateOffset(years=2)]
    days = orders.assign(day=orders["ordered_at"].dt.normalize())
    grouped = days.groupby("customer")["day"]
    out = pd.DataFrame({"first": grouped.min(), "last": grouped.max()})
    today = pd.Timestamp(as_of)
    out["recency_days"] = (today - out["last"]).dt.days
    out["tenure_days"] = (today - out["first"]).dt.days
    out["active_span_days"] = (out["last"] - out["first"]).dt.days
    out["repeat_days"] = grouped.nunique() - 1
    for months, part in ((12, last), (24, older)):
        sums = part.groupby("customer")[["revenue", "margin"]].sum()
        out[[f"revenue_{months}m", f"margin_{months}m"]] = sums
        out[f"orders_{months}m"] = part.groupby("customer").size()
    ever = orders.groupby("customer")[["revenue", "margin"]].sum()
    out[["ltv_revenue", "ltv_margin"]] = ever
    out = out.fillna({name: 0 for name in out if name.endswith("m")})
    out["basket"] = out["revenue_12m"] / out["orders_12m"].replace(0, np.nan)
    distinct = days.drop_duplicates(["customer", "day"]).sort_values(["customer", "day"])
    gaps = distinct.assign(gap=distinct.groupby("customer")["day"].diff().dt.days)
    out["median_gap_days"] = gaps.groupby("customer")["gap"].median()
    out["usual_gap_days"] = out["median_gap_days"].median()
    out["overdue_ratio"] = out["recency_days"] / out["median_gap_days"]
    before = (out["revenue_24m"] - out["revenue_12m"]).round(6)
    out["trend"] = out["revenue_12m"] / before.where(before > 0)
    first = orders.sort_values(["ordered_at", "channel"]).drop_duplicates("customer")
    out["first_channel"] = first.set_index("customer")["channel"]
    out["cohort"] = out["first"].dt.strftime("%Y-%m")
    for score, column in (("r", -out["recency_days"]), ("f", out["orders_12m"]),
                          ("m", out["revenue_12m"].round(6))):  # fmt: skip
        rank = column.rank(method="min")
        out[score] = 1 + (5 * (rank - 1) // len(out)).astype(int)
    largest = out["revenue_12m"].round(6).sort_values(ascending=False)
    above = largest.map(largest.groupby(largest).sum().iloc[::-1].cumsum().shift(fill_value=0.0))
    share = (above / largest.clip(lower=0).sum()).reindex(out.index)
    out["tier"] = np.select([share < 0.5, share < 0.8], ["gold", "silver"], "bronze")
    place = out["margin_24m"].round(6).rank(method="min", ascending=False) - 1
    out["value_band"] = np.select([place < len(out) * 0.2, place < len(out) * 0.5],
                                  ["high", "medium"], "low")  # fmt: skip
    x, reach = out["repeat_days"], FITTED.alpha + out["tenure_days"]
    odds = (
        FITTED.a
        / (FITTED.b + x - 1)
        * (reach / (FITTED.alpha + out["active_span_days"])) ** (FITTED.r + x)
    )
    out["p_alive"] = np.where(x > 0, 1 / (1 + odds), 1.0)
    silence = out["recency_days"] / out["median_gap_days"].fillna(out["usual_gap_days"])
    out["risk"] = np.select([silence <= 1, silence <= 2], ["low", "medium"], "high")
    cells = pd.read_csv(str(resources.files("loyalty_exp.segment").joinpath("rfm_grid.csv")))
    out["rfm"] = out[["r", "f", "m"]].merge(cells, how="left")["segment_en"].to_numpy()
    return out.drop(columns=["first", "last"])


@pytest.fixture(scope="module")
def expected(demo_orders: pd.DataFrame) -> pd.DataFrame:
    return by_pandas(demo_orders, AS_OF)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal keys, texts and whole numbers; amounts to 1e-9 relative, the promise of the store."""
    found = found.set_index("customer").sort_index()
    expected = expected.sort_index()
    assert found.index.tolist() == expected.index.tolist()
    for name in found.columns:
        if expected[name].dtype.kind in "fiu":
            np.testing.assert_allclose(
                found[name].to_numpy(dtype=float),
                expected[name].to_numpy(dtype=float),
                rtol=1e-9, atol=1e-7, err_msg=name,
            )  # fmt: skip
        else:
            assert found[name].tolist() == expected[name].tolist(), name


def test_every_feature_agrees_with_pandas(demo_store: Store, expected: pd.DataFrame) -> None:
    statement = customer_features(AS_OF, survival=FITTED)
    with demo_store.read() as connection:
        found = pd.read_sql(statement, connection)
    assert set(found.columns) == set(expected.columns) | {"customer"}
    assert len(found) > 2000
    assert_same(found, expected)


def test_the_oracle_has_something_to_find(expected: pd.DataFrame) -> None:
    """The comparison above is worth nothing on constant columns."""
    assert expected[["r", "f", "m"]].nunique().tolist() == [5, 5, 5]
    assert expected["rfm"].nunique() >= 9
    assert expected["tier"].nunique() == expected["risk"].nunique() == 3
    assert expected["median_gap_days"].isna().any()


@pytest.mark.parametrize("name", ["recency_days", "overdue_ratio", "tier", "rfm", "cohort", "risk"])
def test_one_column_alone_is_the_same(demo_store: Store, expected: pd.DataFrame, name: str) -> None:
    with demo_store.read() as connection:
        found = pd.read_sql(customer_features(AS_OF, [name]), connection)
    assert list(found.columns) == ["customer", name]
    assert_same(found, expected)


def test_a_leap_day_and_the_day_after_loading_ends(
    demo_store: Store, demo_orders: pd.DataFrame
) -> None:
    as_of = dt.date(2018, 2, 28)
    with demo_store.read() as connection:
        found = pd.read_sql(customer_features(as_of, ["orders_12m", "revenue_12m"]), connection)
    assert_same(found, by_pandas(demo_orders, as_of))


@pytest.mark.parametrize(
    ("scheme", "column"),
    [("rfm", "rfm"), ("tiers", "tier"), ("risk", "risk"), ("value", "value_band")],
)
def test_sizes_and_members(
    demo_store: Store, expected: pd.DataFrame, scheme: str, column: str
) -> None:
    with demo_store.read() as connection:
        rows = segment_sizes(connection, AS_OF, scheme)
        members = {
            row.segment: set(
                connection.execute(scheme_members(row.segment, scheme, AS_OF)).scalars()
            )
            for row in rows
        }
    total = expected["revenue_12m"].sum()
    for row in rows:
        inside = expected[expected[column] == row.segment]
        assert row.scheme == scheme
        assert row.customers == len(inside)
        assert row.active == (inside["orders_12m"] > 0).sum()
        assert row.orders_12m == inside["orders_12m"].sum()
        assert row.revenue_12m == pytest.approx(inside["revenue_12m"].sum(), rel=1e-9)
        assert row.share == pytest.approx(inside["revenue_12m"].sum() / total, rel=1e-9)
        assert members[row.segment] == set(inside.index)
    assert sum(row.customers for row in rows) == len(expected)
    assert sum(row.share or 0.0 for row in rows) == pytest.approx(1.0)
