"""What differs between databases: one table of capabilities. Holds no statement of facts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from loyalty_exp.errors import StoreError

__all__ = [
    "BOTH",
    "CAPABILITIES",
    "FACTS",
    "LOCK_PATIENCE_SECONDS",
    "REGISTRY",
    "Capabilities",
    "capabilities_of",
    "grouped_in_parts",
    "joined_as_written",
    "lower_memory",
    "parsed_address",
    "read_only",
]

LOCK_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do that others cannot."""

    keeps: frozenset[str] = frozenset()
    """Which of FACTS and REGISTRY it was run with; statements alone can run on others."""
    single_writer: bool = False
    """One process at a time may write, and it shuts out readers (DuckDB's file lock)."""
    embedded: bool = False
    """A file of this machine, no server."""
    arrival: str = ""
    """How rows read come in: a `view` of their file, `copy` through COPY, `sent` in batches."""
    one_thread: str = ""
    """Statement that makes the order of additions the same in every run; empty if there is none."""
    as_written: tuple[str, ...] = ()
    """Statements that make it join tables as written, and that leave it to its planner again; () if
    the planner knows the size of what the same transaction wrote."""
    parts_from: int = 0
    """Threads from which it groups rows in parts that stay in the processor's cache; 0 if that does
    not hang on threads."""
    in_process: bool = False
    """Rows come without a wire, as Arrow: moments are added up by BLAS instead of the engine."""
    most_columns: int | None = None
    """How many columns a result may have."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that a file is made and opened under."""
    opened_with: tuple[str, ...] = ()
    """What a new file begins with."""
    snapshot: tuple[str, ...] = ()
    """What a transaction begins with that reads one state throughout."""
    lists_tables: bool = True
    """Knows by `information_schema` which tables there are, so that lists may be pushed to one."""
    writer_lock: tuple[str, ...] = ()
    """What a writing transaction begins with, so that writers take turns; () where a file lock
    does it."""


FACTS, REGISTRY = "facts", "registry"
BOTH = frozenset({FACTS, REGISTRY})

CAPABILITIES = {
    "duckdb": Capabilities(
        keeps=BOTH,
        single_writer=True,
        embedded=True,
        arrival="view",
        one_thread="SET threads = 1",
        as_written=(
            "SET disabled_optimizers = 'join_order,build_side_probe_side'",
            "RESET disabled_optimizers",
        ),
        parts_from=3,  # up to two, each grows one table of all it meets
        in_process=True,
        settings={"storage_compatibility_version": "latest"},  # texts are packed at half the cost
    ),
    "postgresql": Capabilities(
        keeps=BOTH,
        arrival="copy",
        most_columns=1600,
        snapshot=("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",),
        writer_lock=(
            f"SET LOCAL lock_timeout = '{LOCK_PATIENCE_SECONDS:.0f}s'",
            "SELECT pg_advisory_xact_lock(hashtext('loyalty_exp'))",
        ),
    ),
    "sqlite": Capabilities(
        keeps=frozenset({REGISTRY}),
        embedded=True,
        opened_with=("PRAGMA journal_mode = WAL",),
        snapshot=("BEGIN",),
        writer_lock=(
            f"PRAGMA busy_timeout = {1000 * LOCK_PATIENCE_SECONDS:.0f}",
            "BEGIN IMMEDIATE",
        ),
    ),
    "spark": Capabilities(keeps=frozenset({FACTS}), arrival="sent", lists_tables=False),
    "databricks": Capabilities(),
    "snowflake": Capabilities(),
    "bigquery": Capabilities(most_columns=10_000),
    "trino": Capabilities(),
    "clickhousedb": Capabilities(),
}
sa.dialects.registry.register("spark", "loyalty_exp.store.spark", "SparkDialect")


def capabilities_of(dialect: str) -> Capabilities:
    """What the engine of a dialect can do."""
    return CAPABILITIES[dialect]


@contextlib.contextmanager
def joined_as_written(connection: sa.Connection) -> Iterator[None]:
    """Statements inside join tables in the order in which they name them: the many rows first.

    For an engine that takes a table filled in the same transaction for empty. After an error the
    transaction takes no further statement, and its connection is closed.
    """
    settings = capabilities_of(connection.dialect.name).as_written
    for statement in settings[:1]:
        connection.exec_driver_sql(statement)
    yield
    for statement in settings[1:]:
        connection.exec_driver_sql(statement)


@contextlib.contextmanager
def grouped_in_parts(connection: sa.Connection) -> Iterator[None]:
    """Statements inside group rows in parts that stay in the cache, on a machine of two cores too.

    A number of threads that the address sets stays, and so does a single thread. After an error the
    transaction takes no further statement, and its connection is closed.
    """
    least = capabilities_of(connection.dialect.name).parts_from
    before = 0
    if least and "threads" not in connection.engine.url.query:
        before = int(_setting(connection, "threads"))
    few = 1 < before < least
    if few:
        connection.exec_driver_sql(f"SET threads = {least}")
    yield
    if few:
        connection.exec_driver_sql(f"SET threads = {before}")


def lower_memory(connection: sa.Connection, gib: float) -> str:
    """Let the embedded engine take so much memory at most.

    Returns:
        The limit before, as the engine writes it.
    """
    before = _setting(connection, "memory_limit")
    number, unit = before.split()
    if unit == "TiB" or (unit == "GiB" and float(number) > gib):
        connection.exec_driver_sql(f"SET memory_limit = '{gib} GiB'")
    return before


def _setting(connection: sa.Connection, name: str) -> str:
    return str(connection.scalar(sa.select(sa.func.current_setting(name))))


@compiles(sa.schema.CreateColumn, "duckdb")
def _create_column(element: sa.schema.CreateColumn, compiler: Any, **options: Any) -> str:
    """A column's definition; one of many different texts is kept as it is."""
    text = str(compiler.visit_create_column(element, **options))
    packed = element.element.info.get("compressed", True)
    return text if packed else f"{text} USING COMPRESSION uncompressed"


_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}


@contextlib.contextmanager
def read_only(url: sa.URL) -> Iterator[sa.Connection]:
    """A connection to a database of the user's that refuses to write, where it can be asked to.

    A DuckDB may read no other file and reach no network, and nothing is made that is not there.

    Args:
        url: of the database.

    Raises:
        DBAPIError: it cannot be opened.
    """
    backend = url.get_backend_name()
    options: dict[str, Any] = {}
    if backend == "duckdb":
        shut = {"enable_external_access": False, "lock_configuration": True}
        options["connect_args"] = {"read_only": True, "config": shut}
    elif backend == "sqlite" and url.database not in {None, "", ":memory:"}:
        path = Path(str(url.database)).absolute()
        url = url.set(database=f"file:{quote(str(path))}").update_query_dict(
            {"mode": "ro", "uri": "true"}
        )
    engine = sa.create_engine(url, poolclass=sa.NullPool, **options)
    if backend == "postgresql":
        engine = engine.execution_options(postgresql_readonly=True)
    try:
        with engine.connect() as connection:
            if backend in _READ_ONLY:
                connection.exec_driver_sql(_READ_ONLY[backend])
            yield connection
    finally:
        engine.dispose()


def parsed_address(url: str) -> sa.URL:
    """The parts of an address, which is never repeated in an error: it may hold a secret.

    Raises:
        StoreError: it is no address of a database.
    """
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        text = "database is no address of a database: dialect://user@host/name is expected"
        raise StoreError(text) from None
