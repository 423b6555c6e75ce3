"""Takes a forgotten person out of the lists on disk. Knows no store."""

from __future__ import annotations

import csv
import os
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

from loyalty_exp.design.lists import safe_cell

__all__ = ["withdraw"]


def withdraw(folder: Path, customer: str) -> list[Path]:
    """Rewrite every list that holds a customer, and remove what a killed launch left behind.

    Args:
        folder: the folder of all lists; it may be missing.
        customer: the id, as the store held it.

    Returns:
        The lists that were rewritten, each whole or not at all; one in Excel's format is removed,
        and written anew by the next launch.
    """
    for left in list(folder.rglob("*.partial")):
        left.unlink()
    for left in list(folder.rglob(".partial-*")):
        shutil.rmtree(left)
    cells = {customer, safe_cell(customer)}
    texts = [path for path in sorted(folder.rglob("*.csv")) if _rewrite_csv(path, cells)]
    tables = [path for path in sorted(folder.rglob("*.parquet")) if _rewrite_table(path, customer)]
    books = [path for path in sorted(folder.rglob("*.xlsx")) if _remove_book(path, customer)]
    return texts + tables + books


def _remove_book(path: Path, customer: str) -> bool:
    """Remove a workbook that names a customer in any of its parts."""
    with zipfile.ZipFile(path) as book:
        parts = [name for name in book.namelist() if name.endswith(".xml")]
        found = any(_names(book.read(name), customer) for name in parts)
    if found:
        path.unlink()
    return found


def _names(part: bytes, customer: str) -> bool:
    """Whether a cell of a part of a workbook is this text."""
    cells = ET.fromstring(part).iter()  # noqa: S314
    return any(cell.text == customer for cell in cells)


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
        delimiter = ";" if ";" in file.readline() else ","
        file.seek(0)
        rows = list(csv.reader(file, delimiter=delimiter))
    kept = [row for row in rows if cells.isdisjoint(row)]
    if len(kept) == len(rows):
        return False
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(kept)
    partial.replace(path)
    return True
