"""docs/benchmarks.md from what was measured. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["page"]

Found = Mapping[str, Any]

HEAD = """# Speed and memory

Written by `make bench`; not edited by hand. Data: `loyalty_exp.simulate`, {orders}, in random
order in one Parquet file; 12 months of outcomes and 12 before; revenue, margin, orders and active.
Cost is CPU seconds, user and system, of a process of its own; figures are medians of {rounds}
rounds in which all pieces of work take turns (loading, and a month on, once). Linear algebra has
one thread in every piece of work, ours and the peers': on two cores more only cost. The limit is
the hash-aggregate of the file by customer and month in the same engine, in the same rounds.

Machine: {machine}; Python {python}; the median load of the machine meanwhile was {load:.1f}: other
work ran beside it, which raises CPU seconds of all pieces alike, and the clock much more.

"""

BARE = (
    ("bare_scan", "every column of the file, read", None),
    ("bare_aggregate", "hash-aggregate by customer and month: the limit, 1", None),
    ("roll_up", "the same, kept in the store, sorted", 2.0),
    ("campaigns_1", "one campaign: all moments, from the roll-up", 1.25),
    ("campaigns_10", "10 campaigns over the same customers", None),
    ("campaigns_50", "50 campaigns over the same customers", 6.0),
    ("draw", "draw of one campaign, its roster written", 0.4),
    ("load", "`load` of the whole file into an empty store", None),
)
PEERS = (
    ("pandas_statsmodels", "pandas and statsmodels", 3.0),
    ("polars", "polars", 1.7),
    ("tea_tasting", "tea-tasting on DuckDB", 5.0),
)
FIFTY, FIFTY_TARGET = 50, 10.0
ON_PEERS = """The same question, each peer in its best form known to us: 12 monthly and 11
cumulative effects of four metrics, adjusted for the year before. All read the orders' file and make
one table of a row a customer; we start from the roll-up that a load keeps, and one column charges
us the roll-up too. For 50 campaigns a peer keeps its table and repeats its analysis: extrapolated
from one, its joins left out."""


def page(sizes: Sequence[Found]) -> str:
    """The whole page, one section a size."""
    parts = []
    for number, found in enumerate(sizes):
        orders = f"{found['millions']:g} million customers and about ten times as many orders"
        head = HEAD.format(**{**found, "orders": orders})
        parts.append(head if number == 0 else f"\n# {orders}\n\n" + head.split("\n\n", 1)[1])
        parts.append(_against_the_limit(found["costs"]))
        parts.append(_against_peers(found["costs"]))
        parts.append(_next_month(found["costs"]))
    if len(sizes) > 1:
        parts.append(_growth(sizes[0], sizes[-1]))
    return "".join(parts) + REPRODUCE


def _verdict(value: float, target: float | None, *, most: bool = True) -> str:
    if target is None:
        return ""
    return "met" if (value <= target) == most else "**missed**"


def _against_the_limit(costs: Found) -> str:
    limit = costs["bare_aggregate"]["cpu"]
    rows = ["| work | CPU s | x the limit | target | | peak GiB |", "|---|---:|---:|---:|---|---:|"]
    for work, words, target in BARE:
        if work in costs:
            cpu, gib = costs[work]["cpu"], costs[work]["gib"]
            aim = "" if target is None else f"<= {target:g}"
            said = _verdict(cpu / limit, target)
            rows.append(f"| {words} | {cpu:.2f} | {cpu / limit:.2f} | {aim} | {said} | {gib:.2f} |")
    return "\n".join(rows) + "\n\n"


def _against_peers(costs: Found) -> str:
    known = [peer for peer in PEERS if peer[0] in costs]
    if not known:
        return ""
    one, fifty, kept = (costs[n]["cpu"] for n in ("campaigns_1", "campaigns_50", "roll_up"))
    rows = [
        ON_PEERS,
        "",
        "| peer | CPU s | x us | target | | x us and roll-up | 50: x us | target | | GiB |",
        "|---|---:|---:|---:|---|---:|---:|---:|---|---:|",
    ]
    for work, words, target in known:
        cpu, table = costs[work]["cpu"], costs[work]["table"]
        many = (table + FIFTY * (cpu - table)) / fifty
        rows.append(
            f"| {words} | {cpu:.2f} | {cpu / one:.1f} | >= {target:g} | "
            f"{_verdict(cpu / one, target, most=False)} | {cpu / (one + kept):.1f} | {many:.1f} | "
            f">= {FIFTY_TARGET:g} | {_verdict(many, FIFTY_TARGET, most=False)} | "
            f"{costs[work]['gib']:.2f} |"
        )
    figures = ", ".join(f"{costs[work]['figure']:.6f} ({words})" for work, words, _ in known)
    own = costs["campaigns_1"]["figure"]
    rows += ["", f"Effect on the year's revenue a customer: {own:.6f} (us), {figures}.", ""]
    return "\n".join(rows) + "\n"


def _next_month(costs: Found) -> str:
    if "next_month" not in costs:
        return ""
    first, later = costs["first_time"]["cpu"], costs["next_month"]["cpu"]
    return (
        f"Load of 23 months, launch and measurement with every check: {first:.1f} s CPU. Load of "
        f"the next month and measurement again: {later:.1f} s, {later / first:.2f} of it (target "
        f"<= 0.3: {_verdict(later / first, 0.3)}).\n\n"
    )


def _growth(small: Found, large: Found) -> str:
    times = large["millions"] / small["millions"]
    rows = [
        f"## Growth from {small['millions']:g} to {large['millions']:g} million customers",
        "",
        "| work | x the cost | x the data | |",
        "|---|---:|---:|---|",
    ]
    for work, words, _ in BARE:
        if work in small["costs"] and work in large["costs"]:
            grown = large["costs"][work]["cpu"] / small["costs"][work]["cpu"]
            rows.append(f"| {words} | {grown:.1f} | {times:g} | {_linear(grown, times)} |")
    return "\n".join(rows) + "\n\n"


def _linear(grown: float, times: float) -> str:
    return "linear or less" if grown <= 1.15 * times else "more than linear"


REPRODUCE = """To do it again: `make bench`; for a larger size `.venv/bin/python benchmarks/speed.py
--millions 5`. What is not in a table was not measured.
"""
