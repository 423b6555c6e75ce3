"""The draw of a wave: assigns, freezes everything a result will depend on, and re-draws to verify.

Works inside the caller's transaction, so that a launch is whole or not at all.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan, StratumCounts, month_of
from loyalty_exp.declare.models import Campaign, Project
from loyalty_exp.design.audience import (
    COVARIATE_MONTHS,
    Audience,
    FeatureQuery,
    fill_audience,
    population_of,
)
from loyalty_exp.errors import LaunchError
from loyalty_exp.stats.allocation import allocate
from loyalty_exp.stats.ancova import choose_method, joint_effects
from loyalty_exp.store.engines import joined_as_written
from loyalty_exp.store.members import keep_members, members_differ
from loyalty_exp.store.outcomes import covariate_of, read_outcomes
from loyalty_exp.store.queries import draw as queries
from loyalty_exp.store.queries import erase
from loyalty_exp.store.queries.moments import METRICS, Window, cap
from loyalty_exp.store.tables import customer_month, launches

__all__ = [
    "NobodyEligibleError",
    "Verification",
    "arm_shares",
    "draw_wave",
    "freeze_wave",
    "launched_plans",
    "planned_looks",
    "salt_of",
    "verify_wave",
]


class NobodyEligibleError(LaunchError):
    """A launch is refused because there is nobody to draw."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What re-drawing one wave found; empty `problems` means that all agrees."""

    campaign: str
    wave: int
    units: int
    digest: str
    problems: tuple[str, ...]


def launched_plans(connection: sa.Connection) -> list[FrozenPlan]:
    """Frozen plans of every wave launched, in order of campaign and wave."""
    rows = connection.execute(
        sa.select(launches.c.plan).order_by(launches.c.campaign, launches.c.wave)
    )
    return [FrozenPlan.from_json(plan) for (plan,) in rows]


def planned_looks(start: dt.date, measure_until: dt.date) -> int:
    """Calendar months from the start month to the last one that is measured whole.

    A month that `measure_until` cuts short is not a look.
    """
    last_day = calendar.monthrange(measure_until.year, measure_until.month)[1]
    whole = measure_until.day == last_day
    last = month_of(measure_until.year, measure_until.month) - (not whole)
    return max(0, last - month_of(start.year, start.month) + 1)


def salt_of(project: Project, campaign_id: str, wave: int) -> str:
    """The salt of a wave: 32 hexadecimal digits of project, campaign, wave and seed."""
    text = f"{project.name}|{campaign_id}|{wave}|{project.seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def draw_wave(
    connection: sa.Connection,
    campaign_id: str,
    campaign: Campaign,
    *,
    project: Project,
    wave: int,
    start: dt.date,
    as_of: dt.date,
    rules: Mapping[str, str],
    tiers: Mapping[str, Any],
    known_through: dt.date,
    features: FeatureQuery,
    now: dt.datetime,
    version: str,
) -> FrozenPlan:
    """Draw and freeze one wave.

    Args:
        connection: a writing transaction in which the memberships at `as_of` stand.
        campaign_id: the campaign's id.
        campaign: its declaration.
        project: the project's declaration.
        wave: number of this wave, from 0.
        start: first day of the wave.
        as_of: date of the memberships.
        rules: the rule of each declared segment, as text.
        tiers: where gold and silver begin, where the draw depends on it.
        known_through: last day of data.
        features: gives the customer features that strata name.
        now: time of the launch, UTC.
        version: version of this package.

    Raises:
        NobodyEligibleError: nobody is eligible.
        LaunchError: an arm would be empty, or an attribute is missing.
    """
    plans = launched_plans(connection)
    audience = fill_audience(
        connection,
        campaign_id,
        campaign,
        wave_start=start,
        as_of=as_of,
        launched=plans,
        features=features,
    )
    drawn = _share_out(campaign_id, campaign, audience, wave, salt_of(project, campaign_id, wave))
    population = population_of(connection, campaign)
    with joined_as_written(connection):
        connection.execute(queries.assign(drawn, audience.cuts, population))
    return freeze_wave(
        connection,
        drawn,
        campaign,
        project=project,
        start=start,
        as_of=as_of,
        rules=rules,
        tiers=tiers,
        known_through=known_through,
        cuts=audience.cuts,
        flow=audience.flow,
        now=now,
        version=version,
    )


