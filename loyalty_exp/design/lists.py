"""The lists a launch hands over: one a treated arm, and the do-not-contact list.

They are the only files with customers in them: mode 0600, safe in a spreadsheet.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["DO_NOT_CONTACT", "safe_cell", "write_lists", "write_private"]

DO_NOT_CONTACT = "do-not-contact"
HEADER = ("customer_id", "unit", "segment", "arm")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: a leading apostrophe where it might."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_lists(
    folder: Path,
    arms: Sequence[str],
    rows: Iterable[tuple[str, str, str, str]],
    *,
    bom: bool = False,
) -> list[Path]:
    """Write the lists of a wave as CSV, each whole or not at all.

    Args:
        folder: where they go; created when missing.
        arms: arms of the wave, the holdout first.
        rows: (customer, unit, segment, arm), in any order.
        bom: start the files with a byte-order mark, which Excel needs for accents.

    Returns:
        The files, the do-not-contact list last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [*arms[1:], DO_NOT_CONTACT]
    paths = {name: folder / f"{name}.csv" for name in names}
    partial = {name: path.with_suffix(".csv.partial") for name, path in paths.items()}
    files = {}
    try:
        for name in names:
            partial[name].unlink(missing_ok=True)
            descriptor = os.open(partial[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            encoding = "utf-8-sig" if bom else "utf-8"
            files[name] = os.fdopen(descriptor, "w", encoding=encoding, newline="")
        writers = {name: csv.writer(file) for name, file in files.items()}
        for writer in writers.values():
            writer.writerow(HEADER)
        for row in rows:
            name = DO_NOT_CONTACT if row[3] == arms[0] else row[3]
            writers[name].writerow([safe_cell(cell) for cell in row])
    finally:
        for file in files.values():
            file.close()
    for name in names:
        partial[name].replace(paths[name])
    return [paths[name] for name in names]


def write_private(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV that only its owner can read, whole or not at all, safe in a spreadsheet."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    partial.replace(path)
