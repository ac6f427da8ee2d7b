"""The best E + A/N^alpha + B/D^beta for a sample of runs: a grid of exponents, then a polish of all five together.

For given exponents the law is linear in (E, A, B) >= 0, so a search needs only two dimensions (variable projection,
Golub and Pereyra 1973; arXiv 2603.22339). Every cell of a grid of exponents is solved for its coefficients; the local
minima of that map are polished by Levenberg-Marquardt, and the best is kept. Nothing is taken from prior knowledge of
the answer: sizes and data are divided by their geometric means, and the rest is the grid.

The objective is sum_i w_i rho(r_i), with rho Huber's loss of threshold delta (r^2/2 where it is infinite), and
residuals r = ln L - ln(model) or r = L - model. The polish uses Newton's Hessian, damped by the majorant that
reweighting minimises: where all but few residuals lie beyond delta (a delta of .001 makes the fit nearly one of least
absolute deviations), reweighting alone converges slowly and Newton's method alone not at all.

A whole batch of samples is polished at once, which is what bootstraps need. With numba (the extra ``fast``) the loops
of ``variable_projection_kernels`` do the same.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sandtable.estimators.scaling.variable_projection_kernels import polish_compiled, project_compiled
from sandtable.simulators import compilation

EXPONENTS = np.geomspace(0.02, 3.0, 20)
"""The grid of both exponents."""

LOW, HIGH = 1e-3, 10.0
"""Bounds of both exponents."""

_ITERATIONS, _TOLERANCE, _REWEIGHTINGS = 200, 1e-9, 4
_STARTS = 6
_BLOCK = 256  # rows polished at once: what their arrays need stays in the cache


@dataclass(frozen=True)
class Sample:
    """Runs to be fitted, with the objective.

    Attributes:
        parameters: N, > 0, [n].
        data: D, > 0, [n].
        losses: L, > 0, [n].
        weights: >= 0, [n].
        log: Whether residuals are those of the logarithms.
        delta: Threshold of Huber's loss; infinite for least squares.
    """

    parameters: np.ndarray
    data: np.ndarray
    losses: np.ndarray
    weights: np.ndarray
    log: bool = True
    delta: float = 1e-3

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Return the means of ln N and ln D."""
        return float(np.log(self.parameters).mean()), float(np.log(self.data).mean())

    @cached_property
    def u(self) -> np.ndarray:
        """Return ln N less its mean, [n]."""
        return np.log(self.parameters) - self.centre[0]

    @cached_property
    def v(self) -> np.ndarray:
        """Return ln D less its mean, [n]."""
        return np.log(self.data) - self.centre[1]

    def with_losses(self, losses: np.ndarray) -> "Sample":
        """Return the same runs with other losses [n]."""
        return replace(self, losses=losses)

    def to_params(self, theta: np.ndarray) -> np.ndarray:
        """Return (E, A, B, alpha, beta) of the centred theta, both [..., 5]."""
        params = np.array(theta, float)
        params[..., 1] *= np.exp(params[..., 3] * self.centre[0])
        params[..., 2] *= np.exp(params[..., 4] * self.centre[1])
        return params

    def to_theta(self, params: np.ndarray) -> np.ndarray:
        """Return the centred (E, A N0^-alpha, B D0^-beta, alpha, beta), with geometric means N0, D0; both [..., 5]."""
        theta = np.array(params, float)
        theta[..., 1] *= np.exp(-theta[..., 3] * self.centre[0])
        theta[..., 2] *= np.exp(-theta[..., 4] * self.centre[1])
        return theta


@dataclass(frozen=True)
class Polished:
    """Where starts were polished to.

    Attributes:
        theta: Centred parameters, see ``Sample.to_theta``, [m, 5].
        objective: [m].
        gradient_norm: The largest cosine between the residuals and a column of the Jacobian (MINPACK's measure), [m].
        converged: Whether it is a stationary point, bool [m].
    """

    theta: np.ndarray
    objective: np.ndarray
    gradient_norm: np.ndarray
    converged: np.ndarray

    def of(self, index: np.ndarray) -> "Polished":
        """Return the rows of integer indices."""
        return Polished(
            self.theta[index], self.objective[index], self.gradient_norm[index], self.converged[index]
        )


def fit(sample: Sample, low: float = LOW, high: float = HIGH) -> Polished:
    """Return the local minima found from the grid, the best first.

    Args:
        sample: What is fitted.
        low: Lower bound of both exponents, > 0.
        high: Upper bound of both exponents.
    """
    starts = grid_starts(sample, np.clip(EXPONENTS, low, high))
    shape = (len(starts), len(sample.losses))
    found = polish(
        sample, np.broadcast_to(sample.losses, shape), np.broadcast_to(sample.weights, shape), starts, low, high
    )
    return found.of(np.argsort(found.objective, kind="stable"))


