"""DuckDB text that reads a source and judges its rows, whatever the store. Runs nothing."""

# ruff: noqa: S608  (every name and text is quoted by `identifier` and `literal`)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from loyalty_exp.store.columns import Formula
from loyalty_exp.store.queries.parse import (
    ColumnFormat,
    amount,
    identifier,
    kind_counts,
    literal,
    moment,
    style_counts,
    text_of,
)

__all__ = [
    "LINE",
    "MAX_TEXT",
    "SAMPLE",
    "STAND_INS",
    "Field",
    "Plan",
    "Problem",
    "Sale",
    "contents",
    "cut",
    "describe",
    "drop_view",
    "first_rows",
    "kind_of_type",
    "kinds",
    "misshapen_rows",
    "not_plain",
    "of_database",
    "raw",
    "read_csv",
    "read_parquet",
    "size_of_parquet",
    "styles",
    "view",
    "view_parquet",
    "write_csv",
    "write_parquet",
]

LINE = "__line"
"""Column that holds the line of a row in its source."""

MAX_TEXT = 1_000
"""Bytes of a cell that can be an id, a word, a date or an amount; a longer one is set aside."""
SAMPLE = 2_000
"""Rows that tell whether the fast road is worth taking."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is set aside."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Field:
    """One of our columns, and where it comes from."""

    name: str
    kind: str
    """id, text, word (text in small letters), moment, day, amount, or currency (compared only)."""
    formula: Formula
    required: bool = True
    optional: frozenset[str] = frozenset()
    """Columns of the formula whose blanks count as 0."""
    refund: tuple[str, str] | None = None
    """Columns of what was paid back, tax included, and of the total it is a part of."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that it reads."""
        return (*self.formula.columns, *(self.refund or ()))


