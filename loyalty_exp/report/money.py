"""Has it paid for itself: cumulative margin against cost, by month. Draws no markup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import Economics, Estimate, MoneyMonth
from loyalty_exp.report import charts
from loyalty_exp.report.parts import (
    estimate_cells,
    money_cell,
    of_arm,
    panel_title,
    sentence,
    titled_arms,
)
from loyalty_exp.report.views import Cell, Column, Figure, Row, Section, Table
from loyalty_exp.report.words import arm_name, interval, money_finding, money_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["money_section", "programme_section"]

_ON_ORDERS = ("not determined: the campaign may", "not meaningful: fewer orders")
_ON_RETURN = ("not shown: ", "not meaningful: the campaign added no cost")
"""How remarks on the cost of an order, and on the return, begin."""


def money_section(t: Tongue, result: CampaignResult) -> Section:
    """Cumulative margin against cost with the payback month, and what the cost is made of."""
    _ = t.gettext
    title = _("Has it paid for itself?")
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
        last = months[-1]
        panels.append(
            charts.MoneyPanel(
                panel_title(t, result, arm),
                points,
                _("margin %(money)s") % {"money": money_range(t, last.incremental_margin)},
                _("cost %(money)s") % {"money": t.money(last.cost, step=1.0)},
                arm.economics.payback_month,
                _("paid back"),
            )
        )
        findings.append((arm, money_finding(t, arm.economics)))
    notes = _remarks(t, result)
    if not panels:
        text = _("The money cannot be followed by month yet.")
        return Section("money", title, paragraphs=(text,), asides=notes)
    finding = titled_arms(t, findings)
    alt = _(
        "%(finding)s. Cumulative extra margin against cumulative cost, by month; the figures "
        "are in the table below."
    )
    figure = Figure(
        anchor="figure-money",
        title=finding,
        subtitle=_(
            "Extra margin earned since the start against cost, all treated customers, in "
            "%(currency)s"
        )
        % {"currency": t.symbol},
        svg=charts.money(t, panels, said=alt % {"finding": finding}),
        caption=_(
            "Blue: the margin that would not have been earned otherwise, added up month after "
            "month, with its range. Dashed: the cost so far. It has paid for itself where the blue "
            "line stays above the dashed one; it is proven where the whole range is."
        ),
        table=_money_table(t, result),
    )
    paragraphs = tuple(_cost_sentence(t, result, arm) for arm in result.arms)
    return Section("money", title, paragraphs=paragraphs, figures=(figure,), asides=notes)


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


def _cost_sentence(t: Tongue, result: CampaignResult, arm: ArmResult) -> str:
    """What the cost is made of, the chance that it paid, what an extra order costs."""
    _ = t.gettext
    economics = arm.economics
    money = {
        "cost": t.money(economics.cost, step=1.0),
        "fixed": t.money(economics.fixed_cost, step=1.0),
        "contact": t.money(economics.contact_cost, step=1.0),
        "reward": t.money(economics.redemption_cost, step=1.0),
    }
    parts = [_("No cost is declared.")]
    if economics.cost:
        text = _("Cost so far: %(cost)s.")
        if economics.contact_cost or economics.redemption_cost:
            text = _(
                "Cost so far: %(cost)s (fixed %(fixed)s, contacts %(contact)s, rewards used "
                "%(reward)s)."
            )
        parts = [text % money]
        even = t.money(economics.break_even_per_unit)
        parts.append(
            _("Each treated customer must bring %(money)s of extra margin to cover it.")
            % {"money": even}
        )
    if economics.probability_paid is not None:
        chance = t.chance(economics.probability_paid)
        parts.append(
            _("Chance that it paid, were this the only reading: %(chance)s.") % {"chance": chance}
        )
    order = economics.cost_per_incremental_order
    if (
        order.value is not None
        and order.lower is not None
        and order.upper is not None
        and economics.cost
    ):
        text = _("An extra order costs %(money)s (%(interval)s).")
        between = t.between(t.money(order.lower), t.money(order.upper))
        parts.append(text % {"money": t.money(order.value), "interval": between})
    lost = economics.holdout_opportunity_cost
    if lost.value is not None and lost.lower is not None:
        text = _(
            "Leaving customers out on purpose has cost %(money)s of margin so far "
            "(%(interval)s): the price of knowing."
        )
        parts.append(text % {"money": money_range(t, lost), "interval": interval(t, lost)})
    text = " ".join(parts)
    return of_arm(t, result, arm, text)


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
    nothing = Estimate(None, None, None)
    economics: Economics = replace(
        arm.economics,
        fixed_cost=cost,
        contact_cost=0.0,
        redemption_cost=0.0,
        probability_paid=None,
        cost_per_incremental_order=nothing,
        break_even_per_unit=cost / arm.n_treated if arm.n_treated else 0.0,
        payback_month=_covered(closed, [month.net.value for month in closed]),
        payback_month_lower=_covered(closed, [month.net.lower for month in closed]),
        months=months,
        notes=(),
    )
    whole = replace(universal, arms=(replace(arm, economics=economics),))
    section = money_section(t, whole)
    return replace(section, title=t.gettext("Has the programme paid for itself?"))


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