def refit(sample: Sample, losses: np.ndarray, weights: np.ndarray, starts: np.ndarray) -> Polished:
    """Return the best fit of each of many samples of the same sizes, from the same starts.

    Args:
        sample: Sizes, data and objective.
        losses: One row a sample, or one for all, [m, n] or [n].
        weights: The same; a run drawn twice has twice the weight.
        starts: Centred parameters, [s, 5].
    """
    shape = (max(np.atleast_2d(losses).shape[0], np.atleast_2d(weights).shape[0]), len(sample.losses))
    losses, weights = np.broadcast_to(losses, shape), np.broadcast_to(weights, shape)
    count = len(starts)
    found = polish(
        sample, np.repeat(losses, count, axis=0), np.repeat(weights, count, axis=0), np.tile(starts, (shape[0], 1))
    )
    best = np.argmin(found.objective.reshape(-1, count), axis=1)
    return found.of(np.arange(shape[0]) * count + best)


def distinct(found: Polished, most: int = 3) -> np.ndarray:
    """Return the different minima among those found, the best first, [at most ``most``, 5]."""
    kept: list[np.ndarray] = []
    for theta in found.theta:
        if all(np.max(np.abs(theta - one)) > 1e-4 * np.max(np.abs(one)) for one in kept):
            kept.append(theta)
    return np.stack(kept[:most])


def grid_starts(sample: Sample, exponents: np.ndarray = EXPONENTS) -> np.ndarray:
    """Return where to start: the local minima of the grid of exponents, the best first, [at most 6, 5]."""
    linear, objectives = project(sample, exponents, exponents)
    edges = np.pad(objectives, 1, constant_values=np.inf)
    around = [edges[1 + i : edges.shape[0] - 1 + i, 1 + j : edges.shape[1] - 1 + j] for i, j in _NEIGHBOURS]
    minima = np.where(objectives <= np.min(around, axis=0), objectives, np.inf)
    order = np.argsort(minima, axis=None, kind="stable")[:_STARTS]
    order = order[np.isfinite(minima.ravel()[order])]
    first, second = np.unravel_index(order, objectives.shape)
    return np.column_stack([linear[first, second], exponents[first], exponents[second]])


_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


def project(sample: Sample, alphas: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the centred coefficients (E, a, b) >= 0 for every pair of exponents, and the objective there.

    Residuals of logarithms are taken relative to the loss, and Huber's loss by four reweightings: starts, not answers.

    Args:
        sample: What is fitted.
        alphas: Exponents of the size, [g].
        betas: Exponents of the data, [h].

    Returns:
        Coefficients [g, h, 3] and objectives [g, h].
    """
    x, y = np.exp(-np.outer(alphas, sample.u)), np.exp(-np.outer(betas, sample.v))
    turns = _REWEIGHTINGS if np.isfinite(sample.delta) else 0
    if compilation.AVAILABLE:
        own_losses, own_weights = (np.array(array, order="C") for array in (sample.losses, sample.weights))
        return project_compiled(x, y, own_losses, own_weights, sample.log, sample.delta, turns)
    design = np.empty((len(alphas), len(betas), 3, len(sample.losses)))
    design[..., 0, :], design[..., 1, :], design[..., 2, :] = 1.0, x[:, None], y[None]
    relative = sample.losses**-2.0 if sample.log else np.ones_like(sample.losses)
    reweighted = np.broadcast_to(sample.weights, (len(alphas), len(betas), len(sample.losses)))
    for turn in range(turns + 1):
        weighted = design * (reweighted * relative)[..., None, :]
        linear = _nonnegative(weighted @ np.swapaxes(design, -1, -2), weighted @ sample.losses)
        model = np.einsum("ghp,ghpn->ghn", linear, design)
        size = np.abs(np.log(sample.losses / model) if sample.log else sample.losses - model)
        if turn < turns:
            with np.errstate(divide="ignore"):
                reweighted = sample.weights * np.minimum(1.0, sample.delta / size)
    return linear, np.sum(sample.weights * _huber(size, sample.delta), axis=-1)


def _huber(size: np.ndarray, delta: float) -> np.ndarray:
    """Return Huber's loss of absolute residuals."""
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)


