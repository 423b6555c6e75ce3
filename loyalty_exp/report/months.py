"""Effect of each month with its band, and when the verdict fell. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.measure.results import VerdictKind
from loyalty_exp.report import charts
from loyalty_exp.report.metrics import is_money, metric_name, metric_unit
from loyalty_exp.report.parts import (
    by_month,
    effect_cells,
    finding_of,
    of_arm,
    panel_title,
    sentence,
    titled_arms,
)
from loyalty_exp.report.views import Cell, Column, Figure, Row, Section, Table
from loyalty_exp.report.words import arm_name, first_reading, monthly_finding

if TYPE_CHECKING:
    from loyalty_exp.measure.results import CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["months_section"]


def months_section(t: Tongue, result: CampaignResult) -> Section:
    """Effect of each month with its band: open months hollow, looks marked."""
    _ = t.gettext
    metric = result.plan.metric
    name = metric_name(t, metric)
    alt = _(
        "%(finding)s. Effect per customer on %(metric)s by month; the figures are in the table "
        "below."
    )
    panels, findings = [], []
    for arm in result.arms:
        rows = by_month(result, arm.arm)
        points = [
            charts.BandPoint(
                row.month,
                row.effect_per_customer,
                row.simultaneous_ci_lower if row.closed else row.ci_lower,
                row.simultaneous_ci_upper if row.closed else row.ci_upper,
                row.closed,
                any(look.month == row.month for look in arm.looks),
            )
            for row in rows
            if row.effect_per_customer is not None
        ]
        if points:
            conclusive = next((look.month for look in arm.looks if look.significant), None)
            mark = _("total effect proven")
            finding = finding_of(t, arm, monthly_finding(t, rows))
            said = of_arm(t, result, arm, alt % {"finding": finding, "metric": name})
            title = panel_title(t, result, arm)
            panels.append(charts.BandPanel(title, said, points, conclusive, mark))
            findings.append((arm, finding))
    title = _("Month by month")
    if not panels:
        text = _("There is nothing to draw yet: the first month closes on %(day)s.")
        day = t.date(first_reading(result.plan))
        return Section("months", title, paragraphs=(text % {"day": day},))
    figure = Figure(
        anchor="figure-months",
        title=titled_arms(t, findings),
        subtitle=_("Effect on %(metric)s per customer in the test, each month, in %(unit)s")
        % {"metric": name, "unit": metric_unit(t, metric)},
        svg=charts.monthly(t, panels, money=is_money(metric)),
        caption=_(
            "Each dot is a month's effect: what a treated customer bought more (above zero) or "
            "less (below) than one left out. The bars hold together: %(level)s sure that all of "
            "them contain the true effect at once, so that no month may be picked afterwards. A "
            "small triangle marks a planned reading. Hollow: the month is still open and "
            "decides nothing."
        )
        % {"level": t.percent(1 - result.plan.alpha, 0)},
        table=_months_table(t, result),
    )
    asides = (*_band_asides(t, result), *_decided_asides(t, result))
    return Section("months", title, figures=(figure,), asides=asides)


def _decided_asides(t: Tongue, result: CampaignResult) -> tuple[str, ...]:
    """When each verdict fell, and whether a later reading alone would say otherwise."""
    _ = t.gettext
    asides = []
    for arm in result.arms:
        verdict, texts = arm.verdict, []
        if verdict.decided_month is not None:
            text = _("The verdict fell at the reading of %(month)s and stays.")
            texts.append(text % {"month": t.month(verdict.decided_month)})
        elif verdict.kind is not VerdictKind.NOT_YET:
            continue
        texts += [sentence(t.gettext(reason)) for reason in verdict.reasons]
        if texts:
            asides.append(of_arm(t, result, arm, " ".join(texts)))
    return tuple(asides)


def _band_asides(t: Tongue, result: CampaignResult) -> tuple[str, ...]:
    _ = t.gettext
    made = {arm.band for arm in result.arms}
    asides = []
    if "permutation max-t" in made:
        asides.append(
            _(
                "The bars come from redrawing the test thousands of times (permutation max-t), "
                "as suits a short list of customers."
            )
        )
    if "sup-t" in made:
        asides.append(_("The bars come from the joint distribution of the months (sup-t band)."))
    if any(row.closed is False for arm in result.arms for row in by_month(result, arm.arm)):
        asides.append(_("The bar of an open month is its own, read alone."))
    return tuple(asides)


def _months_table(t: Tongue, result: CampaignResult) -> Table:
    _ = t.gettext
    unit = metric_unit(t, result.plan.metric)
    columns = [
        Column(_("Month"), numeric=False),
        Column(_("Treated"), unit, hint=_("average per customer")),
        Column(_("Left out"), unit, hint=_("average per customer")),
        Column(_("Effect"), unit),
        Column(_("From"), unit, hint=_("bar that holds for all months together")),
        Column(_("To"), unit, hint=_("bar that holds for all months together")),
        Column(_("Read alone, from"), unit),
        Column(_("Read alone, to"), unit),
        Column(_("State"), numeric=False),
    ]
    several = len(result.arms) > 1
    if several:
        columns.insert(1, Column(_("Version"), numeric=False))
    rows = []
    for arm in result.arms:
        for row in by_month(result, arm.arm):
            state = _("closed") if row.closed else _("open, provisional")
            cells = [Cell(t.month(row.month)), *effect_cells(t, row), Cell(state)]
            if several:
                cells.insert(1, Cell(arm_name(t, arm.arm)))
            rows.append(Row(tuple(cells)))
    caption = _("Effect by month, per customer")
    return Table(caption, tuple(columns), tuple(rows))
