"""Takes a forgotten person out of the lists on disk. Knows no store."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

from loyalty_exp.design.lists import safe_cell

__all__ = ["withdraw"]


def withdraw(folder: Path, customer: str) -> list[Path]:
    """Rewrite every list that holds a customer, and remove what a killed launch left behind.

    Args:
        folder: the folder of all lists; it may be missing.
        customer: the id, as the store held it.

    Returns:
        The lists that were rewritten, each whole or not at all.
    """
    for left in list(folder.rglob("*.partial")):
        left.unlink()
    for left in list(folder.rglob(".partial-*")):
        shutil.rmtree(left)
    cells = {customer, safe_cell(customer)}
    texts = [path for path in sorted(folder.rglob("*.csv")) if _rewrite_csv(path, cells)]
    tables = [path for path in sorted(folder.rglob("*.parquet")) if _rewrite_table(path, customer)]
    return texts + tables


def _rewrite_table(path: Path, customer: str) -> bool:
    """The same for a list in Parquet."""
    import duckdb  # noqa: PLC0415

    partial = path.with_name(f"{path.name}.partial")
    with duckdb.connect() as engine:
        rows = engine.read_parquet(str(path))
        mine = duckdb.ColumnExpression("customer_id") == duckdb.ConstantExpression(customer)
        if not rows.filter(mine).fetchone():
            return False
        rows.filter(~mine).write_parquet(str(partial))
    partial.chmod(0o600)
    partial.replace(path)
    return True


def _rewrite_csv(path: Path, cells: set[str]) -> bool:
    """Leave out the rows with one of these cells; False where there is none."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows if cells.isdisjoint(row)]
    if len(kept) == len(rows):
        return False
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(kept)
    partial.replace(path)
    return True
