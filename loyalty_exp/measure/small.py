"""Small lists and large customers: permutation test, exact path band, who carries the effect.

Unit rows are read for rosters of up to 10,000 units only, kept in memory and never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from loyalty_exp.declare.frozen import Calendar, FrozenPlan
from loyalty_exp.measure.effects import Question, finite, method_of
from loyalty_exp.measure.results import EffectRow, Estimate, Influence
from loyalty_exp.stats.ancova import Comparison, IntervalMethod, interval, joint_effects
from loyalty_exp.stats.moments import Moments
from loyalty_exp.stats.resampling import max_t_band, permutation_test
from loyalty_exp.store.outcomes import ALL, Outcomes, covariate_of, pooled_waves
from loyalty_exp.store.queries.moments import Window, largest_units, unit_rows

__all__ = [
    "LARGEST_ROSTER",
    "Largest",
    "Units",
    "influence",
    "path_band",
    "permutation_p_value",
    "read_largest",
    "read_units",
    "with_path_band",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LARGEST_ROSTER = 10_000
"""Units up to which rows are read."""
FEW_UNITS, FEW_BUYERS = 200, 50
REMOVED = (1, 5, 10)

Largest = Mapping[tuple[int, str], Floats]
"""By wave and arm: cumulative figure and pre-period figure of the largest units, (units, 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Unit rows of all waves.

    Attributes:
        arm: Arm of each unit, (units,).
        stratum: Number of its stratum, waves apart, (units,).
        waves: How many waves there are.
        values: Figures by variable of the window, (units,) each.
    """

    arm: NDArray[np.str_]
    stratum: NDArray[np.int64]
    waves: int
    values: Mapping[str, Floats]

    def total(self, metric: str, months: int) -> Floats:
        """Each unit's figure over the first months, (units,)."""
        figures = [self.values[f"{metric}_{k}"] for k in range(months)]
        return np.asarray(np.sum(figures, axis=0), dtype=np.float64)


def read_units(connection: sa.Connection, windows: Sequence[Window]) -> Units:
    """The unit rows of every wave; for rosters of up to `LARGEST_ROSTER` units.

    Args:
        connection: an open store.
        windows: one a wave, all of the same months.
    """
    arms: list[str] = []
    strata: list[str] = []
    rows: list[tuple[float, ...]] = []
    for window in windows:
        for row in connection.execute(unit_rows(window)).mappings():
            arms.append(str(row["arm"]))
            strata.append(f"{window.wave}|{row['stratum']}")
            rows.append(tuple(row[name] for name in window.variables))
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(windows[0].variables))
    numbers = np.unique(np.array(strata, dtype=np.str_), return_inverse=True)[1]
    return Units(
        arm=np.array(arms, dtype=np.str_),
        stratum=numbers.astype(np.int64),
        waves=len(windows),
        values=dict(zip(windows[0].variables, table.T, strict=True)),
    )


