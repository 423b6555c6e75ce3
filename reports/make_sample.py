"""Writes the sample site kept in this folder: the demonstration's pages, in English."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from loyalty_exp.demo import run_demo

SAMPLE = Path(__file__).with_name("sample")


def main() -> None:
    """Run the demonstration in a temporary folder and keep its pages."""
    with tempfile.TemporaryDirectory() as folder:
        index = run_demo(Path(folder) / "demo", "en")
        shutil.rmtree(SAMPLE, ignore_errors=True)
        shutil.copytree(index.parent, SAMPLE)


if __name__ == "__main__":
    main()
