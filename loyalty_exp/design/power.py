"""The plan stage: before the first euro is spent, who, what it costs and what can be known.

Writes nothing that lasts: past and present audiences stand in temporary tables only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import Campaign, Costs, Project, UniversalHoldout
from loyalty_exp.design.advice import sentences, warnings
from loyalty_exp.design.audience import FeatureQuery
from loyalty_exp.design.conflicts import calendar_of, conflicts_of
from loyalty_exp.design.draw import arm_shares, planned_looks, salt_of
from loyalty_exp.design.forecast import (
    ArmForecast,
    CampaignPlanReport,
    Conflict,
    CostForecast,
    PastPeriod,
    PlanSentence,
    ReplaySummary,
)
from loyalty_exp.design.past import History, Members, Past
from loyalty_exp.design.replay import ArmReplay, replay
from loyalty_exp.design.study import Study, month_after, study_past
from loyalty_exp.design.universal import UNIVERSAL, not_drawn
from loyalty_exp.stats.allocation import allocate
from loyalty_exp.stats.planning import (
    HoldoutAdvice,
    advised_holdout,
    break_even_effect,
    minimum_detectable_effect,
    planned_standard_error,
)
from loyalty_exp.store.queries import plan as queries

__all__ = ["DRAWS", "LARGEST", "PRIOR", "CampaignPlanReport", "plan_campaign"]

Floats = npt.NDArray[np.float64]

DRAWS = 1_000
"""Draws of a replay, in all past periods together."""

LARGEST = 20_000
"""Units of a past audience that are replayed; of a larger one, a sample by md5."""

PRIOR = (0.03, 0.06)
"""What is believed of a campaign's relative effect before it: mean and standard deviation."""

HORIZON_MONTHS = 12
"""How long the decision after the campaign holds."""

QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)


def plan_campaign(
    connection: sa.Connection,
    campaign_id: str,
    campaign: Campaign,
    *,
    project: Project,
    universal: UniversalHoldout | None,
    launched: Sequence[FrozenPlan],
    features: FeatureQuery,
    members: Members,
    data_through: dt.date,
    campaigns: Mapping[str, Campaign] | None = None,
    draws: int = DRAWS,
    largest: int = LARGEST,
    prior: tuple[float, float] = PRIOR,
    horizon_months: float = HORIZON_MONTHS,
) -> CampaignPlanReport:
    """Say what a campaign reaches, costs, and can teach, before it is launched.

    Args:
        connection: an open store that takes temporary tables, read-only or not.
        campaign_id: the campaign's id.
        campaign: its declaration.
        project: the project's declaration.
        universal: the universal holdout, where one is declared.
        launched: frozen plans of every wave launched so far.
        features: gives the customer features that strata name, and their usual gap.
        members: customers of a segment at the end of a day.
        data_through: last day of data.
        campaigns: declared campaigns by id, for the calendar; this one alone if not given.
        draws: draws of the replay in all; 0 leaves it out.
        largest: most units of a past audience that are replayed.
        prior: mean and standard deviation of the relative effect, for the advised holdout.
        horizon_months: how long the decision after the campaign holds.

    Raises:
        LaunchError: an attribute that the declaration names is not in the data.
    """
    past = Past(connection, campaign_id, campaign, features, members)
    declared = {campaign_id: campaign} if campaigns is None else campaigns
    today = _today(past, project, launched, declared, data_through)
    history = History.of(connection, today.start, data_through, today.looks)
    study = study_past(past, history, today.salt, largest)
    past.close()
    advice, reason = _advise(campaign, today.drawn, study.period, prior, horizon_months)
    report = CampaignPlanReport(
        campaign=campaign_id,
        name=campaign.name,
        currency=project.currency,
        metric=campaign.metric,
        unit=campaign.unit,
        as_of=today.as_of,
        data_through=data_through,
        start=today.start,
        measure_until=campaign.measure_until,
        months=today.looks,
        launched=today.frozen,
        drawn_here=campaign.assignment is None,
        alpha=campaign.alpha,
        flow=today.flow,
        costs=_costs(campaign.costs, today.drawn),
        period=study.period,
        arms=_arms(campaign, today.drawn, study, draws, today.salt),
        longer=study.longer,
        advice=advice,
        advice_reason=reason,
        gap_days=today.gap_days,
        calendar=calendar_of(declared, {plan.campaign for plan in launched}),
        conflicts=today.conflicts,
        sentences=(),
        warnings=(),
        notes=_notes(campaign, study, today.as_of, today.start),
    )
    first = None if campaign_id == UNIVERSAL else universal
    said = (*_refused(first, today, launched), *warnings(report))
    return replace(report, sentences=sentences(report), warnings=said)


