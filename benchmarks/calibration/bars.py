"""What each promise requires, and whether the draws bear it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from calibration.draws import MARKETS
from calibration.exact import boundary_error, tea_tasting_gap
from calibration.studies import Cell
from calibration.tally import Tally

Results = Mapping[Cell, Tally]

TENTH, FIFTH, HALF = Fraction(1, 10), Fraction(1, 5), Fraction(1, 2)
HOLDOUTS = (TENTH, FIFTH, HALF)
SIZES = (60, 200, 500, 2_000, 5_000)
PROMISES = {
    1: "Interval of the product, no effect: coverage, and claims above the truth",
    2: "Welch interval at a holdout of half; coverage with an effect of +30 %",
    3: "No bias; Welch interval equal to tea-tasting's",
    4: "Twelve looks: false alarms, power",
    5: "Boundary against exact integration",
    6: "Path: all months inside the band",
    7: "Effect on the reached; return on cost",
    8: "Decomposition: adds up, covers",
    9: "Losses from the arms: size and power",
    10: "Real orders, random splits: coverage",
}
SMALL, LARGE = 0.05, 0.3
YEAR, MONTH = "12 months", "one month"
NOISE = 2.0
"""Monte-Carlo errors outside a bar that may be chance."""
MOSTLY = 0.5
"""Share of draws with a warning from which a miss counts as warned of."""
INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its bar.

    Attributes:
        bar: Number of the promise, 1 to 10.
        label: What was measured, and where.
        value: What came out.
        error: Its Monte-Carlo standard error; 0 where nothing is random.
        low: Smallest value allowed.
        high: Largest value allowed.
        warned: Share of the draws in which the tool warns of this very thing.
    """

    bar: int
    label: str
    value: float
    error: float
    low: float
    high: float
    warned: float = 0.0

    @property
    def distance(self) -> float:
        """Monte-Carlo errors that the value lies outside its bar; 0 inside, infinite if unknown."""
        outside = max(self.low - self.value, self.value - self.high)
        if outside <= 0:
            return 0.0
        return outside / self.error if self.error > 0 else INFINITE

    @property
    def status(self) -> str:
        """Held, within noise (outside by at most two Monte-Carlo errors), or missed.

        "Missed, warned" where the user is told so in most draws: still a miss, but an open one.
        """
        if self.distance <= NOISE:
            return "within noise" if self.distance else "held"
        return "missed, warned" if self.warned > MOSTLY else "missed"


DRAWS = {
    "intervals": 4_000,
    "looks": 10_000,
    "waves": 2_000,
    "paths": 1_000,
    "permutations": 500,
    "reached": 1_000,
    "returns": 1_000,
    "decompositions": 1_000,
    "lost": 5_000,
    "real_orders": 4_000,
}


def plan() -> dict[Cell, int]:
    """Every cell with its draws in the full form."""
    cells: dict[Cell, int] = {}

    def add(study: str, sizes: Sequence[int], holdouts: Sequence[Fraction], effect: float) -> None:
        for market, units, holdout in product(MARKETS, sizes, holdouts):
            cells[Cell(study, market, units, holdout, effect)] = DRAWS[study]

    ends = (TENTH, HALF)
    add("intervals", SIZES, HOLDOUTS, 0.0)
    add("intervals", SIZES[2:], HOLDOUTS, SMALL)
    add("intervals", SIZES, HOLDOUTS, LARGE)
    add("looks", (2_000, 10_000), ends, 0.0)
    for market, holdout, number in product(MARKETS, ends, (3, 6)):
        cells[Cell("waves", market, 2_000, holdout, 0.0, number)] = DRAWS["waves"]
    add("paths", (500, 2_000, 5_000), (HALF,), 0.0)
    add("permutations", (60, 500, 2_000), HOLDOUTS, 0.0)
    add("reached", (500, 2_000, 5_000), ends, SMALL)
    add("returns", (500, 2_000, 5_000), ends, SMALL)
    add("decompositions", (200, 500, 2_000, 5_000), ends, SMALL)
    cells[Cell("looks", "B2C", 50_000, TENTH, SMALL)] = 2_000
    cells[Cell("lost", "any", 5_000, TENTH)] = DRAWS["lost"]
    for holdout in HOLDOUTS:
        cells[Cell("real_orders", "real orders", 2_469, holdout)] = DRAWS["real_orders"]
    return cells


def checks(results: Results) -> list[Check]:
    """Every figure that a bar speaks of."""
    judges: list[Callable[[Cell, Tally], Iterator[Check]]] = [
        _switch,
        _welch_and_bias,
        _looks,
        _others,
        _real_orders,
    ]
    found = [
        check for cell, tally in results.items() for judge in judges for check in judge(cell, tally)
    ]
    found.append(Check(3, "W1 against tea-tasting, relative gap", tea_tasting_gap(), 0, 0, 1e-10))
    for looks, slack in ((12, 0.001), (36, 0.0015)):
        low, high = 0.05 - slack, 0.05 + slack
        found.append(Check(5, f"{looks} looks: error spent", boundary_error(looks), 0, low, high))
    return sorted(found, key=lambda check: check.bar)


