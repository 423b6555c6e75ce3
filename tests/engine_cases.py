"""A small company's exports, and what every engine must make of them, by pandas and hashlib."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.results import CampaignResult
from loyalty_exp.project import Project
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.outcomes import Outcomes, covariate_of

DECLARATION = """
schema = 1
[project]
name = "Engines"
currency = "EUR"
timezone = "Europe/Paris"
database = "{database}"
[data.orders]
source = "orders.csv"
[data.orders.columns]
order_id = "order_id"
customer_id = "customer_id"
ordered_at = "ordered_at"
revenue = "revenue"
margin = "margin"
channel = "channel"
[data.customers]
source = "customers.csv"
[data.exposures]
source = "exposures.csv"
columns = {{ campaign = "campaign", customer_id = "customer_id", at = "at", kind = "kind" }}
[data.costs]
source = "costs.csv"
columns = {{ campaign = "campaign", arm = "arm", day = "day", kind = "kind", amount = "amount" }}
[segments.regular]
where = "orders_12m >= 3"
[segments.quiet]
where = "recency_days > 60 and orders_12m >= 1"
[campaign.winback]
name = "Win-back"
segments = ["regular", "quiet"]
lever = "relational"
objective = "revenue"
start = 2026-03-10
end = 2026-04-30
measure_until = 2026-06-30
arms = {{ holdout = 30, call = 40, voucher = 30 }}
stratify_by = ["region", "revenue_band"]
consent = "optin"
cooldown_days = 0
[campaign.winback.costs]
fixed = 100
per_contact = {{ call = 2, voucher = 1 }}
per_redemption = {{ voucher = 5 }}
"""

FIRST = np.datetime64("2024-06-01T08:00:00")


@dataclass(frozen=True)
class Shop:
    """A project whose campaign is launched, and the frames that it was loaded from."""

    project: Project
    frames: dict[str, pd.DataFrame]
    plan: FrozenPlan
    measured: CampaignResult


def write_company(folder: Path, customers: int = 1500) -> dict[str, pd.DataFrame]:
    """Write the files of a company from June 2024 to July 2026.

    Returns:
        The frames that were written, by name; the last day of data is 2026-07-31.
    """
    rng = np.random.default_rng(23)
    names = np.char.mod("%05d", np.arange(customers))
    who = rng.choice(customers, size=9 * customers, p=rng.dirichlet(np.full(customers, 0.8)))
    seconds = rng.integers(0, 790, who.size) * 86_400 + rng.integers(0, 13 * 3600, who.size)
    orders = pd.DataFrame({"order_id": np.char.mod("o%05d", np.arange(who.size))})
    orders["customer_id"] = names[who]
    orders["ordered_at"] = FIRST + seconds.astype("timedelta64[s]")
    revenue = np.round(rng.lognormal(4, 0.9, who.size), 2)
    orders["revenue"] = np.where(rng.random(who.size) < 0.04, -revenue / 4, revenue).round(2)
    orders["margin"] = (orders["revenue"] * rng.uniform(0.3, 0.5, who.size)).round(2)
    orders["channel"] = rng.choice(["shop", "web"], who.size)
    attributes = pd.DataFrame({"customer_id": names})
    attributes["region"] = rng.choice(["north", "south", "île"], customers)
    attributes["optin"] = rng.random(customers) < 0.85
    contacted = rng.choice(customers, size=120, replace=False)
    exposures = pd.DataFrame({"campaign": "winback", "customer_id": names[contacted]})
    # From two weeks before the start: an announcement counts in the month of the start.
    day = np.datetime64("2026-02-25T09:00:00") + rng.integers(0, 55, 120) * np.timedelta64(1, "D")
    exposures["at"] = day
    exposures["kind"] = rng.choice(["sent", "redeemed"], 120)
    costs = pd.DataFrame(
        {
            "campaign": "winback",
            "arm": ["call", "voucher"],
            "day": ["2026-03-10", "2026-03-11"],
            "kind": "agency",
            "amount": [80.0, 40.5],
        }
    )
    frames = {"orders": orders, "customers": attributes, "exposures": exposures, "costs": costs}
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return frames


CLOSE = 1e-9
"""Sums of doubles in another order differ by about 1e-16 times the number of additions."""

START = pd.Timestamp("2026-03-10")
AS_OF = pd.Timestamp("2026-03-09")
METRICS = ("revenue", "margin", "orders", "active")
Frames = Mapping[str, pd.DataFrame]


def index_of(moments: pd.Series) -> pd.Series:
    """Month index of each moment."""
    return moments.dt.year * 12 + moments.dt.month


def customer_months(frames: Frames) -> pd.DataFrame:
    """The roll-up: revenue, margin, orders and the bits of their days by customer and month."""
    orders = frames["orders"].assign(
        month=index_of(frames["orders"]["ordered_at"]),
        orders=(frames["orders"]["revenue"] >= 0).astype(int),
    )
    grouped = orders.groupby(["customer_id", "month"])[["revenue", "margin", "orders"]]
    bought = orders[orders["orders"] == 1].assign(day=lambda rows: rows["ordered_at"].dt.day)
    once = bought.drop_duplicates(["customer_id", "month", "day"])
    bits = (2 ** (once["day"] - 1)).groupby([once["customer_id"], once["month"]]).sum()
    return grouped.sum().assign(days=bits).fillna({"days": 0})


def features(frames: Frames, as_of: pd.Timestamp) -> pd.DataFrame:
    """Features of every customer with an order up to a day, over the twelve months before."""
    orders = frames["orders"]
    known = orders[orders["ordered_at"] < as_of + pd.Timedelta(days=1)]
    bought = known[known["revenue"] >= 0]
    days = bought["ordered_at"].dt.normalize()
    found = pd.DataFrame(index=pd.Index(sorted(bought["customer_id"].unique()), name="customer"))
    last, first = (days.groupby(bought["customer_id"]).agg(how) for how in ("max", "min"))
    found["recency_days"] = (as_of - last).dt.days
    found["tenure_days"] = (as_of - first).dt.days
    begins = as_of + pd.Timedelta(days=1) - pd.DateOffset(years=1)
    recent, active = known[known["ordered_at"] >= begins], bought[bought["ordered_at"] >= begins]
    found["orders_12m"] = active.groupby("customer_id").size()
    for money in ("revenue", "margin"):
        found[f"{money}_12m"] = recent.groupby("customer_id")[money].sum()
    found = found.fillna(0.0)
    found["basket"] = found["revenue_12m"] / found["orders_12m"].where(found["orders_12m"] > 0)
    gaps = (
        pd.DataFrame({"customer": bought["customer_id"], "day": days})
        .drop_duplicates()
        .sort_values(["customer", "day"])
    )
    gaps["gap"] = gaps.groupby("customer")["day"].diff().dt.days
    found["median_gap_days"] = gaps.groupby("customer")["gap"].median()
    for name, column, ascending in (
        ("r", "recency_days", False), ("f", "orders_12m", True), ("m", "revenue_12m", True),
    ):  # fmt: skip
        rank = found[column].rank(method="min", ascending=ascending)
        found[name] = (1 + 5 * (rank - 1) // len(found)).astype(int)
    return found


def roster(frames: Frames, plan: FrozenPlan) -> pd.DataFrame:
    """The draw of the campaign by its printed recipe: segment, stratum and arm by customer."""
    known = features(frames, AS_OF)
    found = pd.DataFrame(index=known.index)
    quiet = (known["recency_days"] > 60) & (known["orders_12m"] >= 1)
    found["segment"] = np.where(
        known["orders_12m"] >= 3, "regular", np.where(quiet, "quiet", "none")
    )
    attributes = frames["customers"].set_index("customer_id")
    agreed = attributes["optin"].reindex(found.index)
    found = found[(found["segment"] != "none") & agreed].copy()
    months = customer_months(frames)["revenue"].unstack("month")
    start = index_of(pd.Series([START])).iloc[0]
    before = months[[m for m in months if start - 12 <= m < start]].sum(axis=1)
    spent = before.reindex(found.index).fillna(0.0)
    cuts = np.quantile(spent[spent > 0], [0.5, 0.8, 0.95])
    band = np.where(spent <= 0, 0, 1 + np.searchsorted(cuts, spent, side="left"))
    found["stratum"] = [
        f"band={b}|segment={s}|region={r}"
        for b, s, r in zip(band, found["segment"], attributes["region"][found.index], strict=True)
    ]
    counts = {row.stratum: row.counts for row in plan.strata}
    found["arm"] = ""
    for stratum, part in found.groupby("stratum"):
        keys = [hashlib.md5(f"{plan.salt}:{name}".encode()).hexdigest() for name in part.index]
        arms = [arm for arm, k in zip(plan.arms, counts[stratum], strict=True) for _ in range(k)]
        found.loc[part.index[np.argsort(keys)], "arm"] = arms
    return found


def outcome_rows(
    frames: Frames, drawn: pd.DataFrame, plan: FrozenPlan, months: int
) -> pd.DataFrame:
    """Every variable of each unit: months, their sums, the pre-period, costs and contacts."""
    orders, log = frames["orders"], frames["exposures"]
    first = index_of(pd.Series([START])).iloc[0]
    kept = orders[(index_of(orders["ordered_at"]) < first) | (orders["ordered_at"] >= START)]
    by_month = customer_months({"orders": kept})
    by_month["active"] = (by_month["orders"] > 0).astype(float)
    found = pd.DataFrame(index=drawn.index)
    capped = by_month["revenue"].clip(upper=plan.caps["revenue"])
    for metric in (*METRICS, "capped"):
        wide = (capped if metric == "capped" else by_month[metric]).unstack("month")
        wide = wide.reindex(drawn.index).fillna(0.0)
        before = [m for m in wide if first - 12 <= m < first]
        for k in range(months):
            found[f"{metric}_{k}"] = wide.get(first + k, 0.0)
        found[f"{metric}_x"] = wide[before].sum(axis=1)
    prices = plan.declaration["costs"]
    for k in range(months):
        within = log[index_of(log["at"]).clip(lower=first) == first + k]
        redeemed = within[within["kind"] == "redeemed"].groupby("customer_id").size()
        price = drawn["arm"].map(prices["per_redemption"]).fillna(0.0)
        cost = redeemed.reindex(drawn.index).fillna(0.0) * price
        found[f"net_{k}"] = found[f"margin_{k}"] - cost
    found["reached"] = drawn.index.isin(log["customer_id"]).astype(float)
    for metric in (*METRICS, "capped", "net"):
        sums = found[[f"{metric}_{k}" for k in range(months)]].cumsum(axis=1)
        found[[f"{metric}_c{k}" for k in range(months)]] = sums.to_numpy()
    return found


def moments_of(rows: pd.DataFrame) -> Moments:
    """Moments of units by numpy, with the third moments that intervals need."""
    names = list(rows.columns)
    outcomes = [n for n in names if not n.endswith("_x") and n.split("_")[0] in {*METRICS, "net"}]
    pairs = [(name, covariate_of(name)) for name in outcomes]
    return Moments.from_rows(names, rows.to_numpy(dtype=np.float64), pairs)


def reference_outcomes(shop: Shop, months: int) -> Outcomes:
    """Moments of every arm and segment of the campaign."""
    drawn = roster(shop.frames, shop.plan)
    rows = outcome_rows(shop.frames, drawn, shop.plan, months)
    groups = {
        (0, str(arm), str(segment)): moments_of(rows.loc[part.index])
        for (arm, segment), part in drawn.groupby(["arm", "segment"])
    }
    prices = shop.plan.declaration["costs"]["per_contact"]
    return Outcomes(groups, months, True, {(0, arm): (0, cost) for arm, cost in prices.items()})


def assert_same_moments(found: Outcomes, expected: Outcomes) -> None:
    """Counts equal, means and moments to 1e-9 of their size."""
    assert found.groups.keys() == expected.groups.keys()
    assert found.contacts == expected.contacts
    for key, moments in expected.groups.items():
        mine = found.groups[key].select(moments.names)
        assert mine.n == moments.n
        np.testing.assert_allclose(mine.mean, moments.mean, rtol=CLOSE, atol=CLOSE)
        spread = np.sqrt(np.diag(moments.scatter)) + CLOSE
        scale = np.outer(spread, spread)
        np.testing.assert_allclose(mine.scatter / scale, moments.scatter / scale, atol=CLOSE)
        for pair, sums in moments.third.items():
            y, x = (spread[moments.position(one)] for one in pair)
            powers = np.array([y * y * y, y * y * x, y * x * x, x * x * x])
            np.testing.assert_allclose(mine.third[pair] / powers, sums / powers, atol=CLOSE)
