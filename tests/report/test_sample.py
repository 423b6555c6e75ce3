"""The simulated company's pages kept under reports/ are those that are written today."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from markupsafe import escape
from support import words_of

from loyalty_exp.report.tongue import Tongue

REPORTS = Path(__file__).parents[2] / "reports"
sys.path.insert(0, str(REPORTS))

import simulated  # noqa: E402  (beside the pages, not a package)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulated.write_simulated(folder, folder / "site")
    return folder / "site"


def test_the_simulated_site_is_the_one_kept(fresh: Path) -> None:
    kept = REPORTS / "sample-simulated"
    pages = {path.name for path in fresh.glob("*.html")}
    assert {path.name for path in kept.iterdir()} == pages
    assert {"roi.html", "years.html"} <= pages
    for name in pages:
        assert words_of(kept / name) == words_of(fresh / name), f"{name}: make sample"


def test_every_page_with_a_result_says_that_it_is_simulated(fresh: Path) -> None:
    french = Tongue("fr").gettext(simulated.CAVEAT)
    assert french != simulated.CAVEAT
    for path in fresh.glob("*.html"):
        if path.name != "methods.html":
            assert escape(french) in path.read_text("utf-8"), path.name
