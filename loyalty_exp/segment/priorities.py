"""Who to contact first, and why: value at risk, in words for the salesperson.

Reads the store, writes nothing. Customers of any holdout are never on the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from babel.numbers import format_currency, format_decimal, format_percent

from loyalty_exp.segment.features import customer_features
from loyalty_exp.segment.lifetime import LifetimeFit
from loyalty_exp.store.queries.erase import tombstones
from loyalty_exp.store.tables import assignments

__all__ = ["Priority", "contact_priorities"]

DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Priority:
    """One customer to contact. Money in currency."""

    rank: int
    """1 comes first"""
    customer: str
    value_at_risk: float
    """expected_margin x chance_of_leaving: largest where neither staying nor leaving is settled"""
    expected_margin: float
    """margin_if_kept x (1 - chance_of_leaving): what the next year brings on average"""
    margin_if_kept: float
    """margin of a year of who stays: fitted rate of orders x fitted margin of an order"""
    chance_of_leaving: float
    """1 - p_alive, by the BG/NBD model"""
    recency_days: int
    """days since the last order"""
    median_gap_days: float
    """the customer's own rhythm: median days between two orders"""
    reason_en: str
    """why, in English"""
    reason_fr: str
    """why, in French"""


def contact_priorities(
    connection: sa.Connection,
    fit: LifetimeFit,
    currency: str,
    *,
    limit: int = 100,
    within: sa.Select[Any] | None = None,
) -> tuple[Priority, ...]:
    """The customers with the most value at risk at the date of the fit, largest first.

    On the list are those whose behaviour has changed: silent for longer than their own rhythm. A
    customer who ordered on one day only has no rhythm and, by the model, cannot have left.

    Args:
        connection: a reading connection of the store.
        fit: fitted lifetime model; its date is the list's.
        currency: code of the currency, for the words.
        limit: length of the list.
        within: customers who may be contacted (those with consent, or of a salesperson); None
            means all.

    Raises:
        ValueError: there is no spend model, or `limit` is not positive.
    """
    if limit < 1:
        raise ValueError("a list of contacts holds at least one customer")
    rows = connection.execute(_statement(fit, limit, within)).mappings()
    return tuple(_priority(rank, row, currency) for rank, row in enumerate(rows, start=1))


def _statement(fit: LifetimeFit, limit: int, within: sa.Select[Any] | None) -> sa.Select[Any]:
    if fit.spend is None:
        raise ValueError("not estimable: there is no spend model, so no margin is expected")
    columns = (
        "recency_days", "median_gap_days", "repeat_days", "tenure_days", "ltv_margin", "p_alive",
    )  # fmt: skip
    found = customer_features(fit.as_of, columns, survival=fit.survival).subquery("found")
    model, spend = fit.purchases, fit.spend
    repeats = sa.cast(found.c.repeat_days, sa.Double)
    rate = (model.r + repeats) / (model.alpha + sa.cast(found.c.tenure_days, sa.Double))
    weight = spend.p * (repeats + 1) + spend.q - 1
    margin = DAYS_A_YEAR * rate * spend.p * (spend.gamma + found.c.ltv_margin) / weight
    leaving = 1 - found.c.p_alive
    at_risk = (margin * found.c.p_alive * leaving).label("at_risk")
    held_out = sa.select(assignments.c.customer).where(assignments.c.arm == "holdout")
    statement = (
        sa.select(
            found.c.customer,
            at_risk,
            margin.label("margin"),
            leaving.label("leaving"),
            found.c.recency_days,
            found.c.median_gap_days,
        )
        .where(found.c.recency_days > found.c.median_gap_days, weight > 0, at_risk > 0)
        .where(found.c.customer.not_in(held_out), found.c.customer.not_in(tombstones()))
        .order_by(at_risk.desc(), found.c.customer)
        .limit(limit)
    )
    return statement if within is None else statement.where(found.c.customer.in_(within))


def _priority(rank: int, row: sa.RowMapping, currency: str) -> Priority:
    margin, leaving = float(row["margin"]), float(row["leaving"])
    silent, gap = int(row["recency_days"]), float(row["median_gap_days"])
    words = {
        locale: sentence.format(
            every=_every(round(gap), locale),
            silent=format_decimal(silent, locale=locale),
            times=format_decimal(round(silent / gap, 1), locale=locale),
            chance=format_percent(_certain_to_nobody(leaving), locale=locale),
            margin=format_currency(
                margin, currency, "¤#,##0" if locale == "en" else "#,##0 ¤",
                locale=locale, currency_digits=False,
            ),
        )
        for locale, sentence in _REASONS.items()
    }  # fmt: skip
    return Priority(
        rank,
        row["customer"],
        float(row["at_risk"]),
        margin * (1 - leaving),
        margin,
        leaving,
        silent,
        gap,
        words["en"],
        words["fr"],
    )


def _every(days: int, locale: str) -> str:
    if days == 1:
        return {"en": "day", "fr": "jours"}[locale]
    return format_decimal(days, locale=locale) + {"en": " days", "fr": " jours"}[locale]


def _certain_to_nobody(chance: float) -> float:
    """A probability in whole percent that never reads as 0 or 100."""
    return min(max(chance, 0.01), 0.99)


_REASONS = {
    "en": "Usually orders every {every}, silent for {silent}: {times} times as long. Chance of "
    "having left: {chance}. Worth about {margin} of margin a year if kept.",
    "fr": "Commande habituellement tous les {every}, plus rien depuis {silent} jours : {times} "
    "fois plus long. Risque de départ : {chance}. Enjeu : environ {margin} de marge par an.",
}
"""Why to contact a customer who is silent for longer than usual."""
