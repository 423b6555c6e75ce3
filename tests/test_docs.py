"""The documents say what the program does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_cli_reference_is_the_programs_own_help() -> None:
    module = runpy.run_path(str(ROOT / "docs" / "cli_reference.py"), run_name="reference")
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == module["reference"](), "run: make docs"


def test_every_command_carries_an_example() -> None:
    sections = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("\n## ")[2:]
    for section in sections:
        name = section.split("\n", 1)[0]
        assert f"Example: {name.split()[0]} " in section, name


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=str)
def test_links_between_documents_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_features_of_a_customer_are_documented() -> None:
    from loyalty_exp.declare.features import FEATURE_WORDS

    text = (ROOT / "docs" / "analyst.md").read_text(encoding="utf-8")
    for name, (kind, words) in FEATURE_WORDS.items():
        assert f"| `{name}` | {kind} | {words} |" in text


def test_the_readme_names_only_commands_that_exist() -> None:
    from loyalty_exp.cli import main

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`loyalty-exp (\w+)", text)) <= set(main.commands)
