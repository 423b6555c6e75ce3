"""Who carries the verdict: the last reading without the units that brought most.

Their rows are kept in memory and never written; the headline always keeps everybody.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.draw_checks import few_of_all
from loyalty_exp.measure.effects import (
    Question,
    finite,
    governing,
    look_boundaries,
    method_of,
    names_of,
    solve,
)
from loyalty_exp.measure.results import Economics, Estimate, Influence, Look, MoneyMonth
from loyalty_exp.measure.verdict import decided_side, elapsed_shares
from loyalty_exp.stats.ancova import (
    Comparison,
    IntervalMethod,
    decidable,
    interval,
    joint_effects,
)
from loyalty_exp.stats.moments import Moments
from loyalty_exp.store.outcomes import Outcomes, covariate_of, pooled_waves
from loyalty_exp.store.queries.moments import Window, largest_units

__all__ = ["Largest", "influence", "read_largest"]

Floats = NDArray[np.float64]

REMOVED = (1, 5, 10)

Largest = Mapping[tuple[int, str], Floats]
"""By wave and arm, the units of most net margin: cumulative primary metric and its past, margin and
its past, net margin; (units, 5)."""


def read_largest(
    connection: sa.Connection,
    plans: Sequence[FrozenPlan],
    windows: Sequence[Window],
    closed: int,
    outcomes: Outcomes,
) -> Largest:
    """The units of each wave and arm with the most net margin so far, as many as are removed.

    Args:
        connection: an open store.
        plans: frozen plan of every wave.
        windows: one a wave, of the same months.
        closed: closed months.
        outcomes: what was read of these windows, perhaps with the units that are wanted.
    """
    metric = governing(plans).metric
    net = "net" if windows[0].with_exposures else "margin"
    found: dict[tuple[int, str], list[list[float]]] = {}
    for plan, window in zip(plans, windows, strict=True):
        units = {arm: _seen_largest(outcomes, window, arm, net) for arm in plan.arms}
        if window.ranked == closed and all(units.values()):
            for arm, rows in units.items():
                found[window.wave, arm] = [_figures(row, metric, net, closed) for row in rows]
            continue
        few = few_of_all(connection, plan)
        statement = largest_units(
            window, net, closed, max(REMOVED), plan.arms, (metric, "margin"), few=few
        )
        for row in connection.execute(statement).mappings():
            figures = _figures(row, metric, net, closed)
            found.setdefault((window.wave, str(row["arm"])), []).append(figures)
    return {key: np.array(rows, dtype=np.float64) for key, rows in found.items()}


def _figures(row: Mapping[Any, Any], metric: str, net: str, closed: int) -> list[float]:
    """A row of `Largest`, from the variables of a unit."""
    totals = {
        name: sum(float(row[f"{name}_{k}"]) for k in range(closed))
        for name in (metric, "margin", net)
    }
    past = float(row[f"{metric}_x"]), float(row["margin_x"])
    return [totals[metric], past[0], totals["margin"], past[1], totals[net]]


def _seen_largest(outcomes: Outcomes, window: Window, arm: str, net: str) -> list[dict[str, float]]:
    """The largest units of an arm, if they were seen when its outcomes were read.

    Nothing where fewer than the most of `REMOVED` brought anything, or two brought as much: then
    the store, which knows every unit by its id, must tell which come first.
    """
    groups = outcomes.largest.items()
    rows = [found for (wave, name, _), found in groups if (wave, name) == (window.wave, arm)]
    units = [
        dict(zip(window.variables, row, strict=True)) for each in rows for row in each.tolist()
    ]
    brought = {
        place: sum(unit[f"{net}_{k}"] for k in range(window.ranked))
        for place, unit in enumerate(units)
    }
    first = sorted(brought, key=lambda place: -brought[place])[: max(REMOVED) + 1]
    totals = [brought[place] for place in first]
    wanted = max(REMOVED)
    alike = any(one == two for one, two in itertools.pairwise(totals))
    if len(totals) < wanted or alike or totals[wanted - 1] <= 0:
        return []
    return [units[place] for place in first[:wanted]]


def influence(
    plan: FrozenPlan,
    outcomes: Outcomes,
    largest: Largest,
    calendar: Calendar,
    arm: str,
    money: Economics,
    looks: Sequence[Look],
) -> tuple[Influence, ...]:
    """The last reading without the 1, 5 and 10 units of each arm with the most net margin.

    Their moments are taken off, so that no other unit is read. Everything else is as in the
    reading: the frozen methods, its boundaries, the costs, and the rule by which a verdict falls.
    Where too few decide the result there are no limits, and so no verdict to change.

    Args:
        plan: the frozen plan.
        outcomes: moments by wave, arm and segment.
        largest: the units of most net margin over the closed months.
        calendar: which months are closed.
        arm: a treated arm.
        money: its economics.
        looks: its looks at the primary metric.
    """
    pools = pooled_waves(outcomes.arm(arm), outcomes.arm(plan.holdout))
    if not calendar.closed or not pools or not looks:
        return ()
    whole = outcomes.comparisons(arm, plan.holdout)
    waves = [wave for pool in pools for wave in pool]
    reading = _Reading.of(plan, outcomes, calendar, arm, money, looks[-1])

    def without(count: int) -> tuple[Estimate, MoneyMonth]:
        gone = {side: _ranked(largest, waves, side, count) for side in (arm, plan.holdout)}
        comparisons = [
            Comparison(
                _less(part.treated, reading.names, _of(gone[arm], pool)),
                _less(part.control, reading.names, _of(gone[plan.holdout], pool)),
            )
            for part, pool in zip(whole, pools, strict=True)
        ]
        return reading.again(comparisons)

    share = float(elapsed_shares(plan, calendar)[calendar.closed - 1])
    _, everybody = without(0)
    lines = [(count, *without(count)) for count in REMOVED]
    return tuple(
        Influence(
            removed=count,
            effect=effect,
            net=month.net,
            same_sign=_sign(month.net.value) == _sign(everybody.net.value),
            same_verdict=decided_side(month, share) == decided_side(everybody, share),
        )
        for count, effect, month in lines
        if effect.value is not None
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """How the last reading of an arm is made: variables, methods, boundaries and costs."""

    names: tuple[str, ...]
    """Primary metric and its past, margin and its past, net result: cumulative."""
    methods: tuple[IntervalMethod, ...]
    """Of primary metric, margin and net result."""
    boundaries: tuple[float, ...]
    units: int
    certain: float
    """Fixed cost and contacts, in currency."""
    month: MoneyMonth

    @classmethod
    def of(
        cls,
        plan: FrozenPlan,
        outcomes: Outcomes,
        calendar: Calendar,
        arm: str,
        money: Economics,
        look: Look,
    ) -> Self:
        """The reading at the last closed month."""
        question, closed = Question(arm, plan.holdout), calendar.closed
        metrics = (plan.metric, "margin", "net")
        alphas = [1 - money.level] * closed
        found = [np.nan if look.boundary is None else look.boundary]
        for metric in metrics[1:]:
            path = solve(outcomes, question, names_of(metric, closed, cumulative=True))
            limits = None if path is None else look_boundaries(plan, path, alphas=alphas)
            found.append(np.nan if limits is None else float(limits[-1]))
        last = [f"{metric}_c{closed - 1}" for metric in metrics]
        return cls(
            names=(last[0], covariate_of(last[0]), last[1], "margin_x", last[2]),
            methods=tuple(method_of(plan, question, metric) for metric in metrics),
            boundaries=tuple(found),
            units=sum(moments.n for moments in outcomes.arm(arm).values()),
            certain=money.fixed_cost + money.contact_cost,
            month=money.months[closed - 1],
        )

    def again(self, comparisons: Sequence[Comparison]) -> tuple[Estimate, MoneyMonth]:
        """The effect per unit and the month's money on other moments of the same variables."""
        outcomes = self.names[::2]
        effects = joint_effects(comparisons, outcomes, [covariate_of(name) for name in outcomes])
        found = []
        for name, method, boundary in zip(outcomes, self.methods, self.boundaries, strict=True):
            one = effects.select([name])
            limits = interval(one, method, critical=boundary)
            found.append([float(one.estimate[0]), *(float(limit[0]) for limit in limits)])
        effect, margin, net = found
        total = [self.units * value - self.certain for value in net]
        return _estimate(effect), replace(
            self.month,
            incremental_margin=_estimate([self.units * value for value in margin]),
            net=_estimate(total),
            decidable=bool(decidable(effects)[-1]),
        )


