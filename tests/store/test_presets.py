"""Exports of shops and invoicing tools, with the traps of real files."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store import tables
from loyalty_exp.store.columns import Header
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.load import Expected, LoadReport, load
from loyalty_exp.store.presets import match_preset, status_words

FORMATS = Path(__file__).parents[2].parent / "shared" / "export_formats.csv"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"duckdb:///{tmp_path / 'store.duckdb'}")


def write(
    path: Path, rows: Sequence[Mapping[str, str]], delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, delimiter=delimiter, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def run(store: Store, folder: Path, preset: str, **options: Any) -> LoadReport:
    options.setdefault("max_rejected_percent", 100.0)
    data = Data(orders=Orders(source="orders.csv", preset=preset, **options))
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    (report,) = load(
        store, data, project_timezone="Europe/Paris", currency="EUR", margin_rate=0.5, base=folder,
        expected=Expected(frozenset(), {}), now=now,
    )  # fmt: skip
    assert report.rows_read == report.rows_loaded + report.rows_rejected + report.rows_ignored
    return report


def revenue(store: Store) -> dict[tuple[str, str], float]:
    columns = tables.orders.c
    with store.read() as connection:
        found = connection.execute(sa.select(columns.order_id, columns.customer, columns.revenue))
        return {(row.order_id, row.customer): pytest.approx(row.revenue) for row in found}


def shopify(name: str, **cells: str) -> dict[str, str]:
    """The first line of an order as Shopify writes it."""
    first = {
        "Name": name, "Email": "A@exemple.fr", "Financial Status": "paid", "Currency": "EUR",
        "Subtotal": "100.00", "Shipping": "5.00", "Taxes": "20.00", "Total": "125.00",
        "Created at": "2026-01-31 23:30:00 -0100", "Lineitem quantity": "1", "Cancelled at": "",
        "Refunded Amount": "0.00", "Lineitem name": "Savon",
    }  # fmt: skip
    return {**first, **{key.replace("_", " "): cell for key, cell in cells.items()}}


def item(name: str) -> dict[str, str]:
    """A further line: the order's cells are blank."""
    return {
        "Name": name, "Email": "A@exemple.fr", "Created at": "2026-01-31 23:30:00 -0100",
        "Lineitem quantity": "2", "Lineitem name": "Éponge",
    }  # fmt: skip


def test_shopify(store: Store, tmp_path: Path) -> None:
    rows = [
        shopify("#1"), item("#1"), item("#1"),
        shopify("#2", Email="b@exemple.fr", Financial_Status="refunded", Refunded_Amount="125.00"),
        shopify("#3", Financial_Status="partially_refunded", Refunded_Amount="62.50"),
        shopify("#4", Financial_Status="pending"), item("#4"),
        shopify("#5", Cancelled_at="2026-02-01 10:00:00 +0100"),
        shopify("#6", Currency="USD"), item("#6"),
        shopify("#7", Total="0.00", Taxes="", Shipping="", Refunded_Amount=""),
        item("#99"),
        shopify("#8", Financial_Status="mystery"),
        shopify("#9", Email=""),
    ]  # fmt: skip
    write(tmp_path / "orders.csv", rows)
    report = run(store, tmp_path, "shopify")
    assert revenue(store) == {
        ("#1", "a@exemple.fr"): 100, ("#2", "b@exemple.fr"): 0, ("#3", "a@exemple.fr"): 50,
        ("#7", "a@exemple.fr"): 0,
    }  # fmt: skip
    assert (report.rows_read, report.rows_loaded, report.rows_ignored) == (14, 6, 3)
    assert dict(report.ignored_reasons) == {"not a sale: pending": 1, "not a sale: cancelled": 1}
    with store.read() as connection:
        rejects = connection.execute(sa.select(tables.rejects).order_by(tables.rejects.c.line))
        found = [(row.line, row.field, row.reason) for row in rejects]
        moment = connection.scalar(sa.select(tables.orders.c.ordered_at).limit(1))
    assert found == [
        (10, "currency", "another currency than EUR"),
        (11, "order_id", "a further line of an order that is set aside"),
        (13, "order_id", "a further line of an order without its first line"),
        (14, "status", "a status that is not known: declare statuses"),
        (15, "customer", "blank"),
    ]
    assert moment == dt.datetime(2026, 2, 1, 1, 30)


