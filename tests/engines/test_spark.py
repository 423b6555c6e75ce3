"""Features, draw and moments on Apache Spark with two executor processes, against the reference."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import engine_cases as reference
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from engine_cases import Shop

from loyalty_exp.errors import StoreError
from loyalty_exp.segment.features import customer_features
from loyalty_exp.store import tables
from loyalty_exp.store.engines import open_store
from loyalty_exp.store.outcomes import read_outcomes, window_of
from loyalty_exp.store.queries import draw, merge

CLOSE = reference.CLOSE
MONTHS = 2
KEPT = ("orders", "memberships", "exposures")

pytestmark = pytest.mark.filterwarnings("ignore")  # of pyspark about pandas, and of its sockets


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session whose work is done by two executor processes of one core each."""
    if shutil.which("java") is None:
        pytest.skip("no Java: Apache Spark cannot run")
    pytest.importorskip("pyspark", reason="pyspark is not installed (make test-engines)")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    folder = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
        "spark.sql.session.timeZone": "UTC",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    here = Path.cwd()
    os.chdir(folder)  # standalone workers write their logs where they start
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = builder.getOrCreate()
        yield session
        session.stop()
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def shop(shops: Any) -> Shop:
    """The company on DuckDB: where its facts come from, and its frozen plan."""
    return shops("duckdb")


@pytest.fixture(scope="module")
def connection(
    spark: Any, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Connection]:
    """Spark with the facts in tables of its own, and the roll-up made by Spark."""
    folder = tmp_path_factory.mktemp("facts")
    kinds = [("region", "text"), ("optin", "boolean")]
    with duckdb.connect(str(shop.project.store.path), read_only=True) as source:
        for name in (*KEPT, "customers"):
            source.execute(f"COPY {name} TO '{folder / name}.parquet' (FORMAT parquet)")
    spark.catalog.setCurrentDatabase("default")
    engine = sa.create_engine("spark://", poolclass=sa.NullPool)
    with engine.connect() as opened:
        made = [tables.metadata.tables[name] for name in KEPT]
        made += [tables.customer_month, tables.assignments, tables.erasures]
        made += [draw.candidates, draw.audience, tables.customers_table(kinds)]
        for table in made:
            columns = [sa.Column(column.name, column.type) for column in table.columns]
            sa.Table(table.name, sa.MetaData(), *columns).create(opened)
        for name in (*KEPT, "customers"):
            opened.exec_driver_sql(
                f"INSERT INTO {name} BY NAME SELECT * FROM parquet.`{folder / name}.parquet`"
            )
        opened.execute(merge.build_customer_month())
        yield opened
    engine.dispose()


def frame_of(connection: sa.Connection, statement: sa.Select[Any]) -> pd.DataFrame:
    return pd.DataFrame(connection.execute(statement).mappings().all())


def test_two_executor_processes_do_the_work(spark: Any) -> None:
    with_driver = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()
    assert with_driver >= 3


def test_roll_up(connection: sa.Connection, shop: Shop) -> None:
    kept = frame_of(connection, sa.select(tables.customer_month))
    found = kept.set_index(["customer", "month"]).sort_index()
    expected = reference.customer_months(shop.frames)
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE)


def test_features(connection: sa.Connection, shop: Shop) -> None:
    as_of = dt.date(2026, 3, 9)
    expected = reference.features(shop.frames, pd.Timestamp(as_of))
    names = list(expected.columns)
    rows = frame_of(connection, customer_features(as_of, names))
    found = rows.set_index("customer").sort_index()[names].astype(float)
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(found, expected.astype(float), rtol=CLOSE, atol=CLOSE)


@pytest.fixture(scope="module")
def drawn(connection: sa.Connection, shop: Shop) -> sa.Connection:
    """Spark with the campaign drawn by Spark, from the memberships and the frozen counts."""
    plan = shop.plan
    population = draw.Population(tables.customers_table([("region", "text"), ("optin", "boolean")]))
    customers = population.customers
    agreed = sa.select(customers.c.customer).where(customers.c.optin.is_(sa.true()))
    consent = draw.Exclusion("no consent", agreed, outside=True, whole_unit=False)
    found = draw.candidates_of(["regular", "quiet"], plan.as_of, population, [consent])
    names = [column.name for column in draw.candidates.c]
    connection.execute(draw.candidates.insert().from_select(names, found))
    stratified = draw.stratified(
        ["regular", "quiet"],
        population,
        [("region", customers.c.region)],
        None,
        (plan.first_month - 12, plan.first_month),
        whole_unit=[],
    )
    names = [column.name for column in draw.audience.c]
    connection.execute(draw.audience.insert().from_select(names, stratified))
    recipe = draw.Draw(plan.campaign, plan.wave, plan.salt, plan.arms, plan.strata)
    cuts = tuple(connection.execute(draw.band_quantiles()).one())
    assert cuts == pytest.approx(plan.band_cuts, rel=CLOSE)
    connection.execute(draw.assign(recipe, cuts, population, by_segment=True))
    assert connection.scalar(draw.redrawn_differences(recipe)) == 0
    return connection


def test_the_draw_is_the_recipe_to_the_unit(drawn: sa.Connection, shop: Shop) -> None:
    rows = frame_of(drawn, sa.select(tables.assignments)).set_index("customer").sort_index()
    expected = reference.roster(shop.frames, shop.plan)
    pd.testing.assert_frame_equal(
        rows[["segment", "stratum", "arm"]], expected, check_dtype=False, check_names=False
    )
    assert drawn.scalar(draw.roster_sum("winback", 0)) == shop.plan.roster_sum


def test_moments(drawn: sa.Connection, shop: Shop) -> None:
    expected = reference.reference_outcomes(shop, MONTHS)
    window = window_of(
        shop.plan, shop.plan.first_month, months=MONTHS, by_customer=True, logged=True
    )
    found = read_outcomes(drawn, [window], shop.plan.declaration["costs"]["per_contact"])
    reference.assert_same_moments(found, expected)


def test_spark_keeps_no_store() -> None:
    with pytest.raises(StoreError, match="keeps no store"):
        open_store("spark://")
