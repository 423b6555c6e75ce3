"""The frozen plan: everything a result depends on, fixed at launch under one SHA-256."""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["Calendar", "FrozenPlan", "StratumCounts", "month_label", "month_of"]


@dataclass(frozen=True, slots=True)
class StratumCounts:
    """Units of one stratum and how many each arm takes, in the order of the plan's arms."""

    stratum: str
    units: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """A launched wave, as drawn. Dates are the project's calendar; money is in `currency`."""

    campaign: str
    wave: int
    name: str
    hypothesis: str
    declaration: Mapping[str, Any]
    """The campaign's table as declared, JSON types only."""
    project: str
    currency: str
    timezone: str
    margin_rate: float | None
    settle_days: int
    as_of: dt.date
    start: dt.date
    end: dt.date
    measure_until: dt.date
    metric: str
    """Primary metric: revenue, orders or active."""
    covariate_months: int
    """Calendar months before the start month that make the covariate."""
    looks: int
    alpha: float
    spending: str
    methods: Mapping[str, str]
    """Interval ('w1', 'w2' or 'too few') of 'arm:metric' against the holdout and, of two treated
    arms, of 'arm:against:metric'; decided on the pre-period."""
    caps: Mapping[str, float | None]
    """Cap of a unit's monthly figure by metric: 99th percentile of the positive pre-months."""
    arms: tuple[str, ...]
    """Arms in draw order, the holdout first."""
    percents: tuple[float, ...]
    unit: str
    segments: Mapping[str, str]
    """Segment names with their rule as text."""
    strata: tuple[StratumCounts, ...]
    band_cuts: tuple[float, ...]
    """Pre-period revenue at the .5, .8 and .95 quantiles of the positive: strata of the draw."""
    flow: tuple[tuple[str, int], ...]
    salt: str
    roster_sum: str
    """Sum over the roster of the first 15 hex digits of md5(unit:customer:stratum:arm)."""
    version: str
    skewness: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """What each of `methods` was decided by: skewness gamma of the pre-period's estimate in each
    month and, last, in all together, to six digits; None where nothing varies, empty without
    history. Absent from plans older than it."""
    tiers: Mapping[str, Any] = field(default_factory=dict)
    """Where gold and silver begin, as declared, where a segment or the strata depend on it; empty
    where nothing does, and in plans older than it, which had gold at 50 % and silver at 80 %."""
    known_through: dt.date | None = None
    """Last day of data when the wave was drawn; None in plans older than it."""

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ISO dates."""
        frozen = asdict(self)
        for later in ("skewness", "tiers", "known_through"):
            if not frozen[later]:
                del frozen[later]
        return json.dumps(
            frozen, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> FrozenPlan:
        """Read a plan written by `to_json`."""
        data = json.loads(text)
        for name in ("as_of", "start", "end", "measure_until", "known_through"):
            if name in data:
                data[name] = dt.date.fromisoformat(data[name])
        data["strata"] = tuple(
            StratumCounts(row["stratum"], row["units"], tuple(row["counts"]))
            for row in data["strata"]
        )
        data["flow"] = tuple((step, units) for step, units in data["flow"])
        for name in ("arms", "percents", "band_cuts"):
            data[name] = tuple(data[name])
        data["skewness"] = {key: tuple(g) for key, g in data.get("skewness", {}).items()}
        return cls(**{part.name: data[part.name] for part in fields(cls) if part.name in data})

    @property
    def by_customer(self) -> bool:
        """Whether a unit is a customer."""
        return self.unit == "customer_id"

    @property
    def holdout(self) -> str:
        """Name of the holdout arm."""
        return self.arms[0]

    @property
    def treated_arms(self) -> tuple[str, ...]:
        """Names of the treated arms, in draw order."""
        return self.arms[1:]

    def units_of(self, arm: str) -> int:
        """Units drawn into an arm."""
        position = self.arms.index(arm)
        return sum(stratum.counts[position] for stratum in self.strata)

    @property
    def first_month(self) -> int:
        """Index of the start month."""
        return month_of(self.start.year, self.start.month)


def month_of(year: int, month: int) -> int:
    """Index of a calendar month: year x 12 + month, month 1 to 12."""
    return year * 12 + month


def month_label(index: int) -> str:
    """Label of a month index: 24205 gives '2017-01'."""
    return f"{(index - 1) // 12:04d}-{(index - 1) % 12 + 1:02d}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of a campaign: all that were planned, and how many are closed or begun."""

    first: int
    """Month index of the campaign's first month."""
    planned: int
    closed: int
    begun: int
    """Months with any day of data, the closed ones included."""

    @property
    def labels(self) -> tuple[str, ...]:
        """YYYY-MM of every planned month."""
        return tuple(month_label(self.first + k) for k in range(self.planned))

    @classmethod
    def of(cls, plan: FrozenPlan, data_through: dt.date) -> Calendar:
        """The calendar of a plan when data reach to the end of a day.

        A month is closed when `settle_days` have passed since its end.
        """
        settled = data_through - dt.timedelta(days=plan.settle_days)
        closed = begun = 0
        for k in range(plan.looks):
            year, month = divmod(plan.first_month + k - 1, 12)
            last = dt.date(year, month + 1, calendar.monthrange(year, month + 1)[1])
            closed += last <= settled
            begun += max(last.replace(day=1), plan.start) <= data_through
        return cls(plan.first_month, plan.looks, closed, begun)
