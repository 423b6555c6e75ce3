"""Metrics as readers know them: names, units, figures. Knows no result type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["is_money", "metric_name", "metric_phrase", "metric_text", "metric_unit", "so_far"]

_MONEY = ("revenue", "margin", "net", "cost", "basket")
_ACTIVE_MONTHS = "active_months"


def so_far(metric: str) -> str:
    """What a metric is called once its months are added up: shares become months with an order."""
    return _ACTIVE_MONTHS if metric == "active" else metric


def is_money(metric: str) -> bool:
    """Whether a metric is an amount of money."""
    return metric in _MONEY


def metric_name(t: Tongue, metric: str) -> str:
    """A metric as a reader calls it."""
    _ = t.gettext
    known = {
        "revenue": _("revenue"),
        "margin": _("margin"),
        "orders": _("orders"),
        "active": _("share of customers who ordered"),
        _ACTIVE_MONTHS: _("months with an order"),
        "basket": _("revenue per order"),
        "frequency": _("orders per month with an order"),
        "net": _("net result"),
        "cost": _("cost"),
    }
    return known.get(metric, metric.replace("_", " "))


def metric_text(t: Tongue, metric: str, value: float | None, *, signed: bool = False) -> str:
    """A figure of a metric, exact to what can be told: cents, hundredths of a percent."""
    if is_money(metric):
        return t.number(value, 2, signed=signed)
    if metric == "active":
        return t.number(None if value is None else 100 * value, 2, signed=signed)
    return t.number(value, 4, signed=signed)


def metric_phrase(t: Tongue, metric: str, value: float | None, *, signed: bool = True) -> str:
    """A figure of a metric in a sentence, with its unit."""
    if is_money(metric):
        return t.money(value, signed=signed)
    if metric == "active":
        points = None if value is None else 100 * value
        return t.gettext("%(n)s points") % {"n": t.number(points, 2, signed=signed)}
    return f"{metric_text(t, metric, value, signed=signed)} {metric_unit(t, metric)}"


def metric_unit(t: Tongue, metric: str) -> str:
    """The unit of a metric's figures in a table or on an axis."""
    _ = t.gettext
    if is_money(metric):
        return t.symbol
    known = {"active": _("% of customers"), _ACTIVE_MONTHS: _("months")}
    return known.get(metric) or _("orders")
