"""The pieces of work whose cost is compared; one a process, its cost printed as JSON.

Run by speed.py: `python benchmarks/speed_work.py WORK FOLDER`.
"""

from __future__ import annotations

import atexit
import datetime as dt
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb_sqlalchemy  # noqa: F401  not counted, as the imports of other work are not
import numpy as np
import pandas as pd
import segment_work
from speed_data import CAMPAIGNS, DECLARATION

MONTHS = 12
METRICS = ("revenue", "margin", "orders", "active")
START = 2025 * 12 + 1
NAMES = [f"{metric}_{k}" for metric in METRICS for k in range(MONTHS)]
SUMS = [f"{metric}_c{k}" for metric in METRICS for k in range(1, MONTHS)]
SALT = "0123456789abcdef0123456789abcdef"

Work = Callable[[Path], Callable[[], Any]]
"""Prepares, uncounted, and gives back what is counted; its result is the figure printed."""


TABLE_MADE: list[float] = []
"""CPU seconds when a peer has its table of one row a customer, which campaigns share, or a load
its table of orders.
"""


def duckdb_on(folder: Path, threads: int = 2) -> Any:
    import duckdb

    engine = duckdb.connect(config={"threads": threads})
    engine.execute("SET memory_limit = '8GB'")
    engine.execute(f"SET temp_directory = '{folder}'")
    return engine


def scratch(folder: Path) -> Path:
    """A folder for this process alone."""
    home = Path(tempfile.mkdtemp(dir=folder))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def bare_scan(folder: Path) -> Callable[[], Any]:
    """Every column of the file read once."""
    engine = duckdb_on(folder)
    columns = ("order_id", "customer_id", "ordered_at", "revenue", "margin")
    read = ", ".join(f"max({column})" for column in columns)
    return lambda: engine.execute(f"SELECT {read} FROM '{folder}/orders.parquet'").fetchall() and 0


def bare_read(folder: Path, file: str) -> Callable[[], Any]:
    """Every row and column of a file into a table in memory, types as the engine guesses them."""
    engine = duckdb_on(folder)
    text = f"CREATE TEMP TABLE orders AS SELECT * FROM '{folder}/{file}'"
    return lambda: engine.execute(text).fetchall() and 0


def bare_table(folder: Path, file: str) -> Callable[[], Any]:
    """Every row and column of a file into a table of a new database file."""
    engine = duckdb_on(folder)
    engine.execute(f"ATTACH '{scratch(folder)}/kept.duckdb' AS kept")
    text = f"CREATE TABLE kept.orders AS SELECT * FROM '{folder}/{file}'"
    return lambda: engine.execute(text).fetchall() and 0


MONTHLY = (
    "SELECT customer_id AS customer, year(ordered_at) * 12 + month(ordered_at) AS month, "
    "sum(revenue) AS revenue, sum(margin) AS margin, count(*) AS orders "
    "FROM '{folder}/orders.parquet' GROUP BY ALL"
)


def bare_aggregate(folder: Path, threads: int = 2) -> Callable[[], Any]:
    """The hash-aggregate by customer and month of the file, every column of it made."""
    engine = duckdb_on(folder, threads)
    made = "count(*), max(customer), max(month), sum(revenue), sum(margin), sum(orders)"
    text = f"SELECT {made} FROM ({MONTHLY.format(folder=folder)})"
    return lambda: engine.execute(text).fetchall() and 0


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


def wide(folder: Path) -> str:
    """One row a customer with every outcome and covariate, as a query on the orders' file."""
    columns = []
    for metric in METRICS:
        value = "CAST(orders > 0 AS INTEGER)" if metric == "active" else metric
        for k in range(MONTHS):
            columns.append(f"sum(CASE WHEN month = {START + k} THEN {value} ELSE 0 END)")
            columns[-1] += f" AS {metric}_{k}"
        for k in range(1, MONTHS):
            inside = f"month >= {START} AND month <= {START + k}"
            columns.append(f"sum(CASE WHEN {inside} THEN {value} ELSE 0 END) AS {metric}_c{k}")
        columns.append(f"sum(CASE WHEN month < {START} THEN {value} ELSE 0 END) AS {metric}_x")
    monthly = MONTHLY.format(folder=folder)
    return f"SELECT customer, {', '.join(columns)} FROM ({monthly}) GROUP BY customer"


def tea_tasting(folder: Path) -> Callable[[], Any]:
    """tea-tasting on DuckDB: a table of one row a customer, then an experiment of 92 metrics."""
    import ibis
    import tea_tasting as tt

    engine = ibis.duckdb.connect(threads=2)
    engine.raw_sql(f"SET temp_directory = '{folder}'")
    engine.raw_sql(f"ATTACH '{folder}/store.duckdb' AS store (READ_ONLY)")

    def measure() -> float:
        engine.raw_sql(
            "CREATE TEMP TABLE units AS SELECT CAST(arm = 'call' AS INTEGER) AS variant, wide.* "
            f"FROM ({wide(folder)}) AS wide JOIN store.assignments USING (customer) "
            "WHERE campaign = 'c00'"
        )
        TABLE_MADE.append(cpu_seconds())
        metrics = {name: tt.Mean(name, f"{name.split('_')[0]}_x") for name in [*NAMES, *SUMS]}
        result = tt.Experiment(metrics).analyze(engine.table("units"), control=0)
        return float(result[f"revenue_c{MONTHS - 1}"].effect_size)

    return measure


