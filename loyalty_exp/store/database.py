"""The store of a URL: short transactions, read-only or writing. Holds no statement."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.errors import StoreError
from loyalty_exp.store import tables
from loyalty_exp.store.engines import (
    BOTH,
    CAPABILITIES,
    FACTS,
    LOCK_PATIENCE_SECONDS,
    REGISTRY,
    lower_memory,
    parsed_address,
)
from loyalty_exp.store.members import keep_members
from loyalty_exp.store.queries import summaries
from loyalty_exp.store.queries.erase import compaction
from loyalty_exp.store.scratch import working_folder
from loyalty_exp.store.summaries import keep_summaries

__all__ = ["Store", "open_store"]

MOST_GIB = 2.5
"""Memory that the embedded engine takes at most before it goes on in files beside the store."""
_RENEW = "run `loyalty-exp load`, which brings the store up to date"
_FATAL = re.compile(r"^(?:FATAL|IO|Out of Memory) Error", re.IGNORECASE)
_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (?P<who>.+?)\.(?: |$)", re.DOTALL)


class Store:
    """One database: opens short transactions, read-only or writing."""

    def __init__(
        self,
        url: str,
        announce: Callable[[str], None] = lambda _: None,
        shown: str = "",
        make: Callable[[sa.Connection], None] | None = None,
    ) -> None:
        self.url = sa.make_url(url)
        self._shown = shown
        self.capabilities = CAPABILITIES[self.url.get_backend_name()]
        self._announce = announce
        self._make = make or _make_tables

    @property
    def path(self) -> Path | None:
        """The file of an embedded store, or None for a server."""
        if self.capabilities.embedded and self.url.database not in (None, "", ":memory:"):
            return Path(str(self.url.database))
        return None

    def exists(self) -> bool:
        """Whether the store has been created."""
        if self.path is not None:
            return self.path.exists()
        with self._connect(read_only=True) as connection:
            return sa.inspect(connection).has_table("launches")

    @contextlib.contextmanager
    def read(self, *, repeatable: bool = False) -> Iterator[sa.Connection]:
        """A connection that cannot write.

        Args:
            repeatable: see `write`.

        Raises:
            StoreError: nothing was loaded yet, or another process holds the store.
        """
        if not self.exists():
            raise StoreError(f"{self.name}: nothing is loaded yet; run `loyalty-exp load` first")
        with (
            self._readable_errors(),
            self._connect(read_only=True, repeatable=repeatable) as connection,
        ):
            if self._make is _make_tables and _missing(connection):
                raise StoreError(f"{self.name}: made by an earlier version; {_RENEW}")
            connection.rollback()
            yield connection

    @contextlib.contextmanager
    def write(self, *, repeatable: bool = False) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, rolled back whole on any error.

        Args:
            repeatable: add numbers up in one order, so that a sum has the same last digit in
                every run; on an engine that cannot promise it, in any order.

        Raises:
            StoreError: the store cannot be opened for writing.
        """
        with self._private_files(), self._readable_errors():
            self._create()
            with (
                self._connect(read_only=False, repeatable=repeatable) as connection,
                connection.begin(),
            ):
                for statement in self.capabilities.writer_lock:
                    connection.exec_driver_sql(statement)
                self._make(connection)
                yield connection

    @contextlib.contextmanager
    def scratch(self) -> Iterator[sa.Connection]:
        """A connection that takes temporary tables and keeps nothing.

        Raises:
            StoreError: nothing was loaded yet, or another process holds the store.
        """
        if self.capabilities.single_writer:
            with self.read(repeatable=True) as connection:
                yield connection
            return
        if not self.exists():
            raise StoreError(f"{self.name}: nothing is loaded yet; run `loyalty-exp load` first")
        with self._connect(read_only=False) as connection, connection.begin() as transaction:
            yield connection
            transaction.rollback()

    def renew(self) -> None:
        """Bring a store that an earlier version made up to date.

        Raises:
            StoreError: the store cannot be opened for writing.
        """
        if not self.exists():
            return
        with self._connect(read_only=True) as connection:
            missing = _missing(connection)
        if missing:
            with self.write():
                pass

    def compact(self) -> None:
        """Write an embedded store anew, so that its free pages hold nothing that was erased.

        The file is replaced whole while its lock is held; killed half way, the old one stands. A
        server is left to its administrator.

        Raises:
            StoreError: there is no room for a second file, or another process holds the store.
        """
        path = self.path
        if path is None or not self.capabilities.single_writer:
            return
        fresh = path.with_name(f"{path.name}.compact")
        fresh.unlink(missing_ok=True)
        with (
            self._private_files(),
            self._readable_errors(
                "what was erased is gone from it, but not from its free pages: "
                "make room and run the command again"
            ),
            self._connect(read_only=False) as connection,
        ):
            connection.execution_options(isolation_level="AUTOCOMMIT")
            name = str(connection.scalar(sa.select(sa.func.current_database())))
            for statement in compaction(name, fresh):
                connection.exec_driver_sql(statement)
            fresh.chmod(path.stat().st_mode)
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
            fresh.replace(path)

    @property
    def may_begin(self) -> bool:
        """Whether `begin` can make the store: it is of the embedded engine and not there yet."""
        return self.capabilities.in_process and self.path is not None and not self.path.exists()

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Make an embedded store, whole before it takes its place.

        Killed or failed, nothing of it is left: what is committed on the way is in nobody's sight.

        Raises:
            StoreError: it cannot be made, or written to.
            FileExistsError: another process made it first.
        """
        path = self.path
        if path is None:
            raise AssertionError(self.name)
        with self._private_files(), self._beside(path) as folder:
            fresh = folder / path.name
            options: dict[str, Any] = {}
            if self.capabilities.settings:
                options["connect_args"] = {"config": self.capabilities.settings}
            address = self.url.set(database=str(fresh))
            engine = sa.create_engine(address, poolclass=sa.NullPool, **options)
            try:
                with self._begun(engine) as connection, self._readable_errors():
                    for statement in self.capabilities.opened_with:
                        connection.exec_driver_sql(statement)
                    self._make(connection)
                    yield connection
                    connection.commit()
            finally:
                engine.dispose()
            path.hardlink_to(fresh)

    def _begun(self, engine: sa.Engine) -> sa.Connection:
        """A connection to a file that is not there yet."""
        try:
            connection = engine.connect()
        except sa.exc.ProgrammingError as error:  # an option that DuckDB does not know
            raise StoreError(f"{self.name}: cannot be opened: {error.orig}") from error
        self._bound_memory(connection)
        return connection

    @contextlib.contextmanager
    def _beside(self, path: Path) -> Iterator[Path]:
        """A private folder beside a file."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(working_folder(beside=path))
            except OSError as error:
                raise StoreError(
                    f"{self.name}: cannot be made in its folder: {error.strerror}"
                ) from error
            yield folder

    def _create(self) -> None:
        """Make an embedded store, without any data, unless it is there."""
        path = self.path
        if path is not None and not path.exists():
            # Another process may have been first.
            with contextlib.suppress(FileExistsError), self.begin():
                pass

    @contextlib.contextmanager
    def _private_files(self) -> Iterator[None]:
        """An embedded store and its log are made readable to their owner only."""
        if self.path is None:
            yield
            return
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)

    @contextlib.contextmanager
    def _readable_errors(self, then: str = "nothing was changed") -> Iterator[None]:
        """A failure of the machine or the connection as a sentence; mistakes of ours stay bugs."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().partition("\n")[0]
            if not isinstance(error, sa.exc.OperationalError) and not _FATAL.search(reason):
                raise
            own_limit = reason.startswith("Out of Memory") and "bad allocation" not in reason
            if self.capabilities.in_process and own_limit:
                reason = (
                    "the engine's memory is used up (let it take more: add '?memory_limit=8GiB' to "
                    "database)"
                )
            raise StoreError(f"{self.name}: {reason}; {then}") from error

    @property
    def name(self) -> str:
        """The store as messages may show it: no password, no option, no folder."""
        if self._shown:
            return self._shown
        if self.path is not None:
            return self.path.name
        return self.url.set(query={}).render_as_string()

    @contextlib.contextmanager
    def _connect(self, *, read_only: bool, repeatable: bool = False) -> Iterator[sa.Connection]:
        options: dict[str, Any] = {}
        if self.capabilities.single_writer:
            options["connect_args"] = {"read_only": read_only, "config": self.capabilities.settings}
        options["pool_reset_on_return"] = None  # closing rolls back, and a full disk forbids both
        engine = sa.create_engine(self.url, poolclass=sa.NullPool, **options)
        if read_only and not self.capabilities.single_writer:
            engine = engine.execution_options(postgresql_readonly=True)
        try:
            with self._patiently(engine) as connection:
                self._bound_memory(connection)
                if repeatable and self.capabilities.one_thread:
                    connection.exec_driver_sql(self.capabilities.one_thread)
                    connection.rollback()
                yield connection
        finally:
            engine.dispose()

    def _bound_memory(self, connection: sa.Connection) -> None:
        """Lower the engine's limit, which is most of the machine's memory, to the same everywhere.

        A limit that the address sets stays.
        """
        if not self.capabilities.in_process or "memory_limit" in self.url.query:
            return
        lower_memory(connection, MOST_GIB)
        connection.rollback()

    def _patiently(self, engine: sa.Engine) -> sa.Connection:
        """Connect, waiting for another process to release the store."""
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        told = False
        while True:
            try:
                return engine.connect()
            except (sa.exc.OperationalError, sa.exc.DBAPIError) as error:
                reason = str(error.orig)
                if "lock" not in reason.lower():
                    raise StoreError(f"{self.name}: cannot be opened: {reason}") from error
                if time.monotonic() > deadline:
                    holder = _LOCK_HOLDER.search(reason)
                    who = holder["who"] if holder else "another process"
                    raise StoreError(
                        f"{self.name}: still in use by {who} after "
                        f"{LOCK_PATIENCE_SECONDS:.0f} s; nothing was changed"
                    ) from error
                if not told:
                    self._announce(f"{self.name} is in use by another process; waiting")
                    told = True
                time.sleep(0.2)


def _make_tables(connection: sa.Connection) -> None:
    """Make what is missing, and what earlier versions did not keep of what they had."""
    missing = _missing(connection)
    tables.metadata.create_all(connection)
    tables.customers_table().create(connection, checkfirst=True)
    if tables.customer_month.name in _missing(connection):
        tables.customer_month.drop(connection)
        tables.customer_month.create(connection)
        keep_summaries(connection)
    if tables.roster_members.name in missing:
        for plan in connection.scalars(sa.select(tables.launches.c.plan)).all():
            frozen = FrozenPlan.from_json(plan)
            if frozen.by_customer:
                keep_members(connection, (frozen.campaign, frozen.wave))


def _missing(connection: sa.Connection) -> set[str]:
    """Tables that are not there, or without what earlier versions did not keep."""
    return summaries.LATEST.keys() - set(connection.scalars(summaries.latest_tables()))


def open_store(
    url: str,
    announce: Callable[[str], None] = lambda _: None,
    shown: str = "",
    *,
    registry_url: str | None = None,
) -> Store:
    """The store of a declaration's database URL.

    Args:
        url: a SQLAlchemy URL; `duckdb:///loyalty.duckdb` needs no server.
        announce: called with a sentence when the store must be waited for.
        shown: what messages call it, where the address holds what the environment gave.
        registry_url: of the registry, for an engine that keeps facts only.

    Raises:
        StoreError: the engine is not supported, or not as what it is named for.
    """
    keeps = _keeps(url)
    if keeps == BOTH and registry_url is None:
        return Store(url, announce, shown)
    backend = parsed_address(url).get_backend_name()
    if FACTS not in keeps:
        raise StoreError(
            f"{backend} keeps no facts here; as database use duckdb, postgresql or spark "
            "(docs/engines.md)"
        )
    if keeps == BOTH:
        raise StoreError(f"{backend} keeps its own registry: take registry_url out")
    if registry_url is None:
        raise StoreError(
            f"{backend} has no transactions, and a launch needs one: add "
            'registry_url = "sqlite:///registry.db" under [project] (docs/engines.md)'
        )
    if parsed_address(url).host is not None:
        raise StoreError(
            f"{backend} is used through the session at hand, {backend}://: plan and launch fail on "
            "a Connect server (docs/engines.md)"
        )
    if REGISTRY not in _keeps(registry_url):
        other = parsed_address(registry_url).get_backend_name()
        raise StoreError(f"{other} keeps no registry; use sqlite, duckdb or postgresql for it")
    from loyalty_exp.store.split import SplitStore  # noqa: PLC0415  it builds on this module

    return SplitStore(url, registry_url, announce)


def _keeps(url: str) -> frozenset[str]:
    backend = parsed_address(url).get_backend_name()
    if backend not in CAPABILITIES:
        known = ", ".join(sorted(name for name, can in CAPABILITIES.items() if can.keeps))
        raise StoreError(f"{backend} is not a supported engine; supported: {known}")
    return CAPABILITIES[backend].keeps
