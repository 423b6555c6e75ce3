"""Past audiences: the campaign's segment rule at earlier dates, with what followed.

Works in temporary tables of the caller's connection; nothing that lasts is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan, month_of
from loyalty_exp.declare.models import Campaign
from loyalty_exp.design.audience import (
    COVARIATE_MONTHS,
    Audience,
    FeatureQuery,
    fill_audience,
    population_of,
)
from loyalty_exp.design.replay import PastAudience
from loyalty_exp.stats.planning import minimum_detectable_effect
from loyalty_exp.store.queries import plan as queries
from loyalty_exp.store.queries.audience import audience as audience_table
from loyalty_exp.store.queries.audience import candidates
from loyalty_exp.store.queries.plan import Sum, planned_members

__all__ = ["History", "Members", "Past", "detectable_by_length", "first_day"]

Members = Callable[[str, dt.date], sa.Select[Any]]
"""Customers of a segment at the end of a day: one column."""

Floats = npt.NDArray[np.float64]

MOST_PERIODS = 12
LONGEST_EXTRA = 6


def first_day(month: int) -> dt.date:
    """The first day of a month index."""
    year, place = divmod(month - 1, 12)
    return dt.date(year, place + 1, 1)


@dataclass(frozen=True, slots=True)
class History:
    """The whole months of data before a campaign, and which of them can be replayed."""

    first: int
    """Index of the first month with an order."""
    end: int
    """Index of the month after the last whole one before the campaign."""
    planned: int
    """Months that the campaign is measured over."""

    @property
    def known(self) -> int:
        """Whole months of history."""
        return max(0, self.end - self.first)

    @property
    def months(self) -> int:
        """Months of a replayed outcome: as planned, at most half of the history; 0 without."""
        return min(max(1, self.planned), self.known // 2)

    @property
    def starts(self) -> tuple[int, ...]:
        """First outcome month of each replayed period, latest first.

        Every start has twelve months before it or, where history is shorter, at least half of
        what the latest has.
        """
        if not self.months:
            return ()
        latest = self.end - self.months
        needed = latest - self.first
        if needed < COVARIATE_MONTHS:
            needed = -(-needed // 2)
        needed = min(needed, COVARIATE_MONTHS)
        earliest = max(self.first + needed, latest - MOST_PERIODS + 1)
        return tuple(range(latest, earliest - 1, -1))

    @classmethod
    def of(
        cls, connection: sa.Connection, start: dt.date, data_through: dt.date, planned: int
    ) -> History:
        """The history before a campaign's start, up to the last whole month of data."""
        first = connection.scalar(queries.known_months())
        after = data_through + dt.timedelta(days=1)
        end = min(month_of(after.year, after.month), month_of(start.year, start.month))
        return cls(end if first is None else int(first), end, planned)


