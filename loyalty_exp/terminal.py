"""Results as tables in a terminal. Formats only; what they say comes from the results."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loyalty_exp.design.lists import csv_style, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from loyalty_exp.compare.years import Comparison
    from loyalty_exp.design.forecast import ArmForecast, CampaignPlanReport
    from loyalty_exp.measure.results import CampaignResult, EffectRow
    from loyalty_exp.segment.membership import SegmentRow
    from loyalty_exp.segment.priorities import Priority
    from loyalty_exp.store.erase import PersonalData
    from loyalty_exp.store.journal import Entry
    from loyalty_exp.store.load import LoadReport

__all__ = [
    "comparison_table",
    "contact_file",
    "contact_table",
    "effect_table",
    "journal_table",
    "load_table",
    "person_file",
    "plan_json",
    "plan_table",
    "segment_table",
]


def load_table(reports: Sequence[LoadReport]) -> None:
    """Print what each source gave: read = loaded + set aside + ignored."""
    table = Table("source", "read", "loaded", "set aside", "ignored", "changed", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for report in reports:
        counts = (report.rows_read, report.rows_loaded, report.rows_rejected, report.rows_ignored)
        name = f"{report.what}: {report.source}"
        if report.skipped:
            table.add_row(f"{name} (loaded before, nothing changed)", *[""] * 5)
        else:
            table.add_row(name, *(f"{count:,}" for count in (*counts, report.changed)))
    console = _console()
    console.print(table)
    for report in reports:
        for why in report.reasons:
            console.print(
                f"  {report.source}: {why.rows:,} set aside, {why.field}: {why.reason} "
                f"(first in line {why.first_line:,})",
                markup=False,
            )
        for reason, count in report.ignored_reasons:
            console.print(f"  {report.source}: {count:,} ignored: {reason}", markup=False)
        for note in report.notes:
            console.print(f"  {report.source}: {note}", markup=False)
        for warning in report.warnings:
            console.print(f"  {report.source}: WARNING: {warning}", markup=False)


def segment_table(rows: Sequence[SegmentRow], currency: str, min_cell: int) -> None:
    """Print the sizes of the segments; those of fewer than `min_cell` customers are hidden."""
    names = ("segment", "customers", "active", f"revenue 12 m ({currency})", "orders", "share")
    table = Table(*names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        share = "" if row.share is None else f"{row.share:.1%}"
        whole = [row.customers, row.active, row.revenue_12m, row.orders_12m]
        cells = ["hidden" if figure is None else f"{figure:,.0f}" for figure in whole]
        table.add_row(escape(row.segment), *cells, share)
    _console().print(table)
    if any(row.customers is None for row in rows):
        _console().print(f"hidden: fewer than min_cell = {min_cell} customers, or next to such.")


def contact_table(found: Sequence[Priority], currency: str, language: str) -> None:
    """Print who to contact first, and why."""
    table = Table("", "customer", f"value at risk ({currency})", "why", box=None)
    table.columns[2].justify = "right"
    for row in found:
        why = row.reason_fr if language == "fr" else row.reason_en
        table.add_row(str(row.rank), row.customer, f"{row.value_at_risk:,.0f}", why)
    _console().print(table)


def contact_file(found: Sequence[Priority], path: Path, language: str) -> None:
    """Write who to contact first as a CSV that only its owner can read."""
    style = csv_style(language)
    header = ("rank", "customer_id", "value_at_risk", "chance_of_leaving", "why")
    rows = (
        (
            str(row.rank),
            row.customer,
            f"{row.value_at_risk:.2f}".replace(".", style.decimal),
            f"{row.chance_of_leaving:.3f}".replace(".", style.decimal),
            row.reason_fr if language == "fr" else row.reason_en,
        )
        for row in found
    )
    write_private(path, header, rows, style)


def person_file(found: PersonalData, path: Path) -> None:
    """Write what is held about a person into a file that only its owner can read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(found.to_json() + "\n")


def effect_table(result: CampaignResult) -> None:
    """Print the effects on the primary metric: each month, then cumulative, whole audience."""
    plan = result.plan
    console = _console()
    console.print(f"\n{plan.name} ({plan.campaign}), {plan.metric} per {plan.unit}", style="bold")
    if result.caveat:
        console.print(result.caveat)
    for deviation in result.deviations:
        console.print(f"edited after launch: {deviation}", markup=False)
    rows = [
        row
        for row in result.rows
        if row.metric == plan.metric and row.segment == "all" and row.wave == "all"
    ]
    if not rows:
        console.print("no month has begun yet")
        return
    names = ("month", "arm", "units", "mean", "against", "mean", "effect", "between", "relative")
    table = Table(*names, box=None)
    for place in (2, 3, 5, 6, 7, 8):
        table.columns[place].justify = "right"
    for row in rows:
        table.add_row(*_cells(row), style=None if row.closed else "dim")
    console.print(table)
    level = f"{rows[0].level:.0%}"
    console.print(
        f"Between: {level}, valid for all months and all looks together. "
        "A month in grey is still open."
    )
    for note in sorted({row.notes for row in rows if row.notes}):
        said = note.replace("not meaningful:", "relative effect not meaningful:")
        console.print(f"Note: {said}", markup=False)


