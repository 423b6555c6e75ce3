"""A store in two places: facts in files that Spark writes, the registry in a small database.

A change writes new files and leaves the old ones alone; the transaction of the registry then says
which of them count. So a change is whole or not at all, on an engine without transactions.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable, DropTable

from loyalty_exp.store import tables
from loyalty_exp.store.database import Store
from loyalty_exp.store.spark import FRAME, OWN_TABLES, type_of

__all__ = ["FACTS", "SplitConnection", "SplitStore", "parts"]

FACTS = frozenset(
    {
        "orders",
        "customers",
        "customer_month",
        "customer_rhythm",
        "memberships",
        "assignments",
        "roster_numbers",
        "exposures",
        "costs",
        "rejects",
    }
)
REGISTRY = frozenset(tables.metadata.tables) - FACTS

MOST_PARTS = 64
"""Parts of a table above which a change writes it anew as one."""

KEPT_FOR = dt.timedelta(days=1)
"""How long files that no longer count stay, for those who still read them."""

parts = sa.Table(
    "parts",
    sa.MetaData(),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("part", sa.Text, nullable=False, comment="folder of Parquet files"),
    sa.Column("until", sa.DateTime, comment="UTC; when it ceased to count, NULL while it counts"),
    sa.Column("emptied", sa.Boolean, nullable=False),
)


class SplitStore(Store):
    """Facts at one URL, the registry at another; used like any other store."""

    def __init__(
        self, url: str, registry_url: str, announce: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(url, announce)
        self.registry = Store(registry_url, announce, make=_make_registry)

    def exists(self) -> bool:
        """Whether the store has been created."""
        return self.registry.exists()

    @contextlib.contextmanager
    def read(self, *, repeatable: bool = False) -> Iterator[sa.Connection]:
        """A connection to one state of the store; it writes nothing that lasts.

        Raises:
            StoreError: nothing was loaded yet, or one of the two cannot be reached.
        """
        with self.registry.read(repeatable=repeatable) as kept:
            for statement in self.registry.capabilities.snapshot:
                kept.exec_driver_sql(statement)
            with self._facts(kept) as connection:
                yield connection

    @contextlib.contextmanager
    def write(self, *, repeatable: bool = False) -> Iterator[sa.Connection]:
        """One transaction: the registry commits last, and says which files count.

        Raises:
            StoreError: the store cannot be opened for writing.
        """
        with self.registry.write(repeatable=repeatable) as kept, self._facts(kept) as connection:
            yield connection
            connection.sweep(before=_now() - KEPT_FOR)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[sa.Connection]:
        """A connection that takes temporary tables and keeps nothing.

        Raises:
            StoreError: nothing was loaded yet, or one of the two cannot be reached.
        """
        with self.read() as connection:
            yield connection

    def renew(self) -> None:
        """Nothing: no earlier version wrote such a store."""

    def compact(self) -> None:
        """Empty every file that no longer counts, so that nothing is left of what was erased.

        Raises:
            StoreError: one of the two cannot be reached.
        """
        with self.registry.write() as kept, self._facts(kept) as connection:
            connection.sweep(before=_now(), orphans=True)
        self.registry.compact()

    @contextlib.contextmanager
    def _facts(self, kept: sa.Connection) -> Iterator[SplitConnection]:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        try:
            with (
                self._readable_errors(),
                contextlib.closing(SplitConnection(engine, kept)) as opened,
            ):
                yield opened
        finally:
            engine.dispose()


class SplitConnection(sa.Connection):
    """Spark's connection, with the registry's beside it: each statement goes where its tables are.

    A statement over both is run by Spark, on copies of the registry's few rows.
    """

    def __init__(self, engine: sa.Engine, kept: sa.Connection) -> None:
        super().__init__(engine)
        self.kept = kept
        self._columns: dict[str, list[sa.Column[Any]]] = {}
        self._frames: dict[str, list[Any]] = {}
        self._shown: set[str] = set()
        self.info[OWN_TABLES] = self._columns

    # --- what callers use ------------------------------------------------------------------------

    def execute(
        self, statement: Any, parameters: Any = None, *, execution_options: Any = None
    ) -> Any:
        """Run a statement where its tables are."""
        if isinstance(statement, CreateTable | DropTable):
            self._define(statement.element, made=isinstance(statement, CreateTable))
            return None
        found = _tables_of(statement)
        if found and found <= REGISTRY:
            return self.kept.execute(statement, parameters, execution_options=execution_options)
        if isinstance(statement, sa.Insert):
            return self._insert(statement)
        if isinstance(statement, sa.Update | sa.Delete):
            return self._rewrite(statement)
        self._show(found)
        return super().execute(statement, parameters, execution_options=execution_options)

    def scalar(
        self, statement: Any, parameters: Any = None, *, execution_options: Any = None
    ) -> Any:
        """The first column of the first row."""
        return self.execute(statement, parameters, execution_options=execution_options).scalar()

    def scalars(
        self, statement: Any, parameters: Any = None, *, execution_options: Any = None
    ) -> Any:
        """The first column of each row."""
        return self.execute(statement, parameters, execution_options=execution_options).scalars()

    def receive(self, table: sa.Table, rows: Path) -> None:
        """Rows of a Parquet file of this machine as a temporary table, sent some at a time."""
        import pyarrow.parquet as pq  # noqa: PLC0415  only Spark needs it

        self._columns[table.name] = list(table.columns)
        path = f"{self._location}/{_ARRIVING}/{uuid.uuid4().hex}"
        names = table.columns.keys()
        with pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(_SENT_ROWS, columns=names):
                frame = self._session.createDataFrame(_arrow(batch))
                self._typed(frame, table.name).write.mode("append").parquet(path)
            sent = [path] if file.metadata.num_rows else []
        frame = self._read(table.name, sent)
        self._frames[table.name] = [frame]
        frame.createOrReplaceTempView(table.name)
        if sent:
            self._record(_ARRIVING, path.rpartition("/")[2], counts=False)

    def sweep(self, *, before: dt.datetime, orphans: bool = False) -> None:
        """Empty the files that ceased to count before a moment.

        Args:
            before: UTC.
            orphans: those too that a transaction left which was never completed.
        """
        old = sa.and_(parts.c.until <= before, parts.c.emptied.is_(sa.false()))
        gone = [tuple(row) for row in self.kept.execute(sa.select(*parts.c[:2]).where(old))]
        if orphans:
            known = {tuple(row) for row in self.kept.execute(sa.select(*parts.c[:2]))}
            for key in sorted(self._written() - known):
                self._record(*key, counts=False)
                gone.append(key)
        for name, part in gone:
            empty = self._session.sql(_EMPTY.format("1 AS gone"))
            empty.write.mode("overwrite").parquet(self._path(name, part))
            mine = sa.and_(parts.c.table_name == name, parts.c.part == part)
            self.kept.execute(parts.update().where(mine).values(emptied=True))

    def close(self) -> None:
        """Forget the temporary tables."""
        for name in list(self._frames):
            self._forget(name)
        super().close()

    # --- temporary and lasting tables ------------------------------------------------------------

    @property
    def _session(self) -> Any:
        return self.connection.driver_connection.session  # type: ignore[union-attr]

    @cached_property
    def _location(self) -> str:
        """Folder of the store's files."""
        given = self.engine.url.query.get("location")
        warehouse = given or f"{self._session.conf.get('spark.sql.warehouse.dir')}/loyalty_exp"
        return str(warehouse).rstrip("/")

    @cached_property
    def _counting(self) -> dict[str, list[str]]:
        """The parts of every fact table, in order."""
        listed = sa.select(*parts.c[:2]).where(parts.c.until.is_(None)).order_by(parts.c.part)
        found: dict[str, list[str]] = {name: [] for name in FACTS}
        for name, part in self.kept.execute(listed):
            found[name].append(part)
        return found

    def _define(self, table: sa.Table, *, made: bool) -> None:
        """CREATE or DROP of a table."""
        self._forget(table.name)
        if table.name in FACTS:
            self._supersede(table.name)
        if made:
            self._columns[table.name] = list(table.columns)
            self._show({table.name})

    def _forget(self, name: str) -> None:
        """Let go of a temporary table."""
        for frame in self._frames.pop(name, ()):
            frame.unpersist()
        if self._columns.pop(name, None) is not None and name not in FACTS:
            self._session.catalog.dropTempView(name)

    def _columns_of(self, name: str) -> list[sa.Column[Any]]:
        if name not in self._columns:
            if name == "customers":
                kept = tables.attributes.c
                kinds = sa.select(kept.name, kept.kind).order_by(kept.position)
                made = tables.customers_table([tuple(row) for row in self.kept.execute(kinds)])
            else:
                made = tables.metadata.tables[name]
            self._columns[name] = list(made.columns)
        return self._columns[name]

    def _show(self, names: frozenset[str] | set[str]) -> None:
        """Make tables readable under their names."""
        for name in sorted(names):
            if name in REGISTRY:
                frame = self._copied(name)
            elif name in self._shown or name in self._frames:
                continue
            else:
                counting = self._counting.get(name, [])
                frame = self._read(name, [self._path(name, part) for part in counting])
                self._shown.add(name)
            frame.createOrReplaceTempView(name)

    def _copied(self, name: str) -> Any:
        """The rows of a small table of the registry."""
        import pyarrow as pa  # noqa: PLC0415  only Spark needs it

        columns = self._columns_of(name)
        rows = self.kept.execute(sa.select(*columns)).all()
        if not rows:
            return self._read(name, [])
        values = [list(column) for column in zip(*rows, strict=True)]
        table = pa.table(values, names=[each.name for each in columns])
        return self._typed(self._session.createDataFrame(table), name)

    def _read(self, name: str, paths: Sequence[str]) -> Any:
        """The rows of some files; none without any."""
        columns = self._columns_of(name)
        if not paths:
            return self._session.sql(_EMPTY.format(", ".join(map(_null, columns))))
        schema = ", ".join(f"`{each.name}` {type_of(each)}" for each in columns)
        return self._session.read.schema(schema).parquet(*paths)

    def _typed(self, frame: Any, name: str) -> Any:
        """A frame with the names and types of a table's columns, in their order."""
        columns = self._columns_of(name)
        casts = [f"CAST(`{each.name}` AS {type_of(each)}) AS `{each.name}`" for each in columns]
        return frame.toDF(*(each.name for each in columns)).selectExpr(*casts)

    # --- changes ---------------------------------------------------------------------------------

    def _frame(self, select: sa.Select[Any]) -> Any:
        """A query's result, left in Spark."""
        self._show(_tables_of(select))
        with super().execute(select, execution_options={FRAME: True}) as result:
            return result.cursor.frame

    def _insert(self, statement: sa.Insert) -> _Written:
        name = _name_of(statement.table)
        frame = self._typed(self._frame(statement.select), name)  # type: ignore[arg-type]
        if name not in FACTS:
            self._frames.setdefault(name, []).append(frame.persist())
            whole = frame
            for each in self._frames[name][:-1]:
                whole = whole.unionAll(each)
            whole.createOrReplaceTempView(name)
        elif len(self._counting[name]) < MOST_PARTS:
            self._write(name, frame)
        else:
            before = self._read(name, [self._path(name, part) for part in self._counting[name]])
            self._supersede(name)
            self._write(name, before.unionAll(frame))
        return _Written(frame)

    def _rewrite(self, statement: sa.Update | sa.Delete) -> _Written:
        """A table without its deleted rows, or with its updated ones, in the place of the old."""
        name = _name_of(statement.table)
        table = statement.table
        where = statement.whereclause
        if where is None and isinstance(statement, sa.Delete):
            gone = self._frame(sa.select(sa.literal(1)).select_from(table))
            self._supersede(name)
            return _Written(gone)
        columns = {each.name: sa.column(each.name, each.type) for each in self._columns_of(name)}
        known = {each: table.c.get(each, column) for each, column in columns.items()}
        meant = sa.func.coalesce(sa.true() if where is None else where, sa.false())
        touched = self._frame(sa.select(sa.literal(1)).select_from(table).where(meant))
        if isinstance(statement, sa.Delete):
            kept = sa.select(*known.values()).select_from(table).where(sa.not_(meant))
        else:
            new = {str(key): value for key, value in (statement._values or {}).items()}  # noqa: SLF001  (no public way to read an UPDATE)
            put = [
                sa.case((meant, new[each]), else_=column) if each in new else column
                for each, column in known.items()
            ]
            kept = sa.select(*put).select_from(table)
        frame = self._typed(self._frame(kept), name)
        self._supersede(name)
        self._write(name, frame)
        return _Written(touched)

    def _write(self, name: str, frame: Any) -> None:
        part = f"{_now():%Y%m%d%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        frame.write.parquet(self._path(name, part))
        self._record(name, part, counts=True)
        self._counting[name].append(part)
        self._shown.discard(name)

    def _path(self, name: str, part: str) -> str:
        return f"{self._location}/{name}/{part}"

    def _record(self, name: str, part: str, *, counts: bool) -> None:
        until = None if counts else _now()
        row = {"table_name": name, "part": part, "until": until, "emptied": False}
        self.kept.execute(parts.insert().values(row))

    def _supersede(self, name: str) -> None:
        """No part of a table counts any more."""
        mine = sa.and_(parts.c.table_name == name, parts.c.until.is_(None))
        self.kept.execute(parts.update().where(mine).values(until=_now()))
        self._counting[name] = []
        self._shown.discard(name)

    def _written(self) -> set[tuple[str, str]]:
        """Every (table, part) that has files."""
        files = self._session.read.format("binaryFile").option("recursiveFileLookup", "true")
        paths = files.load(self._location).selectExpr("path").distinct().collect()
        return {tuple(row[0].rsplit("/", 3)[1:3]) for row in paths}


