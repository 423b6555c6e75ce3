"""The audience and the draw: who may enter a wave, in which stratum, and in which arm.

Builds statements only. A unit's arm is a pure function of salt, unit, stratum and counts: units of
a stratum are ordered by md5(salt || ':' || unit), and the arms take them in their order.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import StratumCounts
from loyalty_exp.store.queries.functions import digest_number, quantile
from loyalty_exp.store.tables import assignments, customer_month, erasures, memberships

__all__ = [
    "ELIGIBLE",
    "NO_UNIT",
    "UNIVERSAL",
    "Draw",
    "Exclusion",
    "Population",
    "assign",
    "audience",
    "band_quantiles",
    "candidates",
    "candidates_of",
    "count_strata",
    "drawn_audience",
    "enrolled_in",
    "flow",
    "held_out",
    "in_strata",
    "members_of",
    "redrawn_differences",
    "roster_of",
    "roster_sum",
    "roster_units",
    "strata",
    "stratified",
    "stratum_sizes",
]

UNIVERSAL = "universal_holdout"
"""The campaign id under which universal holdouts are drawn."""

ELIGIBLE = "eligible"
NO_UNIT = "no unit"

AFTER_ALL = "g"
"""A text after every hexadecimal number."""


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


@dataclass(frozen=True, slots=True)
class Draw:
    """One wave's draw: everything its assignments are a function of, besides the audience."""

    campaign: str
    wave: int
    salt: str
    arms: tuple[str, ...]
    strata: tuple[StratumCounts, ...]


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


def _band(cuts: Sequence[float]) -> sa.ColumnElement[int]:
    """Number of a unit's revenue band: 0 without revenue, then by the cuts."""
    history = audience.c.history
    limits = [(history <= cut, place) for place, cut in enumerate(cuts, start=1)]
    return sa.case((history <= 0, 0), *limits, else_=len(cuts) + 1)


def count_strata(cuts: Sequence[float]) -> sa.Insert:
    """Fill `strata` from the audience."""
    rows = sa.select(audience.c.declared, _band(cuts).label("band")).subquery("rows")
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
    same = sa.and_(strata.c.declared == audience.c.declared, strata.c.band == _band(cuts))
    return audience.join(strata, same)


def drawn_audience(drawn: Draw, cuts: Sequence[float]) -> sa.Subquery:
    """The units of the audience with their segment, stratum and arm."""
    units = sa.select(
        audience.c.unit, audience.c.segment, audience.c.declared, _band(cuts).label("band")
    )
    listed = _listed(drawn)
    named = strata.join(listed, strata.c.stratum == listed.c.stratum)
    keys = (strata.c.declared, strata.c.band)
    shares = sa.select(*keys, *listed.c).select_from(named).cte("shares")
    return _armed(units.subquery("units"), shares, drawn, [key.name for key in keys])


def assign(drawn: Draw, cuts: Sequence[float], population: Population) -> sa.Insert:
    """Insert the assignments of the audience: a row a customer, all of a unit in its arm."""
    roster = roster_of(drawn_audience(drawn, cuts), population)
    selected = sa.select(
        sa.literal(drawn.campaign),
        sa.literal(drawn.wave),
        *(roster.c[name] for name in ("unit", "customer", "segment", "stratum", "arm")),
    )
    return assignments.insert().from_select([column.name for column in assignments.c], selected)


def redrawn_differences(drawn: Draw) -> sa.Select[Any]:
    """How many units of the roster the recipe puts elsewhere, or nowhere.

    Forgotten units have no id to draw by: `drawn` counts none of them.
    """
    units = (
        sa.select(
            assignments.c.unit,
            assignments.c.stratum,
            sa.func.min(assignments.c.arm).label("kept"),
            sa.func.count(sa.distinct(assignments.c.arm)).label("arms"),
        )
        .where(assignments.c.campaign == drawn.campaign, assignments.c.wave == drawn.wave)
        .where(assignments.c.unit.not_in(sa.select(erasures.c.tombstone)))
        .group_by(assignments.c.unit, assignments.c.stratum)
        .subquery("units")
    )
    recipe = _with_nowhere(drawn)
    shares = sa.select(_listed(recipe)).cte("shares")
    again = _armed(units, shares, recipe, ["stratum"])
    agreed = sa.select(sa.func.count()).where(again.c.arm == again.c.kept, again.c.arms == 1)
    total = sa.select(sa.func.count()).select_from(units)
    return sa.select(total.scalar_subquery() - agreed.scalar_subquery())


def _with_nowhere(drawn: Draw) -> Draw:
    """The draw with an arm after the last, for units beyond the counts."""
    strata = tuple(replace(row, counts=(*row.counts, 0)) for row in drawn.strata)
    return replace(drawn, arms=(*drawn.arms, ""), strata=strata)


def roster_units(campaign: str, wave: int) -> sa.Select[Any]:
    """(stratum, arm, units) of a wave's roster."""
    return (
        sa.select(
            assignments.c.stratum,
            assignments.c.arm,
            sa.func.count(sa.distinct(assignments.c.unit)),
        )
        .where(assignments.c.campaign == campaign, assignments.c.wave == wave)
        .group_by(assignments.c.stratum, assignments.c.arm)
    )


def roster_sum(campaign: str, wave: int) -> sa.Select[Any]:
    """Sum over a wave's roster of the digest of each row, as text (statement of one value)."""
    row = sa.func.concat(
        assignments.c.unit,
        ":",
        assignments.c.customer,
        ":",
        assignments.c.stratum,
        ":",
        assignments.c.arm,
    )
    total = sa.func.sum(sa.cast(digest_number(row), sa.Numeric(38, 0)))
    return sa.select(sa.cast(sa.func.coalesce(total, 0), sa.Text)).where(
        assignments.c.campaign == campaign, assignments.c.wave == wave
    )


