"""The measurement of one campaign: composes effects, money, details and checks into a result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.checks import campaign_checks
from loyalty_exp.measure.details import (
    compare_segments,
    decomposition,
    fading,
    pulled_forward,
    reached_effect,
    sensitivity,
)
from loyalty_exp.measure.economics import economics
from loyalty_exp.measure.effects import (
    Question,
    effect_rows,
    estimate_looks,
    method_of,
    ratio_rows,
)
from loyalty_exp.measure.results import (
    ArmResult,
    CampaignResult,
    Check,
    Economics,
    EffectRow,
    Provenance,
)
from loyalty_exp.measure.small import (
    LARGEST_ROSTER,
    influence,
    path_band,
    permutation_p_value,
    read_largest,
    read_units,
    with_path_band,
)
from loyalty_exp.measure.verdict import verdict
from loyalty_exp.store.outcomes import ALL, Outcomes, read_outcomes, window_of
from loyalty_exp.store.queries.moments import Window
from loyalty_exp.store.queries.registry import has_exposures

__all__ = ["JUDGED_TOGETHER", "judge_together", "measure_campaign", "questions"]

JUDGED_TOGETHER = "wider than read alone: the arms of the campaign are judged together (Holm)"


def questions(plan: FrozenPlan, outcomes: Outcomes) -> Iterator[Question]:
    """Every comparison that has rows: audience, segments, waves; holdout first, then arms."""
    pairs = [(arm, plan.holdout) for arm in plan.treated_arms]
    pairs += itertools.combinations(plan.treated_arms, 2)
    segments = [ALL, *(outcomes.segments if len(outcomes.segments) > 1 else ())]
    waves: list[int | None] = [None, *(outcomes.waves if len(outcomes.waves) > 1 else ())]
    for wave, segment, (arm, against) in itertools.product(waves, segments, pairs):
        yield Question(arm, against, segment, wave)


def measure_campaign(
    connection: sa.Connection,
    plans: Sequence[FrozenPlan],
    *,
    provenance: Provenance,
    deviations: tuple[str, ...] = (),
    caveat: str = "",
) -> CampaignResult:
    """Measure a launched campaign up to the data at hand.

    Args:
        connection: an open store.
        plans: frozen plan of every wave, in order; the first one governs looks and metric.
        provenance: what the figures rest on.
        deviations: what the declaration says now that the frozen plan does not.
        caveat: a sentence about the data that every page must show.
    """
    plan = plans[0]
    calendar = Calendar.of(plan, provenance.data_through)
    windows = _windows(connection, plans, calendar)
    outcomes = _outcomes(connection, plan, windows)
    rows: list[EffectRow] = []
    for question in questions(plan, outcomes):
        rows += effect_rows(plan, outcomes, calendar, question)
        rows += ratio_rows(plan, outcomes, calendar, question)
    money = judge_together(plan, outcomes, calendar)
    checks = campaign_checks(connection, plans, outcomes, calendar, money, deviations)
    units = None
    if windows and sum(wave.units_of(arm) for wave in plans for arm in wave.arms) <= LARGEST_ROSTER:
        units = read_units(connection, windows)
    largest = read_largest(connection, windows, plan.metric, calendar.closed) if windows else None
    arms = []
    for arm in plan.treated_arms:
        band = path_band(plan, units, calendar, arm) if units is not None else None
        if band is not None:
            rows = list(with_path_band(rows, plan, arm, band))
        found = _arm(plan, outcomes, calendar, arm, money[arm], checks)
        arms.append(
            replace(
                found,
                band="sup-t" if band is None else "permutation max-t",
                permutation_p_value=None
                if units is None
                else permutation_p_value(plan, units, calendar, arm),
                influence=()
                if largest is None or not calendar.closed
                else influence(plan, outcomes, largest, calendar, arm),
            )
        )
    return CampaignResult(
        campaign=plan.campaign,
        plan=plan,
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
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar
) -> dict[str, Economics]:
    """Money of every treated arm, with the risk of a false verdict shared between the arms.

    Holm's step-down on the looks of all arms: with m arms still open each is read at alpha / m;
    an arm whose net result is then decided leaves the family, and the others are read again at
    alpha / (m - 1). One arm alone keeps alpha.

    Source: Holm (1979); for looks, Ye, Li, Liu and Yao (2013), section 2.
    """
    decided: dict[str, Economics] = {}
    open_arms = list(plan.treated_arms)
    while open_arms:
        shared = replace(plan, alpha=plan.alpha / len(open_arms))
        found = {arm: economics(shared, outcomes, calendar, arm) for arm in open_arms}
        if len(open_arms) > 1:
            found = {
                arm: replace(money, notes=(*money.notes, JUDGED_TOGETHER))
                for arm, money in found.items()
            }
        leaving = [arm for arm, money in found.items() if _excludes_zero(money)]
        decided |= {arm: found[arm] for arm in leaving or open_arms}
        open_arms = [arm for arm in open_arms if arm not in decided]
    return {arm: decided[arm] for arm in plan.treated_arms}


def _excludes_zero(money: Economics) -> bool:
    """Whether some closed look decided the net result."""
    closed = [month.net for month in money.months if month.closed]
    return any(
        (net.lower is not None and net.lower > 0) or (net.upper is not None and net.upper < 0)
        for net in closed
    )


def _windows(
    connection: sa.Connection, plans: Sequence[FrozenPlan], calendar: Calendar
) -> list[Window]:
    """The window of every wave over the months begun; none before the first."""
    plan = plans[0]
    if not calendar.begun:
        return []
    logged = bool(connection.scalar(has_exposures(plan.campaign)))
    return [
        window_of(
            wave,
            plan.first_month,
            months=calendar.begun,
            by_customer=plan.unit == "customer_id",
            logged=logged,
        )
        for wave in plans
    ]


def _outcomes(connection: sa.Connection, plan: FrozenPlan, windows: Sequence[Window]) -> Outcomes:
    """Moments of every wave; empty before the first month."""
    if not windows:
        return Outcomes({}, 0, logged=False)
    return read_outcomes(connection, windows, plan.declaration["costs"]["per_contact"])


def _arm(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    arm: str,
    money: Economics,
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
        looks=estimate_looks(plan, outcomes, calendar, question, plan.metric),
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
        verdict=verdict(plan, outcomes, calendar, arm, money, checks),
    )
