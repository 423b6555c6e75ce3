"""The catalogues are whole: every string of code and templates, and of the other parts' notes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import loyalty_exp.report
from loyalty_exp.report.sayings import SAYINGS
from loyalty_exp.report.tongue import Tongue, catalogue_path

FOLDER = Path(loyalty_exp.report.__file__).parent
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def used() -> set[str | tuple[str, ...]]:
    """Every message of the code and the templates, as Babel extracts them."""
    options = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
    found = extract_from_dir(
        FOLDER,
        [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
        options_map=options,
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
    )
    return {message[2] for message in found}


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


def test_notes_of_the_other_parts_are_translated() -> None:
    from loyalty_exp.measure import economics, verdict
    from loyalty_exp.stats import noncompliance
    from loyalty_exp.stats.intervals import Reason

    said = [str(reason) for reason in Reason]
    said += [verdict.LOOKS_DONE, verdict.NOT_CONFIRMED, verdict.TOO_FEW, verdict.TOO_SMALL]
    said += [economics.NOT_BEGUN, economics.NOT_CLOSED, economics.NOBODY]
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