def read_largest(
    connection: sa.Connection, windows: Sequence[Window], metric: str, closed: int
) -> Largest:
    """The largest units of each wave and arm by the cumulative figure, as many as are removed."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for window in windows:
        statement = largest_units(window, metric, closed, max(REMOVED))
        for row in connection.execute(statement).mappings():
            total = sum(float(row[f"{metric}_{k}"]) for k in range(closed))
            key = (window.wave, str(row["arm"]))
            found.setdefault(key, []).append((total, float(row[f"{metric}_x"])))
    return {key: np.array(rows, dtype=np.float64) for key, rows in found.items()}


def permutation_p_value(
    plan: FrozenPlan, units: Units, calendar: Calendar, arm: str
) -> float | None:
    """The p-value of re-draws of the cumulative primary effect, to stand beside the interval.

    None where both arms have 200 units and 50 buyers or more, before the first closed month, and
    where it cannot be computed.
    """
    if not calendar.closed:
        return None
    chosen, treated = _pair(units, arm, plan.holdout)
    buys = units.total("orders", calendar.closed)[chosen] > 0
    sides = (treated, ~treated)
    enough = [side.sum() >= FEW_UNITS and (buys & side).sum() >= FEW_BUYERS for side in sides]
    if all(enough):
        return None
    test = permutation_test(
        units.total(plan.metric, calendar.closed)[chosen],
        units.values[f"{plan.metric}_x"][chosen],
        treated,
        units.stratum[chosen],
        digest=plan.digest,
    )
    return finite(test.p_value)


def path_band(
    plan: FrozenPlan, units: Units, calendar: Calendar, arm: str
) -> dict[str, Estimate] | None:
    """The permutation max-t band of the primary metric's monthly effects, by month begun.

    None with several waves, whose effects are combined otherwise, where no month has limits, and
    where too few decide the result for any limits to be given.
    """
    method = method_of(plan, Question(arm, plan.holdout), plan.metric)
    if units.waves > 1 or not calendar.begun or method is IntervalMethod.TOO_FEW:
        return None
    chosen, treated = _pair(units, arm, plan.holdout)
    months = [units.values[f"{plan.metric}_{k}"][chosen] for k in range(calendar.begun)]
    band = max_t_band(
        np.column_stack(months),
        units.values[f"{plan.metric}_x"][chosen],
        treated,
        units.stratum[chosen],
        digest=plan.digest,
        alpha=plan.alpha,
    )
    if np.isnan(band.lower).all():
        return None
    limits = zip(calendar.labels, band.effect, band.lower, band.upper, strict=False)
    return {
        month: Estimate(finite(effect), finite(lower), finite(upper))
        for month, effect, lower, upper in limits
    }


def with_path_band(
    rows: Sequence[EffectRow], plan: FrozenPlan, arm: str, band: Mapping[str, Estimate]
) -> list[EffectRow]:
    """The rows with the band in place of the sup-t one: primary metric, whole audience."""
    key = (ALL, ALL, arm, plan.holdout, plan.metric)
    return [
        replace(
            row,
            simultaneous_ci_lower=band[row.month].lower,
            simultaneous_ci_upper=band[row.month].upper,
        )
        if (row.wave, row.segment, row.arm, row.against, row.metric) == key and row.month in band
        else row
        for row in rows
    ]


def influence(
    plan: FrozenPlan, outcomes: Outcomes, largest: Largest, calendar: Calendar, arm: str
) -> tuple[Influence, ...]:
    """The cumulative primary effect without the 1, 5 and 10 largest units of each arm.

    Their moments are taken off, so that no other unit is read. Verdicts are compared like for
    like: whether Welch's interval lies above, below or around 0, with everybody and without them.
    Where too few decide the result there are no limits, and so no verdict to compare.

    Args:
        plan: the frozen plan.
        outcomes: moments by wave, arm and segment.
        largest: the largest units by the primary metric over the closed months.
        calendar: which months are closed.
        arm: a treated arm.
    """
    pools = pooled_waves(outcomes.arm(arm), outcomes.arm(plan.holdout))
    if not calendar.closed or not pools:
        return ()
    name = f"{plan.metric}_c{calendar.closed - 1}"
    names = (name, covariate_of(name))
    whole = outcomes.comparisons(arm, plan.holdout)
    waves = [wave for pool in pools for wave in pool]
    frozen = method_of(plan, Question(arm, plan.holdout), plan.metric)
    method = frozen if frozen is IntervalMethod.TOO_FEW else IntervalMethod.W1

    def without(count: int) -> Estimate:
        gone = {side: _ranked(largest, waves, side, count) for side in (arm, plan.holdout)}
        comparisons = [
            Comparison(
                _less(part.treated.select(names), _of(gone[arm], pool)),
                _less(part.control.select(names), _of(gone[plan.holdout], pool)),
            )
            for part, pool in zip(whole, pools, strict=True)
        ]
        effects = joint_effects(comparisons, names[:1], names[1:])
        lower, upper = interval(effects, method, 1 - plan.alpha)
        return Estimate(finite(effects.estimate[0]), finite(lower[0]), finite(upper[0]))

    everybody = without(0)
    lines = [(count, without(count)) for count in REMOVED]
    return tuple(
        Influence(
            removed=count,
            effect=effect,
            same_sign=_sign(effect.value) == _sign(everybody.value),
            same_verdict=_side(effect) == _side(everybody),
        )
        for count, effect in lines
        if effect.value is not None
    )


def _pair(units: Units, arm: str, holdout: str) -> tuple[Bools, Bools]:
    """Which units are in the two arms, and which of these are treated."""
    chosen = np.isin(units.arm, [arm, holdout])
    return chosen, units.arm[chosen] == arm


def _ranked(largest: Largest, waves: Sequence[int], arm: str, count: int) -> dict[int, Floats]:
    """The rows of an arm's largest units of all waves together, by wave, (some, 2) each."""
    nobody = np.zeros((0, 2))
    rows = {wave: largest.get((wave, arm), nobody) for wave in waves}
    origin = np.concatenate([np.full(len(part), wave) for wave, part in rows.items()])
    pooled = np.concatenate(list(rows.values()))
    top = np.argsort(-pooled[:, 0], kind="stable")[:count]
    return {wave: pooled[top][origin[top] == wave] for wave in waves}


def _of(rows: Mapping[int, Floats], waves: Sequence[int]) -> Floats:
    """The rows of some waves, (some, 2)."""
    return np.concatenate([rows[wave] for wave in waves])


def _less(sample: Moments, gone: Floats) -> Moments:
    """First and second moments of a sample without some of its units' rows.

    Source: Chan, Golub and LeVeque (1983), eq. 2.1, solved for one of the two groups.
    """
    n = sample.n - len(gone)
    if n < 1:
        return replace(
            sample,
            n=0,
            mean=np.zeros_like(sample.mean),
            scatter=np.zeros_like(sample.scatter),
            third={},
        )
    offset = gone - sample.mean
    shift = offset.sum(axis=0) / n
    scatter = sample.scatter - offset.T @ offset - n * np.outer(shift, shift)
    return replace(sample, n=n, mean=sample.mean - shift, scatter=scatter, third={})


def _sign(value: float | None) -> int:
    return 0 if value is None else int(np.sign(value))


def _side(effect: Estimate) -> int:
    """1 above 0, -1 below, 0 around or unknown."""
    if effect.lower is None or effect.upper is None:
        return 0
    return int(effect.lower > 0) - int(effect.upper < 0)