def freeze_wave(
    connection: sa.Connection,
    drawn: queries.Draw,
    campaign: Campaign,
    *,
    project: Project,
    start: dt.date,
    as_of: dt.date,
    rules: Mapping[str, str],
    tiers: Mapping[str, Any],
    known_through: dt.date,
    cuts: tuple[float, ...],
    flow: Sequence[tuple[str, int]],
    now: dt.datetime,
    version: str,
) -> FrozenPlan:
    """Freeze the plan of a wave whose assignments stand, and enter it in the registry.

    Args:
        connection: the transaction that holds the assignments.
        drawn: arms and counts of every stratum.
        campaign: its declaration.
        project: the project's declaration.
        start: first day of the wave.
        as_of: date of the memberships.
        rules: the rule of each declared segment, as text.
        tiers: where gold and silver begin, where the draw depends on it.
        known_through: last day of data.
        cuts: limits of the revenue bands.
        flow: units by step, up to the eligible.
        now: time of the launch, UTC.
        version: version of this package.
    """
    by_customer = campaign.unit == "customer_id"
    if by_customer:
        keep_members(connection, (drawn.campaign, drawn.wave))
    looks = planned_looks(start, campaign.measure_until)
    past = _past_window(connection, drawn, start, looks, by_customer=by_customer)
    skewness = _skewness(connection, past, drawn.arms)
    by_arm = [
        (f"arm: {arm}", sum(row.counts[place] for row in drawn.strata))
        for place, arm in enumerate(drawn.arms)
    ]
    plan = FrozenPlan(
        campaign=drawn.campaign,
        wave=drawn.wave,
        name=campaign.name,
        hypothesis=campaign.hypothesis or "",
        declaration=campaign.model_dump(mode="json"),
        project=project.name,
        currency=project.currency,
        timezone=project.timezone,
        margin_rate=project.margin_rate,
        settle_days=project.settle_days,
        as_of=as_of,
        start=start,
        end=campaign.end,
        measure_until=campaign.measure_until,
        metric=campaign.metric,
        covariate_months=COVARIATE_MONTHS,
        looks=looks,
        alpha=campaign.alpha,
        spending=campaign.spending,
        methods=_methods(skewness),
        caps={metric: _cap(connection, past, metric) for metric in ("revenue", "margin", "orders")},
        arms=drawn.arms,
        percents=_percents(campaign),
        unit=campaign.unit,
        segments=dict(rules),
        strata=drawn.strata,
        band_cuts=cuts,
        flow=(*flow, *by_arm),
        salt=drawn.salt,
        roster_sum=connection.scalar(queries.roster_sum(drawn.campaign, drawn.wave)) or "0",
        version=version,
        skewness=skewness,
        tiers=tiers,
        known_through=known_through,
    )
    connection.execute(
        launches.insert().values(
            campaign=drawn.campaign,
            wave=drawn.wave,
            launched_at=now,
            as_of=as_of,
            start=start,
            plan=plan.to_json(),
            digest=plan.digest,
            salt=plan.salt,
        )
    )
    return plan


def verify_wave(connection: sa.Connection, campaign_id: str, wave: int) -> Verification:
    """Draw a launched wave again from its recipe and compare it with what the store holds.

    A split drawn elsewhere has no recipe: its roster is compared with the frozen checksum only.
    """
    row = connection.execute(
        sa.select(launches.c.plan, launches.c.digest).where(
            launches.c.campaign == campaign_id, launches.c.wave == wave
        )
    ).one()
    problems: list[str] = []
    if hashlib.sha256(row.plan.encode()).hexdigest() != row.digest:
        problems.append("the frozen plan was edited: its SHA-256 is not the one kept at launch")
    plan = FrozenPlan.from_json(row.plan)
    left = _without_forgotten(connection, plan)
    drawn = queries.Draw(plan.campaign, plan.wave, plan.salt, plan.arms, left)
    elsewhere = plan.declaration.get("assignment") is not None
    if not elsewhere and (moved := connection.scalar(queries.redrawn_differences(drawn))):
        problems.append(f"{moved} units are not in the arm that the recipe gives them")
    counted = {
        (stratum, arm): units
        for stratum, arm, units in connection.execute(queries.roster_units(campaign_id, wave))
    }
    expected = {
        (row.stratum, arm): count
        for row in plan.strata
        for arm, count in zip(plan.arms, row.counts, strict=True)
        if count
    }
    if counted != expected:
        found, planned = sum(counted.values()), sum(expected.values())
        problems.append(
            f"the roster's units by stratum and arm differ from the plan "
            f"({found} units found, {planned} drawn)"
        )
    gap = int(connection.scalar(erase.gap_of(campaign_id, wave)) or 0)
    found = int(connection.scalar(queries.roster_sum(campaign_id, wave)) or 0)
    if found + gap != int(plan.roster_sum):
        problems.append("the roster was edited: its checksum is not the one frozen at launch")
    elif members_differ(connection, (campaign_id, wave)):
        problems.append("the copy of the roster that measuring reads is not the roster")
    return Verification(campaign_id, wave, sum(counted.values()), row.digest, tuple(problems))


