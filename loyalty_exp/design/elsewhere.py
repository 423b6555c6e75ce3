"""A split that a CRM or an agency has drawn: read, judged and frozen as the wave's roster.

Draws nobody: the randomization of such a split can be tested, never verified.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan, StratumCounts
from loyalty_exp.declare.models import HOLDOUT, Assignment, Campaign, Project
from loyalty_exp.design.audience import population_of
from loyalty_exp.design.draw import freeze_wave
from loyalty_exp.errors import DataError, LaunchError
from loyalty_exp.store.columns import read_formula
from loyalty_exp.store.etl import Staged, connect, stage
from loyalty_exp.store.merging import arrive, leave
from loyalty_exp.store.queries import split as queries
from loyalty_exp.store.queries.draw import Draw
from loyalty_exp.store.queries.load import Field, Plan
from loyalty_exp.store.readers import Source, open_source
from loyalty_exp.store.scratch import working_folder
from loyalty_exp.store.tables import loads

__all__ = ["freeze_split"]

WHAT = "assignment"
_KINDS = {"unit": "id", "arm": "text", "date": "day"}


def freeze_split(
    connection: sa.Connection,
    campaign_id: str,
    campaign: Campaign,
    *,
    project: Project,
    base: Path,
    rules: Mapping[str, str],
    tiers: Mapping[str, Any],
    known_through: dt.date,
    now: dt.datetime,
    version: str,
) -> FrozenPlan:
    """Read a split drawn elsewhere and freeze it as the campaign's only wave.

    Every unit counts from the campaign's start, whenever it entered. Units that cannot be
    measured are set aside and counted in the plan's flow.

    Args:
        connection: a writing transaction in which the memberships at `as_of` stand.
        campaign_id: the campaign's id.
        campaign: its declaration, with an assignment.
        project: the project's declaration.
        base: folder that the source's name starts from.
        rules: the rule of each declared segment, as text.
        tiers: where gold and silver begin, where the draw depends on it.
        known_through: last day of data.
        now: time of the launch, UTC.
        version: version of this package.

    Raises:
        DataError: the source cannot be read, or too many of its rows are bad.
        LaunchError: an arm has no unit that can be measured.
    """
    declared = campaign.assignment
    if declared is None:
        raise LaunchError(f"{campaign_id} declares no assignment drawn elsewhere")
    with working_folder() as folder:
        source, staged, plan = _read(declared, base, folder, project)
        _judge(connection, campaign, staged, plan, folder)
    steps, by_arm, others = _counted(connection)
    population = population_of(connection, campaign)
    connection.execute(
        queries.split_roster(campaign_id, 0, population, campaign.segments, campaign.as_of)
    )
    queries.judged.drop(connection)
    _enter(connection, source, staged, now)
    drawn = _drawn(campaign_id, campaign, by_arm, steps, others)
    return freeze_wave(
        connection,
        drawn,
        campaign,
        project=project,
        start=campaign.start,
        as_of=campaign.as_of,
        rules=rules,
        tiers=tiers,
        known_through=known_through,
        cuts=(),
        flow=steps,
        now=now,
        version=version,
    )


def _read(
    declared: Assignment, base: Path, folder: Path, project: Project
) -> tuple[Source, Staged, Plan]:
    """Read the source into a file of units, arms and dates."""
    with contextlib.closing(connect(folder)) as engine:
        source = open_source(declared, base, folder, engine)
        columns = {str(name): column for name, column in declared.columns.items()}
        fields = []
        for name, kind in _KINDS.items():
            if name == "date" and name not in columns and source.header.find(name) is None:
                continue
            formula = read_formula(columns.get(name, name), source.header, f"{name} of the split")
            if formula.tree is not None:
                raise DataError(f"{source.name}: {name} must be one column")
            fields.append(Field(name, kind, formula))
        zone = project.timezone
        plan = Plan(WHAT, tuple(fields), zone, zone, project.currency)
        staged = stage(engine, source, plan, folder)
    allowed = declared.max_rejected_percent
    if staged.rejected * 100 > allowed * staged.read:
        reasons = "; ".join(
            f"{each.field}: {each.reason} ({each.rows:,} rows, first on line {each.first_line})"
            for each in staged.reasons[:5]
        )
        needed = min(100, math.ceil(100 * staged.rejected / staged.read))
        raise DataError(
            f"{source.name}: {staged.rejected:,} of {staged.read:,} rows cannot be used: {reasons};"
            f" mend the file, or set max_rejected_percent = {needed} for the assignment"
        )
    return source, staged, plan


def _judge(
    connection: sa.Connection, campaign: Campaign, staged: Staged, plan: Plan, folder: Path
) -> None:
    """Fill the temporary table of judged units."""
    kinds: dict[str, sa.types.TypeEngine[Any]] = {"date": sa.Date()}
    columns: list[sa.Column[Any]] = [
        sa.Column(field.name, kinds.get(field.name, sa.Text())) for field in plan.fields
    ]
    incoming = arrive(connection, "incoming_split", columns, staged.incoming, folder)
    rows = _in_our_words(incoming, campaign)
    queries.judged.drop(connection, checkfirst=True)
    queries.judged.create(connection)
    verdicts = queries.judge_split(
        rows,
        population_of(connection, campaign),
        tuple(campaign.arms),
        as_of=campaign.as_of,
        days=(campaign.start, campaign.end),
    )
    names = [column.name for column in queries.judged.c]
    connection.execute(queries.judged.insert().from_select(names, verdicts))
    leave(connection, incoming)


def _in_our_words(incoming: sa.Table, campaign: Campaign) -> sa.Subquery:
    """The rows with our names of the arms, and a day where the source tells none."""
    declared = campaign.assignment.arms if campaign.assignment is not None else {}
    words = {word: sa.literal(arm) for arm, word in declared.items()}
    arm: sa.ColumnElement[Any] = incoming.c.arm
    if words:
        arm = sa.case(words, value=arm, else_=arm)
    start = sa.literal(campaign.start, sa.Date)
    day: sa.ColumnElement[Any] = incoming.c.date if "date" in incoming.c else start
    return sa.select(incoming.c.unit, arm.label("arm"), day.label("date")).subquery("worded")


def _counted(
    connection: sa.Connection,
) -> tuple[list[tuple[str, int]], dict[str, int], dict[str, int]]:
    """The flow up to the eligible, measured units by arm, and units by words that are no arm."""
    aside: dict[str, int] = {}
    by_arm: dict[str, int] = {}
    others: dict[str, int] = {}
    for verdict, arm, units in connection.execute(queries.count_split()):
        if verdict == queries.MEASURED:
            by_arm[arm] = int(units)
        else:
            aside[verdict] = aside.get(verdict, 0) + int(units)
            if verdict == queries.UNDECLARED:
                others[str(arm)] = int(units)
    eligible = sum(by_arm.values())
    steps = [(queries.ELSEWHERE, eligible + sum(aside.values()))]
    steps += [(f"excluded: {reason}", units) for reason, units in aside.items()]
    return [*steps, ("eligible", eligible)], by_arm, others


def _drawn(
    campaign_id: str,
    campaign: Campaign,
    by_arm: Mapping[str, int],
    steps: list[tuple[str, int]],
    others: Mapping[str, int],
) -> Draw:
    """The counts as one stratum.

    Raises:
        LaunchError: an arm is empty.
    """
    arms = (HOLDOUT, *campaign.treated_arms)
    counts = tuple(by_arm.get(arm, 0) for arm in arms)
    for arm, units in zip(arms, counts, strict=True):
        if not units:
            found = "; ".join(f"{step} {count}" for step, count in steps)
            text = f"{campaign_id}: the split has no unit in arm {arm}: {found}"
            if others:
                listed = ", ".join(f"{word!r} ({n:,})" for word, n in [*others.items()][:5])
                text += (
                    f"; words of the source that are no arm: {listed}; say which is which: "
                    f'arms = {{ {arm} = "{min(others, key=others.__getitem__)}" }} under '
                    f"[campaign.{campaign_id}.assignment]"
                )
            raise LaunchError(text)
    stratum = StratumCounts(queries.ELSEWHERE, sum(counts), counts)
    return Draw(campaign_id, 0, "", arms, (stratum,))


def _enter(connection: sa.Connection, source: Source, staged: Staged, now: dt.datetime) -> None:
    """Note in the registry what was read."""
    connection.execute(
        loads.insert().values(
            load_id=source.digest,
            what=WHAT,
            source=source.name,
            digest=source.digest,
            loaded_at=now,
            rows_read=staged.read,
            rows_loaded=staged.staged,
            rows_rejected=staged.rejected,
            rows_ignored=staged.ignored,
        )
    )
