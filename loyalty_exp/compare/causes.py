"""Caused or market: what the campaigns did to a segment, and what would have happened anyway.

Splits a change already computed by an effect already measured; never guesses one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["CauseRow", "MeasuredEffect", "causes"]


@dataclass(frozen=True, slots=True)
class MeasuredEffect:
    """Revenue that campaigns caused among the members of a segment, measured on a holdout."""

    segment: str
    """segment of year 1, or `all` for the whole company"""
    campaign: str
    """what was measured: a campaign, or the universal holdout"""
    caused: float
    """incremental revenue within year 2, of all treated members, in currency"""
    ci_lower: float
    ci_upper: float
    """interval of `caused`"""


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


def causes(changes: Mapping[str, float], effects: Iterable[MeasuredEffect]) -> tuple[CauseRow, ...]:
    """Splits the change of every segment where exactly one effect was measured on it.

    Several campaigns on one segment share its customers: their effects may count an order twice
    and are not added up; a universal holdout measures them together.

    Args:
        changes: change of revenue by segment, the year-1 membership followed, in currency.
        effects: what was measured; those on other segments are left alone.
    """
    measured = list(effects)
    rows = []
    for segment, change in changes.items():
        mine = [effect for effect in measured if effect.segment == segment]
        if len(mine) == 1:
            rows.append(_split(segment, change, mine[0]))
            continue
        names = ", ".join(effect.campaign for effect in mine)
        note = f"several campaigns reached it ({names}): effects that overlap are not added up"
        none = "no holdout was kept in this segment"
        rows.append(
            CauseRow(segment, change, None, None, None, None, False, note if mine else none)
        )
    return tuple(rows)


def _split(segment: str, change: float, effect: MeasuredEffect) -> CauseRow:
    return CauseRow(
        segment,
        change,
        effect.caused,
        effect.ci_lower,
        effect.ci_upper,
        change - effect.caused,
        known=True,
        note=f"measured by {effect.campaign}",
    )
