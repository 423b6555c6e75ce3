"""DuckDB text that reads a source and judges its rows, whatever the store. Runs nothing."""

# ruff: noqa: S608  (every name and text is quoted by `identifier` and `literal`)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from loyalty_exp.store.columns import Formula
from loyalty_exp.store.queries.parse import (
    ColumnFormat,
    amount,
    boolean,
    identifier,
    kind_counts,
    literal,
    moment,
    style_counts,
    text_of,
)

__all__ = [
    "LINE",
    "SAMPLE",
    "Field",
    "Plan",
    "Problem",
    "Sale",
    "contents",
    "describe",
    "drop_view",
    "kind_of_type",
    "kinds",
    "misshapen_rows",
    "not_plain",
    "of_database",
    "parsed",
    "raw",
    "read_csv",
    "read_parquet",
    "styles",
    "view_parquet",
    "write_csv",
    "write_parquet",
]

LINE = "__line"
"""Column that holds the line of a row in its source."""

SAMPLE = 2_000
"""Rows that tell whether the fast road is worth taking."""
MAX_AMOUNT = 1e12
FIRST_MOMENT, LAST_MOMENT = "1970-01-01", "2201-01-01"


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
    """id, text, moment, day, amount, or currency (compared, not kept)."""
    formula: Formula
    required: bool = True
    optional: frozenset[str] = frozenset()
    """Columns of the formula whose blanks count as 0."""
    lowered: bool = False
    """Letter case does not count (e-mail addresses)."""


@dataclass(frozen=True, slots=True)
class Sale:
    """Which rows are sales, by the words of a status column."""

    column: str
    sales: tuple[str, ...]
    """Words that make a sale, lower case; none given: every word but those not sales."""
    others: tuple[str, ...] = ()
    """Words that make no sale; a word in neither list is set aside."""
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
        used = [column for field in self.fields for column in field.formula.columns]
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
            for column in field.formula.columns
        }


_NO_TEXT, _NO_AMOUNT = "CAST(NULL AS VARCHAR)", "CAST(NULL AS DOUBLE)"
_CONTENTS: Mapping[str, Mapping[str, str | None]] = {
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
    return tuple(_CONTENTS.get(plan.what) or (field.name for field in plan.fields))


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


def parsed(
    relation: str, plan: Plan, formats: Mapping[str, ColumnFormat], line: str = "NULL"
) -> tuple[str, tuple[Problem, ...]]:
    """Rows as typed values, each with the number of its first problem or NULL.

    Args:
        relation: what stands after FROM.
        plan: the fields wanted.
        formats: how each column is written.
        line: the expression of a row's line.

    Returns:
        A query with the columns line, one a field, problem, dropped and continuation; and the
        problems by number.
    """
    alias = {column: f"s{position}" for position, column in enumerate(plan.columns)}
    inner = [f"{line} AS line"]
    inner += [f"{identifier(column)} AS {alias[column]}" for column in plan.columns]
    inner += [f"{_value(field, plan, formats)} AS v_{field.name}" for field in plan.fields]
    known = {alias[column]: formats[column] for column in plan.columns}
    problems: list[Problem] = []
    cases = [
        case
        for field in plan.fields
        for case in _cases(field, plan, [alias[c] for c in field.formula.columns], known, problems)
    ]
    dropped, status_case = _status(plan.sale, alias, known, problems)
    continuation = " AND ".join(
        [f"{text_of(alias[marker], known[alias[marker]])} IS NULL" for marker in plan.markers]
    )
    outer = ["line", *_outputs(plan)]
    outer.append(f"{dropped} AS dropped")
    outer.append(f"{continuation or 'FALSE'} AS continuation")
    outer.append(f"CASE {' '.join([*status_case, *cases])} END AS problem")
    text = f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {relation})"
    return text, tuple(problems)


def _outputs(plan: Plan) -> list[str]:
    """Our columns: as read, or what stands in for them."""
    read = {field.name for field in plan.fields}
    stand_in = dict(_CONTENTS.get(plan.what, {}))
    if plan.margin_rate is not None:
        stand_in["margin"] = f"v_revenue * {plan.margin_rate!r}"
    listed = []
    for name in contents(plan):
        other = stand_in.get(name)
        if name not in read:
            listed.append(f"{other} AS {name}")
        elif other is None or name == "margin":
            listed.append(f"v_{name} AS {identifier(name)}")
        else:
            listed.append(f"coalesce(v_{name}, {other}) AS {name}")
    return listed


