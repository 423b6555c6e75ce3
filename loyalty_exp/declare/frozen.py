"""The frozen plan: everything a result depends on, fixed at launch under one SHA-256."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["FrozenPlan", "StratumCounts"]


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
    """Interval ('W1' or 'W2') of 'arm:metric', decided on the pre-period."""
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

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ISO dates."""
        return json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> FrozenPlan:
        """Read a plan written by `to_json`."""
        data = json.loads(text)
        for name in ("as_of", "start", "end", "measure_until"):
            data[name] = dt.date.fromisoformat(data[name])
        data["strata"] = tuple(
            StratumCounts(row["stratum"], row["units"], tuple(row["counts"]))
            for row in data["strata"]
        )
        data["flow"] = tuple((step, units) for step, units in data["flow"])
        for name in ("arms", "percents", "band_cuts"):
            data[name] = tuple(data[name])
        return cls(**{field.name: data[field.name] for field in fields(cls)})

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
