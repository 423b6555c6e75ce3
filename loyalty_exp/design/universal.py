"""The universal holdout as a campaign like any other: who is drawn, for how long, and when next.

Decides and refuses; draws nothing itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from loyalty_exp.declare.features import ALL
from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import HOLDOUT, Campaign, UniversalHoldout
from loyalty_exp.errors import LaunchError
from loyalty_exp.store.queries.draw import UNIVERSAL

__all__ = ["PROGRAMME", "UNIVERSAL", "not_drawn", "rotation", "universal_campaign"]

PROGRAMME = "programme"
"""The arm of all customers who may receive campaigns."""


def universal_campaign(universal: UniversalHoldout) -> Campaign:
    """The campaign that a universal holdout is: everybody, the whole programme against nothing.

    It is judged by revenue, over its whole period.
    """
    return Campaign(
        name="Universal holdout",
        hypothesis="The programme as a whole adds revenue",
        segments=(ALL,),
        lever="engagement",
        objective="revenue",
        start=universal.start,
        end=universal.end,
        measure_until=universal.end,
        arms={HOLDOUT: universal.percent, PROGRAMME: 100 - universal.percent},
    )


def rotation(universal: UniversalHoldout, kept: Sequence[FrozenPlan]) -> FrozenPlan | None:
    """The wave that the declared period was drawn as, or None when it is to be drawn now.

    A period that starts after the last one ended is a rotation: a new wave, with a new salt.

    Args:
        universal: the declaration.
        kept: waves drawn so far, in order.

    Raises:
        LaunchError: the declared period overlaps one that was drawn.
    """
    for plan in kept:
        if plan.start == universal.start:
            return plan
        if plan.start <= universal.end and plan.end >= universal.start:
            raise LaunchError(
                f"the universal holdout of {plan.start} to {plan.end} is drawn and stands until "
                f"its end; declare the next one to start on {plan.end + dt.timedelta(days=1)} or "
                "later"
            )
    return None


def not_drawn(
    universal: UniversalHoldout | None, start: dt.date, launched: Sequence[FrozenPlan]
) -> str:
    """Why a campaign must wait for the universal holdout; empty when it need not.

    Args:
        universal: the declaration, where there is one.
        start: first day of the campaign's wave.
        launched: every wave launched so far.
    """
    if universal is None or not universal.start <= start <= universal.end:
        return ""
    drawn = (plan for plan in launched if plan.campaign == UNIVERSAL)
    if any(plan.start <= start <= plan.end for plan in drawn):
        return ""
    return (
        f"it starts on {start}, within the universal holdout of {universal.start} to "
        f"{universal.end}, which is not drawn yet; run `loyalty-exp launch {UNIVERSAL}` first"
    )