@dataclass(frozen=True, slots=True)
class Sale:
    """Which rows are sales, by the words of a status column."""

    column: str
    sales: tuple[str, ...]
    """Words that make a sale, without letter case and accents."""
    others: tuple[str, ...] = ()
    """Words that make no sale; a word in neither list is set aside. If empty, all others."""
    shown: tuple[str, ...] = ()
    """Words that make no sale and may be shown; any other is called another status."""
    credits: tuple[str, ...] = ()
    """Words that make a negative amount."""
    cancelled: str | None = None
    """A column whose mere presence makes no sale."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one source become ours."""

    what: str
    fields: tuple[Field, ...]
    zone: str
    project_zone: str
    currency: str
    margin_rate: float | None = None
    lines: bool = False
    """A row is a line of an order: lines of an order on a day are summed."""
    sale: Sale | None = None
    markers: tuple[str, ...] = ()
    """Columns that only the first line of an order fills."""
    month_first: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the source that the plan reads."""
        used = [column for field in self.fields for column in field.columns]
        if self.sale is not None:
            used += [self.sale.column, *filter(None, [self.sale.cancelled])]
        return tuple(dict.fromkeys((*used, *self.markers)))

    def typed(self) -> dict[str, str]:
        """Columns read as numbers or as dates, with which of both."""
        kinds = {"amount": "amount", "moment": "moment", "day": "moment"}
        return {
            column: kinds[field.kind]
            for field in self.fields
            if field.kind in kinds
            for column in field.columns
        }


_NO_TEXT, _NO_AMOUNT = "CAST(NULL AS VARCHAR)", "CAST(NULL AS DOUBLE)"
STAND_INS: Mapping[str, Mapping[str, str | None]] = {
    "orders": {
        "order_id": None,
        "customer": None,
        "ordered_at": None,
        "revenue": None,
        "margin": None,
        "channel": _NO_TEXT,
    },
    "exposures": {
        "campaign": "''",
        "customer": None,
        "at": None,
        "kind": "'sent'",
        "cost": _NO_AMOUNT,
    },
    "costs": {"campaign": None, "arm": _NO_TEXT, "day": None, "kind": "'other'", "amount": None},
}
"""Columns of each kind of source, with what stands in for one that is absent or blank."""


def contents(plan: Plan) -> tuple[str, ...]:
    """Our columns that a plan fills, in order."""
    return tuple(STAND_INS.get(plan.what) or (field.name for field in plan.fields))


# --- sources ----------------------------------------------------------------------------------


def read_csv(path: Path, columns: Sequence[str], delimiter: str, *, header: bool = True) -> str:
    """Every row of a UTF-8 text, all cells as text; any misshapen row is an error."""
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    return (
        f"read_csv({literal(str(path))}, auto_detect=false, delim={literal(delimiter)}, "
        f"quote='\"', escape='\"', header={str(header).lower()}, columns={{{types}}})"
    )


def read_parquet(path: Path) -> str:
    """Every row of a Parquet file with its number."""
    read = f"read_parquet({literal(str(path))}, file_row_number=true)"
    number = f"file_row_number + 1 AS {identifier(LINE)}"
    return f"(SELECT * EXCLUDE (file_row_number), {number} FROM {read})"


def cut(relation: str, columns: Iterable[str]) -> str:
    """A relation whose long cells are cut to just above `MAX_TEXT`: enough to set them aside.

    Args:
        relation: what stands after FROM.
        columns: the columns that hold text.
    """
    cells = [
        f"CASE WHEN strlen({name}) > {MAX_TEXT} THEN left({name}, {MAX_TEXT + 1}) "
        f"ELSE {name} END AS {name}"
        for name in map(identifier, columns)
    ]
    return f"(SELECT * REPLACE ({', '.join(cells)}) FROM {relation})" if cells else relation


def size_of_parquet(path: Path) -> str:
    """(rows, bytes unpacked) of a Parquet file, as its footer tells."""
    parts = f"parquet_metadata({literal(str(path))})"
    return (
        f"SELECT greatest(max(f.num_rows), coalesce(sum(g.n), 0)), coalesce(sum(g.size), 0) "
        f"FROM parquet_file_metadata({literal(str(path))}) f LEFT JOIN (SELECT row_group_id, "
        "max(row_group_num_rows) AS n, sum(total_uncompressed_size) AS size "
        f"FROM {parts} GROUP BY row_group_id) g ON TRUE"
    )


def first_rows(relation: str) -> str:
    """The first rows of a relation."""
    return f"(SELECT * FROM {relation} LIMIT {SAMPLE})"


def describe(relation: str) -> str:
    """Names and types of the columns of a relation."""
    return f"DESCRIBE SELECT * FROM {relation}"


def kind_of_type(type_: str) -> str:
    """The kind of column format that an engine type makes."""
    base = type_.upper().split("(")[0]
    if base == "TIMESTAMP WITH TIME ZONE":
        return "instant"
    if base.startswith("TIMESTAMP"):
        return "timestamp"
    if base in {"DATE", "BOOLEAN"}:
        return {"DATE": "day"}.get(base, "boolean")
    numbers = {"DECIMAL", "DOUBLE", "FLOAT"}
    return (
        "number"
        if base in numbers or base.endswith("INT") or "INTEGER" in base
        else ("text" if base == "VARCHAR" else "other")
    )


def of_database(table: str | None, query: str | None) -> sa.Executable:
    """The rows of a table (perhaps `schema.table`) or of a query as the user wrote it."""
    if query is not None:
        return sa.text(query.replace(":", r"\:"))
    schema, _, name = (table or "").rpartition(".")
    return sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))


# --- reading ----------------------------------------------------------------------------------


def raw(relation: str, columns: Sequence[str], *, numbered: bool) -> str:
    """A temporary table of the columns needed, in the order of the source."""
    line = [f"CAST({identifier(LINE)} AS BIGINT) AS {identifier(LINE)}"] if numbered else []
    listed = ", ".join([*line, *map(identifier, columns)])
    return f"CREATE TEMP TABLE raw_rows AS SELECT {listed} FROM {relation}"


def not_plain(columns: Mapping[str, str], text: Sequence[str]) -> str:
    """For each text column, how many cells the cheap reading does not understand."""
    plain = ColumnFormat(plain=True)
    counts = []
    for column in text:
        if columns[column] == "amount":
            read = amount(column, plain)
        else:
            read = moment(column, plain, "UTC", "UTC")
        counts.append(f"count(*) FILTER (({read}) IS NULL AND {text_of(column)} IS NOT NULL)")
    return f"SELECT {', '.join(counts)} FROM raw_rows"


def kinds(relation: str, columns: Sequence[str]) -> str:
    """`kind_counts` of each column, one after another."""
    counts = [count for column in columns for count in kind_counts(column)]
    return f"SELECT {', '.join(counts)} FROM {relation}"


def styles(columns: Sequence[str]) -> str:
    """`style_counts` of each column, one after another."""
    counts = [count for column in columns for count in style_counts(column)]
    return f"SELECT {', '.join(counts)} FROM raw_rows"


def write_parquet(query: str, path: Path) -> str:
    """Keep the rows of a query in a file.

    It is read once or twice and then deleted: the cheapest encoding that still packs cells which
    repeat, for they may be many. Its row groups are a little smaller than the 122,880 rows of the
    store's, for those of a text come out a little larger than asked for: else the store writes
    every one of them twice.
    """
    options = "PARQUET_VERSION v2, COMPRESSION lz4_raw, DICTIONARY_SIZE_LIMIT 1"
    groups = "ROW_GROUP_SIZE 120832"
    return f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, {options}, {groups})"


def view_parquet(name: str, path: Path) -> str:
    """Name the rows kept in a file."""
    return view(name, f"SELECT * FROM read_parquet({literal(str(path))})")


def view(name: str, rows: str) -> str:
    """Name the rows of a query."""
    return f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {rows}"


def drop_view(name: str) -> str:
    """Forget a view."""
    return f"DROP VIEW {identifier(name)}"


def write_csv(path: Path, target: Path, columns: Sequence[str]) -> str:
    """The rows kept in a file as text that PostgreSQL's COPY reads."""
    return (
        f"COPY (SELECT {', '.join(map(identifier, columns))} "
        f"FROM read_parquet({literal(str(path))})) TO {literal(str(target))} "
        "(FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR '\\N', "
        "FORCE_QUOTE *)"
    )


def misshapen_rows(path: Path) -> str:
    """The lines of a text that are no rows."""
    return read_csv(path, ("line", "field", "reason"), ",", header=False)
