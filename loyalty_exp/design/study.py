"""What the past teaches of a campaign: its audiences at earlier dates, and the last as a forecast.

Reads through `Past`; keeps arrays and means, no database.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loyalty_exp.declare.frozen import month_label
from loyalty_exp.design.forecast import LongerWindow, PastPeriod
from loyalty_exp.design.past import History, Past, detectable_by_length
from loyalty_exp.design.replay import PastAudience

__all__ = ["Study", "month_after", "study_past"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was read of the past."""

    history: History
    audiences: tuple[PastAudience, ...]
    """Latest first; none without history."""
    period: PastPeriod | None
    longer: tuple[LongerWindow, ...]


def study_past(past: Past, history: History, seed: str, largest: int) -> Study:
    """Read the past audiences, each once.

    Args:
        past: the campaign's past.
        history: months at hand.
        seed: which units are taken of larger audiences.
        largest: most units taken of one.
    """
    found = [past.replayed(start, history, seed=seed, largest=largest) for start in history.starts]
    audiences = tuple(each for each in found if each is not None and each.units > 3)
    if not audiences:
        return Study(history, (), None, ())
    lengths = past.lengths(history, seed=seed, largest=largest)
    longer: tuple[LongerWindow, ...] = ()
    if lengths is not None:
        ratios = detectable_by_length(*lengths, past.campaign.alpha)[1:]
        longer = tuple(
            LongerWindow(extra, float(ratio))
            for extra, ratio in enumerate(ratios, start=1)
            if np.isfinite(ratio)
        )
    return Study(history, audiences, _period(audiences[0], history), longer)


def _period(past: PastAudience, history: History) -> PastPeriod:
    """The latest past audience as means and residual standard deviations."""
    return PastPeriod(
        first_month=month_after(past.as_of),
        months=past.months,
        planned_months=max(1, history.planned),
        covariate_months=past.covariate_months,
        units=past.audience,
        mean=float(past.outcome.mean()),
        residual_sd=_residual_sd(past.outcome, past.covariate),
        margin_mean=float(past.margin.mean()),
        margin_residual_sd=_residual_sd(past.margin, past.margin_covariate),
    )


def _residual_sd(outcome: Floats, covariate: Floats) -> float:
    """Standard deviation of Y - theta X, theta pooled over all units; divisor n - 2."""
    y, x = outcome - outcome.mean(), covariate - covariate.mean()
    theta = (x @ y) / (x @ x) if x @ x > 0 else 0.0
    return float(np.sqrt(((y - theta * x) ** 2).sum() / (y.size - 2)))


def month_after(day: dt.date) -> str:
    """YYYY-MM of the month after that of a day."""
    return month_label(day.year * 12 + day.month + 1)
