"""What was edited in a declaration since the launch. Compares texts and values, reads no store."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loyalty_exp.declare.features import ALL
from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import Campaign, Segments
from loyalty_exp.errors import LaunchError

__all__ = ["changes", "refuse_edited", "refuse_other_members"]


def changes(plan: FrozenPlan, campaign: Campaign, segments: Segments) -> tuple[str, ...]:
    """What the declaration says now that the frozen plan does not: one phrase a field."""
    rules = {name: segments.text(name) for name in plan.segments if name != ALL}
    frozen = {name: plan.segments[name] for name in rules}
    tiers = segments.tiers_of(campaign)
    return (
        *_differences("", plan.declaration, campaign.model_dump(mode="json")),
        *_differences("segments.", frozen, rules),
        *(_differences("segments.tiers.", _tiers(plan), tiers) if tiers else ()),
    )


def refuse_edited(plan: FrozenPlan, campaign: Campaign, segments: Segments) -> None:
    """Refuse to go on with a campaign whose declaration was edited after its launch.

    Raises:
        LaunchError: with every field that differs, frozen and now.
    """
    if changed := changes(plan, campaign, segments):
        raise LaunchError(
            f"{plan.campaign} was launched on the plan {plan.digest[:12]} and its declaration was "
            "edited since: " + "; ".join(changed) + ". The frozen plan stands; put the declaration "
            "back, or declare a new campaign"
        )


def refuse_other_members(
    campaign: Campaign, as_of: dt.date, segments: Segments, plans: Iterable[FrozenPlan]
) -> None:
    """Refuse a segment whose members at a date were kept by a launch under another rule.

    Args:
        campaign: about to be launched.
        as_of: date of its segments.
        segments: the rules of today.
        plans: waves launched before.

    Raises:
        LaunchError: with the segment, both rules, and what to do.
    """
    for name in (*campaign.segments, *campaign.exclude):
        for plan in plans:
            if plan.as_of != as_of or name not in plan.segments:
                continue
            then, now = {name: plan.segments[name]}, {name: segments.text(name)}
            differ = [*_differences("segments.", then, now)] if name != ALL else []
            if segments.reads_tiers(name):
                tiers = segments.tiers.model_dump(mode="json")
                differ += _differences("segments.tiers.", _tiers(plan), tiers)
            if differ:
                raise LaunchError(
                    f"who was in {name} on {as_of} was kept by the launch of {plan.campaign}, by "
                    "another rule: " + "; ".join(differ) + ". Declare a segment of another name "
                    "with the rule of today, or take the segments as_of another day"
                )


def _tiers(plan: FrozenPlan) -> Mapping[str, Any]:
    """Where gold and silver began; plans older than the field have what was the only rule."""
    return plan.tiers or Segments().tiers.model_dump(mode="json")


def _differences(path: str, frozen: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The fields that differ, those of inner tables one by one."""
    for field in sorted({*now, *frozen}):
        then, after = frozen.get(field), now.get(field)
        if isinstance(then, Mapping) and isinstance(after, Mapping):
            yield from _differences(f"{path}{field}.", then, after)
        elif then != after:
            yield f"{path}{field}: frozen {_as_declared(then)}, now {_as_declared(after)}"


def _as_declared(value: object) -> str:
    """A value as a declaration writes it; 'nothing' where there is none."""
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {_as_declared(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value, ensure_ascii=False)
