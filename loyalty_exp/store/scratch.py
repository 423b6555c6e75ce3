"""Working folders for rows on their way into the store: private, and gone afterwards.

A killed process cannot clear up: the next one takes away what it left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["sweep", "working_folder"]

PREFIX = "loyalty-exp-"
AGE = 60.0
"""Seconds that a folder is left alone: its owner may be about to take its lock."""


@contextlib.contextmanager
def working_folder(beside: Path | None = None) -> Iterator[Path]:
    """A folder that only its owner may enter; removed at the end, with those of killed runs.

    Args:
        beside: a file that will be replaced by one made in the folder, which then is hidden;
            None for the system's place of temporary files.
    """
    sweep(beside)
    place, prefix = _where(beside)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as name,
        _held(Path(name)),
    ):
        yield Path(name)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The lock of a folder, which ends with the process however it ends."""
    if os.name != "posix":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _locked(descriptor)
        yield
    finally:
        os.close(descriptor)


def _where(beside: Path | None) -> tuple[Path, str]:
    """Where working folders are made, and what their names begin with."""
    if beside is None:
        return Path(tempfile.gettempdir()), PREFIX
    return beside.parent, f".{PREFIX}"


def sweep(beside: Path | None = None) -> None:
    """Remove the folders that no living process holds the lock of.

    Args:
        beside: as for `working_folder`.
    """
    if os.name != "posix":
        return
    place, prefix = _where(beside)
    for left in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(descriptor)
                mine = found.st_uid == os.getuid() and time.time() - found.st_mtime > AGE
                if mine and _locked(descriptor):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock of a folder; False where another process holds it."""
    import fcntl  # noqa: PLC0415  (POSIX only)

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