def arms_of(folder: Path, campaign: int = 0) -> Any:
    """Customer and whether treated, of one campaign, an Arrow table."""
    with duckdb_on(folder) as engine:
        engine.execute(f"ATTACH '{folder}/store.duckdb' AS store (READ_ONLY)")
        return engine.execute(
            "SELECT customer, arm = 'call' AS treated FROM store.assignments "
            f"WHERE campaign = 'c{campaign:02d}'"
        ).to_arrow_table()


def pandas_statsmodels(folder: Path) -> Callable[[], Any]:
    """Pandas to a table of one row a customer, then one regression an outcome by statsmodels."""
    import statsmodels.api as sm

    arms = arms_of(folder).to_pandas().set_index("customer")["treated"]
    columns = ["customer_id", "ordered_at", "revenue", "margin"]

    def measure() -> float:
        orders = pd.read_parquet(folder / "orders.parquet", columns=columns)
        customer = arms.index.get_indexer(orders["customer_id"])
        at = orders["ordered_at"].dt
        month = (at.year * 12 + at.month - (START - 12)).to_numpy()
        cell = customer * 24 + month
        size = 24 * len(arms)
        tables = {
            "revenue": np.bincount(cell, weights=orders["revenue"], minlength=size),
            "margin": np.bincount(cell, weights=orders["margin"], minlength=size),
            "orders": np.bincount(cell, minlength=size).astype(float),
        }
        tables["active"] = (tables["orders"] > 0).astype(float)
        TABLE_MADE.append(cpu_seconds())
        treated = arms.to_numpy(dtype=float)
        effect = 0.0
        for table in tables.values():
            by_month = table.reshape(len(arms), 24)
            x = np.column_stack([np.ones(len(arms)), treated, by_month[:, :12].sum(axis=1)])
            outcomes = [by_month[:, 12 + k] for k in range(MONTHS)]
            outcomes += list(by_month[:, 12:].cumsum(axis=1).T[1:])
            fits = [sm.OLS(y, x).fit(cov_type="HC2") for y in outcomes]
            effect = effect or float(fits[-1].params[1])
        return effect

    return measure


def polars(folder: Path, campaigns: int = 1) -> Callable[[], Any]:
    """Polars to a table of one row a customer, then the sums that each outcome needs, by arm."""
    import polars as pl

    def measure() -> float:
        when = pl.col("ordered_at")
        month = when.dt.year().cast(pl.Int32) * 12 + when.dt.month()
        monthly = (
            pl.scan_parquet(folder / "orders.parquet")
            .group_by(pl.col("customer_id").alias("customer"), month.alias("month"))
            .agg(pl.col("revenue").sum(), pl.col("margin").sum(), pl.len().alias("orders"))
            .with_columns((pl.col("orders") > 0).cast(pl.Float64).alias("active"))
        )
        wanted = [
            pl.col(metric).filter(pl.col("month") == START + k).sum().alias(f"{metric}_{k}")
            for metric in METRICS
            for k in range(MONTHS)
        ]
        wanted += [
            pl.col(metric).filter(pl.col("month") < START).sum().alias(f"{metric}_x")
            for metric in METRICS
        ]
        sums = [
            pl.sum_horizontal([f"{metric}_{j}" for j in range(k + 1)]).alias(f"{metric}_c{k}")
            for metric in METRICS
            for k in range(1, MONTHS)
        ]
        table = monthly.group_by("customer").agg(wanted).with_columns(sums)
        table = table.collect(engine="streaming")
        TABLE_MADE.append(cpu_seconds())
        found = [of_campaign(table, pl.from_arrow(arms_of(folder, n))) for n in range(campaigns)]
        return found[0]

    def of_campaign(table: Any, arms: Any) -> float:
        units = table.lazy().join(arms.lazy(), on="customer")
        figures: list[Any] = [pl.len().alias("n")]
        for metric in METRICS:
            x = pl.col(f"{metric}_x").cast(pl.Float64)
            figures += [x.mean().alias(f"{metric}:x"), x.var().alias(f"{metric}:xx")]
            for name in [n for n in [*NAMES, *SUMS] if n.split("_")[0] == metric]:
                y = pl.col(name).cast(pl.Float64)
                figures += [y.mean().alias(f"{name}:y"), y.var().alias(f"{name}:yy")]
                figures.append(pl.cov(y, x).alias(f"{name}:yx"))
        found = units.group_by("treated").agg(figures).sort("treated").collect(engine="streaming")
        effect = 0.0
        for name in [*NAMES, *SUMS]:
            metric = name.split("_")[0]
            n = found["n"].to_numpy().astype(float)
            within = n - 1
            slope = (within * found[f"{name}:yx"]).sum()
            theta = slope / (within * found[f"{metric}:xx"]).sum()
            gap = np.diff(found[f"{name}:y"])[0] - theta * np.diff(found[f"{metric}:x"])[0]
            if name == f"revenue_c{MONTHS - 1}":
                effect = float(gap)
        return effect

    return measure


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


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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
