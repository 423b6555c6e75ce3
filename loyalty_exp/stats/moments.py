"""Additive, centred sample moments: what a query returns and every estimator starts from.

It may not hold customer rows, and it never keeps raw sums of squares, which cancel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Moments"]

Floats = NDArray[np.float64]
Pair = tuple[str, str]

CANCELLED = 1e-13
"""Of what was subtracted from, a remainder this small is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sample moments of p variables over n units; additive and centred.

    Attributes:
        names: The p variables, in the order of the arrays.
        n: Units, those with zero spend included.
        mean: Means, shape (p,), in each variable's unit; zeros when n = 0.
        scatter: Centred sums of cross-products, shape (p, p); n - 1 times the covariances.
        third: For a pair (outcome y, covariate x), the centred sums of yyy, yyx, yxx and xxx,
            shape (4,). Empty where nobody asked for the skewness.
    """

    names: tuple[str, ...]
    n: int
    mean: Floats
    scatter: Floats
    third: Mapping[Pair, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        p = len(self.names)
        if len(set(self.names)) != p:
            raise ValueError("names of variables are repeated")
        if self.mean.shape != (p,) or self.scatter.shape != (p, p):
            raise ValueError(f"{p} names need a mean of shape ({p},) and a scatter of ({p}, {p})")

    @classmethod
    def from_rows(
        cls, names: Sequence[str], rows: Floats, third_pairs: Sequence[Pair] = ()
    ) -> Self:
        """Moments of unit rows.

        Args:
            names: The p variables.
            rows: Values, shape (n, p).
            third_pairs: Pairs (outcome, covariate) whose third moments are kept.

        Returns:
            Their moments.
        """
        rows = np.asarray(rows, dtype=np.float64)
        n = rows.shape[0]
        mean = rows.mean(axis=0) if n else np.zeros(rows.shape[1])
        centred = rows - mean
        place = {name: index for index, name in enumerate(names)}
        third: dict[Pair, Floats] = {}
        for covariate in dict.fromkeys(x for _, x in third_pairs):
            pairs = [pair for pair in third_pairs if pair[1] == covariate]
            y, x = centred[:, [place[name] for name, _ in pairs]], centred[:, place[covariate]]
            square, x_square = y * y, x * x
            alone = np.full(len(pairs), x @ x_square)
            sums = [np.einsum("ij,ij->j", square, y), x @ square, x_square @ y, alone]
            third |= dict(zip(pairs, np.stack(sums, axis=1), strict=True))
        return cls(tuple(names), n, mean, centred.T @ centred, third)

    @classmethod
    def from_sums(
        cls,
        names: Sequence[str],
        n: int,
        shift: Floats,
        sums: Floats,
        products: Floats,
        *,
        third_sums: Mapping[Pair, Floats] | None = None,
    ) -> Self:
        """Moments from sums about a constant, as a query returns them.

        Args:
            names: The p variables.
            n: Units counted, those with zero spend included.
            shift: The constant subtracted from each variable first, shape (p,); near the mean, so
                that nothing cancels.
            sums: Sums of v - shift, shape (p,).
            products: Sums of (v - shift)(w - shift)', shape (p, p).
            third_sums: Sums of yyy, yyx, yxx, xxx about the shift, shape (4,), for pairs (y, x).

        Returns:
            The same moments as `from_rows` on the units; a constant variable has exactly no
            scatter, where the sums would leave rounding noise.
        """
        p = len(names)
        if n == 0:
            return cls(tuple(names), 0, np.zeros(p), np.zeros((p, p)))
        shift = np.asarray(shift, dtype=np.float64)
        offset = np.asarray(sums, dtype=np.float64) / n
        products = np.asarray(products, dtype=np.float64)
        scatter = products - n * np.outer(offset, offset)
        constant = np.diag(scatter) <= CANCELLED * np.diag(products)
        scatter[constant] = scatter[:, constant] = 0.0
        mean = np.where(np.abs(shift + offset) <= CANCELLED * np.abs(shift), 0.0, shift + offset)
        plain = cls(tuple(names), n, mean, scatter)
        return plain.with_third(third_sums, shift) if third_sums else plain

    def with_third(self, third_sums: Mapping[Pair, Floats], shift: Floats) -> Self:
        """These moments with third moments, given as sums about a constant.

        Args:
            third_sums: Sums of yyy, yyx, yxx, xxx about `shift`, shape (4,), for pairs (y, x).
            shift: The constant subtracted from each of the p variables, shape (p,).

        Returns:
            The same first and second moments, with centred third moments of these pairs only.
        """
        if not third_sums:
            return replace(self, third={})
        pairs = list(third_sums)
        raw = np.array([third_sums[pair] for pair in pairs], dtype=np.float64)
        y, x = self._positions(pairs)
        centred = raw - _third_shift(self.mean - shift, self.scatter, self.n, y, x)
        return replace(self, third=dict(zip(pairs, centred, strict=True)))

    def __add__(self, other: Moments) -> Self:
        """Moments of two disjoint groups together; third moments where both groups have them.

        Source: Chan, Golub and LeVeque (1983), eq. 2.1; Pebay (2008), eq. 2.1 for the third.
        """
        if self.names != other.names:
            raise ValueError("moments of different variables cannot be pooled")
        if other.n == 0:
            return self
        if self.n == 0:
            return replace(
                self, n=other.n, mean=other.mean, scatter=other.scatter, third=other.third
            )
        n = self.n + other.n
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        pairs = [pair for pair in self.third if pair in other.third]
        third: dict[Pair, Floats] = {}
        if pairs:
            y, x = self._positions(pairs)
            total = np.zeros((len(pairs), 4))
            for group in (self, other):
                total += np.array([group.third[pair] for pair in pairs])
                total += _third_shift(group.mean - mean, group.scatter, group.n, y, x)
            third = dict(zip(pairs, total, strict=True))
        return replace(self, n=n, mean=mean, scatter=scatter, third=third)

    def transform(
        self, names: Sequence[str], matrix: Floats, third: Mapping[Pair, Floats] | None = None
    ) -> Self:
        """Moments of linear combinations: cumulative sums, margin minus cost.

        Args:
            names: The q new variables.
            matrix: Weights of the p variables in each, shape (q, p).
            third: Centred third moments of the new variables, where they are known. Third moments
                of combinations do not follow from those of the parts, so none are carried over.

        Returns:
            Moments of the q new variables.
        """
        matrix = np.asarray(matrix, dtype=np.float64)
        return replace(
            self,
            names=tuple(names),
            mean=matrix @ self.mean,
            scatter=matrix @ self.scatter @ matrix.T,
            third=dict(third or {}),
        )

    def select(self, names: Sequence[str]) -> Self:
        """Moments of some variables, in the order asked for; their third moments stay."""
        place = {name: index for index, name in enumerate(self.names)}
        unknown = [name for name in names if name not in place]
        if unknown:
            raise ValueError(f"no moments of {unknown[0]!r}")
        keep = [place[name] for name in names]
        wanted = set(names)
        return replace(
            self,
            names=tuple(names),
            mean=self.mean[keep],
            scatter=self.scatter[np.ix_(keep, keep)],
            third={pair: sums for pair, sums in self.third.items() if wanted.issuperset(pair)},
        )

    def position(self, name: str) -> int:
        """Place of a variable in the arrays; raises ValueError for an unknown one."""
        if name not in self.names:
            raise ValueError(f"no moments of {name!r}")
        return self.names.index(name)

    def covariance(self) -> Floats:
        """Covariance matrix with divisor n - 1, shape (p, p); NaN below two units."""
        if self.n < 2:
            return np.full_like(self.scatter, np.nan)
        return self.scatter / (self.n - 1)

    def covariance_of(self, a: str, b: str) -> float:
        """Covariance of two variables with divisor n - 1; NaN below two units."""
        scatter = self.scatter[self.position(a), self.position(b)]
        return float(scatter) / (self.n - 1) if self.n > 1 else float("nan")

    def mean_of(self, name: str) -> float:
        """Mean of one variable, in its unit; NaN without units."""
        return float(self.mean[self.position(name)]) if self.n else float("nan")

    def _positions(self, pairs: Sequence[Pair]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        place = {name: index for index, name in enumerate(self.names)}
        unknown = {name for pair in pairs for name in pair} - place.keys()
        if unknown:
            raise ValueError(f"no moments of {', '.join(sorted(unknown))}")
        y = np.array([place[pair[0]] for pair in pairs], dtype=np.intp)
        x = np.array([place[pair[1]] for pair in pairs], dtype=np.intp)
        return y, x


def _third_shift(
    gap: Floats, scatter: Floats, n: int, y: NDArray[np.intp], x: NDArray[np.intp]
) -> Floats:
    """What third sums about (mean - gap) exceed the centred ones by, for m pairs: shape (m, 4)."""
    triples = ((y, y, y), (y, y, x), (y, x, x), (x, x, x))
    return np.stack(
        [
            gap[a] * scatter[b, c]
            + gap[b] * scatter[a, c]
            + gap[c] * scatter[a, b]
            + n * gap[a] * gap[b] * gap[c]
            for a, b, c in triples
        ],
        axis=1,
    )
