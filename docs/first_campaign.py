"""Writes docs/first-campaign.md: a whole first campaign, every output that of the command above it.

The shop does not exist: its orders are simulated, and the customers who are called buy more because
they are made to. A test keeps the page and the program alike.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from loyalty_exp.cli import main
from loyalty_exp.declare.scaffold import scaffold
from loyalty_exp.simulate import synthetic_company

TARGET = Path(__file__).with_name("first-campaign.md")
TEMPLATE = Path(__file__).with_name("first-campaign.template.md")
TODAY = dt.date(2026, 2, 28)
CUSTOMERS, SEED, LIFT = 3_000, 20_260_210, 0.3
EDITS = (
    ('"My company"', '"Maison Exemple"'),
    ('order_id = "order_id"', 'order_id = "Order"'),
    ('customer_id = "customer_id"', 'customer_id = "Customer"'),
    ('ordered_at = "date"', 'ordered_at = "Date"'),
    ('revenue = "amount"', 'revenue = "Net amount"'),
    ("margin_rate = 0.40", "margin_rate = 0,42"),
    ("Waking up gold customers", "A call to those who buy less"),
    ('segments = ["sleeping_gold"]', 'segments = ["Loyal", "Need Attention", "At Risk"]'),
    ('objective = "attrition"', 'objective = "revenue"'),
    ("measure_until = 2026-12-31", "measure_until = 2026-08-31"),
    ("holdout = 20, call = 80", "holdout = 30, call = 70"),
)
MENDED = ("margin_rate = 0,42", "margin_rate = 0.42")


def page() -> str:
    """The guide as Markdown, its commands run in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        steps = _steps(Path("my-shop"))
    text = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"^\{\{ (\w+) \}\}$", lambda place: steps[place[1]], text, flags=re.MULTILINE)


def _steps(shop: Path) -> dict[str, str]:
    """What stands at each place of the template."""
    scaffold(shop, "en", TODAY)
    with contextlib.chdir(shop):
        return {**_before(Path("campaigns.toml")), **_after()}


def _before(declaration: Path) -> dict[str, str]:
    written = declaration.read_text(encoding="utf-8")
    _export("2026-03-01", treated=())
    edited = written
    for old, new in EDITS:
        if old not in edited:
            raise ValueError(f"{old} is no longer in what init writes")
        edited = edited.replace(old, new, 1)
    declaration.write_text(edited, encoding="utf-8")
    wrong = _ran("check", code=2)
    declaration.write_text(edited.replace(*MENDED), encoding="utf-8")
    return {
        "edits": _fenced("toml", "\n".join(_changed(written, edited))),
        "wrong": wrong,
        "check": _ran("check"),
        "load": _ran("load"),
        "segments": _ran("segments"),
        "plan": _ran("plan", "winback-2026"),
        "launch": _ran("launch", "winback-2026"),
        "list": _fenced("text", _first_lines(_list("call"), 4)),
    }


def _after() -> dict[str, str]:
    treated = pd.read_csv(_list("call"), dtype=str)["customer_id"]
    _export("2026-07-10", treated=frozenset(treated))
    return {
        "later": _ran("load"),
        "measure": _ran("measure", "winback-2026"),
        "verify": _ran("verify"),
        "report": _ran("report"),
    }


def _first_lines(path: Path, number: int) -> str:
    return "\n".join([*path.read_text(encoding="utf-8").splitlines()[:number], "..."])


def _list(arm: str) -> Path:
    return Path("lists") / "winback-2026" / "wave-0" / f"{arm}.csv"


def _export(until: str, treated: Collection[str]) -> None:
    """The shop's orders up to a day; from the start on the treated ones are raised."""
    found = synthetic_company(CUSTOMERS, SEED, start="2024-02", months=30).orders
    found = found[found["ordered_at"] < until].sort_values("ordered_at", kind="stable")
    lifted = found["customer_id"].isin(treated) & (found["ordered_at"] >= "2026-03-01")
    amount = found["revenue"].where(~lifted, (found["revenue"] * (1 + LIFT)).round(2))
    named = pd.DataFrame(
        {
            "Order": found["order_id"],
            "Customer": found["customer_id"],
            "Date": found["ordered_at"],
            "Net amount": amount,
        }
    )
    named.to_csv("orders.csv", index=False)


def _changed(before: str, after: str) -> Iterator[str]:
    """The lines that were edited, with the table they stand in."""
    header = ""
    for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
        if new.startswith("["):
            header = new
        if old != new:
            if header:
                yield header
                header = ""
            yield new


def _ran(*words: str, code: int = 0) -> str:
    """A command and what it printed."""
    result = CliRunner().invoke(main, [*words], catch_exceptions=False)
    if result.exit_code != code:
        raise ValueError(result.output)
    lines = (line.rstrip() for line in result.output.strip("\n").splitlines())
    return _fenced("text", "\n".join([f"$ loyalty-exp {' '.join(words)}", *lines]))


def _fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
