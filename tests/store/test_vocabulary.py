"""Words that the declaration does not know: told by name and number, or refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from shops import CUSTOMERS, DECLARATION, EXPOSURES, done, open_shop, order_lines, run, write_people

from loyalty_exp.declare.toml import read

STATUS = DECLARATION.replace('revenue = "net" }', 'revenue = "net", status = "Etat" }')
COSTS = """
[data.costs]
source = "costs.csv"
columns = { campaign = "campaign", arm = "arm", day = "day", amount = "amount" }
"""
PERSON = "someone@example.org"


def with_status(folder: Path, words: list[str]) -> None:
    rows = [
        f"{number},{client},{when},{net},{words[n % len(words)]}"
        for n, (number, client, when, net) in enumerate(order_lines(60))
    ]
    text = "\n".join(["number,client,date,net,Etat", *rows, ""])
    (folder / "orders.csv").write_text(text, encoding="utf-8")


def revenue(folder: Path) -> tuple[int, float]:
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        found = engine.execute("SELECT count(*), sum(revenue) FROM orders").fetchone()
    assert found is not None
    return found


def test_a_status_without_the_words_that_make_a_sale_is_refused(tmp_path: Path) -> None:
    path = open_shop(tmp_path, STATUS, customers=60)
    with_status(tmp_path, ["réglée", "À régler", "annulée", "zone 7"])
    result = run(path, "load")
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert '"Etat" is mapped as the status' in said
    for word in ("réglée (", "À régler (", "annulée (", "zone 7 ("):
        assert word in said
    assert not (tmp_path / "loyalty.duckdb").exists()
    path.write_text(STATUS.replace("[segments.r", 'statuses = ["Réglée"]\n[segments.r'), "utf-8")
    done(path, "load")
    paid = [net for n, (*_, net) in enumerate(order_lines(60)) if n % 4 == 0]
    assert revenue(tmp_path) == (len(paid), pytest.approx(sum(paid)))


def test_words_of_few_rows_are_not_shown(tmp_path: Path) -> None:
    path = open_shop(tmp_path, STATUS, customers=60)
    rows = len(order_lines(60))
    words = [PERSON if n == 3 else f"note {n}" if n < 40 else "paid" for n in range(rows)]
    with_status(tmp_path, words)
    result = run(path, "load")
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert f"its words are paid ({rows - 40:,} rows), 40 others" in said
    assert PERSON not in said


def test_a_status_mapped_beside_a_preset_is_the_one_read(tmp_path: Path) -> None:
    text = STATUS.replace("columns = {", 'preset = "prestashop"\ncolumns = {')
    path = open_shop(tmp_path, text, customers=5)
    (tmp_path / "orders.csv").write_text(
        "reference;id_customer;date_add;total_paid_tax_excl;valid;number;client;date;net;Etat\n"
        "a;1;2026-01-02;9;1;a;1;2026-01-02;5;1\nb;1;2026-01-03;9;1;b;1;2026-01-03;7;0\n",
        encoding="utf-8",
    )
    done(path, "load")
    assert revenue(tmp_path) == (1, 5.0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    text = DECLARATION + CUSTOMERS + EXPOSURES.replace("}", ', kind = "kind" }') + COSTS
    path = open_shop(tmp_path, text, customers=60)
    write_people(tmp_path, 60)
    return path


def write_contacts(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    lines = [f"{client},2026-03-02,{campaign},{kind}" for client, campaign, kind in rows]
    (folder / "contacts.csv").write_text("\n".join(["client,at,campaign,kind", *lines, ""]))


def write_costs(folder: Path, rows: list[tuple[str, str]]) -> None:
    lines = [f"{campaign},{arm},2026-03-{n + 1:02d},5" for n, (campaign, arm) in enumerate(rows)]
    (folder / "costs.csv").write_text("\n".join(["campaign,arm,day,amount", *lines, ""]))


def warnings(text: str) -> list[str]:
    return [line.split("WARNING: ")[1] for line in text.splitlines() if "WARNING: " in line]


def test_nothing_is_told_of_words_that_are_declared(shop: Path) -> None:
    people = [f"{n:05d}" for n in range(20)]
    kinds = ("sent", "Redeemed", " OPENED", "clicked")
    write_contacts(shop.parent, [(c, "spring", kinds[n % 4]) for n, c in enumerate(people)])
    write_costs(shop.parent, [("spring", "call"), ("spring", "")])
    assert warnings(done(shop, "load")) == []
    with duckdb.connect(str(shop.parent / "loyalty.duckdb"), read_only=True) as engine:
        kept = engine.execute("SELECT DISTINCT kind FROM exposures ORDER BY 1").fetchall()
    assert kept == [("clicked",), ("opened",), ("redeemed",), ("sent",)]


def test_unknown_words_are_told_by_name_and_number(shop: Path) -> None:
    contacts = [(f"{n:05d}", "sprng", "sent") for n in range(3)]
    contacts += [(f"{n:05d}", "summer", "redeemd") for n in range(3, 9)]
    contacts += [(f"{n:05d}", "spring", "bounced") for n in range(9, 16)]
    contacts += [("00020", PERSON, "sent"), ("00021", "spring", PERSON), ("00022", "", "sent")]
    contacts += [(f"stranger{n}", "spring", "sent") for n in range(4)]
    write_contacts(shop.parent, contacts)
    write_costs(shop.parent, [("spring", "cal"), ("spring", "holdout"), *[("winter", "")] * 5])
    said = done(shop, "load")
    told = warnings(" ".join(said.split()).replace(" contacts.csv:", "\ncontacts.csv:").replace(
        " costs.csv:", "\ncosts.csv:"))  # fmt: skip
    campaign, kind = "they count for no campaign", "they count as contacts made"
    strangers = "4 rows of the log are of customers without any order or attribute"
    used = '"redeemed" is an offer used'
    assert told == [
        f"no campaign on 1 row: {campaign}",
        f'unknown campaign "sprng" on 3 rows: {campaign}; did you mean spring?',
        f'unknown campaign "summer" on 6 rows: {campaign}',
        f"an unknown word as campaign on 1 row: {campaign}",
        f'unknown kind "bounced" on 7 rows: {kind}; {used}',
        f'unknown kind "redeemd" on 6 rows: {kind}; {used}; did you mean redeemed?',
        f"an unknown word as kind on 1 row: {kind}; {used}",
        f"{strangers} (4): are ids written as in the orders?",
        f'unknown campaign "winter" on 5 rows: {campaign}',
        'unknown arm of spring "cal" on 1 row: they are shared by all its arms; did you mean call?',
        "an unknown word as arm of spring on 1 row: they are shared by all its arms",
    ]
    assert PERSON not in said
    assert "WARNING: unknown campaign" in done(shop, "load"), "told again when nothing is new"


def test_a_column_that_nothing_names_is_not_stored(tmp_path: Path) -> None:
    text = DECLARATION.replace('"orders_12m >= 3"', "\"orders_12m >= 3 and ville = 'Lyon'\"")
    text = text.replace("arms =", 'stratify_by = ["Sexe", "revenue_band"]\narms =')
    customers = CUSTOMERS.replace(" }", ', member = "Carte", Sexe = "S" }')
    path = open_shop(tmp_path, text + customers, customers=60)
    rows = [f"{n:05d},{PERSON},Lyon,x,oui,F,rue {n}" for n in range(60)]
    header = "client,email,Ville,Opt in,Carte,S,Adresse"
    (tmp_path / "customers.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    assert "uses them: 3 columns" in " ".join(done(path, "load").split())
    assert attributes(tmp_path) == ["member", "sexe", "ville"]
    assert PERSON not in (tmp_path / "loyalty.duckdb").read_bytes().decode("latin-1")
    path.write_text(path.read_text().replace("'Lyon'", "'Lyon' and opt_in = 'x'"), "utf-8")
    refused = run(path, "segments")
    assert refused.exit_code == 2
    assert "segment regular: opt_in was not loaded" in refused.output
    done(path, "load")
    done(path, "segments")
    assert attributes(tmp_path) == ["member", "opt_in", "sexe", "ville"]


def attributes(folder: Path) -> list[str]:
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        return sorted(row[0] for row in engine.execute("SELECT name FROM attributes").fetchall())


def test_what_the_declaration_names(tmp_path: Path) -> None:
    path = tmp_path / "campaigns.toml"
    assert open_shop(tmp_path, DECLARATION, customers=1) == path
    assert read(path).attributes == {"orders_12m"}
    text = DECLARATION.replace("arms =", 'unit = "h"\nconsent = "ok"\nstratify_by = ["r"]\narms =')
    path.write_text(text + CUSTOMERS, encoding="utf-8")
    assert read(path).attributes == {"orders_12m", "h", "ok", "r"}
