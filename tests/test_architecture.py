"""Dependencies point downwards, stats stands alone, report never touches the store."""

import ast
from pathlib import Path

import pytest

import loyalty_exp

ROOT = Path(loyalty_exp.__file__).parent

ALLOWED = {
    "errors": set(),
    "stats": set(),
    "declare": {"errors"},
    "simulate": set(),
    "store": {"errors", "declare", "stats"},
    "segment": {"errors", "declare", "stats", "store"},
    "design": {"errors", "declare", "stats", "store"},
    "measure": {"errors", "declare", "stats", "store"},
    "compare": {"errors", "declare", "stats", "store", "segment"},
    "report": {"errors", "declare", "measure", "compare"},
    "project": {
        "errors", "declare", "stats", "store", "segment", "design", "measure", "compare", "report",
    },
    "terminal": {"measure", "segment", "store", "compare", "design", "report", "project"},
    "terminal_lifetime": {"segment", "report", "terminal"},
    "terminal_measure": {"design", "measure", "report", "terminal"},
    "demo": {"errors", "project", "report", "measure", "terminal_measure"},
    "cli": {
        "errors", "project", "declare", "compare", "terminal", "terminal_lifetime",
        "terminal_measure", "report", "demo",
    },
    "__init__": {"errors", "measure", "project"},
}  # fmt: skip
"""What each part of the package may import of the package."""


def parts_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "loyalty_exp":
            names = [f"loyalty_exp.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("loyalty_exp.")}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_point_downwards(path: Path) -> None:
    part = part_of(path)
    assert part in ALLOWED, f"{part} has no place in the architecture"
    assert parts_imported(path) - {part} <= ALLOWED[part]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20


def test_the_check_sees_a_forbidden_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from loyalty_exp.store import tables\nimport loyalty_exp.report.render\n")
    assert parts_imported(wrong) == {"store", "report"}


def test_public_names_are_sorted_and_exist() -> None:
    assert loyalty_exp.__all__ == sorted(loyalty_exp.__all__)
    for name in loyalty_exp.__all__:
        assert getattr(loyalty_exp, name)
