"""docs/reliability.md says what the tests do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reliability() -> ModuleType:
    path = ROOT / "benchmarks" / "reliability.py"
    spec = importlib.util.spec_from_file_location("reliability", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_page_is_current(reliability: ModuleType) -> None:
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(), (
        "run: python benchmarks/reliability.py"
    )


def test_the_counts_are_of_tests_that_exist(reliability: ModuleType) -> None:
    assert all(number > 0 for number in reliability.counts().values())


def test_the_long_run_lost_nothing() -> None:
    counted = json.loads((ROOT / "docs" / "torture.json").read_text(encoding="utf-8"))
    assert counted["kills"] == sum(counted["by_command"].values()) >= 100
    assert counted["losses"] == []
