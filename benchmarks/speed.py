"""Speed and memory against the bare scan and aggregate of the same file, and against peers.

Every piece of work is a process of its own; what counts is CPU seconds (user and system), for other
work on the machine moves them less than the clock. Rounds run every piece once, in turn; ratios
are of medians. Run `make bench`, or `python benchmarks/speed.py --millions 5`. Writes
docs/benchmarks.md from what was measured so far, all sizes together.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from speed_data import make
from speed_page import page

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "benchmarks" / "measured"
"""Every size as it was measured last, one file each; the page is made of them."""
ROUNDS = (
    "bare_scan",
    "bare_aggregate",
    "bare_aggregate_three",
    "bare_read_parquet",
    "bare_read_csv",
    "bare_table",
    "bare_table_csv",
    "roll_up",
    "draw",
    "rhythm",
    "bare_by_customer",
    "rfm",
    "features",
    "features_past",
    "compare",
    "compare_rfm",
    "campaigns_1",
    "campaigns_10",
    "campaigns_50",
)
PEERS = ("tea_tasting", "pandas_statsmodels", "polars")
LONG = ("polars_50", "load_parquet", "load_csv", "first_time", "next_month")
"""Measured in the first round only."""


def measured(work: str, folder: Path) -> dict[str, float] | None:
    """The cost of one piece of work; None where it failed, for want of memory or of a library."""
    command = [sys.executable, str(Path(__file__).with_name("speed_work.py")), work, str(folder)]
    one = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=one)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        click.echo(f"  {work}, {folder.name}: failed ({last[:100]})")
        return None
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    click.echo(f"  {work}, {folder.name}: {cost['cpu']:.2f} s CPU, {cost['gib']:.2f} GiB")
    return cost


WORKED_BY = ("loyalty_exp", "benchmarks/*_work.py", "benchmarks/speed_data.py", "constraints.txt")
"""What a figure may hang on; a commit of anything else makes no other version."""


def version() -> str:
    """The commit that last changed what is measured, in short."""
    command = ["git", "log", "-1", "--format=%h", "--abbrev=7", "--", *WORKED_BY]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def machine() -> str:
    """Processor, cores and memory, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {pages:.0f} GiB"


def begun(millions: float, *, add: bool) -> dict[str, Any]:
    """What is kept of one size: that of the measurement before to add to, or nothing yet.

    Raises:
        UsageError: figures of another version or machine would be added to.
    """
    kept = MEASURED / f"{millions:g}m.json"
    before = json.loads(kept.read_text()) if add and kept.exists() else {}
    of = {"version": version(), "machine": machine()}
    if before and any(before[name] != said for name, said in of.items()):
        raise click.UsageError(f"{kept.name} is of another version or machine: leave out --add")
    return {
        "millions": millions,
        **of,
        "python": platform.python_version(),
        "loads": before.get("loads", []),
        "costs": before.get("costs", {}),
        "failed": before.get("failed", []),
    }


@click.command()
@click.option(
    "--millions",
    "sizes",
    multiple=True,
    default=[1.0],
    show_default=True,
    help="Customers; orders are ten times. Several sizes take turns, piece by piece.",
)
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", multiple=True, metavar="WORK", help="Some pieces of work.")
@click.option("--add", is_flag=True, help="Add to what was measured before; else begin anew.")
@click.option("--folder", type=Path, default=ROOT / "build" / "speed", show_default=False)
@click.option("--output", type=Path, default=ROOT / "docs" / "benchmarks.md", show_default=False)
def main(
    sizes: tuple[float, ...],
    rounds: int,
    only: tuple[str, ...],
    add: bool,
    folder: Path,
    output: Path,
) -> None:
    """Measure some sizes and write the page of all sizes measured."""
    kept = [begun(millions, add=add) for millions in sizes]
    for millions in sizes:
        make(folder / f"{millions:g}m", round(millions * 1_000_000))
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}")
        works = [*ROUNDS, *PEERS, *(LONG if number == 0 else ())]
        for work in (work for work in works if not only or work in only):
            for found in kept:
                name = f"{found['millions']:g}m"
                found["loads"].append(os.getloadavg()[0])
                if cost := measured(work, folder / name):
                    found["costs"].setdefault(work, []).append(cost)
                else:
                    found["failed"].append(work)
                (MEASURED / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    output.write_text(page(MEASURED))


if __name__ == "__main__":
    main()
