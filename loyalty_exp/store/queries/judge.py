"""DuckDB text that judges the rows read: fine, set aside, or ignored. Runs nothing.

Works on the tables `incoming` (what is to be loaded), `judged` (every row with its problem),
`duplicates` and `set_aside`.
"""

# ruff: noqa: S608  (every name and text is quoted by `identifier` and `literal`)

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import exact_sum
from loyalty_exp.store.queries.load import Plan, Problem, contents
from loyalty_exp.store.queries.parse import identifier, literal

__all__ = [
    "count",
    "count_problems",
    "drop",
    "duplicates",
    "extent",
    "hashes_again",
    "ignored",
    "judged",
    "no_duplicates",
    "reasons",
    "repeats",
    "set_aside",
    "settled",
    "staged",
    "tally",
    "withdrawn",
]


def staged(rows: str, plan: Plan) -> str:
    """What is read, without line numbers: enough when nothing is wrong, an error when any row is.

    Columns: those of `contents` and `n_lines` (rows merged into it).
    """
    rows = f"SELECT * FROM ({rows}) WHERE CASE WHEN problem IS NULL THEN TRUE ELSE {_STOP} END"
    if plan.lines:
        return _merged_lines(rows, plan)
    listed = ", ".join(map(identifier, contents(plan)))
    return f"SELECT {listed}, CAST(1 AS BIGINT) AS n_lines FROM ({rows})"


_STOP = "error('a row has a problem')"


def _merged_lines(rows: str, plan: Plan) -> str:
    """Lines of one order, customer and day summed into one row."""
    summed = {name: str(exact_sum(sa.column(name))) for name in ("revenue", "margin")}
    merged = {"ordered_at": "min(ordered_at)", "channel": "min(channel)", **summed}
    listed = ", ".join(f"{merged.get(name, name)} AS {name}" for name in contents(plan))
    return (
        f"SELECT {listed}, count(*) AS n_lines FROM ({rows}) "
        "GROUP BY order_id, customer, CAST(ordered_at AS DATE)"
    )


def tally() -> str:
    """Rows read, and rows staged."""
    return "SELECT coalesce(sum(n_lines), 0)::BIGINT, count(*) FROM incoming"


def count(relation: str) -> str:
    """Rows of a relation."""
    return f"SELECT count(*) FROM {relation}"


def count_problems(rows: str) -> str:
    """Rows of `parsed` with a problem."""
    return f"SELECT count(problem) FROM ({rows})"


def drop(table: str) -> str:
    """Forget a table."""
    return f"DROP TABLE {table}"


def hashes_again(key: str, table: str) -> str:
    """The table `again` of hashes that more than one row's key has; sorted numbers cost least."""
    ordered = f"SELECT hash({key}) AS hash FROM {table} ORDER BY hash"
    beside = f"SELECT hash, hash = lag(hash) OVER () AS same FROM ({ordered})"
    return f"CREATE TEMP TABLE again AS SELECT DISTINCT hash FROM ({beside}) WHERE same"


def repeats(key: str, table: str) -> str:
    """Whether any key is there twice, among those whose hash is in the table `again`."""
    twice = f"SELECT 1 FROM {table} WHERE hash({key}) IN (SELECT hash FROM again) GROUP BY {key}"
    return f"SELECT EXISTS({twice} HAVING count(*) > 1)"


def judged(rows: str) -> str:
    """Every row with its line, values and problem."""
    return f"CREATE TEMP TABLE judged AS {rows}"


def duplicates(plan: Plan, key: str) -> str:
    """Rows whose key comes again: the lines that hold it, and whether their contents differ."""
    content = ", ".join(identifier(name) for name in contents(plan) if name != key) or "NULL"
    return (
        "CREATE TEMP TABLE duplicates AS "
        "WITH fine AS NOT MATERIALIZED (SELECT * FROM judged WHERE problem IS NULL "
        "AND dropped IS NULL AND NOT continuation), "
        f"keys AS (SELECT {key} FROM fine GROUP BY {key} HAVING count(*) > 1), "
        f"again AS MATERIALIZED (SELECT fine.* FROM fine SEMI JOIN keys USING ({key})), "
        f"twice AS (SELECT {key}, min(line) AS first_line, min(line, 2)[2] AS second_line, "
        f"count(DISTINCT ({content})) > 1 AS differs FROM again GROUP BY {key}) "
        "SELECT again.line, first_line, second_line, differs FROM again JOIN twice "
        f"USING ({key}) WHERE differs OR again.line > first_line"
    )


def no_duplicates() -> str:
    """The table of `duplicates`, empty: a key may come again."""
    return (
        "CREATE TEMP TABLE duplicates (line BIGINT, first_line BIGINT, second_line BIGINT, "
        "differs BOOLEAN)"
    )


