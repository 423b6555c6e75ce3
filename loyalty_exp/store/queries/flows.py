"""What units did in each month of a wave's window. Builds subqueries, no statement of its own.

Outcomes are summed by unit and calendar month; a start within a month goes back to the orders of
that month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.queries.functions import exact_sum
from loyalty_exp.store.tables import (
    assignments,
    customer_month,
    exposures,
    month_index,
    orders,
)

__all__ = ["METRICS", "UNIT", "Window", "flows_of", "roster_of", "spend_of"]

UNIT = ("unit", "arm", "segment", "stratum")
METRICS = ("revenue", "margin", "orders", "active")
"""Outcomes a unit has in a month; `active` is 1 in a month with an order."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is summed for a wave: outcome months from the start date, covariate months before.

    Months are indices (year x 12 + month). Days of the start month before `start` are in neither.
    """

    campaign: str
    wave: int
    start: dt.date
    first_month: int
    """First outcome month; before the start month of the wave it holds zeros."""
    months: int
    covariate_months: int
    by_customer: bool
    """Units are customers: no second grouping is needed."""
    metrics: tuple[str, ...] = METRICS
    cap: tuple[str, float] | None = None
    """(metric, largest monthly figure of a unit) of the capped copy."""
    redemption_cost: tuple[tuple[str, float], ...] = ()
    """(arm, cost of one redemption) where the log gives no cost."""
    priced_contacts: tuple[str, ...] = ()
    """Arms whose contacts have a declared price, so that the log's is not counted again."""
    vouchers_in_orders: bool = False
    """Redemptions cost nothing more, whatever the log says: the orders are net of them."""
    with_exposures: bool = False
    ranked: int = 0
    """First outcome months whose margin, less variable costs with exposures, ranks the units: those
    of most are given where sums are made in process. 0 for none."""
    roster: sa.FromClause = assignments
    """Where its customers are, with the columns of `assignments`."""

    @property
    def start_month(self) -> int:
        """Month index of the start date."""
        return month_of(self.start.year, self.start.month)

    @property
    def last_month(self) -> int:
        """Index of the last outcome month."""
        return self.first_month + self.months - 1

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(metric, covariate) of every metric but the capped one; margin's past is that of net."""
        net = (("net", "margin_x"),) if self.with_exposures else ()
        return (*((metric, f"{metric}_x") for metric in self.metrics), *net)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable of a unit, in order.

        Outcomes 'metric_k' by month and covariates 'metric_x'; the same of 'capped'; with
        exposures 'net_k' (margin minus variable cost) and 'reached' (1 if ever contacted).
        """
        suffixes = [*map(str, range(self.months)), "x"]
        metrics = [*self.metrics, *(["capped"] if self.cap is not None else [])]
        names = [f"{metric}_{suffix}" for metric in metrics for suffix in suffixes]
        if self.with_exposures:
            names += [f"net_{k}" for k in range(self.months)] + ["reached"]
        return tuple(names)


def roster_of(window: Window, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Columns of a wave's roster."""
    campaign, wave = window.roster.c.campaign, window.roster.c.wave
    return sa.select(*columns).where(campaign == window.campaign, wave == window.wave)


