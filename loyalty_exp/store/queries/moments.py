"""Moments of a wave's outcomes, by arm and segment: sums of each group, or rows to add up.

Builds statements only. Outcomes are summed by unit and calendar month; every assigned unit counts,
zero spend included. Products are taken about the mean of all units, so that nothing cancels.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.tables import (
    assignments,
    customer_month,
    exposures,
    month_index,
    orders,
)

__all__ = [
    "METRICS",
    "Window",
    "cap",
    "flow_rows",
    "group_moments",
    "group_sizes",
    "largest_units",
    "number_customers",
    "numbered_flows",
    "numbered_places",
    "numbers",
    "third_variables",
    "unit_rows",
]

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

    @property
    def start_month(self) -> int:
        """Month index of the start date."""
        return month_of(self.start.year, self.start.month)

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


def unit_rows(window: Window) -> sa.Select[tuple[object, ...]]:
    """One row a unit: unit, arm, segment, stratum, then every variable of the window."""
    pivot = _pivot(window)
    names = window.variables
    keys = (pivot.c.unit, pivot.c.arm, pivot.c.segment, pivot.c.stratum)
    return sa.select(*keys, *(pivot.c[name] for name in names)).order_by(pivot.c.unit)


def largest_units(
    window: Window, metric: str, closed: int, number: int
) -> sa.Select[tuple[object, ...]]:
    """The units of each arm with the largest cumulative figure over the closed months.

    Args:
        window: the wave's window.
        metric: the figure units are ranked by.
        closed: how many months count.
        number: units an arm.
    """
    if metric in window.metrics:
        window = replace(window, metrics=(metric,), cap=None, with_exposures=False)
    pivot = _pivot(window)
    total = sum((pivot.c[f"{metric}_{k}"] for k in range(closed)), start=sa.literal(0))
    place = (
        sa.func.row_number()
        .over(partition_by=pivot.c.arm, order_by=(total.desc(), pivot.c.unit))
        .label("place")
    )
    ranked = sa.select(pivot, place).cte("ranked")
    names = window.variables
    return (
        sa.select(ranked.c.arm, ranked.c.place, *(ranked.c[name] for name in names))
        .where(ranked.c.place <= number)
        .order_by(ranked.c.arm, ranked.c.place)
    )


def cap(window: Window, metric: str) -> sa.Select[tuple[float | None]]:
    """99th percentile of the positive monthly figures of units, over the months of the window."""
    flows = _unit_flows(window)
    quantile = sa.func.percentile_cont(0.99).within_group(sa.cast(flows.c[metric], sa.Double))
    return sa.select(quantile).where(flows.c[metric] > 0)


def group_sizes(window: Window) -> sa.Select[Any]:
    """(arm, segment, units) of a wave, in order."""
    roster = _roster(window, *(assignments.c[name] for name in UNIT))
    units = (roster if window.by_customer else roster.distinct()).subquery("units")
    keys = (units.c.arm, units.c.segment)
    return sa.select(*keys, sa.func.count().label("n")).group_by(*keys).order_by(*keys)


def flow_rows(window: Window, groups: Sequence[tuple[str, str]]) -> sa.Select[Any]:
    """What units did, month by month, the rows of a unit together; none for those who did nothing.

    Args:
        window: the wave's window.
        groups: (arm, segment), whose place in this list is given for each unit.

    Returns:
        A statement of number (of the unit, in the order of the ids), month, revenue, margin,
        orders, with exposures also cost and reached, in rows of their own; last the place.
    """
    place = sa.case(
        *(
            (sa.and_(assignments.c.arm == arm, assignments.c.segment == segment), place)
            for place, (arm, segment) in enumerate(groups)
        )
    )
    key = [assignments.c[name] for name in UNIT]
    rank = sa.func.row_number() if window.by_customer else sa.func.dense_rank()
    number = rank.over(order_by=key[:1] if window.by_customer else key)
    columns = (assignments.c.customer, assignments.c.arm)
    roster = _roster(window, *columns, number.label("number"), place.label("place"))
    flows = _flows(window, roster.subquery("roster"), ("number", "place"), idle=False)
    names = ["number", "month", "revenue", "margin", "orders"]
    names += ["cost", "reached"] if window.with_exposures else []
    return sa.select(*(flows.c[name] for name in (*names, "place"))).order_by(flows.c.number)


numbers = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    prefixes=["TEMPORARY"],
)
"""Customers with an order in a window, numbered from 0 in the order of their ids."""


def number_customers(window: Window) -> sa.Insert:
    """Fill `numbers` for a window whose units are customers."""
    customers = sa.select(_spend(window).c.customer).distinct().subquery("customers")
    number = sa.func.row_number().over(order_by=customers.c.customer) - 1
    numbered = sa.select(customers.c.customer, sa.cast(number, sa.Integer))
    return numbers.insert().from_select(["customer", "number"], numbered)


def numbered_flows(window: Window) -> sa.Select[Any]:
    """What the customers of `numbers` did, month by month, as in `flow_rows`, without the place."""
    flows = _flows(window, sa.select(numbers).subquery("roster"), ("number",), idle=False)
    names = ("number", "month", "revenue", "margin", "orders")
    return sa.select(*(flows.c[name] for name in names)).order_by(flows.c.number)


def numbered_places(groups: Sequence[tuple[str, int, str, str]]) -> sa.Select[Any]:
    """Which group each customer of `numbers` is in, for many waves at once.

    Args:
        groups: (campaign, wave, arm, segment).

    Returns:
        A statement of number and place, of the group in the list; a row a customer and wave.
    """
    names = ("campaign", "wave", "arm", "segment")
    columns = [sa.column(name, assignments.c[name].type) for name in names]
    listed = sa.values(*columns, sa.column("place", sa.Integer), name="listed").data(
        [(*group, place) for place, group in enumerate(groups)]
    )
    same = sa.and_(*(assignments.c[name] == listed.c[name] for name in names))
    return sa.select(numbers.c.number, listed.c.place).select_from(
        assignments.join(listed, same).join(numbers, numbers.c.customer == assignments.c.customer)
    )


def group_moments(
    window: Window, third: Sequence[tuple[str, str]] = (), most_columns: int | None = None
) -> list[sa.Select[Any]]:
    """Sums that give the moments of every arm and segment of a wave.

    Args:
        window: the wave's window.
        third: (metric, covariate) pairs to give third sums for, each month and cumulative.
        most_columns: what a result may have, where the engine has a limit.

    Returns:
        Statements with the same rows in the same order, one a group: arm, segment; and between
        them the columns n; `c_i` the shift of variable i; `s_i` the sum of v_i - c_i; `p_i_j` the
        sum of products for i <= j; `t_i_0` to `t_i_3` the sums of yyy, yyx, yxx and xxx of the
        i-th pair of `third_variables`.
    """
    pivot = _pivot(window)
    names = window.variables
    shift = sa.select(
        *(sa.func.avg(pivot.c[name]).label(f"c_{i}") for i, name in enumerate(names))
    ).cte("shift")
    centred = [(pivot.c[name] - shift.c[f"c_{i}"]).label(f"v_{i}") for i, name in enumerate(names)]
    rows = sa.select(
        pivot.c.arm, pivot.c.segment, *centred, *(shift.c[f"c_{i}"] for i in range(len(names)))
    ).join_from(pivot, shift, sa.true())
    centred_rows = rows.cte("centred")
    v = [centred_rows.c[f"v_{i}"] for i in range(len(names))]
    pairs = itertools.combinations_with_replacement(range(len(names)), 2)
    columns: list[sa.ColumnElement[Any]] = [sa.func.count().label("n")]
    columns += [sa.func.min(centred_rows.c[f"c_{i}"]).label(f"c_{i}") for i in range(len(names))]
    columns += [sa.func.sum(v[i]).label(f"s_{i}") for i in range(len(names))]
    columns += [sa.func.sum(v[i] * v[j]).label(f"p_{i}_{j}") for i, j in pairs]
    position = {name: i for i, name in enumerate(names)}
    for index, (outcome, covariate) in enumerate(third_variables(window, third)):
        y = sum((v[position[name]] for name in outcome[1:]), start=v[position[outcome[0]]])
        x = v[position[covariate]]
        powers = (y * y * y, y * y * x, y * x * x, x * x * x)
        columns += [sa.func.sum(power).label(f"t_{index}_{k}") for k, power in enumerate(powers)]
    keys = (centred_rows.c.arm, centred_rows.c.segment)
    step = len(columns) if most_columns is None else most_columns - len(keys)
    return [
        sa.select(*keys, *columns[first : first + step]).group_by(*keys).order_by(*keys)
        for first in range(0, len(columns), step)
    ]


def third_variables(
    window: Window, pairs: Sequence[tuple[str, str]]
) -> list[tuple[tuple[str, ...], str]]:
    """(months summed, covariate) of every third sum: each month, then each cumulative."""
    found: list[tuple[tuple[str, ...], str]] = []
    for metric, covariate in pairs:
        names = [f"{metric}_{k}" for k in range(window.months)]
        found += [((name,), covariate) for name in names]
        found += [(tuple(names[: k + 1]), covariate) for k in range(1, window.months)]
    return found


def _pivot(window: Window) -> sa.CTE:
    """One row a unit with every variable of the window."""
    flows = _unit_flows(window)
    month, start = flows.c.month, window.start_month
    before = sa.and_(month < start, month >= start - window.covariate_months)

    def total(
        value: sa.ColumnElement[Any], condition: sa.ColumnElement[bool], name: str
    ) -> sa.Label[Any]:
        summed = sa.func.sum(sa.case((condition, value), else_=0))
        return sa.cast(sa.func.coalesce(summed, 0), sa.Double).label(name)

    def by_month(value: sa.ColumnElement[Any], prefix: str) -> list[sa.Label[Any]]:
        return [
            total(value, sa.and_(month == m, month >= start), f"{prefix}_{k}")
            for k, m in enumerate(range(window.first_month, window.first_month + window.months))
        ]

    columns: list[sa.ColumnElement[Any]] = []
    for metric in window.metrics:
        columns += by_month(flows.c[metric], metric)
        columns.append(total(flows.c[metric], before, f"{metric}_x"))
    if window.cap is not None:
        metric, cap = window.cap
        capped = sa.case((flows.c[metric] > cap, cap), else_=flows.c[metric])
        columns += by_month(capped, "capped")
        columns.append(total(capped, before, "capped_x"))
    if window.with_exposures:
        columns += by_month(sa.func.coalesce(flows.c.margin, 0) - flows.c.cost, "net")
        reached = sa.func.coalesce(sa.func.max(flows.c.reached), 0)
        columns.append(sa.cast(reached, sa.Double).label("reached"))
    keys = [flows.c[name] for name in UNIT]
    return sa.select(*keys, *columns).group_by(*keys).cte("pivot")


def _roster(window: Window, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Columns of a wave's assignments."""
    return sa.select(*columns).where(
        assignments.c.campaign == window.campaign, assignments.c.wave == window.wave
    )


