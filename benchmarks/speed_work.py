"""The pieces of work whose cost is compared; one a process, its cost printed as JSON.

Run by speed.py: `python benchmarks/speed_work.py WORK FOLDER`.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb_sqlalchemy  # noqa: F401  not counted, as the imports of other work are not
import segment_work
from bare_work import (
    MONTHS,
    NAMES,
    START,
    SUMS,
    TABLE_MADE,
    bare_aggregate,
    bare_read,
    bare_scan,
    bare_table,
    cpu_seconds,
    scratch,
)
from peer_work import pandas_statsmodels, polars, tea_tasting
from speed_data import CAMPAIGNS, DECLARATION

SALT = "0123456789abcdef0123456789abcdef"

Work = Callable[[Path], Callable[[], Any]]
"""Prepares, uncounted, and gives back what is counted; its result is the figure printed."""


def roll_up(folder: Path) -> Callable[[], Any]:
    """The product's own roll-up of the orders in its store, sorted, repeatable and committed."""
    from loyalty_exp.store.database import open_store
    from loyalty_exp.store.summaries import keep_months

    store = open_store(f"duckdb:///{scratch(folder) / 'own.duckdb'}")
    with store.write() as connection:
        connection.exec_driver_sql(f"ATTACH '{folder}/store.duckdb' AS whole (READ_ONLY)")
        connection.exec_driver_sql("INSERT INTO orders SELECT * FROM whole.orders")

    def build() -> int:
        with store.write() as connection:
            keep_months(connection)
        return 0

    return build


def outcomes_of(folder: Path, campaigns: int) -> Callable[[], Any]:
    """Moments of all outcomes and covariates for some campaigns, and the effect of the first."""
    from loyalty_exp.stats.ancova import joint_effects
    from loyalty_exp.store.database import open_store
    from loyalty_exp.store.outcomes import read_many
    from loyalty_exp.store.queries.moments import Window

    first = Window(
        campaign="c00",
        wave=0,
        start=dt.date(2025, 1, 1),
        first_month=START,
        months=MONTHS,
        covariate_months=12,
        by_customer=True,
    )
    asked = [([replace(first, campaign=f"c{n:02d}")], {}) for n in range(campaigns)]
    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")

    def measure() -> float:
        with store.read(repeatable=True) as connection:
            found = read_many(connection, asked)
        for outcomes in found:
            names = [*NAMES, *SUMS]
            covariates = [f"{name.split('_')[0]}_x" for name in names]
            effects = joint_effects(outcomes.comparisons("call", "holdout"), names, covariates)
        one = joint_effects(
            found[0].comparisons("call", "holdout"), [f"revenue_c{MONTHS - 1}"], ["revenue_x"]
        )
        return float(one.estimate[0]) if len(effects.estimate) else 0.0

    return measure


def draw(folder: Path) -> Callable[[], Any]:
    """The draw of all customers in revenue bands, its roster written; then rolled back."""
    import sqlalchemy as sa

    from loyalty_exp.declare.frozen import StratumCounts
    from loyalty_exp.stats.allocation import allocate
    from loyalty_exp.store import tables
    from loyalty_exp.store.engines import joined_as_written
    from loyalty_exp.store.members import keep_members
    from loyalty_exp.store.queries import audience as queries
    from loyalty_exp.store.queries.draw import Draw, assign

    engine = sa.create_engine(f"duckdb:///{folder / 'store.duckdb'}", poolclass=sa.NullPool)
    connection = engine.connect()
    connection.begin()
    queries.audience.create(connection)
    queries.strata.create(connection)
    connection.exec_driver_sql(
        "INSERT INTO audience SELECT customer, 'all', '', sum(CASE WHEN month < "
        f"{START} THEN revenue ELSE 0 END) FROM customer_month GROUP BY customer"
    )

    def drawn() -> int:
        cuts = [float(cut) for cut in connection.execute(queries.band_quantiles()).one()]
        connection.execute(queries.count_strata(cuts))
        sizes = connection.execute(queries.stratum_sizes()).all()
        counts = allocate([units for _, units in sizes], [Fraction(1, 5), Fraction(4, 5)], SALT)
        strata = tuple(
            StratumCounts(stratum, units, tuple(row))
            for (stratum, units), row in zip(sizes, counts, strict=True)
        )
        recipe = Draw("new", 0, SALT, ("holdout", "call"), strata)
        population = queries.Population(tables.customers_table())
        with joined_as_written(connection):
            connection.execute(assign(recipe, cuts, population))
        keep_members(connection, (recipe.campaign, recipe.wave))
        connection.rollback()
        return 0

    return drawn


