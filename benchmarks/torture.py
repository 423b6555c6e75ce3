"""Kills the program at random instants and looks at what is left: nothing may be lost.

Every trial copies a prepared shop, forks a process that runs one command, ends it with SIGKILL
after a random delay, and then asks: does the store open and verify; does it hold what it held
before or what the command was to make, and nothing between; does the same command, run again,
end where an undisturbed run ends; do lists and assignments agree.

    python benchmarks/torture.py --kills 600 --seed 1
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from shops import (  # noqa: E402
    CUSTOMERS,
    DECLARATION,
    EXPOSURES,
    open_shop,
    order_lines,
    write_lines,
    write_people,
)

import loyalty_exp.project  # noqa: E402  (imported before the first fork)
import loyalty_exp.terminal  # noqa: E402, F401
from loyalty_exp.cli import main  # noqa: E402

CUSTOMERS_OF_THE_SHOP = 80
PERSON = "00007"
SHOP = "SHOP"
"""Stands in a command for the folder of the trial."""
CONTACTS = "monday.csv"
HALF_YEARS = (("2025-01-10", "2025-06-30"), ("2026-01-10", "2026-06-30"))


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind of trial: the command, and the state of the shop before it."""

    command: tuple[str, ...]
    before: str
    """empty, loaded, launched or changed (launched, and the export has changed since)."""


TRIALS = {
    "load": Trial(("load",), "empty"),
    "load again": Trial(("load",), "changed"),
    "launch": Trial(("launch", "spring"), "loaded"),
    "measure": Trial(("measure", "spring", "--format", "json"), "launched"),
    "report": Trial(("report",), "launched"),
    "forget": Trial(("forget", PERSON), "launched"),
    "segments": Trial(("segments",), "launched"),
    "contacts": Trial(("contacts", "--output", f"{SHOP}/{CONTACTS}"), "launched"),
    "compare": Trial(("compare", "--year1", *HALF_YEARS[0], "--year2", *HALF_YEARS[1]), "launched"),
}


ORDER = (
    "load", "launch", "load again", "forget", "launch", "load", "report", "contacts",
    "launch", "load again", "forget", "load", "measure", "segments", "compare",
)  # fmt: skip
"""Kinds in turn: those that write come more often."""


@dataclass(slots=True)
class Tally:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    """Processes killed while the command ran, by kind of trial."""
    finished: int = 0
    """Commands that had ended before their kill."""
    losses: list[str] = field(default_factory=list)
    """Everything that was not as it must be."""


def forked(work: Callable[[], Any], delay: float | None = None) -> tuple[int, str]:
    """Run work in a process of its own; kill it after a delay in seconds.

    Returns:
        (exit code, what it printed); the code is -9 where the kill came in time.
    """
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            code = 70
            try:
                work()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:  # noqa: BLE001  (the fork ends here whatever it was)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        if delay is not None:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode()


def command(shop: Path, *words: str) -> Callable[[], None]:
    """A command of the program, to be run in a fork."""
    told = [word.replace(SHOP, str(shop)) for word in words]
    return lambda: main(["--file", str(shop / "campaigns.toml"), *told])


def state(shop: Path) -> dict[str, Any]:
    """What a shop holds, as figures that every complete run must agree on."""

    def look() -> None:
        import duckdb

        path = shop / "loyalty.duckdb"
        found: dict[str, Any] = {}
        if path.exists():
            with duckdb.connect(str(path), read_only=True) as engine:
                names = {row[0] for row in engine.execute("SHOW TABLES").fetchall()}
                for name, text in STATE.items():
                    table = name.split(" ")[0]
                    rows = engine.execute(text).fetchall() if table in names else []
                    if rows and rows[0][0] != 0:
                        found[name] = rows
        print(json.dumps(found, default=str))

    code, text = forked(look)
    if code:
        raise AssertionError(f"the store does not open: {text}")
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    found["lists"] = {
        str(path.relative_to(shop)): path.read_text(encoding="utf-8")
        for path in [*sorted((shop / "lists").rglob("*.csv")), *shop.glob(CONTACTS)]
    }
    return found


