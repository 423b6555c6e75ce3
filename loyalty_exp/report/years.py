"""Year 2 against year 1, from the object that `compare` gives as a dictionary. Draws no markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.measure.results import Estimate
from loyalty_exp.report.cohorts import cohorts_section
from loyalty_exp.report.indicators import figure_text, segment_label
from loyalty_exp.report.moves import moves_section, segments_section
from loyalty_exp.report.parts import money_cell, said, sentence
from loyalty_exp.report.portfolio import indicators_sections
from loyalty_exp.report.rowcharts import WaterfallRow, waterfall
from loyalty_exp.report.tongue import step_for
from loyalty_exp.report.views import (
    Cell,
    Column,
    Figure,
    Foot,
    KeyFigure,
    Notice,
    Page,
    Row,
    Section,
    Table,
    VerdictLine,
)
from loyalty_exp.report.words import interval

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["causes_section", "years_page"]

NO_HOLDOUT = "no holdout was kept in this segment"
_TOLD, _TOLD_IN_BRIEF = 5, 2
_COMPONENTS = ("lost", "new", "reactivated", "frequency", "basket")


def years_page(
    t: Tongue,
    years: Mapping[str, Any],
    project: str,
    foot: Foot,
    notices: tuple[Notice, ...] = (),
) -> Page:
    """The year-over-year page.

    Args:
        t: The page's language.
        years: `periods`, `totals`, `segments`, `bridge`, `moves`, `causes`, as
            `compare --format json` gives them, and where there are some the further keys of
            `compare.pages.page_data`. A figure that is None tells of too few customers.
        project: Name of the project.
        foot: Provenance.
        notices: What must be known of the data.
    """
    _ = t.gettext
    sections = (
        causes_section(t, years),
        *indicators_sections(t, years),
        _bridge_section(t, years),
        segments_section(t, years),
        moves_section(t, years),
        cohorts_section(t, years),
    )
    return Page(
        name="years.html",
        kind="years",
        language=t.language,
        title=_("Year over year · %(project)s") % {"project": project},
        eyebrow=f"{project} · {_periods(t, years)}",
        heading=_("This year against last year"),
        standfirst="",
        notices=notices,
        verdicts=_verdict(t, years),
        key_figures=_key_figures(t, years),
        explained=_(
            "What the campaigns caused is known only where customers were left out on purpose; "
            "everything else is what happened, not what we did."
        ),
        sections=tuple(section for section in sections if section is not None),
        foot=foot,
    )


def _day(value: object) -> dt.date:
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def _periods(t: Tongue, years: Mapping[str, Any]) -> str:
    first, second = years["periods"]["year1"], years["periods"]["year2"]
    return t.gettext("%(start2)s to %(end2)s against %(start1)s to %(end1)s") % {
        "start1": t.date(_day(first["start"])),
        "end1": t.date(_day(first["end"])),
        "start2": t.date(_day(second["start"])),
        "end2": t.date(_day(second["end"])),
    }


def _totals(years: Mapping[str, Any], metric: str) -> tuple[float | None, float | None]:
    totals = years["totals"]
    return totals["year1"].get(metric), totals["year2"].get(metric)


def _customers(years: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Customers who ordered, as the indicators of the same page count them."""
    yearly = {
        row["year"]: row.get("active")
        for row in years.get("kpis_by_year", ())
        if row["segment"] == "all"
    }
    if yearly:
        return yearly.get("year1"), yearly.get("year2")
    return _totals(years, "customers")


def _verdict(t: Tongue, years: Mapping[str, Any]) -> tuple[VerdictLine, ...]:
    """Revenue of both years, and how much of the change the campaigns caused."""
    _ = t.gettext
    before, after = _totals(years, "revenue")
    if not before or after is None:
        return (VerdictLine(_("The two years cannot be compared."), "", "mixed"),)
    values = {
        "before": t.money(before, step=step_for(0, before)),
        "after": t.money(after, step=step_for(0, before)),
        "change": t.percent(after / before - 1, 1, signed=True),
    }
    text = _("Revenue went from %(before)s to %(after)s (%(change)s).") % values
    cause = next((c for c in years["causes"] if c["segment"] == "all" and c["known"]), None)
    if cause is None:
        unknown = _("How much of it the campaigns caused is not known for the whole.")
        return (VerdictLine(f"{text} {unknown}", "", "mixed"),)
    caused = Estimate(cause["caused"], cause["caused_ci_lower"], cause["caused_ci_upper"])
    known = _("The campaigns caused %(caused)s of it (%(interval)s).")
    if (caused.lower or 0) <= 0 <= (caused.upper or 0):
        known = _(
            "What the campaigns caused of it is not proven: %(interval)s, most likely near "
            "%(caused)s."
        )
    known = known % {
        "caused": t.money(caused.value, step=step_for(caused.lower, caused.upper), signed=True),
        "interval": interval(t, caused),
    }
    return (VerdictLine(f"{text} {known}", "", "mixed"),)


