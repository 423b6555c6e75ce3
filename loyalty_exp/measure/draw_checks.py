"""Checks of the draw: the same units as frozen, losses by arm, the arms alike before the start.

Counts come from the store by stratum and arm; rows are read for a few hundred units only.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from scipy import stats

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.results import Check, CheckStatus
from loyalty_exp.stats.balance import ALARM, PERMUTE_BELOW, balance, losses, omnibus, split
from loyalty_exp.store.queries import checks as queries
from loyalty_exp.store.queries.draw import Draw, redrawn_differences, roster_sum

__all__ = [
    "Histories",
    "Roster",
    "Standing",
    "balance_check",
    "few_of_all",
    "randomization_check",
    "read_standing",
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
    """Pre-period of a wave: `queries.HISTORY` on the scale of logarithms, by stratum and arm."""

    units: Floats
    """Shape (strata, arms)."""
    mean: Floats
    """Shape (strata, arms, figures)."""
    scatter: Floats
    """Centred sums of products, shape (strata, arms, figures, figures)."""
    without: int
    """Units without any order."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A wave as the store has it now, read at once."""

    roster: Roster
    history: Histories
    buyers: Mapping[str, int]
    """Units with an order in what is read, by arm."""


def read_standing(connection: sa.Connection, plan: FrozenPlan, last: int) -> Standing:
    """The roster of a wave, its past, and its buyers from its start to the end of a month.

    Args:
        connection: an open store.
        plan: frozen plan of the wave.
        last: index of the last month read; one before the start for none.
    """
    start = plan.first_month
    statement = queries.standing(
        plan.campaign,
        plan.wave,
        (start - plan.covariate_months, start),
        (plan.start, last),
        by_customer=plan.by_customer,
        few=few_of_all(connection, plan),
    )
    rows = connection.execute(statement).all()
    buyers = dict.fromkeys(plan.arms, 0)
    for row in rows:
        buyers[row.arm] = buyers.get(row.arm, 0) + int(row.buyers)
    return Standing(_roster(connection, plan, rows), _histories(plan, rows), buyers)


def few_of_all(connection: sa.Connection, plan: FrozenPlan) -> bool:
    """Whether a wave holds less than half of all customers: then theirs are looked up."""
    units = sum(plan.units_of(arm) for arm in plan.arms)
    return 2 * units < (connection.scalar(queries.customers_known()) or 0)


def _roster(connection: sa.Connection, plan: FrozenPlan, rows: Sequence[sa.Row[Any]]) -> Roster:
    """The roster of a wave as it stands in the store, from the rows of `queries.standing`."""
    place = {row.stratum: index for index, row in enumerate(plan.strata)}
    column = {arm: index for index, arm in enumerate(plan.arms)}
    assigned = np.array([row.counts for row in plan.strata], dtype=np.int64)
    kept, present = np.zeros_like(assigned), np.zeros_like(assigned)
    elsewhere = 0
    for row in rows:
        if row.stratum in place and row.arm in column:
            cell = place[row.stratum], column[row.arm]
            kept[cell], present[cell] = row.units, row.present
        else:
            elsewhere += int(row.units)
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


def _histories(plan: FrozenPlan, rows: Sequence[sa.Row[Any]]) -> Histories:
    """The pre-period of a wave by stratum and arm, from the rows of `queries.standing`."""
    rows = [row for row in rows if row.arm in plan.arms]
    strata = {name: index for index, name in enumerate(sorted({row.stratum for row in rows}))}
    column = {arm: index for index, arm in enumerate(plan.arms)}
    size = (len(strata), len(column))
    figures = len(queries.HISTORY)
    units, mean, scatter = (np.zeros(size + rest) for rest in ((), (figures,), (figures, figures)))
    for row in rows:
        cell = strata[row.stratum], column[row.arm]
        units[cell] = row.units
        mean[cell] = [getattr(row, f"mean_{name}") for name in queries.HISTORY]
        scatter[cell] = row.units * _covariance(row)
    return Histories(units, mean, scatter, int(sum(row.without for row in rows)))


def _covariance(row: sa.Row[Any]) -> Floats:
    """Population covariance of a row of `queries.standing`, from variances of sums."""
    own = [float(getattr(row, f"variance_{name}")) for name in queries.HISTORY]
    covariance = np.diag(own)
    for (i, one), (j, two) in itertools.combinations(enumerate(queries.HISTORY), 2):
        together = float(getattr(row, f"variance_{one}_{two}"))
        covariance[i, j] = covariance[j, i] = (together - own[i] - own[j]) / 2
    return covariance


