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
