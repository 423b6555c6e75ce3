"""Arms judged together: Holm's step-down against the p-values it is defined on."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest
from effect_cases import MONTHS, outcomes_of, plan_of, units_of
from scipy import stats
from statsmodels.stats.multitest import multipletests

from loyalty_exp.declare.frozen import Calendar
from loyalty_exp.measure.campaign import JUDGED_TOGETHER, judge_together, questions
from loyalty_exp.measure.effects import Question, solve
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
