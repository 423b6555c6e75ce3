"""The whole programme against the universal holdout, and what its campaigns cost.

It never adds up campaigns into a total: their sum is shown beside it, with why it differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from loyalty_exp.measure.effects import CUMULATIVE
from loyalty_exp.measure.results import (
    CampaignResult,
    Economics,
    EffectRow,
    Estimate,
    Programme,
    VerdictKind,
)
from loyalty_exp.store.outcomes import ALL

__all__ = ["programme"]

OVERLAP = (
    "the campaigns do not add up to the programme: purchases of customers in several of them are "
    "counted several times, and each campaign's own holdout still received the others"
)

SUSPENDED = (
    "suspended: a critical check of the customers left out of everything failed, so that the "
    "programme's result cannot be told"
)
UNKNOWN = Estimate(None, None, None)


def programme(universal: CampaignResult, campaigns: Sequence[CampaignResult]) -> Programme:
    """The whole programme's result, from the universal holdout; never the sum of its campaigns.

    The cost is that of the campaigns that started while the universal holdout ran, up to the month
    that the margin reaches to: money and what it bought are of the same months. It is taken as
    certain: the spread of redemptions, small beside that of the margin, is not in the interval.
    A failed critical check of the universal holdout leaves no net result.

    Args:
        universal: the measurement of the universal holdout: one treated arm, the programme.
        campaigns: the measurements of the campaigns.
    """
    plan = universal.plan
    inside = [c for c in campaigns if plan.start <= c.plan.start <= plan.measure_until]
    arm = universal.arms[0]
    cost = math.fsum(_spent(a.economics, universal.closed_through) for c in inside for a in c.arms)
    revenue = _row(universal, arm.arm, "revenue")
    treated = None
    if revenue is not None and revenue.mean_treated is not None:
        treated = revenue.n_treated * revenue.mean_treated
    suspended = arm.verdict.kind is VerdictKind.SUSPENDED
    nets = [a.economics.net.value for c in inside for a in c.arms]
    known = [value for value in nets if value is not None]
    return Programme(
        month=universal.closed_through,
        incremental_revenue=arm.economics.incremental_revenue,
        incremental_margin=arm.economics.incremental_margin,
        cost=cost,
        net=UNKNOWN if suspended else _less(arm.economics.net, cost),
        treated_revenue=treated,
        cost_share=cost / treated if treated and treated > 0 else None,
        sum_of_campaigns=math.fsum(known) if known else None,
        campaigns=len(inside),
        notes=(
            *((SUSPENDED,) if suspended else ()),
            *_programme_notes(len(inside), len(campaigns), missing=len(nets) - len(known)),
        ),
    )


def _spent(money: Economics, until: str | None) -> float:
    """What an arm had cost by the end of a month (YYYY-MM)."""
    costs = [month.cost for month in money.months if until is not None and month.month <= until]
    return costs[-1] if costs else 0.0


def _programme_notes(inside: int, campaigns: int, missing: int) -> tuple[str, ...]:
    """Why the programme's total is not the sum of the campaigns shown beside it."""
    notes = [OVERLAP]
    if inside < campaigns:
        notes.append("campaigns that started outside the universal holdout's period are left out")
    if missing:
        notes.append("the sum leaves out campaigns whose net result is not known yet")
    return tuple(notes)


def _row(result: CampaignResult, arm: str, metric: str) -> EffectRow | None:
    """The cumulative row of an arm against the holdout, whole audience, all waves."""
    wanted = (ALL, ALL, arm, result.plan.holdout, metric, CUMULATIVE)
    for row in result.rows:
        if (row.wave, row.segment, row.arm, row.against, row.metric, row.month) == wanted:
            return row
    return None


def _less(estimate: Estimate, amount: float) -> Estimate:
    """An estimate less a certain amount."""
    values = (estimate.value, estimate.lower, estimate.upper)
    return Estimate(*(None if value is None else value - amount for value in values))
