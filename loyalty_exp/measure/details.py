"""What lies behind an arm's effect: parts, fading, reach, other calculations, segments.

Reads moments, never the database. Nothing here moves a verdict: every interval is read alone.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from loyalty_exp.declare.frozen import Calendar, FrozenPlan, month_of
from loyalty_exp.measure.effects import (
    Question,
    finite,
    look_boundaries,
    method_of,
    names_of,
    solve,
)
from loyalty_exp.measure.results import (
    Component,
    Decomposition,
    Estimate,
    Heterogeneity,
    SegmentRank,
    Sensitivity,
    Wearout,
)
from loyalty_exp.stats.ancova import (
    IntervalMethod,
    JointEffects,
    Reason,
    critical_values,
    interval,
    joint_effects,
    method_covariance,
    p_values,
)
from loyalty_exp.stats.decomposition import COMPONENTS, decompose
from loyalty_exp.stats.multiplicity import heterogeneity, holm, shrink
from loyalty_exp.stats.noncompliance import effect_per_reached
from loyalty_exp.stats.wearout import LinearEffect, pull_forward, wear_out
from loyalty_exp.store.outcomes import Outcomes, covariate_of

__all__ = [
    "compare_segments",
    "decomposition",
    "fading",
    "pulled_forward",
    "reached_effect",
    "sensitivity",
]

JOINED = "not estimable: customers joined the campaign over several months"
WEAK_REACH = "take care: few more were reached than without the campaign, the estimate leans"


def decomposition(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str
) -> Decomposition | None:
    """Reactivation, frequency and basket of the cumulative effect on revenue per unit.

    None before the first closed month, or where an arm has nobody; without limits where too few
    decide the result.
    """
    last = calendar.closed - 1
    active, orders, revenue = names = [f"{m}_c{last}" for m in ("active", "orders", "revenue")]
    effects = solve(outcomes, Question(arm, plan.holdout), names) if calendar.closed else None
    if effects is None:
        return None
    parts = decompose(effects, active, orders, revenue, 1 - plan.alpha)
    few = _too_few(plan, arm)
    components = tuple(
        Component(name, _bare(_estimate(*limits), few=few))
        for name, *limits in zip(COMPONENTS, parts.estimate, parts.lower, parts.upper, strict=True)
    )
    notes = (*_notes(parts.reason), *((str(Reason.TOO_FEW),) if few else ()))
    return Decomposition(components, finite(parts.total), notes)


def fading(plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str) -> Wearout | None:
    """Slope of the monthly effect on revenue per unit, after the first full month.

    A campaign that starts within a month has its first full month next. Four closed months are
    needed after that one; before, the slope is None with the reason. So it is where customers
    joined in several waves: the effect per unit then grows with those who have joined.
    """
    if len(outcomes.waves) > 1:
        return Wearout(Estimate(None, None, None), None, (JOINED,))
    if _too_few(plan, arm):
        return Wearout(Estimate(None, None, None), None, (str(Reason.TOO_FEW),))
    first = 1 if plan.start.day == 1 else 2
    months = range(first, calendar.closed)
    names = [f"revenue_{k}" for k in months]
    effects = solve(outcomes, Question(arm, plan.holdout), names) if names else None
    if effects is None:
        return None
    slope = wear_out(effects, names, months, 1 - plan.alpha).slope
    return Wearout(_linear(slope), finite(slope.p_value), _notes(slope.reason))


def pulled_forward(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str
) -> Estimate | None:
    """What the cumulative effect on revenue per unit has gained or lost since the campaign's end.

    From the end of the month in which the campaign ends to the last closed month; None until a
    whole month after it is closed.
    """
    end, last = month_of(plan.end.year, plan.end.month) - calendar.first, calendar.closed - 1
    if last <= end:
        return None
    at_end, after = f"revenue_c{end}", f"revenue_c{last}"
    effects = solve(outcomes, Question(arm, plan.holdout), [at_end, after])
    if effects is None:
        return None
    found = _linear(pull_forward(effects, at_end, after, 1 - plan.alpha))
    return _bare(found, few=_too_few(plan, arm))


def reached_effect(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str
) -> tuple[Estimate | None, tuple[str, ...]]:
    """Cumulative effect on the primary metric per unit reached, with what must be said of it.

    Its interval is sequential, like the headline's. None without a log of contacts or a closed
    month; an empty estimate with its reason where it cannot be told.
    """
    question = Question(arm, plan.holdout)
    comparisons = outcomes.comparisons(arm, plan.holdout)
    if not outcomes.logged or not calendar.closed or not comparisons:
        return None, ()
    names = names_of(plan.metric, calendar.closed, cumulative=True)
    covariates = [covariate_of(name) for name in names]
    looks = joint_effects(comparisons, names, covariates)
    method = method_of(plan, question, plan.metric)
    if method is IntervalMethod.TOO_FEW:
        return Estimate(None, None, None), (str(Reason.TOO_FEW),)
    last, boundary = looks.select(names[-1:]), look_boundaries(plan, looks)[-1]
    down, up = critical_values(last, method, critical=boundary)
    found = effect_per_reached(
        comparisons,
        names[-1],
        "reached",
        covariates[-1],
        method=method,
        critical=(float(down[0]), float(up[0])),
    )
    estimate = _estimate(found.estimate, found.lower, found.upper)
    if found.reason:
        return estimate, (found.reason,)
    return estimate, (WEAK_REACH,) if found.weak else ()


def sensitivity(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str
) -> tuple[Sensitivity, ...]:
    """The cumulative effect on the primary metric without adjustment, and on capped months.

    The unadjusted line keeps the frozen method. Capped months are not skewed any more: Welch's
    interval, with the cap frozen at launch as detail. Empty before the first closed month.
    """
    comparisons = outcomes.comparisons(arm, plan.holdout)
    if not calendar.closed or not comparisons:
        return ()
    last, level = calendar.closed - 1, 1 - plan.alpha
    raw = joint_effects(comparisons, [f"{plan.metric}_c{last}"], [None])
    method = method_of(plan, Question(arm, plan.holdout), plan.metric)
    lines = [Sensitivity("unadjusted", _only(raw, method, level))]
    cap = plan.caps.get(plan.metric)
    if cap is not None:
        capped = joint_effects(comparisons, [f"capped_c{last}"], ["capped_x"])
        lines.append(Sensitivity("capped", _only(capped, IntervalMethod.W1, level), cap))
    return tuple(lines)


def compare_segments(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, arm: str
) -> Heterogeneity | None:
    """Whether segments differ in the cumulative effect on the primary metric, then each of them.

    Cochran's Q first; p-values of the segments adjusted by Holm; effects shrunken to the common
    mean where three segments or more can be estimated. None for a single segment or before the
    first closed month; no test and no limits where too few decide the result.
    """
    segments = outcomes.segments
    if len(segments) < 2 or not calendar.closed:
        return None
    method = method_of(plan, Question(arm, plan.holdout, segments[0]), plan.metric)
    name = f"{plan.metric}_c{calendar.closed - 1}"
    found = [solve(outcomes, Question(arm, plan.holdout, part), [name]) for part in segments]
    effects = [np.nan if one is None else float(one.estimate[0]) for one in found]
    known = method is not IntervalMethod.TOO_FEW
    errors = [np.nan if one is None or not known else _error(one, method) for one in found]
    p = [np.nan if one is None else float(p_values(one, method)[0]) for one in found]
    test, drawn = heterogeneity(effects, errors), shrink(effects, errors)
    reach = float(stats.norm.isf(plan.alpha / 2)) * drawn.standard_error
    nothing = Estimate(None, None, None)
    ranks = tuple(
        SegmentRank(
            segment=segment,
            effect=nothing if one is None else _only(one, method, 1 - plan.alpha),
            shrunken=_estimate(posterior, posterior - half, posterior + half),
            p_value_holm=finite(adjusted),
        )
        for segment, one, posterior, half, adjusted in zip(
            segments, found, drawn.effect, reach, holm(p), strict=True
        )
    )
    return Heterogeneity(finite(test.q), test.df, finite(test.p_value), ranks)


def _only(effects: JointEffects, method: IntervalMethod, level: float) -> Estimate:
    """The effect on a single outcome with its interval."""
    lower, upper = interval(effects, method, level)
    return _estimate(effects.estimate[0], lower[0], upper[0])


def _too_few(plan: FrozenPlan, arm: str) -> bool:
    """Whether the frozen method gives no interval for revenue."""
    return method_of(plan, Question(arm, plan.holdout), "revenue") is IntervalMethod.TOO_FEW


def _bare(estimate: Estimate, *, few: bool) -> Estimate:
    """The estimate, without its limits where too few decide it."""
    return Estimate(estimate.value, None, None) if few else estimate


def _error(effects: JointEffects, method: IntervalMethod) -> float:
    treated, control = method_covariance(effects, method)
    return float(np.sqrt(treated[0, 0] + control[0, 0]))


def _linear(found: LinearEffect) -> Estimate:
    return _estimate(found.estimate, found.lower, found.upper)


def _estimate(value: float, lower: float, upper: float) -> Estimate:
    return Estimate(finite(value), finite(lower), finite(upper))


def _notes(reason: str | None) -> tuple[str, ...]:
    return () if reason is None else (str(reason),)
