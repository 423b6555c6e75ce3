"""The declaration as frozen pydantic models: the one place that says which fields exist.

Opens no file and no database; mistakes come out of pydantic and get their place in `toml`.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    model_validator,
)

from loyalty_exp.declare import checks
from loyalty_exp.declare.environment import expand
from loyalty_exp.declare.features import ALL
from loyalty_exp.declare.findings import Finding, Raw, validate
from loyalty_exp.declare.kinds import (
    Alpha,
    Amount,
    Currency,
    Database,
    Date,
    Enrolment,
    Fraction,
    HoldoutPercent,
    Lever,
    Locale,
    LongText,
    Objective,
    Percent,
    RuleText,
    Scheme,
    Sentence,
    Slug,
    Spending,
    Threshold,
    TierMeasure,
    Timezone,
    whole,
)
from loyalty_exp.declare.sources import (
    Assignment,
    CostsSource,
    Customers,
    Data,
    Exposures,
    Orders,
    Table,
)
from loyalty_exp.declare.words import words_of

__all__ = [
    "HOLDOUT",
    "Assignment",
    "Campaign",
    "Costs",
    "CostsSource",
    "Customers",
    "Data",
    "Declaration",
    "Exposures",
    "Orders",
    "Project",
    "SegmentRule",
    "Segments",
    "Tiers",
    "UniversalHoldout",
]

HOLDOUT = "holdout"
"""Name of the arm that receives nothing."""

_NEVER = dt.date(2000, 1, 1)
"""Stands in for a date that is wrong: some versions of pydantic ask for defaults all the same."""

Metric = Literal["revenue", "orders", "active"]

_METRICS: Mapping[str, Metric] = {
    "revenue": "revenue",
    "basket": "revenue",
    "frequency": "orders",
    "attrition": "active",
}


class Project(Table):
    """What holds for every campaign."""

    name: Sentence = Field(description="Name of the company or brand, shown on every page.")
    currency: Currency = Field(description="Currency of every amount, such as EUR.")
    locale: Locale = Field(default="en", description="Language of the reports: fr or en.")
    timezone: Timezone = Field(description="Time zone that decides the day of an order.")
    margin_rate: Fraction | None = Field(
        default=None,
        description="Margin as a share of revenue, 0.42 for 42 %, when orders hold no margin.",
    )
    database: Database = Field(
        default="duckdb:///loyalty.duckdb",
        description="Address of the store: any SQLAlchemy URL; ${NAME} for secrets.",
    )
    registry_url: Database | None = Field(
        default=None,
        description="Address of a second, small database for the registry of launches: needed "
        "when the first is Spark, such as sqlite:///registry.db.",
    )
    settle_days: Annotated[int, Field(ge=0, le=90), whole(0, 90)] = Field(
        default=7, description="Days after the end of a month until its figures count as closed."
    )
    fiscal_year_start: Annotated[int, Field(ge=1, le=12), whole(1, 12)] = Field(
        default=1, description="First month of the year in the year-over-year comparison."
    )
    min_cell: Annotated[int, Field(ge=1, le=1000), whole(1, 1000)] = Field(
        default=5, description="Descriptive tables hide groups of fewer customers than this."
    )
    seed: Annotated[int, Field(ge=0, le=2**53), whole(0, 2**53)] = Field(
        default=1, description="Any whole number; every draw is derived from it."
    )

    @property
    def database_url(self) -> str:
        """`database` with its environment variables filled in: open it, never show it."""
        return expand(self.database)

    @property
    def registry_address(self) -> str | None:
        """`registry_url` with its environment variables filled in, if there is one."""
        return None if self.registry_url is None else expand(self.registry_url)


class SegmentRule(Table):
    """A segment of one's own."""

    where: RuleText = Field(
        description="Who is in it: an expression over the features and attributes of customers, "
        "such as tier = 'gold' and overdue_ratio > 2."
    )
    label: Sentence | None = Field(
        default=None, description="How reports call the segment; its id if absent."
    )


class Tiers(Table):
    """Where gold and silver begin, in revenue of 12 months; everybody else is bronze."""

    by: TierMeasure = Field(
        default="share",
        description="share: gold and silver are percentages of all revenue; revenue: they are "
        "amounts of a customer's revenue, in the project's currency.",
    )
    gold: Threshold = Field(
        description="By share, 50: gold are the largest customers, who together make half of all "
        "revenue. By revenue, 2000: gold is who spent 2,000 or more."
    )
    silver: Threshold = Field(
        description="By share, 80: silver are the next largest, who with gold make four fifths. "
        "By revenue, 500: silver is who spent 500 or more, and is not gold."
    )

    @classmethod
    def _findings(cls, raw: Raw) -> Iterable[Finding]:
        return checks.of_tiers(raw)


