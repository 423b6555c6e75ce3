"""The measurement of one campaign: composes effects, money, details and checks into a result."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import sqlalchemy as sa

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.checks import before_windows, campaign_checks
from loyalty_exp.measure.details import (
    compare_segments,
    decomposition,
    fading,
    pulled_forward,
    reached_effect,
    sensitivity,
)
from loyalty_exp.measure.economics import economics, money_months
from loyalty_exp.measure.effects import (
    CUMULATIVE,
    Question,
    effect_rows,
    estimate_looks,
    governing,
    method_of,
    ratio_rows,
)
from loyalty_exp.measure.family import step_down
from loyalty_exp.measure.influence import influence, read_largest
from loyalty_exp.measure.paid import costs_paid
from loyalty_exp.measure.results import (
    ArmResult,
    CampaignResult,
    Check,
    Economics,
    EffectRow,
    Look,
    MoneyMonth,
    Provenance,
    Verdict,
)
from loyalty_exp.measure.small import (
    LARGEST_ROSTER,
    path_band,
    permutation_p_value,
    read_units,
    with_path_band,
)
from loyalty_exp.measure.verdict import decided_side, elapsed_shares, verdict
from loyalty_exp.store.outcomes import ALL, Outcomes, read_many, window_of
from loyalty_exp.store.queries.draw import UNIVERSAL
from loyalty_exp.store.queries.moments import Window
from loyalty_exp.store.queries.registry import has_exposures

__all__ = [
    "JUDGED_TOGETHER",
    "Reading",
    "judge_together",
    "looks_together",
    "measure_campaign",
    "questions",
    "read_campaigns",
]

MARGIN_ONLY = "before the costs of the campaigns, which are taken off the programme's total"
JUDGED_TOGETHER = "wider than read alone: the arms of the campaign are judged together (Holm)"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of a campaign's customers, and over which months."""

    windows: Sequence[Window]
    """One a wave; none before the first month."""
    outcomes: Outcomes
    before: Outcomes
    """Of the last months before the start."""


def questions(plan: FrozenPlan, outcomes: Outcomes) -> Iterator[Question]:
    """Every comparison that has rows: audience, segments, waves; holdout first, then arms."""
    pairs = [(arm, plan.holdout) for arm in plan.treated_arms]
    pairs += itertools.combinations(plan.treated_arms, 2)
    segments = [ALL, *(outcomes.segments if len(outcomes.segments) > 1 else ())]
    waves: list[int | None] = [None, *(outcomes.waves if len(outcomes.waves) > 1 else ())]
    for wave, segment, (arm, against) in itertools.product(waves, segments, pairs):
        yield Question(arm, against, segment, wave)


def read_campaigns(
    connection: sa.Connection, campaigns: Sequence[Sequence[FrozenPlan]], data_through: dt.date
) -> list[Reading]:
    """Read the customers of several campaigns, those over the same months in one pass.

    Args:
        connection: an open store.
        campaigns: frozen plan of every wave of each, in order.
        data_through: last day of the data.
    """
    windows = [_windows(connection, plans, data_through) for plans in campaigns]
    asked: list[tuple[Sequence[Window], Mapping[str, float]]] = [
        (each, governing(plans).declaration["costs"]["per_contact"])
        for plans, each in zip(campaigns, windows, strict=True)
    ]
    asked += [(before_windows(connection, plans), {}) for plans in campaigns]
    found = read_many(connection, asked)
    outcomes, before = found[: len(campaigns)], found[len(campaigns) :]
    return [Reading(*each) for each in zip(windows, outcomes, before, strict=True)]


