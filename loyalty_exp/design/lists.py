"""The lists a launch hands over: one a treated arm, and the do-not-contact list.

They are the only files with customers in them: mode 0600, safe in a spreadsheet, whole or not
there at all.
"""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.errors import LaunchError
from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.queries import lists as queries

__all__ = [
    "CSV_STYLES",
    "DO_NOT_CONTACT",
    "CsvStyle",
    "ListFormat",
    "csv_style",
    "push_lists",
    "safe_cell",
    "write_lists",
    "write_private",
]

ListFormat = Literal["csv", "xlsx", "parquet"]


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How CSV files are written."""

    delimiter: str
    decimal: str
    bom: bool
    """start with a byte-order mark, which Excel needs for accents"""


CSV_STYLES = {
    "comma": CsvStyle(",", ".", bom=False),
    "semicolon": CsvStyle(";", ",", bom=True),
}
"""What mailing tools, scripts and an English Excel read; what a French Excel opens."""


def csv_style(language: str) -> CsvStyle:
    """The style that a spreadsheet of this language opens: fr or en."""
    return CSV_STYLES["semicolon" if language == "fr" else "comma"]


DO_NOT_CONTACT = "do-not-contact"
HEADER = ("customer_id", "unit", "segment", "arm")
SHEET_ROWS = 1_048_576

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

Row = tuple[str, str, str, str]


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: a leading apostrophe where it might."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_lists(
    folder: Path,
    arms: Sequence[str],
    rows: Iterable[Row],
    *,
    form: ListFormat = "csv",
    style: CsvStyle = CSV_STYLES["comma"],
    missing_only: bool = False,
) -> list[Path]:
    """Write the lists of a wave, each whole or not at all.

    Args:
        folder: where they go; created when missing.
        arms: arms of the wave, the holdout first.
        rows: (customer, unit, segment, arm), in any order.
        form: csv, whose cells no spreadsheet takes for formulas; xlsx or parquet, with ids as they
            are (a spreadsheet that opens a CSV drops the zeros an id starts with).
        style: how CSV files are written.
        missing_only: leave the lists that are there as they are.

    Returns:
        The files, those left as they were included; the do-not-contact list last.

    Raises:
        LaunchError: a list is longer than a sheet of xlsx.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {**{arm: arm for arm in arms[1:]}, arms[0]: DO_NOT_CONTACT}
    paths = {arm: folder / f"{name}.{form}" for arm, name in names.items()}
    wanted = {arm: path for arm, path in paths.items() if not (missing_only and path.exists())}
    if wanted and form == "csv":
        _write_csv(wanted, rows, style)
    elif wanted and form == "xlsx":
        _write_xlsx(folder, wanted, rows)
    elif wanted:
        _write_parquet(folder, wanted, rows)
    return list(paths.values())


def _write_csv(paths: Mapping[str, Path], rows: Iterable[Row], style: CsvStyle) -> None:
    with ExitStack() as stack:
        files = {
            arm: stack.enter_context(_whole(path, bom=style.bom)) for arm, path in paths.items()
        }
        writers = {arm: csv.writer(file, delimiter=style.delimiter) for arm, file in files.items()}
        for writer in writers.values():
            writer.writerow(HEADER)
        for row in rows:
            if row[3] in writers:
                writers[row[3]].writerow([safe_cell(cell) for cell in row])


def _write_xlsx(folder: Path, paths: Mapping[str, Path], rows: Iterable[Row]) -> None:
    """One workbook an arm, all cells text; made in a private folder beside its place."""
    import xlsxwriter  # noqa: PLC0415

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
        made = {arm: Path(name) / f"{place}.xlsx" for place, arm in enumerate(paths)}
        with ExitStack() as stack:
            books = {
                arm: stack.enter_context(xlsxwriter.Workbook(str(path), options))
                for arm, path in made.items()
            }
            tabs = {arm: book.add_worksheet() for arm, book in books.items()}
            written = dict.fromkeys(tabs, 0)
            for tab in tabs.values():
                tab.write_row(0, 0, HEADER)
            for row in rows:
                if row[3] in tabs:
                    written[row[3]] += 1
                    if written[row[3]] >= SHEET_ROWS:
                        raise LaunchError(
                            f"{row[3]} has more customers than a sheet of Excel has rows; "
                            "write its list as csv or parquet"
                        )
                    for place, cell in enumerate(row):
                        tabs[row[3]].write_string(written[row[3]], place, cell)
        for arm, path in paths.items():
            made[arm].chmod(0o600)
            made[arm].replace(path)


