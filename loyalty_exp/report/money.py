"""Has it paid for itself: cumulative margin against cost, by month. Draws no markup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import Economics, Estimate, MoneyMonth
from loyalty_exp.report import charts
from loyalty_exp.report.parts import (
    estimate_cells,
    finding_of,
    money_cell,
    of_arm,
    panel_title,
    sentence,
    titled_arms,
)
from loyalty_exp.report.tongue import step_for
from loyalty_exp.report.views import Cell, Column, Figure, Row, Section, Table
from loyalty_exp.report.words import arm_name, interval, money_finding, money_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.measure.results import CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["money_section", "programme_section"]

_ON_ORDERS = ("not determined: the campaign may", "not meaningful: fewer orders")
_ON_RETURN = ("not shown: ", "not meaningful: the campaign added no cost")
"""How remarks on the cost of an order, and on the return, begin."""


def money_section(t: Tongue, result: CampaignResult) -> Section:
    """Cumulative margin against cost with the payback month, and what the cost is made of."""
    _ = t.gettext
    title = _("Has it paid for itself?")
    alt = _(
        "%(finding)s. Cumulative extra margin against cumulative cost, by month; the figures "
        "are in the table below."
    )
    panels, findings = [], []
    for arm in result.arms:
        months = [m for m in arm.economics.months if m.incremental_margin.value is not None]
        points = [
            charts.MoneyPoint(
                m.month,
                m.incremental_margin.value or 0.0,
                m.incremental_margin.lower,
                m.incremental_margin.upper,
                m.cost,
                m.closed,
            )
            for m in months
        ]
        if not points:
            continue
        last = next((m for m in reversed(months) if m.closed), months[-1])
        finding = finding_of(t, arm, money_finding(t, arm.economics))
        panels.append(
            charts.MoneyPanel(
                panel_title(t, result, arm),
                of_arm(t, result, arm, alt % {"finding": finding}),
                points,
                _("margin %(money)s") % {"money": money_range(t, last.incremental_margin)},
                _("cost %(money)s") % {"money": t.money(last.cost, step=1.0)},
                arm.economics.payback_month,
                _("paid back"),
            )
        )
        findings.append((arm, finding))
    notes = _remarks(t, result)
    if not panels:
        text = _("The money cannot be followed by month yet.")
        return Section("money", title, paragraphs=(text,), asides=notes)
    figure = Figure(
        anchor="figure-money",
        title=titled_arms(t, findings),
        subtitle=_(
            "Extra margin earned since the start against cost, all treated customers, in "
            "%(currency)s"
        )
        % {"currency": t.symbol},
        svg=charts.money(t, panels),
        caption=_(
            "Blue: the margin that would not have been earned otherwise, added up month after "
            "month, with its range. Dashed: the cost so far. It has paid for itself where the blue "
            "line stays above the dashed one; it is proven where the whole range is."
        ),
        table=_money_table(t, result),
    )
    tables = (_account(t, result),)
    return Section("money", title, figures=(figure,), tables=tables, asides=notes)


def _remarks(t: Tongue, result: CampaignResult) -> tuple[str, ...]:
    """Remarks on the money; those on one figure with its name in front."""
    _ = t.gettext
    remarks = []
    for note in dict.fromkeys(note for arm in result.arms for note in arm.economics.notes):
        text = t.gettext(note)
        if note.startswith(_ON_ORDERS):
            text = _("Cost of an extra order: %(remark)s") % {"remark": text}
        elif note.startswith(_ON_RETURN):
            text = _("Net return: %(remark)s") % {"remark": text}
        remarks.append(sentence(text))
    return tuple(remarks)


_Line = tuple[str, str, str]
"""An amount and the limits of its range, in words."""


def _account(t: Tongue, result: CampaignResult) -> Table:
    """What was earned, what it cost, what is left: a line each, three columns an arm."""
    _ = t.gettext
    columns = [Column("", numeric=False)]
    for arm in result.arms:
        label = arm_name(t, arm.arm) if len(result.arms) > 1 else _("Amount")
        columns += [Column(label), Column(_("From")), Column(_("To"))]
    accounts = [_lines(t, arm.economics) for arm in result.arms]
    net = _("Net result")
    rows = tuple(
        Row(
            (Cell(name), *(Cell(text) for account in accounts for text in account[name])),
            tone="total" if name == net else "",
        )
        for name in accounts[0]
        if any(account[name] != _NONE for account in accounts)
    )
    caption = _("The account since the start")
    if result.closed_through:
        month = t.month(result.closed_through)
        caption = _("The account to the end of %(month)s") % {"month": month}
    note = _("The price of knowing: the margin that those left out would have brought if treated.")
    return Table(caption, tuple(columns), rows, note)


_NONE = ("–", "", "")


def _lines(t: Tongue, economics: Economics) -> dict[str, _Line]:
    """The lines of an arm's account by name, a dash where there is nothing."""
    _ = t.gettext
    paid = economics.cost > 0
    chance = _NONE
    if economics.probability_paid is not None:
        chance = (t.chance(economics.probability_paid), "", "")
    even = t.money(economics.break_even_per_unit)
    per_unit = _("Net return per %(unit)s spent") % {"unit": t.money(1.0, step=1.0)}
    order = economics.cost_per_incremental_order
    return {
        _("Extra revenue"): _estimated(t, economics.incremental_revenue),
        _("Extra margin"): _estimated(t, economics.incremental_margin),
        _("Fixed cost"): _spent(t, economics.fixed_cost),
        _("Contacts"): _spent(t, economics.contact_cost),
        _("Rewards used"): _spent(t, economics.redemption_cost),
        _("Cost"): _NONE if paid else (_("none declared"), "", ""),
        _("Net result"): _estimated(t, economics.net),
        per_unit: _estimated(t, economics.iroi, 0.01) if paid else _NONE,
        _("Chance that it paid, were this the only reading"): chance,
        _("Extra margin needed per treated customer"): (even, "", "") if paid else _NONE,
        _("Cost of an extra order"): _estimated(t, order, 0.01) if paid else _NONE,
        _("Price of knowing, not in the net result"): _estimated(
            t, economics.holdout_opportunity_cost
        ),
    }