class _Written:
    """What a change reports: how many rows it put or touched, counted when asked."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def rowcount(self) -> int:
        """Rows."""
        return int(self._frame.count())


_ARRIVING = "arriving"
_SENT_ROWS = 1 << 18
_EMPTY = "SELECT {} WHERE FALSE"


def _null(column: sa.Column[Any]) -> str:
    return f"CAST(NULL AS {type_of(column)}) AS `{column.name}`"


def _arrow(batch: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415  only Spark needs it

    return pa.Table.from_batches([batch])


def _tables_of(statement: Any) -> frozenset[str]:
    """Names of all tables that a statement reads or writes; what it uses twice is seen once."""
    found, seen, left = set(), {}, [statement]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, sa.Table):
            found.add(each.name)
        left.extend(each.get_children())
    if isinstance(statement, sa.Insert | sa.Update | sa.Delete):
        found.add(_name_of(statement.table))
    if isinstance(statement, sa.Insert) and statement.select is not None:
        found |= _tables_of(statement.select)
    return frozenset(found)


def _name_of(table: sa.FromClause) -> str:
    if not isinstance(table, sa.Table):
        raise TypeError(table)
    return table.name


def _make_registry(connection: sa.Connection) -> None:
    kept = [tables.metadata.tables[name] for name in sorted(REGISTRY)]
    tables.metadata.create_all(connection, tables=kept)
    parts.create(connection, checkfirst=True)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
