"""Indicators of the portfolio as readers know them: names, figures, changes. Makes no section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.words import segment_name

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["NOBODY", "change_text", "few", "figure_text", "indicator_name", "segment_label"]

_MONEY = {"revenue", "margin", "basket", "revenue_per_member"}
_SHARES = {
    "repurchase_rate", "share", "retention_rate", "attrition_rate", "returning_share",
    "budget_ratio",
}  # fmt: skip
_DAYS = {"recency_days", "tenure_days"}
NOBODY = "none"
"""Where customers stand who have not ordered yet."""


def figure_text(t: Tongue, metric: str, value: float | None, step: float | None = None) -> str:
    """A figure of an indicator, in its unit."""
    if value is None:
        return t.number(None)
    if metric in _MONEY:
        return t.money(value, step=step)
    if metric in _SHARES:
        return t.percent(value)
    digits = 0 if metric in _DAYS or float(value).is_integer() else 2
    return t.number(value, digits)


def change_text(t: Tongue, metric: str, change: float | None) -> str:
    """The change of an indicator: of a share in points, of all else in its unit."""
    if change is None:
        return t.number(None)
    if metric in _SHARES:
        return t.gettext("%(n)s points") % {"n": t.number(100 * change, 1, signed=True)}
    if metric in _MONEY:
        return t.money(change, signed=True)
    digits = 0 if metric in _DAYS or float(change).is_integer() else 2
    return t.number(change, digits, signed=True)


def few(t: Tongue, years: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What stands in a hidden row: too few customers, or it would give such a row away."""
    if not row.get("few", True):
        return "*"
    return "<\N{NO-BREAK SPACE}" + t.number(years.get("min_cell", 5))


def segment_label(t: Tongue, years: Mapping[str, Any], segment: str) -> str:
    """A segment by the name the comparison gives it in this language."""
    if segment == NOBODY:
        return t.gettext("Not a customer yet")
    names: Mapping[str, str] = years.get("names", {}).get(segment, {})
    return names.get(t.language, "").replace(
        "'", "\N{RIGHT SINGLE QUOTATION MARK}"
    ) or segment_name(t, segment)


def indicator_name(t: Tongue, metric: str) -> str:
    """An indicator as a reader calls it."""
    _ = t.gettext
    known = {
        "revenue": _("Revenue"),
        "margin": _("Margin"),
        "customers": _("Customers who ordered"),
        "active": _("Customers who ordered"),
        "new": _("New customers"),
        "lost": _("Lost customers"),
        "reactivated": _("Customers who came back"),
        "orders": _("Orders"),
        "frequency": _("Orders per customer who ordered"),
        "basket": _("Revenue per order"),
        "revenue_per_member": _("Revenue per customer of the segment"),
        "members": _("Customers of the segment"),
        "share": _("Share of revenue"),
        "retention_rate": _("Retention of last year's customers"),
        "attrition_rate": _("Attrition"),
        "returning_share": _("Share of customers who are not new"),
        "repurchase_rate": _("Customers with a second order"),
        "recency_days": _("Days since the last order"),
        "tenure_days": _("Days since the first order"),
        "budget_ratio": _("Loyalty budget"),
    }
    return known.get(metric, metric.replace("_", " "))
