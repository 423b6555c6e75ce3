"""What a measurement says: the types that scripts, notebooks and pages read. Computes nothing.

A figure that cannot be estimated is None, with its reason in `notes`. Notes are plain English
sentences without figures, so that the pages can translate them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from loyalty_exp.declare.frozen import FrozenPlan

__all__ = [
    "LEANS_HIGH",
    "LEANS_LOW",
    "ArmResult",
    "CampaignResult",
    "Check",
    "CheckStatus",
    "Component",
    "Decomposition",
    "Economics",
    "EffectRow",
    "Estimate",
    "Heterogeneity",
    "Influence",
    "Look",
    "MoneyMonth",
    "Programme",
    "Provenance",
    "Restatement",
    "SegmentRank",
    "Sensitivity",
    "Verdict",
    "VerdictKind",
    "Wearout",
]


LEANS_LOW = "take care: adjusting for the past is expected to make this figure somewhat too low"
LEANS_HIGH = "take care: adjusting for the past is expected to make this figure somewhat too high"
"""Notes of a row whose `expected_bias` matters."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, in the unit its owner states; None where not estimable."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One effect: an arm against another, of one metric, in one month or cumulative.

    Money is in the project's currency, per assigned unit unless said otherwise; `active` is a
    share of units in a month and, cumulative, months with an order per unit. `ci_*` is the
    interval of this row read alone; `simultaneous_ci_*` stays valid when every month is read: the
    sup-t band for months, the sequential interval for cumulative.
    """

    campaign: str
    wave: str
    segment: str
    arm: str
    against: str
    metric: str
    month: str
    n_treated: int
    n_holdout: int
    mean_treated: float | None
    mean_holdout: float | None
    effect_per_customer: float | None
    standard_error: float | None
    ci_lower: float | None
    ci_upper: float | None
    level: float
    p_value: float | None
    relative_effect: float | None
    relative_ci_lower: float | None
    relative_ci_upper: float | None
    total_effect: float | None
    total_ci_lower: float | None
    total_ci_upper: float | None
    closed: bool
    notes: str
    simultaneous_ci_lower: float | None = None
    simultaneous_ci_upper: float | None = None
    expected_bias: float | None = None
    """By how much the adjustment is expected to make `effect_per_customer` too high (below 0: too
    low), were the effect in proportion to what each customer buys; a note where it matters."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of the cumulative primary effect at a closed month, as it was then.

    `effect` per unit with the sequential interval; `z` and `boundary` are normal quantiles of the
    frozen method: the interval leaves 0 out exactly where z lies beyond the boundary. Nothing is
    significant where a handful of customers decides the reading (skewness above 1.5).
    """

    month: str
    number: int
    effect: Estimate
    z: float | None
    boundary: float | None
    significant: bool


@dataclass(frozen=True, slots=True)
class MoneyMonth:
    """Cumulative money at the end of a month, for all treated units of an arm.

    `decidable` is False where a handful of customers decides the net result (skewness above 1.5):
    no verdict rests on such a reading.
    """

    month: str
    closed: bool
    incremental_margin: Estimate
    cost: float
    net: Estimate
    decidable: bool = True


@dataclass(frozen=True, slots=True)
class Economics:
    """What an arm cost and earned up to the last closed month, totals in currency.

    `probability_paid` is the one-sided confidence that the net result is above 0, read alone: not
    for repeated looks, and no probability that anything is so. `break_even_per_unit` is the extra
    margin a treated unit must bring to cover the cost. `holdout_opportunity_cost` is what the
    holdout would have brought in after contacts and redemptions, had it been treated too.
    """

    incremental_revenue: Estimate
    incremental_margin: Estimate
    fixed_cost: float
    contact_cost: float
    redemption_cost: float
    net: Estimate
    iroi: Estimate
    probability_paid: float | None
    break_even_per_unit: float
    payback_month: str | None
    payback_month_lower: str | None
    cost_per_incremental_order: Estimate
    holdout_opportunity_cost: Estimate
    months: tuple[MoneyMonth, ...]
    notes: tuple[str, ...] = ()
    level: float = 0.95
    """Confidence of the intervals over all planned looks; higher where arms share the risk."""

    @property
    def cost(self) -> float:
        """Total cost of the arm, in currency."""
        return self.fixed_cost + self.contact_cost + self.redemption_cost


@dataclass(frozen=True, slots=True)
class Programme:
    """The whole programme against the universal holdout, totals in currency.

    `cost` is that of the campaigns that started while the universal holdout ran, `cost_share` its
    share of `treated_revenue`. `sum_of_campaigns` adds up their net results, with the reason in
    `notes` why it is not the programme's.
    """

    month: str | None
    incremental_revenue: Estimate
    incremental_margin: Estimate
    cost: float
    net: Estimate
    treated_revenue: float | None
    cost_share: float | None
    sum_of_campaigns: float | None
    campaigns: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the effect per unit: 'reactivation', 'frequency' or 'basket'."""

    name: str
    effect: Estimate


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Who came back, came more often, bought more: parts that add up to the revenue effect."""

    components: tuple[Component, ...]
    total: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wearout:
    """Is the monthly effect fading: slope per month of the effect per unit, with its p-value."""

    slope: Estimate
    p_value: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Influence:
    """The last reading without the units of each arm that brought the most net margin.

    `effect` is that on the primary metric per unit, `net` the net result of all treated units in
    currency, both by the frozen method at the reading's own boundary. `same_sign` and
    `same_verdict` speak of the net result: its sign, and what its interval would decide.
    """

    removed: int
    effect: Estimate
    net: Estimate
    same_sign: bool
    same_verdict: bool


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The cumulative effect per unit estimated another way: 'unadjusted' or 'capped'."""

    name: str
    effect: Estimate
    detail: float | None = None