def measure_campaign(
    connection: sa.Connection,
    plans: Sequence[FrozenPlan],
    reading: Reading,
    *,
    provenance: Provenance,
    deviations: tuple[str, ...] = (),
    caveat: str = "",
) -> CampaignResult:
    """Measure a launched campaign up to the data at hand.

    Args:
        connection: an open store.
        plans: frozen plan of every wave, in order; the first one governs looks, metric and caps.
        reading: what was read of its customers.
        provenance: what the figures rest on.
        deviations: what the declaration says now that the frozen plan does not.
        caveat: a sentence about the data that every page must show.
    """
    plan = governing(plans)
    calendar = Calendar.of(plan, provenance.data_through)
    windows, outcomes = reading.windows, reading.outcomes
    rows: list[EffectRow] = []
    for question in questions(plan, outcomes):
        rows += effect_rows(plan, outcomes, calendar, question)
        rows += ratio_rows(plan, outcomes, calendar, question)
    money = _money(connection, plan, outcomes, calendar)
    looks = looks_together(plan, outcomes, calendar)
    checks = campaign_checks(
        connection, plans, outcomes, calendar, money, reading.before, deviations
    )
    units = None
    if windows and sum(wave.units_of(arm) for wave in plans for arm in wave.arms) <= LARGEST_ROSTER:
        units = read_units(connection, windows)
    largest = None
    if calendar.closed:
        largest = read_largest(connection, plans, windows, calendar.closed, outcomes)
    arms = []
    for arm in plan.treated_arms:
        band = path_band(plans[0], units, calendar, arm) if units is not None else None
        if band is not None:
            rows = list(with_path_band(rows, plan, arm, band))
        rows = [_as_judged(row, plan, arm, looks[arm]) for row in rows]
        found = _arm(plan, outcomes, calendar, arm, money[arm], looks[arm], checks)
        arms.append(
            replace(
                found,
                n_treated=sum(wave.units_of(arm) for wave in plans),
                n_holdout=sum(wave.units_of(plan.holdout) for wave in plans),
                band="sup-t" if band is None else "permutation max-t",
                permutation_p_value=None
                if units is None
                else permutation_p_value(plans[0], units, calendar, arm),
                influence=()
                if largest is None
                else influence(plan, outcomes, largest, calendar, arm, money[arm], looks[arm]),
            )
        )
    return CampaignResult(
        campaign=plan.campaign,
        plan=plans[0],
        rows=tuple(rows),
        arms=tuple(arms),
        checks=checks,
        flow=plan.flow,
        deviations=deviations,
        closed_through=calendar.labels[calendar.closed - 1] if calendar.closed else None,
        provenance=provenance,
        caveat=caveat,
    )


def judge_together(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    costs_paid: Mapping[str, float] | None = None,
) -> dict[str, Economics]:
    """Money of every treated arm, with the risk of a false verdict shared between the arms.

    Holm's step-down over the looks, see `step_down`: an arm leaves the family when its verdict
    falls, by the rule of `verdict`. Months still open are read as the next look would be.

    Args:
        plan: the frozen plan.
        outcomes: moments by wave, arm and segment.
        calendar: which months are begun and closed.
        costs_paid: as in `economics`.
    """
    shares = elapsed_shares(plan, calendar)

    @cache
    def months(arm: str, alpha: float) -> tuple[MoneyMonth, ...]:
        return money_months(plan, outcomes, calendar, arm, costs_paid, alpha)

    def decides(arm: str, look: int, alpha: float) -> bool:
        found = months(arm, alpha)
        return bool(found) and decided_side(found[look], shares[look]) != 0

    several = len(plan.treated_arms) > 1
    taken = calendar.closed if several else 0
    levels = step_down(plan.treated_arms, taken, plan.alpha, decides)
    money = {}
    for arm, alphas in levels.items():
        rest = (alphas[-1],) * (calendar.begun - taken)
        found = economics(plan, outcomes, calendar, arm, costs_paid, (*alphas[:taken], *rest))
        money[arm] = _noted(found, JUDGED_TOGETHER) if several else found
    return money


