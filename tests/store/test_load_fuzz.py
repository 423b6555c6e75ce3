"""Files that no one meant to write: every row is accounted for, nothing ends in a traceback."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store import tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.etl import Staged, connect, stage
from loyalty_exp.store.load import Expected, load
from loyalty_exp.store.plans import orders_plan
from loyalty_exp.store.readers import open_source

NAMES = ["order_id", "customer_id", "ordered_at", "revenue"]
LIMITS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

odd = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=0, max_size=8
)
ids = st.one_of(
    st.sampled_from(["1", "007", "", "  ", "é💐", "א", "a,b", 'say "x"', "a\nb", "x\r\ny", "NULL"]),
    odd,
)
moments = st.one_of(
    st.datetimes(dt.datetime(1890, 1, 1), dt.datetime(2300, 1, 1)).map(str),
    st.sampled_from(["2026-01-05", "2026-03-29 02:30:00", "05/01/2026", "12/25/2025", "", "x"]),
    odd,
)
amounts = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.decimals(-10_000, 10_000, places=2).map(str),
    st.sampled_from(["1e15", "", "1 234,50 €", "(5)", "--1", "0x10", "1,234.5", "999999999999999"]),
    odd,
)
rows = st.lists(st.tuples(ids, ids, moments, amounts), max_size=12)


def read(content: bytes, *, lines: bool = False, file: str = "orders.csv") -> Staged | None:
    """What is made of a file; None when it is refused in words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / file).write_bytes(content)
        with contextlib.closing(connect(folder)) as engine:
            declared = Orders(source=file, lines=lines)
            try:
                source = open_source(declared, folder, folder, engine)
                plan = orders_plan(
                    declared, source.header, project_timezone="Europe/Paris", currency="EUR",
                    margin_rate=0.5,
                )  # fmt: skip
                staged = stage(engine, source, plan, folder)
            except DataError:
                return None
            loaded = engine.execute("SELECT coalesce(sum(n_lines), 0) FROM incoming").fetchone()
            assert loaded is not None
            assert staged.read == staged.rejected + staged.ignored + loaded[0]
            assert staged.rejected == sum(reason.rows for reason in staged.reasons)
            sound = engine.execute(
                "SELECT count(*) FROM incoming WHERE isfinite(revenue) AND isfinite(margin) "
                "AND abs(revenue) <= 12 * 1e12 AND trim(order_id) <> '' AND trim(customer) <> '' "
                "AND year(ordered_at) BETWEEN 1970 AND 2200"
            ).fetchone()
            assert sound == (staged.staged,)
            return staged


def written(cells: list[tuple[str, ...]], delimiter: str = ",", end: str = "\n") -> str:
    text = io.StringIO()
    # The writer leaves a lone \r bare, which would be the end of a line.
    bare = any("\r" in cell for row in cells for cell in row)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(NAMES)
    writer.writerows(cells)
    return text.getvalue()


@LIMITS
@given(rows, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_row_of_a_written_file_is_read(
    cells: list[tuple[str, ...]], delimiter: str, end: str, lines: bool
) -> None:
    staged = read(written(cells, delimiter, end).encode(), lines=lines)
    assert staged is not None
    assert staged.read == len(cells)


@LIMITS
@given(rows, st.data())
def test_a_broken_file_still_adds_up(cells: list[tuple[str, ...]], data: st.DataObject) -> None:
    """Bytes are taken out, put in or doubled anywhere after the header."""
    content = bytearray(written(cells).encode())
    start = len(",".join(NAMES)) + 1
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(start, len(content)))
        piece = data.draw(
            st.one_of(
                st.sampled_from([b'"', b"\n", b"\r", b",", b"\0", b"\xff", b"\xe9", b'""', b";"]),
                st.binary(max_size=4),
            )
        )
        cut = data.draw(st.integers(0, 5))
        content[at : at + cut] = piece
    read(bytes(content))


@LIMITS
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_in_words(content: bytes) -> None:
    read(content)
    read(",".join(NAMES).encode() + b"\n" + content)


