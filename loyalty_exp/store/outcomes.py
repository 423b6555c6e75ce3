"""Outcomes of a campaign as moments: runs the moment queries and names what comes back.

Every variable that later stages use is made here, once: months, cumulative sums, covariates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.stats.ancova import Comparison
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.queries.moments import Window, third_variables
from loyalty_exp.store.sums import GroupSums, read_sums

__all__ = [
    "ALL",
    "Outcomes",
    "covariate_of",
    "pooled_waves",
    "read_many",
    "read_outcomes",
    "window_of",
]

ALL = "all"
"""The whole audience, or all waves together."""

FEWEST = 20
"""Units of each arm from which a wave stands for itself; smaller ones are pooled."""

Floats = NDArray[np.float64]
Group = tuple[int, str, str]
"""Wave, arm, segment."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Moments of every wave, arm and segment.

    Variables: 'metric_k' a month's figure, 'metric_ck' the sum of months 0 to k, 'metric_x' the
    pre-period figure; metrics are those of the window, net beside margin and, where there is a cap,
    capped; 'reached' where contacts were logged. Contacts at a declared price are in none of them:
    a certain cost is no outcome.
    """

    groups: Mapping[Group, Moments]
    months: int
    logged: bool
    """Whether contacts were logged."""
    contacts: Mapping[tuple[int, str], tuple[int, float]] = field(default_factory=dict)
    """(campaign month, cost a unit) of contacting each unit once, by wave and arm."""
    largest: Mapping[Group, Floats] = field(default_factory=dict)
    """The units of most margin, where asked for and read in process: see `GroupSums`."""

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
        """One comparison a wave, tiny waves pooled; none where an arm has no unit at all."""
        treated = self.arm(arm, segment, wave)
        control = self.arm(against, segment, wave)
        return [
            Comparison(_together(treated, pool), _together(control, pool))
            for pool in pooled_waves(treated, control)
        ]

    def contact_costs(
        self, arm: str, against: str, segment: str = ALL, wave: int | None = None
    ) -> tuple[Floats, Floats]:
        """Certain cost of contacts per unit of each arm up to each month, (months,) both.

        Waves are weighted as in the effects, so that it can be taken off them.
        """
        sides = self.arm(arm, segment, wave), self.arm(against, segment, wave)
        pools = pooled_waves(*sides)
        sizes = [sum(_size(side, pool) for side in sides) for pool in pools]
        found = []
        for name, side in zip((arm, against), sides, strict=True):
            path = np.zeros(self.months)
            for pool, size in zip(pools, sizes, strict=True):
                for number in pool:
                    month, cost = self.contacts.get((number, name), (self.months, 0.0))
                    share = _size(side, [number]) / _size(side, pool) * size / sum(sizes)
                    path[month:] += cost * share
            found.append(path)
        return found[0], found[1]


def pooled_waves(treated: Mapping[int, Moments], control: Mapping[int, Moments]) -> list[list[int]]:
    """Waves in order, each with those after it until both arms have 20 units.

    None where an arm is empty. What is left at the end joins the ones before it. Every wave of a
    campaign has the same declared shares (a changed declaration is refused), so that pooling them
    compares like with like.
    """
    pools: list[list[int]] = []
    rest: list[int] = []
    for wave in sorted({*treated, *control}):
        rest.append(wave)
        if min(_size(treated, rest), _size(control, rest)) >= FEWEST:
            pools.append(rest)
            rest = []
    if rest and pools:
        pools[-1] += rest
    elif min(_size(treated, rest), _size(control, rest)) > 0:
        pools.append(rest)
    return pools


def _size(arm: Mapping[int, Moments], waves: Sequence[int]) -> int:
    """Units of an arm in some waves."""
    return sum(arm[wave].n for wave in waves if wave in arm)


def _together(arm: Mapping[int, Moments], waves: Sequence[int]) -> Moments:
    return reduce(add, [arm[wave] for wave in waves if wave in arm])


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
    return Window(
        campaign=plan.campaign,
        wave=plan.wave,
        start=plan.start,
        first_month=first,
        months=months,
        covariate_months=plan.covariate_months,
        by_customer=by_customer,
        cap=None if cap is None else (plan.metric, cap),
        redemption_cost=tuple((costs.get("per_redemption") or {}).items()),
        priced_contacts=tuple(costs.get("per_contact") or {}),
        vouchers_in_orders=bool(costs.get("vouchers_in_orders")),
        with_exposures=logged,
    )


def read_outcomes(
    connection: sa.Connection,
    windows: Sequence[Window],
    contact_cost: Mapping[str, float],
) -> Outcomes:
    """Run the moment queries of a campaign.

    Args:
        connection: an open store.
        windows: one a wave, all of the same months; without any nothing is found.
        contact_cost: cost of contacting a unit once, by arm; booked in the wave's first month.
    """
    return read_many(connection, [(windows, contact_cost)])[0]


def read_many(
    connection: sa.Connection,
    campaigns: Sequence[tuple[Sequence[Window], Mapping[str, float]]],
) -> list[Outcomes]:
    """Outcomes of several campaigns, in one pass over the customers' months where they share them.

    Args:
        connection: an open store.
        campaigns: windows and contact costs of each, as for `read_outcomes`.
    """
    found = [Outcomes({}, 0, logged=False)] * len(campaigns)
    chosen = [place for place, (windows, _) in enumerate(campaigns) if windows]
    # On matrices this small, threads of the linear algebra only wait for each other.
    with threadpool_limits(1):
        asked = [window for place in chosen for window in campaigns[place][0]]
        sums = iter(read_sums(connection, asked))
        for place in chosen:
            found[place] = _outcomes(*campaigns[place], sums)
    return found


def _outcomes(
    windows: Sequence[Window],
    contact_cost: Mapping[str, float],
    sums: Iterator[Sequence[GroupSums]],
) -> Outcomes:
    """Outcomes of one campaign, from the sums of its waves, which come next."""
    groups: dict[Group, Moments] = {}
    contacts: dict[tuple[int, str], tuple[int, float]] = {}
    largest: dict[Group, Floats] = {}
    for window in windows:
        booked = window.start_month - window.first_month
        costs = contact_cost.items()
        contacts |= {(window.wave, arm): (booked, cost) for arm, cost in costs}
        for group in next(sums):
            key = (window.wave, group.arm, group.segment)
            groups[key] = _moments(group, window)
            if group.largest is not None:
                largest[key] = group.largest
    return Outcomes(groups, windows[0].months, windows[0].with_exposures, contacts, largest)


def _moments(group: GroupSums, window: Window) -> Moments:
    """Moments of the variables of `Outcomes`, third moments of every month and sum included."""
    plain = Moments.from_sums(window.variables, group.n, group.shift, group.sums, group.products)
    names, weights = _expansion(window)
    sums: dict[tuple[str, str], Floats] = {}
    third = third_variables(window, window.pairs)
    for row, (parts, covariate) in zip(group.third, third, strict=True):
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
    if "margin" in window.metrics and not window.with_exposures:
        for k in range(window.months):
            weights[f"net_{k}"] = weights[f"margin_{k}"]
            weights[f"net_c{k}"] = weights[f"margin_c{k}"]
    return list(weights), np.array(list(weights.values()))
