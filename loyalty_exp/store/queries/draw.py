"""The draw of a wave: the arm of every unit of the audience, and the same again to verify.

Builds statements only. A unit's arm is a pure function of salt, unit, stratum and counts: units of
a stratum are ordered by md5(salt || ':' || unit), and the arms take them in their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import StratumCounts
from loyalty_exp.store.queries.audience import Population, audience, band_of, roster_of, strata
from loyalty_exp.store.queries.functions import bits_in_both, digest_number, digest_start
from loyalty_exp.store.tables import assignments, erasures

__all__ = [
    "UNIVERSAL",
    "Draw",
    "assign",
    "drawn_audience",
    "redrawn_differences",
    "roster_sum",
    "roster_units",
]

UNIVERSAL = "universal_holdout"
"""The campaign id under which universal holdouts are drawn."""

_END = {"start": 1 << 24, "digest": "", "unit": ""}
"""By what units are ordered, and where an arm ends that reaches to the last unit."""

_BINS = 0xFF0000
"""The first byte of a digest's start."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One wave's draw: everything its assignments are a function of, besides the audience."""

    campaign: str
    wave: int
    salt: str
    arms: tuple[str, ...]
    strata: tuple[StratumCounts, ...]


def drawn_audience(drawn: Draw, cuts: Sequence[float]) -> sa.Subquery:
    """The units of the audience with their segment, stratum and arm."""
    names = _names(drawn)
    named = strata.join(names, strata.c.stratum == names.c.stratum)
    keys = sa.select(names.c.place, strata.c.declared, strata.c.band).select_from(named).subquery()
    same = sa.and_(keys.c.declared == audience.c.declared, keys.c.band == band_of(cuts))
    units = sa.select(keys.c.place, audience.c.unit, audience.c.segment)
    return _armed(units.join_from(audience, keys, same), drawn)


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
    rows = (
        sa.select(
            assignments.c.unit,
            assignments.c.stratum,
            sa.func.min(assignments.c.arm).label("kept"),
            sa.func.max(assignments.c.arm).label("last"),
        )
        .where(assignments.c.campaign == drawn.campaign, assignments.c.wave == drawn.wave)
        .where(assignments.c.unit.not_in(sa.select(erasures.c.tombstone)))
        .group_by(assignments.c.unit, assignments.c.stratum)
        .subquery("rows")
    )
    names = _names(drawn)
    units = sa.select(names.c.place, rows.c.unit, rows.c.kept, rows.c.last)
    units = units.join_from(rows, names, rows.c.stratum == names.c.stratum)
    again = _armed(units, _with_nowhere(drawn))
    agreed = sa.select(sa.func.count()).where(
        again.c.arm == again.c.kept, again.c.arm == again.c.last
    )
    total = sa.select(sa.func.count()).select_from(rows)
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


def _armed(units: sa.Select[Any], drawn: Draw) -> sa.Subquery:
    """Units with the label of their stratum and their arm; the last arm takes all that is left.

    Nobody needs the place of every unit, only the unit at which each arm gives way to the next:
    the units of a stratum are counted by the first byte of their digest, and only those of the
    few bins in which that happens are put in order.

    Args:
        units: `unit` and `place`, its stratum's among those of the draw; other columns are kept.
        drawn: the recipe.
    """
    given = units.subquery("units")
    keyed = sa.select(given, digest_start(_salted(drawn, given.c.unit)).label("start")).cte("keyed")
    ends, names = _ends(keyed, drawn), _names(drawn)
    digest = sa.func.md5(_salted(drawn, keyed.c.unit))
    whens = []
    for arm, name in enumerate(drawn.arms[:-1]):
        start, after, unit = (ends.c[f"{part}{arm}"] for part in _END)
        earlier = sa.or_(digest < after, sa.and_(digest == after, keyed.c.unit < unit))
        whens += [(keyed.c.start < start, name), (sa.and_(keyed.c.start == start, earlier), name)]
    kept = [column for column in keyed.c if column.name not in {"place", "start"}]
    return (
        sa.select(*kept, names.c.stratum, sa.case(*whens, else_=drawn.arms[-1]).label("arm"))
        .join_from(keyed, ends, keyed.c.place == ends.c.place)
        .join(names, names.c.place == ends.c.place)
        .subquery("drawn")
    )


def _salted(drawn: Draw, unit: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """What a unit's digest is made of."""
    return sa.func.concat(f"{drawn.salt}:", unit)


