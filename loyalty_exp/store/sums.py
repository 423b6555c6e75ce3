"""Sums that give a wave's moments: added up by the engine, or in process from a stream of rows.

Both roads give the same sums about a constant near the mean. No row outlives its block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.queries.moments import (
    METRICS,
    Window,
    flow_rows,
    group_moments,
    group_sizes,
    third_variables,
)

__all__ = ["GroupSums", "read_sums"]

Floats = NDArray[np.float64]

BLOCK_VECTORS = 32
"""Months of units held at a time, in vectors of 2,048: such blocks stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupSums:
    """Sums over the units of an arm and segment, of p variables v about a constant c.

    Attributes:
        arm: The arm.
        segment: The segment.
        n: Units, those with zero spend included.
        shift: The constant c, shape (p,).
        sums: Sums of v - c, shape (p,).
        products: Sums of (v - c)(w - c), shape (p, p).
        third: Sums of yyy, yyx, yxx, xxx about c, a row each of `third_variables`, shape (q, 4).
    """

    arm: str
    segment: str
    n: int
    shift: Floats
    sums: Floats
    products: Floats
    third: Floats


def read_sums(
    connection: sa.Connection, window: Window, third: Sequence[tuple[str, str]]
) -> list[GroupSums]:
    """Sums of every arm and segment of a wave.

    Args:
        connection: an open store.
        window: the wave's window.
        third: (metric, covariate) pairs whose third sums are wanted.
    """
    capabilities = capabilities_of(connection.dialect.name)
    if capabilities.in_process:
        with threadpool_limits(1):
            return _streamed(connection, window, third)
    statements = group_moments(window, third, capabilities.most_columns)
    parts = [connection.execute(statement).mappings().all() for statement in statements]
    rows = [{k: v for part in row for k, v in part.items()} for row in zip(*parts, strict=True)]
    return [
        _from_row(row, len(window.variables), len(third_variables(window, third))) for row in rows
    ]


def _from_row(row: Any, p: int, q: int) -> GroupSums:
    """Sums of a group as the engine added them up."""
    products = np.empty((p, p))
    for i in range(p):
        for j in range(i, p):
            products[i, j] = products[j, i] = row[f"p_{i}_{j}"]
    return GroupSums(
        arm=str(row["arm"]),
        segment=str(row["segment"]),
        n=int(row["n"]),
        shift=np.array([row[f"c_{i}"] for i in range(p)], dtype=np.float64),
        sums=np.array([row[f"s_{i}"] for i in range(p)], dtype=np.float64),
        products=products,
        third=np.array(
            [[row[f"t_{i}_{k}"] for k in range(4)] for i in range(q)], dtype=np.float64
        ).reshape(q, 4),
    )


def _streamed(
    connection: sa.Connection, window: Window, third: Sequence[tuple[str, str]]
) -> list[GroupSums]:
    """Sums of every group, from blocks of units in the order of their ids: always the same."""
    sizes = connection.execute(group_sizes(window)).all()
    groups = [(str(arm), str(segment)) for arm, segment, _ in sizes]
    names = window.variables
    places = {name: place for place, name in enumerate(names)}
    triples = [
        ([places[name] for name in months], places[covariate])
        for months, covariate in third_variables(window, third)
    ]
    totals = [_Total(len(names), _third_weights(triples, len(names))) for _ in groups]
    for place, rows in _blocks(connection, window, groups):
        order = np.argsort(place, kind="stable")
        sorted_rows = rows[order]
        bounds = np.searchsorted(place[order], range(len(groups) + 1))
        for total, first, last in zip(totals, bounds[:-1], bounds[1:], strict=True):
            if last > first:
                total.add(sorted_rows[first:last])
    return [
        total.finish(arm, segment, int(n))
        for total, (arm, segment, n) in zip(totals, sizes, strict=True)
    ]


def _third_weights(
    triples: Sequence[tuple[Sequence[int], int]], p: int
) -> tuple[Floats, NDArray[np.intp]]:
    """Weights (p, q) of the variables in each outcome y, and the place (q,) of each covariate x."""
    weights = np.zeros((p, len(triples)))
    for column, (months, _) in enumerate(triples):
        weights[months, column] = 1.0
    return weights, np.array([x for _, x in triples], dtype=np.intp)


