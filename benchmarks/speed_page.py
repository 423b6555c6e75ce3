"""docs/benchmarks.md from what was measured. Measures nothing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["page"]

Found = Mapping[str, Any]
Costs = Mapping[str, Mapping[str, float]]
Works = Sequence[tuple[str, str, float | None]]

HEAD = """# Speed and memory

Made by `make bench` of the files in `benchmarks/measured`; a test holds it to them. Cost is CPU
seconds, user and system, of a process of its own; figures are medians of rounds in which pieces of
work take turns. Not every piece is in every round: the number of runs is given, some have one.
Targets that are missed are shown as missed. Each size names the version of the code that it was
measured with, the last commit that changed any of it; growth is told between sizes of one version
on one machine.

Data: `loyalty_exp.simulate`, about ten orders a customer in two years, in random order, in one
Parquet file and in one CSV file of the same rows: two text columns, a moment, two amounts. A
campaign asks for 12 months of outcomes and 12 before; revenue, margin, orders and active. Linear
algebra has one thread in every piece of work, ours and the peers': on two cores more only cost.

"""
SIZE = """## {millions:g} million customers, {orders:g} million orders

Version {version}; {machine}; Python {python}. Median load of the machine
meanwhile: {load:.1f} processes. Other work ran beside it where this is above 2; it raises CPU
seconds of all pieces alike, and the clock much more.{spread}

"""

BARE = (
    ("bare_scan", "every column of the file, read", None),
    ("bare_aggregate", "hash-aggregate by customer and month: the limit", None),
    ("bare_aggregate_three", "the same on three threads, as our roll-up groups", None),
    ("roll_up", "roll-up of the store's orders, sorted, repeatable, committed", 2.0),
    ("rhythm", "rhythm of every customer, from the roll-up, committed", None),
    ("campaigns_1", "one campaign: all moments, from the roll-up", 1.25),
    ("campaigns_10", "10 campaigns over the same customers", None),
    ("campaigns_50", "50 campaigns over the same customers", 6.0),
    ("draw", "draw of one campaign, its roster written", 0.4),
)
ON_THE_LIMIT = """The limit is the hash-aggregate of the Parquet file by customer and month in the
same engine, every column of its result made, on a thread a core: DuckDB's own number.
"""
LOADS = (
    ("load_parquet", "bare_read_parquet", "Parquet"),
    ("load_csv", "bare_read_csv", "CSV"),
)
TABLES = {"load_parquet": "bare_table", "load_csv": "bare_table_csv"}
LOAD_TARGET = 4.0
ON_LOADS = """### Loading

