"""The page of a plan: every rule has its words in both languages, the sentence comes first."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from test_render import Reader

import loyalty_exp.design.advice
import loyalty_exp.design.power
from loyalty_exp.design.forecast import CampaignPlanReport
from loyalty_exp.report.plan import plan_page
from loyalty_exp.report.plan_words import RULES, plan_sentence
from loyalty_exp.report.render import plan_file
from loyalty_exp.report.tongue import Tongue

EN, FR = Tongue("en"), Tongue("fr")
FIGURES = {
    "arm": "call_and_voucher", "units": 4000, "by": "2026-12-31", "detectable": 0.08,
    "break_even": 0.03, "proof_from": 0.11, "largest": 0.4, "holdout": 0.5,
    "holdout_detectable": 0.06, "extra_months": 4, "longer_detectable": 0.07, "low": -8450.0,
    "high": 9120.0, "advised": 0.12, "declared": 0.2, "over": 1200.0, "total": 7200.0,
    "budget": 6000.0, "share": 0.4, "days": 30, "gap_days": 45.0, "planned": 10, "months": 6,
    "other": "spring", "shared": 310, "overlap_days": 12, "rest_days": 0, "goes_first": "spring",
    "other_launched": False, "start": "2026-03-01",
    "known_until": "2026-03-15",
}  # fmt: skip


def rules_of(module: Any) -> set[str]:
    """Rules named in a module, where a sentence is made or chosen."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "PlanSentence"
        if isinstance(call.args[0], ast.Constant)
    }


def test_every_rule_of_a_plan_is_known() -> None:
    named = rules_of(loyalty_exp.design.advice) | rules_of(loyalty_exp.design.power)
    assert len(named) > 12
    assert named <= RULES
    chosen = {"detectable", "nothing_detectable", "detectable_free", "nothing_detectable_free"}
    assert RULES - named == chosen


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_has_its_words(rule: str) -> None:
    item = {"rule": rule, "values": FIGURES, "text": "unworded"}
    english, french = (plan_sentence(t, samples.campaign_plan(), item) for t in (EN, FR))
    for text in (english, french):
        assert "%(" not in text
        assert "unworded" not in text
        assert "_" not in text
        assert text.endswith(".")
    assert english != french


def test_a_sentence_without_words_is_left_as_it_is() -> None:
    assert plan_sentence(FR, samples.campaign_plan(), {"rule": "new", "text": "As is."}) == "As is."


def test_what_cannot_be_proven_says_what_would_help() -> None:
    item = {"rule": "not_provable", "values": FIGURES, "text": ""}
    text = plan_sentence(EN, samples.campaign_plan(), item)
    assert "an effect below 8.0% cannot be told from luck by December 2026" in text
    assert "while 3.0% would already pay" in text
    assert "A holdout of 50% would bring what can be seen to 6.0%." in text
    alone = {key: FIGURES[key] for key in ("arm", "units", "by", "break_even", "largest")}
    text = plan_sentence(EN, samples.campaign_plan(), {"rule": "not_provable", "values": alone})
    assert "no effect up to 40%" in text
    assert "holdout" not in text


def test_a_conflict_names_the_other_campaign_and_who_goes_first() -> None:
    item = {"rule": "conflict", "values": FIGURES, "text": ""}
    assert plan_sentence(EN, samples.campaign_plan(), item) == (
        "“Offre de printemps” runs on 12 of the same days and shares 310 customers; the other has "
        "priority: launch it first."
    )


def test_the_sample_has_the_fields_of_a_plan() -> None:
    fields = set(CampaignPlanReport.__dataclass_fields__)
    assert set(samples.campaign_plan()) == fields


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_says_it_first_and_draws_its_curves(language: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    plan = samples.campaign_plan()
    assert plan_file(plan, path, language=language, project="Maison Exemple") == path
    page = Reader(path.read_text(encoding="utf-8"))
    assert len(page.images) == 3
    assert page.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.levels, page.levels[1:], strict=False))
    assert len(page.ids) == len(set(page.ids))
    assert "%(" not in page.text
    assert "None" not in page.text
    first = plan_sentence(Tongue(language), plan, plan["sentences"][0])
    assert "".join(first.split()) in "".join(page.text.split())
    assert not re.search(r"\b[a-z]+_[a-z]+\b", page.text.replace("loyalty_exp", ""))


def test_a_plan_without_history_or_audience_degrades_in_words() -> None:
    plan = samples.campaign_plan() | {
        "arms": [], "period": None, "advice": None, "sentences": [], "calendar": [],
        "conflicts": [],
        "advice_reason": "there is no history to forecast margin from",
        "warnings": [{"rule": "nobody", "values": {}, "text": ""}], "notes": [],
        "flow": [("segment", 0), ("eligible", 0)],
    }  # fmt: skip
    page = plan_page(EN, plan, "X")
    assert [section.anchor for section in page.sections] == ["warnings", "holdout", "flow"]
    assert page.sections[1].paragraphs == ("There is no history to forecast margin from.",)


def test_the_curve_is_that_of_todays_number_of_customers() -> None:
    page = plan_page(EN, samples.campaign_plan(), "X")
    known = next(section for section in page.sections if section.anchor == "known")
    table = known.figures[0].table
    assert table is not None
    at = next(row.cells[0].value for row in table.rows if (row.cells[1].value or 0) >= 0.8)
    assert at == pytest.approx(samples.campaign_plan()["arms"][0]["replay"]["mde_today"], abs=0.005)


def test_asdict_of_a_period_is_what_the_page_reads() -> None:
    from loyalty_exp.design.forecast import PastPeriod

    period = PastPeriod("2025-03", 10, 10, 12, 3900, 40.0, 30.0, 16.0, 12.0)
    assert asdict(period).keys() == samples.campaign_plan()["period"].keys()