def test_shopify_order_cancelled_since(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", [shopify("#1"), shopify("#2"), item("#2")])
    run(store, tmp_path, "shopify")
    write(tmp_path / "orders.csv", [shopify("#1"), shopify("#2", Financial_Status="voided")])
    report = run(store, tmp_path, "shopify")
    assert (report.changed, list(revenue(store))) == (1, [("#1", "a@exemple.fr")])


def test_woocommerce_advanced(store: Store, tmp_path: Path) -> None:
    base = {
        "Order Number": "7", "Order Status": "Terminée", "Order Date": "2026-01-05 10:00",
        "Email (Billing)": "x@y.fr", "Order Shipping Amount": "5", "Order Refund Amount": "0",
        "Order Total Amount": "125", "Order Total Tax Amount": "20", "Item Name": "Savon",
    }  # fmt: skip
    rows = [
        base, {**base, "Item Name": "Éponge"},
        {**base, "Order Number": "8", "Order Status": "Attente paiement"},
        {**base, "Order Number": "9", "Order Refund Amount": "62.5"},
    ]  # fmt: skip
    write(tmp_path / "orders.csv", rows)
    report = run(store, tmp_path, "woocommerce")
    assert revenue(store) == {("7", "x@y.fr"): 100, ("9", "x@y.fr"): 50}
    assert dict(report.ignored_reasons) == {
        "not a sale: attente paiement": 1, "the same row again": 1,
    }  # fmt: skip


def test_woocommerce_suite_is_month_first(store: Store, tmp_path: Path) -> None:
    row = {
        "order_id": "90", "order_number": "1", "order_date": "03/04/2026 10:00",
        "status": "completed",
        "shipping_total": "5", "shipping_tax_total": "1", "tax_total": "20", "order_total": "126",
        "order_currency": "EUR", "customer_id": "0", "customer_email": "",
        "billing_email": "g@h.fr",
    }  # fmt: skip
    write(tmp_path / "orders.csv", [row, {**row, "order_number": "2", "status": "refunded"}])
    run(store, tmp_path, "woocommerce")
    assert revenue(store) == {("1", "g@h.fr"): 100}
    with store.read() as connection:
        assert connection.scalar(sa.select(tables.orders.c.month)) == 2026 * 12 + 3


def test_woocommerce_analytics_names_no_customer(store: Store, tmp_path: Path) -> None:
    row = {
        "Date": "2026-01-05 10:00:00", "Order #": "1", "N. Revenue (formatted)": "100 €",
        "Status": "completed", "Customer": "Jean Dupont", "Net Sales": "100",
    }  # fmt: skip
    write(tmp_path / "orders.csv", [row])
    with pytest.raises(DataError, match="names customers without their e-mail") as error:
        run(store, tmp_path, "woocommerce")
    assert "Dupont" not in str(error.value)
    run(store, tmp_path, "woocommerce", columns={"customer_id": "Customer"})
    assert revenue(store) == {("1", "Jean Dupont"): 100}


def test_prestashop_sql_manager(store: Store, tmp_path: Path) -> None:
    row = {
        "id_order": "1", "reference": "XKBKNABJK", "id_customer": "007", "valid": "1",
        "date_add": "2026-01-05 10:00:00", "total_paid_tax_excl": "105.000000",
        "total_paid_tax_incl": "126.000000", "total_shipping_tax_excl": "5.000000",
    }  # fmt: skip
    write(tmp_path / "orders.csv", [row, {**row, "reference": "B", "valid": "0"}], ";")
    report = run(store, tmp_path, "prestashop")
    assert revenue(store) == {("XKBKNABJK", "007"): 100}
    assert report.ignored_reasons == (("not a sale: 0", 1),)


def test_prestashop_list_of_orders(store: Store, tmp_path: Path) -> None:
    row = {
        "ID": "1", "Référence": "XKB", "Nouveau client": "1", "Livraison": "France",
        "Client": "J. DUPONT", "Total": "120,00 €", "Paiement": "CB", "État": "Paiement accepté",
        "Date": "05/01/2026 10:00:00",
    }  # fmt: skip
    unpaid = {**row, "Référence": "XKC", "État": "En attente de virement bancaire"}
    write(tmp_path / "orders.csv", [row, unpaid], ";", "cp1252")
    with pytest.raises(DataError, match="SELECT reference, id_customer"):
        run(store, tmp_path, "prestashop")
    columns = {"customer_id": "Client"}
    with pytest.raises(DataError, match="totals with tax only"):
        run(store, tmp_path, "prestashop", columns=columns)
    run(store, tmp_path, "prestashop", columns={**columns, "revenue": "Total / 1.2"})
    assert revenue(store) == {("XKB", "J. DUPONT"): 100}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_sellsy(store: Store, tmp_path: Path, encoding: str) -> None:
    row = {
        "Numéro": "F1", "Client": "ACME", "ID client": "42", "Date": "05/01/2026",
        "Montant HT": "1 234,50", "Montant TTC": "1 481,40", "Statut": "Payée",
    }  # fmt: skip
    statuses = ["À régler", "Annulée", "Brouillon", "Partiellement réglée", "Avoir", "Réglée"]
    rows = [row, *({**row, "Numéro": status, "Statut": status} for status in statuses)]
    write(tmp_path / "orders.csv", rows, ";", encoding)
    report = run(store, tmp_path, "sellsy")
    assert revenue(store) == {
        ("F1", "42"): 1234.5,
        ("Avoir", "42"): -1234.5,
        ("Réglée", "42"): 1234.5,
    }
    assert report.rows_ignored == 4


def test_sellsy_names_no_customer(store: Store, tmp_path: Path) -> None:
    row = {"Numéro": "F1", "Client": "ACME", "Date": "05/01/2026", "Montant HT": "1", "Statut": "x"}
    write(tmp_path / "orders.csv", [row], ";")
    with pytest.raises(DataError, match="two may bear one name"):
        run(store, tmp_path, "sellsy")


def test_declared_statuses_go_before_the_preset(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", [shopify("#1"), shopify("#2", Financial_Status="Pending")])
    run(store, tmp_path, "shopify", statuses=("pending",))
    assert list(revenue(store)) == [("#2", "a@exemple.fr")]


def test_another_file(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", [{"Name": "1", "Financial state": "paid", "Total": "1"}])
    with pytest.raises(DataError) as error:
        run(store, tmp_path, "shopify")
    assert str(error.value) == (
        'orders.csv: Shopify\'s orders export has a column "Financial Status" (and 2 other '
        'columns), this file not; did you mean "Financial state"?'
    )


def test_columns_left_beside_a_preset_are_told_apart_from_its_own(
    store: Store, tmp_path: Path
) -> None:
    write(tmp_path / "orders.csv", [shopify("#1")])
    with pytest.raises(DataError) as error:
        run(store, tmp_path, "shopify", columns={"order_id": "order_id"})
    missing, advice = str(error.value).split("\n")
    assert missing.startswith('orders.csv: no column "order_id" for order_id of [data.orders]')
    assert advice == (
        "What columns names goes before what the preset knows: take out of columns what it knows"
    )


def test_words_of_sales_and_of_others_are_apart() -> None:
    words = status_words()
    assert "a regler" in words
    assert all(word == word.lower() and word.isascii() for word in words)


@pytest.mark.skipif(not FORMATS.exists(), reason="the table of export formats is not at hand")
@pytest.mark.parametrize(
    ("table", "preset", "declared"),
    [
        ("shopify_orders", "shopify", {}),
        ("woocommerce_advanced_order_export", "woocommerce", {}),
        ("woocommerce_import_export_suite", "woocommerce", {}),
        ("woocommerce_analytics_current", "woocommerce", {"customer_id": "Customer"}),
        ("woocommerce_analytics_old", "woocommerce", {"customer_id": "Customer"}),
        ("prestashop_sql_manager_recommended", "prestashop", {}),
        (
            "prestashop_orders_grid", "prestashop",
            {"customer_id": "Customer", "revenue": "Total"},
        ),
        ("sellsy_invoices_aliases", "sellsy", {"customer_id": "Client"}),
    ],
)  # fmt: skip
def test_headers_of_the_catalogue(table: str, preset: str, declared: dict[str, str]) -> None:
    with FORMATS.open(encoding="utf-8", newline="") as file:
        names = tuple(row["column"] for row in csv.DictReader(file) if row["preset"] == table)
    match = match_preset(preset, Header("orders.csv", names), declared)
    found = {field.name for field in match.fields} | {
        {"customer_id": "customer"}.get(name, name) for name in declared
    }
    assert found >= {"order_id", "customer", "ordered_at", "revenue"}
