"""Caused or market: what the campaigns did to a segment, and what would have happened anyway.

Splits a change already computed by effects already measured; never guesses one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["CauseRow", "MeasuredEffect", "causes"]


@dataclass(frozen=True, slots=True)
class MeasuredEffect:
    """Revenue that campaigns caused among the members of a segment, measured on a holdout."""

    segment: str
    """segment of year 1, or `all` for the whole company"""
    campaign: str
    """what was measured: a campaign, or the universal holdout"""
    caused: float | None
    """incremental revenue within year 2, of all treated members, in currency"""
    ci_lower: float | None
    ci_upper: float | None
    """interval of `caused`"""
    note: str = ""
    """why it is not known, where it is None"""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """The change of a segment's revenue, split. Money in currency; None where not known."""

    segment: str
    change: float
    """revenue of year 2 less revenue of year 1 of the members of year 1"""
    caused: float | None
    caused_ci_lower: float | None
    caused_ci_upper: float | None
    market: float | None
    """change - caused: what the holdout says would have happened anyway"""
    known: bool
    note: str
    """why it is not known, or which effect was used"""


def causes(
    changes: Mapping[str, float],
    effects: Iterable[MeasuredEffect],
    shared: Collection[str] = (),
) -> tuple[CauseRow, ...]:
    """Splits the change of every segment by what was measured on it.

    Effects of several campaigns are added up where no customer was drawn by two of them; elsewhere
    they count purchases twice, and only a universal holdout measures them together.

    Args:
        changes: change of revenue by segment, the year-1 membership followed, in currency.
        effects: what was measured; those on other segments are left alone.
        shared: segments where several campaigns drew the same customers.
    """
    measured = list(effects)
    return tuple(
        _cause(segment, change, [each for each in measured if each.segment == segment], shared)
        for segment, change in changes.items()
    )


def _cause(
    segment: str, change: float, mine: Sequence[MeasuredEffect], shared: Collection[str]
) -> CauseRow:
    names = ", ".join(effect.campaign for effect in mine)
    unknown = [effect for effect in mine if effect.caused is None]
    if not mine:
        return _not_known(segment, change, "no holdout was kept in this segment")
    if len(mine) > 1 and segment in shared:
        note = f"several campaigns reached it ({names}): effects that overlap are not added up"
        return _not_known(segment, change, note)
    if unknown:
        return _not_known(segment, change, unknown[0].note)
    caused, lower, upper = _sum(mine)
    return CauseRow(
        segment, change, caused, lower, upper, change - caused, True, f"measured by {names}"
    )


def _not_known(segment: str, change: float, note: str) -> CauseRow:
    return CauseRow(segment, change, None, None, None, None, False, note)


def _sum(effects: Sequence[MeasuredEffect]) -> tuple[float, float, float]:
    """The sum of independent effects with its interval: distances to the limits add in squares.

    Source: Zou and Donner (2008), the method of variance estimates recovery.
    """
    total, down, up = 0.0, 0.0, 0.0
    for effect in effects:
        caused = effect.caused or 0.0
        total += caused
        down = math.hypot(down, caused - (effect.ci_lower or 0.0))
        up = math.hypot(up, (effect.ci_upper or 0.0) - caused)
    return total, total - down, total + up
