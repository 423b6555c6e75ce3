"""Effects of an arm against another: rows by month and cumulative, and the looks.

Reads moments, never the database. The interval's method comes from the frozen plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.results import LEANS_HIGH, LEANS_LOW, EffectRow, Estimate, Look
from loyalty_exp.stats.ancova import (
    IntervalMethod,
    JointEffects,
    Reason,
    decidable,
    interval,
    interval_notes,
    joint_effects,
    less_certain,
    method_covariance,
    p_values,
    relative_effects,
)
from loyalty_exp.stats.bands import simultaneous_band
from loyalty_exp.stats.leaning import ExpectedBias, expected_bias
from loyalty_exp.stats.looks import boundaries, look_correlation, spending_function
from loyalty_exp.stats.ratios import ratio_effect
from loyalty_exp.store.outcomes import ALL, Outcomes, covariate_of

__all__ = [
    "CUMULATIVE",
    "MEAN_METRICS",
    "RATIO_METRICS",
    "Question",
    "effect_rows",
    "estimate_looks",
    "finite",
    "governing",
    "look_boundaries",
    "method_of",
    "names_of",
    "ratio_rows",
    "solve",
]

Floats = NDArray[np.float64]

CUMULATIVE = "cumulative"
MEAN_METRICS = ("revenue", "margin", "orders", "active", "net")
"""Metrics that are means over all assigned units; net is margin minus variable cost."""


RATIO_METRICS = {"basket": ("revenue", "orders"), "frequency": ("orders", "active")}
"""Metrics that are ratios of two means: revenue per order, orders per active month."""

UNLIKE = 2
"""How many times the units of another a treated arm has before they are unlike in size."""

EXPLORATORY_POINTS = 1024
"""Integration points for a part of the audience: the error spent is then within .0025 of alpha."""

ACTIVE_MONTHS = "months with an order since the start, not a share of customers"
AMONG_BUYERS = "among buyers: not an effect on the same people"


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared: an arm against another, in a segment and a wave, or all of them."""

    arm: str
    against: str
    segment: str = ALL
    wave: int | None = None


def finite(value: float) -> float | None:
    """A number, or None where it could not be estimated."""
    return float(value) if np.isfinite(value) else None


def names_of(metric: str, months: int, *, cumulative: bool) -> list[str]:
    """Variables of a metric: its months, or its sums from month 0 to each month."""
    return [f"{metric}_{'c' if cumulative else ''}{k}" for k in range(months)]


def governing(plans: Sequence[FrozenPlan]) -> FrozenPlan:
    """The plan that a campaign is read by: the first wave's, with methods that suit all waves.

    Welch's where every wave froze it, else the careful one. A first wave that was too small to
    know anything does not bind those that join it: "too few to know" is kept for a single wave.
    """
    if len(plans) == 1:
        return plans[0]
    plain = IntervalMethod.W1.value
    methods = {
        name: plain
        if all(plan.methods[name] == plain for plan in plans)
        else IntervalMethod.W2.value
        for name in plans[0].methods
        if all(name in plan.methods for plan in plans)
    }
    return replace(plans[0], methods=methods)


def method_of(plan: FrozenPlan, question: Question, metric: str) -> IntervalMethod:
    """The method frozen at launch for a comparison and metric.

    Where arms are alike in size, Welch's serves a part of the audience as it does the whole. Where
    one has more than twice the units of the other it is a small holdout, and a part is skewed more
    than the whole for which Welch's was frozen: the careful one. So it is for plans older than the
    freezing of treated arms against each other.
    """
    pair = "" if question.against == plan.holdout else f"{question.against}:"
    frozen = plan.methods.get(f"{question.arm}:{pair}{metric}")
    sizes = sorted(plan.units_of(arm) for arm in (question.arm, question.against))
    by_size = IntervalMethod.W2 if sizes[1] > UNLIKE * sizes[0] else IntervalMethod.W1
    if frozen is None:
        return by_size
    part = question.segment != ALL or question.wave is not None
    return by_size if part and frozen == IntervalMethod.W1 else IntervalMethod(frozen)


def solve(outcomes: Outcomes, question: Question, variables: Sequence[str]) -> JointEffects | None:
    """Joint effects on some variables; None when one of the arms has nobody there.

    The net result is estimated before contacts, whose certain cost is then taken off.
    """
    asked = (question.arm, question.against, question.segment, question.wave)
    comparisons = outcomes.comparisons(*asked)
    if not comparisons:
        return None
    effects = joint_effects(comparisons, variables, [covariate_of(name) for name in variables])
    costs = [
        np.array([_certain(name, path) for name in variables])
        for path in outcomes.contact_costs(*asked)
    ]
    return less_certain(effects, *costs)


