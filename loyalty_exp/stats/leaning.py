"""Which way an adjusted effect leans, and by how much: the pooled slope depends on the draw.

It says what to expect of the estimate; it never corrects it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loyalty_exp.stats.intervals import IntervalMethod, method_covariance

if TYPE_CHECKING:
    from loyalty_exp.stats.ancova import JointEffects

__all__ = ["ExpectedBias", "expected_bias"]

MATERIAL = 0.04
"""Standard errors from which on a bias is worth a warning."""
KNOWN = 1.0
"""Standard errors from which on an effect is taken for one."""


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedBias:
    """Bias expected of q adjusted effects.

    Attributes:
        amount: In the unit of the outcome, (q,); below 0 where the figure is too low. NaN unknown.
        in_errors: The same in standard errors of the estimate, (q,).
        material: Whether to warn, (q,).
    """

    amount: NDArray[np.float64]
    in_errors: NDArray[np.float64]
    material: NDArray[np.bool_]


def expected_bias(effects: JointEffects, method: IntervalMethod) -> ExpectedBias:
    """Bias expected of pooled CUPED when treated customers spend in proportion to their worth.

    With d = X - mean(X), treated customers of effect tau_i move the pooled slope by
    sum tau_i d_i / sum d^2. Over all draws that slope goes together with the difference of the
    arms in X, so that the estimate has exactly the bias -sum tau_i d_i^2 / sum d^2 / (N - 1),
    whatever the shares of the arms. With tau_i in proportion to the expected outcome
    m + theta d_i, this is tau (1 + theta k3(X) / (m S(X,X))) / (N - 1) towards zero: nothing in
    large samples, a tenth of a standard error where a few customers hold the variance of X.

    It is material from .04 standard errors, provided that the effect itself is one standard error
    or more: without an effect there is no bias, and its estimate is noise. Both were chosen by
    simulation, see the page of calibration.

    Args:
        effects: The effects, estimated with third moments.
        method: The frozen method, for the standard error; `TOO_FEW` never warns.

    Source: Freedman (2008), On regression adjustments to experimental data, for its order 1/N;
        Cochran (1977), section 2.9, for the covariance of two means over all draws.
    """
    treated, control = method_covariance(effects, method)
    error = np.sqrt(np.diag(treated) + np.diag(control))
    amount = effects.slope_bias * effects.estimate
    with np.errstate(invalid="ignore", divide="ignore"):
        in_errors = amount / error
        seen = np.abs(effects.estimate) >= KNOWN * error
    material = seen & (np.abs(in_errors) >= MATERIAL) & (method is not IntervalMethod.TOO_FEW)
    return ExpectedBias(amount, in_errors, material)
