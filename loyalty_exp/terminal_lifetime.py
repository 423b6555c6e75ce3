"""Lifetime value in a terminal. Formats only; what it says comes from `segment.worth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from loyalty_exp.report.indicators import indicator_name
from loyalty_exp.report.parts import said, sentence
from loyalty_exp.terminal import labelled, open_console

if TYPE_CHECKING:
    from rich.console import Console

    from loyalty_exp.report.tongue import Tongue
    from loyalty_exp.segment.lifetime import ForecastCheck, LifetimeFit, SeedLifetime
    from loyalty_exp.segment.worth import Worth

__all__ = ["lifetime_text"]


def lifetime_text(t: Tongue, found: Worth) -> None:
    """Print what customers are worth: observed, by the formulas of the trade, by the model."""
    _, console = t.gettext, open_console()
    head = _("What %(n)s customers are worth, as of %(day)s")
    values = {"n": t.number(found.customers), "day": t.date(found.as_of)}
    console.print(head % values, style="bold", markup=False)
    console.print(_("Observed so far, from the first order on: too low, as they go on buying."))
    _line(t, console, _("Revenue of a customer"), t.money(found.observed_revenue))
    _line(t, console, _("Margin of a customer"), t.money(found.observed_margin))
    console.print(_("By the formulas of the trade, from the last two years."))
    if found.seed is None:
        console.print(f"  {sentence(said(t, found.seed_reason))}", markup=False)
    else:
        _seed_text(t, console, found.seed)
    console.print(_("By the model of repeat purchases (BG/NBD with gamma-gamma spend)."))
    if found.fit is None:
        console.print(f"  {sentence(said(t, found.fit_reason))}", markup=False)
        return
    _model_text(t, console, found.fit, found)
    if found.check is None:
        console.print(f"  {sentence(said(t, found.check_reason))}", markup=False)
    else:
        _check_text(t, console, found.check)


def _line(t: Tongue, console: Console, label: str, value: str) -> None:
    console.print(f"  {labelled(t, label, value)}", markup=False)


def _seed_text(t: Tongue, console: Console, seed: SeedLifetime) -> None:
    """The popular formulas, then what they assume."""
    _ = t.gettext
    for label, value in (
        (indicator_name(t, "retention_rate"), t.percent(seed.retention_rate)),
        (indicator_name(t, "attrition_rate"), t.percent(seed.attrition_rate)),
        (indicator_name(t, "returning_share"), t.percent(seed.loyal_share)),
        (_("Lifetime in years (1 / attrition)"), t.number(seed.lifetime_years, 1)),
        (_("Lifetime revenue"), t.money(seed.ltv_revenue)),
        (_("Lifetime margin"), t.money(seed.ltv_margin)),
        (_("Most to pay for a new customer (a third)"), t.money(seed.acquisition_cap)),
    ):
        _line(t, console, label, value)
    for text in seed.assumptions:
        console.print(f"  {said(t, text)}", markup=False, style="dim")


def _model_text(t: Tongue, console: Console, fit: LifetimeFit, found: Worth) -> None:
    """The parameters of the model with their errors, and what it expects."""
    _ = t.gettext
    model, spend = fit.purchases, fit.spend
    named = [("r", model.r), ("alpha", model.alpha), ("a", model.a), ("b", model.b)]
    errors = [*model.standard_errors]
    if spend is not None:
        named += [("p", spend.p), ("q", spend.q), ("gamma", spend.gamma)]
        errors += spend.standard_errors
    parts = [
        f"{name} = {t.number(value, 3)} ± {t.number(error, 3)}"
        for (name, value), error in zip(named, errors, strict=True)
    ]
    known = labelled(t, _("parameters, with standard errors"), " · ".join(parts))
    console.print(f"  {known}", markup=False, style="dim")
    for horizon in found.horizons:
        text = t.ngettext(
            "Margin expected of a customer in the next year: %(money)s; %(share)s of it from the "
            "best tenth.",
            "Margin expected of a customer in the next %(n)s years, later years discounted: "
            "%(money)s; %(share)s of it from the best tenth.",
            horizon.years,
        )
        share = t.percent(horizon.top_tenth, 0)
        values = {"n": t.number(horizon.years), "money": t.money(horizon.mean), "share": share}
        console.print(f"  {text % values}", markup=False)
    for note in fit.notes:
        console.print(f"  {sentence(said(t, note))}", markup=False, style="dim")


def _check_text(t: Tongue, console: Console, check: ForecastCheck) -> None:
    """What the model forecast of the last half-year, and what came."""
    _ = t.gettext
    text = _(
        "Put to the test: from what was known on %(day)s it forecast %(forecast)s days with an "
        "order until %(until)s; %(actual)s came (error %(error)s)."
    )
    values = {
        "day": t.date(check.calibrated_on),
        "until": t.date(check.until),
        "forecast": t.number(check.forecast),
        "actual": t.number(check.actual),
        "error": t.percent(check.relative_error, signed=True),
    }
    console.print(f"  {text % values}", markup=False)
    table = Table(_("Past repeat orders"), _("Customers"), _("Forecast"), _("Actual"), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in check.rows:
        counts = (row.customers, row.forecast, row.actual)
        table.add_row(row.repeat_purchases, *(t.number(count) for count in counts))
    console.print(table)
