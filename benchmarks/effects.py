"""Time of all effects of one campaign from its moments, and of one boundary; prints a table.

12 months, 7 metrics, 10 segments, 3 arms (two treated): every row, band and boundary.
"""

from __future__ import annotations

import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import effect_cases

from loyalty_exp.declare.frozen import Calendar
from loyalty_exp.measure.campaign import questions
from loyalty_exp.measure.effects import effect_rows, ratio_rows
from loyalty_exp.stats.bands import _sup_t_critical as bands
from loyalty_exp.stats.looks import _boundaries as looks
from loyalty_exp.stats.looks import boundaries, obrien_fleming


def timed(work: Callable[[], object], runs: int = 5) -> tuple[float, float]:
    """Median seconds of a few runs, by the clock and of CPU, after one to warm up."""
    work()
    seconds, busy = [], []
    for _ in range(runs):
        begin, used = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - begin)
        busy.append(time.process_time() - used)
    return statistics.median(seconds), statistics.median(busy)


def main() -> None:
    """Print the table."""
    effect_cases.MONTHS = 12
    units = pd.concat(
        [effect_cases.units_of(4000, arm, seed) for seed, arm in enumerate(("holdout", "a", "b"))],
        ignore_index=True,
    )
    units["segment"] = [f"s{place % 10}" for place in range(len(units))]
    outcomes = effect_cases.outcomes_of(units)
    plan = effect_cases.plan_of(looks=12, measure_until=dt.date(2027, 2, 28))
    calendar = Calendar.of(plan, dt.date(2027, 4, 1))

    def everything() -> None:
        # What is kept between campaigns is not counted as speed.
        looks.cache_clear()
        bands.cache_clear()
        for question in questions(plan, outcomes):
            effect_rows(plan, outcomes, calendar, question)
            ratio_rows(plan, outcomes, calendar, question)

    rows = [("all effects of a campaign", *timed(everything, 3), 2.0)]
    for planned, target in ((12, 0.1), (36, 1.0)):
        times = np.arange(1, planned + 1)
        correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))

        def boundary(correlation: np.ndarray = correlation, planned: int = planned) -> object:
            looks.cache_clear()
            return boundaries(correlation, obrien_fleming, 0.05, planned)

        rows.append((f"boundary of {planned} looks", *timed(boundary), target))
    for name, seconds, busy, target in rows:
        sys.stdout.write(f"{name:28s} {seconds:8.3f} s, {busy:.3f} s of CPU; target {target} s\n")


if __name__ == "__main__":
    main()
