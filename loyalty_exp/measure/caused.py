"""What campaigns caused within a year, by the segments that customers were in before it began.

Every campaign that began in the year drew the members of such a segment at random into those it
treats and those it leaves out, whatever segments it was declared for. Keeps nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan, month_of
from loyalty_exp.measure.effects import UNLIKE, Question, finite, solve
from loyalty_exp.measure.results import Estimate
from loyalty_exp.stats.ancova import IntervalMethod, interval
from loyalty_exp.stats.intervals import TOO_SKEWED
from loyalty_exp.store.outcomes import ALL, FEWEST, Outcomes, read_many
from loyalty_exp.store.queries import causes
from loyalty_exp.store.queries.compare import NOBODY
from loyalty_exp.store.queries.draw import UNIVERSAL
from loyalty_exp.store.queries.moments import Window

__all__ = ["CausedInYear", "YearOfCampaigns", "caused_in_year"]

FEW = "too few customers were left out on purpose in this segment"
SKEWED = "a handful of customers decides the result in this segment"
NOT_CLOSED = "the last month of year 2 is not closed yet"
NOT_WHOLE = "year 2 does not end with a month"
SUSPENDED = "the result is suspended: a critical check failed"
UNKNOWN = Estimate(None, None, None)


@dataclass(frozen=True, slots=True)
class CausedInYear:
    """Incremental revenue of a campaign within a year, among the members of a segment."""

    campaign: str
    segment: str
    """segment before the year began; `all` for everybody drawn"""
    caused: Estimate
    """of all treated members together, in currency; read alone, at the plan's level"""
    note: str
    """why it is not known; empty where it is"""


@dataclass(frozen=True, slots=True)
class YearOfCampaigns:
    """What the campaigns that began in a year caused in it."""

    effects: tuple[CausedInYear, ...]
    shared: frozenset[str]
    """segments where several campaigns drew the same customers: their effects count purchases
    twice and cannot be added up; `all` is one of them if any is"""
    before: tuple[str, ...]
    """campaigns that began earlier and ran on: part of both years, and not measured here"""


def caused_in_year(
    connection: sa.Connection,
    launched: Sequence[FrozenPlan],
    memberships: Sequence[sa.Select[Any]],
    year: tuple[dt.date, dt.date],
    data_through: dt.date,
    suspended: Collection[str] = (),
) -> YearOfCampaigns:
    """Incremental revenue from the start of each campaign to the end of a year, by segment.

    A universal holdout that was drawn before the year's first campaign and stands to its end
    measures all of them together, in place of each alone; one that does not is a campaign like any.

    Args:
        connection: a store that takes temporary tables.
        launched: plans of every wave launched, those of a campaign in order.
        memberships: selects of customer and segment as before the year began; at most one segment
            a customer in each.
        year: first and last day; nothing is known of one that does not end with a month.
        data_through: last day of data.
        suspended: campaigns whose critical checks failed.
    """
    first, end = year
    waves: dict[tuple[str, int], list[FrozenPlan]] = {}
    for plan in launched:
        alone = plan.wave if plan.campaign == UNIVERSAL else 0  # each rotation is another draw
        waves.setdefault((plan.campaign, alone), []).append(plan)
    begun = {key: plans for key, plans in waves.items() if first <= plans[0].start <= end}
    earliest = min((plans[0].start for plans in begun.values()), default=first)
    together = [
        plans
        for (name, _), plans in begun.items()
        if name == UNIVERSAL and plans[0].start <= earliest and plans[0].end >= end
    ]
    campaigns = together or list(begun.values())
    before = {
        name
        for (name, _), plans in waves.items()
        if plans[0].start < first <= plans[-1].measure_until and name != UNIVERSAL
    }
    found, shared = _measured(connection, campaigns, memberships, end) if campaigns else ([], set())
    late = {
        plans[0].campaign
        for plans in campaigns
        if data_through < end + dt.timedelta(days=plans[0].settle_days)
    }
    whole = (end + dt.timedelta(days=1)).day == 1
    effects = []
    for each in found:
        reasons = (
            (not whole, NOT_WHOLE),
            (each.campaign in suspended, SUSPENDED),
            (each.campaign in late, NOT_CLOSED),
        )
        reason = next((reason for holds, reason in reasons if holds), "")
        effects.append(replace(each, caused=UNKNOWN, note=reason) if reason else each)
    return YearOfCampaigns(tuple(effects), frozenset(shared), tuple(sorted(before)))