def _ends(keyed: sa.CTE, drawn: Draw) -> sa.Subquery:
    """Where each arm but the last ends: `_END` of the first unit after it, a row a stratum."""
    shares = _shares(drawn)
    near = _near(keyed, shares, most=len(drawn.strata) * (len(drawn.arms) - 1))
    digest = sa.func.md5(_salted(drawn, near.c.unit)).label("digest")
    digested = sa.select(near, digest).subquery()
    within = sa.func.row_number().over(
        partition_by=(digested.c.place, digested.c.below),
        order_by=[digested.c[part] for part in _END],
    )
    ordered = sa.select(digested, (digested.c.below + within).label("rank")).subquery("ordered")
    columns = [
        sa.func.max(
            sa.case((shares.c.arm == arm, sa.func.coalesce(ordered.c[part], beyond)))
        ).label(f"{part}{arm}")
        for arm in range(len(drawn.arms) - 1)
        for part, beyond in _END.items()
    ]
    after = sa.and_(ordered.c.place == shares.c.place, ordered.c.rank == shares.c.upto + 1)
    found = (
        sa.select(shares.c.place, *columns)
        .select_from(shares.outerjoin(ordered, after))
        .group_by(shares.c.place)
    )
    return _at_most(found, len(drawn.strata)).subquery("ends")


def _near(keyed: sa.CTE, shares: sa.CTE, most: int) -> sa.Subquery:
    """The units of the bins that hold the first unit after an arm.

    Args:
        keyed: place, unit and start.
        shares: where the arms end.
        most: how many such bins there can be.

    Returns:
        With `below`: how many units of the stratum are in the bins before.
    """
    bin_ = bits_in_both(keyed.c.start, _BINS).label("bin")
    cells = sa.select(keyed.c.place, bin_).subquery()
    counted = sa.select(cells, sa.func.count().label("n")).group_by(*cells.c).subquery()
    total = sa.func.sum(counted.c.n).over(partition_by=counted.c.place, order_by=counted.c.bin)
    upto = sa.cast(total, sa.BigInteger)
    bins = sa.select(counted, (upto - counted.c.n).label("below"), upto.label("upto")).subquery()
    holds = sa.and_(
        bins.c.place == shares.c.place,
        bins.c.below <= shares.c.upto,
        bins.c.upto > shares.c.upto,
    )
    held = sa.select(bins).where(sa.exists().select_from(shares).where(holds))
    split = _at_most(held, most).subquery()
    same = sa.and_(keyed.c.place == split.c.place, bin_ == split.c.bin)
    near = sa.select(keyed.c.place, keyed.c.unit, keyed.c.start, split.c.below)
    return near.join_from(keyed, split, same).subquery("near")


def _at_most(rows: sa.Select[Any], most: int) -> sa.Select[Any]:
    """Rows that are no more than so many: a planner that cannot know it joins them as the many."""
    return rows.limit(sa.literal_column(str(most)))


def _names(drawn: Draw) -> sa.FromClause:
    """The strata of a draw by place: numbers are joined and counted cheaper than labels."""
    columns = (sa.column("place", sa.Integer), sa.column("stratum", sa.Text))
    data = [(place, row.stratum) for place, row in enumerate(drawn.strata)]
    return sa.select(sa.values(*columns, name="named").data(data)).subquery("names")


def _shares(drawn: Draw) -> sa.CTE:
    """How many units of each stratum come up to the end of each arm but the last."""
    columns = [sa.column(name, sa.Integer) for name in ("place", "arm", "upto")]
    data = [
        (place, arm, upto)
        for place, row in enumerate(drawn.strata)
        for arm, upto in enumerate(itertools.accumulate(row.counts[:-1]))
    ]
    return sa.select(sa.values(*columns, name="listed").data(data)).cte("shares")
