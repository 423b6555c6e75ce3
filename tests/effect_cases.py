"""A plan and heavy-tailed units for the tests of effects."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from loyalty_exp.declare.frozen import Calendar, FrozenPlan, StratumCounts
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.outcomes import Outcomes, covariate_of

MONTHS = 4
METRICS = ("revenue", "margin", "orders", "active")


def plan_of(**changed: Any) -> FrozenPlan:
    methods = {f"{arm}:{m}": "w1" for arm in ("a", "b") for m in (*METRICS, "net")}
    plan = FrozenPlan(
        campaign="x",
        wave=0,
        name="X",
        hypothesis="",
        declaration={"costs": {}},
        project="Test",
        currency="EUR",
        timezone="Europe/Paris",
        margin_rate=0.4,
        settle_days=7,
        as_of=dt.date(2026, 2, 28),
        start=dt.date(2026, 3, 1),
        end=dt.date(2026, 4, 30),
        measure_until=dt.date(2026, 8, 31),
        metric="revenue",
        covariate_months=12,
        looks=6,
        alpha=0.05,
        spending="obrien-fleming",
        methods=methods,
        caps={},
        arms=("holdout", "a", "b"),
        percents=(20.0, 40.0, 40.0),
        unit="customer_id",
        segments={},
        strata=(StratumCounts("z", 500, (100, 200, 200)),),
        band_cuts=(),
        flow=(),
        salt="s",
        roster_sum="0",
        version="test",
    )
    return replace(plan, **changed)


def units_of(n: int, arm: str, seed: int) -> pd.DataFrame:
    """One row a unit: heavy-tailed months that follow the unit's past."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(0, 1, n)
    frame: dict[str, Any] = {"arm": [arm] * n, "segment": rng.choice(["s1", "s2"], n)}
    for k in [*range(MONTHS), "x"]:
        bought = rng.random(n) < 0.3
        frame[f"orders_{k}"] = bought * (1 + rng.poisson(level))
        frame[f"revenue_{k}"] = frame[f"orders_{k}"] * rng.lognormal(3, 1, n)
        frame[f"margin_{k}"] = 0.4 * frame[f"revenue_{k}"]
        frame[f"net_{k}"] = frame[f"margin_{k}"]
        frame[f"active_{k}"] = bought.astype(float)
    table = pd.DataFrame(frame)
    for metric in (*METRICS, "net"):
        for k in range(MONTHS):
            table[f"{metric}_c{k}"] = table[[f"{metric}_{j}" for j in range(k + 1)]].sum(axis=1)
    return table


UNITS = pd.concat(
    [units_of(100, "holdout", 1), units_of(200, "a", 2), units_of(200, "b", 3)], ignore_index=True
)
CALENDAR = Calendar.of(plan_of(), dt.date(2026, 6, 15))  # March to May closed, June begun


def outcomes_of(units: pd.DataFrame, waves: int = 1) -> Outcomes:
    names = [name for name in units.columns if name not in {"arm", "segment", "wave"}]
    pairs = [(name, covariate_of(name)) for name in names if not name.endswith("_x")]
    groups = {}
    wave = units["wave"] if waves > 1 else pd.Series(0, index=units.index)
    for key, rows in units.groupby([wave, units["arm"], units["segment"]]):
        groups[key] = Moments.from_rows(names, rows[names].to_numpy(dtype=float), pairs)
    return Outcomes(groups, MONTHS, logged=False)