def _key_figures(t: Tongue, years: Mapping[str, Any]) -> tuple[KeyFigure, ...]:
    _ = t.gettext
    figures = []
    labels = {
        "revenue": _("Revenue"),
        "margin": _("Margin"),
        "customers": _("Customers who ordered"),
        "orders": _("Orders"),
    }
    for metric, label in labels.items():
        before, after = _customers(years) if metric == "customers" else _totals(years, metric)
        if after is None:
            continue
        change = t.percent(after / before - 1, 1, signed=True) if before else "–"
        was = _("%(value)s the year before") % {"value": figure_text(t, metric, before, step=1.0)}
        figures.append(KeyFigure(label, figure_text(t, metric, after, step=1.0), change, was))
    return tuple(figures)


def causes_section(t: Tongue, years: Mapping[str, Any], *, brief: bool = False) -> Section:
    """What the campaigns caused against what the market did; "not known" where no holdout ran.

    Args:
        t: The page's language.
        years: The comparison, as for `years_page`.
        brief: In sentences only, as for leadership.
    """
    _ = t.gettext
    title = _("Us or the market?")
    if not years["causes"]:
        return Section("causes", title, (_("No comparison with customers left out is there yet."),))
    known = sorted(
        (cause for cause in years["causes"] if cause["known"]),
        key=lambda cause: (cause["segment"] != "all", -abs(cause["caused"])),
    )
    unknown = [cause for cause in years["causes"] if not cause["known"]]
    told = _TOLD_IN_BRIEF if brief else _TOLD
    texts = tuple(_cause_sentence(t, years, cause) for cause in known[:told])
    count = len(unknown)
    text = t.ngettext(
        "What the campaigns caused is not known in %(n)s segment, and not guessed: customers "
        "must be left out there on purpose, of one campaign alone or of all together.",
        "What the campaigns caused is not known in %(n)s segments, and not guessed: customers "
        "must be left out there on purpose, of one campaign alone or of all together.",
        count,
    ) % {"n": count}
    paragraphs = (text,) if unknown else ()
    if brief:
        return Section("causes", title, points=texts, asides=paragraphs)
    asides = (*paragraphs, *_reasons(t, years, unknown))
    tables = (_causes_table(t, years, [*known, *unknown]),)
    return Section("causes", title, points=texts, tables=tables, asides=asides)


def _cause_sentence(t: Tongue, years: Mapping[str, Any], cause: Mapping[str, Any]) -> str:
    """A segment's change of revenue, split in words."""
    caused = Estimate(cause["caused"], cause["caused_ci_lower"], cause["caused_ci_upper"])
    step = step_for(caused.lower, caused.upper)
    _ = t.gettext
    if (caused.lower or 0) <= 0 <= (caused.upper or 0):
        text = _(
            "%(segment)s: what the campaigns caused is not proven (%(interval)s of revenue, most "
            "likely near %(caused)s)."
        )
    else:
        text = _(
            "%(segment)s: the campaigns caused %(caused)s of revenue (%(interval)s); without them "
            "it would have changed by %(market)s."
        )
    return text % {
        "segment": segment_label(t, years, cause["segment"]),
        "caused": t.money(caused.value, step=step, signed=True),
        "interval": interval(t, caused),
        "market": t.money(cause["market"], step=step, signed=True),
    }