def looks_together(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar
) -> dict[str, tuple[Look, ...]]:
    """Looks at the primary metric of every treated arm, the risk shared as in `judge_together`."""

    @cache
    def looks(arm: str, alpha: float) -> tuple[Look, ...]:
        alphas = (alpha,) * calendar.closed
        question = Question(arm, plan.holdout)
        return estimate_looks(plan, outcomes, calendar, question, plan.metric, alphas)

    def decides(arm: str, look: int, alpha: float) -> bool:
        found = looks(arm, alpha)
        return bool(found) and found[look].significant

    levels = step_down(plan.treated_arms, calendar.closed, plan.alpha, decides)
    return {
        arm: tuple(
            look for k, alpha in enumerate(alphas[:-1]) for look in looks(arm, alpha)[k : k + 1]
        )
        for arm, alphas in levels.items()
    }


def _as_judged(row: EffectRow, plan: FrozenPlan, arm: str, looks: Sequence[Look]) -> EffectRow:
    """The cumulative row of the primary metric with the interval of its last look."""
    key = (ALL, ALL, arm, plan.holdout, plan.metric, CUMULATIVE)
    if (row.wave, row.segment, row.arm, row.against, row.metric, row.month) != key or not looks:
        return row
    last = looks[-1].effect
    return replace(row, simultaneous_ci_lower=last.lower, simultaneous_ci_upper=last.upper)


def _money(
    connection: sa.Connection, plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar
) -> dict[str, Economics]:
    """Money of every arm, with the costs really paid where some were loaded."""
    paid = costs_paid(connection, plan, logged=outcomes.logged)
    money = judge_together(plan, outcomes, calendar, paid.by_arm)
    return {arm: _noted(found, *paid.notes) for arm, found in money.items()}


def _noted(money: Economics, *notes: str) -> Economics:
    return replace(money, notes=(*money.notes, *notes))


def _windows(
    connection: sa.Connection, plans: Sequence[FrozenPlan], data_through: dt.date
) -> list[Window]:
    """The window of every wave over the months begun, all capped alike; none before the first."""
    plan = governing(plans)
    calendar = Calendar.of(plan, data_through)
    if not calendar.begun:
        return []
    logged = bool(connection.scalar(has_exposures(plan.campaign)))
    return [
        replace(
            window_of(
                replace(wave, caps=plan.caps),
                plan.first_month,
                months=calendar.begun,
                by_customer=plan.by_customer,
                logged=logged,
            ),
            ranked=calendar.closed,
        )
        for wave in plans
    ]


def _arm(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    money: Economics,
    looks: tuple[Look, ...],
    checks: Sequence[Check],
) -> ArmResult:
    """Everything about a treated arm against the holdout that moments tell."""
    question = Question(arm, plan.holdout)
    reached, reached_notes = reached_effect(plan, outcomes, calendar, arm)
    return ArmResult(
        arm=arm,
        n_treated=plan.units_of(arm),
        n_holdout=plan.units_of(plan.holdout),
        method=method_of(plan, question, plan.metric).name,
        band="sup-t",
        looks=looks,
        economics=money,
        decomposition=decomposition(plan, outcomes, calendar, arm),
        wearout=fading(plan, outcomes, calendar, arm),
        pull_forward=pulled_forward(plan, outcomes, calendar, arm),
        reached=reached,
        reached_notes=reached_notes,
        influence=(),
        sensitivity=sensitivity(plan, outcomes, calendar, arm),
        heterogeneity=compare_segments(plan, outcomes, calendar, arm),
        permutation_p_value=None,
        verdict=_verdict(plan, outcomes, calendar, arm, money, checks),
    )


def _verdict(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    money: Economics,
    checks: Sequence[Check],
) -> Verdict:
    """The verdict; that of the programme as a whole says what is not in it."""
    found = verdict(plan, outcomes, calendar, arm, money, checks)
    if plan.campaign != UNIVERSAL:
        return found
    return replace(found, reasons=(*found.reasons, MARGIN_ONLY))
