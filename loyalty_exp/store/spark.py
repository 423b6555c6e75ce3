"""Apache Spark behind SQLAlchemy: our statements as Spark's SQL, run by `spark.sql()`.

Every statement is final here; what makes a change whole or not at all is `split`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import BindTyping
from sqlalchemy.sql.compiler import GenericTypeCompiler, IdentifierPreparer, SQLCompiler

__all__ = ["FRAME", "OWN_TABLES", "SparkDialect", "type_of"]

FRAME = "spark_frame"
"""Execution option: keep the result in Spark, as the attribute `frame` of the cursor."""

OWN_TABLES = "own_tables"
"""Key of a connection's info: the tables that are there, for one that knows its own."""


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
        return f"DECIMAL({type_.precision or 38}, {type_.scale or 0})"


class _Names(IdentifierPreparer):
    """Backticks around names that need them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect, initial_quote="`")


class SparkDialect(DefaultDialect):
    """`spark://` is the session at hand.

    `?location=` names the folder of the store's files; else one in Spark's warehouse.
    """

    name = "spark"
    driver = "pyspark"
    paramstyle = "named"
    default_paramstyle = "named"
    bind_typing = BindTyping.NONE
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    div_is_floordiv = False
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

    def create_connect_args(self, url: sa.URL) -> Any:  # noqa: ARG002  (as SQLAlchemy calls it)
        """Nothing: the session is at hand."""
        return [], {}

    def initialize(self, connection: Any) -> None:
        """Nothing to ask the server."""

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run a statement; its rows are fetched at once, by partition where they are streamed."""
        options = {} if context is None else context.execution_options
        fetch = _Fetch.ALL if not options.get("stream_results") else _Fetch.BY_PARTITION
        cursor.execute(statement, parameters, _Fetch.NOTHING if options.get(FRAME) else fetch)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """No transaction to roll back."""

    def has_table(self, connection: Any, table_name: str, schema: Any = None, **kw: Any) -> bool:  # noqa: ARG002
        """Whether a table or a view of that name can be read."""
        known = connection.info.get(OWN_TABLES)
        if known is not None:
            return table_name in known
        catalog = connection.connection.driver_connection.session.catalog
        return bool(catalog.tableExists(table_name))


def type_of(column: sa.Column[Any]) -> str:
    """Spark's name for the type of a column."""
    return str(column.type.compile(dialect=SparkDialect()))


class _Fetch(Enum):
    """Which rows of a result come to this machine when."""

    NOTHING = "none"
    ALL = "at once"
    BY_PARTITION = "one partition at a time, as they are read"


class _Cursor:
    """One statement and what is left of its rows."""

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self.description: list[tuple[Any, ...]] | None = None
        self.frame: Any = None

    def execute(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        fetch: _Fetch = _Fetch.ALL,
    ) -> None:
        """Run a statement with named parameters; only its result is fetched."""
        from pyspark.errors import AnalysisException  # noqa: PLC0415  only Spark needs it

        session = self._connection.session
        try:
            self.frame = session.sql(text, args=dict(parameters or {}))
            names = self.frame.columns
            rows = self.frame.collect() if fetch is _Fetch.ALL else []
        except AnalysisException as error:
            raise _Driver.ProgrammingError(str(error)) from error
        except Exception as error:
            raise _Driver.OperationalError(str(error)) from error
        self.description = [(name, None, None, None, None, None, None) for name in names] or None
        self._rows = self._streamed() if fetch is _Fetch.BY_PARTITION else map(tuple, rows)

    def _streamed(self) -> Iterator[tuple[Any, ...]]:
        """The rows, of which one partition is on this machine at a time."""
        try:
            yield from map(tuple, self.frame.toLocalIterator())
        except Exception as error:
            raise _Driver.OperationalError(str(error)) from error

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        return list(self._rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int = arraysize) -> list[tuple[Any, ...]]:
        """The next rows."""
        return list(itertools.islice(self._rows, size))

    def close(self) -> None:
        """Forget the rows."""
        self._rows = iter(())


class _Connection:
    """A Spark session of its own as a connection: it starts when it is first needed."""

    @cached_property
    def session(self) -> Any:
        """The session: its settings and temporary views are nobody else's."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pyspark about pandas, and of its sockets
                own = _session().newSession()
        except ImportError as error:
            text = "Spark needs pyspark and Java: pip install 'loyalty_exp[spark]'"
            raise _Driver.OperationalError(text) from error
        except Exception as error:
            text = f"Spark cannot be reached: {str(error).strip().partition(chr(10))[0]}"
            raise _Driver.OperationalError(text) from error
        for name, value in _SETTINGS.items():
            own.conf.set(name, value)
        return own

    def cursor(self) -> _Cursor:
        """A place for one statement."""
        return _Cursor(self)

    def commit(self) -> None:
        """Every statement is final in Spark."""

    def rollback(self) -> None:
        """No transaction to roll back."""

    def close(self) -> None:
        """The cluster belongs to who started it."""


_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
}
"""What the statements count on, whatever the cluster's defaults."""


def _session() -> Any:
    """The session at hand, or a new one as Spark's own configuration describes it."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  only Spark needs it

    quiet: dict[str, Any] = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}
    return SparkSession.getActiveSession() or SparkSession.builder.config(map=quiet).getOrCreate()


class _Driver:
    """The names of a database driver."""

    paramstyle = "named"
    apilevel, threadsafety = "2.0", 1

    class Error(Exception):
        """What Spark refuses."""

    class OperationalError(Error):
        """Spark is not there."""

    class ProgrammingError(Error):
        """A statement that Spark cannot run."""

    @staticmethod
    def connect() -> _Connection:
        """A session at hand."""
        return _Connection()
