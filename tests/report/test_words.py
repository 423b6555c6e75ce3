"""The rules of the sentences: each verdict says the money, the doubt and what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
import report_samples as samples

from loyalty_exp.measure.results import (
    CampaignResult,
    Check,
    CheckStatus,
    Component,
    Decomposition,
    Estimate,
    Verdict,
    VerdictKind,
    Wearout,
)
from loyalty_exp.measure.verdict import LOOKS_DONE, TOO_FEW, TOO_SMALL
from loyalty_exp.report.campaign import arm_verdicts
from loyalty_exp.report.checks import check_sentence, check_sentences
from loyalty_exp.report.overview import programme_verdict
from loyalty_exp.report.parts import by_month
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.report.words import (
    decomposition_finding,
    deviation_sentence,
    first_reading,
    money_finding,
    monthly_finding,
    segments_finding,
    verdict_line,
    wearout_sentence,
)

EN, FR = Tongue("en"), Tongue("fr")
NET = Estimate(18_437.22, 4_123.4, 33_017.1)


def said(kind: VerdictKind, net: Estimate = NET, t: Tongue = EN, **other: object) -> str:
    verdict = Verdict(kind, net, "2026-06", **other)  # type: ignore[arg-type]
    reason = ("R.", "Do this.")
    line = verdict_line(t, "The gold win-back", verdict, reason=reason, reading="8 April 2026")
    return f"{line.text} {line.advice}".strip() if kind is VerdictKind.NEVER else line.text


def test_keep() -> None:
    assert said(VerdictKind.KEEP) == (
        "The gold win-back has earned €18,400 net margin by the end of June 2026 "
        "(between €4,100 and €33,000). Keep it."
    )


def test_keep_in_french() -> None:
    text = verdict_line(FR, "Le réveil des clients or", Verdict(VerdictKind.KEEP, NET, "2026-06"))
    assert text.text.replace("\u202f", " ").replace("\u00a0", " ") == (
        "Le réveil des clients or a rapporté 18 400 € de marge nette à fin juin 2026 "
        "(entre 4 100 € et 33 000 €). À poursuivre."
    )
    assert text.decision == "Poursuivre"


def test_stop_says_the_loss_as_positive_money_the_smaller_first() -> None:
    assert said(VerdictKind.STOP, Estimate(-7_982.4, -11_930.0, -4_031.0)) == (
        "The gold win-back has lost €7,980 net margin by the end of June 2026 "
        "(a loss between €4,030 and €11,930). Stop it."
    )


def test_not_yet_says_when() -> None:
    text = said(VerdictKind.NOT_YET, Estimate(7_400, -6_200, 21_000), expected_month="2026-09")
    assert "cannot tell yet" in text
    assert "between −\N{WORD JOINER}€6,200 and €21,000" in text
    assert text.endswith("Answer expected in September 2026.")


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (LOOKS_DONE, "All planned readings are done."),
        (TOO_SMALL, "even a large effect would not show by the last planned reading."),
        (TOO_FEW, "A handful of customers decides the result."),
    ],
)
def test_never_says_why(reason: str, word: str) -> None:
    text = said(VerdictKind.NEVER, reasons=(reason,))
    assert "will not tell" in text
    assert word in text
    assert "Try again on" in text
    assert sum(known in text for known in ("readings are done", "a large effect", "handful")) == 1
    assert reason not in said(VerdictKind.NEVER, reasons=(reason,), t=FR)


def test_no_closed_month_gives_the_day_of_the_first_reading() -> None:
    empty = samples.empty()
    (line,) = arm_verdicts(EN, empty)
    assert line.text == "“Rentrée”: no month is closed yet. First reading on 8 April 2026."
    assert first_reading(empty.plan) == dt.date(2026, 4, 8)


def test_a_suspended_verdict_shows_the_failed_check_and_what_to_do() -> None:
    (line,) = arm_verdicts(EN, samples.bad())
    assert line.text.startswith("Result suspended: 248 customers left out were contacted")
    assert "Take them off the mailing list now." in line.advice
    assert line.kind == "suspended"


def test_a_verdict_without_money_makes_no_number_up() -> None:
    nothing = Estimate(None, None, None)
    for kind in (VerdictKind.KEEP, VerdictKind.NOT_YET, VerdictKind.NEVER):
        assert not any(c.isdigit() for c in said(kind, nothing).replace("2026", ""))


@pytest.mark.parametrize("kind", list(VerdictKind))
@pytest.mark.parametrize("t", [EN, FR], ids=["en", "fr"])
def test_every_kind_has_a_sentence_and_a_decision(kind: VerdictKind, t: Tongue) -> None:
    line = verdict_line(t, "X", Verdict(kind, NET, "2026-06"))
    assert line.text
    assert line.decision
    assert "%(" not in line.text


def test_each_arm_has_its_verdict() -> None:
    lines = arm_verdicts(EN, samples.good())
    assert [line.kind for line in lines] == ["keep", "stop"]
    assert lines[0].text.startswith("“call” has earned")


def test_months_that_are_clear_of_chance_are_named() -> None:
    rows = by_month(samples.good(), "call")
    assert monthly_finding(EN, rows) == "A gain beyond chance in 5 of 6 months"
    assert monthly_finding(EN, rows[:2]) == "A gain beyond chance in March 2026 and April 2026"
    flat = by_month(samples.good(), "call_and_voucher")
    assert monthly_finding(EN, flat) == ("No single month is clear of chance; above zero: 4 of 6")
    lost = [
        replace(row, effect_per_customer=-5.0, simultaneous_ci_lower=-8, simultaneous_ci_upper=-2)
        for row in rows[:1]
    ]
    assert monthly_finding(EN, lost) == "A loss beyond chance in March 2026"
    assert "losses in others" in monthly_finding(EN, [*lost, *rows[1:]])
    assert monthly_finding(EN, [row for row in rows if not row.closed]) == "No month is closed yet"


def test_payback_is_called_proven_only_when_its_lower_limit_is() -> None:
    money = samples.single().arms[0].economics
    sure = replace(money, payback_month="2026-04", payback_month_lower="2026-06")
    assert money_finding(EN, sure) == (
        "Paid back in April 2026; proven since June 2026: the whole range is above the cost"
    )
    unsure = replace(money, payback_month="2026-04", payback_month_lower=None)
    assert money_finding(EN, unsure) == "Probably paid back in April 2026, not yet proven"
    never = replace(money, payback_month=None, payback_month_lower=None)
    assert money_finding(EN, never) == "The cost is not covered yet"
    free = replace(money, fixed_cost=0.0, contact_cost=0.0, redemption_cost=0.0)
    assert "No cost is declared" in money_finding(EN, free)


def test_the_largest_part_is_named_unless_parts_cancel() -> None:
    def split(*values: float) -> Decomposition:
        names = ("reactivation", "frequency", "basket")
        parts = (Component(n, Estimate(v, None, None)) for n, v in zip(names, values, strict=True))
        return Decomposition(tuple(parts), sum(values))

    assert decomposition_finding(EN, split(6, 3, 1)).startswith("60% of the effect")
    assert "different directions" in decomposition_finding(EN, split(9, -7, 0.5))
    assert "cannot be split" in decomposition_finding(EN, Decomposition((), None))


def test_segments_are_said_to_differ_only_when_the_test_says_so() -> None:
    found = samples.good().arms[0].heterogeneity
    assert found is not None
    assert "sleeping gold responds most" in segments_finding(EN, found)
    assert segments_finding(EN, replace(found, p_value=0.4)).startswith("Nothing shows")
    assert "cannot be tested" in segments_finding(EN, None)


def test_fading_is_said_only_when_it_shows() -> None:
    fades = Wearout(Estimate(-0.5, -0.9, -0.1), 0.01)
    assert wearout_sentence(EN, fades).startswith(
        "The effect on revenue fades: it shrinks by €0.50"
    )
    grows = Wearout(Estimate(0.5, 0.1, 0.9), 0.01)
    assert wearout_sentence(EN, grows).startswith("The effect on revenue grows")
    assert wearout_sentence(EN, replace(fades, p_value=0.2)).startswith("Nothing shows")
    assert wearout_sentence(EN, None).startswith("Too few closed months")


def test_checks_come_worst_first() -> None:
    statuses = [s.status for s in check_sentences(EN, samples.bad().checks)]
    order = ["failed", "warning", "passed", "not_applicable"]
    assert statuses == sorted(statuses, key=order.index)


@pytest.mark.parametrize("t", [EN, FR], ids=["en", "fr"])
@pytest.mark.parametrize("check", samples.checks(), ids=lambda check: check.name)
@pytest.mark.parametrize("status", list(CheckStatus))
def test_every_check_has_a_sentence_with_and_without_its_figures(
    t: Tongue, check: Check, status: CheckStatus
) -> None:
    for values in (check.values, {}):
        sentence = check_sentence(t, replace(check, status=status, values=values))
        assert sentence.text
        assert "%(" not in sentence.text
        assert bool(sentence.advice) == (status in (CheckStatus.FAILED, CheckStatus.WARNING))


def test_an_unknown_check_still_shows_its_figures() -> None:
    check = Check("moon_phase", CheckStatus.FAILED, False, {"share": 0.08, "n": 3})
    sentence = check_sentence(EN, check)
    assert (sentence.title, sentence.text) == ("moon phase", "share 8.0%; n 3")


def test_nobody_contaminated_is_said_in_words() -> None:
    check = Check("contamination", CheckStatus.PASSED, True, {"contaminated": 0, "share": 0.0})
    assert check_sentence(EN, check).text == "No customer left out was contacted."


def test_nobody_lost_is_said_in_words() -> None:
    values = {"lost_treated": 0, "lost_holdout": 0, "p_value": 1.0}
    check = Check("split", CheckStatus.PASSED, True, values)
    assert check_sentence(EN, check).text == "Nobody has been lost since the draw."


def test_a_tiny_p_value_is_below_not_equal() -> None:
    check = Check("balance", CheckStatus.FAILED, True, {"p_value": 1e-7})
    assert "(p < 0.001)" in check_sentence(EN, check).text.replace("\u00a0", " ")


def of_kind(kind: VerdictKind) -> CampaignResult:
    result = samples.single()
    verdict = replace(result.arms[0].verdict, kind=kind)
    return replace(result, arms=(replace(result.arms[0], verdict=verdict),))


def test_what_cannot_be_known_is_not_said_to_be_known_later() -> None:
    kinds = [VerdictKind.KEEP, VerdictKind.NEVER, VerdictKind.NEVER, VerdictKind.NOT_YET]
    (line,) = programme_verdict(EN, [of_kind(kind) for kind in kinds])
    assert line.text == (
        "Of 4 campaigns, 1 earns money, 2 will not be known from their tests and 1 is not known "
        "yet."
    )
    (line,) = programme_verdict(EN, [of_kind(kind) for kind in kinds[:2]])
    assert line.text == "Of 2 campaigns, 1 earns money and 1 will not be known from its test."


def history(share: float, months: int, status: CheckStatus = CheckStatus.WARNING) -> str:
    values = {"share": share, "months": months, "wanted": 12}
    return check_sentence(EN, Check("missing_history", status, False, values)).text


def test_a_short_history_is_not_blamed_on_the_customers() -> None:
    assert history(0.0, 4).startswith("Only 4 of the 12 months before the start are in the data")
    assert history(0.6, 12).startswith("60.0% of the customers have no purchase in the 12 months")
    assert history(0.0, 12, CheckStatus.PASSED) == (
        "Every customer has a purchase in the months before the start."
    )


def test_a_change_after_launch_is_told_in_the_language_of_the_page() -> None:
    changed = "measure_until: frozen '2026-12-31', now '2027-03-31'"
    assert deviation_sentence(EN, changed) == (
        "Followed until: 31 December 2026 at launch, 31 March 2027 now"
    )
    shares = "arms: frozen {'holdout': 20, 'call': 80}, now {'holdout': 10, 'call': 90}"
    assert deviation_sentence(EN, shares) == (
        "Versions and shares: customers left out 20, call 80 at launch, customers left out 10, "
        "call 90 now"
    )
    assert "au lancement" in deviation_sentence(FR, changed)
    assert deviation_sentence(FR, "a wave was added") == "a wave was added"


def test_labels_of_the_parts_take_no_side() -> None:
    less = Decomposition(
        (Component("reactivation", Estimate(-3.0, -4.0, -2.0)),
         Component("frequency", Estimate(-1.0, -2.0, 0.0)),
         Component("basket", Estimate(-1.0, -2.0, 0.0))),
        -5.0,
    )  # fmt: skip
    assert decomposition_finding(EN, less) == (
        "60% of the effect comes from how many customers ordered"
    )
