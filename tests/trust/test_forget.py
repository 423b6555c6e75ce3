"""A person erased: gone everywhere, totals and draws as before, and not brought back by a load."""

from __future__ import annotations

import csv
import json
import re
import shutil
import stat
from pathlib import Path

import duckdb
import openpyxl
import pytest
import sqlalchemy as sa
from shops import (
    CUSTOMERS,
    DECLARATION,
    EXPOSURES,
    done,
    open_shop,
    order_lines,
    run,
    write_lines,
    write_people,
)

import loyalty_exp as lx
from loyalty_exp.store import erase, tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.queries import erase as queries

PEOPLE = CUSTOMERS.replace(" }", ', household = "household", email = "email" }')
PERSON = "00007"
EMAIL = "name-7@example.org"


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched")
    path = open_shop(folder, DECLARATION + PEOPLE + EXPOSURES)
    write_people(folder)
    done(path, "load")
    done(path, "launch", "spring")
    return folder


@pytest.fixture
def shop(launched: Path, tmp_path: Path) -> Path:
    shutil.copytree(launched, tmp_path / "shop")
    return tmp_path / "shop" / "campaigns.toml"


def cells_of_store(path: Path) -> set[str]:
    """Every text that any table of the store holds."""
    found: set[str] = set()
    with duckdb.connect(str(path.parent / "loyalty.duckdb"), read_only=True) as engine:
        for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            for row in engine.execute(f'SELECT * FROM "{name}"').fetchall():
                found |= {str(cell) for cell in row}
    return found


def totals(path: Path) -> tuple[object, ...]:
    with lx.open(path).store.read() as connection:
        return tuple(
            connection.exec_driver_sql(text).one()
            for text in (
                "SELECT count(*), sum(revenue), count(DISTINCT customer) FROM orders",
                "SELECT sum(revenue), sum(orders), count(*) FROM customer_month",
                "SELECT count(*), count(DISTINCT unit) FROM assignments",
                "SELECT count(*) FROM memberships",
                "SELECT count(*) FROM exposures",
            )
        )


def figures(path: Path) -> list[tuple[float | None, ...]]:
    """Every effect with its interval. Bands are left out: small groups get theirs by permutation,
    whose draws go by the order of the ids."""
    rows = json.loads(done(path, "measure", "--format", "json"))
    names = ("n_treated", "n_holdout", "mean_treated", "mean_holdout", "effect_per_customer")
    return [tuple(row[name] for name in (*names, "ci_lower", "ci_upper")) for row in rows]


def assert_same(
    found: list[tuple[float | None, ...]], before: list[tuple[float | None, ...]]
) -> None:
    """Equal to the last bits of sums that are added up in another order."""
    assert len(found) == len(before)
    for now, then in zip(found, before, strict=True):
        assert now == pytest.approx(then, rel=1e-9, abs=1e-12)


def test_a_forgotten_person_is_nowhere_and_every_total_stays(shop: Path) -> None:
    before, rows = totals(shop), figures(shop)
    assert {PERSON, EMAIL} <= cells_of_store(shop)
    done(shop, "forget", PERSON)
    assert not {PERSON, EMAIL} & cells_of_store(shop)
    for path in (shop.parent / "lists").rglob("*.csv"):
        assert PERSON not in path.read_text(encoding="utf-8")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert totals(shop) == before
    assert_same(figures(shop), rows)
    assert "agrees" in done(shop, "verify", "spring")


def test_the_other_lines_of_the_lists_stay(shop: Path) -> None:
    def listed() -> set[str]:
        files = (shop.parent / "lists").rglob("*.csv")
        texts = [path.read_text(encoding="utf-8").splitlines() for path in files]
        return {row["customer_id"] for text in texts for row in csv.DictReader(text)}

    before = listed()
    assert PERSON in before
    done(shop, "forget", PERSON)
    assert listed() == before - {PERSON}


def test_a_source_that_still_holds_the_person_does_not_bring_the_id_back(shop: Path) -> None:
    done(shop, "forget", PERSON)
    lines = order_lines()
    write_lines(shop.parent, [*lines, ("late", PERSON, lines[0][2], 30.0)])
    text = (shop.parent / "customers.csv").read_text() + "99999,h0,new@example.org\n"
    (shop.parent / "customers.csv").write_text(text)
    revenue = totals(shop)[0][1]  # type: ignore[index]
    said = done(shop, "load")
    assert not {PERSON, EMAIL} & cells_of_store(shop)
    assert totals(shop)[0][1] == pytest.approx(revenue + 30, rel=1e-12)  # type: ignore[index]
    assert "changed" in said
    with lx.open(shop).store.read() as connection:
        ((read, loaded, rejected, ignored),) = connection.exec_driver_sql(
            "SELECT rows_read, rows_loaded, rows_rejected, rows_ignored FROM loads "
            "WHERE what = 'customers' ORDER BY loaded_at DESC LIMIT 1"
        ).all()
        stone = connection.exec_driver_sql("SELECT tombstone FROM erasures").scalar_one()
        kept = connection.exec_driver_sql(
            f"SELECT count(*) FROM orders WHERE customer = '{stone}'"
        ).scalar_one()
    assert read == loaded + rejected + ignored == 301
    assert ignored == 1
    assert kept == 1 + sum(line[1] == PERSON for line in lines)
    assert "agrees" in done(shop, "verify", "spring")


