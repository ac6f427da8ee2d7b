"""Profile intervals of Approach 3 by least squares: the values that no choice of the other parameters can rule out.

A value belongs to the interval where the sum of squares, minimised over everything else, exceeds its minimum S by at
most S F / (n - p), F the quantile of the F distribution with 1 and n - p degrees of freedom (Bates and Watts 1988,
section 6.1). Such intervals follow the curvature of the law, are the same in whatever scale the law is written, and
exist for anything that follows from it: an exponent, a compute-optimal size, a loss.

An end is where a quantity is extreme among the parameters with that sum of squares. It is found by the iteration of
Venzon and Moolgavkar (1988): the sum is taken as quadratic, the quantity as linear, and both are expanded anew. The
ends are approached over several thresholds, which also trace the profile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from sandtable.estimators.scaling.law_result import Interval
from sandtable.estimators.scaling.parametric import FITTED, PARAMETERS, ParametricResult, derive
from sandtable.estimators.scaling.variable_projection import HIGH, LOW, Sample

Quantities = Callable[[np.ndarray], np.ndarray]
"""From all parameters [m, 8] to quantities [m, k]."""

_STAGES = (0.25, 0.5, 0.75, 1.0)  # of the way to the threshold, in the root of the excess
_ITERATIONS = 60
_TOLERANCE = 1e-11  # squared length of a step over the excess that the threshold allows


@dataclass(frozen=True)
class ProfileInterval(Interval):
    """Profile intervals; the sum of squares is minimised anew at each of their ends.

    Attributes:
        result: The fitted law.
        level: See ``Interval``.
        method: Always ``"profile"``.
        resamples: Always 0.
        failed: Always 0; an end that was not found is NaN.
    """

    result: ParametricResult = field(repr=False)
    level: float = 0.95
    method: str = "profile"
    resamples: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        if np.isfinite(self.result.sample.delta):
            raise ValueError("profile intervals are those of least squares; take a bootstrap for huber-log")

    def ends(self, level: float) -> np.ndarray:
        """See ``Interval``."""
        return self.trace(_identity, level)[0][-1]

    def of(self, function: Callable[[np.ndarray], np.ndarray], level: float) -> np.ndarray:
        """See ``Interval``."""

        def logs(params: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log(np.stack([np.atleast_1d(function(one)) for one in params]))

        return np.exp(self.trace(logs, level)[0][-1])

    def trace(self, quantities: Quantities, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the extremes of quantities on the way to the threshold, and the re-optimised sums of squares there.

        Args:
            quantities: What is profiled, k of them.
            level: Confidence of the last stage.

        Returns:
            Values [stages, k, 2] and sums of squares of the same shape; NaN where the iteration did not converge.
        """
        sample, df = self.result.sample, self.result.degrees_of_freedom
        minimum = 0.5 * self.result.objective_sum
        count = quantities(derive(sample.to_params(self.result.theta[None]))).shape[1]
        values = np.full((len(_STAGES), count, 2), np.nan)
        sums = np.full(values.shape, np.nan)
        if df <= 0:
            return values, sums
        excess = minimum * stats.f.ppf(level, 1, df) / df
        index, sign = np.repeat(np.arange(count), 2), np.tile([-1.0, 1.0], count)
        theta = np.tile(self.result.theta, (2 * count, 1))
        for stage, part in enumerate(_STAGES):
            theta, reached, total = _extremes(sample, quantities, theta, index, sign, minimum, excess * part**2)
            found = _chosen(quantities, sample, theta, index)
            values[stage] = np.where(reached, found, np.nan).reshape(count, 2)
            sums[stage] = np.where(reached, 2 * total, np.nan).reshape(count, 2)
        return values, sums


def profiles(interval: ProfileInterval) -> Mapping[str, np.ndarray]:
    """Return the profile of every parameter: its values and the sums of squares there, by rising value, [m, 2]."""
    values, sums = interval.trace(_identity, interval.level)
    result = interval.result
    traced = {}
    for index, name in enumerate(PARAMETERS):
        low, high = values[::-1, index, 0], values[:, index, 1]
        curve = np.column_stack(
            [
                np.concatenate([low, [result.params.iloc[index]], high]),
                np.concatenate([sums[::-1, index, 0], [result.objective_sum], sums[:, index, 1]]),
            ]
        )
        traced[name] = curve[np.isfinite(curve).all(axis=1)]
    return traced


def _identity(params: np.ndarray) -> np.ndarray:
    return params