def plan_table(report: CampaignPlanReport) -> None:
    """Print a plan: funnel, cost, what can be known of each arm, calendar, sentences."""
    console = _console()
    console.print(f"\n{report.name} ({report.campaign})", style="bold", markup=False)
    months = "month" if report.months == 1 else "months"
    console.print(
        f"{report.start} to {report.measure_until}, {report.months} whole {months}, "
        f"{report.metric} per {report.unit}; audience of {report.as_of}"
    )
    funnel = Table("step", report.unit, box=None)
    funnel.columns[1].justify = "right"
    for step, units in report.flow:
        funnel.add_row(step, f"{units:,}")
    console.print(funnel)
    costs = report.costs
    budget = "none declared" if costs.budget is None else f"{costs.budget:,.0f}"
    console.print(
        f"Cost ({report.currency}): fixed {costs.fixed:,.0f} + contacts {costs.contacts:,.0f} = "
        f"{costs.total:,.0f}; redemptions at most {costs.redemptions_at_most:,.0f}; budget {budget}"
    )
    if report.arms:
        console.print(_known_table(report))
    for sentence in report.sentences:
        console.print(sentence.text, markup=False)
    for warning in report.warnings:
        console.print(f"Warning: {warning.text}", markup=False, style="yellow")
    for note in (*report.notes, *([report.advice_reason] if report.advice_reason else [])):
        console.print(f"Note: {note}", markup=False, style="dim")
    if len(report.calendar) > 1:
        console.print(_calendar_table(report))


def plan_json(report: CampaignPlanReport) -> dict[str, Any]:
    """A plan as JSON types: what is not a finite number is null."""
    plain = _plain(asdict(report))
    assert isinstance(plain, dict)  # noqa: S101
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _known_table(report: CampaignPlanReport) -> Table:
    """What each arm costs and can teach, formula and replay side by side."""
    names = (
        "arm", "units", "holdout", "break-even", "", "detectable: formula", "replay",
        "false alarms", "coverage",
    )  # fmt: skip
    table = Table(*names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for arm in report.arms:
        table.add_row(*_known_cells(arm))
    return table


def _known_cells(arm: ArmForecast) -> tuple[str, ...]:
    replayed = ("not replayed", "", "")
    if arm.replay is not None:
        largest = f"over {arm.replay.effects[-1]:.0%}"
        replayed = (
            largest if arm.replay.mde_today is None else f"{arm.replay.mde_today:.1%}",
            f"{arm.replay.false_alarm_rate:.1%} of {arm.replay.draws:,}",
            f"{arm.replay.coverage[0]:.1%}",
        )
    even, relative, mde = arm.break_even, arm.break_even_relative, arm.mde_relative
    return (
        arm.arm,
        f"{arm.units:,}",
        f"{arm.holdout:,}",
        "not known" if even is None else f"{even:,.2f}",
        "" if relative is None else f"{relative:.1%}",
        "not known" if mde is None else f"{mde:.1%}",
        *replayed,
    )


def _calendar_table(report: CampaignPlanReport) -> Table:
    table = Table("campaign", "from", "to", "measured until", "priority", "segments", box=None)
    for entry in report.calendar:
        name = f"{entry.campaign} (launched)" if entry.launched else entry.campaign
        table.add_row(
            name,
            str(entry.start),
            str(entry.end),
            str(entry.measure_until),
            str(entry.priority),
            ", ".join(entry.segments),
            style="bold" if entry.campaign == report.campaign else None,
        )
    return table


def comparison_table(found: Comparison, currency: str) -> None:
    """Print year 2 against year 1: totals, the bridge of revenue, what was caused."""
    console = _console()
    words = [f"{w.start} to {w.end}" for w in (found.year1, found.year2)]
    console.print(f"{words[1]} against {words[0]}, {currency}", style="bold")
    totals = Table("", *words, "change", box=None)
    for name in ("revenue", "margin", "customers", "orders"):
        one, two = getattr(found.totals, name)
        places = 0 if name in {"customers", "orders"} else 2
        figures = (f"{one:,.{places}f}", f"{two:,.{places}f}", f"{two - one:+,.{places}f}")
        totals.add_row(name, *figures)
    console.print(totals)
    steps = ("lost", "new", "reactivated", "frequency", "basket")
    amounts = {(row.segment, row.component): row.amount for row in found.bridge}
    bridge = Table("bridge by segment of year 1", *steps, "caused by campaigns", box=None)
    for table in (totals, bridge):
        for column in table.columns[1:]:
            column.justify = "right"
    for row in found.causes:
        parts = [f"{amounts.get((row.segment, step), 0.0):+,.0f}" for step in steps]
        caused = "not known"
        if row.caused is not None:
            caused = (
                f"{row.caused:+,.0f} ({row.caused_ci_lower:+,.0f} to {row.caused_ci_upper:+,.0f})"
            )
        bridge.add_row(row.segment, *parts, caused)
    console.print(bridge)
    for note in found.notes:
        console.print(f"Note: {note}", markup=False)


def journal_table(entries: Sequence[Entry]) -> None:
    """Print the journal."""
    table = Table("ended (UTC)", "account", "command", "arguments", "version", "outcome", box=None)
    for entry in entries:
        given = ", ".join(f"{name}={value}" for name, value in entry.arguments.items())
        at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(at, entry.actor, entry.command, escape(given), entry.version, entry.outcome)
    _console().print(table)


def _cells(row: EffectRow) -> tuple[str, ...]:
    relative = "" if row.relative_effect is None else f"{row.relative_effect:+.1%}"
    low, high = row.simultaneous_ci_lower, row.simultaneous_ci_upper
    between = "not estimable" if low is None else f"{low:+,.2f} and {high:+,.2f}"
    return (
        row.month if row.closed else f"{row.month} open",
        row.arm,
        f"{row.n_treated:,}",
        _number(row.mean_treated),
        f"{row.against} ({row.n_holdout:,})",
        _number(row.mean_holdout),
        _number(row.effect_per_customer, "+"),
        between,
        relative,
    )


def _number(value: float | None, sign: str = "") -> str:
    return "not estimable" if value is None else f"{value:{sign},.2f}"


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 140)
