"""Means over simulated draws with their Monte-Carlo errors; additive over blocks of draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Tally:
    """Named means: number of values, their sum and their sum of squares."""

    sums: dict[str, Floats] = field(default_factory=dict)

    def add(self, name: str, values: npt.ArrayLike) -> None:
        """Counts the values of some draws, shape (draws,); NaN counts as no value."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if known.size:
            found = np.array([known.size, known.sum(), known @ known])
            self.sums[name] = self.sums.get(name, np.zeros(3)) + found

    def interval(
        self,
        name: str,
        lower: Floats,
        upper: Floats,
        truth: npt.ArrayLike,
        unit: npt.ArrayLike = np.nan,
    ) -> None:
        """Counts intervals, (draws,): whether there is one, covers, lies above, width in units."""
        known = np.isfinite(lower) & np.isfinite(upper)
        self.add(f"{name}/known", known)
        with np.errstate(invalid="ignore", divide="ignore"):
            measures = {
                "cover": (lower <= truth) & (truth <= upper),
                "over": lower > truth,
                "under": upper < truth,
                "width": (upper - lower) / unit,
            }
        for measure, values in measures.items():
            self.add(f"{name}/{measure}", np.where(known, values, np.nan))

    def merge(self, other: Self) -> None:
        """Adds another block of draws."""
        for name, sums in other.sums.items():
            self.sums[name] = self.sums.get(name, np.zeros(3)) + sums

    def mean(self, name: str) -> float:
        """Mean over draws; NaN if no draw had a value."""
        n, total, _ = self.sums.get(name, np.zeros(3))
        return float(total / n) if n else float("nan")

    def error(self, name: str) -> float:
        """Monte-Carlo standard error of the mean; a proportion's never 0 (Agresti and Coull)."""
        n, total, squares = self.sums.get(name, np.zeros(3))
        if not n:
            return float("nan")
        if total == squares:
            share = (total + 2) / (n + 4)
            return float(np.sqrt(share * (1 - share) / (n + 4)))
        return self.spread(name) / float(np.sqrt(n))

    def spread(self, name: str) -> float:
        """Standard deviation of one value."""
        n, total, squares = self.sums.get(name, np.zeros(3))
        return float(np.sqrt(max(squares / n - (total / n) ** 2, 0.0))) if n else float("nan")
