"""Our statements compile for the warehouses, and each says md5 and days in its own way.

They are compiled and parsed here as text, not run: no such warehouse is at hand.
"""

from __future__ import annotations

import datetime as dt
import importlib
import re
from collections.abc import Mapping
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
import sqlglot

from loyalty_exp.declare.frozen import StratumCounts
from loyalty_exp.errors import StoreError
from loyalty_exp.segment.membership import scheme_at
from loyalty_exp.store import tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.engines import CAPABILITIES
from loyalty_exp.store.queries import audience, draw, summaries
from loyalty_exp.store.queries.checks import standing
from loyalty_exp.store.queries.compare import Window as Years
from loyalty_exp.store.queries.compare import portfolio
from loyalty_exp.store.queries.features import FEATURES, features
from loyalty_exp.store.queries.functions import _QUANTILE
from loyalty_exp.store.queries.moments import (
    Window,
    cap,
    group_moments,
    largest_units,
    unit_rows,
)
from loyalty_exp.store.queries.plan import typical_gap

DIALECTS = {
    "databricks": ("databricks.sqlalchemy", "DatabricksDialect"),
    "snowflake": ("snowflake.sqlalchemy.snowdialect", "SnowflakeDialect"),
    "bigquery": ("sqlalchemy_bigquery", "BigQueryDialect"),
    "trino": ("trino.sqlalchemy.dialect", "TrinoDialect"),
    "clickhousedb": ("clickhouse_connect.cc_sqlalchemy.dialect", "ClickHouseDialect"),
    "spark": ("loyalty_exp.store.spark", "SparkDialect"),
    "postgresql": ("sqlalchemy.dialects.postgresql.psycopg", "PGDialect_psycopg"),
}
MD5 = {
    "bigquery": "TO_HEX(MD5(",
    "trino": "lower(to_hex(md5(to_utf8(",
    "clickhousedb": "lower(hex(MD5(",
}
DIGEST = {
    "databricks": "conv(substr(md5(",
    "spark": "conv(substr(md5(",
    "snowflake": "TO_NUMBER(substr(md5(",
    "bigquery": "CAST(concat('0x', substr(TO_HEX(MD5(",
    "trino": "from_base(substr(lower(to_hex(md5(",
    "clickhousedb": "reinterpretAsInt64(reverse(unhex(",
    "postgresql": "AS bit(64)",
}
DAYS = {
    "databricks": "datediff(",
    "spark": "datediff(",
    "snowflake": "DATEDIFF(day,",
    "bigquery": "DATE_DIFF(",
    "trino": "date_diff('day',",
    "clickhousedb": "dateDiff('day',",
    "postgresql": "('2026-03-09' - ",
}


def statements() -> Mapping[str, sa.sql.ClauseElement]:
    """One statement of every kind that works on facts."""
    window = Window(
        campaign="x",
        wave=0,
        start=dt.date(2026, 3, 10),
        first_month=2026 * 12 + 3,
        months=2,
        covariate_months=12,
        by_customer=True,
        cap=("revenue", 10.0),
        with_exposures=True,
    )
    years = (
        Years(dt.date(2024, 1, 1), dt.date(2024, 12, 31)),
        Years(dt.date(2025, 1, 1), dt.date(2025, 12, 31)),
    )
    recipe = draw.Draw("x", 0, "salt", ("holdout", "a"), (StratumCounts("band=1", 10, (2, 8)),))
    population = audience.Population(tables.customers_table([("region", "text")]))
    return {
        "moments": group_moments(window, [("revenue", "revenue_x")])[0],
        "unit_rows": unit_rows(window),
        "largest": largest_units(window, "margin", 1, 10, ("holdout", "a"), few=False),
        "standing": standing(
            "x", 0, (24301, 24313), (window.start, 24315), by_customer=False, few=True
        ),
        "cap": cap(window, "revenue"),
        "gap": typical_gap(features(dt.date(2026, 3, 9), ["median_gap_days"])),
        "features": features(dt.date(2026, 3, 9), [n for n in FEATURES if n != "p_alive"]),
        "assign": draw.assign(recipe, (1.0, 2.0), population),
        "strata": audience.count_strata((1.0, 2.0)),
        "redrawn": draw.redrawn_differences(recipe),
        "roster_sum": draw.roster_sum("x", 0),
        "quantiles": audience.band_quantiles(),
        "roll_up": summaries.build_customer_month(),
        "rhythm": summaries.build_customer_rhythm(),
        "portfolio": portfolio(*years, scheme_at("rfm", *(year.end for year in years))),
    }


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Any:
    module, name = DIALECTS[request.param]
    try:
        return getattr(importlib.import_module(module), name)()
    except ImportError:
        pytest.skip(f"the dialect of {request.param} is not installed (make test-engines)")