def _without_forgotten(connection: sa.Connection, plan: FrozenPlan) -> tuple[StratumCounts, ...]:
    """The plan's strata less the units forgotten since, whose ids are no longer there to draw by.

    The others keep their order, so that the first k less the forgotten holdouts are the holdout.
    """
    gone = {
        (stratum, arm): int(units)
        for stratum, arm, units in connection.execute(erase.erased_units(plan.campaign, plan.wave))
    }
    if not gone:
        return plan.strata
    left = []
    for row in plan.strata:
        less = [gone.get((row.stratum, arm), 0) for arm in plan.arms]
        counts = tuple(n - m for n, m in zip(row.counts, less, strict=True))
        left.append(StratumCounts(row.stratum, row.units - sum(less), counts))
    return tuple(left)


def _percents(campaign: Campaign) -> tuple[float, ...]:
    return tuple(campaign.arms[arm] for arm in ("holdout", *campaign.treated_arms))


def arm_shares(campaign: Campaign) -> tuple[Fraction, ...]:
    """Share of each arm, the holdout first, summing to exactly 1."""
    percents = [Fraction(repr(percent)) for percent in _percents(campaign)]
    return tuple(percent / sum(percents) for percent in percents)


def _share_out(
    campaign_id: str, campaign: Campaign, audience: Audience, wave: int, salt: str
) -> queries.Draw:
    """Counts of every stratum and arm.

    Raises:
        NobodyEligibleError: nobody is eligible.
        LaunchError: an arm would be empty.
    """
    if not audience.units:
        steps = "; ".join(f"{step} {units}" for step, units in audience.flow)
        raise NobodyEligibleError(f"{campaign_id}: nobody is eligible: {steps}")
    counts = allocate([size for _, size in audience.sizes], arm_shares(campaign), salt)
    arms = ("holdout", *campaign.treated_arms)
    for place, arm in enumerate(arms):
        if not sum(row[place] for row in counts):
            raise LaunchError(
                f"{campaign_id}: arm {arm} would be empty with {audience.units} eligible units; "
                "raise its share or widen the segment"
            )
    strata = tuple(
        StratumCounts(stratum, size, tuple(row))
        for (stratum, size), row in zip(audience.sizes, counts, strict=True)
    )
    return queries.Draw(campaign_id, wave, salt, arms, strata)


def _past_window(
    connection: sa.Connection, drawn: queries.Draw, start: dt.date, looks: int, *, by_customer: bool
) -> Window | None:
    """The last months before the start as outcome, those before them as covariate.

    As many months as will be looked at, at most half of the history; None without history.
    """
    start_month = month_of(start.year, start.month)
    oldest = connection.scalar(sa.select(sa.func.min(customer_month.c.month)))
    known = start_month - oldest if oldest is not None else 0
    months = min(looks, (known + 1) // 2)
    if months < 1:
        return None
    year, month = divmod(start_month - months - 1, 12)
    return Window(
        campaign=drawn.campaign,
        wave=drawn.wave,
        start=dt.date(year, month + 1, 1),
        first_month=start_month - months,
        months=months,
        covariate_months=COVARIATE_MONTHS,
        by_customer=by_customer,
    )


def _skewness(
    connection: sa.Connection, window: Window | None, arms: Sequence[str]
) -> dict[str, tuple[float | None, ...]]:
    """Skewness of the pre-period's readings of every comparison and metric, to six digits.

    Each month, and last all together; of each treated arm against the holdout, 'arm:metric', and
    against the treated arms after it, 'arm:against:metric'. Nothing without history; None where
    nothing varies in a reading.
    """
    metrics = (*METRICS, "net")
    pairs = [(arm, arms[0], arm) for arm in arms[1:]]
    pairs += [(a, b, f"{a}:{b}") for a, b in itertools.combinations(arms[1:], 2)]
    keys = [f"{key}:{metric}" for _, _, key in pairs for metric in metrics]
    if window is None:
        return dict.fromkeys(keys, ())
    outcomes = read_outcomes(connection, [window], {})
    readings = [*map(str, range(window.months)), f"c{window.months - 1}"]
    variables = [f"{metric}_{reading}" for metric in metrics for reading in readings]
    covariates = [covariate_of(variable) for variable in variables]
    found = []
    for arm, against, _ in pairs:
        effects = joint_effects(outcomes.comparisons(arm, against), variables, covariates)
        for gammas in effects.skewness.reshape(len(metrics), -1):
            known = [None if np.isnan(gamma) else float(f"{gamma:.6g}") for gamma in gammas]
            found.append(tuple(known))
    return dict(zip(keys, found, strict=True))


def _methods(skewness: Mapping[str, Sequence[float | None]]) -> dict[str, str]:
    """The interval of each comparison; the careful one where the skewness is unknown."""
    return {
        key: choose_method([math.nan if g is None else g for g in gammas] or math.nan).value
        for key, gammas in skewness.items()
    }


def _cap(connection: sa.Connection, past: Window | None, metric: str) -> float | None:
    """The 99th percentile of the positive past months of the roster's units, None without any."""
    if past is None:
        return None
    months = past.covariate_months + past.months
    value: Any = connection.scalar(cap(replace(past, covariate_months=months), metric))
    return None if value is None else float(value)
