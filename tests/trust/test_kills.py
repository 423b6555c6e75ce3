"""Commands killed at random instants: the bounded form of `make torture`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 15
SEED = 2
TORTURE = Path(__file__).parents[2] / "benchmarks" / "torture.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need fork and SIGKILL")
def test_kills_lose_nothing() -> None:
    words = [sys.executable, str(TORTURE), "--kills", str(KILLS), "--seed", str(SEED)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)
    assert counted["kills"] == KILLS
    assert set(counted["by_command"]) == {
        "load", "load again", "launch", "measure", "report", "forget", "segments", "contacts",
        "compare",
    }  # fmt: skip
    assert counted["losses"] == []
