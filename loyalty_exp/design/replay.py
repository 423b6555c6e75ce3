"""Replay: a campaign drawn again and again on the company's own past, where nothing happened.

Works on arrays, never on the database. Draws, estimator and choice of interval are those of a
real launch; what a campaign would have added is planted on the treated units' real outcomes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from loyalty_exp.stats.allocation import allocate
from loyalty_exp.stats.ancova import (
    Comparison,
    IntervalMethod,
    choose_method,
    interval,
    joint_effects,
)
from loyalty_exp.stats.moments import Moments

__all__ = ["EFFECTS", "ArmReplay", "PastAudience", "crossing", "replay"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EFFECTS: tuple[float, ...] = (
    0.0, 0.0025, 0.005, 0.0075, *(k / 200 for k in range(2, 21)), *(k / 100 for k in range(11, 51)),
)  # fmt: skip
"""Relative effects planted: none, then up to 50 %."""

POWER = 0.8
CELLS_AT_ONCE = 2_000_000
NAMES = ("y", "x", "margin", "margin_x")
BEFORE_X = "before_x"


@dataclass(frozen=True, slots=True, eq=False)
class PastAudience:
    """The units a campaign would have had at an earlier date, and what they then did.

    Arrays are of shape (units,), ordered by stratum; money is in the project's currency.
    """

    as_of: dt.date
    """Day at whose end the segments were taken."""
    months: int
    """Calendar months that the outcome is summed over; they start the day after `as_of`."""
    covariate_months: int
    """Calendar months before them that the covariate is summed over."""
    audience: int
    """Units that were eligible; more than `units` where they were sampled."""
    stratum: Ints
    """Stratum of each unit, numbered from 0."""
    outcome: Floats
    covariate: Floats
    margin: Floats
    margin_covariate: Floats
    before: Floats | None
    """Outcome of each month before `as_of`, shape (units, months before): from these and their sum
    a launch would have chosen the interval."""
    before_covariate: Floats | None

    @property
    def units(self) -> int:
        """Units replayed."""
        return int(self.stratum.size)


@dataclass(frozen=True, slots=True, eq=False)
class ArmReplay:
    """What the replays of one treated arm against the holdout showed.

    Rates are shares of the draws; arrays are of shape (effects,).
    """

    arm: str
    draws: int
    units: float
    """Units of a replayed audience, on average over the draws."""
    effects: Floats
    """Relative effects planted; the first is none."""
    power: Floats
    """Share of the draws whose interval lay above zero; the first is a false alarm."""
    coverage: Floats
    """Share of the draws with an interval that held the true effect per unit; NaN without any."""
    false_alarm_rate: float
    """Share of the draws without an effect whose interval left out zero, on either side."""
    mde: float | None
    """Relative effect at which the power crosses .8; None above the largest effect planted."""
    null_totals: Floats
    """Incremental margin that each draw without an effect showed, per treated unit, currency;
    shape (draws,)."""
    without_interval: float
    """Share of the draws without any interval: too few customers decide the result."""
    methods: dict[str, int] = field(default_factory=dict)
    """Draws by the interval that a launch would have chosen."""


def replay(
    audiences: Sequence[PastAudience],
    arms: Sequence[str],
    shares: Sequence[Fraction],
    *,
    draws: int,
    alpha: float,
    seed: str,
    effects: Sequence[float] = EFFECTS,
) -> tuple[ArmReplay, ...]:
    """Draw a campaign many times on past audiences, with and without an effect.

    Args:
        audiences: Past audiences, at least one; each gets the same number of draws.
        arms: Arms, the holdout first.
        shares: Their shares, summing to exactly 1.
        draws: Draws in all, at least; rounded up to the same number for every audience.
        alpha: Two-sided level of the interval.
        seed: Text that every draw is derived from.
        effects: Relative effects to plant, ascending from 0.

    Returns:
        One result for each treated arm, in order.

    Raises:
        ValueError: No audience, or effects that do not ascend from 0.
    """
    if not audiences:
        raise ValueError("at least one past audience is needed")
    if effects[0] != 0 or any(b <= a for a, b in itertools.pairwise(effects)):
        raise ValueError("effects ascend from 0")
    each = -(-draws // len(audiences))
    planted = np.array(effects)
    outcomes: list[list[_Draw]] = [[] for _ in arms[1:]]
    for past in audiences:
        for groups in _moments_of_draws(past, shares, each, f"{seed}:{past.as_of}"):
            for place, treated in enumerate(groups[1:]):
                outcomes[place].append(_judge(treated, groups[0], planted, alpha))
    units = sum(past.units for past in audiences) / len(audiences)
    return tuple(
        _summary(arm, found, planted, units) for arm, found in zip(arms[1:], outcomes, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """One draw: what was concluded at each planted effect."""

    method: IntervalMethod
    estimable: bool
    above: npt.NDArray[np.bool_]
    below: bool
    covered: Floats
    null_total: float


def crossing(effects: Floats, power: Floats, wanted: float = POWER) -> float | None:
    """The effect at which a power curve crosses a level, by linear interpolation; None if never.

    Args:
        effects: Ascending effects, shape (effects,).
        power: Power at each, same shape; made monotone first.
        wanted: The level.
    """
    rising = np.maximum.accumulate(power)
    reached = np.flatnonzero(rising >= wanted)
    if not reached.size:
        return None
    k = int(reached[0])
    if k == 0:
        return float(effects[0])
    low, high = rising[k - 1], rising[k]
    return float(effects[k - 1] + (effects[k] - effects[k - 1]) * (wanted - low) / (high - low))


def _summary(arm: str, draws: Sequence[_Draw], effects: Floats, units: float) -> ArmReplay:
    power = np.mean([draw.above for draw in draws], axis=0)
    with_interval = [draw for draw in draws if draw.estimable]
    nothing = np.full(effects.shape, np.nan)
    coverage = (
        np.mean([draw.covered for draw in with_interval], axis=0) if with_interval else nothing
    )
    methods: dict[str, int] = {}
    for draw in draws:
        methods[draw.method.name] = methods.get(draw.method.name, 0) + 1
    return ArmReplay(
        arm=arm,
        draws=len(draws),
        units=units,
        effects=effects,
        power=power,
        coverage=coverage,
        false_alarm_rate=float(np.mean([draw.above[0] or draw.below for draw in draws])),
        mde=crossing(effects, power),
        null_totals=np.array([draw.null_total for draw in draws]),
        without_interval=1 - len(with_interval) / len(draws),
        methods=methods,
    )


def _judge(treated: Moments, control: Moments, effects: Floats, alpha: float) -> _Draw:
    """Estimate one draw at every planted effect at once: each is an outcome of its own."""
    names = [f"y{k}" for k in range(effects.size)]
    grown = _planted(treated, names, 1 + effects)
    same = _planted(control, names, np.ones(effects.size))
    readings = list(treated.names[len(NAMES) : -1])
    outcomes = [*names, "margin", *readings]
    covariates = ["x"] * effects.size + ["margin_x"] + [BEFORE_X] * len(readings)
    found = joint_effects([Comparison(grown, same)], outcomes, covariates)
    method = IntervalMethod.W2
    if readings:
        method = choose_method(found.skewness[-len(readings) :])
    lower, upper = (limit[: effects.size] for limit in interval(found, method, 1 - alpha))
    mean = (treated + control).mean_of("y")
    true = effects * mean
    slack = 1e-9 * abs(mean)
    return _Draw(
        method=method,
        estimable=bool(np.isfinite(lower[0])),
        above=lower > 0,
        below=bool(upper[0] < 0),
        covered=((lower <= true + slack) & (true <= upper + slack)).astype(np.float64),
        null_total=float(found.estimate[found.position("margin")]),
    )


def _planted(moments: Moments, names: Sequence[str], growth: Floats) -> Moments:
    """Moments with a copy of the outcome for each growth factor, the rest as it is."""
    rest = moments.names[1:]
    weights = np.zeros((len(names) + len(rest), len(moments.names)))
    weights[: len(names), moments.position("y")] = growth
    for row, name in enumerate(rest, start=len(names)):
        weights[row, moments.position(name)] = 1.0
    sums = moments.third["y", "x"]
    powers = np.stack([growth**3, growth**2, growth, np.ones_like(growth)], axis=1)
    third = {(name, "x"): sums * row for name, row in zip(names, powers, strict=True)}
    third |= {pair: row for pair, row in moments.third.items() if pair != ("y", "x")}
    return moments.transform([*names, *rest], weights, third)


def _moments_of_draws(
    past: PastAudience, shares: Sequence[Fraction], draws: int, seed: str
) -> Iterator[list[Moments]]:
    """The moments of every arm, holdout first, in each draw; draws with an empty arm are none."""
    columns = [past.outcome, past.covariate, past.margin, past.margin_covariate]
    names = list(NAMES)
    if past.before is not None and past.before_covariate is not None:
        columns += [*past.before.T, past.before.sum(axis=1), past.before_covariate]
        names += [*(f"before_{k}" for k in range(past.before.shape[1])), "before", BEFORE_X]
    values = np.stack(columns, axis=1)
    shift = values.mean(axis=0)
    centred = values - shift
    pairs = list(itertools.combinations_with_replacement(range(len(names)), 2))
    triples = [(0, 1), *((k, len(names) - 1) for k in range(len(NAMES), len(names) - 1))]
    parts = [centred, np.stack([centred[:, i] * centred[:, j] for i, j in pairs], axis=1)]
    for i, j in triples:
        y, x = centred[:, i], centred[:, j]
        parts.append(np.stack([y * y * y, y * y * x, y * x * x, x * x * x], axis=1))
    terms = np.concatenate(parts, axis=1)
    for labels in _labels(past, shares, draws, seed):
        by_arm = [(labels == arm).astype(np.float64) for arm in range(len(shares))]
        sizes = [drawn.sum(axis=1).astype(int) for drawn in by_arm]
        sums = [drawn @ terms for drawn in by_arm]
        for draw in range(labels.shape[0]):
            yield [
                _from_terms(names, int(size[draw]), shift, total[draw], pairs, triples)
                for size, total in zip(sizes, sums, strict=True)
            ]


def _from_terms(
    names: Sequence[str],
    n: int,
    shift: Floats,
    terms: Floats,
    pairs: Sequence[tuple[int, int]],
    triples: Sequence[tuple[int, int]],
) -> Moments:
    """Moments of an arm from its sums of terms."""
    p = len(names)
    products = np.empty((p, p))
    for (i, j), total in zip(pairs, terms[p : p + len(pairs)], strict=True):
        products[i, j] = products[j, i] = total
    start = p + len(pairs)
    third = {
        (names[i], names[j]): terms[start + 4 * k : start + 4 * k + 4]
        for k, (i, j) in enumerate(triples)
    }
    return Moments.from_sums(names, n, shift, terms[:p], products, third_sums=third)


def _labels(
    past: PastAudience, shares: Sequence[Fraction], draws: int, seed: str
) -> Iterator[npt.NDArray[np.int8]]:
    """Arm of each unit in blocks of draws, shape (some draws, units): the launch's mechanism.

    The counts come from `allocate` with a salt a draw; who takes them, from a random order.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big"))
    sizes = np.bincount(past.stratum).tolist()
    arms = np.tile(np.arange(len(shares), dtype=np.int8), len(sizes))
    at_once = max(1, CELLS_AT_ONCE // past.units)
    for first in range(0, draws, at_once):
        rows = min(at_once, draws - first)
        order = np.argsort(past.stratum + rng.random((rows, past.units)), axis=1)
        labels = np.empty((rows, past.units), dtype=np.int8)
        for row in range(rows):
            counts = allocate(sizes, shares, f"{seed}:{first + row}")
            labels[row, order[row]] = np.repeat(arms, np.ravel(counts))
        yield labels
