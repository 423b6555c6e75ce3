"""The audience of a wave: who may be drawn, who is kept out and why, and in which stratum.

Builds statements only, over temporary tables that `design.audience` fills one after the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import quantile
from loyalty_exp.store.tables import assignments, customer_month, memberships

__all__ = [
    "ELIGIBLE",
    "NO_UNIT",
    "Exclusion",
    "Population",
    "audience",
    "band_of",
    "band_quantiles",
    "candidates",
    "candidates_of",
    "count_strata",
    "enrolled_in",
    "flow",
    "held_out",
    "in_strata",
    "members_of",
    "roster_of",
    "strata",
    "stratified",
    "stratum_sizes",
]

ELIGIBLE = "eligible"
NO_UNIT = "no unit"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A reason that keeps customers out: those of a set, or all but those of a set."""

    reason: str
    customers: sa.Select[Any]
    """One column of customers."""
    outside: bool = False
    """Whether it is the customers outside the set who are kept out."""
    whole_unit: bool = True
    """Whether one such customer keeps its whole unit out."""


@dataclass(frozen=True, slots=True)
class Population:
    """The customers table and the attribute that names the unit, None for the customer."""

    customers: sa.Table
    unit: str | None = None

    @property
    def identity(self) -> sa.ColumnElement[str] | None:
        """The unit's column as text, or None when the customer is the unit."""
        return None if self.unit is None else sa.cast(self.customers.c[self.unit], sa.Text)


candidates = sa.Table(
    "candidates",
    sa.MetaData(),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("unit", sa.Text),
    sa.Column("segment", sa.Integer, nullable=False, comment="place among the declared segments"),
    sa.Column("reason", sa.Text, nullable=False, comment="'eligible', or why not"),
    prefixes=["TEMPORARY"],
)

audience = sa.Table(
    "audience",
    sa.MetaData(),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("declared", sa.Text, nullable=False, comment="segment if several, declared strata"),
    sa.Column("history", sa.Double, nullable=False, comment="pre-period revenue"),
    prefixes=["TEMPORARY"],
)

