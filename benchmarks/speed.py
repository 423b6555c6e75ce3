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
        click.echo(f"  {work}: failed ({last[:100]})")
        return None
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    click.echo(f"  {work}: {cost['cpu']:.2f} s CPU, {cost['gib']:.2f} GiB")
    return cost


def version() -> str:
    """The commit that is measured, in short."""
    command = ["git", "rev-parse", "--short=7", "HEAD"]
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


@click.command()
@click.option("--millions", default=1.0, show_default=True, help="Customers; orders are ten times.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", multiple=True, metavar="WORK", help="Some pieces of work.")
@click.option("--add", is_flag=True, help="Add to what was measured before; else begin anew.")
@click.option("--folder", type=Path, default=ROOT / "build" / "speed", show_default=False)
@click.option("--output", type=Path, default=ROOT / "docs" / "benchmarks.md", show_default=False)
def main(
    millions: float, rounds: int, only: tuple[str, ...], add: bool, folder: Path, output: Path
) -> None:
    """Measure one size and write the page of all sizes measured."""
    size = folder / f"{millions:g}m"
    kept = MEASURED / f"{millions:g}m.json"
    make(size, round(millions * 1_000_000))
    costs: dict[str, list[dict[str, float]]] = {}
    loads: list[float] = []
    failed: list[str] = []
    if add and kept.exists():
        before = json.loads(kept.read_text())
        costs, loads, failed = before["costs"], before["loads"], before["failed"]
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}")
        for work in [*ROUNDS, *PEERS, *(LONG if number == 0 else ())]:
            if only and work not in only:
                continue
            loads.append(os.getloadavg()[0])
            if cost := measured(work, size):
                costs.setdefault(work, []).append(cost)
            else:
                failed.append(work)
            found = {
                "millions": millions,
                "version": version(),
                "machine": machine(),
                "python": platform.python_version(),
                "loads": loads,
                "costs": costs,
                "failed": failed,
            }
            kept.write_text(json.dumps(found, indent=1) + "\n")
    output.write_text(page(MEASURED))


if __name__ == "__main__":
    main()