def where(cell: Cell) -> str:
    """The cell in words."""
    effect = f", effect +{cell.relative:.0%}" if cell.relative else ""
    waves = f", {cell.waves} waves" if cell.waves > 1 else ""
    return f"{cell.market}, n = {cell.units:,}, holdout {float(cell.holdout):.0%}{effect}{waves}"


def _check(bar: int, cell: Cell, tally: Tally, name: str, low: float, high: float) -> Check:
    label = f"{name.replace('/', ', ')}: {where(cell)}"
    return Check(bar, label, tally.mean(name), tally.error(name), low, high)


def _switch(cell: Cell, tally: Tally) -> Iterator[Check]:
    if cell.study != "intervals" or cell.relative == SMALL:
        return
    n, cover = cell.units, f"switch/{YEAR}/cover"
    if cell.relative == LARGE:
        yield _check(2, cell, tally, cover, 0.92 if n == 60 else 0.935, 1.0)
        if n >= 500:
            yield _check(2, cell, tally, f"switch/{MONTH}/cover", 0.935, 1.0)
        return
    low, high = {60: (0.925, 0.99), 200: (0.93, 0.985)}.get(n, (0.935, 0.975))
    yield _check(1, cell, tally, cover, low, high)
    if n >= 500:
        yield _check(1, cell, tally, f"switch/{MONTH}/cover", 0.935, 0.975)
    if cell.holdout < HALF:
        # A single month of 60 or 200 customers often has no buyer in the holdout at all.
        for outcome in (YEAR, MONTH) if n >= 500 else (YEAR,):
            yield _check(1, cell, tally, f"switch/{outcome}/over", 0.0, 0.045)


def _welch_and_bias(cell: Cell, tally: Tally) -> Iterator[Check]:
    if cell.study != "intervals" or cell.units < 500:
        return
    for outcome in (YEAR, MONTH):
        if cell.holdout == HALF and not cell.relative:
            yield _check(2, cell, tally, f"W1/{outcome}/cover", 0.94, 0.968)
            for tail in ("over", "under"):
                yield _check(2, cell, tally, f"W1/{outcome}/{tail}", 0.013, 0.035)
        errors = tally.mean(f"bias/{outcome}") / tally.error(f"bias/{outcome}")
        label = f"bias in Monte-Carlo errors, {outcome}: {where(cell)}"
        yield Check(3, label, errors, 0.0, -3.0, 3.0, tally.mean(f"warned/{outcome}"))


def _looks(cell: Cell, tally: Tally) -> Iterator[Check]:
    if cell.study not in {"looks", "waves"}:
        return
    if cell.relative:
        for rival, factor in (("GrowthBook", 1.6), ("single", 0.97)):
            gain = tally.mean("spending") - factor * tally.mean(rival)
            error = float(np.hypot(tally.error("spending"), factor * tally.error(rival)))
            label = f"power less {factor} times that of {rival}: {where(cell)}"
            yield Check(4, label, gain, error, 0.0, INFINITE)
    elif cell.holdout == HALF:
        yield _check(4, cell, tally, "spending", 0.038, 0.060)
        yield _check(4, cell, tally, "naive", 0.15, 1.0)
    elif cell.market != "sparse":
        yield _check(4, cell, tally, "spending", 0.040, 0.064)
        yield _check(4, cell, tally, "naive", 0.15, 1.0)


def _others(cell: Cell, tally: Tally) -> Iterator[Check]:
    if cell.study == "paths":
        yield _check(6, cell, tally, "cover", 0.94, 0.99)
    elif cell.study == "permutations":
        yield _check(6, cell, tally, "error", 0.015, 0.07)
    elif cell.study == "reached":
        yield _check(7, cell, tally, "reached/cover", 0.925, 0.975)
    elif cell.study == "returns":
        yield _check(7, cell, tally, "iroi/cover", 0.935, 0.98)
    elif cell.study == "decompositions":
        yield _check(8, cell, tally, "residual", 0.0, 0.0)
        if cell.units >= 500:
            for part in ("reactivation", "frequency", "basket"):
                yield _check(8, cell, tally, f"{part}/cover", 0.915, 0.98)
    elif cell.study == "lost":
        yield _check(9, cell, tally, "size", 0.0, 0.055)
        yield _check(9, cell, tally, "power", 0.99, 1.0)


def _real_orders(cell: Cell, tally: Tally) -> Iterator[Check]:
    if cell.study == "real_orders":
        for outcome in ("6 months", "one month"):
            yield _check(10, cell, tally, f"switch/{outcome}/cover", 0.935, 0.975)
