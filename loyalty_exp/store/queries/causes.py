"""Rosters regrouped by the segments of another date: whom a campaign drew among their members.

Builds statements only. Membership at a date before the draw is no outcome of it, so that treated
and holdout customers of a segment differ by chance alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.compare import NOBODY
from loyalty_exp.store.tables import assignments

__all__ = [
    "HOLDOUT",
    "TREATED",
    "everybody",
    "keep_members",
    "members",
    "regrouped",
    "shared_segments",
]

HOLDOUT, TREATED = "holdout", "treated"

members = sa.Table(
    "year_members",
    sa.MetaData(),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    prefixes=["TEMPORARY"],
)
"""The segment of each customer at the date, at most one."""


def keep_members(membership: sa.Select[Any]) -> sa.Insert:
    """Fill `members` from a select of customer and segment."""
    found = membership.subquery("membership")
    chosen = sa.select(found.c.customer, found.c.segment)
    return members.insert().from_select(["customer", "segment"], chosen)


def regrouped() -> sa.Subquery:
    """All rosters with the segment of `members` in place of the campaign's own; `none` without one.

    Every treated arm is one: together they are what the campaign did.
    """
    segment = sa.func.coalesce(members.c.segment, NOBODY)
    joined = assignments.outerjoin(members, members.c.customer == assignments.c.customer)
    return _roster(segment, joined)


def everybody() -> sa.Subquery:
    """All rosters in one segment, `all`; treated arms as in `regrouped`."""
    return _roster(sa.literal("all", sa.Text), assignments)


def _roster(segment: sa.ColumnElement[str], joined: sa.FromClause) -> sa.Subquery:
    kept = [assignments.c[name] for name in ("campaign", "wave", "unit", "customer", "stratum")]
    arm = sa.case((assignments.c.arm == HOLDOUT, HOLDOUT), else_=TREATED).label("arm")
    return sa.select(*kept, segment.label("segment"), arm).select_from(joined).subquery("roster")


def shared_segments(campaigns: Sequence[str]) -> sa.Select[Any]:
    """Segments in which a customer was drawn by more than one of the campaigns."""
    roster = regrouped()
    several = (
        sa.select(roster.c.segment)
        .where(roster.c.campaign.in_(campaigns))
        .group_by(roster.c.customer, roster.c.segment)
        .having(sa.func.count(roster.c.campaign.distinct()) > 1)
        .subquery("several")
    )
    return sa.select(several.c.segment).distinct()
