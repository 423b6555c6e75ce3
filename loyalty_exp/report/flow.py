"""From the segment to the customers reached: a funnel of numbers. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.report.metrics import metric_phrase, so_far
from loyalty_exp.report.parts import notes_of, of_arm, waves
from loyalty_exp.report.views import Section, Step
from loyalty_exp.report.words import arm_name, segment_name

if TYPE_CHECKING:
    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["flow_note", "flow_section", "flow_steps"]

_HIGHER = "in a campaign of higher priority"
"""The one reason that begins like the name of a segment."""


def flow_section(t: Tongue, result: CampaignResult) -> Section:
    """From the segment to the customers reached: numbers, and what reaching one is worth."""
    _ = t.gettext
    flow = result.flow or result.plan.flow
    paragraphs = tuple(
        text for text in (_reached_sentence(t, result, arm) for arm in result.arms) if text
    )
    notes = notes_of(t, *(arm.reached_notes for arm in result.arms))
    title = _("From the segment to the customers reached")
    if waves(result) > 1:
        notes = (_("The first wave alone: the others were drawn the same way."), *notes)
    return Section(
        "flow", title, paragraphs, flow=flow_steps(t, flow), asides=(flow_note(t), *notes)
    )


def flow_note(t: Tongue) -> str:
    """What the shares of the flow are shares of."""
    return t.gettext(
        "Percentages are of all customers in the segments; those reached, of their version."
    )


def flow_steps(t: Tongue, flow: tuple[tuple[str, int], ...]) -> tuple[Step, ...]:
    """The flow's steps with their share of the first one; in words, of their version if reached."""
    flow = _reached_after_arm(flow)
    first = next((count for _step, count in flow if count), 0)
    arms = {step.partition(": ")[2]: count for step, count in flow if step.startswith("arm: ")}
    steps = []
    for step, count in flow:
        kind, _colon, rest = step.partition(": ")
        base = arms.get(rest, first) if kind == "reached" else first
        level = {"excluded": 1, "arm": 1, "reached": 2}.get(kind, 0)
        share = count / first if first else None
        text = t.percent(count / base, 0) if base else ""
        steps.append(Step(_step_name(t, kind, rest), t.number(count), share, text, level))
    return tuple(steps)


def _reached_after_arm(flow: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """The steps with those reached right after their arm."""
    reached = {step.partition(": ")[2]: (step, n) for step, n in flow if step.startswith("reached")}
    ordered = []
    for step, count in flow:
        if not step.startswith("reached"):
            ordered.append((step, count))
            kind, _colon, arm = step.partition(": ")
            if kind == "arm" and arm in reached:
                ordered.append(reached.pop(arm))
    return (*ordered, *reached.values())


def _step_name(t: Tongue, kind: str, rest: str) -> str:
    _ = t.gettext
    known = {
        "segment": _("In the segments"),
        "eligible": _("Drawn"),
        "excluded": _("left aside: %(what)s"),
        "arm": "%(what)s",
        "reached": _("of whom reached"),
    }
    what = arm_name(t, rest) if kind in ("arm", "reached") else t.gettext(rest)
    if kind == "excluded" and rest.startswith("in ") and rest != _HIGHER:
        what = _("in “%(segment)s”") % {"segment": segment_name(t, rest.removeprefix("in "))}
    return known.get(kind, t.gettext(kind)) % {"what": what} if rest else known.get(kind, kind)


def _reached_sentence(t: Tongue, result: CampaignResult, arm: ArmResult) -> str:
    _ = t.gettext
    effect = arm.reached
    if effect is None:
        return ""
    if effect.value is None or effect.lower is None or effect.upper is None:
        return of_arm(
            t,
            result,
            arm,
            _("The effect on those reached cannot be told apart: see the effect on all."),
        )
    metric = so_far(result.plan.metric)
    low, high = (metric_phrase(t, metric, value) for value in (effect.lower, effect.upper))
    text = _("Per customer actually reached, the effect is %(effect)s (%(interval)s).") % {
        "effect": metric_phrase(t, metric, effect.value),
        "interval": t.between(low, high),
    }
    return of_arm(t, result, arm, text)
