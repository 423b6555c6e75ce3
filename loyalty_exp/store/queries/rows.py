"""DuckDB text that turns the rows of a source into ours, each with what is wrong with it."""

# ruff: noqa: S608  (every name and text is quoted by `identifier` and `literal`)

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loyalty_exp.store.queries.load import MAX_TEXT, STAND_INS, Field, Plan, Problem, Sale, contents
from loyalty_exp.store.queries.parse import (
    ColumnFormat,
    amount,
    boolean,
    id_of,
    identifier,
    literal,
    moment,
    text_of,
)

__all__ = ["parsed"]

MAX_AMOUNT = 1e12
FIRST_MOMENT, LAST_MOMENT = "1970-01-01", "2201-01-01"


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
    stand_in = dict(STAND_INS.get(plan.what, {}))
    if plan.margin_rate is not None:
        stand_in["margin"] = f"v_revenue * {plan.margin_rate!r}"
    listed = []
    for name in contents(plan):
        other = stand_in.get(name)
        if name not in read:
            listed.append(f"{other} AS {identifier(name)}")
        elif other is None or name == "margin":
            listed.append(f"v_{name} AS {identifier(name)}")
        else:
            listed.append(f"coalesce(v_{name}, {other}) AS {identifier(name)}")
    return listed


def _value(field: Field, plan: Plan, formats: Mapping[str, ColumnFormat]) -> str:
    column = field.formula.columns[0]
    if field.kind in {"moment", "day"}:
        read = moment(column, formats[column], plan.zone, plan.project_zone)
        return f"CAST({read} AS DATE)" if field.kind == "day" else read
    if field.kind == "amount":
        return _signed(_net(field, formats), plan, formats)
    if field.kind == "boolean":
        return boolean(column, formats[column])
    reader = id_of if field.kind == "id" else text_of
    text = [reader(each, formats[each]) for each in field.formula.columns]
    whole = f"coalesce({', '.join(text)})" if len(text) > 1 else text[0]
    return f"lower({whole})" if field.kind == "word" else whole


def _net(field: Field, formats: Mapping[str, ColumnFormat]) -> str:
    """The amount, less its share that was paid back: a refund takes tax and shipping along."""

    def read(name: str) -> str:
        return _amount(field, name, formats[name])

    whole = field.formula.amount(read)
    if field.refund is None:
        return whole
    refund, total = map(read, field.refund)
    return f"({whole}) * (CASE WHEN ({total}) = 0 THEN 1 ELSE 1 - ({refund}) / ({total}) END)"


def _amount(field: Field, column: str, form: ColumnFormat) -> str:
    read = amount(column, form)
    if column in field.optional:
        return f"CASE WHEN {text_of(column, form)} IS NULL THEN 0 ELSE {read} END"
    return read


def _signed(read: str, plan: Plan, formats: Mapping[str, ColumnFormat]) -> str:
    """Credit notes make negative amounts, whatever their sign in the source."""
    if plan.sale is None or not plan.sale.credits:
        return read
    status = _word(text_of(plan.sale.column, formats[plan.sale.column]))
    return f"CASE WHEN {status} IN ({_listed(plan.sale.credits)}) THEN -abs({read}) ELSE {read} END"


def _word(text: str) -> str:
    """Text without letter case and accents, as `plain_word` makes it."""
    return f"strip_accents(lower({text}))"


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
    attribute = plan.what == "customers" and not field.required
    if attribute and field.kind != "text":
        return []
    value = f"v_{field.name}"

    def number(reason: str) -> int:
        problems.append(Problem(field.name, reason))
        return len(problems) - 1

    blank = " AND ".join(f"{text_of(name, formats[name])} IS NULL" for name in sources)
    if field.kind in {"id", "text", "word"}:
        needed = field.required or field.kind == "id"
        cases = [f"WHEN {value} IS NULL THEN {number('blank')}"] if needed else []
        long = number(f"longer than {MAX_TEXT:,} bytes")
        return [*cases, f"WHEN strlen({value}) > {MAX_TEXT} THEN {long}"]
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
    word = _word(text_of(name, formats[name]))
    known = f"coalesce({word} IN ({_listed((*sale.sales, *sale.credits))}), FALSE)"
    whens, cases = [], []
    if sale.cancelled is not None:
        gone = alias[sale.cancelled]
        whens.append(f"WHEN {text_of(gone, formats[gone])} IS NOT NULL THEN 'cancelled'")
    if sale.others:
        whens.append(f"WHEN {word} IN ({_listed(sale.others)}) THEN {word}")
        problems.append(Problem("status", "a status that is not known: declare statuses"))
        cases.append(f"WHEN dropped IS NULL AND NOT {known} THEN {len(problems) - 1}")
    else:
        if sale.shown:
            whens.append(f"WHEN NOT {known} AND {word} IN ({_listed(sale.shown)}) THEN {word}")
        whens.append(f"WHEN NOT {known} THEN 'another status'")
    return f"CASE {' '.join(whens)} END", cases
