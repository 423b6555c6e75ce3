"""The audience of a wave: who is in its segments, who is kept out and why, in which stratum.

Fills three temporary tables in the caller's transaction; assigns nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.features import FEATURES
from loyalty_exp.declare.frozen import FrozenPlan, month_of
from loyalty_exp.declare.models import Campaign
from loyalty_exp.errors import LaunchError
from loyalty_exp.store.attributes import present_attributes
from loyalty_exp.store.queries import audience as queries
from loyalty_exp.store.queries.audience import Exclusion, Population
from loyalty_exp.store.queries.draw import UNIVERSAL
from loyalty_exp.store.queries.erase import tombstones
from loyalty_exp.store.tables import customers_table, memberships

__all__ = [
    "COVARIATE_MONTHS",
    "Audience",
    "FeatureQuery",
    "contactable",
    "fill_audience",
    "population_of",
]

FeatureQuery = Callable[[dt.date, Collection[str]], sa.Select[Any]]
"""A row a customer, with the named features at a date."""

COVARIATE_MONTHS = 12
"""Calendar months before the start month whose revenue is the covariate."""


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience that stands ready in the temporary tables."""

    flow: tuple[tuple[str, int], ...]
    """Units at each step: ('segment', n), ('excluded: reason', n), ..., ('eligible', n)."""
    cuts: tuple[float, ...]
    """Quantiles .5, .8, .95 of the positive pre-period revenue; empty where there is none."""
    sizes: tuple[tuple[str, int], ...]
    """(stratum, units) in order of the stratum's label."""

    @property
    def units(self) -> int:
        """Eligible units."""
        return sum(size for _, size in self.sizes)


def population_of(connection: sa.Connection, campaign: Campaign) -> Population:
    """Customers and units of a campaign.

    Raises:
        LaunchError: the unit is no attribute of the customers at hand.
    """
    kinds = present_attributes(connection)
    table = customers_table(list(kinds.items()))
    if campaign.unit == "customer_id":
        return Population(table)
    if campaign.unit not in kinds:
        raise LaunchError(_unknown_attribute("unit", campaign.unit, kinds))
    return Population(table, campaign.unit)


def fill_audience(
    connection: sa.Connection,
    campaign_id: str,
    campaign: Campaign,
    *,
    wave_start: dt.date,
    as_of: dt.date,
    launched: Sequence[FrozenPlan],
    features: FeatureQuery,
    kept: sa.Table = memberships,
) -> Audience:
    """Fill the temporary tables `candidates`, `audience` and `strata`.

    Args:
        connection: a writing transaction; the segments' memberships at `as_of` stand in it.
        campaign_id: the campaign's id.
        campaign: its declaration.
        wave_start: first day of the wave.
        as_of: date of the memberships.
        launched: frozen plans of every wave launched so far; none to see what the declaration
            alone leaves.
        features: gives the customer features that strata name.
        kept: where the memberships stand.

    Raises:
        LaunchError: an attribute that the declaration names is not in the data.
    """
    population = population_of(connection, campaign)
    kinds = present_attributes(connection)
    exclusions = [
        *_declared_exclusions(campaign, as_of, population, kinds, kept),
        *_registry_exclusions(campaign_id, campaign, wave_start, launched),
    ]
    for table in (queries.candidates, queries.audience, queries.strata):
        table.drop(connection, checkfirst=True)
        table.create(connection)
    candidates = queries.candidates_of(campaign.segments, as_of, population, exclusions, kept)
    names = [column.name for column in queries.candidates.c]
    connection.execute(queries.candidates.insert().from_select(names, candidates))
    strata = [name for name in campaign.stratify_by if name != "revenue_band"]
    wanted = [name for name in strata if name in FEATURES]
    known = features(as_of, wanted).subquery("features") if wanted else None
    columns: list[tuple[str, sa.ColumnElement[object]]] = []
    for name in strata:
        if known is not None and name in wanted:
            columns.append((name, known.c[name]))
        elif name in kinds:
            columns.append((name, population.customers.c[name]))
        else:
            raise LaunchError(_unknown_attribute("stratify_by", name, kinds))
    start_month = month_of(wave_start.year, wave_start.month)
    stratified = queries.stratified(
        campaign.segments,
        population,
        columns,
        known,
        (start_month - COVARIATE_MONTHS, start_month),
        whole_unit=[rule.reason for rule in exclusions if rule.whole_unit],
    )
    names = [column.name for column in queries.audience.c]
    connection.execute(queries.audience.insert().from_select(names, stratified))
    return _read_audience(connection, exclusions)


