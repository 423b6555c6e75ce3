"""Has it paid for itself: cumulative margin against cost, by month. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.report import charts
from loyalty_exp.report.parts import (
    estimate_cells,
    money_cell,
    notes_of,
    panel_title,
    titled_arms,
)
from loyalty_exp.report.views import Cell, Column, Figure, Row, Section, Table
from loyalty_exp.report.words import arm_name, interval, money_finding, money_range

if TYPE_CHECKING:
    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["money_section"]


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
                _("extra margin %(money)s") % {"money": money_range(t, last.incremental_margin)},
                _("cost %(money)s") % {"money": t.money(last.cost, step=1.0)},
                arm.economics.payback_month,
                _("paid back"),
            )
        )
        findings.append((arm, money_finding(t, arm.economics)))
    notes = notes_of(t, *(arm.economics.notes for arm in result.arms))
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
        % {"currency": t.currency},
        svg=charts.money(t, panels, said=alt % {"finding": finding}),
        caption=_(
            "Blue: the margin that would not have been earned without the campaign, added up "
            "month after month, with its range. Dashed: what the campaign has cost so far. It "
            "has paid for itself where the blue line stays above the dashed one; it is proven "
            "where the whole range is."
        ),
        table=_money_table(t, result),
    )
    paragraphs = tuple(_cost_sentence(t, result, arm) for arm in result.arms)
    return Section("money", title, paragraphs=paragraphs, figures=(figure,), asides=notes)


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
        parts = [
            _(
                "Cost so far: %(cost)s (fixed %(fixed)s, contacts %(contact)s, rewards used "
                "%(reward)s)."
            )
            % money
        ]
        even = t.money(economics.break_even_per_unit)
        parts.append(
            _("Each treated customer must bring %(money)s of extra margin to cover it.")
            % {"money": even}
        )
    if economics.probability_paid is not None:
        chance = t.chance(economics.probability_paid)
        parts.append(_("Chance that it paid: %(chance)s.") % {"chance": chance})
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
    if len(result.arms) > 1:
        return _("“%(arm)s”: %(text)s") % {"arm": arm_name(t, arm.arm), "text": text}
    return text


def _money_table(t: Tongue, result: CampaignResult) -> Table:
    _ = t.gettext
    columns = [
        Column(_("Month"), numeric=False),
        Column(_("Extra margin"), t.currency),
        Column(_("From"), t.currency),
        Column(_("To"), t.currency),
        Column(_("Cost"), t.currency),
        Column(_("Net result"), t.currency),
        Column(_("From"), t.currency),
        Column(_("To"), t.currency),
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
