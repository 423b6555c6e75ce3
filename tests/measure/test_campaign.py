"""Arms judged together: Holm's step-down against the p-values it is defined on."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pandas as pd
import pytest
from effect_cases import MONTHS, outcomes_of, plan_of, units_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from loyalty_exp.declare.frozen import Calendar
from loyalty_exp.measure.campaign import (
    JUDGED_TOGETHER,
    judge_together,
    looks_together,
    questions,
)
from loyalty_exp.measure.economics import economics
from loyalty_exp.measure.effects import Question, governing, solve
from loyalty_exp.measure.family import step_down
from loyalty_exp.measure.verdict import verdict
from loyalty_exp.store.outcomes import Outcomes


def trial(lift_a: float, lift_b: float, seed: int) -> Outcomes:
    """One look only, so that the verdicts follow from plain p-values."""
    arms = [
        units_of(300, "holdout", seed),
        units_of(300, "a", seed + 1),
        units_of(300, "b", seed + 2),
    ]
    for arm, lift in zip(arms[1:], (lift_a, lift_b), strict=True):
        for metric in ("margin", "net"):
            for k in range(MONTHS):
                arm[f"{metric}_{k}"] += lift
                arm[f"{metric}_c{k}"] += lift * (k + 1)
    return outcomes_of(pd.concat(arms, ignore_index=True))


ONE_LOOK = replace(plan_of(), looks=1, measure_until=dt.date(2026, 3, 31))
CALENDAR = Calendar.of(ONE_LOOK, dt.date(2026, 6, 1))


@pytest.mark.parametrize("seed", range(0, 30, 3))
@pytest.mark.parametrize("lifts", [(0.0, 0.0), (3.0, 1.5), (2.0, 2.0), (5.0, 0.0)])
def test_verdicts_are_holms(lifts: tuple[float, float], seed: int) -> None:
    outcomes = trial(*lifts, seed)
    p = []
    for arm in ("a", "b"):
        effects = solve(outcomes, Question(arm, "holdout"), ["net_c0"])
        assert effects is not None
        t = effects.estimate[0] / effects.covariance[0, 0] ** 0.5
        p.append(2 * stats.t.sf(abs(t), effects.df[0]))
    expected = multipletests(p, alpha=0.05, method="holm")[0]
    money = judge_together(ONE_LOOK, outcomes, CALENDAR)
    for arm, rejected in zip(("a", "b"), expected, strict=True):
        net = money[arm].net
        assert (net.lower > 0 or net.upper < 0) == rejected


def test_a_single_arm_keeps_the_whole_risk_and_two_say_that_they_share_it() -> None:
    outcomes = trial(0.0, 0.0, 1)
    alone = replace(ONE_LOOK, arms=("holdout", "a"))
    one = judge_together(alone, outcomes, CALENDAR)["a"]
    two = judge_together(ONE_LOOK, outcomes, CALENDAR)["a"]
    assert JUDGED_TOGETHER not in one.notes
    assert JUDGED_TOGETHER in two.notes
    assert two.net.upper - two.net.lower > one.net.upper - one.net.lower


def test_questions_cover_arms_segments_and_pairs_of_arms() -> None:
    asked = list(questions(plan_of(), trial(0.0, 0.0, 1)))
    assert Question("a", "holdout") in asked
    assert Question("b", "holdout", "s2") in asked
    assert Question("a", "b") in asked
    assert len(asked) == 3 * 3


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.data(),
)
def test_no_step_down_decides_what_the_closed_test_would_not(
    arms: int, looks: int, data: st.DataObject
) -> None:
    """Against the definition: an arm falls only if every set of arms that holds it falls.

    A set falls when one of its members has been below alpha over its size at a look so far.
    """
    names = [f"arm{n}" for n in range(arms)]
    p = {
        name: data.draw(st.lists(st.floats(0, 0.1), min_size=looks, max_size=looks))
        for name in names
    }

    def decides(arm: str, look: int, alpha: float) -> bool:
        return p[arm][look] < alpha

    levels = step_down(names, looks, 0.05, decides)
    for arm in names:
        fell = [k for k in range(looks) if p[arm][k] < levels[arm][k]]
        if not fell:
            continue
        first = fell[0]
        assert set(levels[arm][first:]) == {levels[arm][first]}, "its level stays"
        others = [name for name in names if name != arm]
        for size in range(arms):
            for company in itertools.combinations(others, size):
                group = (arm, *company)
                assert any(min(p[name][: first + 1]) < 0.05 / len(group) for name in group)


def test_with_one_look_the_step_down_is_holms() -> None:
    p = {"a": 0.014, "b": 0.02, "c": 0.2, "d": 0.011}
    levels = step_down(list(p), 1, 0.05, lambda arm, _, alpha: p[arm] < alpha)
    found = [p[arm] < levels[arm][0] for arm in p]
    assert found == list(multipletests(list(p.values()), alpha=0.05, method="holm")[0])
    assert {arm: at for arm, (_, at) in levels.items()} == {
        "a": 0.05 / 3,
        "b": 0.05 / 2,
        "c": 0.05,
        "d": 0.05 / 4,
    }


def monthly(lift_a: list[float], lift_b: list[float], seed: int = 1) -> Outcomes:
    """Margins of six hundred units of each arm, raised month by month."""
    arms = [units_of(600, arm, seed + n) for n, arm in enumerate(("holdout", "a", "b"))]
    for arm, lift in zip(arms[1:], (lift_a, lift_b), strict=True):
        for metric in ("margin", "net"):
            for k in range(MONTHS):
                arm[f"{metric}_{k}"] += lift[k]
                arm[f"{metric}_c{k}"] += sum(lift[: k + 1])
    return outcomes_of(pd.concat(arms, ignore_index=True))


CLOSED = Calendar(plan_of().first_month, 6, MONTHS, MONTHS)


def test_a_cost_paid_first_frees_no_risk_for_the_other_arms() -> None:
    """Below 0 because it has just been paid for is no verdict: the arm may still claim a gain."""
    outcomes = replace(monthly([0.0] * 4, [0.0] * 4), contacts={(0, "a"): (0, 30.0)})
    money = judge_together(plan_of(), outcomes, CLOSED)
    plan = replace(plan_of(), alpha=0.025)
    assert money["a"].months[0].net.upper < 0
    assert verdict(plan_of(), outcomes, CLOSED, "a", money["a"], ()).decided_month is None
    alone = economics(plan, outcomes, CLOSED, "b")
    assert money["b"].months == alone.months


def test_a_reading_stays_as_it_was_when_another_arm_is_decided_later() -> None:
    outcomes = monthly([2.0, 20.0, 20.0, 20.0], [0.0] * 4)
    money = judge_together(plan_of(), outcomes, CLOSED)
    fell = verdict(plan_of(), outcomes, CLOSED, "a", money["a"], ()).decided_month
    k = CLOSED.labels.index(str(fell))
    assert k > 0
    at = {
        alpha: economics(replace(plan_of(), alpha=alpha), outcomes, CLOSED, "b")
        for alpha in (0.05, 0.025)
    }
    assert money["b"].months[:k] == at[0.025].months[:k]
    assert money["b"].months[k:] == at[0.05].months[k:]
    assert (money["a"].level, money["b"].level) == (0.975, 0.95)
    early = judge_together(plan_of(), outcomes, Calendar(CLOSED.first, 6, k, k))
    for arm in ("a", "b"):
        for then, now in zip(early[arm].months, money[arm].months, strict=False):
            assert then.net.lower == pytest.approx(now.net.lower)


def test_looks_of_several_arms_share_the_risk_too() -> None:
    outcomes = monthly([0.0] * 4, [0.0] * 4)
    looks = looks_together(replace(plan_of(), metric="margin"), outcomes, CLOSED)
    single = looks_together(
        replace(plan_of(), metric="margin", arms=("holdout", "a")), outcomes, CLOSED
    )
    for two, one in zip(looks["a"], single["a"], strict=True):
        assert two.boundary > one.boundary
        assert two.z == one.z
    assert len(looks["b"]) == CLOSED.closed


def test_the_methods_of_several_waves_are_those_that_suit_them_all() -> None:
    first, second = plan_of(), plan_of(wave=1)
    assert governing([first]) is first
    methods = dict(first.methods) | {"a:revenue": "too few", "b:revenue": "too few"}
    later = dict(second.methods) | {"b:revenue": "too few", "b:orders": "w2"}
    plan = governing([replace(first, methods=methods), replace(second, methods=later)])
    assert {name for name, method in plan.methods.items() if method == "w2"} == {
        "a:revenue",
        "b:revenue",
        "b:orders",
    }
    assert set(plan.methods.values()) == {"w1", "w2"}


def test_pairs_of_arms_are_governed_by_what_every_wave_froze() -> None:
    first, second = plan_of(), plan_of(wave=1)
    with_pairs = dict(first.methods) | {"a:b:revenue": "w1", "a:b:orders": "w1"}
    later = dict(second.methods) | {"a:b:revenue": "w2"}
    plan = governing([replace(first, methods=with_pairs), replace(second, methods=later)])
    assert plan.methods["a:b:revenue"] == "w2"
    assert "a:b:orders" not in plan.methods