def _ranked(largest: Largest, waves: Sequence[int], arm: str, count: int) -> dict[int, Floats]:
    """The rows of an arm's largest units of all waves together, by wave, (some, 5) each."""
    nobody = np.zeros((0, 5))
    rows = {wave: largest.get((wave, arm), nobody) for wave in waves}
    origin = np.concatenate([np.full(len(part), wave) for wave, part in rows.items()])
    pooled = np.concatenate(list(rows.values()))
    top = np.argsort(-pooled[:, -1], kind="stable")[:count]
    return {wave: pooled[top][origin[top] == wave] for wave in waves}


def _of(rows: Mapping[int, Floats], waves: Sequence[int]) -> Floats:
    """The rows of some waves, (some, 5)."""
    return np.concatenate([rows[wave] for wave in waves])


def _less(sample: Moments, names: Sequence[str], gone: Floats) -> Moments:
    """Moments of some variables without some units' rows, third moments included.

    Names may repeat, as where margin decides; so may their rows.

    Source: Chan, Golub and LeVeque (1983), eq. 2.1, solved for one of the two groups; the third
    sums about the old mean are differences.
    """
    places = {name: place for place, name in enumerate(names)}
    sample, gone = sample.select(tuple(places)), gone[:, list(places.values())]
    n = sample.n - len(gone)
    if n < 1:
        empty = np.zeros_like(sample.scatter)
        return replace(sample, n=0, mean=empty[0], scatter=empty, third={})
    offset = gone - sample.mean
    shift = offset.sum(axis=0) / n
    scatter = sample.scatter - offset.T @ offset - n * np.outer(shift, shift)
    third = {}
    for (outcome, covariate), sums in sample.third.items():
        y, x = (offset[:, sample.position(name)] for name in (outcome, covariate))
        third[outcome, covariate] = sums - [y @ (y * y), y @ (y * x), y @ (x * x), x @ (x * x)]
    left = replace(sample, n=n, mean=sample.mean - shift, scatter=scatter, third={})
    return left.with_third(third, sample.mean)


def _sign(value: float | None) -> int:
    return 0 if value is None else int(np.sign(value))


def _estimate(figures: Sequence[float]) -> Estimate:
    return Estimate(*(finite(figure) for figure in figures))
