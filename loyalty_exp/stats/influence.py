"""How much of an effect hangs on a handful of units: the estimate without the largest ones.

Drops units to show what they carry; the headline always keeps everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Influence", "without_largest"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Influence:
    """An effect re-estimated without the largest units of each arm.

    Attributes:
        dropped: Units left out of each arm; 0 is the whole sample.
        effect: Pooled-CUPED effect per unit on the rest, in the unit of the outcome; NaN if not
            estimable.
        standard_error: Its W1 standard error, same unit.
        share_of_outcome: Share of the total outcome that the dropped units hold, -inf to inf,
            usually 0 to 1; NaN if the total is 0.
        reason: Why there is no estimate, in words; empty if there is one.
    """

    dropped: int
    effect: float
    standard_error: float
    share_of_outcome: float
    reason: str = ""


def without_largest(
    outcome: Floats, covariate: Floats, treated: Bools, counts: Sequence[int] = (0, 1, 5, 10)
) -> list[Influence]:
    """Re-estimates the effect without the units of largest outcome, as many from each arm.

    Dropping by outcome shifts the estimate (the same number is a larger share of the smaller
    arm), so each line asks "who carries this?", and none of them is an estimate to publish.

    Args:
        outcome: Outcome of each unit, shape (units,).
        covariate: The same before the start, shape (units,).
        treated: Whether each unit is treated, shape (units,).
        counts: How many to drop from each arm.

    Returns:
        One line a count, in the order given.

    Raises:
        ValueError: If the arrays differ in length.
    """
    if not outcome.shape == covariate.shape == treated.shape:
        raise ValueError("one row a unit is expected in every array")
    arms = [np.flatnonzero(treated), np.flatnonzero(~treated)]
    largest_first = [arm[np.argsort(-outcome[arm], kind="stable")] for arm in arms]
    total = float(outcome.sum())
    lines = []
    for count in counts:
        kept = [arm[count:] for arm in largest_first]
        gone = np.concatenate([arm[:count] for arm in largest_first])
        share = float(outcome[gone].sum()) / total if total else np.nan
        if min(arm.size for arm in kept) < 2:
            reason = "fewer than two units are left in an arm"
            lines.append(Influence(count, np.nan, np.nan, share, reason))
            continue
        effect, error = _cuped(outcome, covariate, kept)
        lines.append(Influence(count, effect, error, share))
    return lines


def _cuped(
    outcome: Floats, covariate: Floats, arms: Sequence[npt.NDArray[np.intp]]
) -> tuple[float, float]:
    """Returns the pooled-CUPED effect of the first arm over the second, and its W1 error."""
    units = np.concatenate(arms)
    x = covariate - covariate[units].mean()
    square = float(x[units] @ x[units])
    theta = float(x[units] @ outcome[units]) / square if square > 0 else 0.0
    first, second = (outcome[arm] - theta * x[arm] for arm in arms)
    variance = first.var(ddof=1) / first.size + second.var(ddof=1) / second.size
    return float(first.mean() - second.mean()), float(np.sqrt(variance))
