"""Closed months as they were shown and as they are now: what late data changed after the fact.

A figure is kept when a report first shows it, and again whenever a report shows another one. A
month that was shown with two values stays on the page with both.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from loyalty_exp.measure.effects import CUMULATIVE
from loyalty_exp.measure.results import (
    CampaignResult,
    Check,
    CheckStatus,
    EffectRow,
    Restatement,
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

Key = tuple[str, str, str, str, str, str]
"""Wave, segment, arm, against, metric, month."""
Shown = tuple[dt.datetime, Mapping[str, Any]]


def restated(connection: sa.Connection, result: CampaignResult) -> CampaignResult:
    """A result with its restatements and the check of them.

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
    return replace(result, restatements=found, checks=(*checks, _check(found, shown=bool(history))))


def to_publish(
    connection: sa.Connection, result: CampaignResult, now: dt.datetime
) -> list[dict[str, Any]]:
    """Rows for the table `published`: closed figures never shown, or now shown otherwise.

    Args:
        connection: an open store.
        result: what is shown.
        now: when, UTC.
    """
    history = _history(connection, result.campaign)
    at = now.astimezone(dt.UTC).replace(tzinfo=None)
    rows = []
    for key, row in _closed_rows(result).items():
        figures = {name: getattr(row, name) for name in FIGURES}
        if key in history and not _moved(history[key][-1][1], figures):
            continue
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