def _nonnegative(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return non-negative least-squares solutions [..., 3] of normal equations, by trying every set of columns."""
    best, solution = np.zeros(right.shape[:-1]), np.zeros(right.shape)
    for columns in ([0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]):
        square = matrix[..., columns, :][..., columns] * (1.0 + 1e-13 * np.eye(len(columns)))
        part = np.linalg.solve(square + 1e-300 * np.eye(len(columns)), right[..., columns, None])[..., 0]
        gain = -np.sum(part * right[..., columns], axis=-1)
        better = (gain < best) & np.all(part >= 0, axis=-1)
        best = np.where(better, gain, best)
        whole = np.zeros(right.shape)
        whole[..., columns] = part
        solution = np.where(better[..., None], whole, solution)
    return solution


def polish(
    sample: Sample,
    losses: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    low: float = LOW,
    high: float = HIGH,
) -> Polished:
    """Return the local minimum of each start, each on a sample of its own.

    Args:
        sample: Sizes, data and objective.
        losses: [m, n].
        weights: [m, n].
        starts: Centred parameters, [m, 5].
        low: Lower bound of both exponents, > 0.
        high: Upper bound of both exponents.
    """
    if compilation.AVAILABLE:
        # of one type: compiled once
        own_losses, own_weights, own_starts = (np.array(array, order="C") for array in (losses, weights, starts))
        theta, objective, cosine, stationary = polish_compiled(
            sample.u, sample.v, own_losses, own_weights, own_starts, sample.log, sample.delta, low, high,
            _ITERATIONS, _TOLERANCE,
        )  # fmt: skip
    else:
        parts = [
            _polish_block(sample, losses[block], weights[block], starts[block], low, high)
            for block in (slice(first, first + _BLOCK) for first in range(0, len(starts), _BLOCK))
        ]
        theta, objective, cosine, stationary = (np.concatenate(part) for part in zip(*parts, strict=True))
    typical = np.ones(len(starts)) if sample.log else np.mean(losses, axis=-1)
    exact = np.sqrt(2 * objective / np.sum(weights, axis=-1)) < 1e-13 * typical  # all residuals are rounding
    return Polished(theta, objective, np.where(exact, 0.0, cosine), stationary | exact | (cosine < 1e-7))


@dataclass
class _Expansion:
    """The objective about a point: its value [m], gradient [m, 5], Hessian and majorant [m, 5, 5]."""

    value: np.ndarray
    gradient: np.ndarray
    newton: np.ndarray
    majorant: np.ndarray

    def take(self, other: "_Expansion", rows: np.ndarray) -> None:
        """Take over some rows of another."""
        for name in ("value", "gradient", "newton", "majorant"):
            getattr(self, name)[rows] = getattr(other, name)[rows]

    def of(self, rows: np.ndarray) -> "_Expansion":
        """Return some rows."""
        return _Expansion(self.value[rows], self.gradient[rows], self.newton[rows], self.majorant[rows])


def _expand(sample: Sample, losses: np.ndarray, weights: np.ndarray, theta: np.ndarray) -> _Expansion:
    """Return the expansion at each theta [m, 5].

    With m(theta) the model or its logarithm and psi = rho'(r): the gradient is -sum w psi grad m, the Hessian
    sum w (rho'' grad m grad m^T - psi grad^2 m), the majorant sum w (psi/r) grad m grad m^T.
    """
    level, a, b, alpha, beta = theta.T[:, :, None]
    x, y = np.exp(-alpha * sample.u), np.exp(-beta * sample.v)
    model = level + a * x + b * y
    residual = losses - model
    scale = np.ones_like(model)
    if sample.log:
        scale = 1.0 / model
        residual = np.log1p(residual * scale)
    x *= scale
    y *= scale
    columns = np.stack([scale, x, y, -a * sample.u * x, -b * sample.v * y], axis=1)
    size = np.abs(residual)
    influence = weights * np.clip(residual, -sample.delta, sample.delta)
    with np.errstate(divide="ignore", invalid="ignore"):
        reweighted = weights * np.where(size <= sample.delta, 1.0, sample.delta / size)
    curvature = weights * (size <= sample.delta)
    if sample.log:
        curvature = curvature + influence
    transposed = np.swapaxes(columns, 1, 2)
    newton = (columns * curvature[:, None]) @ transposed
    for p, lever in ((1, sample.u), (2, sample.v)):
        mixed = np.sum(influence * lever * columns[:, p], axis=-1)
        newton[:, p, p + 2] += mixed
        newton[:, p + 2, p] += mixed
        newton[:, p + 2, p + 2] += np.sum(influence * lever * columns[:, p + 2], axis=-1)
    return _Expansion(
        np.sum(weights * _huber(size, sample.delta), axis=-1),
        -np.einsum("mpn,mn->mp", columns, influence),
        newton,
        (columns * reweighted[:, None]) @ transposed,
    )


def _free(theta: np.ndarray, gradient: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which coordinates may move: not those that are pushed against their bound, bool [m, 5]."""
    free = np.ones(theta.shape, bool)
    free[:, :3] = (theta[:, :3] > 0) | (gradient[:, :3] < 0)
    stuck = ((theta[:, 3:] <= low) & (gradient[:, 3:] > 0)) | ((theta[:, 3:] >= high) & (gradient[:, 3:] < 0))
    free[:, 3:] = (theta[:, 1:3] > 0) & ~stuck
    return free


def _polish_block(
    sample: Sample, losses: np.ndarray, weights: np.ndarray, starts: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return thetas, objectives, cosines and whether each is stationary, for a block of starts."""
    theta, stationary = np.array(starts, float), np.zeros(len(starts), bool)
    typical = np.sum(weights * losses, axis=-1) / np.sum(weights, axis=-1)
    damping = np.full(len(starts), 1e-2)
    at = _expand(sample, losses, weights, theta)
    active = np.arange(len(starts))
    for _ in range(_ITERATIONS):
        if len(active) == 0:
            break
        here = at.of(active)
        free = _free(theta[active], here.gradient, low, high)
        step, definite = _damped_step(here, free, damping[active])
        trial = _within(theta[active], step, typical[active], low, high)
        reference = np.column_stack([np.repeat(typical[active, None], 3, axis=1), theta[active, 3:]])
        moved = np.max(np.abs(trial - theta[active]) / reference, axis=-1)
        new = _expand(sample, losses[active], weights[active], trial)
        better = (new.value < here.value) & definite
        settled = damping[active]
        damping[active] = np.where(
            better, np.where(settled > 1e-12, 0.1 * settled, 0.0), np.maximum(10.0 * settled, 1e-8)
        )
        here.take(new, better)
        for name in ("value", "gradient", "newton", "majorant"):
            getattr(at, name)[active] = getattr(here, name)
        theta[active] = np.where(better[:, None], trial, theta[active])
        done = definite & (moved <= _TOLERANCE) & (settled <= 1e-2)
        stationary[active[done]] = True
        active = active[~done & (damping[active] <= 1e12)]
    diagonal = np.diagonal(at.majorant, axis1=1, axis2=2)
    inside = _free(theta, at.gradient, low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.abs(at.gradient) / np.sqrt(2 * diagonal * at.value[:, None])
    return theta, at.value, np.max(np.where(inside & np.isfinite(cosine), cosine, 0.0), axis=-1), stationary


def _damped_step(here: _Expansion, free: np.ndarray, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps [m, 5], and where the damped Hessian is positive definite, bool [m]."""
    identity = np.eye(5)
    factor = damping[:, None, None] * (1 + 0.1 * identity)
    both = free[:, :, None] & free[:, None, :]
    matrix = np.where(both, here.newton + factor * here.majorant, identity * ~free[:, None, :])
    with np.errstate(divide="ignore", invalid="ignore"):  # scaled to a diagonal of one, then by eigenvalues
        root = 1 / np.sqrt(np.diagonal(matrix, axis1=1, axis2=2))
        scaled = matrix * root[:, :, None] * root[:, None, :]
    definite = np.all(np.isfinite(scaled), axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(definite[:, None, None], scaled, identity))
    definite &= values[:, 0] > 1e-15
    right = np.where(free, -here.gradient, 0.0) * np.where(definite[:, None], root, 1.0)
    values = np.where(definite[:, None], values, 1.0)
    solved = np.einsum("mij,mj->mi", vectors, np.einsum("mji,mj->mi", vectors, right) / values)
    return np.where(definite[:, None], solved * root, 0.0), definite


def _within(theta: np.ndarray, step: np.ndarray, typical: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return theta + step within the bounds; a coefficient may fall to a tenth, an exponent move by a factor of 3."""
    trial = theta + step
    trial[:, 0] = np.maximum(trial[:, 0], 0.0)
    coefficients = np.maximum(trial[:, 1:3], 0.1 * theta[:, 1:3])
    trial[:, 1:3] = np.where(coefficients < 1e-12 * typical[:, None], 0.0, coefficients)
    trial[:, 3:] = np.clip(np.clip(trial[:, 3:], theta[:, 3:] / 3, 3 * theta[:, 3:]), low, high)
    return trial