@dataclass(frozen=True, slots=True)
class _Today:
    """The campaign as a launch would draw it now, or as it was drawn."""

    start: dt.date
    as_of: dt.date
    looks: int
    salt: str
    frozen: bool
    flow: tuple[tuple[str, int], ...]
    drawn: Mapping[str, int]
    """Units by arm, the holdout first; empty when nobody is eligible."""
    gap_days: float | None
    conflicts: tuple[Conflict, ...]


def _today(
    past: Past,
    project: Project,
    launched: Sequence[FrozenPlan],
    declared: Mapping[str, Campaign],
    data_through: dt.date,
) -> _Today:
    """Today's audience, shared out with the salt that a launch would use."""
    campaign, connection = past.campaign, past.connection
    start, own = _start(past.campaign_id, campaign, launched, data_through)
    frozen = own[-1] if own and campaign.enrolment == "once" else None
    eve = start - dt.timedelta(days=1) if own and frozen is None else campaign.as_of
    as_of = min(eve, data_through)
    audience = past.audience(as_of, start, () if frozen else launched)
    salt = salt_of(project, past.campaign_id, len(own))
    sizes = [units for _, units in audience.sizes]
    counts = np.sum(allocate(sizes, arm_shares(campaign), salt), axis=0) if sizes else ()
    names = ("holdout", *campaign.treated_arms)
    drawn = {arm: int(units) for arm, units in zip(names, counts, strict=bool(sizes))}
    flow = (*audience.flow, *((f"arm: {arm}", units) for arm, units in drawn.items()))
    if frozen is not None:
        drawn, flow = {arm: frozen.units_of(arm) for arm in frozen.arms}, frozen.flow
    gap = connection.scalar(queries.typical_gap(past.features(as_of, ["median_gap_days"])))
    done = {plan.campaign for plan in launched}
    return _Today(
        start=start,
        as_of=as_of,
        looks=planned_looks(start, campaign.measure_until),
        salt=salt,
        frozen=frozen is not None,
        flow=flow,
        drawn=drawn,
        gap_days=None if gap is None else float(gap),
        conflicts=conflicts_of(connection, past.campaign_id, declared, as_of, past.members, done),
    )


def _refused(
    universal: UniversalHoldout | None, today: _Today, launched: Sequence[FrozenPlan]
) -> tuple[PlanSentence, ...]:
    """That the universal holdout comes first, where it does."""
    waiting = not_drawn(universal, today.start, launched)
    if not waiting or today.frozen:
        return ()
    text = f"The launch would be refused: {waiting}."
    return (PlanSentence("universal_due", text, {"start": today.start}),)


def _start(
    campaign_id: str, campaign: Campaign, launched: Sequence[FrozenPlan], through: dt.date
) -> tuple[dt.date, list[FrozenPlan]]:
    """First day of the wave that a launch would draw, and the campaign's waves so far."""
    own = [plan for plan in launched if plan.campaign == campaign_id]
    if own and campaign.enrolment == "rolling":
        return through + dt.timedelta(days=1), own
    return campaign.start, own


def _costs(costs: Costs, drawn: Mapping[str, int]) -> CostForecast:
    redeemed = 0.0 if costs.vouchers_in_orders else _per_arm(costs.per_redemption, drawn)
    return CostForecast(costs.fixed, _per_arm(costs.per_contact, drawn), redeemed, costs.budget)


def _per_arm(each: Mapping[str, float], drawn: Mapping[str, int]) -> float:
    return sum(cost * drawn.get(arm, 0) for arm, cost in each.items())


def _arms(
    campaign: Campaign, drawn: Mapping[str, int], study: Study, draws: int, seed: str
) -> tuple[ArmForecast, ...]:
    """The forecast of every treated arm."""
    if not drawn:
        return ()
    replays: Sequence[ArmReplay | None] = [None] * len(campaign.treated_arms)
    if study.audiences and draws:
        replays = replay(
            study.audiences,
            ("holdout", *campaign.treated_arms),
            arm_shares(campaign),
            draws=draws,
            alpha=campaign.alpha,
            seed=f"replay:{seed}",
        )
    return tuple(
        _arm(campaign, arm, drawn, study, replayed)
        for arm, replayed in zip(campaign.treated_arms, replays, strict=True)
    )


