"""Results as tables in a terminal. Formats only; what they say comes from the results."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loyalty_exp.design.lists import csv_style, write_private
from loyalty_exp.report.indicators import (
    change_text,
    few,
    figure_text,
    indicator_name,
    segment_label,
)
from loyalty_exp.report.parts import said, sentence
from loyalty_exp.report.refusals import told
from loyalty_exp.report.words import arm_name, segment_name

if TYPE_CHECKING:
    from pathlib import Path

    from loyalty_exp.design.forecast import CampaignPlanReport
    from loyalty_exp.project import Launched
    from loyalty_exp.report.tongue import Tongue
    from loyalty_exp.report.views import Page, Section
    from loyalty_exp.report.views import Table as TableView
    from loyalty_exp.segment.membership import SegmentRow
    from loyalty_exp.segment.priorities import Priority
    from loyalty_exp.segment.worth import Worth
    from loyalty_exp.store.erase import PersonalData
    from loyalty_exp.store.journal import Entry
    from loyalty_exp.store.load import LoadReport

__all__ = [
    "contact_file",
    "contact_table",
    "journal_table",
    "kpi_table",
    "labelled",
    "launch_text",
    "load_table",
    "open_console",
    "page_text",
    "person_file",
    "plain_json",
    "segment_table",
]


def load_table(t: Tongue, reports: Sequence[LoadReport]) -> None:
    """Print what each source gave: read = loaded + set aside + ignored."""
    _ = t.gettext
    names = _("source"), _("read"), _("loaded"), _("set aside"), _("ignored"), _("changed")
    table = Table(*names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for report in reports:
        what = {"what": _(report.what), "source": escape(report.source)}
        if report.skipped:
            text = _("%(what)s: %(source)s (loaded before, nothing changed)")
            table.add_row(text % what, *[""] * 5)
        else:
            counts = report.rows_read, report.rows_loaded, report.rows_rejected, report.rows_ignored
            name = labelled(t, what["what"], what["source"])
            table.add_row(name, *(t.number(count) for count in (*counts, report.changed)))
    console = open_console()
    console.print(table)
    for report in reports:
        for text in _remarks(t, report):
            console.print(f"  {text}", markup=False)


def _remarks(t: Tongue, report: LoadReport) -> Iterator[str]:
    """What was set aside or ignored of a source and why, and what to know of it."""
    _, source = t.gettext, report.source
    for why in report.reasons:
        text = _("%(source)s: %(rows)s set aside, %(field)s: %(reason)s (first in line %(line)s)")
        yield text % {
            "source": source,
            "rows": t.number(why.rows),
            "field": why.field,
            "reason": told(t, why.reason),
            "line": t.number(why.first_line),
        }
    for reason, count in report.ignored_reasons:
        text = _("%(source)s: %(rows)s ignored: %(reason)s")
        yield text % {"source": source, "rows": t.number(count), "reason": told(t, reason)}
    for note in report.notes:
        yield labelled(t, source, told(t, note))
    for warning in report.warnings:
        text = _("%(source)s: WARNING: %(text)s")
        yield text % {"source": source, "text": told(t, warning)}


def segment_table(t: Tongue, rows: Sequence[SegmentRow], min_cell: int) -> None:
    """Print the sizes of the segments; those of fewer than `min_cell` customers are hidden."""
    _ = t.gettext
    revenue = _("Revenue of 12 months")
    names = _("Segment"), _("Customers"), _("Active"), revenue, _("Orders"), _("Share of revenue")
    table = Table(*names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        label = segment_name(t, row.segment)
        if row.customers is None:
            table.add_row(escape(label), *[_("hidden")] * 4, "")
            continue
        revenue = t.money(row.revenue_12m, step=1.0)
        counts = [t.number(row.customers), t.number(row.active), revenue, t.number(row.orders_12m)]
        share = "" if row.share is None else t.percent(row.share)
        table.add_row(escape(label), *counts, share)
    open_console().print(table)
    if any(row.customers is None for row in rows):
        text = _("hidden: fewer than %(n)s customers, or next to such a group (min_cell)")
        open_console().print(text % {"n": t.number(min_cell)})


def contact_table(t: Tongue, found: Sequence[Priority]) -> None:
    """Print who to contact first, and why."""
    _ = t.gettext
    table = Table("", _("Customer"), _("Value at risk"), _("Why"), box=None)
    table.columns[2].justify = "right"
    for row in found:
        why = row.reason_fr if t.language == "fr" else row.reason_en
        table.add_row(str(row.rank), row.customer, t.money(row.value_at_risk, step=1.0), why)
    open_console().print(table)
    if not found:
        open_console().print(_("Nobody is later than usual with an order."))


def kpi_table(t: Tongue, found: Mapping[str, Any], segment: str) -> None:
    """Print the KPIs of a segment in both years, then their definitions."""
    _ = t.gettext
    rows = {row["year"]: row for row in found["kpis_by_year"] if row["segment"] == segment}
    periods = [found["periods"][year] for year in ("year1", "year2")]
    words = [f"{t.date(period['start'])} – {t.date(period['end'])}" for period in periods]
    console = open_console()
    console.print(segment_label(t, found, segment), style="bold", markup=False)
    table = Table(_("Indicator"), *words, _("Change"), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in found["definitions"]:
        values = [rows[year][name] for year in ("year1", "year2")]
        hidden = [few(t, found, rows[year]) if "few" in rows[year] else "" for year in rows]
        cells = [hide or figure_text(t, name, v) for hide, v in zip(hidden, values, strict=True)]
        change = None if None in values else values[1] - values[0]
        table.add_row(indicator_name(t, name), *cells, change_text(t, name, change))
    console.print(table)
    for name, definition in found["definitions"].items():
        told = labelled(t, indicator_name(t, name), definition[t.language])
        console.print(told, markup=False, style="dim")
    for note in found["notes"]:
        console.print(said(t, note), markup=False)


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


def page_text(t: Tongue, page: Page, *, figures: bool = False) -> None:
    """Print a page without its charts: what it says, its tables, its steps.

    Args:
        t: the page's language.
        page: the page.
        figures: whether the tables behind the charts are printed too.
    """
    console = open_console()
    console.print(f"\n{page.heading}", style="bold", markup=False)
    about = ". ".join(text for text in (page.eyebrow, page.standfirst) if text)
    console.print(about, markup=False, style="dim")
    for verdict in page.verdicts:
        console.print(verdict.text, markup=False)
    for figure in page.key_figures:
        about = " · ".join(text for text in (figure.interval, figure.detail) if text)
        value = f"{figure.value} ({about})" if about else figure.value
        console.print(f"  {labelled(t, figure.label, value)}", markup=False)
    for section in page.sections:
        _section_text(t, console, section, figures=figures)


def _section_text(t: Tongue, console: Console, section: Section, *, figures: bool) -> None:
    console.print(f"\n{section.title}", style="bold", markup=False)
    for text in (*section.actions, *section.paragraphs, *section.asides):
        console.print(text, markup=False)
    for step in section.flow:
        share = f"  {step.share_text}" if step.share_text else ""
        text = labelled(t, step.label, f"{step.count}{share}")
        console.print(f"{'  ' * step.level}{text}", markup=False)
    for chart in section.figures if figures else ():
        if chart.table is not None:
            console.print(f"{chart.title}. {chart.subtitle}", markup=False, style="italic")
            console.print(_as_text(chart.table))
    for table in section.tables:
        console.print(_as_text(table))
    for fold in section.folds:
        for text in fold.paragraphs:
            console.print(text, markup=False, style="dim")


def _as_text(view: TableView) -> Table:
    """A table of a page."""
    table = Table(box=None)
    for column in view.columns:
        unit = f" ({column.unit})" if column.unit else ""
        table.add_column(f"{column.label}{unit}", justify="right" if column.numeric else "left")
    for row in view.rows:
        cells = [escape(cell.text) for cell in row.cells]
        table.add_row(*cells, style="bold" if row.tone == "total" else None)
    return table


def labelled(t: Tongue, label: str, value: str) -> str:
    """A label and what it is of, with the colon of the language."""
    return t.gettext("%(label)s: %(value)s") % {"label": label, "value": value}


def launch_text(t: Tongue, launched: Launched) -> None:
    """Say what a launch drew, which lists it wrote, and what to know before anything is sent."""
    _, plan = t.gettext, launched.plan
    console = open_console()
    if not launched.new:
        console.print(_("Launched before: nothing was changed."))
    wave = _("%(campaign)s, wave %(wave)s, plan %(digest)s")
    values = {"campaign": plan.campaign, "wave": plan.wave, "digest": plan.digest}
    console.print(wave % values, markup=False)
    drawn = t.number(sum(row.units for row in plan.strata))
    for arm in plan.arms:
        values = {"units": t.number(plan.units_of(arm)), "all": drawn}
        told = _("%(units)s of %(all)s") % values
        console.print(f"  {labelled(t, arm_name(t, arm), told)}", markup=False)
    for path in launched.lists:
        console.print(str(path), markup=False, soft_wrap=True)
    for note in launched.notes:
        Console(stderr=True).print(
            _("Note: %(text)s") % {"text": sentence(said(t, note))}, markup=False, soft_wrap=True
        )


def plain_json(found: CampaignPlanReport | Worth) -> dict[str, Any]:
    """A plan or a lifetime value as JSON types: what is not a finite number is null."""
    plain = _plain(asdict(found))
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


def journal_table(t: Tongue, entries: Sequence[Entry]) -> None:
    """Print the journal."""
    _ = t.gettext
    names = _("ended (UTC)"), _("account"), _("command"), _("arguments"), _("version"), _("outcome")
    table = Table(*names, box=None)
    for entry in entries:
        given = ", ".join(f"{name}={value}" for name, value in entry.arguments.items())
        at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(at, entry.actor, entry.command, escape(given), entry.version, entry.outcome)
    open_console().print(table)


def open_console() -> Console:
    """The terminal; where there is none, wide enough for a table."""
    return Console(width=None if Console().is_terminal else 140)
