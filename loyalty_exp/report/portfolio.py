"""How the customers fared: indicators of two years by month and by segment. Draws no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.report import curves
from loyalty_exp.report.indicators import (
    change_text,
    few,
    figure_text,
    indicator_name,
    segment_label,
)
from loyalty_exp.report.views import Cell, Column, Figure, Fold, Row, Section, Table

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["definitions_fold", "indicators_sections"]

_DRAWN = ("revenue", "active", "frequency", "basket")
_WITH_PAST = ("new", "active_12m")
"""Indicators that need the orders before year 1: left out where those are not known."""
_CUT = "Orders before year 1 are not known"
_TABLED = (
    "revenue", "margin", "active", "new", "reactivated", "lost", "retention_rate",
    "attrition_rate", "repurchase_rate", "frequency", "basket", "recency_days", "tenure_days",
    "returning_share",
)  # fmt: skip
_BY_SEGMENT = ("active", "revenue", "basket", "repurchase_rate")
_SEGMENTS = 12

Rows = Sequence[Mapping[str, Any]]


def indicators_sections(t: Tongue, years: Mapping[str, Any]) -> tuple[Section, ...]:
    """Indicators of the company by month and by year, then of last year's segments.

    None where the comparison has none.
    """
    _ = t.gettext
    if not years.get("kpis_by_year"):
        return ()
    company, segments = _company_figure(t, years), _segments_figure(t, years)
    folds = [_by_segment_fold(t, years), definitions_fold(t, years)]
    first = Section(
        "indicators",
        _("How the customers fared"),
        figures=(company,) if company else (),
        tables=(_years_table(t, years),),
        folds=tuple(fold for fold in folds if fold),
    )
    if segments is None:
        return (first,)
    title = _("How last year's segments fared")
    return (first, Section("segments-months", title, figures=(segments,)))


def _cut(years: Mapping[str, Any]) -> bool:
    """Whether the orders before year 1 are missing."""
    return any(str(note).startswith(_CUT) for note in years.get("notes", ()))


def _by_month(years: Mapping[str, Any], segment: str) -> tuple[Rows, Rows]:
    """The months of a segment, in the order of time, halved: last year and this year."""
    rows = [row for row in years.get("kpis_by_month", ()) if row["segment"] == segment]
    rows.sort(key=lambda row: row["month"])
    half = len(rows) // 2
    return rows[:half], rows[half:]


def _panel(title: str, metric: str, halves: tuple[Rows, Rows]) -> curves.YearsPanel:
    before, after = ([row[metric] for row in rows] for rows in halves)
    return curves.YearsPanel(title, metric in ("revenue", "basket"), before, after)


def _short_name(t: Tongue, metric: str) -> str:
    """The name of an indicator short enough for a panel."""
    _ = t.gettext
    return {
        "revenue": _("Revenue"),
        "active": _("Customers who ordered"),
        "frequency": _("Orders per customer"),
        "basket": _("Revenue per order"),
        "new": _("New customers"),
        "active_12m": _("Active over 12 months"),
    }[metric]


def _names(t: Tongue) -> tuple[str, str]:
    return t.gettext("last year"), t.gettext("this year")


def _company_figure(t: Tongue, years: Mapping[str, Any]) -> Figure | None:
    _ = t.gettext
    halves = _by_month(years, "all")
    if not halves[0]:
        return None
    metrics = (*_DRAWN, *(() if _cut(years) else _WITH_PAST))
    panels = [_panel(_short_name(t, metric), metric, halves) for metric in metrics]
    pairs = list(zip(panels[0].before, panels[0].after, strict=True))
    above = sum((after or 0.0) > (before or 0.0) for before, after in pairs)
    finding = t.ngettext(
        "Revenue above last year's in %(n)s month of %(of)s",
        "Revenue above last year's in %(n)s months of %(of)s",
        above,
    ) % {"n": above, "of": len(pairs)}
    said = _("%(finding)s. By month, this year over last year: %(panels)s.") % {
        "finding": finding,
        "panels": t.listed([panel.title for panel in panels]),
    }
    months = [row["month"] for row in halves[1]]
    return Figure(
        anchor="figure-indicators",
        title=finding,
        subtitle=_("Month by month: this year (full line) over last year (dashed)"),
        svg=curves.two_years(t, panels, months, _names(t), said),
        caption=_("Each panel has its own scale, from zero. All customers of the company."),
        table=_months_table(t, halves, metrics),
    )


def _months_table(t: Tongue, halves: tuple[Rows, Rows], metrics: Sequence[str]) -> Table:
    _ = t.gettext
    columns = (
        Column(_("Month"), numeric=False),
        *(Column(_short_name(t, metric)) for metric in metrics),
    )
    rows = tuple(
        Row(
            (
                Cell(t.month(row["month"])),
                *(Cell(figure_text(t, metric, row[metric]), row[metric]) for metric in metrics),
            )
        )
        for row in (*halves[0], *halves[1])
    )
    return Table(_("Indicators of the company by month"), columns, rows)


def _segments_figure(t: Tongue, years: Mapping[str, Any]) -> Figure | None:
    """Revenue by month of last year's segments, followed, a panel each."""
    _ = t.gettext
    found = {row["segment"]: 0.0 for row in years.get("kpis_by_month", ())}
    found.pop("all", None)
    halves = {segment: _by_month(years, segment) for segment in found}
    halves = {segment: pair for segment, pair in halves.items() if _sum(pair[0])}
    largest = sorted(halves, key=lambda segment: -_sum(halves[segment][0]))[:_SEGMENTS]
    if not largest:
        return None
    risen = sum(_sum(halves[s][1]) > _sum(halves[s][0]) for s in largest)
    finding = t.ngettext(
        "Revenue rose in %(n)s of last year's %(of)s segments",
        "Revenue rose in %(n)s of last year's %(of)s segments",
        risen,
    ) % {"n": risen, "of": len(largest)}
    panels = [
        _panel(segment_label(t, years, segment), "revenue", halves[segment]) for segment in largest
    ]
    changes = [
        f"{panel.title} {t.percent(_sum(pair[1]) / _sum(pair[0]) - 1, 0, signed=True)}"
        for panel, pair in zip(panels, (halves[s] for s in largest), strict=True)
    ]
    said = f"{finding}. {'; '.join(changes)}."
    months = [row["month"] for row in halves[largest[0]][1]]
    columns = (
        Column(_("Segment"), numeric=False),
        Column(_("Revenue last year"), t.symbol),
        Column(_("Revenue this year"), t.symbol),
    )
    body = tuple(
        Row(
            (
                Cell(panel.title),
                *(Cell(t.number(_sum(half), 2), _sum(half)) for half in halves[segment]),
            )
        )
        for segment, panel in zip(largest, panels, strict=True)
    )
    return Figure(
        anchor="figure-segments-months",
        title=finding,
        subtitle=_("Revenue by month in %(currency)s of the customers each segment had last year")
        % {"currency": t.symbol},
        svg=curves.two_years(t, panels, months, _names(t), said),
        caption=_(
            "The same customers in both years: new ones are in no panel, and the best fall on "
            "average with or without us (see below). Each panel has its own scale. A gap: too few "
            "customers to show."
        ),
        table=Table(_("Revenue of last year's segments"), columns, body),
    )


