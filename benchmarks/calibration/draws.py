"""Simulated experiments: customers of a reference market, drawn and treated as the product does."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from loyalty_exp.simulate import B2B, B2C, SPARSE, CustomerMonths, customer_months
from loyalty_exp.stats.allocation import allocate
from loyalty_exp.stats.ancova import Comparison, JointEffects, choose_method, joint_effects
from loyalty_exp.stats.intervals import IntervalMethod
from loyalty_exp.stats.moments import Moments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MARKETS = {"B2C": B2C, "B2B": B2B, "sparse": SPARSE}
POPULATION = 200_000
PRE, POST = slice(0, 12), slice(12, 24)
BANDS = (0.5, 0.8, 0.95)
CUMULATIVE = [f"c{month}" for month in range(12)]
MONTHLY = [f"y{month}" for month in range(12)]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One simulated experiment.

    Attributes:
        past: Revenue of the 12 months before, shape (units, 12).
        revenue: Revenue of the 12 months after, as observed, shape (units, 12).
        added: What treating each unit adds, treated or not, shape (units, 12).
        past_orders: Orders before, shape (units, 12).
        orders: Orders after, shape (units, 12).
        treated: Shape (units,).
        strata: Band of past revenue, shape (units,).
    """

    past: Floats
    revenue: Floats
    added: Floats
    past_orders: Ints
    orders: Ints
    treated: Bools
    strata: Ints

    @property
    def truth(self) -> Floats:
        """Sample average effect of each month, shape (12,)."""
        return np.asarray(self.added.mean(axis=0), dtype=np.float64)

    def effects(self, outcomes: list[str], values: Floats) -> JointEffects:
        """Effects on some outcomes and, last, on the past as the launch saw it.

        Args:
            outcomes: Names of the outcomes.
            values: Their values, shape (units, outcomes).

        Returns:
            The package's joint effects; covariate: revenue before the start; the last outcomes,
            `past_readings`, are those of the second half of the time before, adjusted by the first.
        """
        readings = past_readings(self.past.shape[1] - self.past.shape[1] // 2)
        return joint_effects(
            [self.comparison(outcomes, values)],
            [*outcomes, *readings],
            ["x"] * len(outcomes) + ["older"] * len(readings),
        )

    def comparison(self, outcomes: list[str], values: Floats) -> Comparison:
        """Moments of both arms of the outcomes and of the past; arguments as in `effects`."""
        half = self.past.shape[1] // 2
        older, recent = self.past[:, :half].sum(axis=1), self.past[:, half:]
        total = recent.sum(axis=1)
        rows = np.column_stack([values, recent, total, older + total, older])
        readings = past_readings(recent.shape[1])
        names = [*outcomes, *readings, "x", "older"]
        pairs = [(name, "x") for name in outcomes] + [(name, "older") for name in readings]
        arms = (Moments.from_rows(names, rows[arm], pairs) for arm in (self.treated, ~self.treated))
        return Comparison(*arms)


def past_readings(months: int) -> list[str]:
    """What a launch looks at: each month of the second half of the past, then all together."""
    return [*(f"past_{k}" for k in range(months)), "past"]


def frozen_method(effects: JointEffects) -> IntervalMethod:
    """The interval frozen at launch, from the skewness of the past's readings."""
    past = [name.startswith("past") for name in effects.outcomes]
    return choose_method(effects.skewness[past])


@lru_cache(maxsize=4)
def population(market: str) -> CustomerMonths:
    """The customers that samples are taken from."""
    seed = list(MARKETS).index(market)
    return customer_months(MARKETS[market], POPULATION, np.random.default_rng([2024, seed]))


def experiment(
    market: str,
    units: int,
    holdout: Fraction,
    relative: float,
    rng: np.random.Generator,
    *,
    with_orders: bool = False,
) -> Experiment:
    """Samples customers, draws the holdout within bands of past revenue, plants an effect.

    Orders are left out unless asked for: fetching them is slow.
    """
    everybody = population(market)
    chosen = rng.choice(POPULATION, units, replace=False, shuffle=False)
    revenue = everybody.revenue[chosen]
    past, after = revenue[:, PRE], revenue[:, POST]
    strata = bands(past.sum(axis=1))
    treated = draw(strata, holdout, rng)
    added = relative * everybody.response[chosen, None] * after
    orders = everybody.orders[chosen] if with_orders else np.empty((0, 24), dtype=np.int64)
    observed = after + added * treated[:, None]
    return Experiment(past, observed, added, orders[:, PRE], orders[:, POST], treated, strata)


def joining(
    market: str, units: int, holdout: Fraction, waves: int, rng: np.random.Generator
) -> tuple[JointEffects, IntervalMethod]:
    """Twelve cumulative looks, without an effect, at customers who join in waves.

    Waves start two months apart where there are three, a month apart where there are six. Each is
    drawn and adjusted on the twelve months before its own start.

    Returns:
        Effects on the cumulative outcomes, and the method of the campaign: Welch's where every
        wave froze it, else the skewness-corrected one.
    """
    months = population(market).revenue[rng.choice(POPULATION, units, replace=False, shuffle=False)]
    apart, comparisons, methods = 6 // waves, [], set()
    for wave, rows in enumerate(np.array_split(months, waves)):
        start = 12 + wave * apart
        after = rows[:, 12:].copy()
        after[:, : wave * apart] = 0.0
        past = rows[:, start - 12 : start]
        none = np.zeros_like(after)
        orders = none.astype(np.int64)
        strata = bands(past.sum(axis=1))
        sample = Experiment(past, after, none, orders, orders, draw(strata, holdout, rng), strata)
        comparison = sample.comparison(CUMULATIVE, after.cumsum(axis=1))
        comparisons.append(comparison)
        readings = past_readings(6)
        past_effects = joint_effects([comparison], readings, ["older"] * len(readings))
        methods.add(frozen_method(past_effects))
    effects = joint_effects(comparisons, CUMULATIVE, ["x"] * len(CUMULATIVE))
    return effects, IntervalMethod.W1 if methods == {IntervalMethod.W1} else IntervalMethod.W2


def bands(past: Floats) -> Ints:
    """Bands of past revenue: zero, then by quantiles .5, .8 and .95 of what is positive."""
    positive = past[past > 0]
    cuts = np.quantile(positive, BANDS) if positive.size else np.zeros(len(BANDS))
    return np.where(past > 0, 1 + np.searchsorted(cuts, past, side="left"), 0)


def draw(strata: Ints, holdout: Fraction, rng: np.random.Generator) -> Bools:
    """Draws the holdout: counts by the package's allocation, units at random within a band."""
    sizes = np.bincount(strata, minlength=len(BANDS) + 2)
    counts = allocate(sizes.tolist(), [holdout, 1 - holdout], str(rng.integers(2**62)))
    order = np.lexsort((rng.random(strata.size), strata))
    opening = np.cumsum(sizes) - sizes
    treated = np.ones(strata.size, dtype=np.bool_)
    for first, (held, _) in zip(opening, counts, strict=True):
        treated[order[first : first + held]] = False
    return treated