def contactable(connection: sa.Connection, plan: FrozenPlan) -> sa.Select[Any]:
    """Customers of a wave's segments who may be contacted now: one column `customer`.

    A unit is drawn whole, but of its customers only those of the segments, with consent where it is
    asked for, belong on a contact list.

    Args:
        connection: an open store.
        plan: the wave.

    Raises:
        LaunchError: the consent is no longer among the attributes at hand.
    """
    members = queries.members_of(plan.declaration["segments"], plan.as_of)
    consent = plan.declaration.get("consent")
    if consent is None:
        return members
    kinds = present_attributes(connection)
    agreed = _consenting(customers_table(list(kinds.items())), kinds, consent)
    return members.where(memberships.c.customer.in_(agreed))


def _read_audience(connection: sa.Connection, exclusions: Sequence[Exclusion]) -> Audience:
    """What stands in the temporary tables, counted."""
    quantiles = connection.execute(queries.band_quantiles()).one()
    cuts = () if quantiles[0] is None else tuple(float(cut) for cut in quantiles)
    connection.execute(queries.count_strata(cuts))
    rows = connection.execute(queries.stratum_sizes())
    sizes = tuple((str(stratum), int(units)) for stratum, units in rows)
    reasons = (queries.NO_UNIT, *(each.reason for each in exclusions))
    ends = {int(place): int(n) for place, n in connection.execute(queries.flow(exclusions))}
    excluded = [(f"excluded: {reason}", ends[k]) for k, reason in enumerate(reasons) if k in ends]
    eligible = sum(size for _, size in sizes)
    flow = (("segment", sum(ends.values())), *excluded, ("eligible", eligible))
    return Audience(flow, cuts, sizes)


def _declared_exclusions(
    campaign: Campaign,
    as_of: dt.date,
    population: Population,
    kinds: Mapping[str, str],
    kept: sa.Table,
) -> list[Exclusion]:
    """Left out whatever other draws did: the forgotten, segments, missing consent."""
    found = [Exclusion("forgotten", tombstones(), whole_unit=False)]
    found += [
        Exclusion(f"in {name}", queries.members_of([name], as_of, kept))
        for name in campaign.exclude
    ]
    if campaign.consent is not None:
        consenting = _consenting(population.customers, kinds, campaign.consent)
        found.append(Exclusion("no consent", consenting, outside=True, whole_unit=False))
    return found


def _consenting(customers: sa.Table, kinds: Mapping[str, str], consent: str) -> sa.Select[Any]:
    """Customers for whom the attribute is true."""
    if consent not in kinds:
        raise LaunchError(_unknown_attribute("consent", consent, kinds))
    given = customers.c[consent]
    agreed = given if kinds[consent] == "boolean" else sa.cast(given, sa.Boolean)
    return sa.select(customers.c.customer).where(agreed.is_(sa.true()))


def _registry_exclusions(
    campaign_id: str, campaign: Campaign, start: dt.date, launched: Sequence[FrozenPlan]
) -> list[Exclusion]:
    """Left out because of other draws: universal holdout, earlier waves, cooldown, priority.

    A universal holdout draws from all customers anew; nothing else keeps anybody out of it.
    """
    if campaign_id == UNIVERSAL:
        return []
    found: list[Exclusion] = []
    waves = [
        plan.wave
        for plan in launched
        if plan.campaign == UNIVERSAL and plan.start <= campaign.end and plan.end >= start
    ]
    if waves:
        held = queries.held_out(UNIVERSAL, waves)
        found.append(Exclusion("universal holdout", held))
    if any(plan.campaign == campaign_id for plan in launched):
        found.append(Exclusion("drawn already", queries.enrolled_in([campaign_id])))
    others = [p for p in launched if p.campaign not in {campaign_id, UNIVERSAL}]
    since = start - dt.timedelta(days=campaign.cooldown_days)
    recent = {p.campaign for p in others if p.end >= since and p.start <= campaign.end}
    if campaign.cooldown_days and recent:
        treated = queries.enrolled_in(sorted(recent), treated_only=True)
        found.append(Exclusion("cooldown", treated))
    first = {
        p.campaign
        for p in others
        if p.end >= start
        and p.start <= campaign.end
        and int(p.declaration.get("priority", 50)) > campaign.priority
    }
    if first:
        drawn = queries.enrolled_in(sorted(first))
        found.append(Exclusion("in a campaign of higher priority", drawn))
    return found


def _unknown_attribute(field: str, name: str, kinds: Mapping[str, str]) -> str:
    known = ", ".join(kinds) or "none"
    return (
        f"{field} = {name!r}: no such attribute was loaded; attributes at hand: {known}. Of "
        "[data.customers] a load keeps what the declaration names: load again, or add the column"
    )