def _measured(
    connection: sa.Connection,
    campaigns: Sequence[Sequence[FrozenPlan]],
    memberships: Sequence[sa.Select[Any]],
    end: dt.date,
) -> tuple[list[CausedInYear], set[str]]:
    """Effects of the campaigns by segment and on all, and the segments that they share."""
    names = [plans[0].campaign for plans in campaigns]
    by_segment = causes.regrouped()
    found: list[CausedInYear] = []
    shared: set[str] = set()
    for membership in memberships:
        causes.members.create(connection)
        connection.execute(causes.keep_members(membership))
        shared |= set(connection.execute(causes.shared_segments(names)).scalars())
        found += _on(connection, campaigns, by_segment, end)
        causes.members.drop(connection)
    found = [each for each in found if each.segment != NOBODY]
    return [*found, *_on(connection, campaigns, causes.everybody(), end)], (
        shared | {ALL} if shared else shared
    )


def _on(
    connection: sa.Connection,
    campaigns: Sequence[Sequence[FrozenPlan]],
    roster: sa.FromClause,
    end: dt.date,
) -> list[CausedInYear]:
    """Effects of the campaigns on the segments of a roster."""
    asked: list[tuple[list[Window], dict[str, float]]] = [
        ([_window(wave, plans[0], end, roster) for wave in plans], {}) for plans in campaigns
    ]
    return [
        _caused(plans[0], outcomes, segment)
        for plans, outcomes in zip(campaigns, read_many(connection, asked), strict=True)
        for segment in outcomes.segments
    ]


def _window(wave: FrozenPlan, first: FrozenPlan, end: dt.date, roster: sa.FromClause) -> Window:
    """What the customers of a wave bought from the campaign's start to the end of the year."""
    return Window(
        campaign=wave.campaign,
        wave=wave.wave,
        start=wave.start,
        first_month=first.first_month,
        months=month_of(end.year, end.month) - first.first_month + 1,
        covariate_months=wave.covariate_months,
        by_customer=wave.by_customer,
        metrics=("revenue",),
        roster=roster,
    )


def _caused(plan: FrozenPlan, outcomes: Outcomes, segment: str) -> CausedInYear:
    """Incremental revenue of the treated members of a segment.

    Treated and holdout of unlike size are compared by the skewness-corrected interval: no method
    was frozen for a segment that the campaign did not know.
    """
    last = f"revenue_c{outcomes.months - 1}"
    effects = solve(outcomes, Question(causes.TREATED, causes.HOLDOUT, segment), [last])
    if effects is None or min(effects.n_control, effects.n_treated) < FEWEST:
        return CausedInYear(plan.campaign, segment, UNKNOWN, FEW)
    if abs(effects.skewness[0]) > TOO_SKEWED:
        return CausedInYear(plan.campaign, segment, UNKNOWN, SKEWED)
    sizes = sorted((effects.n_control, effects.n_treated))
    method = IntervalMethod.W2 if sizes[1] > UNLIKE * sizes[0] else IntervalMethod.W1
    lower, upper = interval(effects, method, 1 - plan.alpha)
    n, value = effects.n_treated, effects.estimate[0]
    caused = Estimate(finite(n * value), finite(n * lower[0]), finite(n * upper[0]))
    note = "" if caused.value is not None else effects.notes[0][0]
    return CausedInYear(plan.campaign, segment, caused, note)