@dataclass(frozen=True, slots=True)
class SegmentRank:
    """A segment's cumulative effect per unit, raw and shrunken to the common mean."""

    segment: str
    effect: Estimate
    shrunken: Estimate
    p_value_holm: float | None


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Do segments differ: Cochran's Q, its degrees of freedom and p-value, and the segments."""

    q: float | None
    df: int
    p_value: float | None
    segments: tuple[SegmentRank, ...]


class VerdictKind(StrEnum):
    """What to do, read from the net result's sequential interval."""

    KEEP = "keep"
    ENLARGE = "enlarge"
    STOP = "stop"
    NOT_YET = "not_yet"
    NEVER = "will_not_be_known"
    NO_DATA = "no_closed_month"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of an arm: its kind, the money it rests on, until when, and why.

    `net` is the total net result in currency at `month` (YYYY-MM) with the sequential interval;
    `expected_month` is when an answer is expected (not yet); `reasons` name failed checks, or say
    why it will not be known; `decided_month` is the look at which the verdict fell, for good.
    """

    kind: VerdictKind
    net: Estimate
    month: str | None
    expected_month: str | None = None
    reasons: tuple[str, ...] = ()
    decided_month: str | None = None


class CheckStatus(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, outcome, whether its failure suspends the verdict, and its figures.

    Names: roster, randomization, timing, split, balance, contamination, reach, aa_before, power,
    buyers, missing_history, deviations, restatement. `values` holds what a sentence needs.
    """

    name: str
    status: CheckStatus
    critical: bool
    values: Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Everything about one treated arm against the holdout, whole audience."""

    arm: str
    n_treated: int
    n_holdout: int
    method: str
    """'W1' or 'W2', frozen at launch."""
    band: str
    """How the monthly band was made: 'sup-t' or 'permutation max-t'."""
    looks: tuple[Look, ...]
    economics: Economics
    decomposition: Decomposition | None
    wearout: Wearout | None
    pull_forward: Estimate | None
    reached: Estimate | None
    """Effect per reached unit (Anderson-Rubin), None without exposures."""
    reached_notes: tuple[str, ...]
    influence: tuple[Influence, ...]
    sensitivity: tuple[Sensitivity, ...]
    heterogeneity: Heterogeneity | None
    permutation_p_value: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file as it was loaded: rows read = loaded + set aside + ignored."""

    what: str
    """orders, customers, exposures or costs."""
    name: str
    """File name without its folder, or the table's name."""
    digest: str
    """SHA-256 of the file."""
    rows_read: int
    rows_loaded: int
    rows_set_aside: int
    rows_ignored: int
    """Rows there already, there twice, or no sales."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the figures rest on."""

    data_through: dt.date
    """Last day of data; a month closes `settle_days` after its end by this day."""
    first_order: dt.date
    loads: tuple[LoadedFile, ...]
    """Every load, oldest first."""
    version: str
    engine: str
    command: str


@dataclass(frozen=True, slots=True)
class Restatement:
    """A figure of a closed month, whole audience, that changed after a report had shown it.

    `shown` and `now` are the effect per unit, in the metric's unit.
    """

    month: str
    """YYYY-MM, or 'cumulative YYYY-MM' of a reading."""
    arm: str
    against: str
    metric: str
    shown: float | None
    """As it was before."""
    shown_on: dt.date
    """UTC day of the first report that showed it so."""
    now: float | None
    changed_on: dt.date | None
    """UTC day of the first report with the new figure, None if no report has shown it yet."""
    reason: str = ""
    """Why: late data, or customers who joined since, by whom the effect per unit is divided."""


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """The measurement of one campaign: rows for scripts, arms and checks for pages."""

    campaign: str
    plan: FrozenPlan
    rows: tuple[EffectRow, ...]
    arms: tuple[ArmResult, ...]
    checks: tuple[Check, ...]
    flow: tuple[tuple[str, int], ...]
    """Units at each step, in order: ('segment', n), ('excluded: ...', n), ('eligible', n),
    ('arm: ...', n), ('reached: ...', n)."""
    deviations: tuple[str, ...]
    """What differs between the declaration now and the frozen plan, field by field."""
    closed_through: str | None
    """Last closed month (YYYY-MM) of the campaign, None before the first."""
    provenance: Provenance
    caveat: str = ""
    """A sentence about the data that every page must show (demo, planted effect, ...)."""
    restatements: tuple[Restatement, ...] = ()
    """Figures of closed months that changed after a report had shown them."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """The effect rows as dictionaries, ready for JSON."""
        return [asdict(row) for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """The effect rows as a pandas frame, one column a field of `EffectRow`."""
        import pandas as pd  # noqa: PLC0415  (slow to import, needed only here)

        return pd.DataFrame(self.to_dicts(), columns=[field.name for field in fields(EffectRow)])
