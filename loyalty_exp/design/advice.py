"""Sentences of the plan: rules that turn its figures into words a marketer can act on.

Rules only: no figure is computed here that the report does not hold. English; each sentence
keeps its rule and figures for other languages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loyalty_exp.design.forecast import (
    ArmForecast,
    CampaignPlanReport,
    Conflict,
    LongerWindow,
    PlanSentence,
)

__all__ = ["percent", "sentences", "warnings"]

FEW_UNITS = 20
LARGEST_HOLDOUT = 0.5
WORTH_SAYING = 0.95
"""A change is worth a sentence when it brings the detectable effect to this share or less."""


def percent(share: float) -> str:
    """A share as percent with two significant digits: '18 %', '6.2 %', '0.35 %'."""
    value = 100 * share
    if value == 0:
        return "0 %"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} %"


def sentences(report: CampaignPlanReport) -> tuple[PlanSentence, ...]:
    """What can be known of each arm, the holdout advised, and what chance alone would show."""
    found: list[PlanSentence] = []
    for arm in report.arms:
        found.append(_knowable(report, arm))
        if (null := _null(report, arm)) is not None:
            found.append(null)
    if report.advice is not None:
        found.append(_advised(report, report.advice.advised))
    return tuple(found)


def warnings(report: CampaignPlanReport) -> tuple[PlanSentence, ...]:
    """What should be mended or at least known before the launch, the gravest first."""
    return (
        *_audience(report),
        *_money(report),
        *_window(report),
        *(_conflict(report, conflict) for conflict in report.conflicts),
    )


def _knowable(report: CampaignPlanReport, arm: ArmForecast) -> PlanSentence:
    """The sentence of an arm: what can be told from luck, against what pays."""
    who = f"{arm.arm}: with" if len(report.arms) > 1 else "With"
    units = arm.units + arm.holdout
    by = f"{report.measure_until:%B %Y}"
    start = f"{who} these {units:,} {_units(report)}"
    values: dict[str, object] = {"arm": arm.arm, "units": units, "by": report.measure_until}
    detectable, even = arm.detectable, arm.break_even_relative
    if detectable is None:
        if arm.replay is None:
            return PlanSentence(
                "unknown",
                f"{start}, nothing can be said of what will be known by {by}: "
                "there is no history to tell it from.",
                values,
            )
        largest = float(arm.replay.effects[-1])
        values["largest"] = largest
        text = f"{start}, no effect up to {percent(largest)} can be told from luck by {by}"
        rule = "nothing_detectable"
    else:
        values["detectable"] = detectable
        text = f"{start}, an effect below {percent(detectable)} cannot be told from luck by {by}"
        rule = "detectable"
    if even is None:
        return PlanSentence(rule, f"{text}; no break-even can be forecast.", values)
    values["break_even"] = even
    if arm.cost == 0:
        return PlanSentence(f"{rule}_free", f"{text}; it costs nothing to contact.", values)
    text += f"; the campaign breaks even at {percent(even)}"
    if detectable is not None:
        values["proof_from"] = even + detectable
    if detectable is not None and detectable <= even:
        text += (
            ": an effect of that size will be seen, and a profit is likely to be proven from "
            f"{percent(even + detectable)} on."
        )
        return PlanSentence("provable", text, values)
    ways, figures = _ways(report, arm, detectable, even)
    text += ": it cannot be proven profitable" + (f"; {ways}" if ways else "")
    return PlanSentence("not_provable", f"{text}.", values | figures)


def _ways(
    report: CampaignPlanReport, arm: ArmForecast, detectable: float | None, even: float
) -> tuple[str, dict[str, object]]:
    """What would bring the detectable effect down: a larger holdout, more months."""
    if detectable is None:
        return "", {}
    holdout = _larger_holdout(report, arm, detectable, even)
    longer = _longer(report.longer, detectable, even)
    figures: dict[str, object] = {}
    parts = []
    if holdout is not None:
        figures |= {"holdout": holdout[0], "holdout_detectable": holdout[1]}
        parts.append((f"a holdout of {percent(holdout[0])}", "brings", percent(holdout[1])))
    if longer is not None:
        figures |= {"extra_months": longer[0], "longer_detectable": longer[1]}
        months = "1 more month" if longer[0] == 1 else f"{longer[0]} more months"
        verb = "brings" if longer[0] == 1 else "bring"
        parts.append((months, verb, percent(longer[1])))
    if len(parts) == 2 and parts[0][2] == parts[1][2]:
        return f"{parts[0][0]} or {parts[1][0]} brings it to {parts[0][2]}", figures
    return "; ".join(f"{what} {verb} it to {to}" for what, verb, to in parts), figures


def _larger_holdout(
    report: CampaignPlanReport, arm: ArmForecast, detectable: float, even: float
) -> tuple[float, float] | None:
    """The smallest holdout share, in whole percent, that detects the break-even, else one half.

    Returns:
        Share and detectable effect; None where nothing worth saying is gained.
    """
    treated = sum(each.units for each in report.arms)
    total = treated + arm.holdout
    if not arm.units or not arm.holdout:
        return None
    part = arm.units / treated
    now = math.sqrt(1 / arm.units + 1 / arm.holdout)

    def at(share: float) -> float:
        error = math.sqrt(1 / (total * (1 - share) * part) + 1 / (total * share))
        return detectable * error / now

    shares = [k / 100 for k in range(1, int(100 * LARGEST_HOLDOUT) + 1)]
    larger = [share for share in shares if share > arm.holdout / total]
    if not larger:
        return None
    enough = [share for share in larger if at(share) <= even]
    best = enough[0] if enough else min(larger, key=at)
    return (best, at(best)) if at(best) <= WORTH_SAYING * detectable else None


def _longer(
    longer: Sequence[LongerWindow], detectable: float, even: float
) -> tuple[int, float] | None:
    """The fewest more months that detect the break-even, else those that detect most."""
    options = [(each.extra_months, detectable * each.ratio) for each in longer]
    if not options:
        return None
    enough = [option for option in options if option[1] <= even]
    best = enough[0] if enough else min(options, key=lambda option: option[1])
    return best if best[1] <= WORTH_SAYING * detectable else None


def _null(report: CampaignPlanReport, arm: ArmForecast) -> PlanSentence | None:
    """What a campaign without effect would have shown."""
    if arm.replay is None:
        return None
    low, high = arm.replay.null_totals[0.025], arm.replay.null_totals[0.975]
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    who = f"{arm.arm}: by" if len(report.arms) > 1 else "By"
    months = "month" if arm.replay.months == 1 else f"{arm.replay.months} months"
    text = (
        f"{who} luck alone, 95 of 100 such campaigns without any effect would have shown between "
        f"{low:+,.0f} and {high:+,.0f} {report.currency} of margin in the first {months}."
    )
    return PlanSentence("null", text, {"arm": arm.arm, "low": low, "high": high})


def _advised(report: CampaignPlanReport, advised: float) -> PlanSentence:
    """The holdout that costs least, next to the declared one."""
    holdout = report.arms[0].holdout
    total = holdout + sum(arm.units for arm in report.arms)
    planned = holdout / total
    values = {"advised": advised, "declared": planned}
    edge = report.advice is not None and report.advice.at_edge
    if edge and advised < 0.02:
        text = (
            f"A holdout of {percent(advised)}, the smallest considered, is expected to cost least: "
            f"what can be learned hardly pays the margin withheld; planned: {percent(planned)}."
        )
        return PlanSentence("advised_smallest", text, values)
    text = (
        f"A holdout of {percent(advised)} is expected to cost least, margin withheld now and wrong "
        f"decisions later taken together; planned: {percent(planned)}."
    )
    return PlanSentence("advised", text, values)


def _audience(report: CampaignPlanReport) -> Iterator[PlanSentence]:
    if report.launched:
        yield PlanSentence("launched", "Launched already: audience and arms are the frozen ones.")
    if not report.eligible:
        yield PlanSentence("nobody", "Nobody is eligible: the launch would be refused.")
        return
    holdout = report.arms[0].holdout if report.arms else 0
    sizes = [("holdout", holdout), *((arm.arm, arm.units) for arm in report.arms)]
    for arm, units in sizes:
        if units < FEW_UNITS:
            text = (
                f"Arm {arm} has {units} {_units(report)}, fewer than {FEW_UNITS}: "
                "the result will be a direction only."
            )
            yield PlanSentence("small_arm", text, {"arm": arm, "units": units})


def _money(report: CampaignPlanReport) -> Iterator[PlanSentence]:
    costs = report.costs
    if costs.over_budget > 0 and costs.budget is not None:
        text = (
            f"Over budget by {costs.over_budget:,.0f} {report.currency}: fixed cost and contacts "
            f"come to {costs.total:,.0f}, the budget is {costs.budget:,.0f}."
        )
        over = {"over": costs.over_budget, "total": costs.total, "budget": costs.budget}
        yield PlanSentence("over_budget", text, over)
    elif costs.budget is not None and costs.total + costs.redemptions_at_most > costs.budget:
        share = (costs.budget - costs.total) / costs.redemptions_at_most
        text = (
            f"Over budget if more than {percent(share)} of the treated use the offer: contacts "
            f"leave {costs.budget - costs.total:,.0f} {report.currency} for redemptions."
        )
        yield PlanSentence("redemptions_over_budget", text, {"share": share})
    for arm in report.arms:
        detectable, even = arm.detectable, arm.break_even_relative
        if even is not None and arm.replay is not None and even > 0:
            largest = float(arm.replay.effects[-1])
            if detectable is None or detectable > even:
                shown = (
                    percent(detectable) if detectable is not None else f"over {percent(largest)}"
                )
                text = (
                    f"Arm {arm.arm}: what can be detected ({shown}) lies above what pays "
                    f"({percent(even)}): expect no verdict."
                )
                values: dict[str, object] = {
                    "arm": arm.arm,
                    "detectable": detectable,
                    "break_even": even,
                }
                yield PlanSentence("mde_above_break_even", text, values)


def _window(report: CampaignPlanReport) -> Iterator[PlanSentence]:
    days = (report.measure_until - report.start).days + 1
    if report.gap_days is not None and days < report.gap_days:
        text = (
            f"The window of {days} days is shorter than the usual {report.gap_days:.0f} days "
            "between two orders of these customers: most would not have ordered anyway."
        )
        yield PlanSentence("short_window", text, {"days": days, "gap_days": report.gap_days})
    if report.start <= report.data_through and report.drawn_here and not report.launched:
        text = (
            f"It starts on {report.start}, but orders up to {report.data_through} are known "
            "already: for the days before the draw, chance alone will show. Declare a later start."
        )
        yield PlanSentence(
            "started", text, {"start": report.start, "known_until": report.data_through}
        )
    if not report.months:
        text = "No calendar month is measured whole: there will be no result; measure longer."
        yield PlanSentence("no_month", text)
    period = report.period
    if period is None:
        text = "There are too few months of data before the campaign to forecast anything."
        yield PlanSentence("no_history", text)
    elif period.shortened:
        text = (
            f"The campaign is measured over {period.planned_months} months; history allows "
            f"replays of {period.months} only, so the figures are those of a shorter campaign."
        )
        values = {"planned": period.planned_months, "months": period.months}
        yield PlanSentence("shortened", text, values)


def _conflict(report: CampaignPlanReport, conflict: Conflict) -> PlanSentence:
    """One line a conflict: who is shared, and what to do."""
    shared = f"{conflict.shared_customers:,} customers"
    if conflict.overlap_days:
        when = f"runs on {conflict.overlap_days} of the same days"
    else:
        when = f"lies {conflict.rest_days} days apart, within the cooldown,"
    if conflict.other_launched:
        how = "it is launched: its customers are left out where priority or cooldown say so"
    elif conflict.goes_first is None:
        how = "both have the same priority: whichever is launched first takes them"
    elif conflict.goes_first == report.campaign:
        how = "this one has priority: launch it first"
    else:
        how = f"{conflict.other} has priority: launch it first"
    text = f"{conflict.other} {when} and shares {shared}; {how}."
    values = {
        "other": conflict.other,
        "shared": conflict.shared_customers,
        "overlap_days": conflict.overlap_days,
        "rest_days": conflict.rest_days,
        "goes_first": conflict.goes_first,
        "other_launched": conflict.other_launched,
    }
    return PlanSentence("conflict", text, values)


def _units(report: CampaignPlanReport) -> str:
    return "customers" if report.unit == "customer_id" else f"units ({report.unit})"