`loyalty-exp load` of the file, the store not there yet. The orders: digest, judgement of every row,
repeated ids, committed to the store's file. The whole command: their roll-up and every customer's
rhythm too, which later steps would pay for otherwise. The bare read is the same engine's `CREATE
TEMP TABLE ... AS SELECT *` of the file: every column and row into memory, nothing judged, nothing
written.
"""
ON_PARTS = """The same loads in two parts, each beside what the engine pays for the like of it: its
own `CREATE TABLE ... AS SELECT *` of the file in a database file, where nothing is judged and ids
may repeat; and the hash-aggregate by customer and month, of which nothing is sorted or written.
"""
SEGMENTS = (
    ("bare_by_customer", "hash-aggregate by customer: the limit", None),
    ("rfm", "RFM name of every customer at a date", 2.0),
    ("features", "all features and RFM at the last day, rhythm included", 2.0),
    ("features_past", "the same half a year earlier, within a month", None),
    ("compare", "year over year of the company, from the roll-up", 1.0),
    ("compare_rfm", "year over year by RFM segment in both views, from the roll-up", 1.0),
)
ON_SEGMENTS = """### Segments and year over year

The limit is the hash-aggregate of the Parquet file by customer in the same engine, every column of
its result made. Year over year counts the check of the calendar, and by segment the RFM of both
years.
"""
PEERS = (
    ("pandas_statsmodels", "pandas and statsmodels", 3.0),
    ("polars", "polars", 1.7),
    ("tea_tasting", "tea-tasting on DuckDB", 5.0),
)
WORKS = (
    *(work for work, *_ in (*BARE, *SEGMENTS, *LOADS, *PEERS)),
    *(bare for _, bare, _ in LOADS),
    *TABLES.values(),
    "first_time",
    "next_month",
)
"""Every piece of work that the page may show."""
FIFTY, FIFTY_TARGET = 50, 10.0
ON_PEERS = """### Peers

The same question, each peer in its best form known to us: 12 monthly and 11 cumulative effects of
four metrics, adjusted for the year before. All read the orders' file and make one table of a row a
customer; we start from what the store keeps: the roll-up, which one column charges us too, and who
is in each arm, which a launch keeps and the draw is charged with. For 50 campaigns a peer keeps its
table and repeats its join and analysis: run in full by polars at 1 million customers, else
extrapolated from one campaign, the joins left out. No limit is set on a peer's memory.
"""
SLOPES = """The regression and its sums in polars take the slope on the year before within the arms;
tea-tasting and we take it over both together."""
MOST_GIB = {5: 4.0}
LARGEST_GIB = 8.0


def page(measured: Path) -> str:
    """The whole page, one section a size, from a folder with a file of each."""
    found = (json.loads(path.read_text()) for path in measured.glob("*.json"))
    sizes: list[Found] = sorted(found, key=lambda each: float(each["millions"]))
    parts = [HEAD]
    for found in sizes:
        costs = _medians(found)
        loads = statistics.median(found["loads"])
        known = {"load": loads, "orders": 10 * found["millions"], "spread": _spread(found)}
        parts.append(SIZE.format(**{**found, **known}))
        parts.append(_against_the_limit(costs, "bare_aggregate", BARE, ON_THE_LIMIT))
        parts.append(_against_the_limit(costs, "bare_by_customer", SEGMENTS, ON_SEGMENTS))
        parts += [_loading(costs), _against_peers(costs)]
        parts += [_next_month(costs), _memory(costs, found["millions"])]
        parts.append(found.get("note", ""))
        if found["failed"]:
            parts.append(f"Failed: {', '.join(found['failed'])}.")
        if missing := [work for work in WORKS if work not in {*costs, *found["failed"]}]:
            parts.append(f"Not measured at this size: {', '.join(missing)}.")
    alike = [pair for pair in pairwise(sizes) if _of(pair[0]) == _of(pair[1])]
    parts += [_growth(*pair) for pair in alike]
    parts += [_campaigns(found) for found in sizes]
    parts.append(REPRODUCE)
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _of(found: Found) -> tuple[str, str]:
    """What figures must share to be compared."""
    return found["version"], found["machine"]


def _spread(found: Found) -> str:
    """How far runs of the same work lie apart: neighbours of a virtual machine slow its memory."""
    spans = [
        max(costs) / min(costs)
        for runs in found["costs"].values()
        if len(costs := [run["cpu"] for run in runs]) > 1
    ]
    if not spans:
        return ""
    middle, most = statistics.median(spans), max(spans)
    said = f"The dearest run of a piece cost {middle:.2f} times its cheapest"
    return f"\n{said}, at most {most:.2f} times."


def _medians(found: Found) -> dict[str, dict[str, float]]:
    """Of every figure of every piece of work; `runs` is how many there were."""
    return {
        work: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        | {"runs": len(runs)}
        for work, runs in found["costs"].items()
    }


def _verdict(value: float, target: float | None, *, most: bool = True) -> str:
    if target is None:
        return ""
    return "met" if (value <= target) == most else "**missed**"


def _against_the_limit(costs: Costs, limit: str, works: Works, words: str) -> str:
    """Pieces of work as multiples of the bare one."""
    if limit not in costs:
        return ""
    rows = [
        words,
        "| work | runs | CPU s | x the limit | target | | peak GiB |",
        "|---|---:|---:|---:|---:|---|---:|",
    ]
    for work, name, target in works:
        if work in costs:
            cost, ratio = costs[work], costs[work]["cpu"] / costs[limit]["cpu"]
            aim = "" if target is None else f"<= {target:g}"
            rows.append(
                f"| {name} | {cost['runs']} | {cost['cpu']:.2f} | {ratio:.2f} | {aim} | "
                f"{_verdict(ratio, target)} | {cost['gib']:.2f} |"
            )
    return "\n".join(rows)


def _loading(costs: Costs) -> str:
    rows = [
        ON_LOADS,
        "| load | runs | CPU s | bare read, CPU s | x | target | | peak GiB |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    known = [each for each in LOADS if each[0] in costs]
    for work, bare, words in known:
        cost, read = costs[work], costs.get(bare, {}).get("cpu")
        for part, name in (("orders", "table"), ("the whole command", "cpu")):
            ratio = "" if read is None else f"{cost[name] / read:.2f}"
            said = "not known" if read is None else _verdict(cost[name] / read, LOAD_TARGET)
            rows.append(
                f"| {words}: {part} | {cost['runs']} | {cost[name]:.1f} | "
                f"{'' if read is None else f'{read:.2f}'} | {ratio} | <= {LOAD_TARGET:g} | {said} "
                f"| {cost['gib']:.2f} |"
            )
    return "\n".join([*rows, *_parts_of_loads(costs)]) if known else ""


def _parts_of_loads(costs: Costs) -> list[str]:
    """What the orders cost, and what is kept beside them."""
    parts = []
    for work, _, words in LOADS:
        limits = [costs.get(name, {}).get("cpu") for name in (TABLES[work], "bare_aggregate")]
        orders = costs.get(work, {}).get("table")
        if orders is None or None in limits:
            continue
        shares = (orders, costs[work]["cpu"] - orders)
        said = (
            (f"{words}: orders read, judged, committed", "`CREATE TABLE`"),
            (f"{words}: their roll-up and the rhythms, committed", "hash-aggregate"),
        )
        parts += [
            f"| {part} | {cost:.1f} | {like} | {limit:.2f} | {cost / limit:.2f} |"
            for (part, like), cost, limit in zip(said, shares, limits, strict=True)
        ]
    head = ["| part | CPU s | beside | CPU s | x |", "|---|---:|---|---:|---:|"]
    return ["", ON_PARTS, *head, *parts] if parts else []


def _against_peers(costs: Costs) -> str:
    known = [peer for peer in PEERS if peer[0] in costs]
    if not known or not {"campaigns_1", "campaigns_50", "roll_up"} <= costs.keys():
        return ""
    one, fifty, kept = (costs[n]["cpu"] for n in ("campaigns_1", "campaigns_50", "roll_up"))
    rows = [
        ON_PEERS,
        "| peer | runs | CPU s | x us | target | | x us and roll-up | 50: x us | target | | GiB |",
        "|---|---:|---:|---:|---:|---|---:|---:|---:|---|---:|",
    ]
    for work, words, target in known:
        cpu, table = costs[work]["cpu"], costs[work]["table"]
        whole = costs.get(f"{work}_50", {"cpu": table + FIFTY * (cpu - table)})["cpu"]
        many = whole / fifty
        rows.append(
            f"| {words} | {costs[work]['runs']} | {cpu:.2f} | {cpu / one:.1f} | >= {target:g} | "
            f"{_verdict(cpu / one, target, most=False)} | {cpu / (one + kept):.1f} | {many:.1f} | "
            f">= {FIFTY_TARGET:g} | {_verdict(many, FIFTY_TARGET, most=False)} | "
            f"{costs[work]['gib']:.2f} |"
        )
    figures = ", ".join(f"{costs[work]['figure']:.6f} ({words})" for work, words, _ in known)
    own = costs["campaigns_1"]["figure"]
    rows += ["", f"Effect on the year's revenue a customer: {own:.6f} (us), {figures}.", SLOPES]
    return "\n".join(rows)


def _next_month(costs: Costs) -> str:
    if not {"first_time", "next_month"} <= costs.keys():
        return ""
    first, later = costs["first_time"]["cpu"], costs["next_month"]["cpu"]
    return (
        "### One more month\n\n"
        f"Load of 23 months, launch and measurement with every check: {first:.1f} s CPU. Load of "
        f"the next month and measurement again: {later:.1f} s, {later / first:.2f} of it (target "
        f"<= 0.3: {_verdict(later / first, 0.3)})."
    )


def _memory(costs: Costs, millions: float) -> str:
    """The largest peak of our own steps, against what the size may take."""
    peers = {name for work, *_ in PEERS for name in (work, f"{work}_50")}
    own = {
        work: cost["gib"]
        for work, cost in costs.items()
        if work not in peers and not work.startswith("bare")
    }
    if not own:
        return ""
    work = max(own, key=lambda name: own[name])
    target = MOST_GIB.get(round(millions), LARGEST_GIB)
    return (
        f"Largest peak of a step of ours: {own[work]:.2f} GiB ({work}; target <= {target:g}: "
        f"{_verdict(own[work], target)})."
    )


def _growth(small: Found, large: Found) -> str:
    """Growth in orders."""
    times = large["millions"] / small["millions"]
    few, many = _medians(small), _medians(large)
    rows = [
        f"## Growth from {small['millions']:g} to {large['millions']:g} million customers",
        "",
        "| work | x the cost | x the data | |",
        "|---|---:|---:|---|",
    ]
    words = {work: words for work, words, _ in BARE} | {
        work: f"load, {words}" for work, _, words in LOADS
    }
    for work, said in words.items():
        if work in few and work in many:
            grown = many[work]["cpu"] / few[work]["cpu"]
            rows.append(f"| {said} | {grown:.1f} | {times:g} | {_linear(grown, times)} |")
    return "\n".join(rows)


def _campaigns(found: Found) -> str:
    """Growth in campaigns at one size."""
    costs = _medians(found)
    if not {f"campaigns_{n}" for n in (1, 10, 50)} <= costs.keys():
        return ""
    one, ten, fifty = (costs[f"campaigns_{n}"]["cpu"] for n in (1, 10, 50))
    return (
        f"At {found['millions']:g} million customers 10 campaigns cost {ten / one:.1f} times one, "
        f"50 campaigns {fifty / one:.1f} times."
    )


def _linear(grown: float, times: float) -> str:
    return "linear or less" if grown <= 1.15 * times else "**more than linear**"


REPRODUCE = """## To do it again

`make bench` makes the data, measures 1 and 5 million customers (25 GB of disk) and writes this
page; `.venv/bin/python benchmarks/speed.py --millions 20` adds a larger size, and several
`--millions` take turns, piece by piece, for a machine that is faster at one hour than at another.
`--only` runs some pieces, and `--add` adds their runs to those of the same version and machine.
What is not in a table was not measured.
"""
