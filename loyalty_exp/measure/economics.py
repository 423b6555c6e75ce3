"""What an arm cost and earned against the holdout. Reads moments, never the database.

Every total is the effect per unit times the treated units. The net result is one outcome (margin
minus redemptions, unit by unit), so that random rewards and their tie with the margin are in its
interval, less what is certain: contacts and fixed cost. Margin minus cost is the net result to the
last digit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.effects import (
    Question,
    finite,
    look_boundaries,
    method_of,
    names_of,
)
from loyalty_exp.measure.results import Economics, Estimate, MoneyMonth
from loyalty_exp.stats.ancova import (
    IntervalMethod,
    JointEffects,
    critical_values,
    decidable,
    interval,
    interval_notes,
    joint_effects,
    method_covariance,
    one_sided_probability,
)
from loyalty_exp.stats.ratios import Ratio, cost_per_incremental_order, iroi
from loyalty_exp.store.outcomes import Outcomes, covariate_of

__all__ = ["SHARED", "economics", "money_months"]

Floats = NDArray[np.float64]

SHARED = ""
"""The arm of a cost that was paid for all arms together."""

METRICS = ("revenue", "margin", "net", "orders")
UNKNOWN = Estimate(None, None, None)
ONE_READING = "the chance that it paid holds for a single reading, not for one every month"
NOT_BEGUN = "no month has begun yet"
NOT_CLOSED = "no month is closed yet"
NOBODY = "not estimable: an arm has nobody"
SPLIT = "the fixed cost is shared between the arms by their number of customers"
NO_CENT = 1e-9
"""A share of the money spent below which a difference is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Cumulative effects of a metric per unit at the end of each month begun, (months,) each."""

    names: list[str]
    method: IntervalMethod
    boundary: Floats
    estimate: Floats
    lower: Floats
    upper: Floats
    decidable: NDArray[np.bool_]

    def total(self, k: int, units: int, less: float = 0.0) -> Estimate:
        """The effect at the end of month k on so many units, less a certain amount."""
        values = (self.estimate[k], self.lower[k], self.upper[k])
        return Estimate(*(finite(units * value - less) for value in values))


@dataclass(frozen=True, slots=True, eq=False)
class _Costs:
    """Cumulative cost of an arm in currency: fixed from the start, the others (months,)."""

    fixed: float
    contact: Floats
    redemption: Floats

    def certain(self, k: int) -> float:
        """What was spent by the end of month k whatever the customers did."""
        return float(self.fixed + self.contact[k])

    def at(self, k: int) -> float:
        """Everything spent by the end of month k."""
        return self.certain(k) + float(self.redemption[k])


@dataclass(frozen=True, slots=True, eq=False)
class _Ledger:
    """The joint effects of an arm on all cumulative figures of money, and what it cost."""

    effects: JointEffects
    costs: _Costs


def economics(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    costs_paid: Mapping[str, float] | None = None,
    alphas: Sequence[float] | None = None,
) -> Economics:
    """What an arm cost and earned against the holdout, up to the last closed month.

    Revenue, margin and net result carry the sequential interval of their own cumulative looks, so
    that they hold at every reading. A month still open has the interval of the look it will be.

    The fixed cost counts from the start. What was paid for all arms is shared between the treated
    arms in proportion to their units: a convention, since no data can say who caused it. Contacts
    cost the declared price for each unit assigned, reached or not. Redemptions (and contacts whose
    cost only the log gives) are the difference between the effects on margin and on margin after
    redemptions: incremental, and adjusted for the past like these. With waves of unequal shares
    both are weighted like the effects.

    Args:
        plan: the frozen plan; its first wave's for a rolling campaign.
        outcomes: moments by wave, arm and segment, over the months begun.
        calendar: which months are begun and closed.
        arm: a treated arm.
        costs_paid: money really paid by arm, `SHARED` for all arms together, without contacts and
            redemptions that are counted by unit; it takes the place of the declared fixed cost.
            None where no payment was loaded.
        alphas: two-sided error over all looks that each month begun is read at; the plan's if None.
    """
    months = calendar.begun
    alphas = [plan.alpha] * months if alphas is None else alphas
    fixed, fixed_notes = _fixed_cost(plan, outcomes, arm, costs_paid)
    ledger = _ledger(plan, outcomes, calendar, arm, fixed)
    if ledger is None:
        units = plan.units_of(arm)
        notes = (*fixed_notes, NOBODY if months else NOT_BEGUN)
        return _nothing((fixed, 0.0, 0.0), units, notes, level=1 - plan.alpha)
    paths = {metric: _path(plan, ledger, arm, metric, alphas) for metric in METRICS}
    series = _months(calendar, paths, ledger)
    notes = (*fixed_notes, *_cost_notes(plan, outcomes, arm))
    if not calendar.closed:
        costs = ledger.costs
        spent = (fixed, float(costs.contact[-1]), float(costs.redemption[-1]))
        units, notes = ledger.effects.n_treated, (*notes, NOT_CLOSED)
        return _nothing(spent, units, notes, series, level=1 - alphas[0])
    found = _at_last(ledger, paths, series, calendar.closed - 1, notes)
    return replace(found, level=1 - alphas[calendar.closed - 1])


def money_months(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    costs_paid: Mapping[str, float] | None,
    alpha: float,
) -> tuple[MoneyMonth, ...]:
    """The months of `economics` at another two-sided error; empty where the arm has nobody."""
    fixed, _ = _fixed_cost(plan, outcomes, arm, costs_paid)
    ledger = _ledger(plan, outcomes, calendar, arm, fixed)
    if ledger is None:
        return ()
    alphas = [alpha] * calendar.begun
    paths = {metric: _path(plan, ledger, arm, metric, alphas) for metric in ("margin", "net")}
    return _months(calendar, paths, ledger)


def _ledger(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str, fixed: float
) -> _Ledger | None:
    comparisons = outcomes.comparisons(arm, plan.holdout)
    if not comparisons:
        return None
    names = [
        name for metric in METRICS for name in names_of(metric, calendar.begun, cumulative=True)
    ]
    effects = joint_effects(comparisons, names, [covariate_of(name) for name in names])
    ours, theirs = outcomes.contact_costs(arm, plan.holdout)
    return _Ledger(effects, _costs(effects, fixed, (ours - theirs)[: calendar.begun]))


def _path(
    plan: FrozenPlan, ledger: _Ledger, arm: str, metric: str, alphas: Sequence[float]
) -> _Path:
    names = names_of(metric, len(alphas), cumulative=True)
    chosen = ledger.effects.select(names)
    method = method_of(plan, Question(arm, plan.holdout), metric)
    boundary = look_boundaries(plan, chosen, alphas=alphas)
    lower, upper = interval(chosen, method, critical=boundary)
    return _Path(names, method, boundary, chosen.estimate, lower, upper, decidable(chosen))


def _fixed_cost(
    plan: FrozenPlan, outcomes: Outcomes, arm: str, costs_paid: Mapping[str, float] | None
) -> tuple[float, tuple[str, ...]]:
    """The arm's part of the fixed cost, and what must be said of it."""
    declared = float(_declared(plan).get("fixed") or 0.0)
    paid = {SHARED: declared} if costs_paid is None else costs_paid
    units = {
        name: sum(moments.n for moments in outcomes.arm(name).values()) or plan.units_of(name)
        for name in plan.treated_arms
    }
    shared = paid.get(SHARED, 0.0)
    fixed = paid.get(arm, 0.0) + shared * units[arm] / (sum(units.values()) or 1)
    return fixed, (SPLIT,) if shared and len(units) > 1 else ()