def _value(field: Field, plan: Plan, formats: Mapping[str, ColumnFormat]) -> str:
    column = field.formula.columns[0]
    if field.kind in {"moment", "day"}:
        read = moment(column, formats[column], plan.zone, plan.project_zone)
        return f"CAST({read} AS DATE)" if field.kind == "day" else read
    if field.kind == "amount":
        return _signed(field.formula.amount(lambda name: _amount(field, name, formats[name])), plan)
    if field.kind == "boolean":
        return boolean(column, formats[column])
    text = text_of(column, formats[column])
    return f"lower({text})" if field.lowered else text


def _amount(field: Field, column: str, form: ColumnFormat) -> str:
    read = amount(column, form)
    if column in field.optional:
        return f"CASE WHEN {text_of(column, form)} IS NULL THEN 0 ELSE {read} END"
    return read


def _signed(read: str, plan: Plan) -> str:
    """Credit notes make negative amounts, whatever their sign in the source."""
    if plan.sale is None or not plan.sale.credits:
        return read
    status = f"lower({text_of(plan.sale.column)})"
    return f"CASE WHEN {status} IN ({_listed(plan.sale.credits)}) THEN -abs({read}) ELSE {read} END"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(literal, words))


def _cases(
    field: Field,
    plan: Plan,
    sources: Sequence[str],
    formats: Mapping[str, ColumnFormat],
    problems: list[Problem],
) -> list[str]:
    """The WHENs that find what is wrong with a field."""
    if plan.what == "customers" and not field.required:
        return []
    value = f"v_{field.name}"

    def number(reason: str) -> int:
        problems.append(Problem(field.name, reason))
        return len(problems) - 1

    blank = " AND ".join(f"{text_of(name, formats[name])} IS NULL" for name in sources)
    if field.kind == "text":
        return [f"WHEN {value} IS NULL THEN {number('blank')}"] if field.required else []
    if field.kind == "id":
        return [f"WHEN {value} IS NULL THEN {number('blank')}"]
    if field.kind == "currency":
        other = f"WHEN upper({value}) <> {literal(plan.currency)} "
        return [
            f"WHEN {value} IS NULL THEN {number('blank')}",
            other + f"THEN {number(f'another currency than {plan.currency}')}",
        ]
    wrong = "not a number" if field.kind == "amount" else "not a date"
    unread = f"CASE WHEN {blank} THEN {number('blank') if field.required else 'NULL'} "
    cases = [f"WHEN {value} IS NULL THEN {unread}ELSE {number(wrong)} END"]
    if field.kind == "amount":
        cases.append(f"WHEN NOT isfinite({value}) THEN {number('not a finite number')}")
        beyond = number("an amount beyond 1,000,000,000,000")
        cases.append(f"WHEN abs({value}) > {MAX_AMOUNT!r} THEN {beyond}")
    else:
        cases.append(
            f"WHEN NOT ({value} >= TIMESTAMP '{FIRST_MOMENT}' AND "
            f"{value} < TIMESTAMP '{LAST_MOMENT}') THEN {number('a date outside 1970 to 2200')}"
        )
    return cases


def _status(
    sale: Sale | None,
    alias: Mapping[str, str],
    formats: Mapping[str, ColumnFormat],
    problems: list[Problem],
) -> tuple[str, list[str]]:
    """The word that makes a row no sale, and the WHENs of a word that is not known."""
    if sale is None:
        return "CAST(NULL AS VARCHAR)", []
    name = alias[sale.column]
    word = text_of(name, formats[name])
    known = f"lower({word}) IN ({_listed((*sale.sales, *sale.credits))})"
    whens, cases = [], []
    if sale.cancelled is not None:
        gone = alias[sale.cancelled]
        whens.append(f"WHEN {text_of(gone, formats[gone])} IS NOT NULL THEN 'cancelled'")
    if sale.others:
        whens.append(f"WHEN lower({word}) IN ({_listed(sale.others)}) THEN lower({word})")
        problems.append(Problem("status", "a status that is not known: declare statuses"))
        unknown = len(problems) - 1
        cases.append(f"WHEN dropped IS NULL AND NOT coalesce({known}, FALSE) THEN {unknown}")
    else:
        whens.append(f"WHEN NOT coalesce({known}, FALSE) THEN coalesce(lower({word}), 'blank')")
    return f"CASE {' '.join(whens)} END", cases


def write_parquet(query: str, path: Path) -> str:
    """Keep the rows of a query in a file."""
    return f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)"


def view_parquet(name: str, path: Path) -> str:
    """Name the rows kept in a file."""
    return (
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS "
        f"SELECT * FROM read_parquet({literal(str(path))})"
    )


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
