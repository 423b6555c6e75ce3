"""Simulates what the method notes promise, and says which promises hold.

Run `python benchmarks/calibrate.py`: writes docs/calibration.md, exits 1 if a bar is missed without
the tool's warning. With --quick, for every change: one draw in 40, the same seeds and bars; among
so many figures only one that lies three Monte-Carlo errors outside its bar counts, and no page is
written unless asked for.
"""

from __future__ import annotations

import os

# Before numpy is loaded: the work is shared out among processes, not threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import multiprocessing
import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from zlib import crc32

import numpy as np
from calibration.bars import checks, plan
from calibration.page import page
from calibration.studies import STUDIES, Cell
from calibration.tally import Tally

PAGE = Path(__file__).parent.parent / "docs" / "calibration.md"
BLOCK = 100
QUICK, QUICK_NOISE = 40, 3.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help=f"one draw in {QUICK}")
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--output", type=Path, help=f"page to write ({PAGE.name} in full form)")
    chosen = arguments.parse_args()
    cells = plan()
    if chosen.quick:
        cells = {cell: max(draws // QUICK, BLOCK) for cell, draws in cells.items()}
    results = run(cells, chosen.processes)
    found = checks(results)
    missed = [check for check in found if check.status == "missed"]
    output = chosen.output or PAGE
    if chosen.quick:
        missed = [check for check in missed if check.distance > QUICK_NOISE]
        output = chosen.output
    form = "Quick form: few draws, wide errors." if chosen.quick else "Full form."
    if output is not None:
        output.write_text(page(results, found, form, cpu_seconds()), encoding="utf-8")
    for check in missed:
        print(f"missed, bar {check.bar}: {check.label}: {check.value:.4g} ± {check.error:.2g}")
    print(f"{len(found)} figures, {len(missed)} missed")
    return 1 if missed else 0


def cpu_seconds() -> float:
    """What this process and those it started and ended have taken of the processors."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def run(cells: dict[Cell, int], processes: int) -> dict[Cell, Tally]:
    """Runs every cell in blocks of draws, each block from its own seed."""
    results = {cell: Tally() for cell in cells}
    # A fresh interpreter for each process: no lock is inherited half-held.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = [(task[0], pool.submit(block, *task)) for task in tasks(cells)]
        # In order of submission, so that sums do not depend on which process was faster.
        for done, (cell, future) in enumerate(waiting, start=1):
            results[cell].merge(future.result())
            if sys.stderr.isatty():
                print(f"\r{done}/{len(waiting)} blocks", end="", file=sys.stderr)
    return results


def tasks(cells: dict[Cell, int]) -> Iterator[tuple[Cell, int, int]]:
    """Cells cut into blocks, the slow ones first so that no process waits at the end."""
    for cell in sorted(cells, key=lambda cell: -cell.units):
        for number, first in enumerate(range(0, cells[cell], BLOCK)):
            yield cell, number, min(BLOCK, cells[cell] - first)


def block(cell: Cell, number: int, draws: int) -> Tally:
    """One block of draws; the same seed whatever else is run."""
    rng = np.random.default_rng([crc32(repr(cell).encode()), number])
    return STUDIES[cell.study](cell, draws, rng)


if __name__ == "__main__":
    sys.exit(main())