def _unit_flows(window: Window) -> sa.Subquery:
    """What each unit did in each month, and one row a unit without any."""
    columns = [assignments.c[name] for name in ("customer", *UNIT)]
    return _flows(window, _roster(window, *columns).subquery("roster"), UNIT)


def _flows(
    window: Window, roster: sa.Subquery, names: Sequence[str], *, idle: bool = True
) -> sa.Subquery:
    """What each unit did in each month: one row a unit and month.

    Args:
        window: the wave's window.
        roster: the customers of each unit.
        names: columns of the roster that tell a unit.
        idle: whether a unit that did nothing has a row, without a month.
    """
    spend = _spend(window)
    keys = [roster.c[name] for name in names]
    money = ("revenue", "margin", "orders")
    joined = roster.join(spend, roster.c.customer == spend.c.customer, isouter=idle)
    if window.by_customer:
        values = [spend.c[name] for name in money]
        flows = sa.select(*keys, spend.c.month, *values).select_from(joined).subquery("spent")
    else:
        sums = [
            sa.cast(sa.func.sum(spend.c[name]), spend.c[name].type).label(name) for name in money
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


def _spend(window: Window) -> sa.Subquery:
    """Customer months of the window; a start within a month goes back to that month's orders."""
    start = window.start_month
    columns = ("customer", "month", "revenue", "margin", "orders")
    last = window.first_month + window.months - 1
    kept = sa.select(*(customer_month.c[name] for name in columns)).where(
        customer_month.c.month >= start - window.covariate_months, customer_month.c.month <= last
    )
    if window.start.day == 1:
        return kept.subquery("spend")
    counted = sa.cast(sa.func.sum(sa.case((orders.c.revenue >= 0, 1), else_=0)), sa.Integer)
    partial = (
        sa.select(
            orders.c.customer,
            orders.c.month,
            sa.func.sum(orders.c.revenue).label("revenue"),
            sa.func.sum(orders.c.margin).label("margin"),
            counted.label("orders"),
        )
        .where(orders.c.month == start, orders.c.ordered_at >= window.start)
        .group_by(orders.c.customer, orders.c.month)
    )
    return sa.union_all(kept.where(customer_month.c.month != start), partial).subquery("spend")


def _contacts(window: Window, roster: sa.Subquery, names: Sequence[str]) -> sa.Subquery:
    """Variable costs and reach of the roster's units by month, from the exposures."""
    cost = sa.func.sum(_cost_of_contact(window, roster.c.arm)).label("cost")
    keys = [roster.c[name] for name in names]
    month = month_index(exposures.c.at)
    return (
        sa.select(*keys, month.label("month"), cost, sa.literal(1).label("reached"))
        .join_from(exposures, roster, exposures.c.customer == roster.c.customer)
        .where(
            exposures.c.campaign == window.campaign,
            exposures.c.at >= window.start,
            month < window.first_month + window.months,
        )
        .group_by(*keys, month)
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