STATE = {
    "orders": "SELECT count(*), round(sum(revenue), 6), count(DISTINCT customer) FROM orders",
    "customer_month": "SELECT count(*), round(sum(revenue), 6), sum(orders) FROM customer_month",
    "customer_rhythm": "SELECT count(*), sum(repeat_days), max(last_on) FROM customer_rhythm",
    "customers": "SELECT count(*) FROM customers",
    "exposures": "SELECT count(*) FROM exposures",
    "loads": "SELECT what, digest, rows_read, rows_loaded FROM loads ORDER BY loaded_at, what",
    "launches": "SELECT campaign, wave, digest FROM launches ORDER BY ALL",
    "assignments": "SELECT campaign, arm, count(*) FROM assignments GROUP BY ALL ORDER BY ALL",
    "roster_members": "SELECT campaign, arm, units, members FROM roster_members ORDER BY ALL",
    "roster_numbers": "SELECT count(*), sum(number) FROM roster_numbers",
    "memberships": "SELECT segment, as_of, count(*) FROM memberships GROUP BY ALL ORDER BY ALL",
    "published": "SELECT month, metric, arm, result FROM published ORDER BY ALL",
    "erasures": "SELECT count(*) FROM erasures",
    "holding": f"SELECT count(*) FROM orders WHERE customer = '{PERSON}'",
}
TRANSACTIONS = {
    "orders", "customer_month", "customer_rhythm", "customers", "exposures", "loads", "launches",
    "assignments", "roster_members", "roster_numbers", "memberships", "published", "erasures",
}  # fmt: skip
"""What a command changes in one transaction: as before, or as after, never between."""


def prepare(folder: Path) -> dict[str, Path]:
    """A shop in every state that trials start from."""
    empty = folder / "empty"
    open_shop(empty, DECLARATION + CUSTOMERS + EXPOSURES, CUSTOMERS_OF_THE_SHOP)
    write_people(empty, CUSTOMERS_OF_THE_SHOP)
    steps = {"loaded": ("empty", ("load",)), "launched": ("loaded", ("launch", "spring"))}
    shops = {"empty": empty}
    for name, (before, words) in steps.items():
        shops[name] = folder / name
        shutil.copytree(shops[before], shops[name])
        code, text = forked(command(shops[name], *words))
        if code:
            raise AssertionError(text)
    shops["changed"] = folder / "changed"
    shutil.copytree(shops["launched"], shops["changed"])
    lines = order_lines(CUSTOMERS_OF_THE_SHOP)
    moved = [(*line[:3], line[3] + 1.0) if n % 7 == 0 else line for n, line in enumerate(lines)]
    write_lines(shops["changed"], [*moved, ("late", PERSON, lines[0][2], 12.5)])
    return shops


def agreed(shop: Path) -> list[str]:
    """Where lists and assignments disagree; empty where each has the other."""

    def look() -> None:
        import duckdb

        with duckdb.connect(str(shop / "loyalty.duckdb"), read_only=True) as engine:
            text = (
                "SELECT customer, arm FROM assignments WHERE customer NOT IN "
                "(SELECT tombstone FROM erasures) ORDER BY ALL"
            )
            print(json.dumps(engine.execute(text).fetchall()))

    code, text = forked(look)
    kept = sorted(map(tuple, json.loads(text.splitlines()[-1]))) if code == 0 else None
    listed = []
    for path in sorted((shop / "lists").rglob("*.csv")):
        with path.open(encoding="utf-8") as file:
            listed += [(row["customer_id"], row["arm"]) for row in csv.DictReader(file)]
    return [] if kept == sorted(listed) else ["lists and assignments disagree"]