class Segments(BaseModel):
    """The built-in scheme, and segments of one's own, by id."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[Slug, SerializeAsAny[SegmentRule]] = Field(init=False)

    scheme: Scheme = Field(
        default="rfm",
        description="Built-in segments of the tables: rfm (11 names), tiers (gold, silver, "
        "bronze), risk (of leaving) or value (expected).",
    )
    tiers: Tiers = Field(
        default_factory=lambda: Tiers(gold=50, silver=80),
        description="Where gold and silver begin: by default gold makes half of the revenue of "
        "12 months, and silver the next 30 %.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Segments]) -> Segments:
        return validate(cls, data, handler, checks.of_segments)

    @property
    def rules(self) -> Mapping[str, SegmentRule]:
        """The segments declared with `where`, by id, in their order."""
        return self.__pydantic_extra__

    @property
    def labels(self) -> Mapping[str, str]:
        """What reports call the segments of one's own, by id, where they are called otherwise."""
        return {name: rule.label for name, rule in self.rules.items() if rule.label}

    def text(self, name: str) -> str:
        """The rule of a segment, as a plan freezes it."""
        rule = self.rules.get(name)
        return f"{self.scheme}: {name}" if rule is None else rule.where

    def reads_tiers(self, name: str) -> bool:
        """Whether who is in a segment depends on where gold and silver begin."""
        rule = self.rules.get(name)
        if rule is None:
            return self.scheme == "tiers" and name != ALL
        words = words_of(rule.where)
        return any(word.kind == "name" and word.text == "tier" for word in words)

    def tiers_of(self, campaign: Campaign) -> dict[str, Any]:
        """Where gold and silver begin, where a campaign's draw depends on it; else empty."""
        named = (*campaign.segments, *campaign.exclude)
        depends = "tier" in campaign.stratify_by or any(map(self.reads_tiers, named))
        return self.tiers.model_dump(mode="json") if depends else {}


class UniversalHoldout(Table):
    """Customers left out of every campaign, to measure the whole programme."""

    percent: HoldoutPercent = Field(description="Share of all customers, in percent.")
    start: Date = Field(description="First day of the period.")
    months: Annotated[int, Field(ge=1, le=60), whole(1, 60)] = Field(
        default=12, description="For how many months, until the next rotation."
    )

    @property
    def end(self) -> dt.date:
        """Last day of the period."""
        months = self.start.year * 12 + self.start.month - 1 + self.months
        year, month = months // 12, months % 12 + 1
        day = min(self.start.day, calendar.monthrange(year, month)[1])
        return dt.date(year, month, day) - dt.timedelta(days=1)


class Costs(Table):
    """What a campaign costs, as planned; in the project's currency, net of tax."""

    budget: Amount | None = Field(default=None, description="Most that may be spent in all.")
    fixed: Amount = Field(default=0.0, description="Paid once: creation, printing, agency.")
    per_contact: dict[Slug, Amount] = Field(
        default_factory=dict, description="Paid for each customer of an arm, by arm."
    )
    per_redemption: dict[Slug, Amount] = Field(
        default_factory=dict,
        description="Paid each time a customer of an arm uses the offer, by arm.",
    )
    vouchers_in_orders: bool = Field(
        default=False,
        description="Whether order totals are already net of the vouchers; redemptions are then "
        "not counted a second time as a cost.",
    )


