"""Rules: what they mean on a real engine, what never gets through, where the error points."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from loyalty_exp.declare.features import DOMAINS, FEATURE_WORDS, FEATURES, SCHEMES
from loyalty_exp.declare.rules import FUNCTIONS, RuleError, parse_rule

COLUMNS = {**FEATURES, "vip": "boolean", "born": "date", "city": "text"}
TYPES = {"number": sa.Double(), "text": sa.Text(), "boolean": sa.Boolean(), "date": sa.Date()}
TABLE = sa.table("t", *(sa.column(name, TYPES[kind]) for name, kind in COLUMNS.items()))


def refused(text: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        parse_rule(text, COLUMNS)
    return caught.value


# --- what gets through ---------------------------------------------------------------------------


def test_columns_are_those_named() -> None:
    rule = parse_rule("tier = 'gold' AND Overdue > 2 or COALESCE(basket, 0) > 1 and 'r' = city")
    assert rule.columns == {"tier", "Overdue", "basket", "city"}


def test_unknown_names_wait_for_the_data_unless_they_are_near_a_feature() -> None:
    assert parse_rule("région = 'Nord' and club").columns == {"région", "club"}
    with pytest.raises(RuleError, match="did you mean overdue_ratio"):
        parse_rule("overdue_ration > 2")
    assert parse_rule("overdue_ration > 2", known=["overdue_ration"]).columns == {"overdue_ration"}


def test_compiling_without_a_column_names_it() -> None:
    rule = parse_rule("club_card = 'yes'")
    with pytest.raises(RuleError, match=r"^club_card \(character 1\): no such feature"):
        rule.compile({"club": sa.column("club")})


def test_literals_are_bound_and_nothing_of_the_text_is_in_the_statement() -> None:
    rule = parse_rule("city = 'x'' OR 1=1 --' and r in (4, 5) and born >= '1990-01-31'", COLUMNS)
    compiled = rule.compile(TABLE.c).compile(dialect=postgresql.dialect())
    without_casts = re.sub(r"::[A-Z]+", "", str(compiled))  # SQLAlchemy 2.0 writes none
    assert without_casts == (
        "t.city = %(param_1)s AND (t.r = %(param_2)s OR t.r = %(param_3)s) "
        "AND t.born >= %(param_4)s"
    )
    assert "x' OR 1=1 --" in compiled.params.values()


def test_a_rule_compares_equal_to_the_same_rule() -> None:
    assert parse_rule("r > 1") == parse_rule("r > 1")
    assert hash(parse_rule("r > 1")) == hash(parse_rule("r > 1"))


def test_scores_words_and_domains_agree() -> None:
    assert FEATURES.keys() == FEATURE_WORDS.keys()
    assert DOMAINS.keys() <= FEATURES.keys()
    assert len(SCHEMES["rfm"]) == 11


# --- what it means -------------------------------------------------------------------------------

ROWS: list[dict[str, object]] = [
    {"r": r, "m": m, "city": city, "vip": vip}
    for r, m, city, vip in [
        (1.0, 2.0, "Lille", True), (2.0, 0.0, "lille", False), (-3.5, 2.5, "", None),
        (None, 4.0, None, True), (5.0, None, "Nîmes", False), (0.0, -0.5, "o'x", None),
    ]
]  # fmt: skip

Value = object
Evaluate = Callable[[dict[str, object]], Value]


def three_valued(function: Callable[..., Value]) -> Callable[..., Evaluate]:
    """A function of SQL: NULL as soon as one of its arguments is NULL."""

    def lifted(*parts: Evaluate) -> Evaluate:
        def evaluate(row: dict[str, object]) -> Value:
            values = [part(row) for part in parts]
            return None if any(value is None for value in values) else function(*values)

        return evaluate

    return lifted


def both(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(row: dict[str, object]) -> Value:
        values = (left(row), right(row))
        return False if False in values else None if None in values else True

    return evaluate


def either(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(row: dict[str, object]) -> Value:
        values = (left(row), right(row))
        return True if True in values else None if None in values else False

    return evaluate


def constant(value: Value) -> Evaluate:
    return lambda _row: value


def column(name: str) -> Evaluate:
    return lambda row: row[name]


Pair = tuple[str, Evaluate]
NUMBERS = st.sampled_from(["r", "m"]).map(lambda name: (name, column(name))) | st.sampled_from(
    ["0", "1", "2.5", ".5", "40"]
).map(lambda text: (text, constant(float(text))))
TEXTS = st.just(("city", column("city"))) | st.sampled_from(["Lille", "o'x", "", "Nîmes"]).map(
    lambda text: ("'" + text.replace("'", "''") + "'", constant(text))
)


def arithmetic(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    functions: dict[str, Callable[..., Value]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b if b else None,
    }
    pairs = st.tuples(inner, st.sampled_from(sorted(functions)), inner).map(
        lambda part: (
            f"({part[0][0]} {part[1]} {part[2][0]})",
            three_valued(functions[part[1]])(part[0][1], part[2][1]),
        )
    )
    halves = inner.map(
        lambda part: (f"round({part[0]})", three_valued(lambda a: math.floor(a + 0.5))(part[1]))
    )
    signed = inner.map(lambda part: (f"- {part[0]}", three_valued(lambda a: -a)(part[1])))
    absolute = inner.map(lambda part: (f"ABS({part[0]})", three_valued(abs)(part[1])))
    filled = inner.map(
        lambda part: (
            f"coalesce({part[0]}, 7)",
            lambda row: 7.0 if part[1](row) is None else part[1](row),
        )
    )
    return pairs | halves | signed | absolute | filled


COMPARED: dict[str, Callable[..., Value]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}
SUMS = st.recursive(NUMBERS, arithmetic, max_leaves=4)


def comparison(left: Pair, sign: str, right: Pair) -> Pair:
    return f"{left[0]} {sign} {right[0]}", three_valued(COMPARED[sign])(left[1], right[1])


def between(value: Pair, low: Pair, high: Pair) -> Pair:
    evaluate = both(
        three_valued(lambda a, b: a >= b)(value[1], low[1]),
        three_valued(lambda a, b: a <= b)(value[1], high[1]),
    )
    return f"{value[0]} between {low[0]} and {high[0]}", evaluate


CONDITIONS = (
    st.builds(comparison, SUMS, st.sampled_from(sorted(COMPARED)), SUMS)
    | st.builds(comparison, TEXTS, st.sampled_from(["=", "<>"]), TEXTS)
    | st.builds(between, SUMS, SUMS, SUMS)
    | SUMS.map(lambda p: (f"{p[0]} is null", lambda row: p[1](row) is None))
    | TEXTS.map(lambda p: (f"{p[0]} is not null", lambda row: p[1](row) is not None))
    | SUMS.map(lambda p: (f"{p[0]} IN (1, -3.5)", three_valued(lambda a: a in {1, -3.5})(p[1])))
    | TEXTS.map(lambda p: (f"{p[0]} not in ('Lille')", three_valued(lambda a: a != "Lille")(p[1])))
    | TEXTS.map(
        lambda p: (f"lower({p[0]}) = 'lille'", three_valued(lambda a: a.lower() == "lille")(p[1]))
    )
    | TEXTS.map(lambda p: (f"length({p[0]}) > 3", three_valued(lambda a: len(a) > 3)(p[1])))
    | st.just(("vip", column("vip")))
    | st.just(("vip = false", three_valued(lambda a: not a)(column("vip"))))
)
RULES = st.recursive(
    CONDITIONS,
    lambda inner: (
        inner.map(lambda p: (f"not ({p[0]})", three_valued(lambda a: not a)(p[1])))
        | st.tuples(inner, inner).map(
            lambda p: (
                (f"({p[0][0]}) and {p[1][0]}", both(p[0][1], p[1][1]))
                if " or " not in p[1][0] and " and " not in p[1][0]
                else (f"({p[0][0]}) and ({p[1][0]})", both(p[0][1], p[1][1]))
            )
        )
        | st.tuples(inner, inner).map(
            lambda p: (f"{p[0][0]} or {p[1][0]}", either(p[0][1], p[1][1]))
        )
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def rows() -> sa.Subquery:
    def typed(name: str, value: object) -> sa.ColumnElement[object]:
        kind = TYPES[COLUMNS[name]]
        return sa.cast(sa.literal(value, kind), kind).label(name)

    selects = [
        sa.select(
            sa.literal(index).label("n"), *(typed(name, value) for name, value in row.items())
        )
        for index, row in enumerate(ROWS)
    ]
    return sa.union_all(*selects).subquery("t")


@pytest.fixture(scope="module")
def connection() -> sa.Connection:
    engine = sa.create_engine("duckdb:///:memory:", poolclass=sa.pool.StaticPool)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@settings(deadline=None, max_examples=150)
@given(rule=RULES)
def test_a_rule_selects_the_rows_that_a_direct_evaluation_selects(
    rule: Pair, rows: sa.Subquery, connection: sa.Connection
) -> None:
    text, evaluate = rule
    condition = parse_rule(text, COLUMNS).compile(rows.c)
    found = connection.scalars(sa.select(rows.c.n).where(condition).order_by(rows.c.n)).all()
    assert found == [index for index, row in enumerate(ROWS) if evaluate(row) is True], text


# --- what never gets through ---------------------------------------------------------------------

# (the rule, the word the error points at)
ATTACKS = [
    ("r = 1; drop table customers", ";"),
    ("r = 1 -- and more", "--"),
    ("r = 1 --", "--"),
    ("r = 1 /* x */", "/*"),
    ("r /*/ > 1", "/*"),
    ("r = 1 # x", "#"),
    ("r = (select 1)", "select"),
    ("exists (select 1)", "exists"),
    ("r in (select r from customers)", "select"),
    ("r > any (1)", "any"),
    ("r = 1 union select 1", "union"),
    ("read_csv('/etc/passwd') = 1", "read_csv"),
    ("read_text('/etc/passwd') = 'x'", "read_text"),
    ("read_parquet ('x') = 1", "read_parquet"),
    ("glob('*') = 'x'", "glob"),
    ("pg_sleep(10) is null", "pg_sleep"),
    ("pg_read_file('x') = 'x'", "pg_read_file"),
    ("lo_import('x') = 1", "lo_import"),
    ("getenv('HOME') = 'x'", "getenv"),
    ("current_setting('x') = 'x'", "current_setting"),
    ("load_extension('x') is null", "load_extension"),
    ("system('id') = 1", "system"),
    ("sleep(9) = 0", "sleep"),
    ("md5(city) = 'x'", "md5"),
    ("repeat('a', 1000000000) = city", "repeat"),
    ("sum(r) > 1", "sum"),
    ("row_number() over () = 1", "row_number"),
    ("abs(r) over (partition by city) = 1", "over"),
    ("abs(r) filter (where r > 1) = 1", "filter"),
    ("r::text = '4'", ":"),
    ("cast(r as json) = 'x'", "cast"),
    ("try_cast(r as int) = 1", "try_cast"),
    ("date '2026-01-01' = born", "'2026-01-01'"),
    ("interval '1' day > 1", "interval"),
    ("x'ff' = city", "'ff'"),
    ("e'\\n' = city", "'\\n'"),
    ("N'x' = city", "'x'"),
    ("$$x$$ = city", "$"),
    ("r = $1", "$"),
    ("r = ?", "?"),
    ("r = :r", ":"),
    ("r = @r", "@"),
    ("r = %s", "%"),
    ("r = {{ r }}", "{"),
    ("* = 1", "*"),
    ("count(*) > 1", "count"),
    ("t.r = 1", "t.r"),
    ("main.customers.r = 1", "main.customers.r"),
    ('"r" = 1', '"'),
    ("`r` = 1", "`"),
    ("[r] = 1", "["),
    ("r = [1]", "["),
    ("city[1] = 'x'", "["),
    ("city || 'x' = 'y'", "||"),
    ("city ~ 'x'", "~"),
    ("city like '%'", "like"),
    ("city ilike '%'", "ilike"),
    ("city similar to 'x'", "similar"),
    ("city glob '*'", "glob"),
    ("city collate nocase = 'x'", "collate"),
    ("case when r > 1 then true else false end", "case"),
    ("r = 1 order by r", "order"),
    ("r = 1 limit 1", "limit"),
    ("r = 1 as x", "as"),
    ("r = 1 x", "x"),
    ("x -> x > 1", ">"),
    ("lambda x: x", "lambda"),
    ("r = r -> 1", ">"),
    ("coalesce(r) > 1", "r"),
    ("abs() > 1", ")"),
    ("abs > 1", "abs"),
    ("round(m, 99) > 1", "99"),
    ("round(m, r) > 1", "r"),
    ("r in ()", ")"),
    ("r in (m)", "m"),
    ("(r, m) in (1)", ","),
    ("r is distinct from 1", "distinct"),
    ("r is true", "true"),
    ("r between 1", "1"),
    ("r = 1 and", ""),
    ("() = 1", ")"),
    ("city = 'x", "'"),
    ("city = 'x\x00'", "\x00"),
    ("city = 'x\u202e'", "\u202e"),
    ("city = ‘x’", "‘"),
    ("r \uff1e 1", "\uff1e"),
    ("r > 1\u200b", "\u200b"),
    ("tіer = 'gold'", "tіer"),
    ("ｒ > 1", "ｒ"),
    ("ſ > 1", "ſ"),
    ("r > ١", "١"),
    ("r > 1e400", "1e400"),
    ("r > 0x10", "0x10"),
    ("r > 1_000", "1_000"),
    ("r > " + "9" * 40, "9" * 40),
    ("r > 1.2.3", "1.2.3"),
    ("a" * 65 + " > 1", "a" * 65),
    ("", ""),
    ("\n \u00a0", ""),
    ("r", "r"),
    ("r + 1", "r"),
    ("'true'", "'true'"),
    ("null", "null"),
    ("r = null", "null"),
    ("r = 1 = true", "true"),
    ("1 < r < 3", "3"),
    ("city + 1 > 2", "city"),
    ("- city = 'x'", "city"),
    ("not r", "r"),
    ("vip > 1", "1"),
    ("born > 'yesterday'", "'yesterday'"),
    ("born > 1", "1"),
    ("upper(r) = 'x'", "r"),
    ("(" * 150 + "r > 1" + ")" * 150, "("),
    ("not " * 200 + "vip", "not"),
    ("- " * 200 + "r > 1", "-"),
    ("r" + " - r" * 150 + " > 1", "r"),
    ("abs(" * 100 + "r" + ")" * 100 + " > 1", "("),
    ("r = 1" + " or r = 1" * 300, ""),
    ("(r > 1", "("),
    ("r > 1)", ")"),
    ("r, m", ","),
]


@pytest.mark.parametrize(("text", "word"), ATTACKS, ids=[ascii(text)[:50] for text, _ in ATTACKS])
def test_nothing_else_gets_through_and_the_error_points_at_the_word(text: str, word: str) -> None:
    columns = {**COLUMNS, "x": "number", "a": "number"}
    with pytest.raises(RuleError) as caught:
        parse_rule(text, columns)
    error = caught.value
    assert error.word == word
    assert text[error.offset : error.offset + len(word)] == word
    assert f"(character {error.offset + 1})" in str(error)
    assert str(error).isprintable()


def test_before_the_data_are_read_the_same_is_refused() -> None:
    """Without the columns a strange name is only a name: it must still be nothing else."""
    for text, _ in ATTACKS:
        try:
            rule = parse_rule(text)
        except RuleError:
            continue
        unknown = {"r": "number", "city": "text", "born": "date"}
        assert rule.columns - FEATURES.keys(), text
        with pytest.raises(RuleError):
            parse_rule(text, {**FEATURES, **unknown})


WORDS = [
    *FUNCTIONS, *COLUMNS, "and", "or", "not", "in", "between", "is", "null", "true", "(", ")", ",",
    "=", "<>", "<", "-", "*", "/", "'gold'", "'x'", "1", "2.5", "--", ";", "select", "::", "case",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(text=st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    try:
        rule = parse_rule(text, COLUMNS)
    except RuleError as error:
        if not 0 <= error.offset <= len(text):
            raise
        return
    statement = str(rule.compile(TABLE.c).compile(dialect=postgresql.dialect()))
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"%\(\w+\)s(::\w+( \w+)?)?", "", statement)))
    allowed = {"AND", "OR", "NOT", "IS", "NULL", "BETWEEN", "CAST", "AS", "DOUBLE", "PRECISION",
               "nullif", "floor", "FLOAT", "true", "false", "t", *COLUMNS, *FUNCTIONS}  # fmt: skip
    assert words <= allowed, statement


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("overdu_ratio > 2", "overdue_ratio"),
        ("Tier = 'gold'", "tier"),
        ("r == 4", "="),
        ("r > 4 && m > 4", "and"),
        ("r > 4 et m > 4", "and"),
        ("r > 4 ou m > 4", "or"),
        ("r ≥ 4", ">="),
        ("basket > 2,5", "2.5"),
        ("r = '4'", "4"),
        ("basket = '4,5'", "4.5"),
        ("city = 59", "'59'"),
        ("vip = 1", "true"),
        ("vip = 'false'", "false"),
        ("tier = 'Gold'", "'gold'"),
        ("tier in ('gold', 'argent')", "'silver'"),
        ("'a risque' = rfm", "'At Risk'"),
        ("rfm = 'À risque'", "'At Risk'"),
        ("lowr(city) = 'x'", "lower"),
        ("r = null", "is null"),
    ],
)
def test_a_suggestion_is_made(text: str, suggestion: str) -> None:
    assert refused(text).suggestion == suggestion
