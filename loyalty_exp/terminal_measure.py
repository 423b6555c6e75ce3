"""Draws again and effects in a terminal. Formats only; what they say comes from the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from loyalty_exp.measure.results import CheckStatus
from loyalty_exp.report.checks import check_sentences
from loyalty_exp.report.metrics import metric_name, metric_text, so_far
from loyalty_exp.report.parts import said
from loyalty_exp.report.refusals import told
from loyalty_exp.report.words import arm_name
from loyalty_exp.terminal import labelled, open_console

if TYPE_CHECKING:
    from loyalty_exp.design.draw import Verification
    from loyalty_exp.measure.results import CampaignResult, EffectRow
    from loyalty_exp.report.tongue import Tongue

_TROUBLED = (CheckStatus.WARNING, CheckStatus.FAILED)

__all__ = ["effect_table", "verification_text"]


def verification_text(t: Tongue, found: Sequence[Verification]) -> None:
    """Print whether each wave, drawn again, is what the store holds; and what differs."""
    _, console = t.gettext, open_console()
    for result in found:
        if result.problems:
            text = _("%(campaign)s, wave %(wave)s: %(units)s units, plan %(digest)s: DIFFERS")
        else:
            text = _("%(campaign)s, wave %(wave)s: %(units)s units, plan %(digest)s: agrees")
        values = {
            "campaign": result.campaign,
            "wave": result.wave,
            "units": t.number(result.units),
            "digest": result.digest[:12],
        }
        console.print(text % values, markup=False)
        for problem in result.problems:
            console.print(f"  {told(t, problem)}", markup=False)


def effect_table(t: Tongue, result: CampaignResult) -> None:
    """Print the effects on the primary metric: each month, then cumulative, whole audience."""
    _, plan = t.gettext, result.plan
    console = open_console()
    head = f"\n{plan.name} ({plan.campaign}), {_measured(t, result)}"
    console.print(head, style="bold", markup=False)
    if result.caveat:
        console.print(_(result.caveat), markup=False)
    for deviation in result.deviations:
        text = _("edited after launch: %(change)s")
        console.print(text % {"change": told(t, deviation)}, markup=False)
    rows = [
        row
        for row in result.rows
        if row.metric == plan.metric and row.segment == "all" and row.wave == "all"
    ]
    if not rows:
        console.print(_("no month has begun yet"))
    else:
        _print_effects(t, rows)
    for check in check_sentences(t, [each for each in result.checks if each.status in _TROUBLED]):
        label = labelled(t, check.label, check.title)
        console.print(f"{label}. {check.text} {check.advice}", markup=False)


def _measured(t: Tongue, result: CampaignResult) -> str:
    """What the rows count, and of whom."""
    plan = result.plan
    metric = metric_name(t, plan.metric)
    unit = t.gettext("customer") if plan.unit == "customer_id" else plan.unit
    if plan.metric == "active":
        return t.gettext("%(metric)s, in %%; drawn by %(unit)s") % {"metric": metric, "unit": unit}
    return t.gettext("%(metric)s per %(unit)s") % {"metric": metric, "unit": unit}


def _print_effects(t: Tongue, rows: Sequence[EffectRow]) -> None:
    _, console = t.gettext, open_console()
    names = (
        _("month"), _("arm"), _("units"), _("mean"), _("against"), _("mean"), _("effect"),
        _("between"), _("relative"),
    )  # fmt: skip
    table = Table(*names, box=None)
    for place in (2, 3, 5, 6, 7, 8):
        table.columns[place].justify = "right"
    for row in rows:
        table.add_row(*_cells(t, row), style=None if row.closed else "dim")
    console.print(table)
    text = _(
        "Between: %(level)s, valid for all months and all looks together. A month in grey is still "
        "open."
    )
    console.print(text % {"level": t.percent(rows[0].level, 0)}, markup=False)
    for note in sorted({part for row in rows for part in row.notes.split("; ") if part}):
        text = said(t, note)
        if note.startswith("not meaningful:"):
            text = _("relative effect %(text)s") % {"text": text}
        console.print(_("Note: %(text)s") % {"text": text}, markup=False)


def _cells(t: Tongue, row: EffectRow) -> tuple[str, ...]:
    _ = t.gettext
    metric = so_far(row.metric) if row.month == "cumulative" else row.metric

    def figure(value: float | None, *, signed: bool = False) -> str:
        return _("not estimable") if value is None else metric_text(t, metric, value, signed=signed)

    month = row.month if row.closed else _("%(month)s open") % {"month": row.month}
    limits = {"lower": row.simultaneous_ci_lower, "upper": row.simultaneous_ci_upper}
    between = _("%(lower)s and %(upper)s") % {
        name: figure(limit, signed=True) for name, limit in limits.items()
    }
    return (
        _("cumulative") if row.month == "cumulative" else month,
        escape(arm_name(t, row.arm)),
        t.number(row.n_treated),
        figure(row.mean_treated),
        f"{escape(arm_name(t, row.against))} ({t.number(row.n_holdout)})",
        figure(row.mean_holdout),
        figure(row.effect_per_customer, signed=True),
        _("not estimable") if None in limits.values() else between,
        "" if row.relative_effect is None else t.percent(row.relative_effect, signed=True),
    )