def test_loading_the_old_file_after_it_changes_nothing(shop: Path) -> None:
    done(shop, "forget", PERSON)
    before = totals(shop)
    with lx.open(shop).store.write() as connection:
        connection.execute(tables.loads.delete())  # so that every source is read anew
    done(shop, "load")
    assert totals(shop) == before
    assert not {PERSON, EMAIL} & cells_of_store(shop)


def test_many_forgotten_still_verify_and_a_swap_is_still_found(shop: Path) -> None:
    for number in (7, 8, 20, 33, 34, 35):
        done(shop, "forget", f"{number:05d}")
    assert "agrees" in done(shop, "verify")
    with lx.open(shop).store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE assignments SET arm = CASE arm WHEN 'call' THEN 'holdout' ELSE 'call' END "
            "WHERE customer LIKE 'forgotten-%'"
        )
    assert run(shop, "verify").exit_code == 1


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM assignments WHERE customer = (SELECT max(customer) FROM assignments)",
        "UPDATE assignments SET unit = 'x' || unit WHERE customer = '00010'",
        "UPDATE assignments SET arm = 'call' WHERE arm = 'holdout'",
        "DELETE FROM erased_rosters",
    ],
)
def test_edits_after_an_erasure_are_found(shop: Path, edit: str) -> None:
    done(shop, "forget", PERSON)
    with lx.open(shop).store.write() as connection:
        connection.exec_driver_sql(edit)
    result = run(shop, "verify")
    assert result.exit_code == 1
    assert "DIFFERS" in result.output


def test_a_household_stays_until_its_last_member_is_forgotten(tmp_path: Path) -> None:
    text = DECLARATION.replace('lever = "rel', 'unit = "household"\nlever = "rel') + CUSTOMERS
    shop = open_shop(tmp_path, text)
    write_people(tmp_path)
    done(shop, "load")
    done(shop, "launch", "spring")
    rows = figures(shop)
    for number in (6, 7, 8):
        assert "h2" in cells_of_store(shop)
        done(shop, "forget", f"{number:05d}")
        assert "agrees" in done(shop, "verify")
    assert "h2" not in cells_of_store(shop)
    assert_same(figures(shop), rows)


def test_forgetting_again_changes_nothing_and_mends_a_killed_run(shop: Path) -> None:
    kept = {path: path.read_bytes() for path in (shop.parent / "lists").rglob("*.csv")}
    done(shop, "forget", PERSON)
    before = cells_of_store(shop)
    for path, content in kept.items():
        path.write_bytes(content)
    done(shop, "forget", PERSON)
    assert all(PERSON.encode() not in path.read_bytes() for path in kept)
    new = {cell for cell in cells_of_store(shop) - before if not cell.startswith("20")}
    assert new == set()


def test_nothing_held_is_said_without_a_change(shop: Path) -> None:
    before = totals(shop)
    result = run(shop, "forget", "nobody")
    assert result.exit_code == 2
    assert "nothing is held" in result.output
    assert totals(shop) == before


def test_a_forgotten_person_is_never_drawn_or_listed_again(shop: Path) -> None:
    done(shop, "forget", PERSON)
    again = DECLARATION.split("[campaign.spring]")[1].replace("campaign.spring", "campaign.may")
    text = shop.read_text() + "[campaign.may]" + again.replace("2026-03-01", "2026-05-01")
    shop.write_text(text.replace("end = 2026-04-30", "end = 2026-05-30"), encoding="utf-8")
    shop.write_text(shop.read_text().replace("end = 2026-05-30", "end = 2026-04-30", 1))
    done(shop, "launch", "may")
    with lx.open(shop).store.read() as connection:
        stones = erase.tombstones(connection)
        drawn = set(
            connection.scalars(
                sa.select(tables.assignments.c.customer).where(
                    tables.assignments.c.campaign == "may"
                )
            )
        )
    assert drawn
    assert not drawn & stones
    assert "forgotten-" not in done(shop, "contacts", "--limit", "500")
    for path in (shop.parent / "lists").rglob("*.csv"):
        assert "forgotten-" not in path.read_text(encoding="utf-8")


def test_export_tells_everything_held_about_a_person(shop: Path) -> None:
    held = json.loads(done(shop, "export-person", PERSON))
    assert held["attributes"] == {"household": "h2", "email": EMAIL}
    mine = [line for line in order_lines() if line[1] == PERSON]
    assert {row["order_id"] for row in held["orders"]} == {line[0] for line in mine}
    assert held["memberships"][0]["segment"] == "regular"
    assert held["assignments"][0]["arm"] in {"holdout", "call"}
    assert held["exposures"] == []
    assert json.loads(done(shop, "export-person", "00008"))["exposures"]
    done(shop, "forget", PERSON)
    result = run(shop, "export-person", PERSON)
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "customer": PERSON, "forgotten": True, "attributes": {}, "orders": [],
        "customer_month": [], "customer_rhythm": [], "memberships": [], "assignments": [],
        "roster_numbers": [], "exposures": [],
    }  # fmt: skip


