"""Figures as readers of each language write them; nothing rounds to certainty."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_exp.report.tongue import Tongue, step_for

NNBSP, NBSP, MINUS, JOINER = "\u202f", "\u00a0", "\u2212", "\u2060"


@pytest.fixture(params=["fr", "en"])
def t(request: pytest.FixtureRequest) -> Tongue:
    return Tongue(request.param)


def test_money_is_rounded_to_what_its_interval_bears() -> None:
    # the example of the pages' guide: 18,437.22 between 4,123.4 and 33,017.1
    step = step_for(4123.4, 33017.1)
    assert step == 100
    assert Tongue("en").money(18437.22, step=step) == "€18,400"
    assert Tongue("fr").money(18437.22, step=step) == f"18{NNBSP}400{NBSP}€"
    assert step_for(52_000, 214_000) == 1000
    assert step_for(None, 3.0) == 1
    assert step_for(5.0, 5.0) == 1
    assert step_for(0.0, 1e-9) == 0.01


def test_money_below_zero_carries_a_true_minus() -> None:
    assert Tongue("fr").money(-6212.3, step=100) == f"{MINUS}6{NNBSP}200{NBSP}€"
    assert Tongue("en").money(-1.5) == f"{MINUS}{JOINER}€1.50"
    assert Tongue("en").money(2.0, signed=True) == f"+{JOINER}€2.00"
    assert Tongue("en", "USD").money(2.0, step=1) == "$2"
    assert Tongue("en", "AUD").money(2.0, step=1) == "A$2"


@given(
    value=st.floats(-1e9, 1e9).filter(lambda v: abs(v) >= 0.006),
    step=st.sampled_from([0.01, 0.1, 1.0, 100.0, 1e6]),
)
def test_money_other_than_zero_is_never_written_as_zero(value: float, step: float) -> None:
    assert any(digit in Tongue("en").money(value, step=step) for digit in "123456789")


@given(value=st.floats(-1e7, 1e7), step=st.sampled_from([1.0, 10.0, 1000.0]))
def test_rounded_money_is_within_half_a_step(value: float, step: float) -> None:
    text = Tongue("en").money(value, step=step)
    back = float(text.replace("€", "").replace(",", "").replace(MINUS, "-").replace(JOINER, ""))
    assert abs(back - value) <= step / 2 + 1e-6


@given(share=st.floats(1e-5, 1 - 1e-5))
def test_percent_is_never_written_as_nothing_or_all(share: float) -> None:
    text = Tongue("en").percent(share, 0)
    assert text.strip("%").rstrip("0").rstrip(".") not in {"", "100"}


def test_probabilities_never_round_to_certainty(t: Tongue) -> None:
    assert t.p_value(1e-9).startswith("<")
    assert t.p_value(0.9999).startswith(">")
    assert t.chance(0.0001).startswith("<")
    assert t.chance(0.9999).startswith(">")
    assert t.p_value(None) == t.chance(None) == "–"


def test_absent_and_infinite_figures_are_a_dash(t: Tongue) -> None:
    for value in (None, float("nan"), float("inf")):
        assert t.money(value) == t.number(value) == t.percent(value) == "–"


def test_dates_months_and_lists() -> None:
    fr, en = Tongue("fr"), Tongue("en")
    assert fr.date(dt.date(2026, 3, 1)) == "1er mars 2026"
    assert fr.date(dt.date(2026, 3, 11)) == "11 mars 2026"
    assert en.date(dt.date(2026, 3, 1)) == "1 March 2026"
    assert fr.month("2026-08") == "août 2026"
    assert en.month_short("2026-02", year=True) == "Feb 2026"
    assert fr.listed(["a", "b", "c"]) == "a, b et c"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="one of fr, en"):
        Tongue("de")
