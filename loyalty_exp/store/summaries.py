"""Keeps beside the orders their roll-up by month, and the rhythm of every customer.

A rhythm is counted by the engine, or in process from a stream of rows; both keep the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.store.engines import capabilities_of, grouped_in_parts
from loyalty_exp.store.queries.rhythm import counted_gaps, days_in_order
from loyalty_exp.store.queries.summaries import (
    any_channel,
    build_customer_month,
    build_customer_rhythm,
    drop_moved_rhythms,
)
from loyalty_exp.store.sums import batches

__all__ = ["keep_months", "keep_rhythms", "keep_summaries"]

_VECTORS = 64
"""Months held at a time, in vectors of 2,048: blocks that stay in the cache."""
_DAY_BITS = 20
"""Days since 1970 up to the year 4840, or between two of them."""
_EPOCH = 1970 * 12 + 1

Columns = Sequence[NDArray[Any]]


def keep_summaries(connection: sa.Connection, *, whole: bool = True) -> None:
    """Keep the roll-up of the orders and the rhythm of every customer.

    Args:
        connection: the store's, in a transaction.
        whole: all months, into empty tables; else those of `touched`, and customers of `moved`.
    """
    keep_months(connection, whole=whole)
    if not whole:
        connection.execute(drop_moved_rhythms())
    channels = connection.execute(any_channel()).first() is not None
    keep_rhythms(connection, whole=whole, channels=channels)


def keep_months(connection: sa.Connection, *, whole: bool = True) -> None:
    """Keep the roll-up of the orders by customer and month.

    Args:
        connection: the store's, in a transaction.
        whole: all months, into an empty table; else those of `touched`.
    """
    with grouped_in_parts(connection):
        connection.execute(build_customer_month(whole=whole))


def keep_rhythms(connection: sa.Connection, *, whole: bool, channels: bool) -> None:
    """Keep the rhythm of all customers, or of those in `moved`, who have none.

    Args:
        connection: the store's, in a transaction.
        whole: all customers, into an empty table.
        channels: whether any order of the store has a channel.
    """
    if not capabilities_of(connection.dialect.name).in_process:
        connection.execute(build_customer_rhythm(whole=whole, channels=channels))
        return
    rows = days_in_order(whole=whole)
    parts = [_rhythms(*block) for block in _blocks(batches(connection, rows, _VECTORS))]
    if not parts:
        return
    names = ("row", "last_on", "repeat_days", "median_gap_days")
    counted = dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    driver: Any = connection.connection.driver_connection
    driver.register("counted", counted)
    gaps = counted_gaps("counted", whole=whole)
    connection.execute(build_customer_rhythm(whole=whole, channels=channels, counted=gaps))
    driver.unregister("counted")


def _blocks(parts: Iterator[Columns]) -> Iterator[Columns]:
    """The same rows, cut where another customer begins."""
    rest: Columns | None = None
    for part in parts:
        columns = part if rest is None else [*map(np.concatenate, zip(rest, part, strict=True))]
        last = int(np.flatnonzero(columns[0])[-1])
        if last:
            yield [column[:last] for column in columns]
        rest = [column[last:] for column in columns]
    if rest is not None:
        yield rest


def _rhythms(
    begins: NDArray[np.bool_],
    row: NDArray[np.int64],
    month: NDArray[np.int32],
    days: NDArray[np.int32],
) -> tuple[NDArray[Any], ...]:
    """Row, last day, days less one and median gap of each customer of a block.

    A number is a customer's, times 2**20, and a day or a gap: sorted, it is in order within the
    customer. Runs that are in order already make a merge sort the cheapest.
    """
    customer = np.cumsum(begins, dtype=np.int64) - 1
    earliest = month.min() - _EPOCH
    months = np.arange(earliest, month.max() - _EPOCH + 1).astype("M8[M]")
    first = months.astype("M8[D]").astype(np.int64)[month - (earliest + _EPOCH)]
    dated = np.concatenate([*_set_bits((customer << _DAY_BITS) + first, days.astype(np.int64))])
    dated.sort(kind="stable")
    within = dated & ((1 << _DAY_BITS) - 1)
    whose = dated >> _DAY_BITS
    same = whose[1:] == whose[:-1]
    last = within[np.append(~same, True)]
    gap = (whose[1:] << _DAY_BITS) + np.diff(within)
    gap = gap[same]
    gap.sort(kind="stable")
    gap &= (1 << _DAY_BITS) - 1
    repeats = np.bincount(whose, minlength=len(last)) - 1
    start = np.cumsum(repeats) - repeats
    low, high = (np.minimum(start + (repeats - odd) // 2, len(gap) - 1) for odd in (1, 0))
    median = (gap[low] + gap[high]) / 2 if len(gap) else np.zeros(len(last))
    return row[begins], last.astype("M8[D]").astype("M8[s]"), repeats.astype(np.int32), median


def _set_bits(start: NDArray[np.int64], bits: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """`start` plus the place of every set bit, the lowest bits of all numbers first."""
    while len(bits):
        lowest = bits & -bits
        yield start + np.bitwise_count(lowest - 1)
        more = np.flatnonzero(bits := bits ^ lowest)
        start, bits = start[more], bits[more]
