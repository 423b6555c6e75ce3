"""A campaign of the demonstration from its files: pandas, statsmodels and scipy, no code of ours.

The files are the order lines and the two lists that the launch wrote; the terms are those of
demo.toml. The whole calculation is here to be read beside the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats

MARGIN_RATE, FIXED, LETTER = 0.25, 1500.0, 0.9
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class ByHand:
    """Residuals of cumulative revenue on the past, (households, looks), and who had the letter."""

    treated: pd.Series
    residuals: pd.DataFrame

    @property
    def sizes(self) -> tuple[int, int]:
        return int(self.treated.sum()), int((~self.treated).sum())

    @property
    def last(self) -> stats._result_classes.TtestResult:
        """Welch's test of the whole follow-up."""
        whole = self.residuals.iloc[:, -1]
        return stats.ttest_ind(whole[self.treated], whole[~self.treated], equal_var=False)

    @property
    def effects(self) -> np.ndarray:
        """Effect per household at each look."""
        means = self.residuals.groupby(self.treated).mean()
        return (means.loc[True] - means.loc[False]).to_numpy()

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the looks: each arm's own."""
        sides = (self.residuals[self.treated], self.residuals[~self.treated])
        return sum(side.cov().to_numpy() / len(side) for side in sides)

    @property
    def cost(self) -> float:
        return FIXED + LETTER * self.sizes[0]

    def crossed_by(self, boundary: np.ndarray) -> float:
        """Chance that some look lies beyond its boundary without an effect (Genz's integral)."""
        spread = np.sqrt(np.diag(self.covariance))[: len(boundary)]
        correlation = self.covariance[: len(boundary), : len(boundary)] / np.outer(spread, spread)
        looks = stats.multivariate_normal(
            cov=correlation, allow_singular=True, seed=1, maxpts=200_000, abseps=1e-6
        )
        return 1 - float(looks.cdf(boundary, lower_limit=-boundary))


def by_hand(folder: Path, run: str) -> ByHand:
    """The calculation on the files of a run of the demonstration, in its folder."""
    lines = pd.read_parquet(folder / "transactions.parquet")
    stamps = lines["transaction_timestamp"].dt.tz_localize("UTC")
    months = stamps.dt.tz_convert("America/New_York").dt.month
    keys = [lines["household_id"].astype(str), months]
    spend = lines.groupby(keys)["sales_value"].sum().unstack(fill_value=0.0)
    lists = [
        pd.read_csv(folder / "lists" / run / "wave-0" / f"{name}.csv", dtype=str)["customer_id"]
        for name in ("letter", "do-not-contact")
    ]
    households = pd.concat(lists, ignore_index=True)
    spend = spend.reindex(households).fillna(0.0)
    past = spend[[1, 2, 3, 4]].sum(axis=1)
    looks = spend[list(range(5, 13))].cumsum(axis=1)
    fitted = {month: sm.OLS(looks[month], sm.add_constant(past)).fit() for month in looks}
    residuals = pd.DataFrame({month: fit.resid for month, fit in fitted.items()})
    return ByHand(households.isin(lists[0]).set_axis(residuals.index), residuals)


def spending(look: int, looks: int) -> float:
    """Error that an O'Brien-Fleming type function spends by a look (Lan and DeMets 1983)."""
    return float(4 * stats.norm.sf(stats.norm.isf(ALPHA / 4) / np.sqrt(look / looks)))
