"""Writes docs/reliability.md from the tests themselves and from the last long run of torture.

Run as `python benchmarks/reliability.py`.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from loyalty_exp.store.engines import LOCK_PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reliability.md"
TORTURE = ROOT / "docs" / "torture.json"
TEMPLATE = ROOT / "benchmarks" / "reliability.template.md"
sys.path.insert(0, str(ROOT / "tests"))


def module(place: str) -> ModuleType:
    """A test module, imported without running it."""
    path = ROOT / "tests" / place
    spec = importlib.util.spec_from_file_location(f"counted_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def tests_of(place: str) -> list[Any]:
    """The test functions of a module."""
    return [each for name, each in vars(module(place)).items() if name.startswith("test_")]


def cases(test: Any) -> int:
    """How many times a test runs, by its parameters."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return math.prod(len(list(mark.args[1])) for mark in marks)


def fuzzed(place: str) -> int:
    """How many inputs hypothesis makes for a module."""
    inner = "_hypothesis_internal_use_settings"
    made = [getattr(test, inner, None) for test in tests_of(place)]
    return sum(each.max_examples for each in made if each is not None)


def counts() -> dict[str, int]:
    """The figures of the page that the tests tell."""
    injection = module("trust/test_injection.py")
    bombs = tests_of("trust/test_bombs.py")
    faults = {test.__name__: cases(test) for test in tests_of("trust/test_machine_faults.py")}
    server = {test.__name__: cases(test) for test in tests_of("engines/test_trust_on_server.py")}
    return {
        "kills": module("trust/test_kills.py").KILLS,
        "full": sum(number for name, number in faults.items() if "full_disk" in name),
        "read_only": sum(number for name, number in faults.items() if "read_only" in name),
        "lost": sum(number for name, number in server.items() if "lost" in name),
        "together": sum(
            number
            for name, number in (faults | server).items()
            if "at_once" in name or "during" in name or "stays_locked" in name
        ),
        "files": fuzzed("store/test_load_fuzz.py"),
        "declarations": fuzzed("declare/test_toml.py") + fuzzed("declare/test_mistakes.py"),
        "mistakes": len(module("declare/test_mistakes.py").CASES),
        "expressions": fuzzed("declare/test_rules.py"),
        "rules": len(module("declare/test_rules.py").ATTACKS),
        "injections": injection.attacks_tried(),
        "doors": module("trust/test_doors.py").attacks_tried(),
        "bombs": sum(
            cases(test) for test in bombs if "workbook_of_these_tests" not in test.__name__
        ),
        "erasures": sum(map(cases, tests_of("trust/test_forget.py"))),
        "restatements": sum(map(cases, tests_of("trust/test_late_data.py"))),
        "lowest": len(re.findall(r" tests/", (ROOT / ".ci" / "lowest").read_text("utf-8"))),
        "secrets": sum(map(cases, tests_of("trust/test_secrets.py"))),
    }


def page() -> str:
    """The page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    long = json.loads(TORTURE.read_text(encoding="utf-8"))
    by_command = ", ".join(f"{name} {n}" for name, n in long["by_command"].items())
    figures: dict[str, Any] = counts() | {
        "long_kills": long["kills"],
        "long_by": by_command,
        "long_seed": long["seed"],
        "long_losses": len(long["losses"]),
        "patience": f"{LOCK_PATIENCE_SECONDS:.0f}",
    }
    return text.format(**figures)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
