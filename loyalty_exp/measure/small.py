"""Small lists: the permutation test and the exact band of the path.

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
from loyalty_exp.measure.results import EffectRow, Estimate
from loyalty_exp.stats.ancova import IntervalMethod
from loyalty_exp.stats.resampling import max_t_band, permutation_test
from loyalty_exp.store.outcomes import ALL
from loyalty_exp.store.queries.moments import Window, unit_rows

__all__ = [
    "LARGEST_ROSTER",
    "Units",
    "path_band",
    "permutation_p_value",
    "read_units",
    "with_path_band",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LARGEST_ROSTER = 10_000
"""Units up to which rows are read."""
FEW_UNITS, FEW_BUYERS = 200, 50


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


def _pair(units: Units, arm: str, holdout: str) -> tuple[Bools, Bools]:
    """Which units are in the two arms, and which of these are treated."""
    chosen = np.isin(units.arm, [arm, holdout])
    return chosen, units.arm[chosen] == arm
