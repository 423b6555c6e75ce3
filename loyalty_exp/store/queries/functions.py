"""SQL functions that engines spell differently, as SQLAlchemy constructs. Holds no statement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

__all__ = [
    "bit_at",
    "bits_in_both",
    "bits_together",
    "customer_steps",
    "customer_sum",
    "customer_total",
    "date_of",
    "days_between",
    "digest_number",
    "digest_start",
    "exact_sum",
    "highest_bit",
    "kept_columns",
    "md5",
    "quantile",
]


kept_columns = sa.table(
    "columns",
    sa.column("table_schema", sa.Text),
    sa.column("table_name", sa.Text),
    sa.column("column_name", sa.Text),
    schema="information_schema",
)
"""The catalogue of an engine: a row a column of its tables."""


class days_between(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """Whole days from the first date to the second: `days_between(start, end)`, both DATE."""

    type = sa.Integer()
    inherit_cache = True


class md5(GenericFunction[str]):  # noqa: N801 - SQL functions are lower case
    """The md5 of a text as 32 lower-case hexadecimal digits; what `sa.func.md5` gives."""

    type = sa.Text()
    inherit_cache = True


class digest_number(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """First 15 hexadecimal digits of the md5 of a text, as an integer below 2**60."""

    type = sa.BigInteger()
    inherit_cache = True


class digest_start(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """First 6 hexadecimal digits of the md5 of a text, as an integer below 2**24."""

    type = sa.Integer()
    inherit_cache = True


class bits_together(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """The bits that any of a group's whole numbers has."""

    type = sa.Integer()
    inherit_cache = True


