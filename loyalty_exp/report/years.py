"""Year 2 against year 1, from the object that `compare` gives as a dictionary. Draws no markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.measure.results import Estimate
from loyalty_exp.report.parts import money_cell, notes_of, sentence
from loyalty_exp.report.rowcharts import WaterfallRow, waterfall
from loyalty_exp.report.sayings import REGRESSION
from loyalty_exp.report.tongue import step_for
from loyalty_exp.report.views import (
    Cell,
    Column,
    Figure,
    Fold,
    Foot,
    KeyFigure,
    Page,
    Row,
    Section,
    Table,
    VerdictLine,
)
from loyalty_exp.report.words import interval, segment_name

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["causes_section", "years_page"]

_MONEY = {"revenue", "margin", "basket", "revenue_per_member"}
_SHARES = {"repurchase_rate", "share"}
_NO_HOLDOUT = "no holdout was kept in this segment"
_COMPONENTS = ("lost", "new", "reactivated", "frequency", "basket")


def years_page(t: Tongue, years: Mapping[str, Any], project: str, foot: Foot) -> Page:
    """The year-over-year page.

    Args:
        t: The page's language.
        years: `periods`, `totals`, `segments`, `bridge`, `moves`, `causes`, as
            `compare --format json` gives them.
        project: Name of the project.
        foot: Provenance.
    """
    _ = t.gettext
    return Page(
        name="years.html",
        kind="years",
        language=t.language,
        title=_("Year over year · %(project)s") % {"project": project},
        eyebrow=f"{project} · {_periods(t, years)}",
        heading=_("This year against last year"),
        standfirst="",
        notices=(),
        verdicts=_verdict(t, years),
        key_figures=_key_figures(t, years),
        explained=_(
            "What the campaigns caused is known only where customers were left out on purpose; "
            "everything else is what happened, not what we did."
        ),
        sections=(
            causes_section(t, years),
            _bridge_section(t, years),
            _segments_section(t, years),
            _moves_section(t, years),
        ),
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
    known = _("The campaigns caused %(caused)s of it (%(interval)s).") % {
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
        before, after = _totals(years, metric)
        if after is None:
            continue
        change = t.percent(after / before - 1, 1, signed=True) if before else "–"
        was = _("%(value)s the year before") % {"value": _kpi(t, metric, before, step=1.0)}
        figures.append(KeyFigure(label, _kpi(t, metric, after, step=1.0), change, was))
    return tuple(figures)


def _kpi(t: Tongue, metric: str, value: float | None, step: float | None = None) -> str:
    """A figure of a metric of the portfolio, in its unit."""
    if value is None:
        return t.number(None)
    if metric in _MONEY:
        return t.money(value, step=step)
    if metric in _SHARES:
        return t.percent(value)
    return t.number(value, 0 if float(value).is_integer() else 2)


def _metric_label(t: Tongue, metric: str) -> str:
    _ = t.gettext
    known = {
        "revenue": _("Revenue"),
        "margin": _("Margin"),
        "customers": _("Customers who ordered"),
        "orders": _("Orders"),
        "frequency": _("Orders per customer who ordered"),
        "basket": _("Revenue per order"),
        "revenue_per_member": _("Revenue per customer of the segment"),
        "members": _("Customers of the segment"),
        "share": _("Share of revenue"),
        "repurchase_rate": _("Customers with a second order"),
    }
    return known.get(metric, metric.replace("_", " "))


def causes_section(t: Tongue, years: Mapping[str, Any]) -> Section:
    """What the campaigns caused against what the market did; "not known" where no holdout ran."""
    _ = t.gettext
    columns = (
        Column(_("Segment"), numeric=False),
        Column(_("Caused by the campaigns"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("The market"), t.symbol, hint=_("what would have happened anyway")),
    )
    causes = sorted(years["causes"], key=lambda c: (not c["known"], -abs(c["caused"] or 0.0)))
    rows, reasons = [], []
    for cause in causes:
        name = Cell(segment_name(t, cause["segment"]))
        if cause["known"]:
            figures = ("caused", "caused_ci_lower", "caused_ci_upper", "market")
            cells = tuple(money_cell(t, cause[key], signed=True) for key in figures)
            rows.append(Row((name, *cells)))
        else:
            unknown = Cell(_("not known"), tone="muted")
            rows.append(Row((name, unknown, Cell(""), Cell(""), Cell(""))))
            reasons.append(str(cause.get("note", "")))
    title = _("Us or the market?")
    unknown_count = sum(not cause["known"] for cause in causes)
    text = t.ngettext(
        "What the campaigns caused is not known in %(n)s segment, and not guessed: customers "
        "must be left out there on purpose, of one campaign alone or of all together.",
        "What the campaigns caused is not known in %(n)s segments, and not guessed: customers "
        "must be left out there on purpose, of one campaign alone or of all together.",
        unknown_count,
    ) % {"n": unknown_count}
    if not causes:
        return Section("causes", title, (_("No comparison with customers left out is there yet."),))
    caption = _("Change of revenue between the two years, by cause")
    tables = (Table(caption, columns, tuple(rows)),)
    asides = notes_of(t, [reason for reason in reasons if reason != _NO_HOLDOUT])
    texts = (text,) if unknown_count else ()
    return Section("causes", title, texts, tables=tables, asides=asides)


def _component(t: Tongue, name: str) -> str:
    _ = t.gettext
    known = {
        "lost": _("Lost customers"),
        "new": _("New customers"),
        "reactivated": _("Customers who came back"),
        "frequency": _("Loyal customers: how often"),
        "basket": _("Loyal customers: how much per order"),
    }
    return known.get(name, name.replace("_", " "))


def _amounts(years: Mapping[str, Any], segment: str | None) -> dict[str, float]:
    """Amount of each component for a segment, or summed over segments when None."""
    sums: dict[str, float] = {}
    for row in years["bridge"]:
        if segment is None or row["segment"] == segment:
            sums[row["component"]] = sums.get(row["component"], 0.0) + row["amount"]
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
        end = start + amounts[name]
        text = t.money(amounts[name], step=1.0, signed=True)
        bars.append(WaterfallRow(_component(t, name), text, start, end))
        start = end
    bars.append(WaterfallRow(_("This year"), t.money(after, step=1.0), 0, after, total=True))
    largest = max(order, key=lambda name: abs(amounts[name]))
    finding = _("The largest movement: %(part)s (%(amount)s)") % {
        "part": _component(t, largest),
        "amount": t.money(amounts[largest], step=1.0, signed=True),
    }
    said = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    figure = Figure(
        anchor="figure-bridge",
        title=finding,
        subtitle=_("Revenue of the two years and what lies between, in %(currency)s")
        % {"currency": t.symbol},
        svg=waterfall(t, bars, number="$,.0f", said=f"{finding}. {said}", broken=True),
        caption=_(
            "Each bar starts where the one above ended; together they lead from one year to the "
            "other, to the cent. The scale does not start at zero."
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
        cells = (money_cell(t, amounts.get(name), signed=True) for name in order)
        total = money_cell(t, sum(amounts.values()), signed=True)
        tone = "total" if segment == "all" else ""
        rows.append(Row((Cell(segment_name(t, segment)), *cells, total), tone))
    return Table(_("Parts of the change of revenue, by segment"), columns, tuple(rows))


def _segments_section(t: Tongue, years: Mapping[str, Any]) -> Section:
    """Indicators of each segment in both views: customers followed, or the same rule each year."""
    _ = t.gettext
    views = {
        "followed": _("The same customers, followed: segments as of year 1"),
        "same_rule": _("The same rule each year: other customers may be in it"),
    }
    folds = []
    for view, caption in views.items():
        rows = [row for row in years["segments"] if row["view"] == view]
        if rows:
            folds.append(Fold(caption, tables=(_segments_table(t, caption, rows),)))
    notes = [str(note) for note in years.get("notes", ())]
    if REGRESSION in notes:
        title = _("Why the best customers of last year always seem to fall")
        folds.append(Fold(title, (t.gettext(REGRESSION),)))
    asides = tuple(sentence(t.gettext(note)) for note in notes if note != REGRESSION)
    lead = [r for r in years["segments"] if r["view"] == "same_rule" and r["metric"] == "revenue"]
    lead.sort(key=lambda row: -abs(row["change"] or 0.0))
    texts = tuple(_segment_sentence(t, row) for row in lead if row["segment"] != "all")[:6]
    title = _("Segment by segment")
    return Section("segments", title, actions=texts, asides=asides, folds=tuple(folds))


def _segment_sentence(t: Tongue, row: Mapping[str, Any]) -> str:
    _ = t.gettext
    values = {
        "segment": segment_name(t, row["segment"]),
        "change": t.money(row["change"], step=1.0, signed=True),
        "relative": t.percent(row["relative_change"], 1, signed=True),
    }
    return _("%(segment)s: revenue %(change)s (%(relative)s on last year).") % values


def _segments_table(t: Tongue, caption: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    _ = t.gettext
    columns = (
        Column(_("Segment"), numeric=False),
        Column(_("Indicator"), numeric=False),
        Column(_("Year 1")),
        Column(_("Year 2")),
        Column(_("Change")),
        Column(_("Change"), "%"),
    )
    body = []
    for row in rows:
        metric, relative = row["metric"], row["relative_change"]
        percent = None if relative is None else 100 * relative
        body.append(
            Row(
                (
                    Cell(segment_name(t, row["segment"])),
                    Cell(_metric_label(t, metric)),
                    Cell(_kpi(t, metric, row["year1"]), row["year1"]),
                    Cell(_kpi(t, metric, row["year2"]), row["year2"]),
                    Cell(_kpi(t, metric, row["change"]), row["change"]),
                    Cell(t.number(percent, 1, signed=True), percent),
                )
            )
        )
    return Table(caption, columns, tuple(body))


def _moves_section(t: Tongue, years: Mapping[str, Any]) -> Section:
    """Who moved between segments: counts shaded by their share, the diagonal muted."""
    _ = t.gettext
    moves = years["moves"]
    title = _("Who moved where")
    if not moves:
        return Section("moves", title, paragraphs=(_("No moves between segments are known."),))
    count = {(move["from"], move["to"]): move["customers"] for move in moves}
    starts = list(dict.fromkeys(move["from"] for move in moves))
    ends = list(dict.fromkeys([*starts, *(move["to"] for move in moves)]))
    ends = [end for end in ends if any((start, end) in count for start in starts)]
    most = max((n for (start, end), n in count.items() if start != end), default=1) or 1
    columns = (
        Column(_("Last year in"), numeric=False),
        *(Column(segment_name(t, end), hint=_("this year")) for end in ends),
    )
    rows = []
    for start in starts:
        cells = []
        for end in ends:
            n = count.get((start, end), 0)
            weight = None if start == end else min(1.0, n / most)
            tone = "muted" if start == end else ""
            cells.append(Cell(t.number(n) if n else "", n, tone=tone, weight=weight))
        rows.append(Row((Cell(segment_name(t, start)), *cells)))
    largest = sorted((m for m in moves if m["from"] != m["to"]), key=lambda m: -m["customers"])[:3]
    texts = tuple(_move_sentence(t, move) for move in largest)
    table = Table(_("Customers by segment last year and this year"), columns, tuple(rows))
    return Section("moves", title, actions=texts, tables=(table,))


def _move_sentence(t: Tongue, move: Mapping[str, Any]) -> str:
    n = int(move["customers"])
    text = t.ngettext(
        "%(n)s customer went from “%(start)s” to “%(end)s”: revenue %(change)s.",
        "%(n)s customers went from “%(start)s” to “%(end)s”: revenue %(change)s.",
        n,
    )
    return text % {
        "n": t.number(n),
        "start": segment_name(t, move["from"]),
        "end": segment_name(t, move["to"]),
        "change": t.money(move["revenue_year2"] - move["revenue_year1"], step=1.0, signed=True),
    }
