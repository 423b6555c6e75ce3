"""Writes the sample sites kept in this folder: the demonstration's, and a simulated company's.

The demonstration is one year of real orders, in English; the company is simulated over three
years, in French: it shows a programme's total and one year against another.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from simulated import write_simulated

from loyalty_exp.demo import run_demo

SAMPLE = Path(__file__).with_name("sample")
SIMULATED = Path(__file__).with_name("sample-simulated")


def main() -> None:
    """Make both in a temporary folder and keep their pages."""
    with tempfile.TemporaryDirectory() as folder:
        index = run_demo(Path(folder) / "demo", "en")
        site = Path(folder) / "site"
        write_simulated(Path(folder), site)
        for pages, kept in ((index.parent, SAMPLE), (site, SIMULATED)):
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(pages, kept)


if __name__ == "__main__":
    main()
