"""Secrets and persons stay where they belong: out of outputs, pages, plans, errors and the log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
from shops import CUSTOMERS, DECLARATION, done, open_shop, order_lines, run

import loyalty_exp as lx
from loyalty_exp.segment.cells import suppress_small
from loyalty_exp.segment.membership import SegmentRow

CANARY = "c4n4ry-5ecret"
COMMANDS = (
    ("check",), ("load",), ("segments",), ("plan", "spring", "--draws", "0"), ("launch", "spring"),
    ("verify",), ("measure",), ("measure", "--format", "json"), ("report",), ("contacts",),
    ("log",), ("export-person", "00001"), ("forget", "00001"),
)  # fmt: skip


def outputs(path: Path) -> str:
    said = []
    for words in COMMANDS:
        result = run(path, *words)
        assert result.exit_code in {0, 1, 2}, result.output
        said.append(result.output)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    return "\n".join(said) + "\n".join(file.read_bytes().decode("latin-1") for file in files)


def test_a_password_of_the_environment_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", CANARY)
    url = "postgresql+psycopg://me:${SHOP_PASSWORD}@127.0.0.1:1/shop?connect_timeout=1"
    text = DECLARATION.replace('name = "Small shop"', f'name = "Small shop"\ndatabase = "{url}"')
    found = outputs(open_shop(tmp_path, text, customers=30))
    assert "cannot be opened" in found
    assert CANARY not in found


def test_a_password_written_down_is_refused_without_being_repeated(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:{CANARY}@localhost/shop"
    text = DECLARATION.replace('name = "Small shop"', f'name = "Small shop"\ndatabase = "{url}"')
    path = open_shop(tmp_path, text, customers=30)
    for words in COMMANDS:
        result = run(path, *words)
        assert result.exit_code == 2
        assert CANARY not in result.output


def test_secrets_of_the_environment_reach_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "TOKEN", "motherduck_token", "USER"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("LOGNAME", CANARY)
    path = open_shop(tmp_path, customers=150)
    assert CANARY not in outputs(path)
    with duckdb.connect(str(tmp_path / "loyalty.duckdb"), read_only=True) as engine:
        for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            assert CANARY not in str(engine.execute(f'SELECT * FROM "{name}"').fetchall())


def test_a_bad_row_is_told_by_its_line_and_not_shown(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=60)
    rows = [
        f"n{n},{CANARY},2026-01-01,{CANARY}" if n % 2 else f"n{n},{n},{CANARY},5" for n in range(9)
    ]
    with (tmp_path / "orders.csv").open("a", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    result = run(path, "load")
    assert result.exit_code == 2
    assert "first on line" in result.output
    assert CANARY not in result.output
    loose = DECLARATION.replace(
        'source = "orders.csv"', 'source = "orders.csv"\nmax_rejected_percent = 9'
    )
    path.write_text(loose, encoding="utf-8")
    assert CANARY not in done(path, "load")
    with duckdb.connect(str(tmp_path / "loyalty.duckdb"), read_only=True) as engine:
        assert CANARY not in str(engine.execute("SELECT * FROM rejects").fetchall())


def test_a_file_without_a_header_does_not_show_its_first_row(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=30)
    text = (tmp_path / "orders.csv").read_text(encoding="utf-8")
    first = f"someone@example.org,{CANARY},2026-01-01,12"
    (tmp_path / "orders.csv").write_text("\n".join([first, *text.splitlines()[1:]]), "utf-8")
    result = run(path, "load")
    assert result.exit_code == 2
    assert CANARY not in result.output
    assert "someone" not in result.output


def test_pages_hold_no_customer(tmp_path: Path) -> None:
    path = open_shop(
        tmp_path, DECLARATION + CUSTOMERS.replace(" }", ', email = "email" }'), customers=150
    )
    rows = [f"{a},person-{b}-x,{c},{d}" for a, b, c, d in order_lines(150)]
    (tmp_path / "orders.csv").write_text("\n".join(["number,client,date,net", *rows, ""]), "utf-8")
    people = [f"person-{n:05d}-x,mail{n}@example.org" for n in range(150)]
    (tmp_path / "customers.csv").write_text("\n".join(["client,email", *people, ""]), "utf-8")
    said = done(path, "load") + done(path, "launch", "spring") + done(path, "segments")
    said += done(path, "measure") + done(path, "report") + done(path, "log") + done(path, "verify")
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "reports").glob("*.html")]
    assert len(pages) >= 4
    for text in [said, *pages]:
        assert "person-" not in text
        assert "@example.org" not in text
    assert "person-" in (tmp_path / "lists" / "spring" / "wave-0" / "call.csv").read_text()


def test_the_log_tells_what_was_run_and_how_it_ended(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=150)
    done(path, "load")
    done(path, "launch", "spring")
    run(path, "launch", "nothing-like-it")
    entries = json.loads(done(path, "log", "--format", "json"))
    assert [(e["command"], e["outcome"]) for e in entries] == [
        ("load", "done"), ("launch", "done"), ("launch", "LaunchError"),
    ]  # fmt: skip
    assert entries[1]["arguments"] == {"campaign": "spring"}
    assert all(re.fullmatch("[0-9a-f]{12}", entry["actor"]) for entry in entries)
    assert len({entry["actor"] for entry in entries}) == 1
    assert lx.open(path).log()[0].command == "load"
    assert "LaunchError" in done(path, "log")


def test_the_log_only_grows(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=150)
    earlier: list[object] = []
    for words in (
        ("load",), ("launch", "spring"), ("report",), ("forget", "00001"), ("load",),
        ("launch", "none"), ("forget", "00002"), ("export-person", "00003"),
    ):  # fmt: skip
        run(path, *words)
        entries = json.loads(done(path, "log", "--format", "json"))
        assert entries[: len(earlier)] == earlier, words
        assert len(entries) == len(earlier) + 1, words
        assert entries[-1]["command"] == words[0]
        earlier = entries


def test_nothing_in_the_code_changes_the_log() -> None:
    root = Path(lx.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    naming = [path.name for path, text in texts.items() if re.search(r"\bjournal\.insert", text)]
    assert naming == ["journal.py"]
    assert not [p.name for p, text in texts.items() if re.search(r"journal\.(update|delete)", text)]


def row(segment: str, customers: int, scheme: str = "rfm") -> SegmentRow:
    return SegmentRow(scheme, segment, customers, customers, 10.0, 2, 0.1)


def test_small_segments_are_hidden_and_cannot_be_subtracted() -> None:
    rows = [row("a", 100), row("b", 3), row("c", 0), row("d", 9), row("mine", 4, "declared")]
    hidden = {r.segment: r.customers is None for r in suppress_small(rows, 5)}
    assert hidden == {"a": False, "b": True, "c": False, "d": True, "mine": True}
    two = suppress_small([row("a", 100), row("b", 3), row("c", 2), row("d", 9)], 5)
    assert [r.customers for r in two] == [100, None, None, 9]
    assert suppress_small(rows, 1) == rows
    blank = suppress_small([row("b", 3), row("d", 90)], 5)[0]
    assert (blank.active, blank.revenue_12m, blank.orders_12m, blank.share) == (None,) * 4


def test_the_declared_minimum_governs_the_command(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=60)
    done(path, "load")
    assert "hidden" in done(path, "segments")
    path.write_text(DECLARATION.replace("[data.orders]", "min_cell = 1\n[data.orders]"))
    assert "hidden" not in done(path, "segments")
