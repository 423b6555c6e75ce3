"""Who responds and how: segments, parts of the effect, every metric. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.report.metrics import (
    is_money,
    metric_name,
    metric_phrase,
    metric_text,
    metric_unit,
    so_far,
)
from loyalty_exp.report.parts import (
    cumulative,
    finding_of,
    headline_interval,
    money_cell,
    notes_of,
    of_arm,
    relative_cell,
)
from loyalty_exp.report.rowcharts import ForestRow, WaterfallRow, forest, waterfall
from loyalty_exp.report.views import Cell, Column, Figure, Fold, Row, Section, Table
from loyalty_exp.report.words import (
    arm_name,
    component_name,
    decomposition_finding,
    segment_name,
    segments_finding,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.measure.results import (
        ArmResult,
        CampaignResult,
        Decomposition,
        EffectRow,
        Estimate,
        SegmentRank,
    )
    from loyalty_exp.report.tongue import Tongue

__all__ = ["decomposition_section", "metrics_fold", "segments_section"]

_DRAWN = 12
"""Segments drawn in a forest: more are in the table only."""


def segments_section(t: Tongue, result: CampaignResult) -> Section | None:
    """Segments as a forest, after the words of the test of difference; None with one segment."""
    _ = t.gettext
    title = _("Who responds")
    arms = [arm for arm in result.arms if arm.heterogeneity and arm.heterogeneity.segments]
    if not arms:
        if len(result.plan.segments) < 2:
            return None
        text = _("The segments cannot be compared yet: too little data in each.")
        return Section("segments", title, paragraphs=(text,))
    figures, tests = [], []
    for arm in arms:
        tests.append(of_arm(t, result, arm, _difference_sentence(t, arm)))
        figures.append(_segments_figure(t, result, arm))
    caption = _(
        "Segments are part of the plan only where the launch declared them; everything else "
        "here is exploratory."
    )
    return Section(
        "segments",
        title,
        figures=tuple(figures),
        asides=(*tests, caption),
    )


def _difference_sentence(t: Tongue, arm: ArmResult) -> str:
    """The test of difference between segments, with its figures."""
    _ = t.gettext
    if arm.heterogeneity is None or arm.heterogeneity.p_value is None:
        return _("The difference between segments cannot be tested here.")
    text = _(
        "Test of the difference between segments: Cochran's Q %(q)s on %(df)s degrees of freedom, "
        "%(p)s."
    )
    return text % {
        "q": t.number(arm.heterogeneity.q, 1),
        "df": t.number(arm.heterogeneity.df),
        "p": t.p_phrase(arm.heterogeneity.p_value),
    }


def _segments_figure(t: Tongue, result: CampaignResult, arm: ArmResult) -> Figure:
    _ = t.gettext
    metric = so_far(result.plan.metric)
    known = _sorted_by_money(result, arm)
    largest = sorted(known, key=lambda item: -(item[1].n_treated if item[1] else 0))[:_DRAWN]
    drawn = [item for item in known if item in largest]
    rows = [_forest_row(t, metric, rank.segment, rank.effect) for rank, _row in drawn]
    finding = finding_of(t, arm, segments_finding(t, arm.heterogeneity))
    finding = of_arm(t, result, arm, finding)
    said = "; ".join(_said(t, metric, row) for row in rows[:6])
    caption = _(
        "Each line is a segment's effect per customer and its range; the dotted line is no "
        "effect. Sorted by the money at stake. A range on one side of the dotted line is drawn "
        "dark (gain) or orange (loss)."
    )
    if len(drawn) < len(known):
        more = _("The %(drawn)s largest of %(n)s segments are drawn; all are in the table.")
        caption = f"{caption} {more % {'drawn': len(drawn), 'n': len(known)}}"
    return Figure(
        anchor=f"figure-segments-{result.plan.arms.index(arm.arm)}",
        title=finding,
        subtitle=_("Effect on %(metric)s per customer since the start, by segment, in %(unit)s")
        % {"metric": metric_name(t, metric), "unit": metric_unit(t, metric)},
        svg=forest(t, rows, number=_axis_number(metric), said=f"{finding}. {said}"),
        caption=caption,
        table=_segments_table(t, result, known),
    )


def _axis_number(metric: str) -> str:
    return "" if is_money(metric) else ",.3~f"


def _sorted_by_money(
    result: CampaignResult, arm: ArmResult
) -> list[tuple[SegmentRank, EffectRow | None]]:
    """Segments with their cumulative row, the most money first."""
    ranks = arm.heterogeneity.segments if arm.heterogeneity else ()
    pairs = [(rank, cumulative(result, arm.arm, rank.segment)) for rank in ranks]

    def money(pair: tuple[SegmentRank, EffectRow | None]) -> float:
        total = pair[1].total_effect if pair[1] else pair[0].effect.value
        return -(total if total is not None else float("-inf"))

    return sorted(pairs, key=money)


def _forest_row(t: Tongue, metric: str, label: str, effect: Estimate) -> ForestRow:
    text = t.gettext("not estimable")
    if effect.value is not None:
        text = metric_phrase(t, metric, effect.value)
    return ForestRow(segment_name(t, label), text, effect.value, effect.lower, effect.upper)


def _said(t: Tongue, metric: str, row: ForestRow) -> str:
    """A row of the forest in words, with its interval."""
    if row.lower is None or row.upper is None:
        return f"{row.label} {row.text}"
    low, high = (metric_phrase(t, metric, value) for value in (row.lower, row.upper))
    return f"{row.label} {row.text} ({t.between(low, high)})"


def _segments_table(
    t: Tongue, result: CampaignResult, pairs: Sequence[tuple[SegmentRank, EffectRow | None]]
) -> Table:
    _ = t.gettext
    metric = so_far(result.plan.metric)
    unit = metric_unit(t, metric)
    columns = (
        Column(_("Segment"), numeric=False),
        Column(_("Treated")),
        Column(_("Left out")),
        Column(_("Left out, average"), unit),
        Column(_("Effect"), unit),
        Column(_("From"), unit),
        Column(_("To"), unit),
        Column(
            _("Drawn to the common mean"),
            unit,
            hint=_("what to expect from each: chance shrunk away (empirical Bayes)"),
        ),
        Column(_("p (Holm)"), hint=_("corrected for the number of segments looked at")),
        Column(_("Total"), unit),
    )
    rows = []
    for rank, row in pairs:
        figures = (
            rank.effect.value,
            rank.effect.lower,
            rank.effect.upper,
            rank.shrunken.value,
        )
        total = row.total_effect if row else None
        mean = row.mean_holdout if row else None
        rows.append(
            Row(
                (
                    Cell(segment_name(t, rank.segment)),
                    Cell(t.number(row.n_treated if row else None), row.n_treated if row else None),
                    Cell(t.number(row.n_holdout if row else None), row.n_holdout if row else None),
                    Cell(metric_text(t, metric, mean), mean),
                    *(Cell(metric_text(t, metric, value, signed=True), value) for value in figures),
                    Cell(t.p_value(rank.p_value_holm), rank.p_value_holm),
                    money_cell(t, total, signed=True),
                )
            )
        )
    return Table(_("Effect by segment since the start, closed months"), columns, tuple(rows))


def decomposition_section(t: Tongue, result: CampaignResult) -> Section | None:
    """Who came back, came more often, bought more: parts that add up to the effect."""
    _ = t.gettext
    title = _("Where the effect comes from")
    figures = []
    for arm in result.arms:
        decomposition = arm.decomposition
        if decomposition and decomposition.total and _complete(decomposition):
            figures.append(_decomposition_figure(t, result, arm, decomposition))
    notes = notes_of(t, *(arm.decomposition.notes for arm in result.arms if arm.decomposition))
    if not figures:
        text = _("The effect cannot be split into its parts yet.")
        return Section("origin", title, paragraphs=(text,), asides=notes)
    return Section("origin", title, figures=tuple(figures), asides=notes)


def _complete(decomposition: Decomposition) -> bool:
    return bool(decomposition.components) and all(
        part.effect.value is not None for part in decomposition.components
    )


def _decomposition_figure(
    t: Tongue, result: CampaignResult, arm: ArmResult, decomposition: Decomposition
) -> Figure:
    _ = t.gettext
    finding = finding_of(t, arm, decomposition_finding(t, decomposition))
    finding = of_arm(t, result, arm, finding)
    bars, start = [], 0.0
    for part in decomposition.components:
        end = start + (part.effect.value or 0.0)
        text = t.money(part.effect.value, signed=True)
        bars.append(WaterfallRow(component_name(t, part.name), text, start, end))
        start = end
    total = decomposition.total or 0.0
    text = t.money(total, signed=True)
    bars.append(WaterfallRow(_("Effect per customer"), text, 0.0, total, total=True))
    said = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    return Figure(
        anchor=f"figure-origin-{result.plan.arms.index(arm.arm)}",
        title=finding,
        subtitle=_("Parts of the effect on revenue per customer since the start, in %(currency)s")
        % {"currency": t.symbol},
        svg=waterfall(t, bars, said=f"{finding}. {said}"),
        caption=_(
            "Each bar starts where the one above ended; together they make the last one, to the "
            "cent."
        ),
        table=_decomposition_table(t, decomposition),
    )


def _decomposition_table(t: Tongue, decomposition: Decomposition) -> Table:
    _ = t.gettext
    columns = (
        Column(_("Part"), numeric=False),
        Column(_("Effect"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("Share"), _("% of the effect")),
    )
    total = decomposition.total or 0.0
    rows = [
        Row(
            (
                Cell(component_name(t, part.name)),
                money_cell(t, part.effect.value, signed=True),
                money_cell(t, part.effect.lower, signed=True),
                money_cell(t, part.effect.upper, signed=True),
                Cell(
                    t.number(100 * part.effect.value / total, 1)
                    if total and part.effect.value is not None
                    else "–"
                ),
            )
        )
        for part in decomposition.components
    ]
    sums = (Cell(_("Effect per customer")), money_cell(t, total, signed=True), Cell(""), Cell(""))
    rows.append(Row((*sums, Cell(t.number(100.0, 1))), tone="total"))
    return Table(_("Parts of the effect per customer"), columns, tuple(rows))


def metrics_fold(t: Tongue, result: CampaignResult) -> tuple[Fold, ...]:
    """Every metric of the whole audience since the start, all versions."""
    _ = t.gettext
    rows = [
        row
        for row in result.rows
        if row.segment == "all" and row.wave == "all" and row.month == "cumulative"
    ]
    if not rows:
        return ()
    columns = (
        Column(_("Metric"), numeric=False),
        Column(_("Version"), numeric=False),
        Column(_("Compared with"), numeric=False),
        Column(_("Unit"), numeric=False),
        Column(_("Treated")),
        Column(_("Compared")),
        Column(_("Effect")),
        Column(_("From")),
        Column(_("To")),
        Column(_("Relative"), _("% of left out")),
        Column(_("p, read alone")),
    )
    body = tuple(Row(_metric_cells(t, row)) for row in rows)
    caption = _("Every metric since the start, per customer, closed months")
    note = _(
        "The plan judges one metric, %(metric)s; the others explain and are read without "
        "correction."
    )
    note = note % {"metric": metric_name(t, result.plan.metric)}
    return (Fold(_("Every metric"), tables=(Table(caption, columns, body, note),)),)


def _metric_cells(t: Tongue, row: EffectRow) -> tuple[Cell, ...]:
    low, high = headline_interval(row)
    metric = so_far(row.metric)
    figures = (
        (row.mean_treated, False),
        (row.mean_holdout, False),
        (row.effect_per_customer, True),
        (low, True),
        (high, True),
    )
    return (
        Cell(metric_name(t, metric)),
        Cell(arm_name(t, row.arm)),
        Cell(arm_name(t, row.against)),
        Cell(metric_unit(t, metric), tone="muted"),
        *(Cell(metric_text(t, metric, v, signed=signed), v) for v, signed in figures),
        relative_cell(t, row),
        Cell(t.p_value(row.p_value), row.p_value),
    )
