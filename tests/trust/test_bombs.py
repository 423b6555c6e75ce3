"""Small files that would fill a disk or a memory: refused in words, by declared limits."""

from __future__ import annotations

import gzip
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shops import DECLARATION, done, open_shop, order_lines, run

COLUMNS = ("number", "client", "date", "net")
GIGABYTE = 1_000_000_000


def constant(rows: int, value: str) -> pa.Array:
    """A column of one value: a few bytes in a file however many rows there are."""
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, dtype=np.int8)), pa.array([value])
    )


def write_parquet(folder: Path, rows: int, number: str = "n", client: str = "c") -> Path:
    values = dict(zip(COLUMNS, (number, client, "2026-01-05", "12.5"), strict=True))
    table = pa.table({name: constant(rows, value) for name, value in values.items()})
    path = folder / "orders.parquet"
    pq.write_table(
        table, path, compression="zstd", write_statistics=False, row_group_size=rows,
        dictionary_pagesize_limit=1 << 30,
    )  # fmt: skip
    return path


def shop(folder: Path, source: str, more: str = "") -> Path:
    text = DECLARATION.replace('"orders.csv"', f'"{source}"\n{more}')
    return open_shop(folder, text, customers=20)


def refused(path: Path) -> str:
    """What a load says that must be refused and leave nothing behind."""
    result = run(path, "load")
    assert result.exit_code == 2, result.output
    assert not (path.parent / "loyalty.duckdb").exists()
    return " ".join(result.output.split())


