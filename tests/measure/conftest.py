"""A small simulated campaign: unit rows in memory, their moments, and the plan that goes with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from loyalty_exp.declare.frozen import Calendar, FrozenPlan, StratumCounts
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.outcomes import Outcomes, covariate_of

METRICS = ("revenue", "margin", "orders", "active", "net", "capped")
MARGIN_RATE = 0.4


@dataclass
class Company:
    """Rows of every unit of a wave, by variable, and what they were made from."""

    values: dict[str, np.ndarray]
    arm: np.ndarray
    segment: np.ndarray
    months: int
    wave: int = 0
    contacts: tuple[int, float] = (0, 0.0)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for metric in METRICS:
            total = np.zeros(len(self.arm))
            for k in range(self.months):
                total = total + self.values[f"{metric}_{k}"]
                self.values[f"{metric}_c{k}"] = total
        self.names = tuple(self.values)

    def groups(self) -> dict[tuple[int, str, str], Moments]:
        rows = np.column_stack(list(self.values.values()))
        pairs = [
            (name, covariate_of(name))
            for name in self.names
            if not name.endswith("_x") and name.split("_")[0] in METRICS[:5]
        ]
        return {
            (self.wave, str(arm), str(segment)): Moments.from_rows(
                self.names, rows[(self.arm == arm) & (self.segment == segment)], pairs
            )
            for arm in np.unique(self.arm)
            for segment in np.unique(self.segment)
        }

    def of(self, name: str, arm: str) -> np.ndarray:
        return self.values[name][self.arm == arm]


def make_company(
    counts: Mapping[str, int],
    *,
    months: int = 4,
    seed: int = 1,
    lift: float = 0.0,
    contact: float = 0.0,
    redemption: float = 0.0,
    wave: int = 0,
    first: int = 0,
    segments: tuple[str, ...] = ("one",),
) -> Company:
    """A company whose treated units buy more by `lift`, each contacted once in month `first`."""
    rng = np.random.default_rng(seed)
    arm = np.repeat(list(counts), list(counts.values()))
    n, treated = len(arm), arm != "holdout"
    taste = rng.normal(0, 0.7, n)
    values: dict[str, np.ndarray] = {}
    for k in [*range(months), "x"]:
        length = 12 if k == "x" else 1
        begun = k == "x" or k >= first
        orders = rng.poisson(0.5 * length * np.exp(taste)) * begun
        basket = np.exp(3 + 0.5 * taste + rng.normal(0, 0.4, n))
        revenue = orders * basket * (1 + lift * treated * (k != "x"))
        used = treated * (orders > 0) * (rng.random(n) < 0.5) * (k != "x")
        values |= {
            f"revenue_{k}": revenue,
            f"margin_{k}": MARGIN_RATE * revenue,
            f"orders_{k}": orders.astype(float),
            f"active_{k}": np.minimum(orders, length).astype(float),
            f"net_{k}": MARGIN_RATE * revenue - redemption * used,
            f"capped_{k}": np.minimum(revenue, 60.0 * length),
        }
    values["reached"] = (treated & (rng.random(n) < 0.8)).astype(float)
    segment = np.array(segments)[np.arange(n) % len(segments)]
    return Company(values, arm, segment, months, wave, (first, contact))


def make_outcomes(*companies: Company, logged: bool = True) -> Outcomes:
    groups = {key: value for company in companies for key, value in company.groups().items()}
    contacts = {
        (company.wave, str(arm)): company.contacts
        for company in companies
        for arm in np.unique(company.arm)
        if arm != "holdout"
    }
    return Outcomes(groups, companies[0].months, logged, contacts)


def make_plan(counts: Mapping[str, int], **changes: Any) -> FrozenPlan:
    arms = tuple(counts)
    metrics = ("revenue", "margin", "orders", "active", "net")
    plan = FrozenPlan(
        campaign="spring",
        wave=0,
        name="Spring",
        hypothesis="",
        declaration={"costs": {}},
        project="Test",
        currency="EUR",
        timezone="Europe/Paris",
        margin_rate=MARGIN_RATE,
        settle_days=7,
        as_of=dt.date(2024, 2, 29),
        start=dt.date(2024, 3, 1),
        end=dt.date(2024, 4, 30),
        measure_until=dt.date(2024, 8, 31),
        metric="revenue",
        covariate_months=12,
        looks=6,
        alpha=0.05,
        spending="obrien-fleming",
        methods={f"{arm}:{metric}": "w1" for arm in arms[1:] for metric in metrics},
        caps={"revenue": 60.0},
        arms=arms,
        percents=tuple(100 * n / sum(counts.values()) for n in counts.values()),
        unit="customer_id",
        segments={"one": "all"},
        strata=(StratumCounts("band=1", sum(counts.values()), tuple(counts.values())),),
        band_cuts=(1.0, 2.0, 3.0),
        flow=(),
        salt="00",
        roster_sum="0",
        version="0",
    )
    return replace(plan, **changes)


def make_calendar(plan: FrozenPlan, closed: int, begun: int | None = None) -> Calendar:
    return Calendar(plan.first_month, plan.looks, closed, closed if begun is None else begun)


@pytest.fixture(name="company")
def company_fixture() -> Callable[..., Company]:
    return make_company


@pytest.fixture(name="outcomes_of")
def outcomes_fixture() -> Callable[..., Outcomes]:
    return make_outcomes


@pytest.fixture(name="plan_of")
def plan_fixture() -> Callable[..., FrozenPlan]:
    return make_plan


@pytest.fixture(name="calendar_of")
def calendar_fixture() -> Callable[..., Calendar]:
    return make_calendar
