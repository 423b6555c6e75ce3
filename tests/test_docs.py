"""The documents say what the program does."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from loyalty_exp.cli import main
from loyalty_exp.declare.models import Declaration

ROOT = Path(__file__).parent.parent


def test_the_cli_reference_is_the_programs_own_help() -> None:
    module = runpy.run_path(str(ROOT / "docs" / "cli_reference.py"), run_name="reference")
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == module["reference"](), "run: make docs"


def test_the_page_of_speed_is_that_of_the_runs_kept() -> None:
    module = runpy.run_path(str(ROOT / "benchmarks" / "speed_page.py"), run_name="page")
    written = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert written == module["page"](ROOT / "benchmarks" / "measured"), "run: make bench"


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


def steady(text: str) -> str:
    """A page without digests, which limits frozen to their last bit would move."""
    return re.sub(r"\b[0-9a-f]{12,64}\b", "<digest>", text)


def test_the_outputs_of_the_guide_are_those_of_its_commands() -> None:
    module = runpy.run_path(str(ROOT / "docs" / "first_campaign.py"), run_name="guide")
    written = (ROOT / "docs" / "first-campaign.md").read_text(encoding="utf-8")
    assert steady(module["page"]()) == steady(written), "run: make docs"


GUIDES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
"""Pages that a person reads; what they show must work."""


def commands(guide: Path) -> Iterator[str]:
    """Every command that a guide shows, in a sentence or in a block."""
    text = guide.read_text(encoding="utf-8")
    yield from re.findall(r"`(loyalty-exp [^`\n]+)`", text)
    yield from re.findall(r"^\$? ?(loyalty-exp .+)$", text, re.MULTILINE)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_commands_of_the_guides_are_understood(guide: Path) -> None:
    for command in commands(guide):
        name, *words = shlex.split(command.removeprefix("loyalty-exp "), comments=True)
        words = ["2026-03-31" if word in {"DATE", "FIRST", "LAST"} else word for word in words]
        with click.Context(main) as context:
            main.commands[name].make_context(name, words, parent=context).close()


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two declarations in one, the second going first."""
    tables = {
        key: laid_over(below[key], value)
        if isinstance(value, dict) and key in below and key not in {"arms", "columns"}
        else value
        for key, value in above.items()
    }
    return below | tables


@pytest.mark.parametrize(
    "guide",
    [guide for guide in GUIDES if not guide.name.startswith("first-campaign")],  # run as a whole
    ids=lambda guide: guide.name,
)
def test_pieces_of_declarations_in_the_guides_are_right(guide: Path) -> None:
    whole = tomllib.loads((ROOT / "campaigns.example.toml").read_text(encoding="utf-8"))
    text = guide.read_text(encoding="utf-8")
    for piece in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        Declaration.model_validate(laid_over(whole, tomllib.loads(piece)))
