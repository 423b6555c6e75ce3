"""A small company on disk: two years of orders, customers, a declaration to add campaigns to."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from company import CUSTOMERS, order_rows

from loyalty_exp.project import Project, open_project

DECLARATION = """
schema = 1
[project]
name = "Maison Test"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.4
[data.orders]
source = "orders.csv"
columns = { order_id = "id", customer_id = "who", ordered_at = "at", revenue = "paid" }
extracted_on = 2026-02-28
[data.customers]
source = "customers.csv"
columns = { customer_id = "who", company = "company", optin = "optin" }
[segments]
scheme = "tiers"
[segments.buyers]
where = "orders_12m >= 4"
[segments.fresh]
where = "recency_days <= 40"
"""


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the company, its data loaded."""
    folder = tmp_path_factory.mktemp("company")
    with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "who", "at", "paid"), *order_rows()])
    with (folder / "customers.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(f"00{n:04d}", f"k{n // 2}", n % 10 != 0) for n in range(CUSTOMERS)]
        csv.writer(file).writerows([("who", "company", "optin"), *rows])
    (folder / "campaigns.toml").write_text(DECLARATION, encoding="utf-8")
    open_project(folder / "campaigns.toml").load()
    return folder


@pytest.fixture
def company(loaded: Path, tmp_path: Path) -> Callable[[str], Project]:
    """Opens a copy of the company with more TOML; again with other TOML, the same store."""
    folder = tmp_path / "company"

    def declare(more: str) -> Project:
        if not folder.exists():
            shutil.copytree(loaded, folder)
        path = folder / "campaigns.toml"
        path.write_text(DECLARATION + more, encoding="utf-8")
        return open_project(path)

    return declare
