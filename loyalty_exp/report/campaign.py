"""The page of one campaign, from its result: what it earned, then the proof. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.measure.results import CheckStatus, VerdictKind
from loyalty_exp.report.checks import check_sentence
from loyalty_exp.report.evidence import (
    checks_section,
    fading_section,
    plan_section,
    robustness_section,
)
from loyalty_exp.report.flow import flow_section
from loyalty_exp.report.metrics import metric_name, metric_text, metric_unit, so_far
from loyalty_exp.report.money import money_section
from loyalty_exp.report.months import months_section
from loyalty_exp.report.parts import (
    cumulative,
    drawn_elsewhere,
    headline_interval,
    money_cell,
    notes_of,
    relative_cell,
    units_of,
    waves,
)
from loyalty_exp.report.provenance import foot, how_section
from loyalty_exp.report.responses import decomposition_section, metrics_fold, segments_section
from loyalty_exp.report.views import (
    Cell,
    Column,
    KeyFigure,
    Notice,
    Page,
    Row,
    Section,
    Table,
    VerdictLine,
)
from loyalty_exp.report.words import (
    arm_name,
    deviation_sentence,
    first_reading,
    interval,
    money_range,
    verdict_line,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["arm_verdicts", "arms_summary", "campaign_file", "campaign_page", "explanation"]


def campaign_file(campaign: str) -> str:
    """File name of a campaign's page."""
    return f"campaign-{campaign}.html"


def campaign_page(t: Tongue, result: CampaignResult) -> Page:
    """The page of a campaign, in the order a doubter would ask."""
    measured: tuple[Section | None, ...] = (
        money_section(t, result),
        arms_section(t, result),
        segments_section(t, result),
        decomposition_section(t, result),
        fading_section(t, result),
    )
    begun = result.closed_through is not None
    sections = (
        months_section(t, result),
        *(measured if begun else ()),
        flow_section(t, result),
        checks_section(t, result),
        *((robustness_section(t, result),) if begun else ()),
        plan_section(t, result),
        how_section(t, result),
    )
    return _page(t, result, tuple(section for section in sections if section is not None))


def arms_summary(t: Tongue, result: CampaignResult) -> Page:
    """A campaign's verdict and its arms alone, without a chart."""
    return _page(t, result, (arms_section(t, result),))


def _page(t: Tongue, result: CampaignResult, sections: tuple[Section, ...]) -> Page:
    _ = t.gettext
    plan = result.plan
    dates = _("%(start)s to %(end)s") % {"start": t.date(plan.start), "end": t.date(plan.end)}
    return Page(
        name=campaign_file(result.campaign),
        kind="campaign",
        language=t.language,
        title=f"{plan.name} · {plan.project}",
        eyebrow=" · ".join((plan.project, _("Campaign"), dates)),
        heading=plan.name,
        standfirst=plan.hypothesis,
        notices=_notices(t, result),
        verdicts=arm_verdicts(t, result),
        key_figures=_key_figures(t, result),
        explained=explanation(t, [result]),
        sections=sections,
        foot=foot(t, result),
    )


def explanation(t: Tongue, results: Sequence[CampaignResult] = ()) -> str:
    """What customers left out on purpose are, and how sure a range is: said once on every page."""
    _ = t.gettext
    level = 1 - max((result.plan.alpha for result in results), default=0.05)
    drawn = _(
        "Customers left out on purpose were drawn at random and receive nothing; what the "
        "others buy more or less than they do is what the campaign caused."
    )
    if any(drawn_elsewhere(result) for result in results):
        drawn = _(
            "Customers left out on purpose receive nothing; what the others buy more or less than "
            "they do is what the campaign caused, provided that chance alone chose them. Where "
            "the split was made elsewhere, nobody can check that here."
        )
    range_ = _(
        "“Between X and Y”: the range that holds in %(n)s of 100 such tests; proven means that the "
        "whole range says so."
    ) % {"n": t.number(100 * level, 0 if level * 100 % 1 < 1e-9 else 1)}
    return f"{drawn} {range_}"


