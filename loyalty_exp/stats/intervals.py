"""Intervals, p-values and relative effects from estimated effects.

They take estimates, variances and skewness as they are; nothing is estimated here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

if TYPE_CHECKING:
    from loyalty_exp.stats.ancova import JointEffects

__all__ = [
    "IntervalMethod",
    "Notes",
    "Reason",
    "RelativeEffects",
    "choose_method",
    "critical_values",
    "decidable",
    "interval",
    "interval_notes",
    "method_covariance",
    "one_sided_probability",
    "p_values",
    "relative_effects",
    "t_reach",
]

Floats = NDArray[np.float64]
Notes = tuple[tuple[str, ...], ...]

SKEWED = 0.2
TOO_SKEWED = 1.5


class Reason(StrEnum):
    """Why a number is missing or weak: fixed sentences, so that a report can translate them."""

    EMPTY_ARM = "not estimable: an arm has no customer in one of the strata"
    SINGLE_CUSTOMER = "not estimable: an arm has a single customer in one of the strata"
    CONSTANT_TREATED = "not estimable: every treated customer has the same value"
    CONSTANT_CONTROL = "not estimable: every holdout customer has the same value"
    NO_RESIDUAL = "not estimable: nothing is left once the past is accounted for"
    SMALL_HOLDOUT = "direction only: fewer than 20 customers in the holdout or the treated arm"
    TOO_FEW = "too few to know: a handful of customers decides the result"
    SKEWED = "direction only: a handful of customers decides the result"
    NO_THIRD_MOMENTS = "no interval: the third moments were not measured"
    NOT_MEANINGFUL = "not meaningful: the holdout's mean may be zero or negative"
    LOG_SCALE = "approximate interval on the log scale: the exact one is unbounded"
    PART_MISSING = "not estimable: one of the effects it is made of is not"
    NO_BUYERS = "not estimable: an arm has no buyer"
    NO_COST = "not meaningful: the campaign added no cost"
    COST_UNCERTAIN = "not shown: the added cost is too uncertain to divide by, see the net result"
    RATIO_UNBOUNDED = "not shown: its interval has no end, see the net result"
    ORDERS_UNDETERMINED = "not determined: the campaign may have added no order"
    ORDERS_LOST = "not meaningful: fewer orders than without the campaign"
    NOT_POSITIVE = "not defined: a mean is zero or negative"
    FEW_MONTHS = "not estimable: fewer than four closed months"
    NO_CHANGE = "not estimable: nothing varies between these months"
    SINGULAR = "not estimable: the months repeat each other"


class IntervalMethod(StrEnum):
    """How an interval is made; chosen at launch and frozen.

    W1 is Welch's. W2 pools variance and skewness over the arms. TOO_FEW gives no interval.
    """

    W1 = "w1"
    W2 = "w2"
    TOO_FEW = "too few"


@dataclass(frozen=True, slots=True, eq=False)
class RelativeEffects:
    """Effects as a share of the holdout's adjusted mean; arrays of shape (q,), 0.05 is +5 %.

    Attributes:
        outcomes: The q outcomes.
        estimate: Effect over denominator; NaN where that is not meaningful.
        lower: Lower limit.
        upper: Upper limit.
        denominator: The holdout's adjusted mean, in the outcome's unit: print it.
        notes: Per outcome, why there is no figure or which interval it is.
    """

    outcomes: tuple[str, ...]
    estimate: Floats
    lower: Floats
    upper: Floats
    denominator: Floats
    notes: Notes


def choose_method(skewness: ArrayLike) -> IntervalMethod:
    """The interval that a campaign gets, from the skewness gamma of its pre-period estimates.

    W1 where no reading passes 0.2 in size: large customers above and below their past cancel in a
    sum over months, and would be taken for none. No interval where the whole passes 1.5. An unknown
    skewness (NaN) gets W2, the careful one.

    Args:
        skewness: Gamma of each reading, (readings,) or a scalar; the whole period last.
    """
    sizes = np.abs(np.atleast_1d(np.asarray(skewness, dtype=np.float64)))
    if sizes[-1] > TOO_SKEWED:
        return IntervalMethod.TOO_FEW
    return IntervalMethod.W1 if bool((sizes <= SKEWED).all()) else IntervalMethod.W2


def decidable(effects: JointEffects) -> NDArray[np.bool_]:
    """Whether a claim may rest on each effect, (q,): not where |gamma| > 1.5.

    Past that the correction for skewness is clipped, and the interval leans on a handful of
    customers. An unknown skewness (NaN) counts as small; W2 gives no interval then.
    """
    return ~(np.abs(effects.skewness) > TOO_SKEWED)


def t_reach(tail: ArrayLike, df: ArrayLike) -> Floats:
    """Upper quantile of Student's t for a tail of at most a half: what `scipy.stats.t.isf` gives.

    Without its checks of arguments, which cost more than the quantile.
    """
    # A tail of 0 comes back with the wrong sign.
    return np.asarray(np.abs(special.stdtrit(df, tail)), dtype=np.float64)


def method_covariance(effects: JointEffects, method: IntervalMethod) -> tuple[Floats, Floats]:
    """Covariances (q, q) of the treated and the holdout means that a method's intervals use."""
    if method is IntervalMethod.W2:
        return effects.pooled_covariance_treated, effects.pooled_covariance_control
    return effects.covariance_treated, effects.covariance_control


