"""A result shows itself in a notebook, in the language of its project, and stays a result."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import report_samples as samples
from test_render import Reader

from loyalty_exp.measure.results import CampaignResult
from loyalty_exp.report.notebook import shown
from loyalty_exp.report.render import fragment, site


def test_a_shown_result_keeps_every_figure() -> None:
    result = samples.good()
    found = shown(result, "fr")
    assert isinstance(found, CampaignResult)
    for field in fields(CampaignResult):
        assert getattr(found, field.name) is getattr(result, field.name)
    assert found.to_dicts() == result.to_dicts()
    assert replace(found, caveat="x").language == "fr"


def test_a_notebook_shows_the_verdict_in_the_projects_language() -> None:
    result = samples.single()
    french, english = (shown(result, language)._repr_html_() for language in ("fr", "en"))
    assert french == fragment(result, "fr")
    assert english == fragment(result, "en")
    assert "À poursuivre." in Reader(french).text
    assert "Keep it." in Reader(english).text
    assert "<script" not in french


def test_a_site_of_shown_results_is_the_same_site(tmp_path: Path) -> None:
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"
    result = samples.empty()
    site([result], plain, language="fr", project="X")
    site([shown(result, "fr")], wrapped, language="fr", project="X")
    for path in plain.iterdir():
        assert path.read_bytes() == (wrapped / path.name).read_bytes()
