"""Lifetime of the company's customers: the fitted model, its forecast against facts, seed formulas.

Reads the store, writes nothing. A purchase is a day with an order; time is in days; money is
margin. The mathematics are in `stats.lifetimes`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import Survival, customer_features
from loyalty_exp.stats.lifetimes import (
    Histories,
    PurchaseModel,
    SpendModel,
    expected_purchases,
    expected_spend,
    fit_purchases,
    fit_spend,
)
from loyalty_exp.store.queries.functions import digest_number

__all__ = [
    "ForecastCheck",
    "ForecastRow",
    "LifetimeFit",
    "SeedLifetime",
    "check_forecast",
    "customer_lifetime_value",
    "fit_lifetime",
    "fitted_survival",
    "sampled",
    "seed_lifetime",
]

Vector = NDArray[np.float64]

SAMPLE = 200_000
"""Customers a fit reads at most: the first by the digest of their id, the same at every run."""

LONGEST_LIFE = 10.0
"""Years to which 1 / attrition is capped."""

_CLASSES = ((0, 0), (1, 1), (2, 3), (4, 7), (8, 15), (16, 31), (32, None))
"""Repeat purchases by which a forecast is compared with facts."""


@dataclass(frozen=True, slots=True)
class LifetimeFit:
    """Purchases and spend of the customers known at a date, as fitted."""

    as_of: dt.date
    purchases: PurchaseModel
    spend: SpendModel | None
    """None where no positive margins differ"""
    notes: tuple[str, ...]
    """what is not estimable, in words; empty when all is well"""

    @property
    def survival(self) -> Survival:
        """Parameters for the feature `p_alive`."""
        model = self.purchases
        return Survival(model.r, model.alpha, model.a, model.b)


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """Customers alike in past purchases, their forecast against what they did."""

    repeat_purchases: str
    """days with an order after the first, in the calibration: "0", "2-3", "32+" """
    customers: int
    forecast: float
    """days with an order forecast, sum over the customers"""
    actual: int
    """days with an order that came"""


@dataclass(frozen=True, slots=True)
class ForecastCheck:
    """A forecast made from the past, against the time since: how far to trust the model."""

    calibrated_on: dt.date
    """last day the model knew"""
    until: dt.date
    """last day of the forecast"""
    customers: int
    """customers known on the first day, at most `SAMPLE`"""
    forecast: float
    """days with an order forecast for all of them"""
    actual: int
    """days with an order that came"""
    relative_error: float | None
    """forecast / actual - 1; None if nobody came"""
    mean_absolute_error: float
    """per customer, in days with an order"""
    naive_absolute_error: float
    """the same for "everyone goes on at their own past rate", which a model should beat"""
    correlation: float | None
    """between forecast and actual, over customers; None without variation"""
    rows: tuple[ForecastRow, ...]
    notes: tuple[str, ...]


def fit_lifetime(connection: sa.Connection, as_of: dt.date) -> LifetimeFit:
    """Fit both models on the customers who ordered up to a date.

    Raises:
        ValueError: no customer bought on two days; the sentence says so.
    """
    histories, margin = sampled(connection, as_of)
    purchases = fit_purchases(_grouped(histories))
    counts = histories.x + 1
    spends = margin > 0
    notes = purchases.notes
    try:
        spend = fit_spend(counts[spends], margin[spends] / counts[spends])
        notes += spend.notes
    except ValueError as error:
        spend = None
        notes += (f"spend: {error}",)
    if not spends.all():
        notes += ("customers whose margin is not positive are left out of the spend model",)
    return LifetimeFit(as_of, purchases, spend, notes)


def fitted_survival(
    connection: sa.Connection, as_of: dt.date, columns: Collection[str]
) -> Survival | None:
    """Parameters for `customer_features` where the columns need them, None where they do not.

    Raises:
        MeasureError: `p_alive` is asked for and no customer bought on two days.
    """
    if "p_alive" not in columns:
        return None
    try:
        return fit_lifetime(connection, as_of).survival
    except ValueError as error:
        raise MeasureError(f"p_alive at {as_of}: {error}") from error


def check_forecast(
    connection: sa.Connection, calibrated_on: dt.date, until: dt.date
) -> ForecastCheck:
    """Fit on what was known at a date, forecast up to another, compare with what came.

    Raises:
        ValueError: no customer bought on two days, or the dates are not in order.
    """
    if until <= calibrated_on:
        raise ValueError("a forecast ends after its calibration")
    found = _both_dates(connection, calibrated_on, until)
    x, t_x, age, after = found.T
    model = fit_purchases(_grouped(Histories(x, t_x, age, np.ones(len(x)))))
    ahead = float((until - calibrated_on).days)
    forecast = expected_purchases(model, ahead, x, t_x, age)
    actual = after - x
    naive = x / np.maximum(age, 1.0) * ahead
    varied = np.ptp(forecast) > 0 and np.ptp(actual) > 0
    return ForecastCheck(
        calibrated_on,
        until,
        len(x),
        float(forecast.sum()),
        int(actual.sum()),
        float(forecast.sum() / actual.sum() - 1) if actual.sum() > 0 else None,
        float(np.abs(forecast - actual).mean()),
        float(np.abs(naive - actual).mean()),
        float(np.corrcoef(forecast, actual)[0, 1]) if varied else None,
        tuple(_classes(x, forecast, actual)),
        model.notes,
    )


def customer_lifetime_value(
    fit: LifetimeFit,
    x: Vector,
    t_x: Vector,
    age: Vector,
    margin: Vector,
    *,
    years: float = 1.0,
    discount: float = 0.0,
) -> Vector:
    """Margin expected of each customer over the coming years, discounted month by month.

    Args:
        fit: the fitted models.
        x: repeat purchases, shape (customers,).
        t_x: days from the first purchase to the last, shape (customers,).
        age: days from the first purchase to the as-of date, shape (customers,).
        margin: margin so far, shape (customers,), in currency.
        years: how far ahead.
        discount: yearly rate, 0.1 for 10 %.

    Raises:
        ValueError: there is no spend model.
    """
    if fit.spend is None:
        raise ValueError("not estimable: there is no spend model")
    spend = expected_spend(fit.spend, x + 1, margin / (x + 1))
    months = round(12 * years)
    ends = [365.25 / 12 * month for month in range(months + 1)]
    so_far = np.zeros(len(x))
    total = np.zeros(len(x))
    for month, end in enumerate(ends[1:]):
        by_then = expected_purchases(fit.purchases, end, x, t_x, age)
        total += (by_then - so_far) / (1 + discount) ** ((month + 0.5) / 12)
        so_far = by_then
    return total * spend


@dataclass(frozen=True, slots=True)
class SeedLifetime:
    """The popular formulas, with what they assume. None where there is no denominator."""

    retention_rate: float | None
    """customers of year 1 who bought in year 2 / customers of year 1"""
    attrition_rate: float | None
    """1 - retention_rate"""
    loyal_share: float | None
    """customers of year 2 who are not new / customers of year 2: not a retention rate"""
    lifetime_years: float | None
    """1 / attrition_rate, at most 10"""
    ltv_revenue: float | None
    """basket x orders a year x lifetime_years, in currency of revenue"""
    ltv_margin: float | None
    """the same in margin"""
    acquisition_cap: float | None
    """a third of ltv_margin: what winning a customer may cost at most"""
    assumptions: tuple[str, ...]
    """what must be believed, in words"""


_ASSUMPTIONS = (
    (
        "Every customer has the same chance of leaving each year: where loyal and fleeting ones "
        "are mixed, 1 / attrition is shorter than the mean lifetime."
    ),
    "Next years resemble year 2 in basket and in frequency; nothing is discounted.",
    "A customer without an order in year 2 has left for good.",
    (
        "The third of the lifetime value is a rule of thumb for acquisition, taken on margin: on "
        "revenue it would exceed all margin where the margin rate is under a third."
    ),
)


def seed_lifetime(
    *,
    customers1: int,
    retained: int,
    customers2: int,
    new2: int,
    revenue2: float,
    margin2: float,
) -> SeedLifetime:
    """Retention, attrition, lifetime and lifetime value by the formulas of the trade.

    Args:
        customers1: customers of year 1.
        retained: those who bought in year 2 too.
        customers2: customers of year 2.
        new2: customers of year 2 who never bought before.
        revenue2: revenue of year 2, in currency.
        margin2: margin of year 2, in currency.
    """
    retention = retained / customers1 if customers1 else None
    attrition = None if retention is None else 1 - retention
    years = None
    if attrition is not None:
        years = min(1 / attrition, LONGEST_LIFE) if attrition > 0 else LONGEST_LIFE
    known = years is not None and customers2 > 0
    revenue = revenue2 / customers2 * years if known and years is not None else None
    margin = margin2 / customers2 * years if known and years is not None else None
    capped = years == LONGEST_LIFE
    return SeedLifetime(
        retention,
        attrition,
        (customers2 - new2) / customers2 if customers2 else None,
        years,
        revenue,
        margin,
        None if margin is None else margin / 3,
        _ASSUMPTIONS + (("The lifetime is capped at 10 years.",) if capped else ()),
    )


_COLUMNS = ("repeat_days", "active_span_days", "tenure_days", "ltv_margin")


def sampled(connection: sa.Connection, as_of: dt.date) -> tuple[Histories, Vector]:
    """Histories of at most `SAMPLE` customers known at a date, and their margin so far."""
    found = customer_features(as_of, _COLUMNS).subquery()
    statement = (
        sa.select(*(found.c[name] for name in _COLUMNS))
        .order_by(digest_number(found.c.customer))
        .limit(SAMPLE)
    )
    x, t_x, age, margin = _matrix(connection, statement, 4).T
    return Histories(x, t_x, age, np.ones(len(x))), margin


def _both_dates(connection: sa.Connection, first: dt.date, last: dt.date) -> Vector:
    """Repeat purchases, span and tenure at a date, and repeat purchases at a later one."""
    then = customer_features(first, _COLUMNS[:3]).subquery("then")
    now = customer_features(last, _COLUMNS[:1]).subquery("now")
    statement = (
        sa.select(*(then.c[name] for name in _COLUMNS[:3]), now.c.repeat_days)
        .join_from(then, now, now.c.customer == then.c.customer)
        .order_by(digest_number(then.c.customer))
        .limit(SAMPLE)
    )
    return _matrix(connection, statement, 4)


def _matrix(connection: sa.Connection, statement: sa.Select[Any], width: int) -> Vector:
    rows = [tuple(row) for row in connection.execute(statement)]
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _grouped(histories: Histories) -> Histories:
    """The same customers, those alike in one row."""
    triples = np.column_stack([histories.x, histories.t_x, histories.T])
    alike, counts = np.unique(triples, axis=0, return_counts=True)
    return Histories(alike[:, 0], alike[:, 1], alike[:, 2], counts.astype(np.float64))


def _classes(x: Vector, forecast: Vector, actual: Vector) -> Sequence[ForecastRow]:
    rows = []
    for low, high in _CLASSES:
        inside = (x >= low) & (x <= (np.inf if high is None else high))
        label = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        if inside.any():
            sums = float(forecast[inside].sum()), int(actual[inside].sum())
            rows.append(ForecastRow(label, int(inside.sum()), *sums))
    return rows