def balance_check(
    connection: sa.Connection, plans: Sequence[FrozenPlan], histories: Sequence[Histories]
) -> Check:
    """What each arm did before the start against the holdout: all figures in one test.

    Bonferroni over the arms; of each figure the arm that differs most, in standard deviations.
    """
    arms = plans[0].treated_arms
    units = sum(float(history.units.sum()) for history in histories)
    p: list[float] = []
    gaps = [np.full(len(queries.HISTORY), np.nan)]
    for column in range(1, len(arms) + 1 if histories else 1):
        if units < PERMUTE_BELOW:
            found = _balance_by_rows(connection, plans, plans[0].arms[column])
        else:
            found = _balance_by_sums(histories, column)
        p.append(found[0])
        gaps.append(found[1])
    known = [value for value in p if np.isfinite(value)]
    if not known:
        return Check("balance", ABSENT, critical=True, values={})
    p_value = min(1.0, min(known) * len(known))
    values: dict[str, float | None] = {"p_value": p_value}
    for name, figures in zip(queries.HISTORY, np.transpose(gaps), strict=True):
        differing = figures[np.isfinite(figures)]
        values[f"{name}_gap"] = max(map(float, differing), key=abs, default=None)
    return Check("balance", FAILED if p_value < ALARM else PASSED, critical=True, values=values)


def _balance_by_rows(
    connection: sa.Connection, plans: Sequence[FrozenPlan], arm: str
) -> tuple[float, Floats]:
    """P-value by permutation and standardised differences, for a few hundred units."""
    rows = []
    for plan in plans:
        start = plan.first_month
        statement = queries.history_rows(
            plan.campaign, plan.wave, start - plan.covariate_months, start
        )
        rows += [
            (
                f"{plan.wave}|{row.stratum}",
                row.arm == arm,
                [float(getattr(row, name)) for name in queries.HISTORY],
            )
            for row in connection.execute(statement)
            if row.arm in {arm, plan.holdout}
        ]
    strata = np.unique([row[0] for row in rows], return_inverse=True)[1].astype(np.int64)
    treated = np.array([row[1] for row in rows])
    figures = np.array([row[2] for row in rows])
    found = balance(figures, treated, strata, digest=plans[0].digest)
    return found.p_value, found.standardised


def _balance_by_sums(histories: Sequence[Histories], arm: int) -> tuple[float, Floats]:
    """The same statistic from sums, against chi-square."""
    figures = len(queries.HISTORY)
    gap, covariance = np.zeros(figures), np.zeros((figures, figures))
    largest = np.zeros(figures)
    for history in histories:
        n, mean, scatter = (
            table[:, [arm, 0]] for table in (history.units, history.mean, history.scatter)
        )
        use = n.min(axis=1) > 0
        n, mean, scatter = n[use], mean[use], scatter[use]
        total = n.sum(axis=1)
        centre = (n[:, :, None] * mean).sum(axis=1) / total[:, None]
        apart = mean - centre[:, None]
        within = scatter.sum(axis=1) + np.einsum("sa,sai,saj->sij", n, apart, apart)
        gap += (n[:, 1, None] * apart[:, 1]).sum(axis=0)
        covariance += np.einsum("s,sij->ij", n[:, 0] * n[:, 1] / (total * (total - 1)), within)
        largest = np.maximum(largest, np.abs(mean).max(axis=(0, 1), initial=0.0))
    d2, df = omnibus(gap, covariance, largest)
    return float(stats.chi2.sf(d2, df)) if df else np.nan, _standardised(histories, arm)


def _standardised(histories: Sequence[Histories], arm: int) -> Floats:
    """Differences of the arms' means in standard deviations, strata and waves together."""
    means, variances = [], []
    for column in (arm, 0):
        n = np.concatenate([history.units[:, column] for history in histories])[:, None]
        mean = np.concatenate([history.mean[:, column] for history in histories])
        squares = np.concatenate(
            [np.diagonal(history.scatter[:, column], axis1=1, axis2=2) for history in histories]
        )
        centre = (n * mean).sum(axis=0) / n.sum()
        means.append(centre)
        variances.append((squares + n * (mean - centre) ** 2).sum(axis=0) / (n.sum() - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((means[0] - means[1]) / np.sqrt(np.mean(variances, axis=0)))


def _elsewhere(plan: FrozenPlan) -> bool:
    """Whether the split was made elsewhere."""
    return plan.declaration.get("assignment") is not None
