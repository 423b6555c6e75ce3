"""The same question put to what a user would pick instead, each in its best form known to us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bare_work import (
    METRICS,
    MONTHLY,
    MONTHS,
    NAMES,
    START,
    SUMS,
    TABLE_MADE,
    cpu_seconds,
    duckdb_on,
)

__all__ = ["pandas_statsmodels", "polars", "tea_tasting"]


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
