"""Repeated ids are found by their hash first; ids of one hash are told apart."""

from __future__ import annotations

import duckdb
import pytest

from loyalty_exp.store import etl

# Two of ten million ids of a synthetic company that DuckDB 1.5 gives one hash.
ONE_HASH = ("O000024892102004", "O000024392102001")


@pytest.mark.parametrize(
    ("ids", "repeated"),
    [
        (ONE_HASH, False),
        ((*ONE_HASH, ONE_HASH[1]), True),
        (("a", "b", "a"), True),
        (("a", "b"), False),
        ((), False),
        ((*map(str, range(9_999)), "7"), True),
        (tuple(map(str, range(9_999))), False),
    ],
)
def test_only_equal_ids_repeat(ids: tuple[str, ...], repeated: bool) -> None:
    with duckdb.connect() as engine:
        engine.execute("CREATE TABLE incoming (order_id VARCHAR)")
        engine.execute("INSERT INTO incoming SELECT unnest(?::VARCHAR[])", [list(ids)])
        assert etl.repeated(engine, "order_id") is repeated