class bits_in_both(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """The bits that two whole numbers share."""

    type = sa.Integer()
    inherit_cache = True


class bit_at(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """The number with one bit, at a place below 31: at 0 it is 1."""

    type = sa.Integer()
    inherit_cache = True


class date_of(GenericFunction[Any]):  # noqa: N801 - SQL functions are lower case
    """The date of a year, a month and a day, all INTEGER."""

    type = sa.Date()
    inherit_cache = True


def highest_bit(bits: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """Place of the highest bit of a positive number below 2**31: of 1 it is 0.

    A logarithm is off by far less than the 1e-10 added, and 2**31 - 1 is further than that from 31.
    """
    place = sa.func.ln(sa.func.nullif(sa.cast(bits, sa.Double), 0)) * math.log2(math.e) + 1e-10
    return sa.cast(sa.func.floor(place), sa.Integer)


def exact_sum(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Sum of amounts that has the same last bit in whatever order threads add the rows up.

    Millionths, and what is left of them in steps of 2**-30, are whole numbers: doubles add these
    up exactly below 2**53, that is to a total of 9,007 million. Cents add up as on paper.
    """
    million: sa.ColumnElement[Any] = sa.literal_column("1000000")
    steps: sa.ColumnElement[Any] = sa.literal_column("1073741824")
    millionths = amount * million
    whole = sa.func.floor(millionths)
    more = sa.func.sum(sa.func.round((millionths - whole) * steps)).op("/")(steps)
    total = (sa.func.sum(whole) + more).self_group()
    return total.op("/", return_type=sa.Double())(million)


_STEPS: sa.ColumnElement[Any] = sa.literal_column("1024000000")


def customer_steps(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """An amount in steps of 2**-10 of a millionth, whole numbers for `customer_total`."""
    return sa.func.round(amount * _STEPS, type_=sa.Double())


def customer_total(steps: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Sum of amounts given in `customer_steps`."""
    return sa.func.sum(steps).op("/", return_type=sa.Double())(_STEPS)


def customer_sum(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Sum of one customer's amounts, which are few: `exact_sum` at half its cost.

    Each amount is rounded to half a step, 5e-10. Doubles add up steps exactly to a total of 8.7
    million, and cents of amounts below 4 million to 144,000 million; beyond, the last bit may
    differ.
    """
    return customer_total(customer_steps(amount))


class median(GenericFunction[float]):  # noqa: N801 - SQL functions are lower case
    """The exact median of a group's numbers, mean of the middle two; `sa.func.median` gives it."""

    type = sa.Double()
    inherit_cache = True


class _quantile(GenericFunction[float]):  # noqa: N801 - SQL functions are lower case
    """Of a column, by all shares as text, the one meant, and its place from 1."""

    type = sa.Double()
    inherit_cache = True


_DAYS = {
    "default": "({1} - {0})",
    "spark": "datediff({1}, {0})",
    "databricks": "datediff({1}, {0})",
    "snowflake": "DATEDIFF(day, {0}, {1})",
    "bigquery": "DATE_DIFF({1}, {0}, DAY)",
    "trino": "date_diff('day', {0}, {1})",
    "clickhousedb": "dateDiff('day', {0}, {1})",
}

_BITS_TOGETHER = {
    "default": "bit_or({0})",
    "snowflake": "BITOR_AGG({0})",
    "trino": "bitwise_or_agg({0})",
    "clickhousedb": "groupBitOr({0})",
}

_BITS_IN_BOTH = {
    "default": "({0} & {1})",
    "snowflake": "BITAND({0}, {1})",
    "trino": "bitwise_and({0}, {1})",
    "clickhousedb": "bitAnd({0}, {1})",
}

_BIT_AT = {
    "default": "(1 << {0})",
    "spark": "shiftleft(1, {0})",
    "databricks": "shiftleft(1, {0})",
    "snowflake": "BITSHIFTLEFT(1, {0})",
    "trino": "bitwise_left_shift(1, {0})",
    "clickhousedb": "bitShiftLeft(toInt32(1), {0})",
}

_DATE = {
    "default": "make_date({0}, {1}, {2})",
    "snowflake": "DATE_FROM_PARTS({0}, {1}, {2})",
    "bigquery": "DATE({0}, {1}, {2})",
    "trino": "CAST(format('%04d-%02d-%02d', {0}, {1}, {2}) AS DATE)",
    "clickhousedb": "makeDate32({0}, {1}, {2})",
}

_MD5 = {
    "default": "md5({0})",
    "bigquery": "TO_HEX(MD5({0}))",
    "trino": "lower(to_hex(md5(to_utf8({0}))))",
    "clickhousedb": "lower(hex(MD5({0})))",
}


def _leading(digits: int) -> dict[str, str]:
    """How dialects write the first digits of an md5 as a number."""

    def first(name: str) -> str:
        return f"substr({_MD5.get(name, _MD5['default'])}, 1, {digits})"

    zeros = "0" * (16 - digits)
    return {
        "default": f"CAST(concat('0x', {first('duckdb')}) AS BIGINT)",
        "postgresql": f"CAST(CAST(concat('x{zeros}', {first('postgresql')}) AS bit(64)) AS BIGINT)",
        "spark": f"CAST(conv({first('spark')}, 16, 10) AS BIGINT)",
        "databricks": f"CAST(conv({first('databricks')}, 16, 10) AS BIGINT)",
        "snowflake": f"TO_NUMBER({first('snowflake')}, '{'X' * digits}')",
        "bigquery": f"CAST(concat('0x', {first('bigquery')}) AS INT64)",
        "trino": f"from_base({first('trino')}, 16)",
        "clickhousedb": f"reinterpretAsInt64(reverse(unhex(concat('{zeros}', "
        f"{first('clickhousedb')}))))",
    }


_LOW = "CAST(md5_number({0}) & CAST(16777215 AS UHUGEINT) AS INTEGER)"
"""The first three bytes of an md5, of which DuckDB makes the last of a number; no text is made."""

_START = {
    **_leading(6),
    "duckdb": f"((({_LOW} & 255) << 16) | ({_LOW} & 65280) | ({_LOW} >> 16))",
}


def _spell(function: type[GenericFunction[Any]], spellings: Mapping[str, str]) -> None:
    """Register how each dialect writes a function, `{0}` its first argument."""

    def written(template: str) -> Any:
        def compile_call(element: GenericFunction[Any], compiler: Any, **options: Any) -> str:
            arguments = [compiler.process(clause, **options) for clause in element.clauses]
            return template.format(*arguments)

        return compile_call

    for name, template in spellings.items():
        (compiles(function) if name == "default" else compiles(function, name))(written(template))


_NTH = {
    "trino": "element_at(array_sort(array_agg({{0}}) FILTER (WHERE {{0}} IS NOT NULL)), {} + 1)",
    "bigquery": "ARRAY_AGG({{0}} IGNORE NULLS ORDER BY {{0}})[SAFE_OFFSET({})]",
}
"""The number at a place from 0, where no aggregate interpolates."""

_MIDDLE = {
    "trino": ("(count({0}) - 1) / 2", "count({0}) / 2"),
    "bigquery": ("DIV(COUNT({0}) - 1, 2)", "DIV(COUNT({0}), 2)"),
}

_MEDIAN = {
    "default": "percentile_cont(0.5) WITHIN GROUP (ORDER BY {0})",
    **dict.fromkeys(("duckdb", "spark", "databricks", "snowflake"), "median({0})"),
    "clickhousedb": "quantileExactInclusive(0.5)({0})",
    **{
        name: f"({nth.format(_MIDDLE[name][0])} + {nth.format(_MIDDLE[name][1])}) / 2e0"
        for name, nth in _NTH.items()
    },
}


def _between(nth: str, whole: str) -> str:
    """A quantile by the two numbers beside its place, `{2}` of the way from the first to the last.

    Args:
        nth: the number at a place.
        whole: the type of a place.
    """
    place = "({2}e0 * (count({0}) - 1))"
    low, high = (nth.format(f"CAST({each}({place}) AS {whole})") for each in ("floor", "ceiling"))
    return f"{low} + ({place} - floor({place})) * ({high} - {low})"


_QUANTILE = {
    "default": "percentile_cont({2}) WITHIN GROUP (ORDER BY {0})",
    "duckdb": "quantile_cont({0}, [{1}])[{3}]",
    "clickhousedb": "quantileExactInclusive({2})({0})",
    "trino": _between(_NTH["trino"], "INTEGER"),
    "bigquery": _between(_NTH["bigquery"], "INT64"),
}


_spell(days_between, _DAYS)
_spell(bits_together, _BITS_TOGETHER)
_spell(bits_in_both, _BITS_IN_BOTH)
_spell(bit_at, _BIT_AT)
_spell(date_of, _DATE)
_spell(md5, _MD5)
_spell(digest_number, _leading(15))
_spell(digest_start, _START)
_spell(median, _MEDIAN)
_spell(_quantile, _QUANTILE)


def quantile(
    column: sa.ColumnElement[Any], shares: Sequence[float], place: int
) -> sa.ColumnElement[float]:
    """One of several quantiles of a column, interpolated between neighbours.

    Args:
        column: numbers.
        shares: all the quantiles that the statement asks for; some engines sort once for all.
        place: which of them, from 0.
    """
    listed = ", ".join(map(str, shares))
    texts = (listed, str(shares[place]), str(place + 1))
    return _quantile(column, *map(sa.literal_column, texts))
