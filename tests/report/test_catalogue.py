"""The catalogues are whole: every string of code and templates, and of the other parts' notes."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po

import loyalty_exp.report
from loyalty_exp import measure
from loyalty_exp.report.sayings import SAYINGS
from loyalty_exp.report.tongue import Tongue, catalogue_path

FOLDER = Path(loyalty_exp.report.__file__).parent
NEVER_SHOWN = {"permutation max-t"}
"""The name of a band, which a page puts into a sentence of its own."""
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def used() -> set[str | tuple[str, ...]]:
    """Every message of the code and the templates, as Babel extracts them."""
    options = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
    found = extract_from_dir(
        FOLDER,
        [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
        options_map=options,
        keywords=keywords,
    )
    terminal = [
        message[1]
        for path in (*FOLDER.parent.glob("terminal*.py"), FOLDER.parent / "cli.py")
        for message in extract_from_file("python", path, keywords=keywords)
    ]
    return {message[2] for message in found} | set(terminal)


@pytest.fixture(scope="module")
def french() -> Catalog:
    with catalogue_path("fr").open("rb") as source:
        return read_po(source, locale="fr")


def test_every_string_is_in_french_and_nothing_else(french: Catalog) -> None:
    known = {tuple(m.id) if isinstance(m.id, list | tuple) else m.id for m in french if m.id}
    assert used() - known == set(), "missing in loyalty_exp.po"
    assert known - used() == set(), "no longer used"


def test_every_translation_is_there_and_keeps_its_figures(french: Catalog) -> None:
    for message in french:
        if not message.id:
            continue
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        assert all(texts), ids
        assert not message.fuzzy, ids
        for source, text in zip(ids, texts, strict=True):
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(source)), ids


def test_french_punctuation_stands_off_by_an_unbreakable_space(french: Catalog) -> None:
    for message in french:
        for text in [message.string] if isinstance(message.string, str) else message.string:
            assert not re.search(r" [;:!?»%](?!\()|« ", text), text


def phrases(module: ModuleType) -> set[str]:
    """Texts of two words or more that a module holds: its docstrings, errors and progress apart."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    aside = [
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.Expr | ast.Assert | ast.JoinedStr)
        for part in ast.walk(node)
        if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant)
    ]
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in aside
        if re.search(r"[a-z] [a-z]", node.value)
    }


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(measure.__path__)])
def test_notes_of_the_measurement_are_translated(name: str) -> None:
    said = phrases(importlib.import_module(f"loyalty_exp.measure.{name}"))
    assert said <= set(SAYINGS) | NEVER_SHOWN


def test_the_phrases_of_a_module_are_found() -> None:
    from loyalty_exp.measure import campaign, verdict

    assert campaign.JUDGED_TOGETHER in phrases(campaign)
    assert {verdict.LOOKS_DONE, verdict.TOO_FEW, verdict.TOO_SMALL} <= phrases(verdict)


def test_reasons_of_the_methods_are_translated() -> None:
    from loyalty_exp.stats import noncompliance
    from loyalty_exp.stats.intervals import Reason

    said = [str(reason) for reason in Reason]
    said += [noncompliance.MISSING, noncompliance.UNBOUNDED]
    assert set(said) <= set(SAYINGS)


def test_the_demonstration_speaks_french() -> None:
    from loyalty_exp.demo import CAVEATS

    for caveat in CAVEATS.values():
        assert Tongue("fr").gettext(caveat) != caveat


def test_the_comparison_of_years_speaks_french() -> None:
    from loyalty_exp.compare.years import REGRESSION_TO_THE_MEAN
    from loyalty_exp.report.sayings import REGRESSION
    from loyalty_exp.segment.schemes import SCHEMES

    assert REGRESSION == REGRESSION_TO_THE_MEAN
    names = [name for scheme in SCHEMES.values() for name in scheme.names]
    assert set(names) <= set(SAYINGS)
    french = Tongue("fr")
    for scheme in ("rfm", "tiers"):
        for segment in SCHEMES[scheme].segments:
            assert french.gettext(segment.name).replace("\u2019", "'") == segment.french
