"""KPIs of the portfolio and of each segment, by month and by year, with their definitions.

Reads the store, writes nothing. A KPI without a denominator, or too recent to be known, is None.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.compare.portfolio import ALL, Cell, figures, read_cells
from loyalty_exp.declare.frozen import month_label
from loyalty_exp.segment.features import TierRule, customer_features
from loyalty_exp.segment.membership import scheme_at
from loyalty_exp.segment.schemes import SCHEMES
from loyalty_exp.store.queries import compare as queries
from loyalty_exp.store.queries.compare import Window

__all__ = ["DEFINITIONS", "Definition", "MonthKpis", "YearKpis", "kpis_by_month", "kpis_by_year"]

SILENCE = 12
"""Months without an order after which a customer is lost."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a KPI is, in both languages."""

    english: str
    french: str


DEFINITIONS: Mapping[str, Definition] = {
    "active": Definition(
        "Customers with at least one order in the period.",
        "Clients ayant au moins une commande dans la période.",
    ),
    "new": Definition(
        "Customers whose first known order is in the period.",
        "Clients dont la première commande connue est dans la période.",
    ),
    "lost": Definition(
        "By year: customers of the year before without an order in this one. By month: customers "
        "whose last order is 12 months old at the end of the month.",
        "Par an : clients de l'année d'avant sans commande cette année. Par mois : clients dont "
        "la dernière commande a 12 mois à la fin du mois.",
    ),
    "reactivated": Definition(
        "By year: customers who bought before, not in the year before, and again in this one. By "
        "month: customers who order after more than 12 months of silence.",
        "Par an : clients anciens, absents l'année d'avant, revenus cette année. Par mois : "
        "clients qui commandent après plus de 12 mois de silence.",
    ),
    "retention_rate": Definition(
        "Customers of the year before who bought this year / customers of the year before.",
        "Clients de l'année d'avant ayant acheté cette année / clients de l'année d'avant.",
    ),
    "attrition_rate": Definition(
        "1 - retention rate. Without a subscription nobody says goodbye: a customer counts as "
        "lost after a year of silence, and may come back.",
        "1 - taux de rétention. Sans abonnement, personne ne résilie : un client compte "
        "comme perdu après un an de silence, et peut revenir.",
    ),
    "returning_share": Definition(
        "Customers of this year who are not new / customers of this year. Often sold as retention; "
        "it is not: it rises when fewer new customers come.",
        "Clients de l'année qui ne sont pas nouveaux / clients de l'année. Souvent présenté comme "
        "la rétention, à tort : il monte quand moins de nouveaux clients arrivent.",
    ),
    "repurchase_rate": Definition(
        "Customers with two orders or more in the year / customers with one or more.",
        "Clients ayant au moins deux commandes dans l'année / clients en ayant au moins une.",
    ),
    "recency_days": Definition(
        "Mean days from the last order to the end of the year, of its active customers.",
        "Nombre moyen de jours entre la dernière commande et la fin de l'année, parmi les actifs.",
    ),
    "tenure_days": Definition(
        "Mean days from the first known order to the end of the year, of its active customers; "
        "too short where history is cut.",
        "Nombre moyen de jours entre la première commande connue et la fin de l'année, parmi les "
        "actifs ; trop court si l'historique est coupé.",
    ),
    "frequency": Definition(
        "Orders / active customers of the period.",
        "Commandes / clients actifs de la période.",
    ),
    "basket": Definition(
        "Revenue net of refunds / orders. Among buyers only: it may rise as small buyers leave.",
        "CA net de retours / commandes. Parmi les acheteurs seulement : il peut monter parce que "
        "de petits acheteurs sont partis.",
    ),
    "revenue": Definition(
        "Revenue of the period, net of tax and refunds.",
        "CA de la période, net de taxes et de retours.",
    ),
    "margin": Definition("Margin of the period.", "Marge de la période."),
    "share": Definition(
        "Revenue / revenue of the company.", "CA / CA de l'entreprise."
    ),
    "budget_ratio": Definition(
        "Cost of the programme / revenue; the usual range is 0.5 to 5 %.",
        "Coût du programme / CA ; la fourchette usuelle va de 0,5 à 5 %.",
    ),
}  # fmt: skip
"""What each KPI means, and where the popular reading misleads."""


@dataclass(frozen=True, slots=True)
class YearKpis:
    """KPIs of a segment in one year; fields as in `DEFINITIONS`. Money in currency."""

    year: str
    """year1 or year2"""
    segment: str
    """segment at the end of the year; lost customers count where they were a year before"""
    active: int
    new: int | None
    """None in year 1, whose year before is not compared; so for the next six"""
    lost: int | None
    reactivated: int | None
    retention_rate: float | None
    attrition_rate: float | None
    returning_share: float | None
    repurchase_rate: float | None
    recency_days: float | None
    tenure_days: float | None
    frequency: float | None
    basket: float | None
    revenue: float
    margin: float
    share: float | None
    budget_ratio: float | None
    """of the company only"""


@dataclass(frozen=True, slots=True)
class MonthKpis:
    """KPIs of a segment in one month; fields as in `DEFINITIONS`. Money in currency."""

    month: str
    """YYYY-MM"""
    segment: str
    active: int
    new: int
    lost: int
    reactivated: int
    active_12m: int
    """customers with an order in the 12 months that end with this one"""
    orders: int
    revenue: float
    margin: float
    frequency: float | None
    basket: float | None