def critical_values(
    effects: JointEffects,
    method: IntervalMethod,
    level: float = 0.95,
    critical: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Standard errors from the estimate down to the lower and up to the upper limit, (q,) each.

    Args:
        effects: The effects.
        method: The frozen method.
        level: Confidence level, when no critical value is given.
        critical: Critical values on the normal scale, scalar or (q,), turned to Student's t by
            equal tail area.

    Returns:
        Both (q,); equal under W1. Under W2 they are c + sh and c - sh with
        sh = g (min(c, 3)^2 - 1) / 6, never shrinking as c grows, so that intervals nest.

    Source: Cornish and Fisher (1938), first skewness term.
    """
    shape = effects.estimate.shape
    tail = np.full(shape, (1 - level) / 2)
    if critical is not None:
        tail = np.broadcast_to(special.ndtr(-np.asarray(critical, dtype=np.float64)), shape)
    if method is IntervalMethod.TOO_FEW:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    if method is IntervalMethod.W1:
        c = t_reach(tail, effects.df)
        return c, c
    c = t_reach(tail, effects.pooled_df)
    g = np.clip(effects.skewness, -TOO_SKEWED, TOO_SKEWED)
    return _reach(c, g), _reach(c, -g)


def interval(
    effects: JointEffects,
    method: IntervalMethod,
    level: float = 0.95,
    critical: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Confidence limits of the effects, (q,) each; arguments as in `critical_values`."""
    down, up = critical_values(effects, method, level, critical)
    se = _standard_error(effects, method)
    return effects.estimate - down * se, effects.estimate + up * se


def interval_notes(effects: JointEffects, method: IntervalMethod) -> Notes:
    """The notes of the effects, with what the method has to say about each interval."""
    notes = []
    for gamma, variance, known in zip(
        effects.skewness, effects.pooled_variance, effects.notes, strict=True
    ):
        extra: tuple[str, ...] = ()
        if method is IntervalMethod.TOO_FEW:
            extra = (Reason.TOO_FEW,)
        elif abs(gamma) > TOO_SKEWED:
            extra = (Reason.SKEWED,)
        elif method is IntervalMethod.W2 and np.isnan(gamma) and not np.isnan(variance):
            extra = (Reason.NO_THIRD_MOMENTS,)
        notes.append(known + extra)
    return tuple(notes)


def p_values(effects: JointEffects, method: IntervalMethod) -> Floats:
    """Two-sided p-values of no effect, (q,): below alpha exactly when the interval excludes 0."""
    q, df = _student(effects, method, 0.0)
    return np.asarray(2 * special.stdtr(df, -np.abs(q)), dtype=np.float64)


def one_sided_probability(effects: JointEffects, method: IntervalMethod, at: float = 0.0) -> Floats:
    """Confidence, (q,), that each effect exceeds `at`: for the net result, "chance that it paid".

    It is the one-sided level at which the lower limit reaches `at`.
    """
    q, df = _student(effects, method, at)
    return np.asarray(special.stdtr(df, q), dtype=np.float64)


def relative_effects(
    effects: JointEffects,
    method: IntervalMethod,
    level: float = 0.95,
    critical: ArrayLike | None = None,
) -> RelativeEffects:
    """Effects as a share of the holdout's adjusted mean.

    The interval is Fieller's set for the ratio of the adjusted means, with the critical values of
    the effect's own interval: one excludes 0 when the other does. Where it is unbounded, the delta
    interval of the log ratio. Where the holdout mean's own interval at `level` reaches 0 or below:
    not meaningful, NaN. Arguments as in `critical_values`.

    Source: Fieller (1954).
    """
    down, up = critical_values(effects, method, level, critical)
    treated, control = effects.mean_treated, effects.mean_control
    v1, v0 = (np.diag(matrix) for matrix in method_covariance(effects, method))
    own = float(t_reach((1 - level) / 2, effects.n_control - 1))
    meaningful = control > own * np.sqrt(v0)
    with np.errstate(all="ignore"):
        ratio = treated / control
        exact = [_fieller_root(treated, control, v1, v0, c) for c in (-down, up)]
        bounded = np.isfinite(exact[0]) & np.isfinite(exact[1])
        spread = np.sqrt(v1 / treated**2 + v0 / control**2)
        logged = [np.where(treated > 0, ratio * np.exp(c * spread), np.nan) for c in (-down, up)]
    lower, upper = (np.where(bounded, e, g) - 1 for e, g in zip(exact, logged, strict=True))
    notes = []
    for index, known in enumerate(interval_notes(effects, method)):
        extra: tuple[str, ...] = ()
        if not meaningful[index] and not np.isnan(control[index]):
            extra = (Reason.NOT_MEANINGFUL,)
        elif not bounded[index] and np.isfinite(lower[index]):
            extra = (Reason.LOG_SCALE,)
        notes.append(known + extra)
    estimate, lower, upper = (np.where(meaningful, x, np.nan) for x in (ratio - 1, lower, upper))
    return RelativeEffects(effects.outcomes, estimate, lower, upper, control, tuple(notes))


def _fieller_root(treated: Floats, control: Floats, v1: Floats, v0: Floats, c: Floats) -> Floats:
    """The b with treated - b control = -c sqrt(v1 + b^2 v0); NaN where the set is unbounded."""
    a = control**2 - c**2 * v0
    root = np.sqrt(c**2 * (v1 * a + v0 * treated**2))
    limit = (treated * control + np.sign(c) * root) / a
    return np.where(a > 0, limit, np.nan)


def _standard_error(effects: JointEffects, method: IntervalMethod) -> Floats:
    treated, control = method_covariance(effects, method)
    return np.asarray(np.sqrt(np.diag(treated) + np.diag(control)), dtype=np.float64)


def _student(effects: JointEffects, method: IntervalMethod, at: float) -> tuple[Floats, Floats]:
    """The t quantile, (q,), at which a limit reaches `at` (positive when below it), and its df."""
    if method is IntervalMethod.TOO_FEW:
        nothing = np.full(effects.estimate.shape, np.nan)
        return nothing, nothing
    z = (effects.estimate - at) / _standard_error(effects, method)
    if method is IntervalMethod.W1:
        return z, effects.df
    g = np.clip(effects.skewness, -TOO_SKEWED, TOO_SKEWED)
    q = np.where(z > -g / 6, _reach_inverse(z, g), -_reach_inverse(-z, -g))
    return q, np.full(z.shape, effects.pooled_df)


def _reach(c: Floats, g: Floats) -> Floats:
    """Standard errors to a limit for critical c and skewness g, kept from shrinking as c grows."""
    reach: Floats = c + g * (np.minimum(c, 3.0) ** 2 - 1) / 6
    turn = 3 / np.maximum(-g, 1.0)
    peak = turn + g * (turn**2 - 1) / 6
    return np.where(c > turn, np.maximum(reach, peak), reach)


def _reach_inverse(z: Floats, g: Floats) -> Floats:
    """The largest c with `_reach(c, g)` <= z, for z at or above `_reach(0, g)`."""
    turn = 3 / np.maximum(-g, 1.0)
    peak = turn + g * (turn**2 - 1) / 6
    shifted = z + g / 6
    root = np.sqrt(np.maximum(1 + 2 * g * shifted / 3, 0.0))
    return np.where(z <= peak, 2 * shifted / (1 + root), z - 4 * g / 3)