@contextmanager
def _whole(path: Path, *, bom: bool) -> Iterator[IO[str]]:
    """A private text file that takes its place only when it is written without an error."""
    descriptor, partial = tempfile.mkstemp(
        prefix=f"{path.name}-", suffix=".partial", dir=path.parent
    )
    encoding = "utf-8-sig" if bom else "utf-8"
    try:
        with os.fdopen(descriptor, "w", encoding=encoding, newline="") as file:
            yield file
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _write_parquet(folder: Path, paths: Mapping[str, Path], rows: Iterable[Row]) -> None:
    """One Parquet file an arm, all columns text; made in a private folder beside its place."""
    import duckdb  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
        private = Path(name)
        texts = {arm: private / f"{place}.csv" for place, arm in enumerate(paths)}
        with ExitStack() as stack:
            files = {
                arm: stack.enter_context(_whole(text, bom=False)) for arm, text in texts.items()
            }
            writers = {arm: csv.writer(file, quoting=csv.QUOTE_ALL) for arm, file in files.items()}
            for writer in writers.values():
                writer.writerow(HEADER)
            for row in rows:
                if row[3] in writers:
                    writers[row[3]].writerow(row)
        with duckdb.connect() as engine:
            for arm, path in paths.items():
                made = texts[arm].with_suffix(".parquet")
                types = dict.fromkeys(HEADER, "VARCHAR")
                relation = engine.read_csv(
                    str(texts[arm]), header=True, delimiter=",", quotechar='"', columns=types
                )
                relation.write_parquet(str(made))
                made.chmod(0o600)
                made.replace(path)


def write_private(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], style: CsvStyle
) -> None:
    """Write a CSV that only its owner can read, whole or not at all, safe in a spreadsheet."""
    with _whole(path, bom=style.bom) as file:
        writer = csv.writer(file, delimiter=style.delimiter)
        writer.writerow(header)
        writer.writerows([safe_cell(cell) for cell in row] for row in rows)


def check_table(table: str, engine: str) -> None:
    """Refuse a table that lists cannot be pushed to.

    Args:
        table: its name.
        engine: of the store.

    Raises:
        LaunchError: it is no plain name, or that of a table of the store, or the engine cannot
            say later which tables hold lists.
    """
    if not capabilities_of(engine).lists_tables:
        raise LaunchError(
            f"lists are not pushed into a table of {engine}: forgetting a person could not reach "
            "it there; the lists are written as files"
        )
    if not _TABLE_NAME.fullmatch(table) or table.lower() in queries.OWN_TABLES:
        raise LaunchError(
            f"{table!r} cannot be the table of the lists: letters, digits and _ are expected, "
            "and none of the store's own tables"
        )


def push_lists(
    connection: sa.Connection, plan: FrozenPlan, table: str, contactable: sa.Select[Any]
) -> int:
    """Put a wave's roster into a table of the store's database, once.

    The table is made when missing: campaign, wave, customer_id, unit, segment, arm, contact
    (false for the holdout and for who may not be contacted). Rows of other waves stay.

    Args:
        connection: a writing transaction.
        plan: the wave.
        table: name of the table; none of the store's own.
        contactable: customers who may be contacted.

    Returns:
        How many rows were put; 0 when the wave was there already.

    Raises:
        LaunchError: the table is not allowed, or the one there has other columns.
    """
    check_table(table, connection.dialect.name)
    target = queries.pushed_table(table)
    target.create(connection, checkfirst=True)
    try:
        if connection.scalar(queries.count_pushed(target, plan.campaign, plan.wave)):
            return 0
        statement = queries.push(target, plan.campaign, plan.wave, plan.holdout, contactable)
        pushed = connection.execute(statement)
    except sa.exc.DBAPIError as error:
        raise LaunchError(
            f"the table {table} is there with other columns than those of a list; "
            "name another table"
        ) from error
    return int(pushed.rowcount)
