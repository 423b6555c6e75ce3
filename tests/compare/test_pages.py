"""What the page is given: small groups hidden for good, everything else as in the comparison."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from loyalty_exp.compare.kpis import DEFINITIONS
from loyalty_exp.compare.pages import hidden_cells, hidden_parts, page_data
from loyalty_exp.compare.years import Comparison, compare
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import metadata

YEARS = (
    (dt.date(2019, 1, 1), dt.date(2019, 12, 31)),
    (dt.date(2020, 1, 1), dt.date(2020, 12, 31)),
)
LEAST = 12


@pytest.fixture(scope="module")
def connection() -> Iterator[sa.Connection]:
    rng = np.random.default_rng(11)
    size = 1500
    frame = pd.DataFrame({"customer": rng.integers(0, 160, size).astype(str)})
    days = pd.to_timedelta(rng.integers(0, 1096, size), unit="D")
    frame["ordered_at"] = pd.Timestamp("2018-01-01") + days
    frame["revenue"] = np.round(rng.gamma(1.5, 25, size), 2)
    frame["month"] = frame["ordered_at"].dt.year * 12 + frame["ordered_at"].dt.month
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        raw = connection.connection.driver_connection
        raw.register("frame", frame)
        raw.execute(
            "INSERT INTO orders SELECT row_number() OVER (), customer, ordered_at, month, revenue, "
            "revenue / 2, NULL, 'x' FROM frame"
        )
        keep_summaries(connection)
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def comparison(connection: sa.Connection) -> Comparison:
    return compare(connection, *YEARS)


def test_nothing_hidden_is_the_comparison_itself(
    connection: sa.Connection, comparison: Comparison
) -> None:
    found = page_data(connection, comparison, min_cell=1)
    for name, value in comparison.to_dict().items():
        assert found[name] == value, name
    assert set(found) - set(comparison.to_dict()) == {
        "kpis_by_year", "kpis_by_month", "cohorts", "definitions", "names", "min_cell",
    }  # fmt: skip
    assert set(found["definitions"]) == set(DEFINITIONS)
    assert found["names"]["At Risk"] == {"en": "At Risk", "fr": "À risque"}
    assert len({row["month"] for row in found["kpis_by_month"]}) == 24
    json.dumps(found)


def test_no_figure_of_a_few_customers_leaves(
    connection: sa.Connection, comparison: Comparison
) -> None:
    whole = page_data(connection, comparison, min_cell=1)
    found = page_data(connection, comparison, min_cell=LEAST)
    hidden = 0
    for before, after in zip(whole["moves"], found["moves"], strict=True):
        assert after["customers"] in (None, before["customers"])
        if before["customers"] < LEAST:
            assert after["customers"] is after["revenue_year1"] is after["revenue_year2"] is None
            hidden += 1
        if after["customers"] is None:
            assert after["few"] == (before["customers"] < LEAST)
    assert hidden
    for row in found["kpis_by_month"]:
        assert row["segment"] == "all" or row["active"] is None or not 0 < row["active"] < LEAST
    for row in found["kpis_by_year"]:
        assert row["active"] is None or row["active"] == 0 or row["active"] >= LEAST
    for row in found["cohorts"]:
        assert row["customers"] >= LEAST
        assert row["active"] is None or row["active"] == 0 or row["active"] >= LEAST
        assert (row["active"] is None) == (row["retention"] is None)
    members = [row for row in found["segments"] if row["metric"] == "members"]
    assert any(row["year1"] is None for row in members)
    for row in members:
        for year in ("year1", "year2"):
            assert row[year] is None or row[year] == 0 or row[year] >= LEAST
    gone = {row["segment"] for row in members if row["view"] == "followed" and row["year1"] is None}
    assert {row["segment"] for row in found["bridge"] if row["amount"] is None} == gone
    assert found["totals"] == whole["totals"]


def test_days_that_are_not_whole_months_have_no_months(connection: sa.Connection) -> None:
    windows = (
        (dt.date(2019, 1, 1), dt.date(2019, 6, 14)),
        (dt.date(2020, 1, 1), dt.date(2020, 6, 14)),
    )
    found = page_data(connection, compare(connection, *windows), min_cell=1)
    assert found["kpis_by_month"] == found["cohorts"] == []
    assert found["kpis_by_year"]


def test_a_single_hidden_part_takes_another_with_it() -> None:
    assert hidden_parts({"a": 3, "b": 9, "c": 20, "d": 0}, 5) == {"a", "b"}
    assert hidden_parts({"a": 3, "b": 4, "c": 20}, 5) == {"a", "b"}
    assert hidden_parts({"a": 30, "b": 0}, 5) == set()
    assert hidden_parts({"a": 3}, 5) == {"a"}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")),
        st.integers(min_value=0, max_value=30),
    )
)
def test_no_line_of_a_table_gives_a_field_away(sizes: dict[tuple[str, str], int]) -> None:
    hidden = hidden_cells(sizes, 5)
    assert all(field in hidden for field, size in sizes.items() if 0 < size < 5)
    assert all(sizes[field] for field in hidden)
    for axis in (0, 1):
        for name in {field[axis] for field in sizes}:
            line = {field for field in sizes if field[axis] == name and sizes[field]}
            assert len(line & hidden) != 1 or len(line) == 1