def _certain(variable: str, path: Floats) -> float:
    """What a net result bears of a cumulative certain cost, (months,); 0 for other variables."""
    metric, suffix = variable.rsplit("_", 1)
    if metric != "net":
        return 0.0
    if suffix.startswith("c"):
        return float(path[int(suffix[1:])])
    return float(np.diff(path, prepend=0.0)[int(suffix)])


def look_boundaries(
    plan: FrozenPlan,
    looks: JointEffects,
    points: int | None = None,
    alphas: Sequence[float] | None = None,
) -> Floats:
    """Boundary of each look taken, in standard errors, from the correlation of the looks.

    Args:
        plan: the frozen plan.
        looks: effects on the cumulative outcomes, a look each, in order.
        points: integration points, as in `stats.looks.rays`.
        alphas: two-sided error over all planned looks that each look is read at, where several
            arms share the plan's; the plan's own if None.
    """
    spending, count = spending_function(plan.spending), len(looks.outcomes)
    levels = np.full(count, plan.alpha) if alphas is None else np.array(alphas[:count])
    correlation = look_correlation(looks)
    found = np.full(count, np.nan)
    for alpha in np.unique(levels):
        boundary = boundaries(correlation, spending, float(alpha), plan.looks, points)
        found[levels == alpha] = boundary[levels == alpha]
    return found


def effect_rows(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    question: Question,
    metrics: Sequence[str] = MEAN_METRICS,
) -> list[EffectRow]:
    """Effects of each month begun and, once a month is closed, the cumulative one.

    Args:
        plan: the frozen plan.
        outcomes: moments by wave, arm and segment.
        calendar: which months are closed.
        question: what is compared.
        metrics: mean metrics, each in rows of its own.
    """
    months, closed = calendar.begun, calendar.closed
    variables = [
        name
        for metric in metrics
        for name in (
            *names_of(metric, months, cumulative=False),
            *names_of(metric, closed, cumulative=True),
        )
    ]
    effects = solve(outcomes, question, variables) if variables else None
    if effects is None:
        return []
    rows: list[EffectRow] = []
    whole = question.segment == ALL and question.wave is None
    points = None if whole else EXPLORATORY_POINTS
    for metric in metrics:
        method = method_of(plan, question, metric)
        path = effects.select(names_of(metric, months, cumulative=False))
        band = simultaneous_band(path, method, 1 - plan.alpha, points).critical
        lean = _lean(effects, path, method)
        rows += _rows(plan, path, method, question, metric, calendar, np.full(months, band), lean)
        if closed:
            looks = effects.select(names_of(metric, closed, cumulative=True))
            last = looks.select([f"{metric}_c{closed - 1}"])
            boundary = look_boundaries(plan, looks, points)[-1:]
            lean = _lean(effects, last, method)
            rows += _rows(plan, last, method, question, metric, None, boundary, lean)
    return rows


def ratio_rows(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, question: Question
) -> list[EffectRow]:
    """Differences of basket and frequency, by month and cumulative, each read alone.

    They compare buyers with buyers, who are not the same people in both arms: no total, no
    relative effect, no interval for all months together. No interval at all where the frozen method
    of what is divided gives none.
    """
    comparisons = outcomes.comparisons(
        question.arm, question.against, question.segment, question.wave
    )
    if not comparisons:
        return []
    n_treated = sum(comparison.treated.n for comparison in comparisons)
    n_holdout = sum(comparison.control.n for comparison in comparisons)
    suffixes = [(calendar.labels[k], str(k), k < calendar.closed) for k in range(calendar.begun)]
    if calendar.closed:
        suffixes.append((CUMULATIVE, f"c{calendar.closed - 1}", True))
    rows = []
    for metric, (above, below) in RATIO_METRICS.items():
        past = (f"{above}_x", f"{below}_x")
        few = method_of(plan, question, above) is IntervalMethod.TOO_FEW
        for month, suffix, closed in suffixes:
            names = (f"{above}_{suffix}", f"{below}_{suffix}")
            effect = ratio_effect(comparisons, *names, past, 1 - plan.alpha)
            z = effect.estimate / np.sqrt(effect.variance)
            p = 2 * special.stdtr(effect.df, -abs(z))
            if few:
                effect, p = replace(effect, lower=np.nan, upper=np.nan), np.nan
            reasons = [effect.reason] if effect.reason else [Reason.TOO_FEW] if few else []
            notes = (AMONG_BUYERS, *map(str, reasons))
            rows.append(
                EffectRow(
                    campaign=plan.campaign,
                    wave=ALL if question.wave is None else str(question.wave),
                    segment=question.segment,
                    arm=question.arm,
                    against=question.against,
                    metric=metric,
                    month=month,
                    n_treated=n_treated,
                    n_holdout=n_holdout,
                    mean_treated=finite(effect.ratio_treated),
                    mean_holdout=finite(effect.ratio_control),
                    effect_per_customer=finite(effect.estimate),
                    standard_error=finite(np.sqrt(effect.variance)),
                    ci_lower=finite(effect.lower),
                    ci_upper=finite(effect.upper),
                    level=1 - plan.alpha,
                    p_value=finite(p),
                    relative_effect=None,
                    relative_ci_lower=None,
                    relative_ci_upper=None,
                    total_effect=None,
                    total_ci_lower=None,
                    total_ci_upper=None,
                    closed=closed,
                    notes="; ".join(notes),
                )
            )
    return rows