def _spent(t: Tongue, cost: float) -> _Line:
    return (t.money(-cost, step=1.0), "", "") if cost else _NONE


def _estimated(t: Tongue, estimate: Estimate, step: float | None = None) -> _Line:
    """An amount and its range, rounded as the range can bear."""
    step = step_for(estimate.lower, estimate.upper) if step is None else step
    figures = (estimate.value, estimate.lower, estimate.upper)
    if estimate.value is None:
        return _NONE
    value, lower, upper = (t.money(figure, step=step) for figure in figures)
    return value, lower, upper


def _money_table(t: Tongue, result: CampaignResult) -> Table:
    _ = t.gettext
    columns = [
        Column(_("Month"), numeric=False),
        Column(_("Extra margin"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("Cost"), t.symbol),
        Column(_("Net result"), t.symbol),
        Column(_("From"), t.symbol),
        Column(_("To"), t.symbol),
        Column(_("State"), numeric=False),
    ]
    several = len(result.arms) > 1
    if several:
        columns.insert(1, Column(_("Version"), numeric=False))
    rows = []
    for arm in result.arms:
        for month in arm.economics.months:
            cells = [
                Cell(t.month(month.month)),
                *estimate_cells(t, month.incremental_margin),
                money_cell(t, month.cost),
                *estimate_cells(t, month.net),
                Cell(_("closed") if month.closed else _("open, provisional")),
            ]
            if several:
                cells.insert(1, Cell(arm_name(t, arm.arm)))
            rows.append(Row(tuple(cells)))
    return Table(_("Cumulative money at the end of each month"), tuple(columns), tuple(rows))


def programme_section(
    t: Tongue, universal: CampaignResult, campaigns: Sequence[CampaignResult]
) -> Section:
    """The whole programme's margin by month against what its campaigns cost together."""
    arm = universal.arms[0]
    plan = universal.plan
    inside = [c for c in campaigns if plan.start <= c.plan.start <= plan.measure_until]
    months = tuple(_with_cost(month, inside) for month in arm.economics.months)
    closed = [month for month in months if month.closed]
    cost = closed[-1].cost if closed else 0.0
    economics: Economics = replace(
        arm.economics,
        fixed_cost=cost,
        contact_cost=0.0,
        redemption_cost=0.0,
        payback_month=_covered(closed, [month.net.value for month in closed]),
        payback_month_lower=_covered(closed, [month.net.lower for month in closed]),
        months=months,
        notes=(),
    )
    whole = replace(universal, arms=(replace(arm, economics=economics),))
    section = money_section(t, whole)
    lost = economics.holdout_opportunity_cost
    text = t.gettext(
        "Leaving customers out of everything has cost %(money)s of margin so far (%(interval)s): "
        "the price of knowing."
    )
    texts = (text % {"money": money_range(t, lost), "interval": interval(t, lost)},)
    return replace(
        section,
        title=t.gettext("Has the programme paid for itself?"),
        tables=(),
        asides=texts if lost.lower is not None else (),
    )


def _with_cost(month: MoneyMonth, campaigns: Sequence[CampaignResult]) -> MoneyMonth:
    """A month of the programme with what all campaigns had cost by then."""
    cost = 0.0
    for campaign in campaigns:
        for arm in campaign.arms:
            until = [m.cost for m in arm.economics.months if m.month <= month.month]
            cost += until[-1] if until else 0.0
    margin = month.incremental_margin
    net = Estimate(*(None if v is None else v - cost for v in _limits(margin)))
    return replace(month, cost=cost, net=net)


def _limits(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.lower, estimate.upper


def _covered(months: Sequence[MoneyMonth], nets: Sequence[float | None]) -> str | None:
    """The first month from which the net result stays at or above zero."""
    first = None
    for month, net in zip(months, nets, strict=True):
        if net is None or net < 0:
            first = None
        elif first is None:
            first = month.month
    return first