def _sum(rows: Rows) -> float:
    return sum(row["revenue"] or 0.0 for row in rows)


def _of_year(years: Mapping[str, Any], year: str, segment: str) -> Mapping[str, Any]:
    rows = years["kpis_by_year"]
    return next((r for r in rows if (r["year"], r["segment"]) == (year, segment)), {})


def _years_table(t: Tongue, years: Mapping[str, Any]) -> Table:
    """Indicators of the company in both years."""
    _ = t.gettext
    one, two = (_of_year(years, year, "all") for year in ("year1", "year2"))
    columns = (
        Column(_("Indicator"), numeric=False),
        Column(_("Last year")),
        Column(_("This year")),
        Column(_("Change")),
    )
    rows = []
    cut = _cut(years)
    for metric in _TABLED:
        if cut and metric == "tenure_days":
            continue
        before, after = one.get(metric), two.get(metric)
        if before is None and after is None:
            continue
        change = None if before is None or after is None else after - before
        rows.append(
            Row(
                (
                    Cell(indicator_name(t, metric)),
                    Cell(figure_text(t, metric, before), before),
                    Cell(figure_text(t, metric, after), after),
                    Cell(change_text(t, metric, change), change),
                )
            )
        )
    note = _("A dash: not known for the first of the two years, which has none before it.")
    return Table(_("The company in both years"), columns, tuple(rows), note)


def _by_segment_fold(t: Tongue, years: Mapping[str, Any]) -> Fold | None:
    """Both years of each segment: who is in it at the end of each year."""
    _ = t.gettext
    segments = dict.fromkeys(row["segment"] for row in years["kpis_by_year"])
    segments.pop("all", None)
    if not segments:
        return None
    columns = [Column(_("Segment"), numeric=False)]
    for metric in _BY_SEGMENT:
        columns += [Column(indicator_name(t, metric), hint=when) for when in _names(t)]
    columns.append(Column(indicator_name(t, "retention_rate")))
    rows = []
    for segment in segments:
        both = [_of_year(years, year, segment) for year in ("year1", "year2")]
        cells = [Cell(segment_label(t, years, segment))]
        for metric in _BY_SEGMENT:
            for row in both:
                hidden = metric == "active" and row.get("active") is None
                text = (
                    few(t, years, row) if hidden else figure_text(t, metric, row.get(metric), 1.0)
                )
                cells.append(Cell(text, row.get(metric)))
        kept = both[1].get("retention_rate")
        cells.append(Cell(figure_text(t, "retention_rate", kept), kept))
        rows.append(Row(tuple(cells)))
    caption = _("Each segment as it stood at the end of each year")
    note = _(
        "Segments of fewer than %(n)s customers who ordered are not shown (*: nor those that would "
        "give them away). Retention is that of last year's members."
    ) % {"n": years.get("min_cell", 5)}
    return Fold(
        _("Segment by segment"), tables=(Table(caption, tuple(columns), tuple(rows), note),)
    )


def definitions_fold(t: Tongue, years: Mapping[str, Any]) -> Fold | None:
    """What each indicator is, and where the usual reading misleads."""
    _ = t.gettext
    texts = years.get("definitions", {})
    if not texts:
        return None
    facts = tuple((indicator_name(t, name), text[t.language]) for name, text in texts.items())
    title = _("What each indicator means, and where the usual formula misleads")
    return Fold(title, facts=facts)