def arm_verdicts(t: Tongue, result: CampaignResult) -> tuple[VerdictLine, ...]:
    """One verdict sentence an arm, or one alone when a failed check suspends them all."""
    _ = t.gettext
    lines: list[VerdictLine] = []
    reading = t.date(first_reading(result.plan))
    several = len(result.arms) > 1
    for arm in result.arms:
        name = arm_name(t, arm.arm) if several else result.plan.name
        subject = _("“%(arm)s”") % {"arm": name}
        reason = _suspension(t, result, arm)
        line = verdict_line(t, subject, arm.verdict, reason=reason, reading=reading)
        if line.text not in [known.text for known in lines]:
            lines.append(line)
    if lines and all(arm.verdict.kind is VerdictKind.NO_DATA for arm in result.arms):
        name = _("“%(arm)s”") % {"arm": result.plan.name}
        line = verdict_line(t, name, result.arms[0].verdict, reading=reading)
        return (line,)
    return tuple(lines)


def _suspension(t: Tongue, result: CampaignResult, arm: ArmResult) -> tuple[str, str]:
    """The sentence of the first failed check that suspends an arm's verdict, and what to do."""
    if arm.verdict.kind is not VerdictKind.SUSPENDED:
        return "", ""
    checks = {check.name: check for check in result.checks}
    named = [checks[reason] for reason in arm.verdict.reasons if reason in checks]
    failed = [c for c in result.checks if c.status is CheckStatus.FAILED and c.critical]
    for check in (*named, *failed):
        sentence = check_sentence(t, check)
        return sentence.text, sentence.advice
    return (t.gettext(arm.verdict.reasons[0]) if arm.verdict.reasons else ""), ""


def _notices(t: Tongue, result: CampaignResult) -> tuple[Notice, ...]:
    """What must not be overlooked: caveat, failed checks, changes after launch."""
    _ = t.gettext
    notices = []
    if result.caveat:
        notices.append(Notice("caveat", _("About these data"), (t.gettext(result.caveat),)))
    told = {_suspension(t, result, arm)[0] for arm in result.arms}
    failed = [check_sentence(t, c) for c in result.checks if c.status is CheckStatus.FAILED]
    lines = tuple(sentence.text for sentence in failed if sentence.text not in told)
    if lines:
        title = t.ngettext("A check has failed", "%(n)s checks have failed", len(lines))
        notices.append(Notice("failed", title % {"n": len(lines)}, lines))
    if result.deviations:
        title = _("Changed after launch (post hoc): the frozen plan stands")
        lines = tuple(deviation_sentence(t, deviation) for deviation in result.deviations)
        notices.append(Notice("deviation", title, lines))
    return tuple(notices)


def _key_figures(t: Tongue, result: CampaignResult) -> tuple[KeyFigure, ...]:
    """Four figures at most: net result, return per unit of money spent, customers, months."""
    figures: list[KeyFigure] = []
    if result.closed_through is not None and len(result.arms) <= 2:
        figures = [_net_figure(t, result, arm) for arm in result.arms]
        only = result.arms[0]
        if len(result.arms) == 1 and only.verdict.kind is not VerdictKind.SUSPENDED:
            figures.append(_return_figure(t, only))
    return (*figures, _customers_figure(t, result), _months_figure(t, result))


def _customers_figure(t: Tongue, result: CampaignResult) -> KeyFigure:
    """Customers of all waves, and how the holdout was chosen."""
    _ = t.gettext
    held = units_of(result, result.plan.holdout)
    drawn = _("drawn at random for %(day)s") % {"day": t.date_short(result.plan.start)}
    if drawn_elsewhere(result):
        drawn = _("split made elsewhere")
    elif waves(result) > 1:
        drawn = _("drawn at random in %(n)s waves") % {"n": waves(result)}
    return KeyFigure(
        _("Customers in the test"),
        t.number(sum(units_of(result, arm) for arm in result.plan.arms)),
        _("of whom %(n)s left out on purpose") % {"n": t.number(held)},
        drawn,
    )


def _months_figure(t: Tongue, result: CampaignResult) -> KeyFigure:
    _ = t.gettext
    plan = result.plan
    closed = len({row.month for row in result.rows if row.closed and row.month != "cumulative"})
    last = _("first reading on %(day)s") % {"day": t.date_short(first_reading(plan))}
    if result.closed_through:
        last = _("last closed: %(month)s") % {"month": t.month(result.closed_through)}
    closes = t.ngettext(
        "a month closes %(n)s day after its end",
        "a month closes %(n)s days after its end",
        plan.settle_days,
    )
    return KeyFigure(
        _("Months closed"),
        _("%(closed)s of %(planned)s") % {"closed": closed, "planned": plan.looks},
        last,
        closes % {"n": plan.settle_days},
    )


