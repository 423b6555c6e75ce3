"""Moments of a wave's outcomes, by arm and segment: one statement a wave, a row a group.

Builds statements only. Outcomes are summed by unit and calendar month; every assigned unit counts,
zero spend included. Products are taken about the mean of all units, so that nothing cancels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.flows import METRICS, UNIT, Window, flows_of, roster_of, spend_of
from loyalty_exp.store.queries.functions import quantile

__all__ = [
    "METRICS",
    "Window",
    "cap",
    "group_moments",
    "largest_units",
    "third_variables",
    "unit_rows",
]


def unit_rows(window: Window) -> sa.Select[tuple[object, ...]]:
    """One row a unit: unit, arm, segment, stratum, then every variable of the window."""
    pivot = _pivot(window)
    names = window.variables
    keys = (pivot.c.unit, pivot.c.arm, pivot.c.segment, pivot.c.stratum)
    return sa.select(*keys, *(pivot.c[name] for name in names)).order_by(pivot.c.unit)


def largest_units(
    window: Window,
    metric: str,
    closed: int,
    number: int,
    arms: Sequence[str],
    also: Sequence[str] = (),
    *,
    few: bool = True,
) -> sa.Select[tuple[object, ...]]:
    """The units of each arm with the largest cumulative figure over the closed months.

    Args:
        window: the wave's window.
        metric: the figure units are ranked by.
        closed: how many months count.
        number: units an arm.
        arms: which arms.
        also: other metrics whose figures are wanted.
        few: whether the roster holds few of all customers, see `checks.standing`.
    """
    window = replace(window, metrics=tuple(dict.fromkeys((*also, metric))), cap=None)
    if metric == "net":
        window = replace(window, metrics=window.metrics[:-1])
    else:
        window = replace(window, with_exposures=False)
    read = replace(window, months=closed, covariate_months=0)
    everybody = window.by_customer and not window.with_exposures and not few
    totals = (_customer_totals if everybody else _unit_totals)(read, metric).cte("totals")
    largest = sa.union_all(*(_largest(totals, arm, number) for arm in arms)).cte("largest")
    pivot = _pivot(window, largest)
    names = window.variables
    return (
        sa.select(pivot.c.arm, largest.c.place, *(pivot.c[name] for name in names))
        .join_from(pivot, largest, pivot.c.unit == largest.c.unit)
        .order_by(pivot.c.arm, largest.c.place)
    )


def _largest(totals: sa.CTE, arm: str, number: int) -> sa.Select[Any]:
    """(unit, place) of the units of an arm with the largest totals: no arm is put in order."""
    order = (totals.c.total.desc(), totals.c.unit)
    top = sa.select(totals).where(totals.c.arm == arm).order_by(*order).limit(number).subquery()
    place = sa.func.row_number().over(order_by=(top.c.total.desc(), top.c.unit)).label("place")
    return sa.select(top.c.unit, place)


def _unit_totals(window: Window, metric: str) -> sa.Select[Any]:
    """(unit, arm, total) of a figure over the months of a window."""
    flows = _unit_flows(window)
    figure = flows.c[metric] if metric != "net" else _net(flows)
    inside = _inside(window, flows.c.month)
    total = sa.func.sum(sa.case((inside, figure), else_=0)).label("total")
    keys = (flows.c.unit, flows.c.arm)
    return sa.select(*keys, total).group_by(*keys)


def _customer_totals(window: Window, metric: str) -> sa.Select[Any]:
    """The same where units are customers: summed by customer first, whoever is in the roster."""
    spend = spend_of(window)
    figure = sa.case((spend.c.orders > 0, 1), else_=0) if metric == "active" else spend.c[metric]
    total = sa.func.sum(figure).label("total")
    sums = sa.select(spend.c.customer, total).where(_inside(window, spend.c.month))
    sums_of = sums.group_by(spend.c.customer).subquery("sums")
    whose = window.roster.c
    units = roster_of(
        window, whose.unit, whose.arm, sa.func.coalesce(sums_of.c.total, 0).label("total")
    )
    return units.select_from(window.roster.outerjoin(sums_of, sums_of.c.customer == whose.customer))


def _inside(window: Window, month: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether a month is one of the window's, from its start on."""
    return month.between(max(window.first_month, window.start_month), window.last_month)


def cap(window: Window, metric: str) -> sa.Select[Any]:
    """99th percentile of the positive monthly figures of units, over the months of the window."""
    flows = _unit_flows(window)
    found = quantile(sa.cast(flows.c[metric], sa.Double), [0.99], 0)
    return sa.select(found).where(flows.c[metric] > 0)


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


def _pivot(window: Window, only: sa.CTE | None = None) -> sa.CTE:
    """One row a unit with every variable of the window; perhaps of some units only."""
    flows = _unit_flows(window, only)
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
        columns += by_month(_net(flows), "net")
        reached = sa.func.coalesce(sa.func.max(flows.c.reached), 0)
        columns.append(sa.cast(reached, sa.Double).label("reached"))
    keys = [flows.c[name] for name in UNIT]
    return sa.select(*keys, *columns).group_by(*keys).cte("pivot")


def _net(flows: sa.Subquery) -> sa.ColumnElement[Any]:
    """Margin less variable costs."""
    return sa.func.coalesce(flows.c.margin, 0) - flows.c.cost


def _unit_flows(window: Window, only: sa.CTE | None = None) -> sa.Subquery:
    """What each unit did in each month, and one row a unit without any."""
    columns = [window.roster.c[name] for name in ("customer", *UNIT)]
    roster = roster_of(window, *columns)
    if only is not None:
        roster = roster.where(window.roster.c.unit.in_(sa.select(only.c.unit)))
    return flows_of(window, roster.subquery("roster"), UNIT)