def _chosen(quantities: Quantities, sample: Sample, theta: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return one quantity of each row, [m]."""
    return np.take_along_axis(quantities(derive(sample.to_params(theta))), index[:, None], axis=1)[:, 0]


def _gradient(quantities: Quantities, sample: Sample, theta: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the gradient of each row's quantity by central differences, [m, 5]."""
    columns = []
    for p in range(FITTED):
        size = 1e-6 * np.maximum(np.abs(theta[:, p]), 1e-6)
        step = np.zeros_like(theta)
        step[:, p] = size
        above = _chosen(quantities, sample, theta + step, index)
        columns.append((above - _chosen(quantities, sample, theta - step, index)) / (2 * size))
    return np.stack(columns, axis=-1)


def _squares(sample: Sample, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return half the sums of squares [m], their gradients [m, 5] and Gauss-Newton Hessians [m, 5, 5]."""
    level, a, b, alpha, beta = theta.T[:, :, None]
    x, y = np.exp(-alpha * sample.u), np.exp(-beta * sample.v)
    model = level + a * x + b * y
    columns = np.stack([np.ones_like(x), x, y, -a * sample.u * x, -b * sample.v * y], axis=1)
    residual = sample.losses - model
    if sample.log:
        columns /= model[:, None]
        residual = np.log(sample.losses / model)
    weighted = columns * sample.weights
    value = 0.5 * np.sum(sample.weights * residual**2, axis=-1)
    return value, -np.einsum("mpn,mn->mp", weighted, residual), weighted @ np.swapaxes(columns, 1, 2)


def _extremes(
    sample: Sample,
    quantities: Quantities,
    start: np.ndarray,
    index: np.ndarray,
    sign: np.ndarray,
    minimum: float,
    excess: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each row's quantity is extreme among the thetas of a sum, whether it was found, and the sum there.

    Args:
        sample: The runs.
        quantities: What is made extreme.
        start: Near the end, centred, [m, 5].
        index: Which quantity of each row, [m].
        sign: 1 for the largest value, -1 for the smallest, [m].
        minimum: Half the least sum of squares.
        excess: By how much half the sum may exceed it, > 0.
    """
    theta, reached, total = start.copy(), np.zeros(len(start), bool), np.full(len(start), np.nan)
    active = np.arange(len(start))
    for _ in range(_ITERATIONS):
        if len(active) == 0:
            break
        here, which = theta[active], index[active]
        value, gradient, hessian = _squares(sample, here)
        slope = sign[active, None] * _gradient(quantities, sample, here, which)
        free = np.ones(here.shape, bool)
        step = _towards(value, gradient, hessian, slope, free, minimum + excess)
        free[:, 0] = here[:, 0] + step[:, 0] > 0
        free[:, 0] |= step[:, 0] > 0
        step = _towards(value, gradient, hessian, slope, free, minimum + excess)
        bound = ~free[:, 0]
        step[bound, 0] = -here[bound, 0]
        length = np.einsum("mi,mij,mj->m", step, hessian, step)
        theta[active] = _shortened(here, step)
        total[active] = value
        open_end = bound & ~np.any(np.abs(slope[:, 1:]) > 1e-8 * np.abs(slope[:, :1]), axis=-1)  # E itself, down to 0
        done = (length <= _TOLERANCE * excess) & ((np.abs(value - minimum - excess) <= 1e-5 * excess) | open_end)
        reached[active[done]] = True
        active = active[~done & np.isfinite(length)]
    return theta, reached, total


def _towards(
    value: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    slope: np.ndarray,
    free: np.ndarray,
    target: float,
) -> np.ndarray:
    """Return the step to the largest linear value on the ellipsoid where the quadratic sum has reached its target."""
    size = np.sqrt(np.diagonal(hessian, axis1=1, axis2=2))
    scale = np.where(free & (size > 0), 1 / np.where(size > 0, size, 1.0), 0.0)
    matrix = hessian * scale[:, :, None] * scale[:, None, :]
    matrix += np.eye(FITTED) * (1e-12 + (scale == 0)[:, None, :])
    finite = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
    matrix = np.where(finite[:, None, None], matrix, np.eye(FITTED))
    right = np.stack([gradient * scale, np.where(finite[:, None], slope, 0.0) * scale], axis=-1)
    solved = np.linalg.solve(matrix, right)
    decrease = np.sum(right[..., 0] * solved[..., 0], axis=-1)
    gain = np.sum(right[..., 1] * solved[..., 1], axis=-1)
    room = np.maximum(2 * (target - value) + decrease, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(gain > 0, np.sqrt(room / gain), 0.0)
    step = (solved[..., 1] * along[:, None] - solved[..., 0]) * scale
    return np.where(finite[:, None], step, np.nan)


def _shortened(theta: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return theta + step; the step is shortened where a term or an exponent would change by more than half."""
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.min(np.where(step[:, 1:] != 0, 0.5 * theta[:, 1:] / np.abs(step[:, 1:]), np.inf), axis=-1)
    moved = theta + np.minimum(part, 1.0)[:, None] * step
    moved[:, 0] = np.maximum(moved[:, 0], 0.0)
    moved[:, 3:] = np.clip(moved[:, 3:], LOW, HIGH)
    return moved
