"""Checks without draws: the boundary against exact integration, W1 against tea-tasting."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import stats

from calibration.draws import effects_of, experiment
from loyalty_exp.stats.ancova import IntervalMethod, interval
from loyalty_exp.stats.looks import boundaries, obrien_fleming

Floats = npt.NDArray[np.float64]

NODES = 600


def spent(boundary: Floats) -> float:
    """Exact chance that a walk with independent steps ever crosses, by the recursion over looks.

    Source: Armitage, McPherson and Rowe (1969).
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    reach = boundary * np.sqrt(np.arange(1, boundary.size + 1))
    points, density = reach[0] * nodes, stats.norm.pdf(reach[0] * nodes)
    for before, limit in pairwise(reach):
        steps = stats.norm.pdf(limit * nodes[:, None] - points[None, :])
        density = steps @ (before * weights * density)
        points = limit * nodes
    return float(1 - reach[-1] * weights @ density)


def boundary_error(looks: int) -> float:
    """What the product's O'Brien-Fleming boundary spends over independent looks; nominal .05."""
    times = np.arange(1, looks + 1)
    correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    return spent(boundaries(correlation, obrien_fleming, 0.05, looks))


def bias_of_all_draws(added: Floats, past: Floats) -> float:
    """Exact bias of pooled CUPED over all simple draws of the same customers.

    Args:
        added: What treating each customer adds, shape (units,).
        past: The covariate, shape (units,).

    Source: `loyalty_exp.stats.leaning.expected_bias`.
    """
    square = (past - past.mean()) ** 2
    return -float(added @ square / square.sum()) / (past.size - 1)


def tea_tasting_gap(draws: int = 5) -> float:
    """Largest relative gap between W1's estimate and limits and tea-tasting's, over a few draws."""
    import pandas as pd
    import tea_tasting as tt

    worst = 0.0
    for seed in range(draws):
        sample = experiment("B2C", 2_000, Fraction(1, 5), 0.1, np.random.default_rng(seed))
        effects = effects_of(sample.comparison(), sample.readings)
        lower, upper = interval(effects, IntervalMethod.W1)
        year = {"y": sample.observed[:, 1], "x": sample.past, "variant": sample.treated * 1}
        frame = pd.DataFrame(year)
        metric = tt.Mean("y", covariate="x", use_t=True, equal_var=False)
        theirs = tt.Experiment(m=metric).analyze(frame)["m"]
        ours = np.array([effects.estimate[1], lower[1], upper[1]])
        other = np.array(
            [theirs.effect_size, theirs.effect_size_ci_lower, theirs.effect_size_ci_upper]
        )
        worst = max(worst, float(np.abs(ours / other - 1).max()))
    return worst