def flows_of(
    window: Window, roster: sa.Subquery, names: Sequence[str], *, idle: bool = True
) -> sa.Subquery:
    """What each unit did in each month: one row a unit and month.

    Args:
        window: the wave's window.
        roster: the customers of each unit.
        names: columns of the roster that tell a unit.
        idle: whether a unit that did nothing has a row, without a month.
    """
    spend = spend_of(window)
    keys = [roster.c[name] for name in names]
    money = ("revenue", "margin", "orders")
    joined = roster.join(spend, roster.c.customer == spend.c.customer, isouter=idle)
    if window.by_customer:
        values = [spend.c[name] for name in money]
        flows = sa.select(*keys, spend.c.month, *values).select_from(joined).subquery("spent")
    else:
        sums: list[sa.Label[Any]] = [
            exact_sum(spend.c.revenue).label("revenue"),
            exact_sum(spend.c.margin).label("margin"),
            sa.cast(sa.func.sum(spend.c.orders), sa.Integer).label("orders"),
        ]
        flows = (
            sa.select(*keys, spend.c.month, *sums)
            .select_from(joined)
            .group_by(*keys, spend.c.month)
            .subquery("spent")
        )
    active = sa.case((flows.c.orders > 0, 1), else_=0).label("active")
    selected = sa.select(flows, active)
    if not window.with_exposures:
        return selected.subquery("flows")
    empty = [sa.cast(sa.null(), sa.Double).label(name) for name in (*money, "active")]
    zero = [sa.literal(0).label("cost"), sa.literal(0).label("reached")]
    contacts = _contacts(window, roster, names)
    return sa.union_all(
        selected.add_columns(*zero),
        sa.select(
            *(contacts.c[name] for name in names),
            contacts.c.month,
            *empty,
            contacts.c.cost,
            contacts.c.reached,
        ),
    ).subquery("flows")


def spend_of(window: Window) -> sa.Subquery:
    """Customer months of the window; a start within a month goes back to that month's orders."""
    start = window.start_month
    columns = ("customer", "month", "revenue", "margin", "orders")
    kept = sa.select(*(customer_month.c[name] for name in columns)).where(
        customer_month.c.month >= start - window.covariate_months,
        customer_month.c.month <= window.last_month,
    )
    if window.start.day == 1:
        return kept.subquery("spend")
    counted = sa.cast(sa.func.sum(sa.case((orders.c.revenue >= 0, 1), else_=0)), sa.Integer)
    partial = (
        sa.select(
            orders.c.customer,
            orders.c.month,
            exact_sum(orders.c.revenue).label("revenue"),
            exact_sum(orders.c.margin).label("margin"),
            counted.label("orders"),
        )
        .where(orders.c.month == start, orders.c.ordered_at >= window.start)
        .group_by(orders.c.customer, orders.c.month)
    )
    return sa.union_all(kept.where(customer_month.c.month != start), partial).subquery("spend")


def _contacts(window: Window, roster: sa.Subquery, names: Sequence[str]) -> sa.Subquery:
    """Variable costs and reach of the roster's units by month, from the exposures.

    Contacts before the start (an announcement) are the campaign's too, booked in its start month.
    """
    begun = sa.case(
        (exposures.c.at < window.start, window.start_month), else_=month_index(exposures.c.at)
    )
    contacts = (
        sa.select(
            *(roster.c[name] for name in names),
            begun.label("month"),
            _cost_of_contact(window, roster.c.arm).label("cost"),
        )
        .join_from(exposures, roster, exposures.c.customer == roster.c.customer)
        .where(exposures.c.campaign == window.campaign)
        .subquery("logged")
    )
    # Grouped by a column: engines take an expression with a parameter for two different ones.
    keys = [*(contacts.c[name] for name in names), contacts.c.month]
    cost = exact_sum(contacts.c.cost).label("cost")
    return (
        sa.select(*keys, cost, sa.literal(1).label("reached"))
        .where(contacts.c.month < window.first_month + window.months)
        .group_by(*keys)
        .subquery("contacts")
    )


def _cost_of_contact(window: Window, arm: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """What one row of the log cost, each amount once: see `Window`."""
    logged, nothing = sa.func.coalesce(exposures.c.cost, 0), sa.literal(0)
    redeemed: sa.ColumnElement[Any] = logged
    if window.vouchers_in_orders:
        redeemed = nothing
    elif window.redemption_cost:
        prices = ((arm == name, cost) for name, cost in window.redemption_cost)
        redeemed = sa.func.coalesce(exposures.c.cost, sa.case(*prices, else_=0))
    contact: sa.ColumnElement[Any] = logged
    if window.priced_contacts:
        contact = sa.case((arm.in_(window.priced_contacts), 0), else_=logged)
    return sa.case((exposures.c.kind == "redeemed", redeemed), else_=contact)
