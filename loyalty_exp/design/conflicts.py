"""The calendar of declared campaigns, and those that would reach the same customers too soon.

Reads the audience that stands in the temporary tables; writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from loyalty_exp.declare.models import Campaign
from loyalty_exp.design.forecast import CalendarEntry, Conflict
from loyalty_exp.design.past import Members
from loyalty_exp.store.queries import plan as queries
from loyalty_exp.store.queries.draw import UNIVERSAL

__all__ = ["calendar_of", "conflicts_of"]


def calendar_of(
    campaigns: Mapping[str, Campaign], launched: Collection[str]
) -> tuple[CalendarEntry, ...]:
    """Declared campaigns in order of their start, then of priority, highest first.

    Args:
        campaigns: declared campaigns, by id.
        launched: ids of those launched.
    """
    entries = [
        CalendarEntry(
            campaign=name,
            name=each.name,
            start=each.start,
            end=each.end,
            measure_until=each.measure_until,
            priority=each.priority,
            segments=each.segments,
            launched=name in launched,
        )
        for name, each in campaigns.items()
    ]
    return tuple(sorted(entries, key=lambda e: (e.start, -e.priority, e.campaign)))


def conflicts_of(
    connection: sa.Connection,
    campaign_id: str,
    campaigns: Mapping[str, Campaign],
    as_of: dt.date,
    members: Members,
    launched: Collection[str] = (),
) -> tuple[Conflict, ...]:
    """Other campaigns that run, or end or start within a cooldown, while customers are shared.

    Args:
        connection: the temporary tables hold the campaign's audience.
        campaign_id: the campaign being planned.
        campaigns: declared campaigns, by id, this one included.
        as_of: date at which the other's segments are taken.
        members: customers of a segment at a date.
        launched: ids of the campaigns launched already.

    Returns:
        The longest overlap first; none for the universal holdout, which goes before all.
    """
    if campaign_id == UNIVERSAL:
        return ()
    campaign = campaigns[campaign_id]
    found = []
    for name, other in campaigns.items():
        overlap, rest = _days(campaign, other)
        if name == campaign_id or (not overlap and rest >= _cooldown(campaign, other)):
            continue
        sets = [members(segment, as_of) for segment in other.segments]
        shared = int(connection.scalar(queries.eligible_among(sets)) or 0)
        if not shared:
            continue
        first = None
        if campaign.priority != other.priority:
            first = campaign_id if campaign.priority > other.priority else name
        both = tuple(segment for segment in campaign.segments if segment in other.segments)
        done = name in launched
        found.append(Conflict(name, overlap, rest, both, shared, first, done))
    return tuple(sorted(found, key=lambda c: (-c.overlap_days, c.rest_days, c.other)))


def _days(one: Campaign, other: Campaign) -> tuple[int, int]:
    """Days on which both run, and days of rest between them when they do not."""
    overlap = (min(one.end, other.end) - max(one.start, other.start)).days + 1
    return (overlap, 0) if overlap > 0 else (0, -overlap)


def _cooldown(one: Campaign, other: Campaign) -> int:
    """Days of rest that the later of the two asks for."""
    return one.cooldown_days if one.start >= other.start else other.cooldown_days