@dataclass(frozen=True, slots=True)
class Past:
    """Reads audiences of a campaign at any date, through one connection."""

    connection: sa.Connection
    campaign_id: str
    campaign: Campaign
    features: FeatureQuery
    members: Members

    def audience(
        self, as_of: dt.date, wave_start: dt.date, launched: Sequence[FrozenPlan] = ()
    ) -> Audience:
        """Fill the temporary tables with the audience at a date.

        Args:
            as_of: day at whose end segments are taken.
            wave_start: first day of the wave.
            launched: waves that keep customers out; none for the past.
        """
        kept = planned_members
        kept.drop(self.connection, checkfirst=True)
        kept.create(self.connection)
        for name in dict.fromkeys((*self.campaign.segments, *self.campaign.exclude)):
            who = self.members(name, as_of).subquery("who")
            rows = sa.select(sa.literal(name, sa.Text), sa.literal(as_of, sa.Date), who.c.customer)
            names = [column.name for column in kept.c]
            self.connection.execute(kept.insert().from_select(names, rows))
        return fill_audience(
            self.connection,
            self.campaign_id,
            self.campaign,
            wave_start=wave_start,
            as_of=as_of,
            launched=launched,
            features=self.features,
            kept=kept,
        )

    def close(self) -> None:
        """Drop the temporary tables."""
        for table in (planned_members, candidates, audience_table):
            table.drop(self.connection, checkfirst=True)

    def replayed(
        self, start: int, history: History, *, seed: str, largest: int
    ) -> PastAudience | None:
        """The audience at the start of a past period and what it did; None where it is empty.

        Args:
            start: index of the first outcome month.
            history: months at hand.
            seed: which units are taken of a larger audience.
            largest: most units taken.
        """
        months, metric = history.months, self.campaign.metric
        covariate = min(COVARIATE_MONTHS, start - history.first)
        low = start - covariate
        sums = [
            Sum("y", metric, start, start + months),
            Sum("x", metric, low, start),
            Sum("margin", "margin", start, start + months),
            Sum("margin_x", "margin", low, start),
        ]
        before = min(months, (covariate + 1) // 2)
        if before:
            since = start - before
            sums += [Sum(f"before_{k}", metric, since + k, since + k + 1) for k in range(before)]
            earlier = max(history.first, since - COVARIATE_MONTHS)
            sums.append(Sum("before_x", metric, min(earlier, since), since))
        found = self._rows(start, sums, seed, largest)
        if found is None:
            return None
        audience, strata, values = found
        return PastAudience(
            as_of=first_day(start) - dt.timedelta(days=1),
            months=months,
            covariate_months=covariate,
            audience=audience.units,
            stratum=strata,
            outcome=values[:, 0],
            covariate=values[:, 1],
            margin=values[:, 2],
            margin_covariate=values[:, 3],
            before=values[:, 4:-1] if before else None,
            before_covariate=values[:, -1] if before else None,
        )

    def lengths(self, history: History, *, seed: str, largest: int) -> tuple[Floats, Floats] | None:
        """Cumulative outcomes of the planned window and of longer ones, on one past audience.

        Returns:
            Covariate (units,), and outcomes (units, 1 + extra months); None where history holds
            no longer window with half a year before it.
        """
        room = history.known - history.planned - COVARIATE_MONTHS // 2
        extra = min(LONGEST_EXTRA, room)
        if extra < 1 or history.planned < 1:
            return None
        start = history.end - history.planned - extra
        metric = self.campaign.metric
        low = max(history.first, start - COVARIATE_MONTHS)
        sums = [Sum("x", metric, low, start)]
        sums += [
            Sum(f"y_{k}", metric, start, start + history.planned + k) for k in range(extra + 1)
        ]
        found = self._rows(start, sums, seed, largest)
        return None if found is None else (found[2][:, 0], found[2][:, 1:])

    def _rows(
        self, start: int, sums: Sequence[Sum], seed: str, largest: int
    ) -> tuple[Audience, npt.NDArray[np.int64], Floats] | None:
        first = first_day(start)
        audience = self.audience(first - dt.timedelta(days=1), first)
        if not audience.units:
            return None
        statement = queries.audience_rows(
            population_of(self.connection, self.campaign),
            audience.cuts,
            sums,
            seed=seed,
            largest=largest,
        )
        rows = self.connection.execute(statement).all()
        _, strata = np.unique([row[0] for row in rows], return_inverse=True)
        values = np.array([row[1:] for row in rows], dtype=np.float64)
        order = np.argsort(strata, kind="stable")
        return audience, strata[order].astype(np.int64), values[order]


def detectable_by_length(covariate: Floats, outcomes: Floats, alpha: float) -> Floats:
    """Minimum detectable relative effect of each window over that of the first, (windows,).

    Args:
        covariate: Pre-period figure, shape (units,).
        outcomes: Cumulative outcomes, shape (units, windows).
        alpha: Two-sided level.

    Returns:
        Ratios, the first 1; NaN where a mean is not positive.
    """
    units = covariate.size
    x = covariate - covariate.mean()
    y = outcomes - outcomes.mean(axis=0)
    theta = (x @ y) / (x @ x) if x @ x > 0 else np.zeros(y.shape[1])
    spread = np.sqrt(((y - np.outer(x, theta)) ** 2).sum(axis=0) / max(1, units - 2))
    mean = outcomes.mean(axis=0)
    detectable = [minimum_detectable_effect(sd, units - 2, alpha=alpha) for sd in spread]
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(mean > 0, np.array(detectable) / mean, np.nan)
        return np.asarray(relative / relative[0], dtype=np.float64)