def project_on(folder: Path, home: Path, orders: str) -> Any:
    import loyalty_exp as lx

    path = home / "campaigns.toml"
    path.write_text(DECLARATION.format(database="own.duckdb", orders=folder.resolve() / orders))
    return lx.open(path)


def load(folder: Path, file: str) -> Callable[[], Any]:
    """`loyalty-exp load` of the whole file, the store not there yet."""
    from loyalty_exp.store import merging

    project = project_on(folder, scratch(folder), file)
    keep = merging.keep_summaries

    def noted(*arguments: Any, **options: Any) -> None:
        TABLE_MADE.append(cpu_seconds())
        keep(*arguments, **options)

    merging.keep_summaries = noted
    return lambda: project.load() and 0


def launched(folder: Path, home: Path) -> float:
    """Load all but the last month, launch and measure."""
    project = project_on(folder, home, "first.parquet")
    project.load()
    project.launch("c00")
    return float(project.measure("c00").rows[0].effect_per_customer or 0.0)


def first_time(folder: Path) -> Callable[[], Any]:
    """Load all but the last month, launch and measure: the commands, with every check."""
    home = scratch(folder)
    return lambda: launched(folder, home) and 0


def next_month(folder: Path) -> Callable[[], Any]:
    """Load the last month into what `first_time` left, and measure again."""
    home = scratch(folder)
    launched(folder, home)
    project = project_on(folder, home, "last.parquet")

    def again() -> int:
        project.load()
        project.measure("c00")
        return 0

    return again


WORK: dict[str, Work] = {
    "bare_scan": bare_scan,
    "bare_read_parquet": lambda folder: bare_read(folder, "orders.parquet"),
    "bare_read_csv": lambda folder: bare_read(folder, "orders.csv"),
    "bare_table": lambda folder: bare_table(folder, "orders.parquet"),
    "bare_table_csv": lambda folder: bare_table(folder, "orders.csv"),
    "bare_aggregate": bare_aggregate,
    "bare_aggregate_three": lambda folder: bare_aggregate(folder, threads=3),
    "roll_up": roll_up,
    "draw": draw,
    "bare_by_customer": segment_work.bare_by_customer,
    "rhythm": lambda folder: segment_work.rhythm(folder, scratch(folder)),
    "rfm": lambda folder: segment_work.features(folder, ["rfm"]),
    "features": lambda folder: segment_work.features(folder, None),
    "features_past": lambda folder: segment_work.features(folder, None, segment_work.PAST),
    "compare": lambda folder: segment_work.compared(folder, None),
    "compare_rfm": lambda folder: segment_work.compared(folder, "rfm"),
    "campaigns_1": lambda folder: outcomes_of(folder, 1),
    "campaigns_10": lambda folder: outcomes_of(folder, 10),
    "campaigns_50": lambda folder: outcomes_of(folder, CAMPAIGNS),
    "tea_tasting": tea_tasting,
    "pandas_statsmodels": pandas_statsmodels,
    "polars": polars,
    "polars_50": lambda folder: polars(folder, CAMPAIGNS),
    "load_parquet": lambda folder: load(folder, "orders.parquet"),
    "load_csv": lambda folder: load(folder, "orders.csv"),
    "first_time": first_time,
    "next_month": next_month,
}


def peak_gib() -> float:
    """Peak memory of this process, without that of the one it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    counted = WORK[name](folder)
    cpu, wall = cpu_seconds(), time.perf_counter()
    figure = counted()
    cost = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall, "figure": figure}
    if TABLE_MADE:
        cost["table"] = TABLE_MADE[0] - cpu
    cost["gib"] = peak_gib()
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