def kpis_by_year(
    connection: sa.Connection,
    year1: tuple[dt.date, dt.date],
    year2: tuple[dt.date, dt.date],
    *,
    scheme: str = "rfm",
    tiers: TierRule | None = None,
    costs: tuple[float | None, float | None] = (None, None),
) -> tuple[YearKpis, ...]:
    """KPIs of two years for the company and the segments of a scheme, as at the end of each year.

    The windows are those that `compare` accepts; recency and tenure are at their last days.

    Args:
        connection: a reading connection of the store.
        year1: first and last day.
        year2: first and last day.
        scheme: built-in scheme.
        tiers: where gold and silver begin.
        costs: what the programme cost in each year, in currency; None where it is not known.
    """
    windows = Window(*year1), Window(*year2)
    column = SCHEMES[scheme].column
    at = scheme_at(scheme, *(window.end for window in windows), tiers=tiers)
    cells = read_cells(connection, *windows, at)
    rows = []
    for year, window in enumerate(windows, start=1):
        means = _means(connection, window, column, tiers)
        for segment in (*SCHEMES[scheme].names, ALL):
            cost = costs[year - 1] if segment == ALL else None
            rows.append(_year(cells, year, segment, means.get(segment, (None, None)), cost))
    return tuple(rows)


def _means(
    connection: sa.Connection, window: Window, column: str, tiers: TierRule | None
) -> dict[str, tuple[float | None, float | None]]:
    """Mean recency and tenure of those who ordered in a window, by segment and for the company."""
    names = [column, "recency_days", "tenure_days"]
    found = customer_features(window.end, names, tiers=tiers).subquery()
    sums = [sa.func.sum(found.c[name], type_=sa.Double) for name in names[1:]]
    statement = (
        sa.select(found.c[column], sa.func.count(), *sums)
        .where(found.c.recency_days < window.days)
        .group_by(found.c[column])
    )
    rows = [(name, float(n), float(a), float(b)) for name, n, a, b in connection.execute(statement)]
    means: dict[str, tuple[float | None, float | None]] = {
        name: (recency / n, tenure / n) for name, n, recency, tenure in rows
    }
    everyone = sum(row[1] for row in rows)
    if everyone:
        means[ALL] = (sum(r[2] for r in rows) / everyone, sum(r[3] for r in rows) / everyone)
    return means


def _year(
    cells: Sequence[Cell],
    year: int,
    segment: str,
    means: tuple[float | None, float | None],
    cost: float | None,
) -> YearKpis:
    company = float(sum(getattr(cell, f"revenue{year}") for cell in cells))

    def here(cell: Cell) -> bool:
        return segment in (ALL, cell.segment1 if year == 1 else cell.segment2)

    def count(*statuses: str, then: bool = False) -> int:
        return sum(
            cell.customers
            for cell in cells
            if cell.status in statuses and (segment in (ALL, cell.segment1) if then else here(cell))
        )

    found = figures(cells, year, company, here)
    known = year == 2
    stayed, lost = count("retained", then=True), count("lost", then=True)
    retention = stayed / (stayed + lost) if known and stayed + lost else None
    present = count("retained", "new", "reactivated")
    return YearKpis(
        year=f"year{year}",
        segment=segment,
        active=sum(getattr(cell, f"buyers{year}") for cell in cells if here(cell)),
        new=count("new") if known else None,
        lost=lost if known else None,
        reactivated=count("reactivated") if known else None,
        retention_rate=retention,
        attrition_rate=None if retention is None else 1 - retention,
        returning_share=1 - count("new") / present if known and present else None,
        repurchase_rate=found.repurchase_rate,
        recency_days=means[0],
        tenure_days=means[1],
        frequency=found.frequency,
        basket=found.basket,
        revenue=found.revenue,
        margin=found.margin,
        share=found.share,
        budget_ratio=cost / company if cost is not None and company > 0 else None,
    )


def kpis_by_month(
    connection: sa.Connection,
    first: int,
    last: int,
    segments: sa.Select[Any] | None = None,
) -> tuple[MonthKpis, ...]:
    """KPIs of every month from `first` to `last` for the company, and for segments where given.

    Args:
        connection: a reading connection of the store.
        first: month index of the first month shown.
        last: month index of the last whole month.
        segments: a select of `customer` and `segment`: a membership that does not change.
    """
    by_segment: dict[str, dict[int, sa.RowMapping]] = {}
    statements = {ALL: queries.monthly(last)}
    if segments is not None:
        statements["segments"] = queries.monthly(last, segments)
    for which, statement in statements.items():
        for row in connection.execute(statement).mappings():
            name = ALL if which == ALL else row["segment"]
            by_segment.setdefault(name, {})[row["month"]] = row
    return tuple(
        kpi for name, months in by_segment.items() for kpi in _months(name, months, first, last)
    )


def _months(
    segment: str, months: Mapping[int, sa.RowMapping], first: int, last: int
) -> Sequence[MonthKpis]:
    def of(month: int, name: str) -> int:
        return int(months[month][name]) if month in months else 0

    rows = []
    current = 0
    for month in range(min(months), last + 1):
        new, reactivated = of(month, "arrivals"), of(month, "reactivated")
        lost = of(month - SILENCE, "leavers")
        current += new + reactivated - lost
        if month < first:
            continue
        active, placed = of(month, "active"), of(month, "orders")
        revenue = float(months[month]["revenue"]) if month in months else 0.0
        rows.append(
            MonthKpis(
                month_label(month),
                segment,
                active,
                new,
                lost,
                reactivated,
                current,
                placed,
                revenue,
                float(months[month]["margin"]) if month in months else 0.0,
                placed / active if active else None,
                revenue / placed if placed else None,
            )
        )
    return rows
