"""Queries of a declaration: one SELECT, and nothing that writes."""

from __future__ import annotations

import logging
import re

__all__ = ["what_is_wrong"]

_DIALECTS = {
    "bigquery": "bigquery",
    "clickhousedb": "clickhouse",
    "databricks": "databricks",
    "duckdb": "duckdb",
    "mariadb": "mysql",
    "mssql": "tsql",
    "mysql": "mysql",
    "oracle": "oracle",
    "postgresql": "postgres",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "trino": "trino",
}
_EXECUTED_COMMENT = re.compile(r"/\*M?!")
_BACKEND = re.compile(r"([A-Za-z0-9_]+)(?:\+[A-Za-z0-9_]+)?://")


def what_is_wrong(query: str, address: str) -> str | None:
    """Why a query is refused, in words; None when it only reads.

    The database is asked to refuse writing as well; this stands before it, and before databases
    that cannot be asked.

    Args:
        query: as declared.
        address: of the database, as declared; it tells the dialect.
    """
    import sqlglot  # noqa: PLC0415  (heavy, and queries are rare)
    from sqlglot import expressions as sg  # noqa: PLC0415

    if _EXECUTED_COMMENT.search(query):
        return "a SELECT without comments that MySQL executes is expected"
    backend = _BACKEND.match(address)
    dialect = _DIALECTS.get(backend[1].lower()) if backend else None
    logger = logging.getLogger("sqlglot")  # it would repeat the text of what it does not know
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        statements = sqlglot.parse(query, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return "one SELECT is expected, and this is not understood; a view in the database may help"
    finally:
        logger.setLevel(level)
    if len(statements) != 1 or not isinstance(statements[0], sg.Query):
        return "one SELECT is expected, and nothing else"
    writing = (sg.DML, sg.DDL, sg.Drop, sg.Alter, sg.Command, sg.Copy, sg.Into)
    if any(isinstance(node, writing) for node in statements[0].walk()):
        return "a SELECT that only reads is expected"
    return None
