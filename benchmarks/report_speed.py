"""A site of 50 campaigns against the time of its charts alone: at most 1.3 times.

The site is written once to note every chart it draws; then the same charts are drawn alone, and
the site is written again, in turn. Prints medians of CPU and wall seconds, the ratio, the number
of charts and the largest page. Run: python benchmarks/report_speed.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

import loyalty_exp.report
from loyalty_exp.report import canvas, charts, rowcharts
from loyalty_exp.report.render import site

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

import report_samples as samples

LARGEST_RATIO = 1.3
Drawing = Callable[[], object]


def noted(write: Callable[[], object]) -> list[Drawing]:
    """Every chart that a piece of work draws, ready to be drawn again.

    Args:
        write: the work.
    """
    found: list[Drawing] = []
    places = [(charts, name) for name in ("monthly", "money")]
    places += [(rowcharts, name) for name in ("forest", "waterfall")]
    modules = [m for n, m in sys.modules.items() if n.startswith(loyalty_exp.report.__name__)]
    kept: list[tuple[Any, str, Any]] = []
    for home, name in places:
        original = getattr(home, name)

        def note(*given: Any, _draw: Any = original, **named: Any) -> Any:
            found.append(partial(_draw, *given, **named))
            return _draw(*given, **named)

        for module in modules:
            if getattr(module, name, None) is original:
                kept.append((module, name, original))
                setattr(module, name, note)
    try:
        write()
    finally:
        for module, name, original in kept:
            setattr(module, name, original)
    return found


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of a piece of work, its threads included."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


@click.command()
@click.option("--campaigns", default=50, show_default=True)
@click.option("--runs", default=3, show_default=True)
def main(campaigns: int, runs: int) -> None:
    """Write the site and draw its charts, in turn."""
    results = samples.crowd(campaigns, segments=6, count=12)
    with tempfile.TemporaryDirectory() as folder:
        write = partial(site, results, Path(folder), language="fr", project="Benchmark", years=None)
        drawings = noted(write)
        size = max(path.stat().st_size for path in Path(folder).iterdir())

        def draw() -> None:
            for drawing in drawings:
                drawing()

        alone, whole = [], []
        for _ in range(runs):
            alone.append(timed(draw))
            whole.append(timed(write))
    for name, times in (("charts alone", alone), ("whole site", whole)):
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        click.echo(f"{name:14} CPU {cpu:6.2f} s   wall {wall:6.2f} s")
    ratios = [s[0] / c[0] for s, c in zip(whole, alone, strict=True)]
    ratio = statistics.median(ratios)
    click.echo(
        f"{campaigns} campaigns, {len(drawings)} charts of {canvas.WIDTH} units; "
        f"largest page {size / 1e6:.2f} MB"
    )
    click.echo(f"ratio of CPU   {ratio:.2f} (at most {LARGEST_RATIO})")
    if ratio > LARGEST_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