def _arm(
    campaign: Campaign,
    arm: str,
    drawn: Mapping[str, int],
    study: Study,
    replayed: ArmReplay | None,
) -> ArmForecast:
    treated = sum(units for name, units in drawn.items() if name != "holdout")
    units, holdout = drawn[arm], drawn["holdout"]
    cost = campaign.costs.per_contact.get(arm, 0.0) * units
    cost += campaign.costs.fixed * units / treated if treated else 0.0
    even = break_even_effect(cost, units) if units else None
    period = study.period
    margin = period.forecast_margin if period is not None else 0.0
    mde = relative = None
    if period is not None and units + holdout > 3 and min(units, holdout):
        error = planned_standard_error(period.residual_sd, units, holdout)
        found = minimum_detectable_effect(error, units + holdout - 3, alpha=campaign.alpha)
        relative = found / period.mean if period.mean > 0 else None
        mde = None if relative is None else relative * period.forecast_mean
    return ArmForecast(
        arm=arm,
        units=units,
        holdout=holdout,
        cost=cost,
        break_even=even,
        break_even_relative=even / margin if even is not None and margin > 0 else None,
        mde=mde,
        mde_relative=relative,
        replay=None if replayed is None else _summary(replayed, study, units, sum(drawn.values())),
    )


def _summary(found: ArmReplay, study: Study, units: int, today: int) -> ReplaySummary:
    """A replay at today's number of units: standard errors fall with its square root."""
    scale = float(np.sqrt(found.units / today)) if today else float("nan")
    totals = np.quantile(found.null_totals, QUANTILES) * units * scale
    return ReplaySummary(
        draws=found.draws,
        periods=tuple(month_after(past.as_of) for past in study.audiences),
        months=study.history.months,
        units=found.units,
        sampled=any(past.units < past.audience for past in study.audiences),
        effects=found.effects,
        power=found.power,
        coverage=found.coverage,
        false_alarm_rate=found.false_alarm_rate,
        mde=found.mde,
        mde_today=None if found.mde is None or not today else found.mde * scale,
        null_totals=dict(zip(QUANTILES, map(float, totals), strict=True)),
        without_interval=found.without_interval,
    )


def _advise(
    campaign: Campaign,
    drawn: Mapping[str, int],
    period: PastPeriod | None,
    prior: tuple[float, float],
    horizon_months: float,
) -> tuple[HoldoutAdvice | None, str]:
    """The holdout of least expected loss, all treated arms taken as one; or why there is none."""
    units = sum(drawn.values())
    treated = units - drawn.get("holdout", 0)
    if period is None:
        return None, "there is no history to forecast margin from"
    if period.forecast_margin <= 0:
        return None, "the margin forecast is not positive"
    if units < 4 or not treated:
        return None, "too few units are eligible"
    scale = period.planned_months / period.months
    advice = advised_holdout(
        units,
        margin=period.forecast_margin,
        cost=_per_arm(campaign.costs.per_contact, drawn) / treated,
        residual_sd=period.margin_residual_sd * scale,
        prior_mean=prior[0],
        prior_sd=prior[1],
        horizon=horizon_months / period.planned_months,
    )
    return advice, ""


def _notes(campaign: Campaign, study: Study, as_of: dt.date, start: dt.date) -> tuple[str, ...]:
    """What the figures rest on."""
    notes = []
    if as_of < min(campaign.as_of, start - dt.timedelta(days=1)):
        notes.append(
            f"The audience is that of {as_of}, the last day of data; the launch takes it at "
            f"{campaign.as_of}."
        )
    period = study.period
    if period is not None:
        months = "month" if period.months == 1 else "months"
        notes.append(
            f"Forecasts rest on {period.months} {months} from {period.first_month}, "
            f"{period.units:,} units, adjusted for {period.covariate_months} months before."
        )
        if any(past.units < past.audience for past in study.audiences):
            notes.append("Past audiences were sampled by md5 for the replay.")
    if campaign.assignment is not None:
        notes.append(
            "The split is drawn elsewhere: before the launch, audience and arms are what the "
            "segments and declared shares would give."
        )
    if campaign.metric != "revenue":
        notes.append(
            f"Break-even is a share of margin; the effect detected is one on {campaign.metric}. "
            "They compare as far as margin follows it in proportion."
        )
    if campaign.costs.per_redemption and not campaign.costs.vouchers_in_orders:
        notes.append("Break-even counts contacts and the fixed cost; redemptions come on top.")
        if "vouchers_in_orders" not in campaign.costs.model_fields_set:
            notes.append(
                "If order totals are already net of the voucher, say vouchers_in_orders = true: "
                "else it is counted twice."
            )
    return tuple(notes)
