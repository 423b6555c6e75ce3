"""What customers are worth: observed, by the formulas of the trade, and by the fitted model.

The three stand side by side, each with what it assumes; the model beside its own forecast of a
past half-year. Reads the store, writes nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import customer_features
from loyalty_exp.segment.lifetime import (
    ForecastCheck,
    LifetimeFit,
    SeedLifetime,
    check_forecast,
    customer_lifetime_value,
    fit_lifetime,
    sampled,
    seed_lifetime,
)

__all__ = ["DISCOUNT", "HALF_YEAR", "Horizon", "Worth", "worth"]

HALF_YEAR = 182
"""Days of the past that the model has to forecast."""

DISCOUNT = 0.1
"""Yearly rate at which later margin counts less."""

QUIET_DAYS = 7
"""Days without an order that two years may begin with."""

HORIZONS = (1, 3)
"""Years ahead."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Horizon:
    """Margin that the model expects of the customers known at the date, in currency."""

    years: int
    mean: float
    """of a customer, discounted by `DISCOUNT` a year"""
    top_tenth: float
    """share of the whole that the most valuable tenth of the customers is expected to bring"""


@dataclass(frozen=True, slots=True)
class Worth:
    """What the customers known at a date are worth. Money in currency."""

    as_of: dt.date
    customers: int
    """customers with an order up to the date"""
    observed_revenue: float
    """revenue of a customer from the first order on, mean: so far, and so too low"""
    observed_margin: float
    """the same in margin"""
    seed: SeedLifetime | None
    seed_reason: str
    """why the formulas are not filled in; empty when they are"""
    fit: LifetimeFit | None
    fit_reason: str
    """why no model could be fitted; empty when one was"""
    horizons: tuple[Horizon, ...]
    """by the model; empty without a spend model"""
    check: ForecastCheck | None
    """the model's forecast of the last half-year, made from what was known before it"""
    check_reason: str
    """why there is none; empty when there is"""


def worth(connection: sa.Connection, as_of: dt.date, first_day: dt.date) -> Worth:
    """Lifetime value three ways, and how far to trust the model.

    Args:
        connection: a reading connection of the store.
        as_of: last day that counts.
        first_day: first day of data.

    Raises:
        MeasureError: nobody ordered up to the date.
    """
    year_ago = _years_before(as_of, 1)
    row = connection.execute(_sums(as_of, year_ago)).mappings().one()
    if not row["customers"]:
        raise MeasureError(f"nobody ordered up to {as_of}")
    two_years = first_day <= _years_before(as_of, 2) + dt.timedelta(days=QUIET_DAYS)
    fit, fit_reason = _fit(connection, as_of)
    check, check_reason = _check(connection, as_of)
    return Worth(
        as_of,
        int(row["customers"]),
        float(row["ltv_revenue"]) / row["customers"],
        float(row["ltv_margin"]) / row["customers"],
        _seed(row) if two_years else None,
        "" if two_years else f"two years of orders are needed; they are known from {first_day} on",
        fit,
        fit_reason,
        () if fit is None or fit.spend is None else _horizons(connection, fit),
        check,
        check_reason,
    )


def _sums(as_of: dt.date, year_ago: dt.date) -> sa.Select[Any]:
    """Customers and money of the last twelve months, and who of the twelve before came again."""
    names = ("orders_12m", "revenue_12m", "margin_12m", "ltv_revenue", "ltv_margin")
    now = customer_features(as_of, names).subquery("now")
    then = customer_features(year_ago, ["orders_12m"]).subquery("then")
    bought, before = now.c.orders_12m > 0, then.c.orders_12m > 0

    def count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.count(sa.case((condition, 1)))

    columns: list[sa.ColumnElement[Any]] = [
        sa.func.count().label("customers"),
        count(before).label("customers1"),
        count(before & bought).label("retained"),
        count(bought).label("customers2"),
        count(bought & then.c.customer.is_(None)).label("new2"),
        *(sa.func.sum(now.c[name], type_=sa.Double).label(name) for name in names[1:]),
    ]
    return sa.select(*columns).join_from(now, then, now.c.customer == then.c.customer, isouter=True)


def _seed(row: sa.RowMapping) -> SeedLifetime:
    return seed_lifetime(
        customers1=int(row["customers1"]),
        retained=int(row["retained"]),
        customers2=int(row["customers2"]),
        new2=int(row["new2"]),
        revenue2=float(row["revenue_12m"]),
        margin2=float(row["margin_12m"]),
    )


def _fit(connection: sa.Connection, as_of: dt.date) -> tuple[LifetimeFit | None, str]:
    try:
        return fit_lifetime(connection, as_of), ""
    except ValueError as error:
        return None, str(error)


def _check(connection: sa.Connection, as_of: dt.date) -> tuple[ForecastCheck | None, str]:
    try:
        return check_forecast(connection, as_of - dt.timedelta(days=HALF_YEAR), as_of), ""
    except ValueError as error:
        return None, str(error)


def _horizons(connection: sa.Connection, fit: LifetimeFit) -> tuple[Horizon, ...]:
    histories, margin = sampled(connection, fit.as_of)
    x, t_x, age = histories.x, histories.t_x, histories.T
    found = []
    for years in HORIZONS:
        value: Vector = customer_lifetime_value(
            fit, x, t_x, age, np.maximum(margin, 0.0), years=years, discount=DISCOUNT
        )
        best = np.sort(value)[::-1][: max(len(value) // 10, 1)]
        found.append(Horizon(years, float(value.mean()), float(best.sum() / value.sum())))
    return tuple(found)


def _years_before(day: dt.date, years: int) -> dt.date:
    """The same day of an earlier year; 28 February for a leap day."""
    if (day.month, day.day) == (2, 29):
        day = day.replace(day=28)
    return day.replace(year=day.year - years)