def half_way(shop: Path, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a kill left that is neither before nor after, or does not verify."""
    found = state(shop)
    problems = []
    parts = {name for name in TRANSACTIONS if name in {**before, **after, **found}}
    empty = {name: found.get(name) for name in parts}
    was = {name: before.get(name) for name in parts}
    made = {name: after.get(name) for name in parts}
    if empty not in (was, made):
        between = [name for name in parts if empty[name] not in (was[name], made[name])]
        problems.append(f"between two states: {sorted(between) or 'a mixture'}")
    extra = {name: text for name, text in found["lists"].items() if name not in before["lists"]}
    for name, text in extra.items():
        if not found.get("assignments") or after["lists"].get(name) != text:
            problems.append(f"{name} has no assignments, or is half written")
    if found.get("launches"):
        code, text = forked(command(shop, "verify"))
        if code:
            problems.append(f"verify says {code}: {text.strip()[-200:]}")
    return problems


def trial(name: str, shops: dict[str, Path], reference: Reference, random_: random.Random) -> str:
    """Kill one command once.

    Returns:
        killed, finished, or what was lost.
    """
    kind = TRIALS[name]
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        shop = Path(folder) / "shop"
        shutil.copytree(shops[kind.before], shop)
        delay = random_.uniform(0.0, 1.15 * reference.seconds[name])
        code, _ = forked(command(shop, *kind.command), delay)
        problems = half_way(shop, reference.before[name], reference.after[name])
        again, text = forked(command(shop, *kind.command))
        if again:
            problems.append(f"run again it ends with {again}: {text.strip()[-300:]}")
        final = state(shop)
        wrong = [part for part, held in reference.after[name].items() if final.get(part) != held]
        if wrong:
            problems.append(f"run again it makes other {wrong}")
        if final.get("launches"):
            problems += agreed(shop)
    if problems:
        return f"{name} after {delay:.3f} s: " + "; ".join(problems)
    return "killed" if code == -signal.SIGKILL else "finished"


@dataclass(frozen=True, slots=True)
class Reference:
    """What undisturbed runs make, and how long they take."""

    seconds: dict[str, float]
    before: dict[str, dict[str, Any]]
    after: dict[str, dict[str, Any]]


def undisturbed(shops: dict[str, Path], folder: Path) -> Reference:
    """Run every kind of trial once without a kill."""
    reference = Reference({}, {}, {})
    for name, kind in TRIALS.items():
        shop = folder / f"undisturbed {name}"
        shutil.copytree(shops[kind.before], shop)
        reference.before[name] = state(shop)
        began = time.monotonic()
        code, text = forked(command(shop, *kind.command))
        reference.seconds[name] = time.monotonic() - began
        if code:
            raise AssertionError(f"{name}: {text}")
        reference.after[name] = state(shop)
    return reference


def torture(kills: int, seed: int, announce: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Kill so many commands, in turn of their kinds.

    Args:
        kills: how many processes are killed before they end.
        seed: of the delays.
        announce: called with the counts after each kill.
    """
    random_ = random.Random(seed)  # noqa: S311  (delays)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        shops = prepare(folder)
        reference = undisturbed(shops, folder)
        while tally.kills.total() < kills:
            kind = ORDER[(tally.kills.total() + tally.finished) % len(ORDER)]
            outcome = trial(kind, shops, reference, random_)
            if outcome == "finished":
                tally.finished += 1
                continue
            tally.kills[kind] += 1
            if outcome != "killed":
                tally.losses.append(outcome)
            announce(tally)
    return tally


def as_json(tally: Tally, seed: int) -> str:
    """The counts."""
    counts = {
        "seed": seed,
        "kills": tally.kills.total(),
        "by_command": dict(sorted(tally.kills.items())),
        "ended_before_their_kill": tally.finished,
        "losses": tally.losses,
    }
    return json.dumps(counts, indent=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill the program at random instants.")
    parser.add_argument("--kills", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="where the counts go, as JSON")
    given = parser.parse_args()

    def keep(tally: Tally) -> None:
        """A run that is stopped leaves what it counted."""
        if given.output:
            given.output.write_text(as_json(tally, given.seed) + "\n", encoding="utf-8")

    counted = torture(given.kills, given.seed, keep)
    print(as_json(counted, given.seed))
    sys.exit(1 if counted.losses else 0)