def _net_figure(t: Tongue, result: CampaignResult, arm: ArmResult) -> KeyFigure:
    _ = t.gettext
    label = _("Net result")
    if len(result.arms) > 1:
        label = _("Net result, “%(arm)s”") % {"arm": arm_name(t, arm.arm)}
    if arm.verdict.kind is VerdictKind.SUSPENDED:
        return KeyFigure(label, _("suspended"), _("by a failed check"), _("not to be used"))
    net = arm.verdict.net if arm.verdict.net.value is not None else arm.economics.net
    until = t.gettext("no closed month yet")
    if arm.verdict.month:
        until = _("to the end of %(month)s") % {"month": t.month(arm.verdict.month)}
    return KeyFigure(label, money_range(t, net), interval(t, net), until)


def _return_figure(t: Tongue, arm: ArmResult) -> KeyFigure:
    _ = t.gettext
    iroi = arm.economics.iroi
    if iroi.lower is None or iroi.upper is None:
        text = _("no interval: too little data") if arm.economics.cost else _("no cost declared")
    else:
        text = t.between(t.money(iroi.lower), t.money(iroi.upper))
    label = _("Net return per %(unit)s spent") % {"unit": t.money(1.0, step=1.0)}
    cost = _("on a cost of %(cost)s") % {"cost": t.money(arm.economics.cost, step=1.0)}
    return KeyFigure(label, t.money(iroi.value), text, cost)


def arms_section(t: Tongue, result: CampaignResult) -> Section:
    """Treated arms, the holdout's row beside; every metric folded under."""
    _ = t.gettext
    metric = so_far(result.plan.metric)
    unit = metric_unit(t, metric)
    plan = result.plan
    columns = (
        Column(_("Version"), numeric=False),
        Column(_("Customers")),
        Column(_("Average"), unit, hint=metric_name(t, metric)),
        Column(_("Effect"), unit),
        Column(_("From"), unit),
        Column(_("To"), unit),
        Column(_("Relative"), _("% of left out")),
        Column(_("Net result"), t.symbol),
    )
    rows, notes = [], []
    holdout_mean = None
    for arm in result.arms:
        row = cumulative(result, arm.arm)
        if row is None:
            empty = tuple(Cell("–") for _unused in range(5))
            units = Cell(t.number(arm.n_treated), arm.n_treated)
            rows.append(Row((Cell(arm_name(t, arm.arm)), units, *empty, Cell("–"))))
            continue
        holdout_mean = row.mean_holdout
        low, high = headline_interval(row)
        rows.append(
            Row(
                (
                    Cell(arm_name(t, arm.arm)),
                    Cell(t.number(row.n_treated), row.n_treated),
                    Cell(metric_text(t, metric, row.mean_treated), row.mean_treated),
                    Cell(
                        metric_text(t, metric, row.effect_per_customer, signed=True),
                        row.effect_per_customer,
                    ),
                    Cell(metric_text(t, metric, low, signed=True), low),
                    Cell(metric_text(t, metric, high, signed=True), high),
                    relative_cell(t, row),
                    money_cell(t, arm.economics.net.value, signed=True),
                )
            )
        )
        notes.append((row.notes,) if row.notes else ())
    blank = tuple(Cell("") for _unused in range(5))
    left_out = units_of(result, plan.holdout)
    rows.append(
        Row(
            (
                Cell(arm_name(t, "holdout")),
                Cell(t.number(left_out), left_out),
                Cell(metric_text(t, metric, holdout_mean), holdout_mean),
                *blank,
            ),
            tone="holdout",
        )
    )
    title = (
        _("Treated and left out, side by side")
        if len(result.arms) == 1
        else _("The versions side by side")
    )
    caption = _(
        "Since the start, closed months only: %(metric)s per customer, all drawn customers "
        "counted, buyers or not"
    ) % {"metric": metric_name(t, metric)}
    note = _(
        "From, to: the range valid at every monthly reading. Relative: the effect over the average "
        "of customers left out, and its range at this reading alone."
    )
    table = Table(caption, columns, tuple(rows), note)
    asides = notes_of(t, *notes)
    return Section("arms", title, tables=(table,), asides=asides, folds=metrics_fold(t, result))
