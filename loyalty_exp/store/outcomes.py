"""Outcomes of a campaign as moments: runs the moment queries and names what comes back.

Every variable that later stages use is made here, once: months, cumulative sums, covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.stats.ancova import Comparison
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.queries.moments import METRICS, Window, third_variables
from loyalty_exp.store.sums import GroupSums, read_sums

__all__ = ["ALL", "Outcomes", "covariate_of", "read_outcomes", "window_of"]

ALL = "all"
"""The whole audience, or all waves together."""

Floats = NDArray[np.float64]
Group = tuple[int, str, str]
"""Wave, arm, segment."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Moments of every wave, arm and segment.

    Variables: 'metric_k' a month's figure, 'metric_ck' the sum of months 0 to k, 'metric_x' the
    pre-period figure; metrics are revenue, margin, orders, active, net and, where there is a cap,
    capped; 'reached' where contacts were logged.
    """

    groups: Mapping[Group, Moments]
    months: int
    logged: bool
    """Whether contacts were logged."""

    @property
    def waves(self) -> tuple[int, ...]:
        """Waves, in order."""
        return tuple(sorted({wave for wave, _, _ in self.groups}))

    @property
    def segments(self) -> tuple[str, ...]:
        """Segments, in order of their name."""
        return tuple(sorted({segment for _, _, segment in self.groups}))

    def arm(self, arm: str, segment: str = ALL, wave: int | None = None) -> dict[int, Moments]:
        """Moments of an arm by wave; empty where it has no unit."""
        found: dict[int, list[Moments]] = {}
        for (number, name, part), moments in self.groups.items():
            if name == arm and segment in {ALL, part} and wave in {None, number}:
                found.setdefault(number, []).append(moments)
        return {number: reduce(add, parts) for number, parts in sorted(found.items())}

    def comparisons(
        self, arm: str, against: str, segment: str = ALL, wave: int | None = None
    ) -> list[Comparison]:
        """One comparison a wave; none where one of the arms has no unit at all."""
        treated = self.arm(arm, segment, wave)
        control = self.arm(against, segment, wave)
        return [
            Comparison(treated[number], control[number]) for number in treated if number in control
        ]


def covariate_of(outcome: str) -> str:
    """The pre-period variable an outcome is adjusted by: its own metric's; margin's for net."""
    metric = outcome.rsplit("_", 1)[0]
    return "margin_x" if metric == "net" else f"{metric}_x"


def window_of(
    plan: FrozenPlan,
    first: int,
    *,
    months: int,
    by_customer: bool,
    logged: bool,
) -> Window:
    """The window of a plan's wave.

    Args:
        plan: the wave's plan.
        first: month index of the campaign's first month.
        months: outcome months wanted.
        by_customer: whether a unit is a customer.
        logged: whether contacts were logged.
    """
    cap = plan.caps.get(plan.metric)
    costs: Mapping[str, Any] = plan.declaration.get("costs") or {}
    redemption = {} if costs.get("vouchers_in_orders") else costs.get("per_redemption") or {}
    return Window(
        campaign=plan.campaign,
        wave=plan.wave,
        start=plan.start,
        first_month=first,
        months=months,
        covariate_months=plan.covariate_months,
        by_customer=by_customer,
        cap=None if cap is None else (plan.metric, cap),
        redemption_cost=tuple(redemption.items()),
        with_exposures=logged,
    )


def read_outcomes(
    connection: sa.Connection,
    windows: Sequence[Window],
    contact_cost: Mapping[str, float],
) -> Outcomes:
    """Run the moment query of every wave.

    Args:
        connection: an open store.
        windows: one a wave, all of the same months.
        contact_cost: cost of contacting a unit once, by arm; booked in the wave's first month.
    """
    groups: dict[Group, Moments] = {}
    logged = windows[0].with_exposures
    third = [(metric, covariate_of(f"{metric}_0")) for metric in METRICS]
    if logged:
        third.append(("net", "margin_x"))
    for window in windows:
        for group in read_sums(connection, window, third):
            cost = contact_cost.get(group.arm, 0.0)
            key = (window.wave, group.arm, group.segment)
            groups[key] = _with_contact_cost(_moments(group, window, third), cost, window)
    return Outcomes(groups, windows[0].months, logged)


def _moments(group: GroupSums, window: Window, third: Sequence[tuple[str, str]]) -> Moments:
    """Moments of the variables of `Outcomes`, third moments of every month and sum included."""
    plain = Moments.from_sums(window.variables, group.n, group.shift, group.sums, group.products)
    names, weights = _expansion(window)
    sums: dict[tuple[str, str], Floats] = {}
    for row, (parts, covariate) in zip(group.third, third_variables(window, third), strict=True):
        metric, last = parts[-1].rsplit("_", 1)
        name = parts[0] if len(parts) == 1 else f"{metric}_c{last}"
        sums[name, covariate] = row
        if name == f"{metric}_0":
            sums[f"{metric}_c0", covariate] = sums[name, covariate]
    if not window.with_exposures:
        sums |= {
            (name.replace("margin", "net"), "margin_x"): value
            for (name, covariate), value in sums.items()
            if covariate == "margin_x"
        }
    return plain.transform(names, weights).with_third(sums, weights @ group.shift)


def _expansion(window: Window) -> tuple[list[str], Floats]:
    """Names and weights of the variables of `Outcomes`, from those of the window."""
    place = {name: index for index, name in enumerate(window.variables)}
    weights = dict(zip(window.variables, np.eye(len(place)), strict=True))
    metrics = [*window.metrics, *(["net"] if window.with_exposures else [])]
    metrics += ["capped"] if window.cap is not None else []
    for metric in metrics:
        total = np.zeros(len(place))
        for k in range(window.months):
            total = total + weights[f"{metric}_{k}"]
            weights[f"{metric}_c{k}"] = total
    if not window.with_exposures:
        for k in range(window.months):
            weights[f"net_{k}"] = weights[f"margin_{k}"]
            weights[f"net_c{k}"] = weights[f"margin_c{k}"]
    return list(weights), np.array(list(weights.values()))


def _with_contact_cost(moments: Moments, cost: float, window: Window) -> Moments:
    """The cost of contacting each unit once taken off the net result from the start month on."""
    booked = window.start_month - window.first_month
    if booked >= window.months:  # the wave starts after the months at hand
        return moments
    mean = moments.mean.copy()
    mean[moments.position(f"net_{booked}")] -= cost
    for k in range(booked, window.months):
        mean[moments.position(f"net_c{k}")] -= cost
    return replace(moments, mean=mean)
