"""Every check of a campaign: the draw, the contacts, and whether the figures bear a verdict.

Counts come from the store by stratum and arm; no customer's figure leaves this module. A critical
check that fails takes the place of the verdict; the others warn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from scipy import stats

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.draw_checks import (
    Histories,
    Standing,
    balance_check,
    randomization_check,
    read_standing,
    roster_check,
    split_check,
    timing_check,
)
from loyalty_exp.measure.effects import (
    Question,
    governing,
    look_boundaries,
    method_of,
    names_of,
    solve,
)
from loyalty_exp.measure.results import Check, CheckStatus, Economics
from loyalty_exp.stats.ancova import (
    IntervalMethod,
    joint_effects,
    method_covariance,
    p_values,
)
from loyalty_exp.stats.planning import minimum_detectable_effect
from loyalty_exp.store.outcomes import Outcomes, covariate_of
from loyalty_exp.store.queries import checks as queries
from loyalty_exp.store.queries.draw import UNIVERSAL
from loyalty_exp.store.queries.moments import Window

__all__ = ["before_windows", "campaign_checks"]

AA_ALARM = 0.01
"""P-value before the start below which a warning is given; the draw's strata make it rare."""
CONTAMINATED = 0.05
"""Share of the holdout contacted from which the result is suspended."""
REACHED = 0.5
"""Share of the treated reached below which a warning is given."""
WITHOUT_HISTORY = 0.5
"""Share of units without an order before the start above which a warning is given."""
FEW_BUYERS, FEW_UNITS = 10, 20

PASSED, WARNING, FAILED = CheckStatus.PASSED, CheckStatus.WARNING, CheckStatus.FAILED
ABSENT = CheckStatus.NOT_APPLICABLE


def campaign_checks(
    connection: sa.Connection,
    plans: Sequence[FrozenPlan],
    outcomes: Outcomes,
    calendar: Calendar,
    money: Mapping[str, Economics],
    before: Outcomes,
    deviations: Sequence[str] = (),
) -> tuple[Check, ...]:
    """Every check of a campaign.

    Critical are: roster (other units than drawn), randomization, split (losses tied to the arm),
    balance (alarm at .001) and contamination (5 % of the holdout contacted or more).

    Args:
        connection: an open store.
        plans: frozen plan of every wave, in order.
        outcomes: moments by wave, arm and segment.
        calendar: which months are closed.
        money: economics of each treated arm.
        before: moments of `before_windows`.
        deviations: what the declaration says now that the frozen plan does not.
    """
    plan = plans[0]
    last = calendar.first + calendar.closed - 1
    standings = [read_standing(connection, wave, last) for wave in plans]
    rosters = [standing.roster for standing in standings]
    known = _known_months(connection, plans)
    histories = [standing.history for standing in standings] if known > 0 else []
    return (
        roster_check(rosters),
        randomization_check(rosters),
        timing_check(plans),
        split_check(rosters),
        balance_check(connection, plans, histories),
        _contamination_check(connection, plans, outcomes),
        _reach_check(plan, outcomes),
        _aa_check(plans, before),
        _power_check(governing(plans), outcomes, calendar, money),
        _buyers_check(plans, standings, calendar),
        _history_check(plan, histories, known),
        _deviations_check(deviations),
    )


def _contamination_check(
    connection: sa.Connection, plans: Sequence[FrozenPlan], outcomes: Outcomes
) -> Check:
    """Holdout units with a contact of this campaign; of any, for the universal holdout."""
    plan = plans[0]
    counted = _reached(outcomes, [plan.holdout])
    if plan.campaign == UNIVERSAL:
        counted = _reached_by_any(connection, plans)
    if counted is None:
        return Check("contamination", ABSENT, critical=True, values={})
    contaminated, share = counted
    status = PASSED if not contaminated else FAILED if share >= CONTAMINATED else WARNING
    values = {"contaminated": contaminated, "share": share}
    return Check("contamination", status, critical=True, values=values)


def _reached_by_any(
    connection: sa.Connection, plans: Sequence[FrozenPlan]
) -> tuple[int, float] | None:
    """Holdout units with a contact of any campaign while held out; None without a log."""
    units = sum(plan.units_of(plan.holdout) for plan in plans)
    if not units or not connection.scalar(queries.any_contact()):
        return None
    reached = sum(
        int(
            connection.scalar(
                queries.units_contacted(
                    plan.campaign, plan.wave, plan.holdout, plan.start, plan.measure_until
                )
            )
            or 0
        )
        for plan in plans
    )
    return reached, reached / units


def _reach_check(plan: FrozenPlan, outcomes: Outcomes) -> Check:
    """Treated units with a contact of this campaign."""
    counted = _reached(outcomes, plan.treated_arms)
    if counted is None:
        return Check("reach", ABSENT, critical=False, values={})
    reached, share = counted
    status = WARNING if share < REACHED else PASSED
    return Check("reach", status, critical=False, values={"reached": reached, "share": share})


def _reached(outcomes: Outcomes, arms: Sequence[str]) -> tuple[int, float] | None:
    """Units of these arms that were contacted, and their share; None without a log or a unit."""
    groups = [moments for arm in arms for moments in outcomes.arm(arm).values()]
    units = sum(moments.n for moments in groups)
    if not outcomes.logged or not units:
        return None
    reached = round(sum(moments.n * moments.mean_of("reached") for moments in groups))
    return reached, reached / units


def _known_months(connection: sa.Connection, plans: Sequence[FrozenPlan]) -> int:
    """Months with orders before the campaign's first."""
    oldest = connection.scalar(queries.first_month())
    return 0 if oldest is None else min(wave.first_month for wave in plans) - oldest


