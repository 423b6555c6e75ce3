"""Same inputs, same bytes: whatever the clock's zone, the language, the hashes, and no network."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from shops import CUSTOMERS, DECLARATION, EXPOSURES, done, open_shop, write_people

FLOW = """
import contextlib, io, sys

def refused(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.bind", "socket.gethostbyname"}:
        raise RuntimeError("the network was asked for: " + event)

sys.addaudithook(refused)
from loyalty_exp.cli import main
for words in (
    ["load"], ["launch", "spring"], ["verify"], ["segments", "--format", "json"],
    ["plan", "spring", "--draws", "20", "--format", "json"],
    ["measure", "--format", "json"], ["measure"], ["report"], ["compare", "--format", "json"],
    ["contacts", "--limit", "30", "--output", sys.argv[2] + "/contacts.csv"],
):
    try:
        main(["--file", sys.argv[1], *words])
    except SystemExit as end:
        print(words[0], end.code)
"""
"""Every command of the main job in one process that may not open a connection."""

SETTINGS = (
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "fr_FR.UTF-8", "LANG": "fr_FR.UTF-8",
     "PYTHONHASHSEED": "4242", "PYTHONUTF8": "0"},
)  # fmt: skip


def outcome(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """Digests of all that the flow prints and writes."""
    path = open_shop(folder, DECLARATION + CUSTOMERS + EXPOSURES, customers=200)
    write_people(folder, 200)
    words = [sys.executable, "-c", FLOW, str(path), str(folder)]
    if os.name == "posix" and os.getuid() == 0 and shutil.which("unshare"):
        alone = ["unshare", "--net"]
        if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0:
            words = [*alone, *words]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    ran = subprocess.run(
        words, env={**kept, **settings}, capture_output=True, check=False, timeout=300, cwd=folder
    )
    printed = ran.stdout.decode().replace(str(folder), "FOLDER")
    assert ran.returncode == 0, ran.stderr.decode()
    assert "the network was asked for" not in ran.stderr.decode()
    assert re.findall(r"^(\w+) ([1-9]\d*)$", printed, re.MULTILINE) == [("compare", "2")], printed
    found = {"printed": printed}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in {".html", ".csv"}:
            found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return [outcome(tmp_path_factory.mktemp("run") / "shop", each) for each in SETTINGS]


def test_two_machines_make_the_same_bytes(outcomes: list[dict[str, str]]) -> None:
    one, other = outcomes
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} == set()
    assert {"reports/index.html", "lists/spring/wave-0/call.csv", "contacts.csv"} <= set(one)


def test_the_flow_was_whole(outcomes: list[dict[str, str]]) -> None:
    printed = outcomes[0]["printed"]
    rows = json.loads(printed[printed.index('[\n  {\n    "campaign"') :].split("\n]\n")[0] + "]")
    assert {row["month"] for row in rows} >= {"2026-03", "cumulative"}


def test_a_page_tells_no_time_of_its_making(tmp_path: Path) -> None:
    """The data's last day is on the page; the day of the run is not, so that bytes repeat."""
    import datetime as dt

    path = open_shop(tmp_path, customers=150)
    for words in (("load",), ("launch", "spring"), ("report",)):
        done(path, *words)
    today = dt.datetime.now(dt.UTC)
    for page in (tmp_path / "reports").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert f"{today:%Y-%m-%d}" not in text
        assert f"{today:%H:%M}:" not in text


def large_orders(rows: int = 300_000, customers: int = 2_500) -> list[str]:
    """More rows than one thread of the engine takes at a time, written as lines of a CSV."""
    rng = np.random.default_rng(5)
    days = np.datetime64("2025-01-10") + rng.integers(0, 560, size=rows)
    clients = rng.integers(0, customers, size=rows)
    amounts = np.round(rng.lognormal(3, 1.5, size=rows), 2)
    return [
        f"n{n},{client:05d},{day},{amount}\n"
        for n, (client, day, amount) in enumerate(zip(clients, days, amounts, strict=True))
    ]


def figures_of(folder: Path, *exports: list[str]) -> dict[str, str]:
    """Digests of the roll-up, the results and the pages after these exports were loaded in turn."""
    path = open_shop(folder, customers=1)
    for lines in exports:
        (folder / "orders.csv").write_text("number,client,date,net\n" + "".join(lines), "utf-8")
        done(path, "load")
    done(path, "launch", "spring")
    found = {"json": done(path, "measure", "--format", "json")}
    done(path, "report")
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        rolled = engine.execute("SELECT * FROM customer_month ORDER BY customer, month").fetchall()
    found["roll-up"] = hashlib.sha256(repr(rolled).encode()).hexdigest()
    for place in sorted([*folder.rglob("*.html"), *folder.rglob("lists/**/*.csv")]):
        text = place.read_text(encoding="utf-8")
        for digest in digests_of_files(folder):
            text = text.replace(digest, "FILE")
        found[str(place.relative_to(folder))] = hashlib.sha256(text.encode()).hexdigest()
    return found


def digests_of_files(folder: Path) -> list[str]:
    """What a page says of the very file, which another file cannot repeat."""
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        whole = [row[0] for row in engine.execute("SELECT digest FROM loads").fetchall()]
    return [*whole, *(digest[:12] for digest in whole)]


def test_many_rows_on_several_threads_make_the_same_bytes(tmp_path: Path) -> None:
    """Loaded twice; in another order of rows: to the last digit of every sum and page."""
    lines = large_orders()
    shuffled = [lines[n] for n in np.random.default_rng(6).permutation(len(lines))]
    once = figures_of(tmp_path / "once", lines)
    again = figures_of(tmp_path / "again", lines)
    mixed = figures_of(tmp_path / "mixed", shuffled)
    assert once == again
    assert {name for name in once if once[name] != mixed[name]} == set()
    assert "reports/index.html" in once


def test_the_way_that_orders_came_leaves_no_trace_in_the_figures(tmp_path: Path) -> None:
    """A part first, then all; cancelled ones that come back: the same roll-up and results."""
    lines = large_orders(rows=60_000)
    straight = figures_of(tmp_path / "straight", lines)
    changed = [line.replace(",0", ",1", 1) if n % 11 == 0 else line for n, line in enumerate(lines)]
    winding = figures_of(tmp_path / "winding", lines[:20_000], changed, lines)
    assert {name for name in ("json", "roll-up") if straight[name] != winding[name]} == set()
