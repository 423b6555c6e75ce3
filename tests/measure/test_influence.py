"""The reading without its largest units, against the same reading of the rows left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loyalty_exp.measure.campaign import judge_together, looks_together
from loyalty_exp.measure.influence import influence
from loyalty_exp.measure.results import Influence
from loyalty_exp.measure.verdict import decided_side, elapsed_shares
from loyalty_exp.stats.ancova import Comparison, IntervalMethod, interval, joint_effects
from loyalty_exp.stats.moments import Moments

COUNTS = {"holdout": 60, "offer": 140}
FIXED = {"costs": {"fixed": 300.0}}
Make = Callable[..., Any]


def largest_of(company: Any, closed: int, metric: str = "revenue") -> dict[Any, np.ndarray]:
    found = {}
    last = f"c{closed - 1}"
    names = (f"{metric}_{last}", f"{metric}_x", f"margin_{last}", "margin_x", f"net_{last}")
    for arm in np.unique(company.arm):
        rows = np.column_stack([company.of(name, arm) for name in names])
        top = np.argsort(-rows[:, -1], kind="stable")[:10]
        found[company.wave, str(arm)] = rows[top]
    return found


def run(
    plan: Any, calendar: Any, companies: Sequence[Any], outcomes: Any
) -> tuple[tuple[Influence, ...], Any]:
    money = judge_together(plan, outcomes, calendar)["offer"]
    looks = looks_together(plan, outcomes, calendar)["offer"]
    largest = {key: rows for one in companies for key, rows in largest_of(one, 3).items()}
    return influence(plan, outcomes, largest, calendar, "offer", money, looks), (money, looks)


def kept(arm: np.ndarray, brought: np.ndarray, removed: int) -> np.ndarray:
    keep = np.ones(len(arm), bool)
    for side in ("offer", "holdout"):
        inside = np.flatnonzero(arm == side)
        keep[inside[np.argsort(-brought[inside], kind="stable")[:removed]]] = False
    return keep


@pytest.mark.parametrize("method", ["w1", "w2"])
def test_influence_is_the_reading_of_the_rows_left(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make, method: str
) -> None:
    made = company(COUNTS, lift=0.5, seed=6, redemption=2.0, contact=0.5, segments=("one", "two"))
    methods = dict.fromkeys(plan_of(COUNTS).methods, method)
    plan = plan_of(COUNTS, methods=methods, declaration=FIXED)
    calendar = calendar_of(plan, 3)
    found, (money, looks) = run(plan, calendar, [made], outcomes_of(made))
    assert [line.removed for line in found] == [1, 5, 10]
    share = elapsed_shares(plan, calendar)[2]
    names = ("revenue_c2", "margin_c2", "net_c2", "revenue_x", "margin_x")
    pairs = (("revenue_c2", "revenue_x"), ("margin_c2", "margin_x"), ("net_c2", "margin_x"))
    for line in found:
        keep = kept(made.arm, made.values["net_c2"], line.removed)
        arms = (
            Moments.from_rows(
                names,
                np.column_stack([made.values[name][keep & (made.arm == arm)] for name in names]),
                pairs,
            )
            for arm in ("offer", "holdout")
        )
        effects = joint_effects([Comparison(*arms)], names[:3], [x for _, x in pairs])
        first = effects.select(names[:1])
        limits = interval(first, IntervalMethod(method), critical=looks[-1].boundary)
        expected = [first.estimate[0], limits[0][0], limits[1][0]]
        effect = line.effect
        assert [effect.value, effect.lower, effect.upper] == pytest.approx(expected, rel=1e-9)
        net = 140 * (effects.estimate[2] - 0.5) - 300
        assert line.net.value == pytest.approx(net, rel=1e-9)
        assert line.same_sign == (np.sign(net) == np.sign(money.net.value))
        without = replace(money.months[2], net=line.net)
        if line.net.lower > 0:
            assert decided_side(without, share) == 1
        # The boundary is the reading's own: wider than a single test's.
        single = interval(first, IntervalMethod(method))
        assert effect.lower < single[0][0]


def test_nobody_left_out_is_the_reading_itself(
    company: Make,
    outcomes_of: Make,
    plan_of: Make,
    calendar_of: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loyalty_exp.measure.influence.REMOVED", (0,))
    waves = [company(COUNTS, seed=1, contact=0.5), company(COUNTS, seed=2, wave=1, contact=0.5)]
    methods = dict.fromkeys(plan_of(COUNTS).methods, "w2")
    plan = plan_of(COUNTS, methods=methods, declaration=FIXED)
    calendar = calendar_of(plan, 3)
    found, (money, looks) = run(plan, calendar, waves, outcomes_of(*waves))
    for ours, theirs in ((found[0].effect, looks[-1].effect), (found[0].net, money.net)):
        for name in ("value", "lower", "upper"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-9)
    assert found[0].same_sign
    assert found[0].same_verdict


def test_one_customer_who_decides_is_seen(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """All of the gain is one order: without its customer the sign turns."""
    made = company(COUNTS, seed=6)
    offer, holdout = (np.flatnonzero(made.arm == arm) for arm in ("offer", "holdout"))
    for metric, rate in (("revenue", 1.0), ("margin", 0.4), ("net", 0.4)):
        total = made.values[f"{metric}_c2"]
        total[offer] = rate * (10.0 + np.arange(140) % 3)
        total[holdout] = rate * (20.0 + np.arange(60) % 3)
        total[offer[0]] = rate * 5000.0
    plan = plan_of(COUNTS)
    found, _ = run(plan, calendar_of(plan, 3), [made], outcomes_of(made))
    assert not found[0].same_sign
    assert found[0].effect.upper < 0
    assert found[0].net.upper < 0


def test_influence_ranks_over_waves_and_stops_where_nobody_is_left(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    waves = [company(COUNTS, seed=1), company({"holdout": 27, "offer": 30}, seed=2, wave=1)]
    plan = plan_of(COUNTS)
    found, _ = run(plan, calendar_of(plan, 3), waves, outcomes_of(*waves))
    arm = np.concatenate([wave.arm for wave in waves])
    brought = np.concatenate([wave.values["net_c2"] for wave in waves])
    keep = np.split(kept(arm, brought, 1), [200])
    rows = []
    for wave, left in zip(waves, keep, strict=True):
        y, x = wave.values["revenue_c2"][left], wave.values["revenue_x"][left]
        both = np.cov(y, x)
        e = y - both[0, 1] / both[1, 1] * x
        treated = wave.arm[left] == "offer"
        rows.append((left.sum(), e[treated].mean() - e[~treated].mean()))
    expected = sum(n * tau for n, tau in rows) / 255
    assert found[0].effect.value == pytest.approx(expected, rel=1e-9)
    few = {"holdout": 8, "offer": 30}
    tiny = company(few, seed=3)
    lines, _ = run(plan_of(few), calendar_of(plan, 3), [tiny], outcomes_of(tiny))
    assert [line.removed for line in lines] == [1, 5], "ten cannot be taken from eight"
    outcomes, money = (
        outcomes_of(*waves),
        judge_together(plan, outcomes_of(*waves), calendar_of(plan, 3)),
    )
    assert influence(plan, outcomes, {}, calendar_of(plan, 0), "offer", money["offer"], ()) == ()


def test_influence_takes_tiny_waves_together(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """A first wave of one holdout unit and a second of many are read as one list."""
    waves = [company({"holdout": 1, "offer": 9}, seed=1), company(COUNTS, seed=2, wave=1)]
    plan = plan_of(COUNTS)
    found, _ = run(plan, calendar_of(plan, 3), waves, outcomes_of(*waves))
    y, x, brought = (
        np.concatenate([wave.values[name] for wave in waves])
        for name in ("revenue_c2", "revenue_x", "net_c2")
    )
    arm = np.concatenate([wave.arm for wave in waves])
    for line in found:
        keep = kept(arm, brought, line.removed)
        both = np.cov(y[keep], x[keep])
        e = y - both[0, 1] / both[1, 1] * x
        expected = e[keep & (arm == "offer")].mean() - e[keep & (arm == "holdout")].mean()
        assert line.effect.value == pytest.approx(expected, rel=1e-9)


def test_where_too_few_decide_there_is_no_verdict_to_change(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, seed=5)
    few = plan_of(COUNTS, methods=dict.fromkeys(plan_of(COUNTS).methods, "too few"))
    lines, _ = run(few, calendar_of(few, 3), [made], outcomes_of(made))
    assert [line.removed for line in lines] == [1, 5, 10]
    assert all(line.effect.value is not None and line.effect.lower is None for line in lines)
    assert all(line.same_verdict for line in lines)