def _armed(units: sa.FromClause, shares: sa.CTE, drawn: Draw, keys: Sequence[str]) -> sa.Subquery:
    """Units with the label of their stratum and their arm; the last arm takes all that is left.

    Nobody needs the place of every unit, only the unit at which each arm gives way to the next:
    the units of a stratum are counted by the first digits of their digest, and only those of the
    few bins in which that happens are put in order.

    Args:
        units: with the keys.
        shares: keys, stratum, arm and `upto`: how many units come up to the end of the arm.
        drawn: the recipe.
        keys: columns that tell the strata apart; a label of its own costs as much as the digest.
    """
    digest = sa.func.md5(sa.func.concat(f"{drawn.salt}:", units.c.unit)).label("digest")
    keyed = sa.select(units, digest).cte("keyed")
    ends = _ends(keyed, shares, keys, len(drawn.arms) - 1)
    whens = []
    for place, arm in enumerate(drawn.arms[:-1]):
        after, unit = ends.c[f"digest{place}"], ends.c[f"unit{place}"]
        earlier = sa.or_(keyed.c.digest < after, keyed.c.unit < unit)
        whens.append((sa.and_(keyed.c.digest <= after, earlier), arm))
    kept = [column for column in keyed.c if column.name not in {*keys, "digest"}]
    return (
        sa.select(*kept, ends.c.stratum, sa.case(*whens, else_=drawn.arms[-1]).label("arm"))
        .join_from(keyed, ends, _same(keyed, ends, keys))
        .subquery("drawn")
    )


def _same(left: sa.FromClause, right: sa.FromClause, keys: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(left.c[key] == right.c[key] for key in keys))


def _ends(keyed: sa.CTE, shares: sa.CTE, keys: Sequence[str], arms: int) -> sa.Subquery:
    """Digest and unit of the first unit after so many arms, a row a stratum.

    An arm that reaches to the last unit ends at AFTER_ALL.
    """
    near = _narrowed(_narrowed(keyed, shares, keys, 1), shares, keys, 2)
    within = sa.func.row_number().over(
        partition_by=[*(near.c[key] for key in keys), near.c.below],
        order_by=(near.c.digest, near.c.unit),
    )
    placed = sa.select(near, (near.c.below + within).label("place")).subquery("placed")
    digest = sa.func.coalesce(placed.c.digest, AFTER_ALL, type_=sa.Text)
    unit = sa.func.coalesce(placed.c.unit, "", type_=sa.Text)
    columns = [
        sa.func.max(sa.case((shares.c.arm == place, value))).label(f"{name}{place}")
        for place in range(arms)
        for name, value in (("digest", digest), ("unit", unit))
    ]
    after = sa.and_(_same(placed, shares, keys), placed.c.place == shares.c.upto + 1)
    strata = [shares.c[name] for name in dict.fromkeys((*keys, "stratum"))]
    return (
        sa.select(*strata, *columns)
        .select_from(shares.outerjoin(placed, after))
        .group_by(*strata)
        .subquery("ends")
    )


def _narrowed(rows: sa.CTE, shares: sa.CTE, keys: Sequence[str], digit: int) -> sa.CTE:
    """The rows of the bins, by one digit, that hold the first unit after an arm.

    Args:
        rows: keys, unit, digest and, unless they are whole strata, `below`: how many units of the
            stratum come before all rows with the same keys and below.
        shares: where the arms end.
        keys: columns that tell the strata apart.
        digit: the place of the digit in the digest, from 1.
    """
    group = [name for name in (*keys, "below") if name in rows.c]
    rest = rows.c.digest if digit == 1 else sa.func.substr(rows.c.digest, digit)
    bin_ = sa.func.ascii(rest).label("bin")
    cells = sa.select(*(rows.c[name] for name in group), bin_).subquery()
    counted = sa.select(cells, sa.func.count().label("n")).group_by(*cells.c).subquery()
    total = sa.func.sum(counted.c.n).over(
        partition_by=[counted.c[name] for name in group], order_by=counted.c.bin
    )
    upto = sa.cast(counted.c.get("below", sa.literal_column("0")) + total, sa.BigInteger)
    bins = sa.select(counted, (upto - counted.c.n).label("start"), upto.label("upto")).subquery()
    holds = sa.and_(
        _same(bins, shares, keys), bins.c.start <= shares.c.upto, bins.c.upto > shares.c.upto
    )
    split = sa.select(bins).where(sa.exists().select_from(shares).where(holds)).subquery()
    kept = [rows.c[name] for name in (*keys, "unit", "digest")]
    return (
        sa.select(*kept, split.c.start.label("below"))
        .join_from(rows, split, sa.and_(_same(rows, split, group), bin_ == split.c.bin))
        .cte(f"near{digit}")
    )


def _listed(drawn: Draw) -> sa.FromClause:
    """How many units of each stratum come up to the end of each arm but the last."""
    columns = (
        sa.column("stratum", sa.Text),
        sa.column("arm", sa.Integer),
        sa.column("upto", sa.Integer),
    )
    data = [
        (row.stratum, arm, upto)
        for row in drawn.strata
        for arm, upto in enumerate(itertools.accumulate(row.counts[:-1]))
    ]
    return sa.select(sa.values(*columns, name="listed").data(data)).subquery("listed")
