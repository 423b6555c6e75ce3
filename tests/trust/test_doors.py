"""The other doors: formulas, queries, addresses, links, tables of others, files that never end."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import duckdb
import openpyxl
import pytest
import sqlalchemy as sa
from shops import DECLARATION, done, open_shop, order_lines, run

from loyalty_exp.declare.queries import what_is_wrong
from loyalty_exp.declare.toml import read
from loyalty_exp.errors import DataError, DeclarationError
from loyalty_exp.store.columns import Header, read_formula
from loyalty_exp.store.engines import read_only

CANARY = "c4n4ry-5ecret"
QUERIES = (
    "SELECT 1; DROP TABLE orders", "DROP TABLE orders", "DELETE FROM orders", "CALL f()",
    "INSERT INTO orders VALUES (1)", "UPDATE orders SET net = 0", "TRUNCATE orders",
    "WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d", "SELECT * INTO t FROM orders",
    "WITH d AS (INSERT INTO orders VALUES (1) RETURNING *) SELECT * FROM d",
    "CREATE TABLE t AS SELECT 1", "CREATE VIEW v AS SELECT 1", "ALTER TABLE orders RENAME TO x",
    "COPY orders TO '/tmp/x'", "COPY (SELECT 1) TO PROGRAM 'id'", "EXPORT DATABASE '/tmp/x'",
    "ATTACH '/tmp/x' AS x", "DETACH x", "INSTALL httpfs", "LOAD httpfs", "PRAGMA database_list",
    "SET search_path = x", "RESET ALL", "BEGIN", "COMMIT", "ROLLBACK", "VACUUM", "CHECKPOINT",
    "DO $$ BEGIN DELETE FROM orders; END $$", "EXECUTE p", "PREPARE p AS SELECT 1", "KILL 1",
    "GRANT ALL ON orders TO x", "LOCK TABLE orders", "LISTEN x", "NOTIFY x", "ANALYZE orders",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
    "SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT 1 /*! INTO OUTFILE '/tmp/x' */",
    "SELECT 1 /*M! ; DROP TABLE orders */", "SELECT 1 /* a */; /* b */ DROP TABLE orders",
    "-- only a comment", ";", "(" * 5_000,
    "SELECT * FROM orders WHERE x IN (" + "(" * 2_000, "REPLACE INTO orders VALUES (1)",
)  # fmt: skip
READING = (
    "SELECT 1", "select * from a union all select * from b", "(select 1)",
    "with x as (select 1 as n) select n from x;", "/* why */ select 1 -- so",
    "SELECT a, sum(b) FILTER (WHERE b > 0) FROM t GROUP BY a HAVING count(*) > 1",
    "SELECT \"drop\", 'delete from x; --' FROM t", "SELECT * FROM t WHERE note = 'a /* b'",
)  # fmt: skip
FORMULAS = (
    'net" ) , (SELECT 1', "net * 1 -- x", "net /* x */ * 1", "net * (SELECT 1)",
    "net; DROP TABLE x",
    "read_text('/etc/passwd') * 1", "net * getenv('HOME')", "net::INT * 1", "CAST(net AS INT) * 1",
    "net * CASE WHEN 1 THEN 1 END", "net * x.net", "net * orders.net", "net * *", "net * $1",
    "net * ?", "net * :x", "net * @x", "net * 'a'", "net || 'a' * 1", "net * net[1]", "net ** 2",
    "net % 2", "net ^ 2", "net & 1", "net << 1", "net = net", "net IN (1)", "net BETWEEN 1 AND 2",
    "net * INTERVAL 1 DAY", "net * [1]", "net * {'a': 1}", "net -> 1", "x -> x * net", "net * 0x10",
    "net * sum(net) OVER ()", "net * (net, net)", "net * NULL", "net * TRUE", "EXISTS (SELECT 1)",
    "net * (VALUES (1))", "net COLLATE nocase * 1", "net * net AS x", "net, net",
    "net * \uff08net\uff09", "net \u2212 net", "n\u0435t * 1", "net * 1; --",
    "(" * 249 + "net" + ")" * 249, "- " * 249 + "x",
    "$$net$$ * 1", "net * E'1'", "try(net) * 1", "columns('net') * 1", "net * current_user",
)  # fmt: skip


@pytest.mark.parametrize("dialect", ["postgresql+psycopg", "duckdb", "sqlite", "mysql+pymysql", ""])
def test_only_a_query_that_reads_gets_through(dialect: str) -> None:
    address = f"{dialect}://me@host/base" if dialect else "${SHOP}"
    let_in = [query[:60] for query in QUERIES if what_is_wrong(query, address) is None]
    assert let_in == []
    assert [query for query in READING if what_is_wrong(query, address) is not None] == []


def test_a_refused_query_is_told_with_its_line(tmp_path: Path) -> None:
    text = DECLARATION.replace('"orders.csv"', '"sqlite:///shop.sqlite"\nquery = "DROP TABLE x"')
    result = run(open_shop(tmp_path, text, customers=5), "check")
    assert result.exit_code == 2
    assert "campaigns.toml:10: [data.orders] query" in result.output
    assert "one SELECT is expected" in result.output


@pytest.mark.parametrize("backend", ["sqlite", "duckdb"])
def test_the_database_refuses_to_write_as_well(tmp_path: Path, backend: str) -> None:
    """Whatever passed the first wall: the connection itself cannot write, nor read other files."""
    path = tmp_path / "shop.db"
    (tmp_path / "secret.txt").write_text(CANARY)
    engine = duckdb.connect(str(path)) if backend == "duckdb" else sqlite3.connect(path)
    engine.execute("CREATE TABLE orders (net INT)")
    engine.execute("INSERT INTO orders VALUES (1)")
    engine.commit()
    engine.close()
    before = path.read_bytes()
    statements = ["DELETE FROM orders", "DROP TABLE orders", "CREATE TABLE x (a INT)"]
    if backend == "duckdb":
        statements += [
            f"COPY orders TO '{tmp_path}/out.csv'", f"ATTACH '{tmp_path}/other.db'",
            f"SELECT * FROM read_text('{tmp_path}/secret.txt')", "INSTALL httpfs",
            "SET enable_external_access = true",
        ]  # fmt: skip
    url = sa.make_url(f"{backend}:///{path}")
    for statement in statements:
        with read_only(url) as connection, pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql(statement)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["secret.txt", "shop.db"]
    with read_only(url) as connection:
        assert connection.exec_driver_sql("SELECT net FROM orders").scalar() == 1


@pytest.mark.parametrize("backend", ["sqlite", "duckdb"])
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, backend: str) -> None:
    text = DECLARATION.replace('"orders.csv"', f'"{backend}:///{tmp_path}/none.db"\ntable = "x"')
    assert run(open_shop(tmp_path, text, customers=5), "load").exit_code == 2
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("formula", FORMULAS, ids=range(len(FORMULAS)))
def test_only_arithmetic_over_columns_gets_through(formula: str) -> None:
    header = Header("orders.csv", ("number", "client", "date", "net"))
    try:
        made = read_formula(formula, header, "revenue").amount(lambda name: f"<{name}>")
    except DataError:
        return
    assert set(made) <= set("()-+*/<> net.0123456789'CASTULIFDOBE,ul"), made
    assert "SELECT" not in made
    assert formula.lstrip("(- ").startswith("net"), made


ADDRESSES = (
    "postgresql+psycopg://me@127.0.0.1:1/shop?connect_timeout=1&password=${CANARY}",
    "postgresql+psycopg://me@127.0.0.1:1/shop?connect_timeout=1&sslpassword=${CANARY}",
    "postgresql+psycopg://me:${CANARY}@127.0.0.1:1/shop?connect_timeout=1",
    "postgresql://${CANARY}:${CANARY}@host:noport/x",
    "duckdb:///x.duckdb?motherduck_token=${CANARY}", "duckdb:///${CANARY}/none/x.duckdb",
    "${CANARY}", "nosuch://${CANARY}",
)  # fmt: skip
SOURCES = (
    '"${CANARY}.csv"', '"${CANARY}"\ntable = "o"', '"${CANARY}/orders.csv"',
    '"postgresql+psycopg://me@127.0.0.1:1/x?connect_timeout=1&password=${CANARY}"\ntable = "o"',
    '"sqlite:///${CANARY}"\ntable = "o"', '"nosuch://${CANARY}/x"\ntable = "o"',
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_the_environment_gave_is_not_said(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    named = f'name = "Small shop"\ndatabase = "{address}"'
    path = open_shop(tmp_path, DECLARATION.replace('name = "Small shop"', named), customers=5)
    for command in ("load", "segments", "log"):
        result = run(path, command)
        assert result.exit_code == 2
        assert CANARY not in result.output


@pytest.mark.parametrize("source", SOURCES)
def test_what_the_environment_gave_to_a_source_is_not_said(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    path = open_shop(tmp_path, DECLARATION.replace('"orders.csv"', source), customers=5)
    result = run(path, "load")
    assert result.exit_code == 2
    assert CANARY not in result.output


def test_a_file_named_by_the_environment_is_kept_as_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    text = DECLARATION.replace('"orders.csv"', '"${CANARY}.csv"')
    path = open_shop(tmp_path, text, customers=150)
    (tmp_path / "orders.csv").rename(tmp_path / f"{CANARY}.csv")
    for words in (("load",), ("launch", "spring"), ("report",)):
        assert CANARY not in done(path, *words)
    for page in (tmp_path / "reports").glob("*.html"):
        assert CANARY not in page.read_text(encoding="utf-8")
    with duckdb.connect(str(tmp_path / "loyalty.duckdb"), read_only=True) as engine:
        assert engine.execute("SELECT source FROM loads").fetchall() == [("${CANARY}.csv",)]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_in_output_folders_are_replaced_and_not_followed(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    path = open_shop(shop, customers=150)
    done(path, "load")
    lists, reports = shop / "lists" / "spring" / "wave-0", shop / "reports"
    targets = []
    for place in (
        lists / "call.csv", lists / "do-not-contact.csv", reports / "index.html",
        reports / "spring.html", shop / "monday.csv",
    ):  # fmt: skip
        place.parent.mkdir(parents=True, exist_ok=True)
        target = tmp_path / f"precious-{place.name}"
        target.write_text("precious")
        place.symlink_to(target)
        targets.append((place, target))
    done(path, "launch", "spring")
    done(path, "report")
    done(path, "contacts", "--output", str(shop / "monday.csv"))
    for place, target in targets:
        assert target.read_text() == "precious", place
    assert not (lists / "call.csv").is_symlink()
    assert (lists / "call.csv").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "table", ["orders", "Launches", "a b", "x; DROP TABLE y", 'x"', "x" * 64, ""]
)
def test_lists_are_not_pushed_over_other_tables(tmp_path: Path, table: str) -> None:
    path = open_shop(tmp_path, customers=150)
    done(path, "load")
    assert run(path, "launch", "spring", "--push-table", table).exit_code == 2
    with duckdb.connect(str(tmp_path / "loyalty.duckdb"), read_only=True) as engine:
        assert engine.execute("SELECT count(*) FROM launches").fetchone() == (0,)


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=150)
    done(path, "load")
    with duckdb.connect(str(tmp_path / "loyalty.duckdb")) as engine:
        engine.execute("CREATE TABLE theirs (a INT)")
        engine.execute("INSERT INTO theirs VALUES (7)")
    run(path, "launch", "spring", "--push-table", "theirs")
    with duckdb.connect(str(tmp_path / "loyalty.duckdb"), read_only=True) as engine:
        assert engine.execute("SELECT * FROM theirs").fetchall() == [(7,)]
    done(path, "launch", "spring")
    done(path, "verify")


def test_ids_that_look_like_formulas_are_texts_in_workbooks(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=120)
    rows = [f"{n},=1+{c},{when},{net}" for n, c, when, net in order_lines(120)]
    text = "\n".join(["number,client,date,net", *rows, ""])
    (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
    done(path, "load")
    done(path, "launch", "spring", "--list-format", "xlsx")
    seen = 0
    for book in (tmp_path / "lists").rglob("*.xlsx"):
        for row in openpyxl.load_workbook(book).active.iter_rows():
            kinds = {cell.data_type for cell in row}
            seen += 1
            assert "f" not in kinds
    assert seen > 60


BOMBS = (
    "a = " + "[" * 100_000, "\n".join(["a = [", *["["] * 9_000]), "a = " + "{b = " * 50_000,
    ".".join("a" * 50_000) + " = 1", ".".join("a" * 4_500) + " = 1",
    "[" + ".".join("a" * 4_500) + "]", "[[" + ".".join("a" * 4_500) + "]]",
    "a = 1" + "0" * 100_000, "a = 1" + "0" * 9_000, "a" * 9_000, "-" * 9_000 + "=",
    "\n".join(f"[campaign.c{n}]" for n in range(30_000)),
    "\n".join(f"k{n} = 1" for n in range(9_000)), "\n".join(f"k{n} = 1,5" for n in range(9_000)),
    "a = '''" + "x" * 1_900_000 + "'''", "x" * 2_000_001, "a = [" + "1," * 500_000 + "]",
    "a = 1979-05-27T00:00:00." + "9" * 9_000, "a = [\n" + "1,\n" * 9_000 + "]",
)  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_a_declaration_that_never_ends_is_refused_in_words(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "campaigns.toml"
    path.write_text(bomb, encoding="utf-8")
    with pytest.raises(DeclarationError):
        read(path)
    path.write_text(DECLARATION + bomb, encoding="utf-8")
    with pytest.raises(DeclarationError):
        read(path)


def attacks_tried() -> int:
    """How many attacks this file tries."""
    several = len(QUERIES) * 5 + len(FORMULAS) + len(ADDRESSES) + len(SOURCES)
    return several + 11 + 2 + 1 + 5 + 7 + 1 + 1 + len(BOMBS) * 2
