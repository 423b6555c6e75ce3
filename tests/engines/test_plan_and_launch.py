"""Plan, universal holdout, split drawn elsewhere and pushed lists: the same on PostgreSQL."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from company import CUSTOMERS, order_rows

from loyalty_exp.project import Project, open_project
from loyalty_exp.store import tables
from loyalty_exp.terminal import plain_json

DECLARATION = """
schema = 1
[project]
name = "Maison Test"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.4
fiscal_year_start = 3
database = "{database}"
[data.orders]
source = "orders.csv"
columns = {{ order_id = "id", customer_id = "who", ordered_at = "at", revenue = "paid" }}
extracted_on = 2026-02-28
[data.customers]
source = "customers.csv"
columns = {{ customer_id = "who" }}
[data.exposures]
source = "contacts.csv"
columns = {{ campaign = "campaign", customer_id = "who", at = "at", kind = "what", cost = "cost" }}
[data.costs]
source = "costs.csv"
columns = {{ campaign = "campaign", day = "day", amount = "amount", kind = "kind" }}
[universal_holdout]
percent = 10
start = 2026-03-01
[segments.buyers]
where = "orders_12m >= 4"
[campaign.winback]
name = "Win-back"
segments = ["buyers"]
lever = "relational"
objective = "revenue"
start = 2026-03-01
end = 2026-04-30
arms = {{ holdout = 20, call = 80 }}
consent = "optin"
[campaign.agency]
name = "Agency"
segments = ["buyers"]
lever = "relational"
objective = "frequency"
start = 2026-03-01
end = 2026-04-30
arms = {{ holdout = 50, mail = 50 }}
unit = "company"
assignment = {{ source = "split.csv", columns = {{ unit = "who", arm = "arm", date = "on" }} }}
"""


def write(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def opened(folder: Path, database: str) -> Project:
    folder.mkdir()
    write(folder / "orders.csv", [("id", "who", "at", "paid"), *order_rows()])
    customers = [(f"00{n:04d}", f"k{n // 2}", n % 10 != 0) for n in range(CUSTOMERS)]
    write(folder / "customers.csv", [("who", "company", "optin"), *customers])
    split = [(f"k{n}", "mail" if n % 2 else "holdout", "2026-03-02") for n in range(120)]
    write(folder / "split.csv", [("who", "arm", "on"), *split, ("k9999", "mail", "2026-03-02")])
    sent = [("winback", f"00{n:04d}", "2026-02-20", "sent", 0.5) for n in range(40)]
    write(folder / "contacts.csv", [("campaign", "who", "at", "what", "cost"), *sent])
    paid = [("winback", "2025-05-02", 120.5, "agency"), ("agency", "2026-02-28", 30, "print")]
    write(folder / "costs.csv", [("campaign", "day", "amount", "kind"), *paid])
    path = folder / "campaigns.toml"
    path.write_text(DECLARATION.format(database=database), encoding="utf-8")
    project = open_project(path)
    project.load()
    return project


@pytest.fixture(scope="module")
def both(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """The company on the embedded engine and on the server."""
    folder = tmp_path_factory.mktemp("both")
    url = sa.make_url(postgresql)
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE planned"))
    there = url.set(database="planned").render_as_string()
    return opened(folder / "here", "duckdb:///loyalty.duckdb"), opened(folder / "there", there)


def test_a_plan_is_the_same_and_keeps_nothing(both: tuple[Project, Project]) -> None:
    plans = [plain_json(project.plan("winback", draws=40)) for project in both]
    near(*plans)
    assert plans[0]["warnings"][0]["rule"] == "universal_due"
    for project in both:
        with project.store.read() as connection:
            counted = sa.select(sa.func.count()).select_from(tables.memberships)
            assert connection.scalar(counted) == 0


def near(one: Any, other: Any) -> None:
    """Equal, numbers to 1e-9."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            near(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            near(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)
    else:
        assert one == other


def test_lifetime_and_kpis_are_the_same(both: tuple[Project, Project]) -> None:
    """The likelihood is maximised on sums that differ in the last bits: see the tolerance."""
    here, there = (plain_json(project.lifetime()) for project in both)
    for found in (here, there):
        for name in ("fit", "check", "horizons"):
            assert found[name]
    assert here["horizons"][0]["mean"] == pytest.approx(there["horizons"][0]["mean"], rel=1e-5)
    assert here["check"]["forecast"] == pytest.approx(there["check"]["forecast"], rel=1e-5)
    near(here["seed"], there["seed"])
    near(here["observed_margin"], there["observed_margin"])
    kpis = [project.kpis() for project in both]
    near(*kpis)
    (company,) = (
        r for r in kpis[0]["kpis_by_year"] if (r["year"], r["segment"]) == ("year2", "all")
    )
    assert company["budget_ratio"] == pytest.approx((120.5 + 30 + 40 * 0.5) / company["revenue"])


def test_launches_are_the_same(both: tuple[Project, Project]) -> None:
    rosters, pushed = [], []
    for project in both:
        for campaign in ("universal_holdout", "winback", "agency"):
            project.launch(campaign, push_table="crm")
        with project.store.read() as connection:
            columns = tables.assignments.c
            order = (columns.campaign, columns.customer)
            rosters.append(connection.execute(sa.select(tables.assignments).order_by(*order)).all())
            pushed.append(
                connection.exec_driver_sql(
                    "SELECT campaign, customer_id, arm, contact FROM crm ORDER BY 1, 2"
                ).all()
            )
        assert not any(found.problems for found in project.verify())
    assert rosters[0] == rosters[1]
    assert pushed[0] == pushed[1]
    assert {row.segment for row in rosters[0]} == {"all", "buyers", "outside the segments"}
    lists = [sorted((p.base / "lists").rglob("*.csv")) for p in both]
    assert [path.name for path in lists[0]] == [path.name for path in lists[1]]
    for left, right in zip(*lists, strict=True):
        assert left.read_bytes() == right.read_bytes()
