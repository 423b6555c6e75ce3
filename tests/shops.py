"""A small shop through the command line: its export, its declaration, its commands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from loyalty_exp.cli import main

DECLARATION = """
schema = 1
[project]
name = "Small shop"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.4
[data.orders]
source = "orders.csv"
columns = { order_id = "number", customer_id = "client", ordered_at = "date", revenue = "net" }
[segments.regular]
where = "orders_12m >= 3"
[campaign.spring]
name = "Spring call"
segments = ["regular"]
lever = "relational"
objective = "revenue"
start = 2026-03-01
end = 2026-04-30
measure_until = 2026-06-30
arms = { holdout = 30, call = 70 }
[campaign.spring.costs]
fixed = 100
per_contact = { call = 2 }
"""

CUSTOMERS = """
[data.customers]
source = "customers.csv"
columns = { customer_id = "client" }
"""

EXPOSURES = """
[data.exposures]
source = "contacts.csv"
columns = { customer_id = "client", at = "at", campaign = "campaign" }
"""

Line = tuple[str, str, dt.date, float]


def order_lines(customers: int = 300, seed: int = 11) -> list[Line]:
    """Orders from January 2025 to July 2026."""
    rng = np.random.default_rng(seed)
    lines: list[Line] = []
    for client in range(customers):
        for day in sorted(rng.choice(560, size=rng.poisson(9), replace=False)):
            when = dt.date(2025, 1, 10) + dt.timedelta(days=int(day))
            lines.append((f"n{len(lines)}", f"{client:05d}", when, round(rng.lognormal(4, 0.7), 2)))
    return lines


def write_lines(folder: Path, lines: Sequence[Line]) -> None:
    """The export of the orders."""
    rows = [f"{number},{client},{when},{net}" for number, client, when, net in lines]
    text = "\n".join(["number,client,date,net", *rows, ""])
    (folder / "orders.csv").write_text(text, encoding="utf-8")


def write_people(folder: Path, customers: int = 300) -> None:
    """The export of the customers, with a household of two or three, and what was sent to them."""
    rows = [f"{n:05d},h{n // 3},name-{n}@example.org" for n in range(customers)]
    text = "\n".join(["client,household,email", *rows, ""])
    (folder / "customers.csv").write_text(text, encoding="utf-8")
    sent = [f"{n:05d},2026-03-02,spring" for n in range(0, customers, 2)]
    text = "\n".join(["client,at,campaign", *sent, ""])
    (folder / "contacts.csv").write_text(text, encoding="utf-8")


def open_shop(folder: Path, declaration: str = DECLARATION, customers: int = 300) -> Path:
    """A shop that has loaded nothing yet; gives its declaration."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder, order_lines(customers))
    path = folder / "campaigns.toml"
    path.write_text(declaration, encoding="utf-8")
    return path


def run(path: Path, *words: str) -> Result:
    """A command in this process; a bug shows its traceback."""
    return CliRunner().invoke(main, ["--file", str(path), *words], catch_exceptions=False)


def done(path: Path, *words: str) -> str:
    """The output of a command that must succeed."""
    result = run(path, *words)
    assert result.exit_code == 0, result.output
    return result.output
