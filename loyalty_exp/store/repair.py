"""Rewrites text that an engine refuses, row by row, and says which lines are not rows.

The slow road, taken only when the fast one fails or line numbers are needed. Judges no value.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

__all__ = ["rewrite", "write_rows"]

MAX_ROW_CHARACTERS = 1_000_000
"""A longer row is not a row."""
MAX_ROW_LINES = 1_000
"""A quote that is not closed within so many lines is a stray one."""


class _RowTooLongError(Exception):
    """A row that never ends."""


class _Lines:
    """Physical lines of a text, which a row can give back."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._waiting: deque[str] = deque()
        self.taken: list[str] = []
        """Lines of the row being read."""
        self.number = 0
        """Lines given out so far."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        taken = sum(map(len, self.taken))
        if len(self.taken) >= MAX_ROW_LINES or taken > MAX_ROW_CHARACTERS:
            raise _RowTooLongError
        line = self._waiting.popleft() if self._waiting else self._file.readline(MAX_ROW_CHARACTERS)
        if not line:
            raise StopIteration
        if len(line) == MAX_ROW_CHARACTERS and not line.endswith(("\n", "\r")):
            while (rest := self._file.readline(MAX_ROW_CHARACTERS)) and not rest.endswith("\n"):
                pass
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """Put back all lines of the row but its first."""
        back = self.taken[1:]
        self._waiting.extendleft(reversed(back))
        self.number -= len(back)


def rewrite(text: Path, delimiter: str, width: int, clean: Path, bad: Path) -> None:
    """Write the rows of a text with their line numbers, and the lines that are not rows.

    Args:
        text: UTF-8 text with a header.
        delimiter: what separates its cells.
        width: number of columns of the header.
        clean: receives a header, then line number and cells, comma-separated, all quoted.
        bad: receives line number, field (empty) and reason.
    """
    with (
        text.open(encoding="utf-8-sig", errors="replace", newline="") as source,
        clean.open("w", encoding="utf-8", newline="") as good_file,
        bad.open("w", encoding="utf-8", newline="") as bad_file,
    ):
        good = csv.writer(good_file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        aside = csv.writer(bad_file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        good.writerow(["line", *(f"c{position}" for position in range(width))])
        seen_header = False
        for line, cells, reason in _rows(source, delimiter, width):
            if not seen_header:
                seen_header = True
            elif reason is None:
                good.writerow([line, *cells[:width]])
            else:
                aside.writerow([line, "", reason])


def _rows(
    source: IO[str], delimiter: str, width: int
) -> Iterator[tuple[int, list[str], str | None]]:
    """Line number, cells and what is wrong, of every row; a stray quote costs its line only."""
    lines = _Lines(source)
    previous = csv.field_size_limit(2 * MAX_ROW_CHARACTERS)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            lines.taken = []
            start = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _RowTooLongError) as error:
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
                lines.give_back()
                long = len(lines.taken) == 1 and isinstance(error, _RowTooLongError)
                yield start, [], "a row that is too long" if long else "quotes that do not match"
                continue
            reason = _misshapen(cells, width) if cells else None
            if reason is not None:
                lines.give_back()
            if cells:
                yield start, cells, reason
    finally:
        csv.field_size_limit(previous)


def _misshapen(cells: list[str], width: int) -> str | None:
    if len(cells) < width:
        return "fewer cells than the header"
    if any(cell.strip() for cell in cells[width:]):
        return "more cells than the header"
    if any("\0" in cell for cell in cells):
        return "a NUL character"
    return None


def write_rows(target: Path, rows: Iterable[tuple[Any, ...]]) -> str:
    """Write rows as numbered text, without a header.

    Returns:
        SHA-256 of what was written.
    """
    digest = hashlib.sha256()
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_Hashing(file, digest), quoting=csv.QUOTE_ALL, lineterminator="\n")
        for number, row in enumerate(rows, start=1):
            writer.writerow([number, *map(_as_text, row)])
    return digest.hexdigest()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[str], digest: Any) -> None:
        self._file, self._digest = file, digest

    def write(self, text: str) -> int:
        self._digest.update(text.encode("utf-8", "surrogatepass"))
        return self._file.write(text)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
