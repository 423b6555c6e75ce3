"""The measurement of one campaign: composes effects, money, details and checks into a result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
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
    EffectRow,
    Provenance,
)
from loyalty_exp.measure.verdict import verdict
from loyalty_exp.store.outcomes import ALL, Outcomes, read_outcomes, window_of
from loyalty_exp.store.queries.registry import has_exposures

__all__ = ["measure_campaign", "questions"]


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
    outcomes = _outcomes(connection, plans, calendar)
    rows: list[EffectRow] = []
    for question in questions(plan, outcomes):
        rows += effect_rows(plan, outcomes, calendar, question)
        rows += ratio_rows(plan, outcomes, calendar, question)
    arms = tuple(_arm(plan, outcomes, calendar, arm) for arm in plan.treated_arms)
    return CampaignResult(
        campaign=plan.campaign,
        plan=plan,
        rows=tuple(rows),
        arms=arms,
        checks=(),
        flow=plan.flow,
        deviations=deviations,
        closed_through=calendar.labels[calendar.closed - 1] if calendar.closed else None,
        provenance=provenance,
        caveat=caveat,
    )


def _outcomes(
    connection: sa.Connection, plans: Sequence[FrozenPlan], calendar: Calendar
) -> Outcomes:
    """Moments of every wave over the months begun; none before the first."""
    plan = plans[0]
    logged = bool(connection.scalar(has_exposures(plan.campaign)))
    if not calendar.begun:
        return Outcomes({}, 0, logged=logged)
    windows = [
        window_of(
            wave,
            plan.first_month,
            months=calendar.begun,
            by_customer=plan.unit == "customer_id",
            logged=logged,
        )
        for wave in plans
    ]
    return read_outcomes(connection, windows, plan.declaration["costs"]["per_contact"])


def _arm(plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str) -> ArmResult:
    """Everything about a treated arm against the holdout."""
    question = Question(arm, plan.holdout)
    money = economics(plan, outcomes, calendar, arm)
    return ArmResult(
        arm=arm,
        n_treated=plan.units_of(arm),
        n_holdout=plan.units_of(plan.holdout),
        method=method_of(plan, question, plan.metric).name,
        band="sup-t",
        looks=estimate_looks(plan, outcomes, calendar, question, plan.metric),
        economics=money,
        decomposition=None,
        wearout=None,
        pull_forward=None,
        reached=None,
        reached_notes=(),
        influence=(),
        sensitivity=(),
        heterogeneity=None,
        permutation_p_value=None,
        verdict=verdict(plan, outcomes, calendar, arm, money, ()),
    )
