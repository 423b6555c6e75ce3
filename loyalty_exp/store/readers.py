"""Opens a declared source as something DuckDB can read, whatever it is. Judges no value.

CSV text is read by the engine itself; only a file that the engine refuses, or that must tell
its line numbers, is rewritten row by row. Messages show a file's name, never its folder.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import duckdb
import sqlalchemy as sa

from loyalty_exp.errors import DataError
from loyalty_exp.store import repair
from loyalty_exp.store.columns import Header, normalised
from loyalty_exp.store.engines import read_only
from loyalty_exp.store.limits import (
    MAX_COLUMNS,
    Limits,
    counted,
    refuse_large,
    refuse_large_workbook,
    refuse_packed,
)
from loyalty_exp.store.queries import load as queries
from loyalty_exp.store.queries.parse import ColumnFormat

__all__ = ["Declared", "Source", "asked", "open_source"]

_CHUNK = 1 << 20
_SNIFFED = 1 << 16
_DELIMITERS = (",", ";", "\t", "|")


class Declared(Limits, Protocol):
    """What the reader needs of a declared source."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def table(self) -> str | None: ...  # noqa: D102
    @property
    def query(self) -> str | None: ...  # noqa: D102
    @property
    def delimiter(self) -> str | None: ...  # noqa: D102
    @property
    def encoding(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source."""

    name: str
    """File name without its folder, or the table's name."""
    digest: str
    """SHA-256 of the file, or of the rows read from a database."""
    header: Header
    formats: dict[str, ColumnFormat]
    """Engine type of each column."""
    relation: str
    """Text to stand after FROM: every row of the source, in order."""
    text: Path | None = None
    """UTF-8 text behind the relation, for sources that are text."""
    delimiter: str = ","
    lines: int | None = None
    """Lines of the text, its header included."""
    unit: str = "line"
    numbered: bool = False
    """The relation has the column `queries.LINE`: the line of each row in the source."""
    set_aside: Path | None = None
    """CSV of the rows that are not rows: line, field, reason."""

    def repaired(self, folder: Path) -> Source:
        """The same rows with their line numbers, those that are not rows set aside."""
        if self.text is None or self.numbered:
            return self
        clean, bad = folder / "clean.csv", folder / "bad.csv"
        repair.rewrite(self.text, self.delimiter, len(self.header.names), clean, bad)
        return replace(
            self,
            relation=_numbered_text(clean, self.header.names, header=True),
            numbered=True,
            set_aside=bad,
        )


def open_source(
    declared: Declared, base: Path, folder: Path, engine: duckdb.DuckDBPyConnection
) -> Source:
    """Open a declared source.

    Args:
        declared: file or address of a database, with its table or query.
        base: folder that relative names start from.
        folder: a private folder for what must be rewritten; lives as long as the source is read.
        engine: the DuckDB that will read the source.

    Raises:
        DataError: there is no such file, or it cannot be read as what it is.
    """
    address = declared.address
    if "://" in address:
        return _from_database(declared, address, folder)
    path = base / address
    name = Path(declared.source).name  # as written: a `${NAME}` in it stays one
    if not path.is_file():
        raise DataError(f"{name}: there is no such file{_similar(path)}")
    if any(char in str(path) for char in "*?[]{}"):
        link = folder / f"source{path.suffix}"
        link.symlink_to(path.resolve())
        path = link
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return _from_parquet(path, name, declared, engine)
        if path.suffix.lower() in {".xlsx", ".xls", ".xlsm", ".ods"}:
            return _from_excel(path, name, declared, folder)
        return _from_text(path, name, declared, folder)
    except PermissionError as error:
        raise DataError(f"{name}: this file may not be read") from error


def asked(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    folder: Path,
    statement: Callable[[str], str],
) -> list[tuple[Any, ...]]:
    """The answer to a question about a whole source, mended first where the engine refuses it.

    Args:
        engine: the DuckDB that reads the source.
        source: opened source.
        folder: its private folder.
        statement: from what stands after FROM to the question.

    Raises:
        DataError: the source cannot be read.
    """
    for mended in (False, True):
        try:
            relation = (source.repaired(folder) if mended else source).relation
            return engine.execute(statement(relation)).fetchall()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            continue
    raise DataError(f"{source.name}: cannot be read; is it a whole and valid file?")


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return " (nor its folder)"
    names = {normalised(each.name): each.name for each in path.parent.iterdir() if each.is_file()}
    close = Header(path.name, tuple(names.values())).nearest(path.name)
    return f'; did you mean "{close}"?' if close else ""


def _from_text(path: Path, name: str, declared: Declared, folder: Path) -> Source:
    with path.open("rb") as file:
        refuse_packed(file.read(8), name)
    refuse_large(name, declared, size=path.stat().st_size)
    scan = _scan(path)
    refuse_large(name, declared, rows=scan.lines - 1)
    encoding = declared.encoding or scan.encoding
    text = path
    if codecs.lookup(encoding).name not in {"utf-8", "utf-8-sig", "ascii"} or not scan.utf8:
        text = folder / "utf8.csv"
        _transcode(path, name, encoding, text)
        scan = replace(_scan(text), digest=scan.digest)
    with text.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        start = file.read(_SNIFFED)
    if not start.strip("\r\n\x00 \t"):
        raise DataError(f"{name}: the file is empty; a first line with column names is needed")
    delimiter = declared.delimiter or _delimiter(start)
    names = _header(start, delimiter)
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{name}: more than {MAX_COLUMNS:,} columns; which of them are needed?")
    header = Header(name, names)
    source = Source(
        name=name,
        digest=scan.digest,
        header=header,
        formats=dict.fromkeys(names, ColumnFormat()),
        relation=queries.cut(queries.read_csv(text, names, delimiter), names),
        text=text,
        delimiter=delimiter,
        lines=scan.lines,
    )
    return source.repaired(folder) if scan.nul or start[0] in "\r\n" else source


@dataclass(frozen=True, slots=True)
class _Scan:
    digest: str
    utf8: bool
    encoding: str
    lines: int
    nul: bool


def _scan(path: Path) -> _Scan:
    """One pass over the bytes: digest, encoding, number of lines."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    utf8, lines, nul, last, first = True, 0, False, b"\n", b""
    undefined = False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            first = first or chunk[:_SNIFFED]
            digest.update(chunk)
            lines += chunk.count(b"\n")
            nul = nul or b"\0" in chunk
            if utf8:
                utf8 = _decodes(decoder, chunk)
            if not utf8:
                undefined = undefined or any(byte in chunk for byte in b"\x81\x8d\x8f\x90\x9d")
            last = chunk[-1:]
    if utf8:
        utf8 = _decodes(decoder, b"", final=True)
    encoding = _encoding(first, utf8=utf8, undefined=undefined)
    wide = encoding.startswith("utf-16")
    return _Scan(
        digest.hexdigest(), utf8 and not wide, encoding, lines + (last != b"\n"), nul and not wide
    )


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _encoding(first: bytes, *, utf8: bool, undefined: bool) -> str:
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    odd, even = first[1::2].count(0), first[0::2].count(0)
    if max(odd, even) > len(first) // 6:
        return "utf-16-le" if odd > even else "utf-16-be"
    if utf8:
        return "utf-8"
    return "latin-1" if undefined else "cp1252"


def _transcode(path: Path, name: str, encoding: str, target: Path) -> None:
    try:
        with (
            path.open(encoding=encoding, newline="") as source,
            target.open("w", encoding="utf-8", newline="") as clean,
        ):
            while chunk := source.read(_CHUNK):
                clean.write(chunk.lstrip("\ufeff") if clean.tell() == 0 else chunk)
    except (UnicodeError, LookupError) as error:
        raise DataError(
            f"{name}: not readable as {encoding}; declare its encoding, "
            'for instance encoding = "cp1252"'
        ) from error


def _delimiter(start: str) -> str:
    """The delimiter that gives the most columns, the same number on every line if possible."""

    def rank(delimiter: str) -> tuple[bool, int]:
        rows = [row for row in _rows(start, delimiter) if row][:20]
        widths = {len(row) for row in rows[:-1]} if len(rows) > 2 else {len(rows[0])}
        return len(rows[0]) > 1 and len(widths) == 1, len(rows[0])

    return max(_DELIMITERS, key=rank)


def _rows(start: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(start.replace("\0", ""), newline=""), delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield [""]


def _header(start: str, delimiter: str) -> tuple[str, ...]:
    """Names of the columns: blank ones are numbered, repeated ones get their number."""
    first = next(row for row in _rows(start, delimiter) if row)
    names: list[str] = []
    for position, cell in enumerate(first, start=1):
        name = cell.strip() or f"column {position}"
        while name in names or name == queries.LINE:
            name = f"{name} ({position})"
        names.append(name)
    return tuple(names)


def _from_parquet(
    path: Path, name: str, declared: Declared, engine: duckdb.DuckDBPyConnection
) -> Source:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    relation = queries.read_parquet(path)
    try:
        told = engine.execute(queries.size_of_parquet(path)).fetchone()
        described = engine.execute(queries.describe(relation)).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{name}: this file cannot be read as Parquet") from error
    rows, size = told or (0, 0)
    refuse_large(name, declared, rows=rows, size=size)
    formats = {row[0]: ColumnFormat(type=queries.kind_of_type(row[1])) for row in described}
    formats.pop(queries.LINE, None)
    return Source(
        name=name,
        digest=digest,
        header=Header(name, tuple(formats)),
        formats=formats,
        relation=queries.cut(
            relation, [column for column, form in formats.items() if form.type == "text"]
        ),
        unit="row",
        numbered=True,
    )


def _from_excel(path: Path, name: str, declared: Declared, folder: Path) -> Source:
    if path.suffix.lower() != ".xls":  # the old format packs nothing
        refuse_large_workbook(path, name)
    try:
        import pandas as pd  # noqa: PLC0415

        frame = pd.read_excel(path, dtype=object)
    except ImportError as error:
        raise DataError(
            f"{name}: reading Excel files needs openpyxl (pip install openpyxl); "
            "or save the sheet as CSV"
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise DataError(f"{name}: this file cannot be read as Excel") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    frame = frame.astype(object).where(frame.notna(), None)
    rows = frame.itertuples(index=False, name=None)
    rows = counted(rows, name, declared)
    return _rewritten(name, tuple(map(str, frame.columns)), rows, folder, digest)


def _from_database(declared: Declared, address: str, folder: Path) -> Source:
    """The rows of a table or query, streamed over a connection that may not write."""
    try:
        url = sa.make_url(address)
        name = f"{url.get_backend_name()} {declared.table or 'query'}"
        with read_only(url) as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=10_000)
            result = streaming.execute(queries.of_database(declared.table, declared.query))
            rows = counted(map(tuple, result), name, declared)
            return _rewritten(name, tuple(result.keys()), rows, folder, None)
    except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
        backend = address.split(":", 1)[0]
        raise DataError(
            f"{backend} database: cannot be read ({type(error).__name__}); check its address, "
            "the table or query, and that its driver is installed"
        ) from None


def _rewritten(
    name: str,
    columns: tuple[str, ...],
    rows: Iterator[tuple[Any, ...]],
    folder: Path,
    digest: str | None,
) -> Source:
    """A source of rows as text, numbered from 1 (a sheet's or table's header not counted)."""
    target = folder / "rows.csv"
    content = repair.write_rows(target, rows)
    return Source(
        name=name,
        digest=digest or content,
        header=Header(name, columns),
        formats=dict.fromkeys(columns, ColumnFormat()),
        relation=_numbered_text(target, columns, header=False),
        unit="row",
        numbered=True,
    )


def _numbered_text(path: Path, columns: Sequence[str], *, header: bool) -> str:
    """Rows that `repair` wrote: each with the number of its line, then its cells."""
    read = queries.read_csv(path, (queries.LINE, *columns), ",", header=header)
    return queries.cut(read, columns)