def estimate_looks(
    plan: FrozenPlan,
    outcomes: Outcomes,
    calendar: Calendar,
    question: Question,
    metric: str,
    alphas: Sequence[float] | None = None,
) -> tuple[Look, ...]:
    """Every look taken at the cumulative effect of a metric, with its boundary and interval.

    z is on the scale of the boundary whatever the method, so that it lies beyond exactly where
    the interval leaves 0 out. `alphas` as in `look_boundaries`.
    """
    if not calendar.closed:
        return ()
    effects = solve(outcomes, question, names_of(metric, calendar.closed, cumulative=True))
    if effects is None:
        return ()
    method = method_of(plan, question, metric)
    boundary = look_boundaries(plan, effects, alphas=alphas)
    lower, upper = interval(effects, method, critical=boundary)
    decided = decidable(effects)
    z = np.sign(effects.estimate) * stats.norm.isf(p_values(effects, method) / 2)
    return tuple(
        Look(
            month=calendar.labels[k],
            number=k + 1,
            effect=Estimate(finite(effects.estimate[k]), finite(lower[k]), finite(upper[k])),
            z=finite(z[k]),
            boundary=finite(boundary[k]),
            significant=bool(decided[k] and (lower[k] > 0 or upper[k] < 0)),
        )
        for k in range(calendar.closed)
    )


def _lean(effects: JointEffects, chosen: JointEffects, method: IntervalMethod) -> ExpectedBias:
    """Bias expected of some of the effects; the net result leans as the margin in it does.

    What contacts cost is certain and leans nowhere.
    """
    names = [name.replace("net_", "margin_") for name in chosen.outcomes]
    if set(names) <= set(effects.outcomes):
        chosen = effects.select(names)
    return expected_bias(chosen, method)


def _rows(
    plan: FrozenPlan,
    effects: JointEffects,
    method: IntervalMethod,
    question: Question,
    metric: str,
    calendar: Calendar | None,
    critical: Floats,
    lean: ExpectedBias,
) -> list[EffectRow]:
    """One row an outcome: months of the calendar, or without one the cumulative effect."""
    level = 1 - plan.alpha
    lower, upper = interval(effects, method, level)
    wide_lower, wide_upper = interval(effects, method, level, critical)
    treated, control = method_covariance(effects, method)
    error = np.sqrt(np.diag(treated) + np.diag(control))
    p = p_values(effects, method)
    relative = relative_effects(effects, method, level)
    notes = interval_notes(effects, method)
    n = effects.n_treated
    rows = []
    for k in range(len(effects.outcomes)):
        said = dict.fromkeys([*notes[k], *relative.notes[k]])
        if metric == "active" and calendar is None:
            said[ACTIVE_MONTHS] = None
        if lean.material[k]:
            said[LEANS_LOW if lean.amount[k] < 0 else LEANS_HIGH] = None
        rows.append(
            EffectRow(
                campaign=plan.campaign,
                wave=ALL if question.wave is None else str(question.wave),
                segment=question.segment,
                arm=question.arm,
                against=question.against,
                metric=metric,
                month=CUMULATIVE if calendar is None else calendar.labels[k],
                n_treated=n,
                n_holdout=effects.n_control,
                mean_treated=finite(effects.mean_treated[k]),
                mean_holdout=finite(effects.mean_control[k]),
                effect_per_customer=finite(effects.estimate[k]),
                standard_error=finite(error[k]),
                ci_lower=finite(lower[k]),
                ci_upper=finite(upper[k]),
                level=level,
                p_value=finite(p[k]),
                relative_effect=finite(relative.estimate[k]),
                relative_ci_lower=finite(relative.lower[k]),
                relative_ci_upper=finite(relative.upper[k]),
                total_effect=finite(n * effects.estimate[k]),
                total_ci_lower=finite(n * lower[k]),
                total_ci_upper=finite(n * upper[k]),
                closed=calendar is None or k < calendar.closed,
                notes="; ".join(said),
                simultaneous_ci_lower=finite(wide_lower[k]),
                simultaneous_ci_upper=finite(wide_upper[k]),
                expected_bias=finite(lean.amount[k]),
            )
        )
    return rows
