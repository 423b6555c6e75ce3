"""Checks of the draw: the same units as frozen, losses by arm, the arms alike before the start.

Counts come from the store by stratum and arm; rows are read for a few hundred units only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from scipy import stats

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.effects import finite
from loyalty_exp.measure.results import Check, CheckStatus
from loyalty_exp.stats.balance import ALARM, PERMUTE_BELOW, balance, losses, split
from loyalty_exp.store.queries import checks as queries
from loyalty_exp.store.queries.draw import Draw, redrawn_differences, roster_sum, roster_units

__all__ = [
    "Histories",
    "Roster",
    "balance_check",
    "randomization_check",
    "read_histories",
    "read_roster",
    "roster_check",
    "split_check",
    "timing_check",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PASSED, WARNING, FAILED = CheckStatus.PASSED, CheckStatus.WARNING, CheckStatus.FAILED
ABSENT = CheckStatus.NOT_APPLICABLE


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """A wave's roster now against the frozen one, (strata, arms) each."""

    plan: FrozenPlan
    assigned: Ints
    kept: Ints
    """Units of the assignments."""
    present: Ints
    """Those that still have a customer in the store."""
    elsewhere: int
    """Units of the assignments in no stratum or arm of the plan."""
    sums_agree: bool
    redrawn: int
    """Units that the recipe puts in another arm."""

    @property
    def missing(self) -> int:
        """Units of the plan that are no longer in the assignments."""
        return int(np.maximum(self.assigned - self.kept, 0).sum())

    @property
    def extra(self) -> int:
        """Units of the assignments that are not in the plan."""
        return int(np.maximum(self.kept - self.assigned, 0).sum()) + self.elsewhere

    @property
    def displaced(self) -> bool:
        """Whether the recipe gives other arms; a unit lost moves one unit at each limit of arms."""
        lost = np.maximum(self.assigned.sum(axis=1) - self.kept.sum(axis=1), 0).sum()
        return self.redrawn > int(lost) * (len(self.plan.arms) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Pre-period of a wave, (strata, arms) each: units, mean and squares of log1p revenue."""

    units: Floats
    mean: Floats
    squares: Floats
    without: int
    """Units without any order."""


def read_roster(connection: sa.Connection, plan: FrozenPlan) -> Roster:
    """The roster of a wave as it stands in the store."""
    place = {row.stratum: index for index, row in enumerate(plan.strata)}
    column = {arm: index for index, arm in enumerate(plan.arms)}
    assigned = np.array([row.counts for row in plan.strata], dtype=np.int64)
    kept, present = np.zeros_like(assigned), np.zeros_like(assigned)
    elsewhere = 0
    for stratum, arm, units in connection.execute(roster_units(plan.campaign, plan.wave)):
        if stratum in place and arm in column:
            kept[place[stratum], column[arm]] = units
        else:
            elsewhere += int(units)
    for stratum, arm, units in connection.execute(queries.present_units(plan.campaign, plan.wave)):
        if stratum in place and arm in column:
            present[place[stratum], column[arm]] = units
    found = connection.scalar(roster_sum(plan.campaign, plan.wave))
    drawn = Draw(plan.campaign, plan.wave, plan.salt, plan.arms, plan.strata)
    redrawn = 0 if _elsewhere(plan) else connection.scalar(redrawn_differences(drawn)) or 0
    return Roster(
        plan, assigned, kept, present, elsewhere, str(found) == plan.roster_sum, int(redrawn)
    )


def timing_check(plans: Sequence[FrozenPlan]) -> Check:
    """Whether orders from the start on were known when a wave was drawn, and for how many days.

    A split drawn elsewhere, and a plan older than the field, tell nothing of it.
    """
    known = [
        (plan.known_through - plan.start).days + 1
        for plan in plans
        if plan.known_through is not None and not _elsewhere(plan)
    ]
    if not known:
        return Check("timing", ABSENT, critical=False, values={})
    late = [days for days in known if days > 0]
    values = {"days": max(late, default=0), "late": len(late), "waves": len(plans)}
    return Check("timing", WARNING if late else PASSED, critical=False, values=values)


def roster_check(rosters: Sequence[Roster]) -> Check:
    """The units measured are those of the frozen draw; units erased since are losses, see split."""
    missing, extra = sum(r.missing for r in rosters), sum(r.extra for r in rosters)
    changed = any(not r.sums_agree and not r.missing for r in rosters)
    status = PASSED
    if extra or changed:
        status = FAILED
    elif missing:
        status = WARNING
    units = int(sum(r.kept.sum() for r in rosters))
    values = {"units": units, "missing": missing, "extra": extra}
    return Check("roster", status, critical=True, values=values)


def randomization_check(rosters: Sequence[Roster]) -> Check:
    """Drawing again from the recipe gives the same arms; nothing to redo if drawn elsewhere."""
    if _elsewhere(rosters[0].plan):
        return Check("randomization", ABSENT, critical=True, values={})
    status = FAILED if any(roster.displaced for roster in rosters) else PASSED
    values = {"differences": sum(roster.redrawn for roster in rosters)}
    return Check("randomization", status, critical=True, values=values)


def split_check(rosters: Sequence[Roster]) -> Check:
    """Losses by Fisher, of each stratum and pooled; for a split made elsewhere its shares too."""
    lost = np.concatenate([np.maximum(r.assigned - r.present, 0) for r in rosters])
    assigned = np.concatenate([r.assigned for r in rosters])
    found = losses(lost, assigned)
    alarm, p_value = found.alarm, found.p_value
    plan = rosters[0].plan
    if _elsewhere(plan):
        shares = np.array(plan.percents) / sum(plan.percents)
        made = split([int(n) for n in assigned.sum(axis=0)], [float(share) for share in shares])
        alarm, p_value = alarm or made.alarm, min(p_value, made.p_value)
    values = {
        "lost_treated": int(lost[:, 1:].sum()),
        "lost_holdout": int(lost[:, 0].sum()),
        "p_value": p_value,
        "smallest_stratum_p_value": float(found.by_stratum.min()),
    }
    return Check("split", FAILED if alarm else PASSED, critical=True, values=values)


def read_histories(connection: sa.Connection, plan: FrozenPlan) -> Histories:
    """The pre-period of a wave, by stratum and arm."""
    start = plan.first_month
    rows = connection.execute(
        queries.histories(plan.campaign, plan.wave, start - plan.covariate_months, start)
    ).all()
    strata = {name: index for index, name in enumerate(sorted({row.stratum for row in rows}))}
    column = {arm: index for index, arm in enumerate(plan.arms)}
    units, mean, squares = np.zeros((3, len(strata), len(column)))
    for row in rows:
        cell = strata[row.stratum], column[row.arm]
        units[cell], mean[cell] = row.units, row.mean
        squares[cell] = row.units * row.variance
    return Histories(units, mean, squares, int(sum(row.without for row in rows)))


def balance_check(
    connection: sa.Connection, plans: Sequence[FrozenPlan], histories: Sequence[Histories]
) -> Check:
    """Pre-period revenue of each arm against the holdout, Bonferroni over the arms."""
    arms = plans[0].treated_arms
    units = sum(float(history.units.sum()) for history in histories)
    p: list[float] = []
    gaps: list[float] = []
    for column in range(1, len(arms) + 1):
        if units < PERMUTE_BELOW and histories:
            found = _balance_by_rows(connection, plans, plans[0].arms[column])
        else:
            found = _balance_by_sums(histories, column) if histories else (np.nan, np.nan)
        p.append(found[0])
        gaps.append(found[1])
    known = [value for value in p if np.isfinite(value)]
    if not known:
        return Check("balance", ABSENT, critical=True, values={})
    p_value = min(1.0, min(known) * len(known))
    largest = max((gap for gap in gaps if np.isfinite(gap)), key=abs, default=np.nan)
    values = {"p_value": p_value, "standardised_difference": finite(largest)}
    return Check("balance", FAILED if p_value < ALARM else PASSED, critical=True, values=values)


def _balance_by_rows(
    connection: sa.Connection, plans: Sequence[FrozenPlan], arm: str
) -> tuple[float, float]:
    """P-value by permutation and standardised difference, for a few hundred units."""
    rows = []
    for plan in plans:
        start = plan.first_month
        statement = queries.history_rows(
            plan.campaign, plan.wave, start - plan.covariate_months, start
        )
        rows += [
            (f"{plan.wave}|{row.stratum}", row.arm == arm, float(row.revenue))
            for row in connection.execute(statement)
            if row.arm in {arm, plan.holdout}
        ]
    strata = np.unique([row[0] for row in rows], return_inverse=True)[1].astype(np.int64)
    treated = np.array([row[1] for row in rows])
    revenue = np.array([[row[2]] for row in rows])
    found = balance(revenue, treated, strata, digest=plans[0].digest)
    return found.p_value, float(found.standardised[0])


def _balance_by_sums(histories: Sequence[Histories], arm: int) -> tuple[float, float]:
    """The same statistic from sums: Hansen and Bowers (2008), eq. 7, one covariate, chi-square."""
    gap = variance = 0.0
    for history in histories:
        n, mean, squares = (
            table[:, [arm, 0]] for table in (history.units, history.mean, history.squares)
        )
        use = n.min(axis=1) > 0
        n, mean, squares = n[use], mean[use], squares[use]
        total = n.sum(axis=1)
        centre = (n * mean).sum(axis=1) / total
        within = squares.sum(axis=1) + (n * (mean - centre[:, None]) ** 2).sum(axis=1)
        gap += float((n[:, 1] * (mean[:, 1] - centre)).sum())
        variance += float((n[:, 0] * n[:, 1] / (total * (total - 1)) * within).sum())
    if not variance > 0:
        return np.nan, np.nan
    return float(stats.chi2.sf(gap**2 / variance, 1)), _standardised(histories, arm)


def _standardised(histories: Sequence[Histories], arm: int) -> float:
    """Difference of the arms' means in standard deviations, strata and waves together."""
    means, variances = [], []
    for column in (arm, 0):
        n, mean, squares = (
            np.concatenate([getattr(history, name)[:, column] for history in histories])
            for name in ("units", "mean", "squares")
        )
        centre = (n * mean).sum() / n.sum()
        means.append(centre)
        variances.append((squares + n * (mean - centre) ** 2).sum() / (n.sum() - 1))
    return float((means[0] - means[1]) / np.sqrt(np.mean(variances)))


def _elsewhere(plan: FrozenPlan) -> bool:
    """Whether the split was made elsewhere."""
    return plan.declaration.get("assignment") is not None
