"""SQL functions that engines spell differently, as SQLAlchemy constructs. Holds no statement."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

__all__ = ["days_between"]


class days_between(GenericFunction[int]):  # noqa: N801 - SQL functions are lower case
    """Whole days from the first date to the second: `days_between(start, end)`, both DATE."""

    type = sa.Integer()
    inherit_cache = True


_SPELLINGS = {
    "default": "({end} - {start})",
    "spark": "datediff({end}, {start})",
    "databricks": "datediff({end}, {start})",
    "hive": "datediff({end}, {start})",
    "snowflake": "DATEDIFF(day, {start}, {end})",
    "bigquery": "DATE_DIFF({end}, {start}, DAY)",
    "trino": "date_diff('day', {start}, {end})",
    "clickhouse": "dateDiff('day', {start}, {end})",
}


def _spell(name: str, template: str) -> None:
    def compile_days(element: days_between, compiler: Any, **options: Any) -> str:
        start, end = (compiler.process(clause, **options) for clause in element.clauses)
        return template.format(start=start, end=end)

    if name == "default":
        compiles(days_between)(compile_days)
    else:
        compiles(days_between, name)(compile_days)


for _name, _template in _SPELLINGS.items():
    _spell(_name, _template)
