"""Every command of a marketer's year on Apache Spark, beside the same on the embedded engine.

One session serves all of them, as it would in a notebook or under spark-submit.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from shops import done, order_lines, write_lines, write_people

from loyalty_exp.declare.scaffold import scaffold

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:pyspark")  # about pandas 3

CUSTOMERS, PERSON = 240, "00007"
DUCKDB = 'database = "duckdb:///loyalty.duckdb"'
SPARK = 'database = "spark://?location={facts}"\nregistry_url = "sqlite:///registry.db"'
EDITS = {
    'order_id = "order_id"': 'order_id = "number"',
    'customer_id = "customer_id", ordered_at': 'customer_id = "client", ordered_at',
    'revenue = "amount"': 'revenue = "net"',
    "# [data.customers]\n": "[data.customers]\n",
    '# source = "customers.csv"': 'source = "customers.csv"',
    '# columns = { customer_id = "customer_id" }': 'columns = { customer_id = "client" }',
    "overdue_ratio > 2": "orders_12m >= 3",
    "measure_until = 2026-12-31": "measure_until = 2026-06-30",
}
CAMPAIGN = "winback-2026"
RE_DRAWN = {"simultaneous_ci_lower", "simultaneous_ci_upper"}
"""Monte Carlo seeded by the plan's digest, which holds limits that differ in their last bits."""


def opened(folder: Path, database: str) -> Path:
    """What `init` writes, edited for an export up to February."""
    path = scaffold(folder, today=dt.date(2026, 2, 20))
    text = path.read_text(encoding="utf-8").replace(DUCKDB, database)
    for old, new in EDITS.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    write_lines(folder, until("2026-03-01"))
    write_people(folder, CUSTOMERS)
    return path


def until(day: str) -> list[Any]:
    end = dt.date.fromisoformat(day)
    return [line for line in order_lines(CUSTOMERS) if line[2] < end]


@pytest.fixture(scope="module")
def both(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:  # noqa: ARG001
    """The declaration on the embedded engine and on Spark, whose session is at hand."""
    folder = tmp_path_factory.mktemp("commands")
    on_spark = SPARK.format(facts=folder / "facts")
    return opened(folder / "here", DUCKDB), opened(folder / "there", on_spark)


def same_words(both: Sequence[Path], *words: str) -> str:
    """What a command prints, the same on both engines."""
    here, there = (done(path, *words) for path in both)
    assert there.replace(str(both[1].parent), "") == here.replace(str(both[0].parent), "")
    return there


def near(one: Any, other: Any, name: str = "") -> None:
    """Equal, numbers to 1e-9."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - RE_DRAWN:
            near(one[key], other[key], key)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            near(left, right, name)
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-7), name
    else:
        assert one == other, name


def same_rows(both: Sequence[Path], *words: str) -> Any:
    """The JSON of a command, the same on both engines to 1e-9."""
    here, there = (json.loads(done(path, *words, "--format", "json")) for path in both)
    near(here, there)
    return there


def test_a_year_of_commands_is_the_same_on_spark(both: tuple[Path, Path]) -> None:
    same_words(both, "check")
    assert "orders.csv" in same_words(both, "load")
    assert "loaded before" in same_words(both, "load")
    assert "Champions" in same_words(both, "segments")
    plan = same_rows(both, "plan", CAMPAIGN, "--draws", "20")
    assert dict(plan["flow"])["eligible"] > 20
    for path in both:
        done(path, "launch", CAMPAIGN)
        assert "nothing was changed" in done(path, "launch", CAMPAIGN)
        assert "agrees" in done(path, "verify")
    lists = [sorted((path.parent / "lists").rglob("*.csv")) for path in both]
    assert [path.read_text() for path in lists[0]] == [path.read_text() for path in lists[1]]
    assert len(lists[0]) == 2
    assert "Usually orders every" in same_words(both, "contacts", "--limit", "5")

    for path in both:
        write_lines(path.parent, until("2026-08-01"))
    same_words(both, "load")
    rows = same_rows(both, "measure", CAMPAIGN)
    assert [row["month"] for row in rows if row["closed"]][:4] == [
        "2026-03", "2026-04", "2026-05", "2026-06",
    ]  # fmt: skip
    years = ["--year1", "2025-02-01", "2025-06-30", "--year2", "2026-02-01", "2026-06-30"]
    same_rows(both, "kpis", *years)
    same_rows(both, "compare", *years)
    for path in both:
        pages = done(path, "report")
        assert "pages; open" in pages
    names = [sorted(page.name for page in (path.parent / "reports").iterdir()) for path in both]
    assert names[0] == names[1]

    held = [json.loads(done(path, "export-person", PERSON)) for path in both]
    near(*held)
    erased = [done(path, "forget", PERSON).splitlines() for path in both]
    assert erased[0][:-1] == erased[1][:-1]  # the last names a tombstone, drawn by lot
    for path in both:
        assert "agrees" in done(path, "verify")
        assert PERSON not in "".join(
            each.read_text() for each in (path.parent / "lists").rglob("*.csv")
        )
    same_rows(both, "measure", CAMPAIGN)
    assert [entry["command"] for entry in json.loads(done(both[1], "log", "--format", "json"))] == [
        "load", "load", "launch", "launch", "contacts", "load", "report", "export-person", "forget",
    ]  # fmt: skip