class Campaign(Table):
    """A campaign: who, what, when, and how it will be judged."""

    name: Sentence = Field(description="Name shown in reports.")
    hypothesis: LongText | None = Field(
        default=None, description="What is expected to happen, in a sentence, before any result."
    )
    segments: Annotated[tuple[Sentence, ...], Field(min_length=1, strict=False)] = Field(
        description='The segments addressed: ids of rules, names of the scheme, or "all".'
    )
    lever: Lever = Field(
        description="transactional (vouchers, discounts, gifts), service, relational (letters, "
        "calls, surveys) or engagement (reviews, clubs, testers)."
    )
    objective: Objective = Field(
        description="revenue, basket, frequency or attrition: fixes the primary metric before any "
        "result (revenue, revenue, orders, active customers)."
    )
    channels: Annotated[tuple[Sentence, ...], Field(strict=False)] = Field(
        default=(), description="By what customers are reached: email, phone, letter, ..."
    )
    start: Date = Field(description="First day; month 0 counts from here.")
    end: Date = Field(description="Last day of the campaign, included.")
    measure_until: Date = Field(
        default_factory=lambda known: known.get("end", _NEVER),
        description="Last day of the follow-up, included; the campaign's end if absent. Longer "
        "shows purchases that were merely brought forward.",
    )
    as_of: Date = Field(
        default_factory=lambda known: known.get("start", _NEVER) - dt.timedelta(days=1),
        description="The day at whose end segments are taken; the day before start if absent.",
    )
    arms: dict[Slug, Percent] = Field(
        description="Share of each arm in percent, adding up to 100; holdout (1 to 90) receives "
        "nothing."
    )
    stratify_by: Annotated[tuple[Sentence, ...], Field(strict=False)] = Field(
        default=(),
        description="Features or attributes within which the draw keeps the shares exact.",
    )
    unit: Sentence = Field(
        default="customer_id",
        description="What is drawn: a customer, or an attribute such as company_id whose "
        "customers then all share one arm.",
    )
    consent: Sentence | None = Field(
        default=None, description="Attribute that must be true for a customer to be eligible."
    )
    exclude: Annotated[tuple[Sentence, ...], Field(strict=False)] = Field(
        default=(), description="Segments left out before the draw."
    )
    cooldown_days: Annotated[int, Field(ge=0, le=3650), whole(0, 3650)] = Field(
        default=0, description="Leave out who was in another campaign within so many days."
    )
    priority: Annotated[int, Field(ge=0, le=1000), whole(0, 1000)] = Field(
        default=50, description="Of campaigns that overlap, the highest number goes first."
    )
    enrolment: Enrolment = Field(
        default="once",
        description="once: one draw. rolling: each launch draws the newly eligible.",
    )
    alpha: Alpha = Field(
        default=0.05, description="Risk of a false alarm accepted over all looks together."
    )
    spending: Spending = Field(
        default="obrien-fleming",
        description="How that risk is spread over the looks: obrien-fleming (late), pocock "
        "(early) or power.",
    )
    costs: Costs = Field(default_factory=Costs, description="What it costs, as planned.")
    assignment: Assignment | None = Field(
        default=None, description="A split drawn elsewhere, to be measured only."
    )

    @classmethod
    def _findings(cls, raw: Raw) -> Iterable[Finding]:
        return checks.of_campaign(raw)

    @property
    def metric(self) -> Metric:
        """The primary metric, fixed by the objective: revenue, orders or active."""
        return _METRICS[self.objective]

    @property
    def treated_arms(self) -> tuple[str, ...]:
        """Names of the arms that receive something, in the order declared."""
        return tuple(arm for arm in self.arms if arm != HOLDOUT)

    @property
    def holdout_percent(self) -> float:
        """Share of the holdout, in percent."""
        return self.arms[HOLDOUT]

    def months(self, start: dt.date | None = None) -> tuple[str, ...]:
        """Calendar months from a wave's start (the campaign's by default) to `measure_until`.

        Returns:
            Labels "YYYY-MM" of campaign months 0, 1, ...; empty if the wave starts too late.
        """
        first = start or self.start
        last = self.measure_until
        low, high = (day.year * 12 + day.month - 1 for day in (first, last))
        return tuple(f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(low, high + 1))


class Declaration(Table):
    """A whole declaration, of one file or several."""

    schema_version: Literal[1] = Field(
        default=1, alias="schema", description="Version of this format: 1."
    )
    project: Project = Field(description="The company, and what holds throughout.")
    data: Data = Field(description="Where the data are.")
    segments: Segments = Field(default_factory=Segments, description="Groups of customers.")
    universal_holdout: UniversalHoldout | None = Field(
        default=None, description="Customers left out of every campaign."
    )
    campaigns: dict[Slug, Campaign] = Field(
        default_factory=dict, alias="campaign", description="The campaigns, by id."
    )

    @classmethod
    def _findings(cls, raw: Raw) -> Iterable[Finding]:
        return checks.of_declaration(raw)

    @property
    def attributes(self) -> frozenset[str]:
        """Names that rules, strata, units and consents use, features among them."""
        from loyalty_exp.declare.rules import parse_rule  # noqa: PLC0415  (heavy)

        known = self.data.customers.columns if self.data.customers is not None else ()
        named = {"customer_id"}
        for rule in self.segments.rules.values():
            named |= parse_rule(rule.where, None, known=known).columns
        for campaign in self.campaigns.values():
            named |= {campaign.unit, *campaign.stratify_by}
            named |= {campaign.consent} if campaign.consent is not None else set()
        return frozenset(named - {"customer_id"})