def test_an_answer_in_a_file_is_private(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "answer.json"
    done(shop, "export-person", PERSON, "--output", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert json.loads(target.read_text(encoding="utf-8"))["customer"] == PERSON


def test_lists_in_parquet_and_pushed_tables_lose_the_person_too(shop: Path) -> None:
    done(shop, "launch", "spring", "--list-format", "parquet", "--push-table", "crm_lists")
    assert PERSON in json.dumps(json.loads(done(shop, "export-person", PERSON))["crm_lists"])
    done(shop, "forget", PERSON)
    assert PERSON not in cells_of_store(shop)
    tables_ = list((shop.parent / "lists").rglob("*.parquet"))
    assert tables_
    for path in tables_:
        ids = {row[0] for row in duckdb.read_parquet(str(path)).project("customer_id").fetchall()}
        assert PERSON not in ids
        assert len(ids) > 10
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_workbook_with_the_person_is_removed_and_written_anew(shop: Path) -> None:
    def listed() -> set[str]:
        books = (shop.parent / "lists").rglob("*.xlsx")
        sheets = [openpyxl.load_workbook(path).active for path in books]
        return {row[0] for sheet in sheets for row in sheet.iter_rows(min_row=2, values_only=True)}

    done(shop, "launch", "spring", "--list-format", "xlsx")
    before = listed()
    assert PERSON in before
    done(shop, "forget", PERSON)
    assert PERSON not in listed()
    done(shop, "launch", "spring", "--list-format", "xlsx")
    assert before - {PERSON} == {name for name in listed() if not name.startswith("forgotten")}


def test_lists_with_semicolons_lose_the_person_only(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    done(shop, "load")
    done(shop, "launch", "spring", "--csv-style", "semicolon")
    paths = list((shop.parent / "lists").rglob("*.csv"))
    before = {path: path.read_text(encoding="utf-8").splitlines() for path in paths}
    done(shop, "forget", PERSON)
    for path, lines in before.items():
        kept = [line for line in lines if not line.startswith(f"{PERSON};")]
        assert path.read_text(encoding="utf-8").splitlines() == kept


def test_every_table_with_persons_is_known_to_the_eraser() -> None:
    holders = {table.name for table in queries.HOLDERS}
    for table in tables.metadata.tables.values():
        if {"customer", "unit", "customer_id"} & set(table.c.keys()):
            assert table.name in holders, table.name


def test_freed_pages_of_the_file_keep_nothing(tmp_path: Path) -> None:
    """DuckDB leaves replaced texts in the file; without the copy this test fails."""
    store = open_store(f"duckdb:///{tmp_path / 'loyalty.duckdb'}")
    path = store.path
    assert path is not None
    with duckdb.connect(str(path)) as engine:
        engine.execute("PRAGMA force_compression = 'uncompressed'")
        engine.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS id FROM range(3000) r(i)")
        (secret,) = engine.execute("SELECT id FROM t OFFSET 1500 LIMIT 1").fetchone() or ("",)
        engine.execute("CHECKPOINT")
        engine.execute("UPDATE t SET id = 'tombstone' WHERE id = ?", [secret])
    assert secret.encode() in path.read_bytes()
    store.compact()
    assert secret.encode() not in path.read_bytes()
    with duckdb.connect(str(path), read_only=True) as engine:
        assert engine.execute("SELECT count(*), count(DISTINCT id) FROM t").fetchone() == (
            3000,
            3000,
        )


def test_the_tombstone_is_a_keyed_digest_on_both_sides(tmp_path: Path) -> None:
    """Python and the loader's engine must agree for every text, or an id would come back."""
    names = ["00007", "é", "😀", "a'b", 'q"q', " x", "ليلى", "x" * 300]
    rows = tmp_path / "rows.parquet"
    with duckdb.connect() as engine:
        engine.execute("CREATE TABLE t (customer VARCHAR)")
        engine.executemany("INSERT INTO t VALUES (?)", [[name] for name in [*names, "other"]])
        engine.execute(f"COPY t TO '{rows}' (FORMAT parquet)")
        stones = [erase.tombstone_of("k" * 64, name) for name in names]
        text = queries.suppressed("k" * 64, stones, rows, drop=False)
        assert [row[0] for row in engine.execute(text).fetchall()] == [*stones, "other"]
        text = queries.suppressed("k" * 64, stones, rows, drop=True)
        assert engine.execute(text).fetchall() == [("other",)]
    assert len(set(stones)) == len(names)
    assert all(re.fullmatch(r"forgotten-[0-9a-f]{32}", stone) for stone in stones)
    assert erase.tombstone_of("j" * 64, "00007") != stones[0]


def test_the_journal_names_no_person(shop: Path) -> None:
    done(shop, "forget", PERSON)
    run(shop, "export-person", "00008")
    log = done(shop, "log", "--format", "json")
    assert "forget" in log
    assert PERSON not in log
    assert "00008" not in log