def _causes_table(
    t: Tongue, years: Mapping[str, Any], causes: Sequence[Mapping[str, Any]]
) -> Table:
    _ = t.gettext
    columns = (
        Column(_("Segment"), numeric=False),
        Column(_("Change"), t.symbol),
        Column(_("Caused by the campaigns"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("The market"), t.symbol, hint=_("what would have happened anyway")),
    )
    rows = []
    for cause in causes:
        name = Cell(segment_label(t, years, cause["segment"]))
        change = money_cell(t, cause.get("change"), signed=True)
        unknown = (Cell(_("not known"), tone="muted"), Cell(""), Cell(""), Cell(""))
        if cause["known"]:
            figures = ("caused", "caused_ci_lower", "caused_ci_upper", "market")
            rows.append(
                Row((name, change, *(money_cell(t, cause[key], signed=True) for key in figures)))
            )
        else:
            rows.append(Row((name, change, *unknown)))
    caption = _("Change of revenue between the two years, by cause, most money first")
    note = _("The customers each segment had last year, followed into this year.")
    return Table(caption, columns, tuple(rows), note)


def _reasons(
    t: Tongue, years: Mapping[str, Any], unknown: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Why what was caused is not known although there were campaigns; segments alike together."""
    _ = t.gettext
    segments: dict[str, list[str]] = {}
    for cause in unknown:
        if (note := str(cause.get("note", ""))) and note != NO_HOLDOUT:
            segments.setdefault(note, []).append(segment_label(t, years, cause["segment"]))
    return tuple(
        sentence(
            _("%(segment)s: %(remark)s") % {"segment": ", ".join(names), "remark": said(t, note)}
        )
        for note, names in segments.items()
    )


def _component(t: Tongue, name: str) -> str:
    _ = t.gettext
    known = {
        "lost": _("Lost customers"),
        "new": _("New customers"),
        "reactivated": _("Customers who came back"),
        "frequency": _("Frequency of customers kept"),
        "basket": _("Basket of customers kept"),
    }
    return known.get(name, name.replace("_", " "))


def _amounts(years: Mapping[str, Any], segment: str | None) -> dict[str, float]:
    """Amount of each component for a segment, or so_far over segments when None."""
    sums: dict[str, float] = {}
    for row in years["bridge"]:
        if segment is None or row["segment"] == segment:
            sums[row["component"]] = sums.get(row["component"], 0.0) + (row["amount"] or 0.0)
    return sums


def _bridge_section(t: Tongue, years: Mapping[str, Any]) -> Section:
    """From one year's revenue to the other's, in parts that add up to the cent."""
    _ = t.gettext
    title = _("From last year's revenue to this year's")
    segments = list(dict.fromkeys(row["segment"] for row in years["bridge"]))
    before, after = _totals(years, "revenue")
    amounts = _amounts(years, "all" if "all" in segments else None)
    if not amounts or before is None or after is None:
        return Section("bridge", title, paragraphs=(_("The parts of the change are not known."),))
    order = [name for name in _COMPONENTS if name in amounts]
    order += [name for name in amounts if name not in order]
    bars = [WaterfallRow(_("Last year"), t.money(before, step=1.0), 0, before, total=True)]
    start = before
    for name in order:
        if not amounts[name]:
            continue
        end = start + amounts[name]
        text = t.money(amounts[name], step=1.0, signed=True)
        bars.append(WaterfallRow(_component(t, name), text, start, end))
        start = end
    bars.append(WaterfallRow(_("This year"), t.money(after, step=1.0), 0, after, total=True))
    largest = max(order, key=lambda name: abs(amounts[name]))
    part = _component(t, largest)
    finding = _("The largest movement: %(part)s (%(amount)s)") % {
        "part": part[:1].lower() + part[1:],
        "amount": t.money(amounts[largest], step=1.0, signed=True),
    }
    said = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    figure = Figure(
        anchor="figure-bridge",
        title=finding,
        subtitle=_("Revenue of the two years and what lies between, in %(currency)s")
        % {"currency": t.symbol},
        svg=waterfall(t, bars, said=f"{finding}. {said}", broken=True),
        caption=_(
            "Each bar starts where the one above ended; together they lead from one year to the "
            "other, to the cent. The scale does not start at zero: the years are a mark each."
        ),
        table=_bridge_table(t, years, segments, order),
    )
    return Section("bridge", title, figures=(figure,))


def _bridge_table(
    t: Tongue, years: Mapping[str, Any], segments: Sequence[str], order: Sequence[str]
) -> Table:
    _ = t.gettext
    columns = (
        Column(_("Segment"), numeric=False),
        *(Column(_component(t, name), t.symbol) for name in order),
        Column(_("Change"), t.symbol),
    )
    rows = []
    for segment in segments:
        amounts = _amounts(years, segment)
        parts = [row["amount"] for row in years["bridge"] if row["segment"] == segment]
        if None in parts:
            continue
        cells = (money_cell(t, amounts.get(name), signed=True) for name in order)
        total = money_cell(t, sum(amounts.values()), signed=True)
        tone = "total" if segment == "all" else ""
        rows.append(Row((Cell(segment_label(t, years, segment)), *cells, total), tone))
    return Table(_("Parts of the change of revenue, by segment"), columns, tuple(rows))