def text_of(statement: Any, dialect: Any) -> str:
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize("name", sorted(statements()))
def test_it_compiles_whole(dialect: Any, name: str) -> None:
    text = text_of(statements()[name], dialect)
    assert re.search(r"[:%]\(?\w+_\d+\)?s?\b", text) is None, "a parameter was left"
    assert "digest_number(" not in text
    assert "days_between(" not in text
    assert not re.search(r"bits?_(at|together|in_both)\(|date_of\(", text)


def test_each_writes_its_own_functions(dialect: Any) -> None:
    found = {name: text_of(statement, dialect) for name, statement in statements().items()}
    assert MD5.get(dialect.name, "md5(concat(") in found["assign"]
    assert DIGEST[dialect.name] in found["roster_sum"]
    assert DAYS[dialect.name] in found["features"]


def test_quantiles_are_asked_of_what_each_has(dialect: Any) -> None:
    """None of the three has `percentile_cont` as an aggregate."""
    found = "".join(
        text_of(statements()[name], dialect) for name in ("cap", "features", "gap", "quantiles")
    )
    interpolates = {
        "bigquery": "IGNORE NULLS ORDER BY ",
        "trino": "element_at(array_sort(array_agg(",
        "clickhousedb": "quantileExactInclusive(0.95)(",
    }
    if dialect.name in interpolates:
        assert interpolates[dialect.name] in found
        assert "percentile_cont" not in found
    else:
        assert "percentile_cont(0.95) WITHIN GROUP" in found


def test_a_quantile_by_its_neighbours_is_percentile_cont() -> None:
    """The arithmetic written for Trino, in an engine at hand whose arrays count from 1 too."""
    values = [3.0, None, 11.0, 7.5, 2.0, 40.0]
    template = (
        _QUANTILE["trino"]
        .replace("array_sort(", "list_sort(")
        .replace("element_at", "list_extract")
    )
    with duckdb.connect() as engine:
        engine.execute("CREATE TABLE numbers (x DOUBLE, g INTEGER)")
        engine.executemany(
            "INSERT INTO numbers VALUES (?, ?)", [(x, n % 2) for n, x in enumerate(values)]
        )
        for share in ("0.5", "0.8", "0.95", "0.99"):
            own = template.format("x", "", share)
            rows = engine.execute(
                f"SELECT {own}, quantile_cont(x, {share}) FROM numbers GROUP BY g"
            )
            for found, expected in rows.fetchall():
                assert found == pytest.approx(expected, rel=1e-12)


def test_it_is_of_the_table_of_capabilities(dialect: Any) -> None:
    keeps = CAPABILITIES[dialect.name].keeps
    assert keeps == {"postgresql": {"facts", "registry"}, "spark": {"facts"}}.get(
        dialect.name, set()
    )
    if not keeps:
        with pytest.raises(StoreError, match="keeps no facts here"):
            open_store(f"{dialect.name}://host/database")


@pytest.mark.parametrize("name", sorted(statements()))
def test_its_parser_reads_it(dialect: Any, name: str) -> None:
    grammar = {"clickhousedb": "clickhouse", "postgresql": "postgres"}
    text = text_of(statements()[name], dialect)
    if name == "assign" and " INSERT INTO " in text:
        text = re.sub(r" INSERT INTO \S+ \([^)]*\)", "", text)
    parsed = sqlglot.parse_one(text, dialect=grammar.get(dialect.name, dialect.name))
    assert parsed is not None