_NOTHING = (
    "SELECT line, CAST(NULL AS VARCHAR) AS field, CAST(NULL AS VARCHAR) AS sort, "
    "CAST(NULL AS VARCHAR) AS reason FROM judged WHERE FALSE"
)


def set_aside(
    problems: Sequence[Problem], key: str, advice: str, misshapen: str | None, *, orders: bool
) -> str:
    """The table of rows set aside: line, field, group of reasons, reason.

    Args:
        problems: by number, as `parsed` gives them.
        key: the column that must not come twice with other contents.
        advice: what to declare when it does.
        misshapen: relation of the lines that are no rows, if any.
        orders: whether further lines of an order follow its first.
    """
    selects = [_NOTHING]
    if problems:
        fields = " ".join(f"WHEN {n} THEN {literal(p.field)}" for n, p in enumerate(problems))
        reasons = " ".join(f"WHEN {n} THEN {literal(p.reason)}" for n, p in enumerate(problems))
        selects.append(
            f"SELECT line, CASE problem {fields} END, CASE problem {reasons} END, "
            f"CASE problem {reasons} END FROM judged "
            "WHERE problem IS NOT NULL AND dropped IS NULL AND NOT continuation"
        )
    again = "'on lines ' || first_line || ' and ' || second_line || ' with different contents'"
    sort = literal(f"there twice with different contents{advice}")
    selects.append(
        f"SELECT line, {literal(key)}, {sort}, {again} || {literal(advice)} "
        "FROM duplicates WHERE differs"
    )
    if orders:
        selects.append(
            f"SELECT judged.line, {literal(key)}, owner, owner FROM judged "
            f"JOIN ({_orphans()}) orphans USING (line) WHERE owner IS NOT NULL"
        )
    if misshapen is not None:
        selects.append(f"SELECT CAST(line AS BIGINT), 'row', reason, reason FROM {misshapen}")
    return f"CREATE TEMP TABLE set_aside AS {' UNION ALL '.join(selects)}"


def _orphans() -> str:
    """Further lines of orders whose first line is not loaded, with the reason."""
    return (
        "SELECT more.line, CASE WHEN count(first.line) = 0 "
        "THEN 'a further line of an order without its first line' "
        "WHEN count(*) FILTER (first.dropped IS NULL AND first.problem IS NULL "
        "AND coalesce(NOT duplicates.differs, TRUE)) = 0 "
        "AND count(*) FILTER (first.dropped IS NOT NULL) = 0 "
        "THEN 'a further line of an order that is set aside' END AS owner "
        "FROM judged more LEFT JOIN judged first ON first.order_id = more.order_id "
        "AND NOT first.continuation LEFT JOIN duplicates ON duplicates.line = first.line "
        "WHERE more.continuation GROUP BY more.line"
    )


def settled(plan: Plan) -> str:
    """What is left to load after `set_aside`, as `staged` would have made it."""
    rows = (
        "SELECT * FROM judged WHERE problem IS NULL AND dropped IS NULL AND NOT continuation "
        "AND line NOT IN (SELECT line FROM duplicates)"
    )
    if plan.lines:
        return _merged_lines(rows, plan)
    listed = ", ".join(f"kept.{identifier(name)}" for name in contents(plan))
    if not plan.markers:
        return f"SELECT {listed}, CAST(1 AS BIGINT) AS n_lines FROM ({rows}) kept"
    more = "SELECT order_id, count(*) AS n FROM judged WHERE continuation GROUP BY order_id"
    return (
        f"SELECT {listed}, 1 + coalesce(more.n, 0) AS n_lines "
        f"FROM ({rows}) kept LEFT JOIN ({more}) more USING (order_id)"
    )


def ignored() -> str:
    """Rows that are no sales or repeat another, by reason."""
    return (
        "SELECT 'not a sale: ' || dropped AS reason, count(*) FROM judged "
        "WHERE dropped IS NOT NULL AND NOT continuation GROUP BY 1 UNION ALL "
        "SELECT 'the same row again', count(*) FROM duplicates WHERE NOT differs "
        "HAVING count(*) > 0 ORDER BY 2 DESC, 1"
    )


def reasons() -> str:
    """Rows set aside by field and reason, with the first line of each; the most frequent first."""
    return (
        "SELECT field, sort, count(*) AS n, min(line) FROM set_aside "
        "GROUP BY field, sort ORDER BY n DESC, 4, 1"
    )


def withdrawn() -> str:
    """Orders whose status says that they are no sales."""
    return (
        "SELECT DISTINCT order_id FROM judged "
        "WHERE dropped IS NOT NULL AND order_id IS NOT NULL AND order_id NOT IN "
        "(SELECT order_id FROM incoming)"
    )


def extent(moment_column: str) -> str:
    """First and last moment staged."""
    name = identifier(moment_column)
    return f"SELECT min({name}), max({name}) FROM incoming"
