"""Limits on what a source may unfold into, so that no small file fills a disk or a memory.

Rows and bytes are declared (`max_rows`, `max_gigabytes`); a file that only unpacking would make
readable is not unpacked; memory is bounded by the operating system while a source is read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from loyalty_exp.errors import DataError

__all__ = [
    "MAX_COLUMNS",
    "Limits",
    "bounded_memory",
    "counted",
    "refuse_large",
    "refuse_large_workbook",
    "refuse_packed",
]

GIGABYTE = 1_000_000_000
MAX_COLUMNS = 5_000
"""More columns than that are no table of orders or customers."""
WORKBOOK_BYTES = GIGABYTE
"""Most that the parts of a workbook may unfold into: it is read in memory."""
_HEADROOM = 4 * 1024**3
"""Bytes that reading may take beyond what the process holds: twice the engine's own limit."""
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "ZIP",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}


class Limits(Protocol):
    """What is declared of a source."""

    @property
    def max_rows(self) -> int: ...  # noqa: D102
    @property
    def max_gigabytes(self) -> float: ...  # noqa: D102


def refuse_large(name: str, limits: Limits, *, rows: int = 0, size: int = 0) -> None:
    """Stop before a source is read that is larger than declared.

    Args:
        name: of the source, as messages show it.
        limits: as declared.
        rows: how many it has, or has given so far.
        size: bytes that it unfolds into, or has given so far.

    Raises:
        DataError: it is larger; the message says what to declare.
    """
    if rows > limits.max_rows:
        raise DataError(
            f"{name}: more than max_rows = {limits.max_rows:,} rows; nothing was changed. "
            "If that is right, declare a larger max_rows for this source"
        )
    if size > limits.max_gigabytes * GIGABYTE:
        raise DataError(
            f"{name}: unfolds into more than max_gigabytes = {limits.max_gigabytes:g}; nothing was "
            "changed. If that is right, declare a larger max_gigabytes for this source"
        )


def counted(
    rows: Iterable[tuple[Any, ...]], name: str, limits: Limits
) -> Iterator[tuple[Any, ...]]:
    """Rows as they come, up to the limits.

    Raises:
        DataError: there are more than declared.
    """
    size = 0
    for number, row in enumerate(rows, start=1):
        size += sum(len(cell) if isinstance(cell, (str, bytes)) else 8 for cell in row)
        refuse_large(name, limits, rows=number, size=size)
        yield row


def refuse_packed(start: bytes, name: str) -> None:
    """A packed file is not unpacked here: what it would become cannot be known before.

    Raises:
        DataError: the first bytes are those of a packed file.
    """
    for magic, form in _PACKED.items():
        if start.startswith(magic):
            raise DataError(
                f"{name}: this file is packed ({form}); unpack it and declare what is in it"
            )


def refuse_large_workbook(path: Path, name: str) -> None:
    """Judge the parts of a workbook by their declared sizes, which the unpacker holds them to.

    Raises:
        DataError: together they are too large, or the file is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{name}: this file cannot be read as Excel") from error
    if size > WORKBOOK_BYTES:
        raise DataError(
            f"{name}: this workbook unfolds into {size / GIGABYTE:,.1f} GB, more than "
            f"{WORKBOOK_BYTES / GIGABYTE:g}; nothing was changed. Save the sheet as CSV"
        )


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let reading allocate so much and no more, where the system can hold it to that (Linux).

    What the engine counts is bounded by its own limit; cells that it copies on the way are not.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource  # noqa: PLC0415  (POSIX only)

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _held() + _HEADROOM
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _held() -> int:
    """Bytes of data that the process holds, as the limit counts them."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages[5]) * os.sysconf("SC_PAGE_SIZE")
