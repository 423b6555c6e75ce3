"""Working folders for rows on their way into the store: private, and gone afterwards.

A killed process cannot clear up: the next one takes away what it left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["working_folder"]

PREFIX = "loyalty-exp-"


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A folder that only its owner may enter; removed at the end, with those of killed runs."""
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            _locked(descriptor)
            yield Path(name)
        finally:
            os.close(descriptor)


def _sweep(place: Path) -> None:
    """Remove the folders that no living process holds the lock of."""
    for left in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.getuid() and _locked(descriptor):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock of a folder; False where another process holds it, or there are no locks."""
    try:
        import fcntl  # noqa: PLC0415  (POSIX only)
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
