"""What the evidence says beside the figures: leaning, net result, months with an order, waiting."""

from __future__ import annotations

from dataclasses import replace

import pytest
import report_samples as samples

from loyalty_exp.measure.results import LEANS_HIGH, LEANS_LOW, CampaignResult, Verdict, VerdictKind
from loyalty_exp.measure.verdict import SKEWED_NOW
from loyalty_exp.report.evidence import robustness_section
from loyalty_exp.report.months import months_section
from loyalty_exp.report.provenance import how_section
from loyalty_exp.report.tongue import Tongue

EN, FR = Tongue("en"), Tongue("fr")


def with_note(result: CampaignResult, note: str, bias: float) -> CampaignResult:
    rows = tuple(
        replace(row, notes=note, expected_bias=bias) if row.month == "cumulative" else row
        for row in result.rows
    )
    return replace(result, rows=rows)


@pytest.mark.parametrize(
    ("note", "bias", "english", "french"),
    [
        (LEANS_LOW, -0.426, "too low by about €0.43", "sous-estimé d’environ 0,43"),
        (LEANS_HIGH, 1.2, "too high by about €1.20", "surestimé d’environ 1,20"),
    ],
)
def test_the_page_says_by_how_much_the_adjustment_leans(
    note: str, bias: float, english: str, french: str
) -> None:
    leaning = with_note(samples.good(), note, bias)
    for tongue, expected in ((EN, english), (FR, french)):
        assert expected in " ".join(robustness_section(tongue, leaning).paragraphs)
        plain = with_note(samples.good(), "", bias)
        assert expected not in " ".join(robustness_section(tongue, plain).paragraphs)


def test_largest_customers_turn_the_net_result() -> None:
    result = samples.good()
    turned = tuple(
        replace(arm, influence=tuple(replace(one, same_sign=False) for one in arm.influence))
        for arm in result.arms
    )
    said = " ".join(robustness_section(EN, replace(result, arms=turned)).paragraphs)
    assert "the net result changes sign" in said


def test_orders_since_the_start_are_months_not_a_share() -> None:
    result = samples.good()
    plan = replace(result.plan, metric="active")
    rows = tuple(
        replace(row, metric="active") if row.metric == "revenue" else row for row in result.rows
    )
    (table,) = robustness_section(EN, replace(result, plan=plan, rows=rows)).tables
    assert "months with an order" in table.caption
    assert {column.unit for column in table.columns[1:]} == {"months"}


def test_the_months_say_that_no_verdict_rests_on_a_skewed_reading() -> None:
    result = samples.good()
    waiting = tuple(
        replace(
            arm,
            verdict=Verdict(
                VerdictKind.NOT_YET, arm.verdict.net, arm.verdict.month, "2026-12", (SKEWED_NOW,)
            ),
        )
        for arm in result.arms
    )
    asides = " ".join(months_section(EN, replace(result, arms=waiting)).asides)
    assert "a handful of customers decides the result" in asides


@pytest.mark.parametrize(
    ("tiers", "english", "french"),
    [
        (
            {"by": "revenue", "gold": 2000.0, "silver": 500.0},
            "gold: from €2,000.00 of revenue in 12 months on; silver: from €500.00 on",
            (
                "or : à partir de 2 000,00 € de chiffre d’affaires en 12 mois ; argent : à "
                "partir de 500,00 €"
            ),
        ),
        (
            {"by": "share", "gold": 50.0, "silver": 80.0},
            (
                "gold: the largest customers, who make 50% of the revenue of 12 months; silver: "
                "the next ones, up to 80%"
            ),
            (
                "or : les plus gros clients, qui font 50 % du chiffre d’affaires de 12 mois ; "
                "argent : les suivants, jusqu’à 80 %"
            ),
        ),
    ],
)
def test_the_frozen_plan_says_where_gold_and_silver_begin(
    tiers: dict[str, object], english: str, french: str
) -> None:
    result = samples.good()
    frozen = replace(result, plan=replace(result.plan, tiers=tiers))
    for tongue, expected in ((EN, english), (FR, french)):
        (fact,) = how_section(tongue, frozen).folds[1].facts[-1:]
        assert " ".join(fact[1].split()) == expected
        assert len(how_section(tongue, result).folds[1].facts) == 16