def _costs(effects: JointEffects, fixed: float, contact: Floats) -> _Costs:
    """Cumulative cost of the arm, from the cost of contacts per unit, (months,)."""
    months = len(contact)
    margin, net = (
        effects.select(names_of(metric, months, cumulative=True)) for metric in ("margin", "net")
    )
    redeemed = margin.estimate - net.estimate
    raw = margin.raw_difference - net.raw_difference
    redeemed = np.nan_to_num(np.where(np.isfinite(redeemed), redeemed, raw))
    rounding = NO_CENT * np.abs(np.nan_to_num(margin.raw_mean_treated))
    redeemed = np.where(np.abs(redeemed) <= rounding, 0.0, redeemed)
    n = effects.n_treated
    return _Costs(fixed, n * contact, n * redeemed)


def _cost_notes(plan: FrozenPlan, outcomes: Outcomes, arm: str) -> tuple[str, ...]:
    """How redemptions are counted, where they were declared."""
    costs = _declared(plan)
    if not (costs.get("per_redemption") or {}).get(arm):
        return ()
    if costs.get("vouchers_in_orders"):
        return ("vouchers are not counted as a cost: the orders are already net of them",)
    if not outcomes.logged:
        return ("redemptions are not counted as a cost: none was loaded",)
    return ()


def _months(
    calendar: Calendar, paths: Mapping[str, _Path], ledger: _Ledger
) -> tuple[MoneyMonth, ...]:
    costs, units = ledger.costs, ledger.effects.n_treated
    return tuple(
        MoneyMonth(
            month=calendar.labels[k],
            closed=k < calendar.closed,
            incremental_margin=paths["margin"].total(k, units),
            cost=costs.at(k),
            net=paths["net"].total(k, units, costs.certain(k)),
            decidable=bool(paths["net"].decidable[k]),
        )
        for k in range(calendar.begun)
    )