strata = sa.Table(
    "strata",
    sa.MetaData(),
    sa.Column("declared", sa.Text, nullable=False),
    sa.Column("band", sa.Integer, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("stratum", sa.Text, nullable=False, comment="label of both"),
    prefixes=["TEMPORARY"],
)


def candidates_of(
    segments: Sequence[str],
    as_of: dt.date,
    population: Population,
    exclusions: Sequence[Exclusion],
    kept: sa.Table = memberships,
) -> sa.Select[Any]:
    """Customers of the segments with their unit and the first reason that keeps them out.

    Args:
        segments: declared segments; a customer belongs to the first that holds it.
        as_of: date of the memberships.
        population: customers and units; a customer without a row has no attributes.
        exclusions: in the order in which they are counted.
        kept: where the dated memberships stand.

    Returns:
        A statement with the columns of `candidates`.
    """
    places = {name: place for place, name in enumerate(segments)}
    place = sa.case(places, value=kept.c.segment)
    member = (
        sa.select(kept.c.customer, sa.func.min(place).label("segment"))
        .where(kept.c.as_of == as_of, kept.c.segment.in_(segments))
        .group_by(kept.c.customer)
        .subquery("member")
    )
    conditions: list[tuple[sa.ColumnElement[bool], str]] = []
    unit: sa.ColumnElement[Any] = member.c.customer
    if population.identity is not None:
        unit = population.identity
        conditions.append((sa.func.coalesce(unit, "") == "", NO_UNIT))
    for exclusion in exclusions:
        inside = member.c.customer.in_(exclusion.customers)
        conditions.append((~inside if exclusion.outside else inside, exclusion.reason))
    reason = sa.case(*conditions, else_=ELIGIBLE) if conditions else sa.literal(ELIGIBLE)
    table = population.customers
    joined = member.outerjoin(table, member.c.customer == table.c.customer)
    return sa.select(
        member.c.customer, unit.label("unit"), member.c.segment, reason.label("reason")
    ).select_from(joined)


def held_out(campaign: str, waves: Sequence[int]) -> sa.Select[Any]:
    """Customers that these waves of a campaign hold out."""
    return sa.select(assignments.c.customer).where(
        assignments.c.campaign == campaign,
        assignments.c.wave.in_(waves),
        assignments.c.arm == "holdout",
    )


def enrolled_in(campaigns: Sequence[str], *, treated_only: bool = False) -> sa.Select[Any]:
    """Customers drawn by a wave of these campaigns, into any arm or a treated one."""
    drawn = sa.select(assignments.c.customer).where(assignments.c.campaign.in_(campaigns))
    return drawn.where(assignments.c.arm != "holdout") if treated_only else drawn


def members_of(
    segments: Sequence[str], as_of: dt.date, kept: sa.Table = memberships
) -> sa.Select[Any]:
    """Customers of these segments at a date."""
    return sa.select(kept.c.customer).where(kept.c.as_of == as_of, kept.c.segment.in_(segments))


def flow(exclusions: Sequence[Exclusion]) -> sa.Select[Any]:
    """How many units end where: rows of (place, units), each unit once.

    The place is that of the reason in (NO_UNIT, *exclusions, ELIGIBLE). A unit is kept out by a
    reason that bars it whole; else it is eligible when one of its customers is; else it is kept out
    by the first reason of its customers.

    Args:
        exclusions: those that `candidates` was filled with, in their order.
    """
    reasons = (NO_UNIT, *(each.reason for each in exclusions), ELIGIBLE)
    barring = [each.reason for each in exclusions if each.whole_unit]
    place = sa.case({reason: k for k, reason in enumerate(reasons)}, value=candidates.c.reason)
    no_unit = sa.func.coalesce(candidates.c.unit, "") == ""
    keys = (
        sa.func.coalesce(candidates.c.unit, "").label("unit"),
        sa.case((no_unit, candidates.c.customer), else_="").label("alone"),
    )
    inner = (
        sa.select(
            *keys,
            sa.func.min(sa.case((candidates.c.reason.in_(barring), place))).label("barred"),
            sa.func.max(sa.case((candidates.c.reason == ELIGIBLE, 1), else_=0)).label("some"),
            sa.func.min(place).label("first"),
        )
        .group_by(*keys)
        .subquery("units")
    )
    eligible = sa.case((inner.c.some == 1, len(reasons) - 1), else_=inner.c.first)
    ends = sa.select(sa.func.coalesce(inner.c.barred, eligible).label("place")).subquery("ends")
    return sa.select(ends.c.place, sa.func.count()).group_by(ends.c.place).order_by(ends.c.place)


def stratified(
    segments: Sequence[str],
    population: Population,
    strata: Sequence[tuple[str, sa.ColumnElement[Any]]],
    features: sa.Subquery | None,
    months: tuple[int, int],
    *,
    whole_unit: Sequence[str],
) -> sa.Select[Any]:
    """The eligible units: segment, strata but for the revenue band, and pre-period revenue.

    Args:
        segments: declared segments, in order.
        population: customers and units.
        strata: (name, column) of the declared strata: columns of the customers or `features`.
        features: customer features the strata need, one row a customer, or None.
        months: first month and the month after the last of the pre-period, as indices.
        whole_unit: reasons that keep a whole unit out when one of its customers has it.
    """
    some = sa.func.max(sa.case((candidates.c.reason == ELIGIBLE, 1), else_=0)) == 1
    none_barred = sa.func.max(sa.case((candidates.c.reason.in_(whole_unit), 1), else_=0)) == 0
    units = (
        sa.select(candidates.c.unit, sa.func.min(candidates.c.segment).label("segment"))
        .group_by(candidates.c.unit)
        .having(sa.and_(some, none_barred))
        .subquery("units")
    )
    roster = roster_of(units, population)
    spent = (
        sa.select(customer_month.c.customer, sa.func.sum(customer_month.c.revenue).label("revenue"))
        .where(customer_month.c.month >= months[0], customer_month.c.month < months[1])
        .group_by(customer_month.c.customer)
        .subquery("spent")
    )
    table = population.customers
    joined = roster.outerjoin(spent, roster.c.customer == spent.c.customer)
    joined = joined.outerjoin(table, roster.c.customer == table.c.customer)
    if features is not None:
        joined = joined.outerjoin(features, roster.c.customer == features.c.customer)
    segment = sa.case(dict(enumerate(segments)), value=sa.func.min(roster.c.segment))
    labels: list[Any] = ["segment=", segment] if len(segments) > 1 else []
    for name, column in strata:
        known = sa.func.min(sa.func.coalesce(sa.cast(column, sa.Text), "unknown"))
        labels += [f"{'|' if labels else ''}{name}=", known]
    history = sa.cast(sa.func.coalesce(sa.func.sum(spent.c.revenue), 0), sa.Double)
    return (
        sa.select(
            roster.c.unit,
            segment.label("segment"),
            (sa.func.concat(*labels) if labels else sa.literal("")).label("declared"),
            history.label("history"),
        )
        .select_from(joined)
        .group_by(roster.c.unit)
    )


def roster_of(units: sa.FromClause, population: Population) -> sa.Subquery:
    """The columns of `units` with every customer of each unit."""
    if population.identity is None:
        return sa.select(units, units.c.unit.label("customer")).subquery("roster")
    table = population.customers
    return (
        sa.select(units, table.c.customer)
        .join_from(units, table, population.identity == units.c.unit)
        .subquery("roster")
    )


def band_quantiles() -> sa.Select[Any]:
    """The .5, .8 and .95 quantiles of the positive pre-period revenue of the audience."""
    found: list[sa.ColumnElement[Any]] = [
        quantile(audience.c.history, (0.5, 0.8, 0.95), place) for place in range(3)
    ]
    return sa.select(*found).where(audience.c.history > 0)


def band_of(cuts: Sequence[float]) -> sa.ColumnElement[int]:
    """Number of a unit's revenue band: 0 without revenue, then by the cuts."""
    history = audience.c.history
    limits = [(history <= cut, place) for place, cut in enumerate(cuts, start=1)]
    return sa.case((history <= 0, 0), *limits, else_=len(cuts) + 1)


def count_strata(cuts: Sequence[float]) -> sa.Insert:
    """Fill `strata` from the audience."""
    rows = sa.select(audience.c.declared, band_of(cuts).label("band")).subquery("rows")
    counted = sa.select(rows, sa.func.count().label("units")).group_by(*rows.c).subquery("counted")
    declared = sa.case(
        (counted.c.declared == "", ""), else_=sa.func.concat("|", counted.c.declared)
    )
    label = sa.func.concat("band=", sa.cast(counted.c.band, sa.Text), declared)
    names = [column.name for column in strata.c]
    return strata.insert().from_select(names, sa.select(counted, label))


def stratum_sizes() -> sa.Select[Any]:
    """(stratum, units), in order of the stratum's label."""
    return sa.select(strata.c.stratum, strata.c.units).order_by(strata.c.stratum)


def in_strata(cuts: Sequence[float]) -> sa.Join:
    """The audience, each unit beside its row of `strata`."""
    same = sa.and_(strata.c.declared == audience.c.declared, strata.c.band == band_of(cuts))
    return audience.join(strata, same)
