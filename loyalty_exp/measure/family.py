"""Several arms of a campaign judged together: who is read at which level, at which look.

Decides nothing itself: whether a reading decides an arm is asked of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["step_down"]

Decides = Callable[[str, int, float], bool]
"""Whether the reading of an arm at a look decides it, at a two-sided error over all looks."""


def step_down(
    arms: Sequence[str], looks: int, alpha: float, decides: Decides
) -> dict[str, tuple[float, ...]]:
    """Levels at which each arm is read: Holm's step-down, look by look.

    At each look the m arms still open are read at alpha / m. One that is decided makes no further
    claim, so that the others are read again, at this look and from there on, at alpha / (m - 1). A
    look that is past is not read again: an arm's interval at a look never changes afterwards.
    The chance that any arm is decided wrongly is at most alpha, because boundaries only widen as
    the error shrinks.

    Args:
        arms: the treated arms.
        looks: looks taken.
        alpha: two-sided error over all arms and all planned looks.
        decides: asked of open arms only.

    Returns:
        Error of each arm at each look taken and, last, at those to come: (looks + 1,). A decided
        arm keeps the one it was decided at.

    Source: Holm (1979); for looks, Ye, Li, Liu and Yao (2013), section 2.
    """
    levels: dict[str, list[float]] = {arm: [] for arm in arms}
    kept: dict[str, float] = {}
    for look in range(looks):
        found = True
        while found:
            waiting = [arm for arm in arms if arm not in kept]
            share = alpha / max(len(waiting), 1)
            decided = [arm for arm in waiting if decides(arm, look, share)]
            kept |= dict.fromkeys(decided, share)
            found = bool(decided)
        for arm in arms:
            levels[arm].append(kept.get(arm, share))
    waiting = [arm for arm in arms if arm not in kept]
    share = alpha / max(len(waiting), 1)
    return {arm: (*levels[arm], kept.get(arm, share)) for arm in arms}
