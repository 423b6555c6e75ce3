"""The draw of 10 million customers in 200 strata against a bare sort of the same ids by md5.

Same engine, same file, a process of its own for each piece of work. The draw proper (bands, sizes,
counts, the arm of every unit) is held against the sort with both results kept in memory; then with
both written to the file, where the draw writes a roster of seven columns and the sort one of ids.
Prints medians of CPU and wall seconds, ratios and peak memory. Run: python benchmarks/draw_speed.py
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import click
import sqlalchemy as sa

from loyalty_exp.declare.frozen import StratumCounts
from loyalty_exp.stats.allocation import allocate
from loyalty_exp.store import tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.engines import joined_as_written
from loyalty_exp.store.queries import audience as queries
from loyalty_exp.store.queries.audience import Population
from loyalty_exp.store.queries.draw import Draw, assign, drawn_audience

SALT = "0123456789abcdef0123456789abcdef"
MEMORY_LIMIT = "3GB"
DECLARED, BANDS = 40, 5
LARGEST_RATIO, LARGEST_GIB = 1.5, 4.0


def prepare(path: Path, customers: int) -> None:
    """A store whose audience stands ready: ids, 40 declared strata, revenue for five bands."""
    with open_store(f"duckdb:///{path}").write() as connection:
        table = sa.Table(
            "audience",
            sa.MetaData(),
            *(sa.Column(column.name, column.type) for column in queries.audience.c),
        )
        table.create(connection)
        connection.exec_driver_sql(
            "INSERT INTO audience SELECT printf('c%09d', (i * 7919) % 1000000007), 'all', "
            f"printf('region=%02d', hash(i) % {DECLARED}), "
            "CASE WHEN hash(i + 1) % 5 = 0 THEN 0 ELSE hash(i + 2) % 100000 / 100 END "
            f"FROM range({customers}) AS ids(i)"
        )


SORTED = f"AS SELECT unit FROM audience ORDER BY md5('{SALT}:' || unit)"


def sort_in_memory(connection: sa.Connection) -> None:
    """The ids in the order of their md5."""
    connection.exec_driver_sql(f"CREATE TEMP TABLE sorted {SORTED}")


def sort_written(connection: sa.Connection) -> None:
    """The same, written to the file."""
    connection.exec_driver_sql(f"CREATE TABLE sorted {SORTED}")


def counted(connection: sa.Connection) -> tuple[list[float], Draw]:
    """The first half of a draw: bands, sizes of strata, counts of arms."""
    cuts = [float(cut) for cut in connection.execute(queries.band_quantiles()).one()]
    queries.strata.create(connection)
    connection.execute(queries.count_strata(cuts))
    sizes = connection.execute(queries.stratum_sizes()).all()
    shares = [Fraction(1, 10), Fraction(45, 100), Fraction(45, 100)]
    counts = allocate([units for _, units in sizes], shares, SALT)
    strata = tuple(
        StratumCounts(stratum, units, tuple(row))
        for (stratum, units), row in zip(sizes, counts, strict=True)
    )
    if len(strata) != DECLARED * BANDS:
        raise AssertionError(f"{len(strata)} strata")
    return cuts, Draw("speed", 0, SALT, ("holdout", "a", "b"), strata)


def draw_in_memory(connection: sa.Connection) -> None:
    """The arm of every unit."""
    cuts, drawn = counted(connection)
    armed = drawn_audience(drawn, cuts)
    kept = sa.Table(
        "drawn_units",
        sa.MetaData(),
        *(sa.Column(name, sa.Text) for name in ("unit", "stratum", "arm")),
        prefixes=["TEMPORARY"],
    )
    kept.create(connection)
    chosen = sa.select(armed.c.unit, armed.c.stratum, armed.c.arm)
    with joined_as_written(connection):
        connection.execute(kept.insert().from_select(["unit", "stratum", "arm"], chosen))


def draw_written(connection: sa.Connection) -> None:
    """All of a draw, its roster of seven columns written."""
    cuts, drawn = counted(connection)
    population = Population(tables.customers_table())
    with joined_as_written(connection):
        connection.execute(assign(drawn, cuts, population))


WORK = {
    "sort, in memory": sort_in_memory,
    "draw, in memory": draw_in_memory,
    "sort, written": sort_written,
    "draw, written": draw_written,
}


def run(work: str, path: Path) -> None:
    """One piece of work in this process, rolled back; prints its cost as JSON."""
    engine = sa.create_engine(f"duckdb:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.exec_driver_sql("SET threads = 2")
        connection.execute(sa.select(sa.literal(1)))  # the driver's imports are no draw
        cpu, wall = time.process_time(), time.perf_counter()
        WORK[work](connection)
        cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        transaction.rollback()
    cost["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(cost))


def measured(work: str, path: Path) -> dict[str, float]:
    """The cost of one piece of work in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--work", work, "--store", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    cost: dict[str, float] = json.loads(done.stdout)
    return cost


@click.command()
@click.option("--customers", default=10_000_000, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--work", type=click.Choice(list(WORK)), hidden=True)
@click.option("--store", type=click.Path(path_type=Path), hidden=True)
def main(customers: int, runs: int, work: str | None, store: Path | None) -> None:
    """Measure both in turn, and exit 1 where the draw misses its target."""
    if work is not None and store is not None:
        run(work, store)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "draw.duckdb"
        prepare(path, customers)
        costs: dict[str, list[dict[str, float]]] = {name: [] for name in WORK}
        for _ in range(runs):
            for name in WORK:
                costs[name].append(measured(name, path))
    median = {
        (name, kind): statistics.median(cost[kind] for cost in found)
        for name, found in costs.items()
        for kind in ("cpu", "wall", "gib")
    }
    for name in WORK:
        print(
            f"{name}: {median[name, 'cpu']:.1f} CPU s, {median[name, 'wall']:.1f} s, "
            f"peak {median[name, 'gib']:.2f} GiB"
        )
    for kept in ("in memory", "written"):
        ratio, wall = (
            median[f"draw, {kept}", kind] / median[f"sort, {kept}", kind]
            for kind in ("cpu", "wall")
        )
        print(f"draw / sort, {kept}: {ratio:.2f} in CPU seconds, {wall:.2f} in time")
    proper = median["draw, in memory", "cpu"] / median["sort, in memory", "cpu"]
    if proper > LARGEST_RATIO or median["draw, written", "gib"] > LARGEST_GIB:
        sys.exit(1)


if __name__ == "__main__":
    main()
