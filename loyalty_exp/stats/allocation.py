"""How many units of each stratum go to each arm: exact integers, unbiased for every stratum.

Counts only: it neither sees nor orders units, and uses no floating-point number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from math import floor

__all__ = ["allocate", "systematic_rounding", "uniform_from_salt"]

Shares = Sequence[Fraction] | Sequence[Sequence[Fraction]]


def uniform_from_salt(salt: str) -> Fraction:
    """Returns the uniform number that a salt stands for.

    The first 13 hexadecimal digits (52 bits) of ``md5("U:" + salt)`` over 2**52, so that anyone
    can recompute it in any language without rounding.

    Args:
        salt: Any text.

    Returns:
        A multiple of 2**-52 in [0, 1).
    """
    digest = hashlib.md5(f"U:{salt}".encode(), usedforsecurity=False).hexdigest()
    return Fraction(int(digest[:13], 16), 2**52)


def systematic_rounding(expected: Sequence[Fraction], u: Fraction) -> list[int]:
    """Rounds expected counts at random, one uniform for all of them.

    Count s is ``floor(F_s + u) - floor(F_(s-1) + u)``, F the running sum of ``expected``. Over a
    uniform u each count has its expected value as mean and is one of its two neighbouring
    integers; so is every sum of consecutive counts.

    Args:
        expected: Expected count of each stratum, shape (strata,), not negative.
        u: The uniform number, in [0, 1).

    Returns:
        Integer counts, shape (strata,).

    Raises:
        ValueError: If a count is negative or u lies outside [0, 1).

    Source: Madow (1949), "On the theory of systematic sampling, II".
    """
    if not 0 <= u < 1:
        raise ValueError(f"u must lie in [0, 1), not {u}")
    if any(count < 0 for count in expected):
        raise ValueError("an expected count is negative")
    counts, cumulated, below = [], Fraction(u), 0
    for count in expected:
        cumulated += count
        reached = floor(cumulated)
        counts.append(reached - below)
        below = reached
    return counts


def allocate(stratum_sizes: Sequence[int], shares: Shares, salt: str) -> list[list[int]]:
    """Shares the units of every stratum out among the arms.

    Arms are served in the declared order. Arm j takes the share p_j / (1 - p_0 - ... - p_(j-1))
    of what is left in each stratum by `systematic_rounding`, with the uniform
    ``uniform_from_salt(f"{salt}:{j}")``; the last arm gets the rest. The mean over salts of each
    count is its share times the size of the stratum, exactly.

    Args:
        stratum_sizes: Units in each stratum, shape (strata,).
        shares: Share of each arm, holdout first, shape (arms,), the same in every stratum; or
            shape (strata, arms). Each in [0, 1]; those of a stratum sum to exactly 1.
        salt: The text that makes this draw what it is.

    Returns:
        Units per stratum and arm, shape (strata, arms); each row sums to the stratum's size.

    Raises:
        ValueError: If a size or a share is negative, if shares do not sum to 1, or if the number
            of rows of shares is not the number of strata.
    """
    rows = _rows(stratum_sizes, shares)
    left = list(stratum_sizes)
    share_left = [Fraction(1)] * len(rows)
    counts: list[list[int]] = [[] for _ in rows]
    arms = len(rows[0]) if rows else 0
    for arm in range(arms - 1):
        expected = [
            row[arm] / rest * size if rest else Fraction(0)
            for row, rest, size in zip(rows, share_left, left, strict=True)
        ]
        taken = systematic_rounding(expected, uniform_from_salt(f"{salt}:{arm}"))
        for stratum, number in enumerate(taken):
            counts[stratum].append(number)
            left[stratum] -= number
            share_left[stratum] -= rows[stratum][arm]
    return [[*done, rest] for done, rest in zip(counts, left, strict=True)]


def _rows(stratum_sizes: Sequence[int], shares: Shares) -> list[list[Fraction]]:
    """Returns one checked row of shares a stratum."""
    if any(size < 0 for size in stratum_sizes):
        raise ValueError("a stratum has a negative size")
    per_stratum = [row for row in shares if isinstance(row, Sequence)]
    common = [share for share in shares if not isinstance(share, Sequence)]
    rows = [list(row) for row in per_stratum] or [common] * len(stratum_sizes)
    if (per_stratum and common) or len(rows) != len(stratum_sizes):
        raise ValueError("shares are one row for all strata, or one row a stratum")
    for row in rows:
        if any(share < 0 for share in row) or sum(row) != 1 or len({len(row), len(rows[0])}) > 1:
            raise ValueError(f"shares must be from 0 to 1 and sum to 1, not {row}")
    return rows
