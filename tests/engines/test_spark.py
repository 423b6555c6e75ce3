"""What makes a change whole or not at all on Apache Spark, and what Spark is asked not to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loyalty_exp.design.lists import check_table
from loyalty_exp.errors import LaunchError, StoreError
from loyalty_exp.store import split, tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.queries.erase import tombstones
from loyalty_exp.store.split import SplitConnection, SplitStore

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:pyspark")  # about pandas 3
DAY = dt.date(2026, 3, 9)
KEPT = tables.memberships


@pytest.fixture
def store(spark: Any, tmp_path: Path) -> SplitStore:  # noqa: ARG001  (its session is used)
    """An empty store of Spark's with its registry in SQLite."""
    opened = open_store(
        f"spark://?location={tmp_path / 'facts'}",
        registry_url=f"sqlite:///{tmp_path / 'registry.db'}",
    )
    assert isinstance(opened, SplitStore)
    return opened


def put(connection: sa.Connection, segment: str, customer: str) -> None:
    row = sa.select(sa.literal(segment), sa.literal(DAY), sa.literal(customer))
    names = [column.name for column in KEPT.c]
    connection.execute(KEPT.insert().from_select(names, row))


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_after(change: Callable[[sa.Connection], None], store: SplitStore) -> None:
    """Make a change in a transaction that does not come to its end."""

    def killed() -> None:
        with store.write() as connection:
            change(connection)
            raise KilledError

    with pytest.raises(KilledError):
        killed()


def members(store: SplitStore) -> list[tuple[str, str]]:
    with store.read() as connection:
        rows = connection.execute(sa.select(KEPT.c.segment, KEPT.c.customer))
        return sorted((row.segment, row.customer) for row in rows)


def files(store: SplitStore, name: str) -> Iterator[Path]:
    location = Path(str(store.url.query["location"]))
    return (path for path in (location / name).glob("*/*.parquet"))


def test_two_executor_processes_do_the_work(spark: Any) -> None:
    assert spark.range(8, numPartitions=4).count() == 8  # waits for both to be there
    with_driver = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()
    assert with_driver >= 3


def test_a_change_is_whole_or_not_at_all(store: SplitStore) -> None:
    with store.write() as connection:
        put(connection, "gold", "o'neil \\")

    def change(connection: sa.Connection) -> None:
        put(connection, "gold", "lost")
        connection.execute(KEPT.delete().where(KEPT.c.customer == "o'neil \\"))
        assert connection.scalars(sa.select(KEPT.c.customer)).all() == ["lost"]

    killed_after(change, store)
    assert members(store) == [("gold", "o'neil \\")]


def test_a_reader_sees_one_state(store: SplitStore) -> None:
    with store.write() as connection:
        put(connection, "gold", "1")
    with store.read() as reader:
        count = sa.select(sa.func.count()).select_from(KEPT)
        assert reader.scalar(count) == 1
        with store.write() as connection:
            put(connection, "gold", "2")
            connection.execute(KEPT.update().values(segment="silver").where(KEPT.c.customer == "1"))
        assert reader.scalars(sa.select(KEPT.c.segment)).all() == ["gold"]
    assert members(store) == [("gold", "2"), ("silver", "1")]


def test_many_parts_become_one(store: SplitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MOST_PARTS", 2)
    with store.write() as connection:
        for customer in "123":
            put(connection, "gold", customer)
        counting = sa.select(sa.func.count()).select_from(split.parts)
        assert isinstance(connection, SplitConnection)
        assert connection.kept.scalar(counting.where(split.parts.c.until.is_(None))) == 1
    assert members(store) == [("gold", customer) for customer in "123"]


def test_compaction_leaves_nothing_of_what_was_erased(store: SplitStore) -> None:
    with store.write() as connection:
        put(connection, "gold", "secret-id")
    killed_after(lambda connection: put(connection, "gold", "secret-id"), store)
    with store.write() as connection:
        changed = connection.execute(KEPT.update().values(customer="forgotten"))
        assert changed.rowcount == 1
    holding = [path for path in files(store, "memberships") if b"secret-id" in path.read_bytes()]
    assert len(holding) == 2
    store.compact()
    assert not any(b"secret-id" in path.read_bytes() for path in files(store, "memberships"))
    assert members(store) == [("gold", "forgotten")]


def test_a_long_result_comes_a_partition_at_a_time(
    store: SplitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql.classic.dataframe import DataFrame

    with store.write() as connection:
        for customer in "312":
            put(connection, "gold", customer)

    def whole(_: Any) -> None:
        raise AssertionError("fetched at once")

    with store.read() as connection:
        monkeypatch.setattr(DataFrame, "collect", whole)
        ordered = sa.select(KEPT.c.customer).order_by(KEPT.c.customer)
        rows = connection.execute(ordered, execution_options={"yield_per": 2})
        assert [row.customer for row in rows] == ["1", "2", "3"]
        with pytest.raises(sa.exc.OperationalError, match="at once"):
            connection.execute(ordered)


def test_a_statement_over_both_reads_the_registry_as_it_is(store: SplitStore) -> None:
    left = sa.select(KEPT.c.customer).where(KEPT.c.customer.not_in(tombstones()))
    with store.write() as connection:
        put(connection, "gold", "1")
        put(connection, "gold", "2")
        assert sorted(connection.scalars(left)) == ["1", "2"]
        now = dt.datetime(2026, 3, 9, 12)
        connection.execute(tables.erasures.insert().values(tombstone="1", erased_at=now))
        assert connection.scalars(left).all() == ["2"]


def test_spark_asks_for_a_registry() -> None:
    with pytest.raises(StoreError, match=r"has no transactions.*registry_url"):
        open_store("spark://")
    with pytest.raises(StoreError, match="keeps no registry"):
        open_store("spark://", registry_url="trino://host/registry")
    with pytest.raises(StoreError, match="session at hand"):
        open_store("spark://host:15002", registry_url="sqlite:///registry.db")
    with pytest.raises(StoreError, match="keeps its own registry"):
        open_store("duckdb:///a.duckdb", registry_url="sqlite:///registry.db")


def test_no_lists_are_pushed_into_spark() -> None:
    with pytest.raises(LaunchError, match="not pushed into a table of spark"):
        check_table("lists", "spark")


def test_every_table_is_kept_in_one_place() -> None:
    names = set(tables.metadata.tables) | {"customers"}
    assert names >= split.FACTS
    assert names - split.FACTS == split.REGISTRY
