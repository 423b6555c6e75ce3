"""Every sentence of the plan: its rule, its figures and its words."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from loyalty_exp.design.advice import percent, sentences, warnings
from loyalty_exp.design.forecast import (
    ArmForecast,
    CampaignPlanReport,
    Conflict,
    CostForecast,
    LongerWindow,
    PastPeriod,
    PlanSentence,
    ReplaySummary,
)
from loyalty_exp.stats.planning import HoldoutAdvice


def replayed(mde: float | None, **changed: Any) -> ReplaySummary:
    given: dict[str, Any] = {
        "draws": 1000,
        "periods": ("2025-09",),
        "months": 3,
        "units": 640.0,
        "sampled": False,
        "effects": np.array([0.0, 0.5]),
        "power": np.array([0.03, 0.9]),
        "coverage": np.array([0.95, 0.95]),
        "false_alarm_rate": 0.05,
        "mde": mde,
        "mde_today": mde,
        "null_totals": {0.025: -4100.4, 0.975: 3899.6},
        "without_interval": 0.0,
    }
    return ReplaySummary(**(given | changed))


def arm(detectable: float | None = 0.18, even: float | None = 0.06, **changed: Any) -> ArmForecast:
    given: dict[str, Any] = {
        "arm": "call",
        "units": 512,
        "holdout": 128,
        "cost": 1000.0,
        "break_even": 2.0,
        "break_even_relative": even,
        "mde": 9.0,
        "mde_relative": 0.2,
        "replay": replayed(detectable),
    }
    return ArmForecast(**(given | changed))


PERIOD = PastPeriod("2025-09", 3, 3, 12, 600, 50.0, 80.0, 20.0, 32.0)


def report(**changed: Any) -> CampaignPlanReport:
    given: dict[str, Any] = {
        "campaign": "winback",
        "name": "Win-back",
        "currency": "EUR",
        "metric": "revenue",
        "unit": "customer_id",
        "as_of": dt.date(2026, 2, 28),
        "data_through": dt.date(2026, 2, 28),
        "drawn_here": True,
        "start": dt.date(2026, 3, 1),
        "measure_until": dt.date(2026, 12, 31),
        "months": 10,
        "launched": False,
        "alpha": 0.05,
        "flow": (("segment", 700), ("eligible", 640)),
        "costs": CostForecast(400.0, 600.0, 0.0, None),
        "period": PERIOD,
        "arms": (arm(),),
        "longer": (),
        "advice": None,
        "advice_reason": "not asked for",
        "gap_days": 40.0,
        "calendar": (),
        "conflicts": (),
        "sentences": (),
        "warnings": (),
        "notes": (),
    }
    return CampaignPlanReport(**(given | changed))


def of_rule(found: tuple[PlanSentence, ...], rule: str) -> PlanSentence:
    [sentence] = [each for each in found if each.rule == rule]
    return sentence


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.18, "18 %"), (0.062, "6.2 %"), (0.0035, "0.35 %"), (0, "0 %"), (1.25, "125 %"),
     (0.099996, "10 %"), (0.06, "6 %"), (0.995, "100 %"), (-0.034, "-3.4 %")],
)  # fmt: skip
def test_percentages_keep_two_digits(share: float, text: str) -> None:
    assert percent(share) == text


def test_what_cannot_be_proven_says_what_would_help() -> None:
    found = of_rule(sentences(report()), "not_provable")
    assert found.text == (
        "With these 640 customers, an effect below 18 % cannot be told from luck by December 2026; "
        "the campaign breaks even at 6 %: it cannot be proven profitable; "
        "a holdout of 50 % brings it to 14 %."
    )
    assert found.values["proof_from"] == pytest.approx(0.24)
    # the standard error falls with h (1 - h): .18 x sqrt(.2 x .8 / .25)
    assert found.values["holdout_detectable"] == pytest.approx(0.18 * 0.8)


def test_the_smallest_holdout_that_detects_the_break_even_is_named() -> None:
    found = of_rule(sentences(report(arms=(arm(0.18, 0.16),))), "not_provable")
    # .18^2 x .16 / (h (1 - h)) <= .16^2 first at h = .29
    assert found.values["holdout"] == 0.29
    assert "a holdout of 29 % brings it to 16 %." in found.text


def test_more_months_are_offered_where_they_help() -> None:
    longer = (LongerWindow(1, 0.97), LongerWindow(2, 0.85), LongerWindow(3, 0.7))
    text = of_rule(sentences(report(longer=longer)), "not_provable").text
    assert text.endswith("a holdout of 50 % brings it to 14 %; 3 more months bring it to 13 %.")
    single = of_rule(sentences(report(longer=(LongerWindow(1, 0.9),))), "not_provable").text
    assert single.endswith("; 1 more month brings it to 16 %.")
    useless = of_rule(sentences(report(longer=(LongerWindow(1, 0.99),))), "not_provable").text
    assert "more month" not in useless


def test_a_holdout_and_months_that_bring_the_same_share_a_clause() -> None:
    longer = (LongerWindow(2, 0.8),)
    text = of_rule(sentences(report(longer=longer)), "not_provable").text
    assert text.endswith("a holdout of 50 % or 2 more months brings it to 14 %.")


def test_nothing_is_offered_where_nothing_helps() -> None:
    half = arm(0.18, 0.06, units=320, holdout=320)
    text = of_rule(sentences(report(arms=(half,))), "not_provable").text
    assert text.endswith("it cannot be proven profitable.")


def test_what_can_be_proven_says_from_where() -> None:
    found = of_rule(sentences(report(arms=(arm(0.05, 0.08),))), "provable")
    assert found.text.endswith(
        "the campaign breaks even at 8 %: an effect of that size will be seen, and a profit is "
        "likely to be proven from 13 % on."
    )


def test_beyond_all_effects_tried() -> None:
    found = of_rule(sentences(report(arms=(arm(None),))), "not_provable")
    assert "no effect up to 50 % can be told from luck by December 2026" in found.text
    assert found.text.endswith("it cannot be proven profitable.")


def test_without_history_or_break_even_or_cost() -> None:
    unknown = of_rule(
        sentences(report(arms=(arm(replay=None, mde_relative=None),), period=None)), "unknown"
    )
    assert "there is no history to tell it from" in unknown.text
    assert of_rule(sentences(report(arms=(arm(0.18, None),))), "detectable").text.endswith(
        "no break-even can be forecast."
    )
    free = of_rule(sentences(report(arms=(arm(0.18, 0.0, cost=0.0),))), "detectable_free")
    assert free.text.endswith("it costs nothing to contact.")


def test_the_formula_stands_in_without_a_replay() -> None:
    found = of_rule(sentences(report(arms=(arm(replay=None),))), "not_provable")
    assert "an effect below 20 % cannot be told" in found.text


def test_arms_are_named_where_there_are_several() -> None:
    found = sentences(report(arms=(arm(), arm(arm="letter"))))
    texts = [each.text for each in found if each.rule == "not_provable"]
    assert texts[0].startswith("call: with these 640")
    assert texts[1].startswith("letter: with these 640")


def test_what_luck_alone_shows() -> None:
    found = of_rule(sentences(report()), "null")
    assert found.text == (
        "By luck alone, 95 of 100 such campaigns without any effect would have shown between "
        "-4,100 and +3,900 EUR of margin in the first 3 months."
    )
    nothing = replayed(0.18, null_totals={0.025: float("nan"), 0.975: float("nan")})
    assert not [s for s in sentences(report(arms=(arm(replay=nothing),))) if s.rule == "null"]


@pytest.mark.parametrize(
    ("advised", "at_edge", "rule"),
    [(0.15, False, "advised"), (0.01, True, "advised_smallest"), (0.5, True, "advised")],
)
def test_the_advised_holdout(advised: float, at_edge: bool, rule: str) -> None:
    curve = np.array([advised])
    advice = HoldoutAdvice(curve, curve, curve, advised, at_edge)
    found = of_rule(sentences(report(advice=advice, advice_reason="")), rule)
    assert found.text.startswith(f"A holdout of {percent(advised)}")
    assert found.text.endswith("planned: 20 %.")


def rules(found: CampaignPlanReport) -> list[str]:
    return [each.rule for each in warnings(found)]


SOUND = {"arms": (arm(0.05, 0.08),)}


def test_a_sound_campaign_has_no_warning() -> None:
    assert rules(report(**SOUND)) == []


WARNED: list[tuple[str, dict[str, Any], str]] = [
    (
        "over_budget",
        {"costs": CostForecast(400.0, 600.0, 0.0, 800.0)},
        "Over budget by 200 EUR: fixed cost and contacts come to 1,000, the budget is 800.",
    ),
    (
        "redemptions_over_budget",
        {"costs": CostForecast(400.0, 600.0, 2000.0, 1500.0)},
        (
            "Over budget if more than 25 % of the treated use the offer: contacts leave 500 "
            "EUR for redemptions."
        ),
    ),
    (
        "mde_above_break_even",
        {"arms": (arm(0.18, 0.06),)},
        "Arm call: what can be detected (18 %) lies above what pays (6 %): expect no verdict.",
    ),
    (
        "mde_above_break_even",
        {"arms": (arm(None, 0.06),)},
        "Arm call: what can be detected (over 50 %) lies above what pays (6 %): expect no verdict.",
    ),
    (
        "small_arm",
        {"arms": (arm(0.05, 0.08, holdout=19),)},
        "Arm holdout has 19 customers, fewer than 20: the result will be a direction only.",
    ),
    (
        "nobody",
        {"flow": (("segment", 3), ("eligible", 0)), "arms": ()},
        "Nobody is eligible: the launch would be refused.",
    ),
    ("launched", {"launched": True}, "Launched already: audience and arms are the frozen ones."),
    (
        "short_window",
        {"gap_days": 400.0},
        (
            "The window of 306 days is shorter than the usual 400 days between two orders of these "
            "customers: most would not have ordered anyway."
        ),
    ),
    (
        "no_month",
        {"months": 0},
        "No calendar month is measured whole: there will be no result; measure longer.",
    ),
    (
        "no_history",
        {"period": None},
        "There are too few months of data before the campaign to forecast anything.",
    ),
    (
        "shortened",
        {"period": PastPeriod("2025-09", 3, 10, 12, 600, 50.0, 80.0, 20.0, 32.0)},
        (
            "The campaign is measured over 10 months; history allows replays of 3 only, so the "
            "figures are those of a shorter campaign."
        ),
    ),
    (
        "conflict",
        {"conflicts": (Conflict("sales", 12, 0, ("gold",), 30, None),)},
        (
            "sales runs on 12 of the same days and shares 30 customers; both have the same "
            "priority: whichever is launched first takes them."
        ),
    ),
    (
        "conflict",
        {"conflicts": (Conflict("sales", 0, 9, (), 1200, "sales"),)},
        (
            "sales lies 9 days apart, within the cooldown, and shares 1,200 customers; sales has "
            "priority: launch it first."
        ),
    ),
    (
        "conflict",
        {"conflicts": (Conflict("sales", 3, 0, (), 5, "winback"),)},
        (
            "sales runs on 3 of the same days and shares 5 customers; this one has priority: "
            "launch it first."
        ),
    ),
    (
        "conflict",
        {"conflicts": (Conflict("sales", 3, 0, (), 5, "winback", other_launched=True),)},
        (
            "sales runs on 3 of the same days and shares 5 customers; it is launched: its "
            "customers are left out where priority or cooldown say so."
        ),
    ),
]


@pytest.mark.parametrize(("rule", "changed", "text"), WARNED)
def test_warnings(rule: str, changed: dict[str, Any], text: str) -> None:
    found = report(**(SOUND | changed))
    assert rules(found) == [rule]
    assert warnings(found)[0].text == text


def test_a_budget_that_redemptions_cannot_exceed_is_no_warning() -> None:
    assert rules(report(**SOUND, costs=CostForecast(400.0, 600.0, 500.0, 1500.0))) == []


def test_units_are_named_where_they_are_not_customers() -> None:
    found = of_rule(sentences(report(unit="company")), "not_provable")
    assert found.text.startswith("With these 640 units (company),")
