"""What a person reads after a mistake: the exact message, its line, and every mistake at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loyalty_exp.declare.toml import read
from loyalty_exp.errors import DeclarationError

BASE = """\
schema = 1
[project]
name = "Maison Exemple"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.42
database = "duckdb:///loyalty.duckdb"

[data.orders]
source = "orders.csv"
columns = { order_id = "id", customer_id = "c", ordered_at = "d", revenue = "r" }

[data.customers]
source = "customers.csv"
columns = { customer_id = "c", optin_email = "ok" }

[segments]
scheme = "rfm"
[segments.sleeping_gold]
where = "tier = 'gold' and overdue_ratio > 2"

[universal_holdout]
percent = 5
start = 2026-01-01
months = 12

[campaign.winback]
name = "Réveil"
segments = ["sleeping_gold"]
lever = "relational"
objective = "attrition"
start = 2026-03-01
end = 2026-04-30
measure_until = 2026-12-31
arms = { holdout = 20, call = 80 }
[campaign.winback.costs]
budget = 6000
per_contact = { call = 4.5 }
"""
PATH = "campaigns.toml"

# (what is replaced, by what, what is said after the file's name)
CASES = [
    # tiers
    (
        'scheme = "rfm"',
        "tiers = { gold = 0.5, silver = 80 }",
        (
            "18: [segments] tiers.gold = 0.5: a percentage from 1 to 99 is expected; "
            "did you mean 50?"
        ),
    ),
    (
        'scheme = "rfm"',
        "tiers = { gold = 2000, silver = 50 }",
        (
            "18: [segments] tiers.gold = 2000: a percentage from 1 to 99 is expected; "
            'did you mean by = "revenue"?'
        ),
    ),
    (
        'scheme = "rfm"',
        "tiers = { gold = 50, silver = 30 }",
        (
            "18: [segments] tiers.silver = 30: a percentage above that of gold, 50, is expected: "
            "gold included"
        ),
    ),
    (
        'scheme = "rfm"',
        'tiers = { by = "revenue", gold = 500, silver = 2000 }',
        "18: [segments] tiers.silver = 2000: an amount below that of gold, 500, is expected",
    ),
    (
        'scheme = "rfm"',
        'tiers = { by = "amount", gold = 500, silver = 200 }',
        (
            '18: [segments] tiers.by = "amount": share or revenue is expected; '
            'did you mean "revenue"?'
        ),
    ),
    (
        'scheme = "rfm"',
        'tiers = { gold = "50 %", silver = 80 }',
        (
            '18: [segments] tiers.gold = "50 %": a percentage of revenue, or an amount, above 0 '
            "is expected; did you mean 50?"
        ),
    ),
    (
        'scheme = "rfm"',
        "tiers = { gold = 50 }",
        (
            "18: [segments] tiers.silver: is missing; a percentage of revenue, or an amount, "
            "above 0 is expected"
        ),
    ),
    (
        'scheme = "rfm"',
        "tiers = 50",
        "18: [segments] tiers = 50: a table is expected",
    ),
    # percentages and arms
    (
        "holdout = 20, call = 80",
        "holdout = 0.2, call = 80",
        (
            "35: [campaign.winback] arms.holdout = 0.2: a percentage from 1 to 90 is expected; "
            "did you mean 20?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        "holdout = 20, call = 0.8",
        (
            "35: [campaign.winback] arms.call = 0.8: a percentage from 1 to 99 is expected; "
            "did you mean 80?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        'holdout = "20%", call = 80',
        (
            '35: [campaign.winback] arms.holdout = "20%": a percentage from 1 to 90 is expected; '
            "did you mean 20?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        "holdout = 95, call = 5",
        "35: [campaign.winback] arms.holdout = 95: a percentage from 1 to 90 is expected",
    ),
    (
        "holdout = 20, call = 80",
        "holdout = 20, call = 70",
        (
            "35: [campaign.winback] arms: the percentages add up to 90, 100 is expected; "
            "did you mean call = 80?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        "control = 20, call = 80",
        (
            "35: [campaign.winback] arms: an arm named holdout is expected: without it nothing "
            "can be "
            "known; did you mean holdout instead of control?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        "holdout = 20",
        "35: [campaign.winback] arms: an arm beside the holdout is expected",
    ),
    (
        "holdout = 20, call = 80 }",
        'holdout = 20, "call & mail" = 40, call = 40 }',
        (
            '35: [campaign.winback] arms."call & mail": an id of 1 to 64 letters without accents, '
            "digits, - and _ is expected; did you mean call-mail?"
        ),
    ),
    (
        "arms = { holdout = 20, call = 80 }",
        "arms = 20",
        "35: [campaign.winback] arms = 20: a table is expected",
    ),
    (
        "percent = 5",
        "percent = 0.05",
        (
            "23: [universal_holdout] percent = 0.05: a percentage from 1 to 90 is expected; "
            "did you mean 5?"
        ),
    ),
    # dates
    (
        "end = 2026-04-30",
        "end = 2026-02-28",
        (
            "33: [campaign.winback] end = 2026-02-28: a date from the start on, 2026-03-01, "
            "is expected"
        ),
    ),
    (
        "measure_until = 2026-12-31",
        "measure_until = 2026-04-01",
        (
            "34: [campaign.winback] measure_until = 2026-04-01: a date from the campaign's end on, "
            "2026-04-30, is expected"
        ),
    ),
    (
        "measure_until = 2026-12-31",
        "as_of = 2026-03-02",
        (
            "34: [campaign.winback] as_of = 2026-03-02: a date before the start, 2026-03-01, "
            "is expected; did you mean 2026-02-28?"
        ),
    ),
    (
        "measure_until = 2026-12-31",
        "measure_until = 2062-12-31",
        "34: [campaign.winback] measure_until = 2062-12-31: at most 60 months can be followed",
    ),
    (
        "start = 2026-03-01",
        'start = "01/03/2026"',
        (
            '32: [campaign.winback] start = "01/03/2026": a date written year-month-day, without '
            "quotes or time, is expected; did you mean 2026-03-01?"
        ),
    ),
    (
        "start = 2026-03-01",
        "start = 2026-03-01T08:00:00",
        (
            "32: [campaign.winback] start = 2026-03-01T08:00:00: a date written year-month-day, "
            "without quotes or time, is expected; did you mean 2026-03-01?"
        ),
    ),
    (
        "start = 2026-03-01",
        "start = 01/03/2026",
        (
            "32: [campaign.winback] start = 01/03/2026: a date written year-month-day is expected; "
            "did you mean 2026-03-01?"
        ),
    ),
    (
        "start = 2026-03-01",
        "start = 2026-02-30",
        "32: [campaign.winback] start = 2026-02-30: no such day",
    ),
    # words
    (
        '"relational"',
        '"promo"',
        (
            '30: [campaign.winback] lever = "promo": transactional, service, relational or '
            "engagement "
            'is expected; did you mean "transactional"?'
        ),
    ),
    (
        '"attrition"',
        '"churn"',
        (
            '31: [campaign.winback] objective = "churn": revenue, basket, frequency or attrition '
            'is expected; did you mean "attrition"?'
        ),
    ),
    (
        '"sleeping_gold"]',
        '"sleeping_gld"]',
        (
            '29: [campaign.winback] segments = "sleeping_gld": no such segment; '
            'did you mean "sleeping_gold"?'
        ),
    ),
    (
        '"sleeping_gold"]',
        '"gold"]',
        (
            '29: [campaign.winback] segments = "gold": belongs to the scheme tiers, and the '
            "scheme is "
            "rfm: declare a segment of your own, where = \"tier = 'gold'\""
        ),
    ),
    (
        '["sleeping_gold"]',
        '"sleeping_gold"',
        (
            '29: [campaign.winback] segments = "sleeping_gold": a list between [ and ] is '
            "expected; "
            'did you mean ["sleeping_gold"]?'
        ),
    ),
    (
        '["sleeping_gold"]',
        '["sleeping_gold", "all"]',
        '29: [campaign.winback] segments = "all": holds every customer: name it alone',
    ),
    (
        '["sleeping_gold"]',
        "[]",
        "29: [campaign.winback] segments: at least one is expected",
    ),
    (
        'lever = "relational"',
        'lever = "relational"\nexclude = ["sleeping_gold"]',
        '31: [campaign.winback] exclude = "sleeping_gold": the campaign addresses this segment',
    ),
    (
        'lever = "relational"',
        'lever = "relational"\nstratify_by = ["teir"]',
        (
            '31: [campaign.winback] stratify_by = "teir": no such feature or attribute; '
            'did you mean "tier"?'
        ),
    ),
    (
        'lever = "relational"',
        'leverage = "relational"',
        "30: [campaign.winback] leverage: unknown key; did you mean lever?",
    ),
    (
        'lever = "relational"\n',
        'lever = "relational"\nbudget = 3000\n',
        "31: [campaign.winback] budget: unknown key here; it belongs to the table costs below",
    ),
    (
        'lever = "relational"\n',
        "",
        (
            "27: [campaign.winback] lever: is missing; transactional, service, relational or "
            "engagement is expected"
        ),
    ),
    (
        "[universal_holdout]",
        "[universal_holdot]",
        "22: [universal_holdot]: unknown table; did you mean universal_holdout?",
    ),
    ("schema = 1", "schema = 2", "1: schema = 2: 1 is expected"),
    # the project
    (
        "margin_rate = 0.42",
        "margin_rate = 0,42",
        (
            "6: [project] margin_rate = 0,42: a decimal point is expected, not a comma; "
            "did you mean 0.42?"
        ),
    ),
    (
        "margin_rate = 0.42",
        "margin_rate = 42",
        (
            "6: [project] margin_rate = 42: a share above 0 and up to 1 is expected; "
            "did you mean 0.42?"
        ),
    ),
    (
        "margin_rate = 0.42\n",
        "",
        (
            "2: [project] margin_rate: is missing: revenue is not profit; give it, or map a margin "
            "column of the orders"
        ),
    ),
    (
        '"EUR"',
        '"€"',
        (
            '4: [project] currency = "€": a currency code of three letters such as EUR is '
            "expected; "
            'did you mean "EUR"?'
        ),
    ),
    (
        '"Europe/Paris"',
        '"Paris"',
        (
            '5: [project] timezone = "Paris": a time zone such as Europe/Paris is expected; '
            'did you mean "Europe/Paris"?'
        ),
    ),
    (
        "margin_rate = 0.42",
        'margin_rate = 0.42\nsettle_days = "7"',
        '7: [project] settle_days = "7": a whole number from 0 to 90 is expected; did you mean 7?',
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"loyalty.duckdb"',
        (
            "7: [project] database: the address of a database, such as duckdb:///loyalty.duckdb, "
            'is expected; did you mean "duckdb:///loyalty.duckdb"?'
        ),
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"postgresql://bob:hunter2@db/loyalty"',
        (
            "7: [project] database: a password stands in the environment, not in this file; "
            "did you mean ://user:${DATABASE_PASSWORD}@?"
        ),
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"postgresql://bob:${NO_SUCH_VARIABLE}@db/loyalty"',
        "7: [project] database: the environment variable NO_SUCH_VARIABLE is not set",
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"spark://"',
        (
            "7: [project] database: a second database is needed with Spark, which has no "
            "transactions for launches; "
            'did you mean registry_url = "sqlite:///registry.db" below it?'
        ),
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"duckdb:///loyalty.duckdb"\nregistry_url = "sqlite:///registry.db"',
        "8: [project] registry_url: only Spark needs it: take it out",
    ),
    (
        '"duckdb:///loyalty.duckdb"',
        '"spark://"\nregistry_url = "trino://host/registry"',
        "8: [project] registry_url: a registry is kept in sqlite, duckdb or postgresql",
    ),
    # the data
    (
        '"orders.csv"',
        '"https://example.com/orders.csv"',
        (
            "10: [data.orders] source: a CSV, Parquet or Excel file, or the address of a database, "
            "is expected"
        ),
    ),
    (
        '"orders.csv"',
        '"postgresql://db/shop"',
        "10: [data.orders] source: a database needs to know what to read: add table or query",
    ),
    (
        '"orders.csv"',
        '"orders.csv"\ntable = "orders"',
        '11: [data.orders] table = "orders": the source is a file: only a database has this',
    ),
    (
        'ordered_at = "d"',
        'orderd_at = "d"',
        (
            "11: [data.orders] columns.orderd_at: order_id, customer_id, ordered_at, revenue, "
            "margin, "
            "channel, currency or status is expected; did you mean ordered_at?"
        ),
    ),
    (
        ', revenue = "r"',
        "",
        "11: [data.orders] columns: revenue must be mapped to columns of the file",
    ),
    # rules
    (
        "overdue_ratio > 2",
        "overdu_ratio > 2",
        (
            "20: [segments.sleeping_gold] where = \"tier = 'gold' and overdu_ratio > 2\": "
            "overdu_ratio (character 19): no such feature or attribute; did you mean overdue_ratio?"
        ),
    ),
    (
        "tier = 'gold' and",
        "tier = 'or' and",
        (
            "20: [segments.sleeping_gold] where = \"tier = 'or' and overdue_ratio > 2\": "
            "'or' (character 8): tier is gold, silver or bronze; did you mean 'gold'?"
        ),
    ),
    (
        "overdue_ratio > 2",
        "overdue_ratio > 2,5",
        (
            "20: [segments.sleeping_gold] where = \"tier = 'gold' and overdue_ratio > 2,5\": "
            "2 (character 35): a decimal point is expected; did you mean 2.5?"
        ),
    ),
    (
        "[segments.sleeping_gold]\nwhere",
        "[segments.Champions]\nwhere = 'r = 5'\n[segments.sleeping_gold]\nwhere",
        "19: [segments.Champions]: this name is taken by a built-in segment",
    ),
    # money
    (
        "budget = 6000",
        "budget = -1",
        (
            "37: [campaign.winback.costs] budget = -1: an amount of money, 0 or more, without "
            "sign or "
            "spaces, is expected"
        ),
    ),
    (
        "budget = 6000",
        "budget = 6 000 €",
        (
            "37: [campaign.winback.costs] budget = 6 000 €: a number alone, with a decimal point, "
            "is expected; did you mean 6000?"
        ),
    ),
    (
        "budget = 6000",
        "budget = 6000\nfixed = 7000",
        "38: [campaign.winback.costs] fixed = 7000: at most the budget, 6000, is expected",
    ),
    (
        "{ call = 4.5 }",
        "{ cal = 4.5 }",
        (
            "38: [campaign.winback.costs] per_contact.cal = 4.5: no such arm; the campaign has "
            "call; "
            "did you mean call?"
        ),
    ),
    (
        "{ call = 4.5 }",
        "{ holdout = 4.5 }",
        (
            "38: [campaign.winback.costs] per_contact.holdout = 4.5: the holdout receives nothing, "
            "so it costs nothing"
        ),
    ),
    (
        "[campaign.winback.costs]",
        (
            '[campaign.winback.assignment]\nsource = "s.csv"\narms = { control = "A" }\n'
            "[campaign.winback.costs]"
        ),
        (
            '38: [campaign.winback.assignment] arms.control = "A": no such arm; the campaign has '
            "holdout and call"
        ),
    ),
    # TOML itself
    (
        '"relational"',
        "relational",
        (
            "30: [campaign.winback] lever: a text between quotes is expected; "
            'did you mean "relational"?'
        ),
    ),
    (
        '"relational"',
        "“relational”",
        (
            "30: [campaign.winback] lever: straight quotes are expected around a text; "
            'did you mean "relational"?'
        ),
    ),
    (
        '"relational"',
        '"relational',
        "30: [campaign.winback] lever: a closing quote is expected",
    ),
    ('"relational"', "", "30: [campaign.winback] lever: a value is expected after ="),
    (
        'lever = "relational"',
        'lever: "relational"',
        (
            "30: [campaign.winback] lever: = is expected between a key and its value; "
            "did you mean lever =?"
        ),
    ),
    (
        '"orders.csv"',
        '"C:\\data\\orders.csv"',
        (
            "10: [data.orders] source: a backslash is not allowed here: write / instead, or put "
            "the "
            "text in single quotes"
        ),
    ),
    (
        '["sleeping_gold"]',
        '["sleeping_gold"',
        "29: [campaign.winback]: the list opened here is not closed with ]",
    ),
    (
        'lever = "relational"',
        'lever = "relational"\nlever = "service"',
        "31: [campaign.winback] lever: is defined twice: first on line 30",
    ),
    ("[segments]\n", "[project]\n", "17: [project]: is defined twice: first on line 2"),
    (
        "[universal_holdout]\n",
        "[témoin universel]\n",
        (
            "22: the name of a table between [ and ], of letters without accents, digits, - and _, "
            "is expected; did you mean [temoin-universel]?"
        ),
    ),
    (
        "holdout = 20, call = 80",
        "holdout = 33,3, call = 66.7",
        (
            "35: [campaign.winback] arms.holdout = 33,3: a decimal point is expected, not a comma; "
            "did you mean 33.3?"
        ),
    ),
]


def messages(text: str | bytes, name: str = PATH) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    Path(name).write_bytes(data)
    with pytest.raises(DeclarationError) as caught:
        read(name, environ={})
    return str(caught.value).split("\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_base_is_right() -> None:
    Path(PATH).write_text(BASE, encoding="utf-8")
    assert read(PATH).campaigns["winback"].metric == "active"


@pytest.mark.parametrize(("old", "new", "said"), CASES, ids=[said[:60] for *_, said in CASES])
def test_message(old: str, new: str, said: str) -> None:
    assert old in BASE
    assert messages(BASE.replace(old, new, 1)) == [f"{PATH}:{said}"]


def test_all_mistakes_at_once_in_the_order_of_lines() -> None:
    text = (
        BASE.replace("0.42", "0,42")
        .replace('"relational"', '"promo"')
        .replace("end = 2026-04-30", "end = 2026-01-01")
        .replace("holdout = 20", "holdout = 0.2")
        .replace("overdue_ratio >", "overdu_ratio >")
        .replace('segments = ["sleeping_gold"]', 'segments = ["sleepers"]')
    )
    lines = [line.split(" ", 1)[0] for line in messages(text)]
    assert lines == [f"{PATH}:{line}:" for line in (6, 20, 29, 30, 33, 35)]


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="TOML 1.1 allows it")
def test_a_table_between_braces_over_several_lines() -> None:
    text = BASE.replace("{ holdout = 20, call = 80 }", "{\n  holdout = 20, # none\n  call = 80,\n}")
    assert messages(text.replace("6000", "-1")) == [
        (
            f"{PATH}:35: [campaign.winback] arms: a table between braces stands on one line: "
            "write it "
            "as a table with a header; did you mean [campaign.winback.arms]?"
        ),
        (
            f"{PATH}:40: [campaign.winback.costs] budget = -1: an amount of money, 0 or more, "
            "without "
            "sign or spaces, is expected"
        ),
    ]


def test_saved_as_latin_1() -> None:
    assert messages(BASE.encode("latin-1")) == [
        (
            f"{PATH}:28: this line is not UTF-8 (the letter é): save the file as UTF-8, not as "
            "latin-1 or ANSI"
        )
    ]


def test_saved_as_utf_16() -> None:
    expected = f"{PATH}:1: the file is saved as UTF-16: save it as UTF-8"
    assert messages(BASE.encode("utf-16")) == [expected]


def test_byte_order_mark_and_windows_line_ends_are_read() -> None:
    Path(PATH).write_bytes(BASE.replace("\n", "\r\n").encode("utf-8-sig"))
    assert read(PATH).project.name == "Maison Exemple"
    mended = BASE.replace("0.42", "42").replace("\n", "\r\n")
    assert messages(mended.encode("utf-8-sig"))[0].startswith(f"{PATH}:6: [project] margin_rate")


def test_no_such_file() -> None:
    with pytest.raises(DeclarationError) as caught:
        read(PATH)
    assert str(caught.value) == (
        f"{PATH}:1: no such file; `loyalty-exp init` writes one to start from"
    )


def test_too_large_a_file() -> None:
    assert messages("# " + "x" * 2_000_000) == [
        f"{PATH}:1: the file is larger than 2 MB: is it a declaration?"
    ]


@pytest.mark.parametrize(
    "edit",
    [
        'database = "postgresql://bob:hunter2@db/loyalty"',
        'database = "postgresql://db/loyalty?password=hunter2"',
        'databse = "postgresql://bob:hunter2@db/loyalty"',
        'password = "hunter2"',
        "database = postgresql://bob:hunter2@db/loyalty",
        "database = hunter2",
        "database = “hunter2”",
        'database = "hunter2',
        'database = "\\hunter2"',
        'database = ["hunter2"]',
        'database = { password = "hunter2" }',
        'database = "postgresql://bob:hunter2@${NO_SUCH_HOST}/loyalty"',
        'database: "hunter2"',
        'name = "postgresql://bob:hunter2@db\\n"',
        'locale = "postgresql://bob:hunter2@db"',
    ],
)
def test_no_message_holds_a_secret(edit: str) -> None:
    key = edit.split(" ", maxsplit=1)[0].rstrip(":")
    known = [line for line in BASE.split("\n") if line.split(" ")[0] == key]
    old = known[0] if known else "schema = 1\n[project]"
    edit = edit if known else f"schema = 1\n[project]\n{edit}"
    said = "\n".join(messages(BASE.replace(old, edit, 1)))
    assert "hunter2" not in said