def _aa_check(plans: Sequence[FrozenPlan], before: Outcomes) -> Check:
    """The same analysis on the months before the start, Bonferroni over the arms."""
    plan, months = governing(plans), before.months
    if not months:
        return Check("aa_before", ABSENT, critical=False, values={})
    name = f"{plan.metric}_c{months - 1}"
    p: list[float] = []
    for arm in plan.treated_arms:
        comparisons = before.comparisons(arm, plan.holdout)
        if not comparisons:
            continue
        effects = joint_effects(comparisons, [name], [covariate_of(name)])
        method = method_of(plan, Question(arm, plan.holdout), plan.metric)
        method = IntervalMethod.W2 if method is IntervalMethod.TOO_FEW else method
        p.append(float(p_values(effects, method)[0]))
    usable = [value for value in p if np.isfinite(value)]
    if not usable:
        return Check("aa_before", ABSENT, critical=False, values={"months": months})
    p_value = min(1.0, min(usable) * len(usable))
    values = {"p_value": p_value, "months": months}
    return Check("aa_before", WARNING if p_value < AA_ALARM else PASSED, False, values)


def before_windows(connection: sa.Connection, plans: Sequence[FrozenPlan]) -> list[Window]:
    """The primary metric of the last months before the start, the year before as covariate.

    As many months as are planned, at most half of those known; nothing where none is.

    Args:
        connection: an open store.
        plans: frozen plan of every wave, in order.
    """
    months = min(governing(plans).looks, (_known_months(connection, plans) + 1) // 2)
    metric = governing(plans).metric
    return [_before(wave, months, metric) for wave in plans] if months > 0 else []


def _before(plan: FrozenPlan, months: int, metric: str) -> Window:
    first = plan.first_month - months
    year, month = divmod(first - 1, 12)
    return Window(
        campaign=plan.campaign,
        wave=plan.wave,
        start=dt.date(year, month + 1, 1),
        first_month=first,
        months=months,
        covariate_months=plan.covariate_months,
        by_customer=plan.by_customer,
        metrics=(metric,),
    )


def _power_check(
    plan: FrozenPlan, outcomes: Outcomes, calendar: Calendar, money: Mapping[str, Economics]
) -> Check:
    """Effect on margin that this reading detects with a power of 80 %, against break-even.

    At the boundary of the last closed month, both as a share of the holdout's margin; of several
    arms the one whose test is weakest against its cost. None where too few decide the result.
    """
    lines = []
    for arm in plan.treated_arms if calendar.closed else ():
        question = Question(arm, plan.holdout)
        method = method_of(plan, question, "margin")
        looks = solve(outcomes, question, names_of("margin", calendar.closed, cumulative=True))
        if looks is None or method is IntervalMethod.TOO_FEW or np.isnan(looks.estimate[-1]):
            continue
        alphas = [1 - money[arm].level] * calendar.closed
        boundary = look_boundaries(plan, looks, alphas=alphas)[-1]
        effects = looks.select(looks.outcomes[-1:])
        treated, control = method_covariance(effects, method)
        error = float(np.sqrt(treated[0, 0] + control[0, 0]))
        df = effects.pooled_df if method is IntervalMethod.W2 else float(effects.df[0])
        alpha = float(2 * stats.norm.sf(boundary))
        detectable = minimum_detectable_effect(error, df, alpha=alpha)
        even, base = money[arm].break_even_per_unit, float(effects.mean_control[0])
        lines.append((detectable - even, arm, detectable, even, base))
    if not lines:
        return Check("power", ABSENT, critical=False, values={})
    short, arm, detectable, even, base = max(lines)
    values: dict[str, float | int | str | None] = {
        "mde_per_unit": detectable,
        "break_even_per_unit": even,
        "mde_relative": detectable / base if base > 0 else None,
        "break_even_relative": even / base if base > 0 else None,
        "arm": arm,
    }
    status = WARNING if short > 0 else PASSED
    return Check("power", status if even > 0 else ABSENT, critical=False, values=values)


def _buyers_check(
    plans: Sequence[FrozenPlan], standings: Sequence[Standing], calendar: Calendar
) -> Check:
    """Units and buyers of the smaller arm up to the last closed month."""
    if not calendar.closed:
        return Check("buyers", ABSENT, critical=False, values={})
    found = [sum(standing.buyers[arm] for standing in standings) for arm in plans[0].arms]
    units = min(sum(plan.units_of(arm) for plan in plans) for arm in plans[0].arms)
    fewest = min(found)
    status = WARNING if fewest < FEW_BUYERS or units < FEW_UNITS else PASSED
    return Check("buyers", status, critical=False, values={"buyers": fewest, "units": units})


def _history_check(plan: FrozenPlan, histories: Sequence[Histories], known: int) -> Check:
    """Units without an order before the start, and how many of the months before are known."""
    months = max(0, min(known, plan.covariate_months))
    wanted = plan.covariate_months
    units = sum(float(history.units.sum()) for history in histories)
    if not units:
        return Check("missing_history", WARNING, False, {"months": 0, "wanted": wanted})
    share = sum(history.without for history in histories) / units
    short = share > WITHOUT_HISTORY or months < wanted
    values = {"share": share, "months": months, "wanted": wanted}
    return Check("missing_history", WARNING if short else PASSED, critical=False, values=values)


def _deviations_check(deviations: Sequence[str]) -> Check:
    """Fields of the declaration that were edited after launch."""
    status = WARNING if deviations else PASSED
    return Check("deviations", status, critical=False, values={"count": len(deviations)})
