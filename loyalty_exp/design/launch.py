"""The launch of a campaign: which wave stands, the next one to draw, and what to know of it.

Works in the caller's transaction; writes no list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import Campaign, Declaration
from loyalty_exp.design.audience import FeatureQuery
from loyalty_exp.design.draw import NobodyEligibleError, draw_wave
from loyalty_exp.design.edits import refuse_edited, refuse_other_members
from loyalty_exp.design.elsewhere import freeze_split
from loyalty_exp.design.universal import not_drawn, rotation
from loyalty_exp.errors import LaunchError
from loyalty_exp.store.queries.draw import UNIVERSAL

__all__ = ["Launch", "to_know"]

KeepMembers = Callable[[sa.Connection, Sequence[str], dt.date], Mapping[str, str]]
"""Keeps the memberships of segments at a date and gives their rules as text."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A campaign about to be launched, beside what was launched before it."""

    campaign_id: str
    campaign: Campaign
    declaration: Declaration
    plans: Sequence[FrozenPlan]
    """every wave launched before, of all campaigns"""
    data_through: dt.date
    """last day of data"""

    @property
    def kept(self) -> list[FrozenPlan]:
        """Waves of this campaign, in order."""
        return [plan for plan in self.plans if plan.campaign == self.campaign_id]

    def standing(self) -> FrozenPlan | None:
        """The wave that stands and needs no draw; None when one is to be drawn.

        Raises:
            LaunchError: the declaration changed since the launch.
        """
        kept, universal = self.kept, self.declaration.universal_holdout
        found = kept[0] if kept else None
        if self.campaign_id == UNIVERSAL and universal is not None:
            found = rotation(universal, kept)
        if found is not None:
            refuse_edited(found, self.campaign, self.declaration.segments)
        return None if self.campaign.enrolment == "rolling" else found

    def draw(
        self,
        connection: sa.Connection,
        on: dt.date | None,
        *,
        keep: KeepMembers,
        features: FeatureQuery,
        base: Path,
        version: str,
    ) -> FrozenPlan:
        """Draw a new wave; of a rolling campaign without anybody new, give the last one.

        Args:
            connection: the transaction of the launch.
            on: first day of a further wave; the day after the data end if None.
            keep: keeps the memberships that the wave rests on.
            features: customer features at a date.
            base: folder of the declaration, for a split drawn elsewhere.
            version: of this package.

        Raises:
            LaunchError: nobody is eligible, enrolment is over, the universal holdout must be drawn
                first, or a segment was kept at the same date under another rule.
        """
        campaign, kept = self.campaign, self.kept
        later = bool(kept) and campaign.enrolment == "rolling"
        start = (on or self.data_through + dt.timedelta(days=1)) if later else campaign.start
        as_of = start - dt.timedelta(days=1) if later else campaign.as_of
        if later and start > campaign.end:
            raise LaunchError(
                f"{self.campaign_id} enrols until {campaign.end}; {start} is too late"
            )
        universal = None if self.campaign_id == UNIVERSAL else self.declaration.universal_holdout
        if waiting := not_drawn(universal, start, self.plans):
            raise LaunchError(f"{self.campaign_id}: {waiting}")
        segments = self.declaration.segments
        refuse_other_members(campaign, as_of, segments, self.plans)
        given: dict[str, Any] = {
            "project": self.declaration.project,
            "tiers": segments.tiers_of(campaign),
            "known_through": self.data_through,
            "rules": keep(connection, (*campaign.segments, *campaign.exclude), as_of),
            "now": dt.datetime.now(dt.UTC).replace(tzinfo=None),
            "version": version,
        }
        if campaign.assignment is not None:
            return freeze_split(connection, self.campaign_id, campaign, base=base, **given)
        given |= {"wave": len(kept), "start": start, "as_of": as_of, "features": features}
        try:
            return draw_wave(connection, self.campaign_id, campaign, **given)
        except NobodyEligibleError:
            if not later:
                raise
            return kept[-1]


def to_know(plan: FrozenPlan, before: Sequence[FrozenPlan], through: dt.date) -> tuple[str, ...]:
    """What the person who launches should know of the audience, before anything is sent.

    Args:
        plan: the wave just drawn.
        before: plans launched earlier.
        through: last day of data.
    """
    drawn_here = not plan.declaration.get("assignment")
    notes = []
    if plan.as_of > through and drawn_here:
        notes.append(
            f"orders are known up to {through}, the audience is that of {plan.as_of}: "
            "whoever orders in between is not seen"
        )
    if plan.start <= through and drawn_here:
        notes.append(
            f"it starts on {plan.start}, but orders up to {through} are known already: a draw made "
            "now shows chance only for the days before it"
        )
    running = {
        other.campaign
        for other in before
        if other.campaign != plan.campaign and other.end >= plan.start
    }
    if plan.campaign == UNIVERSAL and running:
        notes.append(
            f"launched earlier and still running: {', '.join(sorted(running))}; take the customers "
            "of this do-not-contact list off their lists as well"
        )
    return tuple(notes)
