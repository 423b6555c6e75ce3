"""The verdict of an arm: what to do, read from the net result's sequential interval.

A verdict falls at the first closed month whose interval excludes 0, and stays: later readings are
shown beside it and do not take it back. It decides nothing from months still open.

Costs come first and margin later, so that the net result of every campaign begins below 0. A loss
is therefore final only if it cannot be made good: `stop` needs the interval below 0, and still
below 0 if the margin went on to the last planned look at the pace of its own upper limit. At the
last look this is the interval alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.effects import Question, method_of, solve
from loyalty_exp.measure.results import (
    Check,
    CheckStatus,
    Economics,
    Estimate,
    MoneyMonth,
    Verdict,
    VerdictKind,
)
from loyalty_exp.stats.ancova import IntervalMethod, JointEffects, method_covariance
from loyalty_exp.stats.looks import boundaries, spending_function
from loyalty_exp.stats.planning import months_needed
from loyalty_exp.store.outcomes import Outcomes

__all__ = [
    "LOOKS_DONE",
    "NOT_CONFIRMED",
    "SKEWED_NOW",
    "TOO_FEW",
    "TOO_SMALL",
    "decided_side",
    "elapsed_shares",
    "verdict",
]

Floats = NDArray[np.float64]

LOOKS_DONE = "all planned readings are done"
TOO_SMALL = "even a large effect would not be seen by the last planned reading"
TOO_FEW = "too few to know: a handful of customers decides the result"
SKEWED_NOW = "for now a handful of customers decides the result: no verdict rests on this reading"
NOT_CONFIRMED = "a later reading alone would not have decided"

UNKNOWN = Estimate(None, None, None)
PRIOR_MEAN, PRIOR_SD = 0.03, 0.06
"""Relative effects held possible before any data, as in planning: mean and standard deviation."""
POWER = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class _Outlook:
    """The net result per unit at each planned look, (looks,) each, as far as can be told now."""

    standard_error: Floats
    critical: Floats
    expected: Floats
    """If the margin goes on at its present pace."""
    largest: float
    """Size at the last look of the largest net result still held possible, gain or loss."""


def verdict(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    money: Economics,
    checks: Sequence[Check],
) -> Verdict:
    """The verdict of an arm at the last closed month.

    A failed critical check takes its place. Otherwise:

    - keep: at some look the lower limit of the net result was above 0;
    - enlarge: keep, and at the lower limit per unit the holdout too would bring in more than the
      fixed cost paid once more;
    - stop: at some look the upper limit was below 0 for good (see the module);
    - will not be known: all looks are done, or even the largest effect held possible (the prior
      of planning, or the 95 % interval at its present pace) would not be detected with a power of
      80 % by the last one, were the months to come independent of the past ones;
    - not yet: until the first look at which the present pace would be detected with that power,
      and the last planned look if there is none.

    The figure shown is that of the last closed month; or of the month in which the verdict fell,
    where the last one alone would not have decided so.

    Args:
        plan: the frozen plan.
        outcomes: moments by wave, arm and segment.
        calendar: which months are closed.
        arm: a treated arm.
        money: its economics.
        checks: checks of the campaign.
    """
    closed = [month for month in money.months if month.closed]
    last = closed[-1] if closed else None
    failed = tuple(c.name for c in checks if c.critical and c.status is CheckStatus.FAILED)
    if failed:
        net, month = (last.net, last.month) if last else (UNKNOWN, None)
        return Verdict(VerdictKind.SUSPENDED, net, month, reasons=failed)
    if last is None:
        return Verdict(VerdictKind.NO_DATA, UNKNOWN, None)
    shares = elapsed_shares(plan, calendar)
    sides = [decided_side(month, share) for month, share in zip(closed, shares, strict=False)]
    fell = next((k for k, side in enumerate(sides) if side), None)
    if fell is None:
        return _undecided(plan, outcomes, calendar, arm, money, shares, last)
    confirmed = sides[-1] == sides[fell]
    shown = last if confirmed else closed[fell]
    kind = VerdictKind.STOP
    if sides[fell] > 0:
        pays = _holdout_pays(plan, outcomes, arm, money, shown)
        kind = VerdictKind.ENLARGE if pays else VerdictKind.KEEP
    reasons = () if confirmed else (NOT_CONFIRMED,)
    return Verdict(kind, shown.net, shown.month, reasons=reasons, decided_month=closed[fell].month)


def elapsed_shares(plan: FrozenPlan, calendar: Calendar) -> Floats:
    """Share of the planned days that has passed at the end of each planned month, (planned,)."""
    ends = [
        dt.date((calendar.first + k) // 12, (calendar.first + k) % 12 + 1, 1)
        for k in range(calendar.planned)
    ]
    days = np.array([(end - plan.start).days for end in ends], dtype=np.float64)
    shares: Floats = days / days[-1]
    return shares


def decided_side(month: MoneyMonth, share: float) -> int:
    """1 where the interval decides for a gain, -1 for a loss that lasts, 0 where it does not.

    Nor does it where a handful of customers decides the reading.

    Args:
        month: a closed month's money.
        share: share of the planned days passed by its end, see `elapsed_shares`.
    """
    net, margin = month.net, month.incremental_margin
    if not month.decidable:
        return 0
    if net.lower is not None and net.lower > 0:
        return 1
    if net.upper is None or net.upper >= 0 or margin.upper is None:
        return 0
    still_to_come = max(margin.upper, 0.0) * (1 / share - 1)
    return -1 if net.upper + still_to_come < 0 else 0


def _holdout_pays(
    plan: FrozenPlan, outcomes: Outcomes, arm: str, money: Economics, month: MoneyMonth
) -> bool:
    """Whether the holdout would pay for the fixed cost again, at the lower limit per unit."""
    treated = sum(moments.n for moments in outcomes.arm(arm).values())
    holdout = sum(moments.n for moments in outcomes.arm(plan.holdout).values())
    if month.net.lower is None or not treated:
        return False
    return holdout * (month.net.lower + money.fixed_cost) / treated > money.fixed_cost


def _undecided(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    money: Economics,
    shares: Floats,
    last: MoneyMonth,
) -> Verdict:
    """Not yet, with the month of the answer, or never with the reason."""
    question = Question(arm, plan.holdout)
    method = method_of(plan, question, "net")
    k = calendar.closed - 1
    if calendar.closed >= calendar.planned:
        why = LOOKS_DONE if last.decidable else TOO_FEW
        return Verdict(VerdictKind.NEVER, last.net, last.month, reasons=(why,))
    if method is IntervalMethod.TOO_FEW:
        return Verdict(VerdictKind.NEVER, last.net, last.month, reasons=(TOO_FEW,))
    effects = solve(outcomes, question, [f"net_c{k}", f"margin_c{k}"])
    outlook = None
    if effects is not None and np.isfinite(effects.estimate).all():
        fixed = money.fixed_cost / effects.n_treated
        shared = replace(plan, alpha=1 - money.level)
        outlook = _outlook(shared, effects, method, shares, k, fixed)
    answer = calendar.planned - 1
    if outlook is not None:
        seen = (outlook.critical[-1] + stats.norm.ppf(POWER)) * outlook.standard_error[-1]
        if seen > outlook.largest:
            return Verdict(VerdictKind.NEVER, last.net, last.month, reasons=(TOO_SMALL,))
        ahead = slice(k + 1, None)
        needed = months_needed(
            outlook.expected[ahead],
            outlook.standard_error[ahead],
            outlook.critical[ahead],
            power=POWER,
        )
        answer = answer if needed is None else k + needed
    reasons = () if last.decidable else (SKEWED_NOW,)
    return Verdict(VerdictKind.NOT_YET, last.net, last.month, calendar.labels[answer], reasons)


def _outlook(
    plan: FrozenPlan,
    effects: JointEffects,
    method: IntervalMethod,
    shares: Floats,
    k: int,
    fixed: float,
) -> _Outlook:
    """What the looks to come would show: margin in proportion to time, months independent.

    Independent months are the best case: what is then out of reach is so in any case.
    """
    treated, control = method_covariance(effects, method)
    error = np.sqrt(np.diag(treated) + np.diag(control))
    net, margin = effects.estimate
    cost = margin - net + fixed
    grown = shares / shares[k]
    spread = np.sqrt(shares)
    correlation = np.minimum.outer(spread, spread) / np.maximum.outer(spread, spread)
    critical = boundaries(correlation, spending_function(plan.spending), plan.alpha, plan.looks)
    prior = effects.mean_control[1] * (PRIOR_MEAN + 2 * PRIOR_SD * np.array([-1, 1]))
    data = margin + stats.norm.ppf(0.975) * error[1] * np.array([-1, 1])
    possible = np.concatenate([prior, data]) * grown[-1] - cost
    return _Outlook(
        standard_error=error[0] * np.sqrt(grown),
        critical=critical,
        expected=margin * grown - cost,
        largest=float(np.abs(possible).max()),
    )