@LIMITS
@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6), st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1))
        ),
        min_size=1, max_size=30,
    ),
    st.booleans(),
)  # fmt: skip
def test_sound_rows_are_read_as_python_reads_them(
    values: list[tuple[float, dt.datetime]], spoiled: bool
) -> None:
    """On the fast road, and (when one row is bad) on the long one."""
    cells = [(f"o{n}", "c", str(when), repr(money)) for n, (money, when) in enumerate(values)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "orders.csv").write_text(written(cells + [("", "", "", "")] * spoiled))
        with contextlib.closing(connect(folder)) as engine:
            declared = Orders(source="orders.csv")
            source = open_source(declared, folder, folder, engine)
            plan = orders_plan(
                declared, source.header, project_timezone="Europe/Paris", currency="EUR",
                margin_rate=0.5,
            )  # fmt: skip
            assert stage(engine, source, plan, folder).rejected == int(spoiled)
            found = engine.execute("SELECT order_id, revenue, ordered_at FROM incoming").fetchall()
    assert {order: (money, when) for order, money, when in found} == {
        f"o{n}": (money, when) for n, (money, when) in enumerate(values)
    }
    assert all(math.isfinite(money) for _, money, _ in found)


cells_of_parquet = st.one_of(
    *(
        st.lists(cell | st.none(), min_size=4, max_size=4)
        for cell in (
            odd,
            moments,
            st.integers(-(2**63), 2**63 - 1),
            st.floats(),
            st.decimals(-(10**9), 10**9, places=3),
            st.booleans(),
            st.binary(max_size=6),
            st.dates(dt.date(1600, 1, 1), dt.date(2400, 1, 1)),
            st.times(),
            st.datetimes(
                dt.datetime(1890, 1, 1), dt.datetime(2300, 1, 1), timezones=st.just(dt.UTC)
            ),
            st.lists(st.integers(0, 9), max_size=3),
            st.fixed_dictionaries({"a": st.integers(0, 9)}),
        )
    )
)
"""Columns of four cells of one type each, whatever the field."""


def parquet(columns: Sequence[Sequence[object]], compression: str) -> bytes:
    table = pa.table({name: pa.array(cells) for name, cells in zip(NAMES, columns, strict=True)})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression=compression, row_group_size=3)
    return sink.getvalue()


@LIMITS
@given(st.lists(cells_of_parquet, min_size=4, max_size=4), st.sampled_from(["snappy", "zstd"]))
def test_every_row_of_a_parquet_file_is_read_whatever_its_types(
    columns: list[list[object]], compression: str
) -> None:
    staged = read(parquet(columns, compression), file="orders.parquet")
    assert staged is not None
    assert staged.read == 4


@LIMITS
@given(st.data())
def test_a_broken_parquet_file_adds_up_or_is_refused_in_words(data: st.DataObject) -> None:
    """Bytes are taken out, put in or changed anywhere, the footer more often than its share."""
    sound = [["a", "b", "c", "d"], ["1", "2", "3", "4"], ["2026-01-05"] * 4, [1.0, 2.0, -3.0, 4.5]]
    content = bytearray(parquet(sound, data.draw(st.sampled_from(["snappy", "zstd", "gzip"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(st.sampled_from([0, len(content) * 2 // 3]))
        at = data.draw(st.integers(first, len(content)))
        cut = data.draw(st.integers(0, 4))
        content[at : at + cut] = data.draw(st.binary(max_size=4))
    read(bytes(content), file="orders.parquet")


@settings(LIMITS, max_examples=20)
@given(rows, rows, st.booleans())
def test_every_row_of_a_later_file_is_loaded_set_aside_or_ignored(
    first: list[tuple[str, ...]], second: list[tuple[str, ...]], lines: bool
) -> None:
    """Into a store that holds some of its orders already; and what is kept says so too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(f"duckdb:///{folder / 'store.duckdb'}")
        data = Data(orders=Orders(source="orders.csv", lines=lines, max_rejected_percent=100))
        for day, cells in enumerate([first, [*first, *second], second], start=1):
            (folder / "orders.csv").write_text(written(cells), encoding="utf-8", newline="")
            (report,) = load(
                store, data, project_timezone="Europe/Paris", currency="EUR", margin_rate=0.5,
                base=folder, expected=Expected(frozenset(), {}),
                now=dt.datetime(2026, 3, day, tzinfo=dt.UTC),
            )  # fmt: skip
            counted = report.rows_loaded + report.rows_rejected + report.rows_ignored
            assert report.rows_read == counted == len(cells)
            assert min(report.rows_loaded, report.rows_rejected, report.rows_ignored) >= 0
        with store.read() as connection:
            kept = connection.execute(sa.select(tables.loads)).all()
            aside = connection.execute(sa.select(sa.func.count()).select_from(tables.rejects))
            assert sum(row.rows_rejected for row in kept) == aside.scalar_one()
        assert all(
            row.rows_read == row.rows_loaded + row.rows_rejected + row.rows_ignored for row in kept
        )
