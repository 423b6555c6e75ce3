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
YEAR = 12
BANDS = (0.5, 0.8, 0.95)
ONCE = ("one month", "12 months")
CUMULATIVE = tuple(f"c{month}" for month in range(YEAR))
MONTHLY = tuple(f"y{month}" for month in range(YEAR))
SUMS = {
    ONCE: np.column_stack([np.arange(YEAR) == 1, np.ones(YEAR)]).astype(np.float64),
    CUMULATIVE: np.triu(np.ones((YEAR, YEAR))),
    MONTHLY: np.eye(YEAR),
}
"""Outcomes as sums of the twelve months after the start, shape (months, outcomes)."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What every customer's months say: outcomes untreated, and the past as the launch sees it.

    Attributes:
        outcomes: Names of the q outcomes.
        past: Names of the readings of the second half of the past: each month, all together.
        values: Columns: outcomes, past, x (the whole past), older (its first half); shape
            (customers, columns).
    """

    outcomes: tuple[str, ...]
    past: tuple[str, ...]
    values: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return (*self.outcomes, *self.past, "x", "older")


@dataclass(frozen=True, slots=True)
class Experiment:
    """One simulated experiment.

    Attributes:
        readings: What the columns are.
        chosen: The customers' places in the population, shape (units,).
        rows: Their readings as observed, shape (units, columns).
        added: What treating each unit adds to each outcome, treated or not, (units, outcomes).
        treated: Shape (units,).
        strata: Band of past revenue, shape (units,).
    """

    readings: Readings
    chosen: npt.NDArray[np.intp]
    rows: Floats
    added: Floats
    treated: Bools
    strata: Ints

    @property
    def observed(self) -> Floats:
        """The outcomes, shape (units, outcomes)."""
        return self.rows[:, : len(self.readings.outcomes)]

    @property
    def past(self) -> Floats:
        """The covariate: revenue of the whole past, shape (units,)."""
        return self.rows[:, -2]

    @property
    def truth(self) -> Floats:
        """Sample average effect on each outcome, shape (outcomes,)."""
        return np.asarray(self.added.mean(axis=0), dtype=np.float64)

    def comparison(self) -> Comparison:
        """Moments of both arms of all readings."""
        names = self.readings.names
        pairs = [(name, "x") for name in self.readings.outcomes]
        pairs += [(name, "older") for name in self.readings.past]
        arms = (
            Moments.from_rows(names, self.rows.compress(arm, axis=0), pairs)
            for arm in (self.treated, ~self.treated)
        )
        return Comparison(*arms)


def effects_of(comparison: Comparison, readings: Readings) -> JointEffects:
    """Effects on the outcomes, adjusted on the past, and on the past, by its own first half."""
    outcomes, past = readings.outcomes, readings.past
    covariates = ["x"] * len(outcomes) + ["older"] * len(past)
    return joint_effects([comparison], [*outcomes, *past], covariates)


def frozen_method(effects: JointEffects) -> IntervalMethod:
    """The interval frozen at launch, from the skewness of the past's readings."""
    past = [name.startswith("past") for name in effects.outcomes]
    return choose_method(effects.skewness[past])


@lru_cache(maxsize=4)
def population(market: str) -> CustomerMonths:
    """The customers that samples are taken from."""
    seed = list(MARKETS).index(market)
    return customer_months(MARKETS[market], POPULATION, np.random.default_rng([2024, seed]))


@lru_cache(maxsize=8)
def population_readings(market: str, outcomes: tuple[str, ...], joined: int = 0) -> Readings:
    """Readings of the population where nobody is treated.

    Args:
        market: Reference generator.
        outcomes: One of the keys of `SUMS`.
        joined: Month after the start that the customers join in; nothing counts before it.
    """
    return read(population(market).revenue, outcomes, SUMS[outcomes], YEAR, joined)


def read(
    months: Floats, outcomes: tuple[str, ...], sums: Floats, before: int, joined: int = 0
) -> Readings:
    """Readings of customers' months; all are sums over months, so that one product gives them.

    Args:
        months: Revenue, shape (customers, months).
        outcomes: Names of the outcomes.
        sums: What they sum, shape (months after the start, outcomes).
        before: Months before the start, all of them read.
        joined: As in `population_readings`; the past is then as many months before that.
    """
    start = before + joined
    half, q = start - (before - before // 2), len(outcomes)
    recent = start - half
    weights = np.zeros((months.shape[1], q + recent + 3))
    weights[start:, :q] = sums[joined:]
    weights[half:start, q : q + recent] = np.eye(recent)
    weights[half:start, q + recent] = 1.0
    weights[joined:start, -2] = 1.0
    weights[joined:half, -1] = 1.0
    past = (*(f"past_{k}" for k in range(recent)), "past")
    return Readings(outcomes, past, months @ weights)


def sample(units: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Places of some customers in the population, none twice."""
    chosen = rng.choice(POPULATION, units, replace=False, shuffle=False)
    return np.asarray(chosen, dtype=np.intp)


def experiment(
    market: str,
    units: int,
    holdout: Fraction,
    relative: float,
    rng: np.random.Generator,
    outcomes: tuple[str, ...] = ONCE,
) -> Experiment:
    """Samples customers, draws the holdout within bands of past revenue, plants an effect."""
    readings, chosen = population_readings(market, outcomes), sample(units, rng)
    response = population(market).response
    return drawn(readings, chosen, holdout, rng, relative, response)


def drawn(
    readings: Readings,
    chosen: npt.NDArray[np.intp],
    holdout: Fraction,
    rng: np.random.Generator,
    relative: float = 0.0,
    response: Floats | None = None,
) -> Experiment:
    """Draws the holdout among chosen customers and plants an effect in proportion to response."""
    rows = readings.values.take(chosen, axis=0)
    strata = bands(rows[:, -2])
    treated = draw(strata, holdout, rng)
    outcomes = rows[:, : len(readings.outcomes)]
    added = np.zeros_like(outcomes)
    if response is not None and relative:
        added = relative * response.take(chosen)[:, None] * outcomes
        outcomes += added * treated[:, None]
    return Experiment(readings, chosen, rows, added, treated, strata)


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
    comparisons, methods = [], set()
    for wave, chosen in enumerate(np.array_split(sample(units, rng), waves)):
        readings = population_readings(market, CUMULATIVE, wave * (6 // waves))
        comparison = drawn(readings, chosen, holdout, rng).comparison()
        comparisons.append(comparison)
        past = joint_effects([comparison], readings.past, ["older"] * len(readings.past))
        methods.add(frozen_method(past))
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
    order = np.argsort(strata + rng.random(strata.size))
    opening = np.cumsum(sizes) - sizes
    treated = np.ones(strata.size, dtype=np.bool_)
    for first, (held, _) in zip(opening, counts, strict=True):
        treated[order[first : first + held]] = False
    return treated