def test_a_parquet_file_of_more_rows_than_declared(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.parquet", "max_rows = 1000000")
    bomb = write_parquet(tmp_path, 2_000_000)
    assert bomb.stat().st_size < 50_000
    assert "orders.parquet: more than max_rows = 1,000,000 rows" in refused(path)


def test_a_parquet_file_that_unfolds_beyond_the_declared_size(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.parquet", "max_gigabytes = 0.02")
    bomb = write_parquet(tmp_path, 10, number="x" * 30_000_000)
    assert bomb.stat().st_size < 50_000
    assert "unfolds into more than max_gigabytes = 0.02" in refused(path)


def test_rows_with_endless_cells_are_set_aside_before_they_are_written(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.parquet", "max_rejected_percent = 100")
    bomb = write_parquet(tmp_path, 4_000, client="x" * 300_000)
    assert bomb.stat().st_size < 50_000, "it unfolds into 1.2 GB"
    said = " ".join(done(path, "load").split())
    assert "4,000 set aside, customer: longer than 1,000 bytes" in said
    assert (tmp_path / "loyalty.duckdb").stat().st_size < 5_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_a_parquet_file_that_no_memory_holds(tmp_path: Path) -> None:
    """Its 30 kB unfold into 800 GB, which DuckDB's own limit does not hold back."""
    path = shop(tmp_path, "orders.parquet")
    sound = pq.read_table(write_parquet(tmp_path, 3_000))
    endless = pq.read_table(
        write_parquet(tmp_path, 100_000, number="x" * 8_000_000), read_dictionary=["number"]
    )
    bomb = tmp_path / "orders.parquet"
    schema = endless.schema
    with pq.ParquetWriter(
        bomb, schema, compression="zstd", write_statistics=False, dictionary_pagesize_limit=1 << 30
    ) as writer:
        writer.write_table(sound.cast(schema))
        writer.write_table(endless, row_group_size=100_000)
    assert bomb.stat().st_size < 50_000
    program = "from loyalty_exp.cli import main; main()"
    words = [sys.executable, "-c", program, "--file", str(path), "load"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    said = " ".join(ended.stderr.split())
    assert ended.returncode == 2, said
    # DuckDB 1.5.0 keeps the dictionary and sets the rows aside; later ones copy every cell.
    assert (
        "does not fit into the memory" in said or "100,000 of 103,000 rows cannot be used" in said
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < 6 * 1024**3
    assert not (tmp_path / "loyalty.duckdb").exists()


def write_workbook(path: Path, sheet: bytes, times: int = 1, shared: bytes = b"") -> None:
    """A workbook with a sheet of that content, repeated."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
        f'Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/s.xml" '
        f'ContentType="{kind}.worksheet+xml"/><Override PartName="/xl/t.xml" '
        f'ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="a" Type="{office}/worksheet" Target="s.xml"/>'
        f'<Relationship Id="b" Type="{office}/sharedStrings" Target="t.xml"/></Relationships>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        archive.writestr("xl/t.xml", shared or f'<sst xmlns="{main}"/>'.encode())
        with archive.open("xl/s.xml", "w", force_zip64=True) as file:
            for _ in range(times):
                file.write(sheet)


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ROW = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in COLUMNS)


def test_the_workbook_of_these_tests_is_one(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.xlsx")
    cells = "".join(
        f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in ("a", "1", "2026-01-05", "9")
    )
    rows = f"<row>{ROW}</row><row>{cells}</row>"
    text = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    write_workbook(tmp_path / "orders.xlsx", text.encode())
    assert "orders.xlsx" in done(path, "load")


def test_a_workbook_that_unfolds_into_a_gigabyte(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.xlsx")
    write_workbook(tmp_path / "orders.xlsx", b" " * 25_000_000, times=41)
    assert (tmp_path / "orders.xlsx").stat().st_size < 6_000_000
    assert "this workbook unfolds into 1.0 GB, more than 1" in refused(path)


def test_a_workbook_that_lies_about_its_size(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.xlsx")
    book = tmp_path / "orders.xlsx"
    write_workbook(book, b" " * 20_000_000)
    size = (20_000_000).to_bytes(4, "little")
    content = book.read_bytes()
    assert content.count(size) >= 1
    book.write_bytes(content.replace(size, (100).to_bytes(4, "little")))
    assert "orders.xlsx: this file cannot be read as Excel" in refused(path)


def test_entities_that_multiply(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.xlsx")
    entities = "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 10}">' for n in range(12)
    )
    shared = f'<!DOCTYPE s [{entities}]><sst xmlns="{MAIN}"><si><t>&e11;</t></si></sst>'
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData><row><c t="s"><v>0</v></c></row></sheetData>'
    text = f"{sheet}</worksheet>".encode()
    write_workbook(tmp_path / "orders.xlsx", text, shared=shared.encode())
    assert "orders.xlsx: this file cannot be read as Excel" in refused(path)


@pytest.mark.parametrize("form", ["gzip", "ZIP"])
def test_a_packed_file_is_not_unpacked(tmp_path: Path, form: str) -> None:
    path = shop(tmp_path, "orders.csv")
    target = tmp_path / "orders.csv"
    content = b"number,client,date,net\n" + b"0,0,2026-01-01,1\n" * 1_000_000
    if form == "gzip":
        target.write_bytes(gzip.compress(content, compresslevel=1))
    else:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("orders.csv", content)
    assert f"orders.csv: this file is packed ({form}); unpack it" in refused(path)


def test_a_text_larger_than_declared_is_not_opened(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.csv", "max_gigabytes = 1")
    os.truncate(tmp_path / "orders.csv", 20 * GIGABYTE)  # a hole: it takes no room
    assert "orders.csv: unfolds into more than max_gigabytes = 1" in refused(path)


def test_a_text_of_more_rows_than_declared(tmp_path: Path) -> None:
    lines = len(order_lines(20))
    path = shop(tmp_path, "orders.csv", f"max_rows = {lines - 1}")
    assert f"more than max_rows = {lines - 1} rows" in refused(path)
    path.write_text(path.read_text().replace(f"= {lines - 1}\n", f"= {lines}\n"), encoding="utf-8")
    done(path, "load")


def test_more_columns_than_a_table_has(tmp_path: Path) -> None:
    path = shop(tmp_path, "orders.csv")
    header = ",".join([*COLUMNS, *(f"c{n}" for n in range(6_000))])
    (tmp_path / "orders.csv").write_text(f"{header}\na,b,2026-01-01,1\n", encoding="utf-8")
    assert "more than 5,000 columns" in refused(path)


ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n AS number, "


@pytest.mark.parametrize(
    ("client", "more", "said"),
    [
        ("n", "max_rows = 100000", "more than max_rows = 100,000 rows"),
        ("hex(zeroblob(1000000))", "max_gigabytes = 0.05", "more than max_gigabytes = 0.05"),
    ],
)
def test_a_query_that_never_ends(tmp_path: Path, client: str, more: str, said: str) -> None:
    query = f"{ENDLESS}{client} AS client, '2026-01-01' AS date, 1 AS net FROM t"
    sqlite3.connect(tmp_path / "shop.sqlite").close()
    path = shop(tmp_path, f"sqlite:///{tmp_path}/shop.sqlite", f'query = "{query}"\n{more}')
    assert said in refused(path)