def _at_last(
    ledger: _Ledger,
    paths: Mapping[str, _Path],
    series: tuple[MoneyMonth, ...],
    last: int,
    notes: tuple[str, ...],
) -> Economics:
    """The economics at the last closed month."""
    effects, costs = ledger.effects, ledger.costs
    n = effects.n_treated
    withheld = effects.n_control * float(costs.contact[last]) / n
    per_unit = costs.certain(last) / n
    net = effects.select([paths["net"].names[last]])
    paid = finite(one_sided_probability(net, paths["net"].method, per_unit)[0])
    returned = _return_on_cost(
        effects, paths, last, per_unit, redeemed=bool(costs.redemption.any())
    )
    an_order = _cost_of_an_order(effects, paths, last, per_unit)
    closed = series[: last + 1]
    said = [*interval_notes(net, paths["net"].method)[0]]
    said += [] if paid is None else [ONE_READING]
    said += [found.reason for found in (returned, an_order) if found.reason is not None]
    return Economics(
        incremental_revenue=paths["revenue"].total(last, n),
        incremental_margin=paths["margin"].total(last, n),
        fixed_cost=costs.fixed,
        contact_cost=float(costs.contact[last]),
        redemption_cost=float(costs.redemption[last]),
        net=closed[-1].net,
        iroi=_ratio(returned),
        probability_paid=paid,
        break_even_per_unit=costs.at(last) / n,
        payback_month=_payback(closed, [month.net.value for month in closed]),
        payback_month_lower=_payback(closed, [month.net.lower for month in closed]),
        cost_per_incremental_order=_ratio(an_order),
        holdout_opportunity_cost=paths["net"].total(last, effects.n_control, withheld),
        months=series,
        notes=tuple(dict.fromkeys([*notes, *map(str, said)])),
    )


def _return_on_cost(
    effects: JointEffects, paths: Mapping[str, _Path], k: int, certain: float, *, redeemed: bool
) -> Ratio:
    """Net return on cost, with the net result's critical values: both exclude 0 together."""
    chosen = effects.select([paths[metric].names[k] for metric in ("margin", "net")])
    method, boundary = paths["net"].method, paths["net"].boundary[k]
    down, up = critical_values(chosen.select([paths["net"].names[k]]), method, critical=boundary)
    treated, control = method_covariance(chosen, method)
    weights = np.array([[1.0, 0.0], [1.0, -1.0]])
    covariance = weights @ (treated + control) @ weights.T
    if not redeemed:
        covariance[1, :] = covariance[:, 1] = 0.0
    margin, cost = weights @ chosen.estimate
    return iroi(float(margin), float(cost), covariance, (float(down[0]), float(up[0])), certain)


def _cost_of_an_order(
    effects: JointEffects, paths: Mapping[str, _Path], k: int, certain: float
) -> Ratio:
    """Cost of an incremental order, with the critical values of the effect on orders."""
    orders = paths["orders"]
    chosen = effects.select([paths[metric].names[k] for metric in ("margin", "net", "orders")])
    down, up = critical_values(
        chosen.select([orders.names[k]]), orders.method, critical=orders.boundary[k]
    )
    treated, control = method_covariance(chosen, orders.method)
    weights = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    covariance = weights @ (treated + control) @ weights.T
    cost, added = weights @ chosen.estimate
    # A ratio's lower limit belongs to the upper limit of what it is divided by.
    critical = (float(up[0]), float(down[0]))
    return cost_per_incremental_order(float(cost), float(added), covariance, critical, certain)


def _payback(months: Sequence[MoneyMonth], net: Sequence[float | None]) -> str | None:
    """The first closed month from which on the cumulative net result never falls below 0."""
    found = None
    for month, value in zip(reversed(months), reversed(net), strict=True):
        if value is None or value < 0:
            break
        found = month.month
    return found


def _nothing(
    spent: tuple[float, float, float],
    units: int,
    notes: tuple[str, ...],
    series: tuple[MoneyMonth, ...] = (),
    *,
    level: float,
) -> Economics:
    """Economics before anything can be read: what was spent (fixed, contact, redemption)."""
    return Economics(
        incremental_revenue=UNKNOWN,
        incremental_margin=UNKNOWN,
        fixed_cost=spent[0],
        contact_cost=spent[1],
        redemption_cost=spent[2],
        net=UNKNOWN,
        iroi=UNKNOWN,
        probability_paid=None,
        break_even_per_unit=sum(spent) / units if units else math.nan,
        payback_month=None,
        payback_month_lower=None,
        cost_per_incremental_order=UNKNOWN,
        holdout_opportunity_cost=UNKNOWN,
        months=series,
        notes=notes,
        level=level,
    )


def _declared(plan: FrozenPlan) -> Mapping[str, Any]:
    return plan.declaration.get("costs") or {}


def _ratio(found: Ratio) -> Estimate:
    return Estimate(finite(found.estimate), finite(found.lower), finite(found.upper))
