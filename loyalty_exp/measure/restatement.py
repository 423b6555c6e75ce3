"""Closed months as they were shown and as they are now: what late data changed after the fact.

A figure is kept when a report first shows it, and again whenever a report shows another one. A
month that was shown with two values stays on the page with both. A verdict is kept when a report
first shows it, and stays: data that come later are told beside it.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.measure.effects import CUMULATIVE
from loyalty_exp.measure.results import (
    ArmResult,
    CampaignResult,
    Check,
    CheckStatus,
    EffectRow,
    Estimate,
    Restatement,
    Verdict,
    VerdictKind,
)
from loyalty_exp.store.queries.publish import shown_figures

__all__ = ["restated", "to_publish"]

NEAR = 1e-9
"""Two runs may differ in the last bits of a sum, relative to the figure."""

LATE = "late data"
JOINED = "customers joined since: the effect is now per customer of a longer list"

FIGURES = (
    "n_treated",
    "n_holdout",
    "mean_treated",
    "mean_holdout",
    "effect_per_customer",
    "ci_lower",
    "ci_upper",
    "total_effect",
)
"""What is kept of a row."""

VERDICT = "verdict"
"""In place of a metric: the row of a verdict."""
SHOWN_BEFORE = (
    "the data have changed since it was published: as they are now, they would not decide"
)

Key = tuple[str, str, str, str, str, str]
"""Wave, segment, arm, against, metric, month."""
Shown = tuple[dt.datetime, Mapping[str, Any]]


def restated(connection: sa.Connection, result: CampaignResult) -> CampaignResult:
    """A result with its restatements, the check of them, and the verdicts that were shown.

    Args:
        connection: an open store.
        result: the measurement; a check named restatement is replaced.
    """
    history = _history(connection, result.campaign)
    found = tuple(
        changed
        for key, row in _closed_rows(result).items()
        if key in history and (changed := _restatement(key, row, history[key])) is not None
    )
    checks = tuple(check for check in result.checks if check.name != "restatement")
    return replace(
        result,
        restatements=found,
        checks=(*checks, _check(found, shown=bool(history))),
        arms=tuple(_with_shown_verdict(result, arm, history) for arm in result.arms),
    )


def to_publish(
    connection: sa.Connection, result: CampaignResult, now: dt.datetime
) -> list[dict[str, Any]]:
    """Rows for the table `published`: closed figures never shown, or now shown otherwise.

    And the first verdict of each arm.

    Args:
        connection: an open store.
        result: what is shown.
        now: when, UTC.
    """
    history = _history(connection, result.campaign)
    at = now.astimezone(dt.UTC).replace(tzinfo=None)
    rows = []
    shown = {
        key: {name: getattr(row, name) for name in FIGURES}
        for key, row in _closed_rows(result).items()
    }
    moved = {
        key: figures
        for key, figures in shown.items()
        if key not in history or _moved(history[key][-1][1], figures)
    }
    for key, figures in (moved | _new_verdicts(result, history)).items():
        names = ("wave", "segment", "arm", "against", "metric", "month")
        rows.append(
            {
                "campaign": result.campaign,
                **dict(zip(names, key, strict=True)),
                "published_at": at,
                "result": json.dumps(figures, sort_keys=True),
            }
        )
    return rows


def _new_verdicts(
    result: CampaignResult, history: Mapping[Key, Sequence[Shown]]
) -> dict[Key, dict[str, Any]]:
    """Verdicts of arms that have none in the history yet, by key: the month in which each fell."""
    found = {}
    for arm in result.arms:
        verdict = arm.verdict
        if verdict.decided_month is None or _shown_verdict(result, arm, history) is not None:
            continue
        key = ("all", "all", arm.arm, result.plan.holdout, VERDICT, verdict.decided_month)
        found[key] = {"kind": str(verdict.kind), "month": verdict.month, **asdict(verdict.net)}
    return found


def _shown_verdict(
    result: CampaignResult, arm: ArmResult, history: Mapping[Key, Sequence[Shown]]
) -> Verdict | None:
    """The verdict of an arm as a report first showed it."""
    for key, shown in history.items():
        if (key[2], key[3], key[4]) == (arm.arm, result.plan.holdout, VERDICT):
            figures = shown[0][1]
            net = Estimate(figures["value"], figures["lower"], figures["upper"])
            kind = VerdictKind(figures["kind"])
            return Verdict(kind, net, figures["month"], None, (SHOWN_BEFORE,), key[5])
    return None


def _with_shown_verdict(
    result: CampaignResult, arm: ArmResult, history: Mapping[Key, Sequence[Shown]]
) -> ArmResult:
    """The arm with the verdict that was shown, where the data now would not give it any more.

    A failed critical check suspends it all the same.
    """
    shown, verdict = _shown_verdict(result, arm, history), arm.verdict
    if shown is None or verdict.kind is VerdictKind.SUSPENDED:
        return arm
    loses = shown.kind is VerdictKind.STOP, verdict.kind is VerdictKind.STOP
    if verdict.decided_month is not None and loses[0] == loses[1]:
        return arm
    return replace(arm, verdict=shown)


def _closed_rows(result: CampaignResult) -> dict[Key, EffectRow]:
    """The rows of closed months and of the cumulative reading, whole audience, by key."""
    found: dict[Key, EffectRow] = {}
    for row in result.rows:
        if row.segment == "all" and row.wave == "all" and row.closed and result.closed_through:
            until = f"{CUMULATIVE} {result.closed_through}"
            month = until if row.month == CUMULATIVE else row.month
            key = (row.wave, row.segment, row.arm, row.against, row.metric, month)
            found[key] = row
    return found


def _history(connection: sa.Connection, campaign: str) -> dict[Key, list[Shown]]:
    """What was shown of each figure, oldest first."""
    found: dict[Key, list[Shown]] = {}
    for row in connection.execute(shown_figures(campaign)):
        key = (row.wave, row.segment, row.arm, row.against, row.metric, row.month)
        found.setdefault(key, []).append((row.published_at, json.loads(row.result)))
    return found


def _restatement(key: Key, row: EffectRow, shown: Sequence[Shown]) -> Restatement | None:
    """The last change of a figure: since it was last shown, or between two showings."""
    now: Mapping[str, Any] = {name: getattr(row, name) for name in FIGURES}
    (at, last), then, since = shown[-1], now, None
    if not _moved(last, now):
        if len(shown) == 1:
            return None
        since, then, (at, last) = shown[-1][0].date(), shown[-1][1], shown[-2]
    return Restatement(
        month=key[5],
        arm=key[2],
        against=key[3],
        metric=key[4],
        shown=last["effect_per_customer"],
        shown_on=at.date(),
        now=row.effect_per_customer,
        changed_on=since,
        reason=JOINED if (then["n_treated"] or 0) > (last["n_treated"] or 0) else LATE,
    )


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(_differ(before.get(name), after[name]) for name in FIGURES)


def _differ(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is not right
    return not math.isclose(left, right, rel_tol=NEAR, abs_tol=NEAR)


def _check(found: Sequence[Restatement], *, shown: bool) -> Check:
    if not shown:
        return Check("restatement", CheckStatus.NOT_APPLICABLE, critical=False, values={})
    months = {change.month for change in found if not change.month.startswith(CUMULATIVE)}
    status = CheckStatus.WARNING if found else CheckStatus.PASSED
    return Check("restatement", status, critical=False, values={"months": len(months) or None})
