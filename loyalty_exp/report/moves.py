"""Segment by segment, and who moved from one to another. Draws no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.indicators import (
    NOBODY,
    change_text,
    few,
    figure_text,
    indicator_name,
    segment_label,
)
from loyalty_exp.report.parts import said, sentence
from loyalty_exp.report.sayings import REGRESSION
from loyalty_exp.report.views import Cell, Column, Fold, Row, Section, Table

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["moves_section", "segments_section"]

_TOLD = 3
_YEARS = ("year1", "year2")


def segments_section(t: Tongue, years: Mapping[str, Any]) -> Section:
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
            folds.append(Fold(caption, tables=(_segments_table(t, years, caption, rows),)))
    notes = [str(note) for note in years.get("notes", ())]
    if REGRESSION in notes:
        title = _("Why the best customers of last year always seem to fall")
        folds.append(Fold(title, (t.gettext(REGRESSION),)))
    asides = tuple(sentence(said(t, note)) for note in notes if note != REGRESSION)
    lead = [r for r in years["segments"] if r["view"] == "same_rule" and r["metric"] == "revenue"]
    lead.sort(key=lambda row: -abs(row["change"] or 0.0))
    texts = tuple(
        _segment_sentence(t, years, row)
        for row in lead
        if row["change"] is not None and row["segment"] != "all"
    )[:6]
    title = _("Segment by segment")
    lead_in = (_("By the same rule in each year:"),) if texts else ()
    return Section("segments", title, lead_in, points=texts, asides=asides, folds=tuple(folds))


def _segment_sentence(t: Tongue, years: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    _ = t.gettext
    values = {
        "segment": segment_label(t, years, row["segment"]),
        "change": t.money(row["change"], step=1.0, signed=True),
        "relative": t.percent(row["relative_change"], 1, signed=True),
    }
    return _("%(segment)s: revenue %(change)s (%(relative)s on last year).") % values


def _segments_table(
    t: Tongue, years: Mapping[str, Any], caption: str, rows: Sequence[Mapping[str, Any]]
) -> Table:
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
        hidden = metric == "members" and row["year1"] is None
        figures = [few(t, years, row) if hidden else figure_text(t, metric, row[y]) for y in _YEARS]
        percent = None if relative is None else 100 * relative
        body.append(
            Row(
                (
                    Cell(segment_label(t, years, row["segment"])),
                    Cell(indicator_name(t, metric)),
                    *(Cell(text, row[y]) for text, y in zip(figures, _YEARS, strict=True)),
                    Cell(change_text(t, metric, row["change"]), row["change"]),
                    Cell(t.number(percent, 1, signed=True), percent),
                )
            )
        )
    return Table(caption, columns, tuple(body))


def moves_section(t: Tongue, years: Mapping[str, Any]) -> Section:
    """Who moved between segments: counts shaded by their share, the diagonal muted."""
    _ = t.gettext
    moves = [m for m in years["moves"] if m["from"] != NOBODY or m["to"] != NOBODY]
    title = _("Who moved where")
    if not moves:
        return Section("moves", title, paragraphs=(_("No moves between segments are known."),))
    known = [move for move in moves if move["customers"] is not None and move["from"] != move["to"]]
    largest = sorted(known, key=lambda move: -move["customers"])[:_TOLD]
    texts = tuple(_move_sentence(t, years, move) for move in largest)
    note = _(
        "Fields of fewer than %(n)s customers are not shown (*: nor those that would give them "
        "away)."
    ) % {"n": years.get("min_cell", 5)}
    asides = (note,) if any(move["customers"] is None for move in moves) else ()
    return Section("moves", title, points=texts, tables=(_matrix(t, years, moves),), asides=asides)


def _matrix(t: Tongue, years: Mapping[str, Any], moves: Sequence[Mapping[str, Any]]) -> Table:
    """Last year's segments in lines, this year's in columns."""
    _ = t.gettext
    count = {(move["from"], move["to"]): move["customers"] for move in moves}
    hidden = {(m["from"], m["to"]): few(t, years, m) for m in moves if m["customers"] is None}
    starts = list(dict.fromkeys(move["from"] for move in moves))
    ends = list(dict.fromkeys([*starts, *(move["to"] for move in moves)]))
    ends = [end for end in ends if any((start, end) in count for start in starts)]
    most = max((n or 0 for (start, end), n in count.items() if start != end), default=0) or 1
    columns = (
        Column(_("Last year in"), numeric=False),
        *(Column(segment_label(t, years, end)) for end in ends),
    )
    rows = []
    for start in starts:
        cells = []
        for end in ends:
            n = count.get((start, end), 0)
            weight = None if start == end else min(1.0, (n or 0) / most)
            text = hidden.get((start, end)) or (t.number(n) if n else "")
            cells.append(Cell(text, n, tone="muted" if start == end else "", weight=weight))
        rows.append(Row((Cell(segment_label(t, years, start)), *cells)))
    caption = _("Customers by segment last year (lines) and this year (columns)")
    return Table(caption, columns, tuple(rows), kind="matrix upright")


def _move_sentence(t: Tongue, years: Mapping[str, Any], move: Mapping[str, Any]) -> str:
    n = int(move["customers"])
    if move["from"] == NOBODY:
        text = t.ngettext(
            "%(n)s new customer came into “%(end)s”: revenue %(change)s.",
            "%(n)s new customers came into “%(end)s”: revenue %(change)s.",
            n,
        )
    else:
        text = t.ngettext(
            "%(n)s customer went from “%(start)s” to “%(end)s”: revenue %(change)s.",
            "%(n)s customers went from “%(start)s” to “%(end)s”: revenue %(change)s.",
            n,
        )
    return text % {
        "n": t.number(n),
        "start": segment_label(t, years, move["from"]),
        "end": segment_label(t, years, move["to"]),
        "change": t.money(move["revenue_year2"] - move["revenue_year1"], step=1.0, signed=True),
    }