class _Total:
    """Sums of one group as they grow, about the mean of its first block."""

    def __init__(self, p: int, third: tuple[Floats, NDArray[np.intp]]) -> None:
        self.weights, self.x = third
        self.covariates, self.column = np.unique(self.x, return_inverse=True)
        self.seen = 0
        self.shift = np.zeros(p)
        self.sums = np.zeros(p)
        self.products = np.zeros((p, p))
        self.third = np.zeros((len(self.x), 4))

    def add(self, rows: Floats, times: int = 1) -> None:
        """Add units, shape (some, p), each counted so many times."""
        if not self.seen:
            self.shift = rows.mean(axis=0)
        self.seen += times * len(rows)
        v = rows - self.shift
        self.sums += times * v.sum(axis=0)
        self.products += times * (v.T @ v)
        if not len(self.x):
            return
        y, x = v @ self.weights, v[:, self.covariates]
        yy, xx, each = y * y, x * x, np.arange(len(self.x))
        self.third[:, 0] += times * np.einsum("ij,ij->j", yy, y)
        self.third[:, 1] += times * (yy.T @ x)[each, self.column]
        self.third[:, 2] += times * (y.T @ xx)[each, self.column]
        self.third[:, 3] += times * np.einsum("ij,ij->j", xx, x)[self.column]

    def finish(self, arm: str, segment: str, n: int) -> GroupSums:
        """The sums over n units, those that never came up counted with zeros."""
        if n > self.seen:
            self.add(np.zeros((1, len(self.shift))), n - self.seen)
        return GroupSums(arm, segment, n, self.shift, self.sums, self.products, self.third)


def _blocks(
    connection: sa.Connection, window: Window, groups: Sequence[tuple[str, str]]
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Place of the group and variables of some units, shapes (some,) and (some, p)."""
    rest: list[NDArray[Any]] | None = None
    for batch in _batches(connection, flow_rows(window, groups)):
        columns = batch
        if rest is not None:
            columns = [np.concatenate(pair) for pair in zip(rest, batch, strict=True)]
        number = columns[0]
        whole = int(np.searchsorted(number, number[-1]))
        rest = [column[whole:] for column in columns]
        if whole:
            yield _unit_rows(window, [column[:whole] for column in columns])
    if rest is not None:
        yield _unit_rows(window, rest)


def _batches(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[list[NDArray[Any]]]:
    """Columns of a result, some rows at a time; NULL is 0."""
    with connection.execute(statement) as result:
        cursor: Any = result.cursor
        while len(frame := cursor.fetch_df_chunk(BLOCK_VECTORS)):
            yield [frame[name].fillna(0).to_numpy() for name in frame]


def _unit_rows(window: Window, columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], Floats]:
    """Variables of the units of a block, a row each, in the order of `window.variables`."""
    number, place, month, *values = columns
    starts = np.concatenate([[True], number[1:] != number[:-1]])
    unit = np.cumsum(starts) - 1
    units = int(unit[-1]) + 1
    oldest = window.start_month - window.covariate_months
    span = window.first_month + window.months - oldest
    spent = slice(None) if len(values) == 3 else values[4] == 0

    def table(figures: NDArray[Any], rows: Any = slice(None)) -> Floats:
        """The figures by unit and month, (units, span)."""
        found = np.zeros((units, span))
        found[unit[rows], month[rows] - oldest] = figures[rows]
        return found

    by_metric = dict(zip(METRICS, (table(each, spent) for each in values[:3]), strict=False))
    by_metric["active"] = (by_metric["orders"] > 0).astype(np.float64)
    outcomes = partial(_outcomes, window)
    parts = [outcomes(by_metric[metric]) for metric in window.metrics]
    if window.cap is not None:
        metric, cap = window.cap
        parts.append(outcomes(np.minimum(by_metric[metric], cap)))
    if window.with_exposures:
        contacts = values[4] == 1
        cost = table(values[3], contacts)
        parts.append(outcomes(by_metric["margin"] - cost)[:, :-1])
        reached = np.bincount(unit, weights=contacts, minlength=units) > 0
        parts.append(reached.astype(np.float64)[:, None])
    return place[starts].astype(np.int64), np.hstack(parts)


def _outcomes(window: Window, figures: Floats) -> Floats:
    """Outcome months, then the sum of the covariate months, (units, months + 1)."""
    before = window.covariate_months
    skipped = window.first_month - window.start_month
    found = np.zeros((len(figures), window.months + 1))
    found[:, max(0, -skipped) : -1] = figures[:, before + max(0, skipped) :]
    found[:, -1] = figures[:, :before].sum(axis=1)
    return found
