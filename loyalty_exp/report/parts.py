"""Small pieces shared by the pages: cells, selections of rows, notes. No page of its own."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import VerdictKind
from loyalty_exp.report.metrics import metric_name, metric_text
from loyalty_exp.report.sayings import PATTERNS
from loyalty_exp.report.views import Cell
from loyalty_exp.report.words import arm_name

if TYPE_CHECKING:
    from loyalty_exp.measure.results import ArmResult, CampaignResult, EffectRow, Estimate
    from loyalty_exp.report.tongue import Tongue

__all__ = [
    "by_month",
    "cumulative",
    "drawn_elsewhere",
    "effect_cells",
    "estimate_cells",
    "finding_of",
    "headline_interval",
    "money_cell",
    "named",
    "notes_of",
    "of_arm",
    "panel_title",
    "relative_cell",
    "said",
    "sentence",
    "titled_arms",
    "units_of",
    "waves",
]

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def money_cell(t: Tongue, value: float | None, *, signed: bool = False) -> Cell:
    """An exact amount, in a column whose unit is the currency; gain and loss toned when signed."""
    tone = ""
    if signed and value:
        tone = "gain" if value > 0 else "loss"
    return Cell(t.number(value, 2, signed=signed), value, tone=tone)


def estimate_cells(t: Tongue, estimate: Estimate) -> tuple[Cell, Cell, Cell]:
    """An amount and its two limits, exact."""
    return (
        money_cell(t, estimate.value),
        money_cell(t, estimate.lower),
        money_cell(t, estimate.upper),
    )


def by_month(result: CampaignResult, arm: str, segment: str = "all") -> list[EffectRow]:
    """Monthly rows of an arm against the holdout on the primary metric, in the order of time."""
    rows = [row for row in _primary(result, arm, segment) if row.month != "cumulative"]
    return sorted(rows, key=lambda row: row.month)


def cumulative(result: CampaignResult, arm: str, segment: str = "all") -> EffectRow | None:
    """The cumulative row of an arm against the holdout on the primary metric, if there is one."""
    rows = (row for row in _primary(result, arm, segment) if row.month == "cumulative")
    return next(rows, None)


def _primary(result: CampaignResult, arm: str, segment: str) -> Iterable[EffectRow]:
    plan = result.plan
    return (
        row
        for row in result.rows
        if row.arm == arm
        and row.segment == segment
        and row.wave == "all"
        and row.metric == plan.metric
        and row.against == plan.holdout
    )


def units_of(result: CampaignResult, arm: str) -> int:
    """Customers of an arm in all waves."""
    if arm == result.plan.holdout:
        return result.arms[0].n_holdout if result.arms else result.plan.units_of(arm)
    return next((one.n_treated for one in result.arms if one.arm == arm), 0)


def waves(result: CampaignResult) -> int:
    """How many waves the campaign was drawn in."""
    return max(1, len({row.wave for row in result.rows} - {"all"}))


def drawn_elsewhere(result: CampaignResult) -> bool:
    """Whether the arms were not drawn by the launch but handed to it."""
    return result.plan.declaration.get("assignment") is not None


def headline_interval(row: EffectRow) -> tuple[float | None, float | None]:
    """The interval to quote: valid at every look where there is one, else the row's own."""
    if row.simultaneous_ci_lower is not None and row.simultaneous_ci_upper is not None:
        return row.simultaneous_ci_lower, row.simultaneous_ci_upper
    return row.ci_lower, row.ci_upper


def relative_cell(t: Tongue, row: EffectRow) -> Cell:
    """The effect over the holdout's average and its range at this reading alone."""
    figures = (row.relative_effect, row.relative_ci_lower, row.relative_ci_upper)
    text, low, high = (t.percent(figure, signed=True) for figure in figures)
    if row.relative_ci_lower is not None and row.relative_ci_upper is not None:
        text = f"{text} ({low} … {high})"
    return Cell(text, row.relative_effect)


def effect_cells(t: Tongue, row: EffectRow) -> tuple[Cell, ...]:
    """Means of both sides, the effect, its simultaneous limits, its own limits."""
    figures = (
        (row.mean_treated, False),
        (row.mean_holdout, False),
        (row.effect_per_customer, True),
        (row.simultaneous_ci_lower, True),
        (row.simultaneous_ci_upper, True),
        (row.ci_lower, True),
        (row.ci_upper, True),
    )
    return tuple(
        Cell(metric_text(t, row.metric, value, signed=signed), value) for value, signed in figures
    )


def of_arm(t: Tongue, result: CampaignResult, arm: ArmResult, text: str) -> str:
    """A sentence about an arm, with its name in front when there are several."""
    return text if len(result.arms) == 1 else named(t, arm.arm, text)


def named(t: Tongue, arm: str, text: str) -> str:
    """A text after the name of its arm; what was its first word no longer begins a sentence."""
    if len(text) > 1 and not text[1].isupper():
        text = text[0].lower() + text[1:]
    return t.gettext("“%(arm)s”: %(text)s") % {"arm": arm_name(t, arm), "text": text}


def titled_arms(t: Tongue, findings: Sequence[tuple[ArmResult, str]]) -> str:
    """Findings of several arms as one title, a line each; said once where they agree."""
    if len({finding for _arm, finding in findings}) == 1:
        return findings[0][1]
    return "\n".join(named(t, arm.arm, finding) for arm, finding in findings)


def finding_of(t: Tongue, arm: ArmResult, finding: str) -> str:
    """A finding as a title may say it: never as if it held while the verdict is suspended."""
    if arm.verdict.kind is not VerdictKind.SUSPENDED:
        return finding
    text = t.gettext("Suspended, not to be used: %(finding)s")
    return text % {"finding": finding[:1].lower() + finding[1:]}


def panel_title(t: Tongue, result: CampaignResult, arm: ArmResult) -> str:
    """The title of an arm's panel; none when it is alone."""
    return arm_name(t, arm.arm) if len(result.arms) > 1 else ""


def notes_of(t: Tongue, *groups: Iterable[str]) -> tuple[str, ...]:
    """Notes of results as sentences in the page's language, each once, in their order."""
    notes = [part for group in groups for note in group for part in note.split("; ")]
    return tuple(sentence(said(t, note)) for note in dict.fromkeys(notes) if note)


def said(t: Tongue, remark: str) -> str:
    """A remark of another part of the package in the page's language, its figures kept."""
    for message in PATTERNS:
        found = _pattern(message).fullmatch(remark)
        if found is not None:
            figures = {name: _said(t, name, text) for name, text in found.groupdict().items()}
            return t.gettext(message) % figures
    return t.gettext(remark)


def _said(t: Tongue, name: str, text: str) -> str:
    """A figure of a remark, as the page's language writes it."""
    if name == "metric":
        return metric_name(t, text)
    if _DAY.fullmatch(text):
        return t.date(dt.date.fromisoformat(text))
    return t.gettext(text)


@cache
def _pattern(message: str) -> re.Pattern[str]:
    """What a message with places for figures looks like once they are filled in."""
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(message)))


def sentence(text: str) -> str:
    """A remark as a sentence: a capital first, a full stop last."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
