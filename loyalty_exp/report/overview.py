"""The first page: every campaign with its verdict, sorted by money, and how fresh the data are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.measure.results import CheckStatus, VerdictKind
from loyalty_exp.report import rowcharts
from loyalty_exp.report.campaign import arm_verdicts, campaign_file, explanation
from loyalty_exp.report.parts import money_cell, units_of
from loyalty_exp.report.provenance import foot
from loyalty_exp.report.views import (
    Cell,
    Column,
    Figure,
    Fold,
    Foot,
    KeyFigure,
    Notice,
    Page,
    Row,
    Section,
    Table,
    VerdictLine,
)
from loyalty_exp.report.words import arm_name, decision, money_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = [
    "by_chance",
    "campaigns_section",
    "caveat_notices",
    "data_section",
    "forest_figure",
    "index_page",
    "lines_by_money",
    "lines_table",
    "programme_verdict",
    "shared_foot",
    "stake",
]

_UNFOLDED = 25
"""Lines shown before the rest is folded."""
_DRAWN = 12
_GOOD = (VerdictKind.KEEP, VerdictKind.ENLARGE)
_DECIDED = (*_GOOD, VerdictKind.STOP, VerdictKind.SUSPENDED)

Line = tuple["CampaignResult", "ArmResult"]


def index_page(t: Tongue, results: Sequence[CampaignResult], project: str) -> Page:
    """The first page of the site."""
    _ = t.gettext
    sections = [campaigns_section(t, results)] if results else []
    if results:
        sections.append(data_section(t, results))
    return Page(
        name="index.html",
        kind="index",
        language=t.language,
        title=_("Campaigns · %(project)s") % {"project": project},
        eyebrow=project,
        heading=_("Do our campaigns earn money?"),
        standfirst=_("Every campaign is compared with customers left out of it on purpose."),
        notices=(*caveat_notices(t, results), *_failed(t, results)),
        verdicts=programme_verdict(t, results),
        key_figures=_key_figures(t, results),
        explained=explanation(t, results),
        sections=tuple(sections),
        foot=shared_foot(t, results, project),
    )


def caveat_notices(t: Tongue, results: Sequence[CampaignResult]) -> tuple[Notice, ...]:
    """What must be known of the data before any figure, each remark once."""
    caveats = tuple(dict.fromkeys(t.gettext(r.caveat) for r in results if r.caveat))
    return (Notice("caveat", t.gettext("About these data"), caveats),) if caveats else ()


def shared_foot(t: Tongue, results: Sequence[CampaignResult], project: str) -> Foot:
    """The provenance of a page over several campaigns: that of the freshest."""
    if not results:
        return Foot((), "", project)
    freshest = max(results, key=lambda result: result.provenance.data_through)
    return foot(t, freshest, alone=False)


def lines_by_money(results: Sequence[CampaignResult]) -> list[Line]:
    """Campaigns and their arms, the most money first, the unknown last."""
    lines = [(result, arm) for result in results for arm in result.arms]

    def money(line: Line) -> tuple[bool, float]:
        value = line[1].verdict.net.value
        return value is None, -(value or 0.0)

    return sorted(lines, key=money)


def programme_verdict(t: Tongue, results: Sequence[CampaignResult]) -> tuple[VerdictLine, ...]:
    """One sentence over all campaigns: how many earn, how many lose, how many are not known."""
    _ = t.gettext
    if not results:
        return (VerdictLine(_("No campaign has been launched yet."), "", "mixed"),)
    if len(results) == 1:
        return arm_verdicts(t, results[0])
    best = [_summary_kind(result) for result in results]
    parts = [_("Of %(n)s campaigns") % {"n": len(results)}]
    counts = (
        (sum(k in _GOOD for k in best), _("%(n)s earns money"), _("%(n)s earn money")),
        (best.count(VerdictKind.STOP), _("%(n)s loses money"), _("%(n)s lose money")),
        (
            best.count(VerdictKind.SUSPENDED),
            _("%(n)s is suspended by a failed check"),
            _("%(n)s are suspended by a failed check"),
        ),
    )
    known = [(one if n == 1 else many) % {"n": n} for n, one, many in counts if n]
    never = best.count(VerdictKind.NEVER)
    if never:
        text = t.ngettext(
            "%(n)s will not be known from its test",
            "%(n)s will not be known from their tests",
            never,
        )
        known.append(text % {"n": never})
    unknown = sum(k not in _DECIDED for k in best) - never
    if unknown:
        text = t.ngettext("%(n)s is not known yet", "%(n)s are not known yet", unknown)
        known.append(text % {"n": unknown})
    text = _("%(start)s, %(list)s.") % {"start": parts[0], "list": t.listed(known)}
    return (VerdictLine(text, "", "mixed"),)


def _summary_kind(result: CampaignResult) -> VerdictKind:
    """A campaign's kind: suspended if any arm is, else the first decided arm's in draw order."""
    kinds = [arm.verdict.kind for arm in result.arms]
    if VerdictKind.SUSPENDED in kinds:
        return VerdictKind.SUSPENDED
    decided = [kind for kind in kinds if kind in _DECIDED]
    return next(iter(decided or kinds), VerdictKind.NO_DATA)


def _failed(t: Tongue, results: Sequence[CampaignResult]) -> tuple[Notice, ...]:
    """Campaigns with a failed check: named on the first page too."""
    _ = t.gettext
    names = tuple(
        result.plan.name
        for result in results
        if any(check.status is CheckStatus.FAILED for check in result.checks)
    )
    if not names:
        return ()
    title = t.ngettext(
        "A check has failed in this campaign", "Checks have failed in these campaigns", len(names)
    )
    return (Notice("failed", title, (t.listed(names),)),)


def _key_figures(t: Tongue, results: Sequence[CampaignResult]) -> tuple[KeyFigure, ...]:
    _ = t.gettext
    if not results:
        return ()
    cost = sum(arm.economics.cost for result in results for arm in result.arms)
    units = sum(units_of(result, arm) for result in results for arm in result.plan.arms)
    fresh = max(result.provenance.data_through for result in results)
    until = _("by data until %(day)s") % {"day": t.date_short(fresh)}
    return (
        KeyFigure(_("Campaigns"), t.number(len(results)), "", until),
        KeyFigure(_("Cost"), t.money(cost, step=1.0), "", _("of all campaigns so far")),
        KeyFigure(
            _("Customers drawn"), t.number(units), "", _("one customer may be in several campaigns")
        ),
    )


def campaigns_section(t: Tongue, results: Sequence[CampaignResult]) -> Section:
    """Campaigns as a forest and a table sorted by money; all but the largest folded when many."""
    _ = t.gettext
    lines = lines_by_money(results)
    figures = forest_figure(t, lines)
    shown = lines if len(lines) <= _UNFOLDED else _largest(lines)
    tables = (lines_table(t, shown),) if shown else ()
    folds = tuple(_rest(t, [line for line in lines if line not in shown]))
    return Section(
        "campaigns",
        _("Campaigns"),
        figures=figures,
        tables=tables,
        asides=by_chance(t, results),
        folds=folds,
    )


def by_chance(t: Tongue, results: Sequence[CampaignResult]) -> tuple[str, ...]:
    """How many of several campaigns chance would decide; nothing where fewer than two are read."""
    _ = t.gettext
    risks = [r.plan.alpha for r in results if any(a.verdict.net.lower is not None for a in r.arms)]
    if len(risks) < 2:
        return ()
    text = _(
        "Each campaign is judged on its own, at a risk of error of %(risk)s over all its readings. "
        "Had none of these %(n)s any effect, chance would still decide %(wrong)s of them on "
        "average."
    )
    risk, wrong = t.percent(max(risks)), t.number(sum(risks), 2)
    return (text % {"risk": risk, "n": t.number(len(risks)), "wrong": wrong},)


def stake(line: Line) -> float:
    """The most money that a line may mean, in currency."""
    net = line[1].verdict.net
    return max(abs(net.lower or 0.0), abs(net.upper or 0.0))


def _largest(lines: Sequence[Line]) -> list[Line]:
    """The suspended lines and the decided ones with the most money at stake, order kept."""
    decided = [line for line in lines if line[1].verdict.kind in _DECIDED]
    suspended = [line for line in decided if line[1].verdict.kind is VerdictKind.SUSPENDED]
    others = [line for line in decided if line not in suspended]
    kept = suspended + sorted(others, key=stake, reverse=True)[:_UNFOLDED]
    return [line for line in decided if line in kept]


def _rest(t: Tongue, lines: Sequence[Line]) -> Iterator[Fold]:
    """The lines that are not shown at first, folded by what their verdict says."""
    gains = [line for line in lines if line[1].verdict.kind in _GOOD]
    losses = [line for line in lines if line[1].verdict.kind is VerdictKind.STOP]
    open_ = [line for line in lines if line[1].verdict.kind not in _DECIDED]
    titles = (
        (gains, t.ngettext("%(n)s more that earns", "%(n)s more that earn", len(gains))),
        (losses, t.ngettext("%(n)s more that loses", "%(n)s more that lose", len(losses))),
        (open_, t.ngettext("%(n)s more, undecided", "%(n)s more, undecided", len(open_))),
    )
    for group, title in titles:
        if group:
            yield Fold(title % {"n": len(group)}, tables=(lines_table(t, group),))


def lines_table(t: Tongue, lines: Sequence[Line]) -> Table:
    """Campaigns with verdict, net result, cost and closed months, in the order given."""
    _ = t.gettext
    columns = (
        Column(_("Campaign"), numeric=False),
        Column(_("Verdict"), numeric=False),
        Column(_("Net result"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("Cost"), t.symbol),
        Column(_("Months closed")),
    )
    caption = _("Campaigns by net result, most money first")
    note = _(
        "Do not add these lines up: one order may follow two campaigns. The total of the programme "
        "needs customers left out of everything."
    )
    return Table(caption, columns, tuple(_row(t, line) for line in lines), note)


def _label(t: Tongue, line: Line) -> str:
    result, arm = line
    if len(result.arms) == 1:
        return result.plan.name
    return f"{result.plan.name} · {arm_name(t, arm.arm)}"


def forest_figure(
    t: Tongue, lines: Sequence[Line], *, drawn: int = _DRAWN, table: Table | None = None
) -> tuple[Figure, ...]:
    """Net results with their ranges; the largest sums at stake when there are many."""
    _ = t.gettext
    known = [
        line
        for line in lines
        if line[1].verdict.net.lower is not None
        and line[1].verdict.kind is not VerdictKind.SUSPENDED
    ]
    if len(known) < 2:
        return ()
    largest = sorted(known, key=stake, reverse=True)[:drawn]
    kept = [line for line in known if line in largest]
    rows = [
        rowcharts.ForestRow(
            _label(t, line),
            f"{money_range(t, line[1].verdict.net)} · {decision(t, line[1].verdict.kind)}",
            line[1].verdict.net.value,
            line[1].verdict.net.lower,
            line[1].verdict.net.upper,
        )
        for line in kept
    ]
    finding = _proven(t, known)
    said = "; ".join(f"{row.label} {row.text}" for row in rows[:6])
    caption = _(
        "Each line is a campaign's net result so far and its range; the dotted line is zero."
    )
    if len(kept) < len(known):
        more = _("The %(drawn)s with the most money at stake are drawn; all are in the table.")
        caption = f"{caption} {more % {'drawn': len(kept)}}"
    return (
        Figure(
            anchor="figure-campaigns",
            title=finding,
            subtitle=_("Net result of each campaign since its start, in %(currency)s")
            % {"currency": t.symbol},
            svg=rowcharts.forest(t, rows, said=f"{finding}. {said}"),
            caption=caption,
            table=table,
        ),
    )


def _proven(t: Tongue, lines: Sequence[Line]) -> str:
    """How many results are proven, gains and losses."""
    _ = t.gettext
    gains = sum((line[1].verdict.net.lower or 0.0) > 0 for line in lines)
    losses = sum((line[1].verdict.net.upper or 0.0) < 0 for line in lines)
    if not gains and not losses:
        return _("None of the %(n)s results is proven") % {"n": len(lines)}
    gain = t.ngettext("%(n)s proven gain", "%(n)s proven gains", gains) % {"n": gains}
    loss = t.ngettext("%(n)s proven loss", "%(n)s proven losses", losses) % {"n": losses}
    parts = [text for text, n in ((gain, gains), (loss, losses)) if n]
    text = _("%(proven)s of %(of)s results")
    return text % {"proven": t.listed(parts), "of": len(lines)}


def _row(t: Tongue, line: Line) -> Row:
    result, arm = line
    net = arm.verdict.net
    closed = len({row.month for row in result.rows if row.closed and row.month != "cumulative"})
    planned = t.gettext("%(closed)s of %(planned)s")
    figures = [
        money_cell(t, net.value, signed=True),
        money_cell(t, net.lower),
        money_cell(t, net.upper),
    ]
    if arm.verdict.kind is VerdictKind.SUSPENDED:
        figures = [Cell("–", None, tone="muted")] * 3
    return Row(
        (
            Cell(_label(t, line), href=campaign_file(result.campaign)),
            Cell(decision(t, arm.verdict.kind), tone="strong"),
            *figures,
            money_cell(t, arm.economics.cost),
            Cell(planned % {"closed": closed, "planned": result.plan.looks}, closed),
        )
    )


def data_section(t: Tongue, results: Sequence[CampaignResult]) -> Section:
    """What was loaded, what was set aside, how fresh it is."""
    _ = t.gettext
    columns = (
        Column(_("Data"), numeric=False),
        Column(_("File"), numeric=False),
        Column(_("Rows read")),
        Column(_("Rows loaded")),
        Column(_("Rows set aside")),
        Column(_("Rows ignored")),
        Column("SHA-256", numeric=False),
    )
    loads = dict.fromkeys(load for result in results for load in result.provenance.loads)
    rows = tuple(
        Row(
            (
                Cell(t.gettext(load.what)),
                Cell(load.name),
                Cell(t.number(load.rows_read), load.rows_read),
                Cell(t.number(load.rows_loaded), load.rows_loaded),
                Cell(t.number(load.rows_set_aside), load.rows_set_aside),
                Cell(t.number(load.rows_ignored), load.rows_ignored),
                Cell(load.digest[:12], tone="muted"),
            )
        )
        for load in loads
    )
    fresh = max(result.provenance.data_through for result in results)
    aside = sum(load.rows_set_aside for load in loads)
    text = t.ngettext(
        "The data reach to %(day)s (the last order, or the declared day of the export); %(n)s row "
        "was set aside and counted, none dropped in silence.",
        "The data reach to %(day)s (the last order, or the declared day of the export); %(n)s rows "
        "were set aside and counted, none dropped in silence.",
        aside,
    ) % {"day": t.date(fresh), "n": t.number(aside)}
    tables = (Table(_("Files loaded"), columns, rows),) if rows else ()
    return Section("data", _("Data"), paragraphs=(text,), tables=tables)
