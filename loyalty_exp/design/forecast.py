"""What the plan stage finds, as data: audience, costs, what can be known, conflicts, sentences.

Holds results only; every sentence carries its rule and figures, so that pages can word it anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loyalty_exp.stats.planning import HoldoutAdvice

__all__ = [
    "ArmForecast",
    "CalendarEntry",
    "CampaignPlanReport",
    "Conflict",
    "CostForecast",
    "LongerWindow",
    "PastPeriod",
    "PlanSentence",
    "ReplaySummary",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlanSentence:
    """Something a person should read: its rule, its figures, and its wording in English."""

    rule: str
    """Name of the rule, such as 'over_budget'; the wording of a rule never depends on data."""
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    """The figures in it: shares as 0.18, money in currency, dates as dates."""


@dataclass(frozen=True, slots=True)
class CostForecast:
    """What the campaign will cost, in currency."""

    fixed: float
    contacts: float
    """Cost of contacting every treated unit once."""
    redemptions_at_most: float
    """On top, if every treated unit used the offer once; 0 where vouchers are in the orders."""
    budget: float | None

    @property
    def total(self) -> float:
        """Fixed cost and contacts, before redemptions."""
        return self.fixed + self.contacts

    @property
    def over_budget(self) -> float:
        """By how much the total exceeds the budget; 0 within it or without one."""
        return max(0.0, self.total - self.budget) if self.budget is not None else 0.0


@dataclass(frozen=True, slots=True)
class PastPeriod:
    """The company's own last comparable period: what forecasts and the formula rest on.

    Means and standard deviations are per unit, over the months of the period.
    """

    first_month: str
    """YYYY-MM of its first month."""
    months: int
    planned_months: int
    """Months that the campaign will be measured over; more than `months` if history is short."""
    covariate_months: int
    units: int
    """Eligible units at its start."""
    mean: float
    """Mean of the primary metric, in its unit."""
    residual_sd: float
    """Standard deviation of the metric once adjusted for the covariate."""
    margin_mean: float
    """Mean margin, currency."""
    margin_residual_sd: float

    @property
    def shortened(self) -> bool:
        """Whether the period is shorter than the campaign's."""
        return self.months < self.planned_months

    @property
    def forecast_mean(self) -> float:
        """Mean of the metric over the campaign's months, at the period's monthly rate."""
        return self.mean * self.planned_months / self.months

    @property
    def forecast_margin(self) -> float:
        """Mean margin per unit over the campaign's months, currency, at the same rate."""
        return self.margin_mean * self.planned_months / self.months


@dataclass(frozen=True, slots=True, eq=False)
class ReplaySummary:
    """What the replays of an arm on the company's past showed. Arrays have shape (effects,)."""

    draws: int
    periods: tuple[str, ...]
    """First month of each past period, YYYY-MM."""
    months: int
    """Months of each period."""
    units: float
    """Units of a replayed audience, on average."""
    sampled: bool
    """Whether past audiences were larger and a sample of them was replayed."""
    effects: Floats
    """Relative effects planted on the treated units' real outcomes, 0.05 is +5 %."""
    power: Floats
    coverage: Floats
    false_alarm_rate: float
    mde: float | None
    """Relative effect detected in 80 % of the draws, with `units`; None above the largest."""
    mde_today: float | None
    """The same with today's number of units: it falls with the square root of the number."""
    null_totals: Mapping[float, float]
    """Incremental margin, currency, that a campaign without any effect would have shown with
    today's number of units over `months`: quantile (0.025, ...) to amount."""
    without_interval: float
    """Share of the draws in which too few customers decide the result for any interval."""


@dataclass(frozen=True, slots=True)
class LongerWindow:
    """What measuring longer would bring."""

    extra_months: int
    ratio: float
    """Minimum detectable relative effect over that of the planned window, by the formula."""


@dataclass(frozen=True, slots=True, eq=False)
class ArmForecast:
    """What can be known of a treated arm against the holdout."""

    arm: str
    units: int
    holdout: int
    cost: float
    """Contacts, and the share of the fixed cost that its units bear; currency, no redemptions."""
    break_even: float | None
    """Margin per treated unit that pays the cost, currency; None without treated units."""
    break_even_relative: float | None
    """The same over the margin forecast per unit; None where that is not positive."""
    mde: float | None
    """Minimum detectable effect by the formula, per unit of the primary metric."""
    mde_relative: float | None
    """The same over the metric's forecast mean; None where that is not positive."""
    replay: ReplaySummary | None
    """None without history, or when the replay was not asked for."""

    @property
    def detectable(self) -> float | None:
        """Relative effect detected in 80 % of campaigns: by replay, else by the formula.

        None where neither gives one: it lies above all effects tried, or nothing is known.
        """
        return self.replay.mde_today if self.replay is not None else self.mde_relative


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """A declared campaign."""

    campaign: str
    name: str
    start: dt.date
    end: dt.date
    measure_until: dt.date
    priority: int
    segments: tuple[str, ...]
    launched: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another declared campaign after the same customers at the same time."""

    other: str
    overlap_days: int
    """Days on which both run; 0 where only a cooldown is too short."""
    rest_days: int
    """Days between the end of one and the start of the other; 0 when they overlap."""
    shared_segments: tuple[str, ...]
    shared_customers: int
    """Eligible customers here who are in the other's segments too."""
    goes_first: str | None
    """The campaign of higher priority; None where both are equal."""
    other_launched: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CampaignPlanReport:
    """Everything to know before launching a campaign. Money is in `currency`."""

    campaign: str
    name: str
    currency: str
    metric: str
    unit: str
    as_of: dt.date
    """Day at whose end the audience was taken: that of the launch, or the last day of data."""
    data_through: dt.date
    """Last day of data."""
    start: dt.date
    measure_until: dt.date
    months: int
    """Months of the campaign that are measured whole."""
    launched: bool
    """Whether it was launched: funnel and arms are then the frozen ones."""
    drawn_here: bool
    """False for a split drawn elsewhere."""
    alpha: float
    flow: tuple[tuple[str, int], ...]
    """Units: ('segment', n), ('excluded: reason', n), ..., ('eligible', n), ('arm: name', n)."""
    costs: CostForecast
    period: PastPeriod | None
    """None without history."""
    arms: tuple[ArmForecast, ...]
    longer: tuple[LongerWindow, ...]
    """What more months would bring, as far as history tells."""
    advice: HoldoutAdvice | None
    """Holdout share of least expected loss, with its curve; None where not computable."""
    advice_reason: str
    """Why there is no advice; empty when there is."""
    gap_days: float | None
    """Median over the eligible customers of the usual days between their orders."""
    calendar: tuple[CalendarEntry, ...]
    conflicts: tuple[Conflict, ...]
    sentences: tuple[PlanSentence, ...]
    warnings: tuple[PlanSentence, ...]
    notes: tuple[str, ...]
    """What the figures rest on, where it is not obvious."""

    @property
    def eligible(self) -> int:
        """Eligible units."""
        return dict(self.flow).get("eligible", 0)
