"""Apache Spark behind SQLAlchemy: our statements as Spark's SQL, run by `spark.sql()`.

Reads and appends only: Spark's plain tables have no transaction, so no registry is kept in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import BindTyping
from sqlalchemy.sql.compiler import GenericTypeCompiler, IdentifierPreparer, SQLCompiler

__all__ = ["SparkDialect"]


class _Compiler(SQLCompiler):
    """What Spark spells in its own way."""

    def render_literal_value(self, value: Any, type_: Any) -> str:
        """A literal; Spark reads a backslash, and two quotes as the end of one text and another."""
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        return super().render_literal_value(value, type_)


class _Types(GenericTypeCompiler):
    """Names of types in CAST and CREATE TABLE."""

    def visit_text(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002  (as SQLAlchemy calls it)
        """Text."""
        return "STRING"

    def visit_double(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002
        """Double precision."""
        return "DOUBLE"

    def visit_datetime(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002
        """Wall clock without a zone."""
        return "TIMESTAMP_NTZ"

    def visit_numeric(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002
        """Exact numbers."""
        return f"DECIMAL({type_.precision}, {type_.scale or 0})"


class _Names(IdentifierPreparer):
    """Backticks around names that need them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect, initial_quote="`")


class SparkDialect(DefaultDialect):
    """`spark://` is the session at hand; `spark://host:15002` a Spark Connect server."""

    name = "spark"
    driver = "pyspark"
    paramstyle = "named"
    default_paramstyle = "named"
    bind_typing = BindTyping.NONE
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_sane_rowcount = False
    supports_multivalues_insert = True
    requires_name_normalize = False
    returns_native_bytes = True
    statement_compiler = _Compiler
    type_compiler_cls = _Types
    preparer = _Names  # type: ignore[assignment]

    @classmethod
    def import_dbapi(cls) -> Any:
        """The few pieces of a database driver that SQLAlchemy asks for."""
        return _Driver

    def create_connect_args(self, url: sa.URL) -> Any:
        """Where the session is."""
        remote = None if url.host is None else f"sc://{url.host}:{url.port or 15002}"
        return [], {"remote": remote}

    def initialize(self, connection: Any) -> None:
        """Nothing to ask the server."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """No transaction to roll back."""

    def has_table(self, connection: Any, table_name: str, schema: Any = None, **kw: Any) -> bool:  # noqa: ARG002
        """Whether a table or a view of that name can be read."""
        return bool(connection.connection.driver_connection.session.catalog.tableExists(table_name))


class _Cursor:
    """One statement and what is left of its rows."""

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, text: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement with named parameters; only its result is fetched."""
        frame = self._session.sql(text, args=dict(parameters or {}))
        self.description = [(name, None, None, None, None, None, None) for name in frame.columns]
        self._rows = [tuple(row) for row in frame.collect()]
        self.description = self.description or None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = arraysize) -> list[tuple[Any, ...]]:
        """The next rows."""
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []


class _Connection:
    """A Spark session as a connection."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def cursor(self) -> _Cursor:
        """A place for one statement."""
        return _Cursor(self.session)

    def commit(self) -> None:
        """Every statement is final in Spark."""

    def rollback(self) -> None:
        """No transaction to roll back."""

    def close(self) -> None:
        """The session belongs to who opened it."""


class _Driver:
    """The names of a database driver."""

    paramstyle = "named"
    apilevel, threadsafety = "2.0", 1
    Error = Exception

    @staticmethod
    def connect(remote: str | None) -> _Connection:
        """The session at hand, or that of a Spark Connect server."""
        from pyspark.sql import SparkSession  # noqa: PLC0415  only Spark needs it

        builder = SparkSession.builder
        return _Connection((builder.remote(remote) if remote else builder).getOrCreate())
