"""Approach 3: a loss that falls with size and data to a floor, L = E + A/N^alpha + B/D^beta, fitted to runs.

The law and its compute-optimal sizes are those of arXiv 2203.15556 (equations 2 and 4): where C = k N D, the best size
is N* = G (C/k)^a and the best amount of data D* = (C/k)^b / G, with a = beta / (alpha + beta), b = 1 - a and
G = (alpha A / (beta B))^(1 / (alpha + beta)). The fit is by variable projection, see ``variable_projection``.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from sandtable.estimators.scaling.law_result import LawResult, WaldInterval, gradient_of
from sandtable.estimators.scaling.variable_projection import HIGH, LOW, Sample, distinct, fit
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Finding

Objective = Literal["huber-log", "ls-log", "ls"]

PARAMETERS = ("E", "A", "B", "alpha", "beta", "N_exponent", "D_exponent", "G")
FITTED = 5
"""How many of the parameters are fitted; the others follow from them."""

_LOGS = tuple(name in ("A", "B", "G") for name in PARAMETERS)  # whose intervals are made in logs
_SAME_BUDGET = 0.05


def derive(params: np.ndarray) -> np.ndarray:
    """Return all ``PARAMETERS`` [..., 8] of the fitted ones (E, A, B, alpha, beta) [..., 5]."""
    _, size, data, alpha, beta = np.moveaxis(np.asarray(params, float), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_ratio = np.log(alpha * size) - np.log(beta * data)
        derived = [beta / (alpha + beta), alpha / (alpha + beta), np.exp(log_ratio / (alpha + beta))]
    return np.concatenate([params, np.stack(derived, axis=-1)], axis=-1)


def loss_of(params: np.ndarray, parameters: Any, data: Any) -> np.ndarray:
    """Return the law's loss at sizes and data [m], params [..., >= 5] with a trailing axis for [m] or none."""
    level, size, amount, alpha, beta = np.moveaxis(np.asarray(params, float)[..., :FITTED], -1, 0)
    return level + size * np.asarray(parameters, float) ** -alpha + amount * np.asarray(data, float) ** -beta


@dataclass(frozen=True)
class Optimum:
    """The compute-optimal sizes of the law.

    Attributes:
        flops_factor: k of C = k N D.
    """

    flops_factor: float = 6.0

    def __call__(self, params: np.ndarray, flops: Any) -> dict[str, np.ndarray]:
        """Return ``parameters``, ``data`` and ``loss``; params [..., >= 5] and budgets broadcast."""
        whole = derive(np.asarray(params, float)[..., :FITTED])
        product = np.asarray(flops, float) / self.flops_factor
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = whole[..., 7] * product ** whole[..., 5]
            data = product ** whole[..., 6] / whole[..., 7]
            return {"parameters": size, "data": data, "loss": loss_of(whole, size, data)}


@dataclass(frozen=True, kw_only=True)
class ParametricResult(LawResult):
    """A fitted Approach 3, with what profiles and bootstraps need to fit it again.

    Attributes:
        sample: The runs, their weights and the objective.
        theta: The centred estimate, [5].
        starts: The different local minima that were found, the best first, centred, [s, 5].
    """

    sample: Sample = field(repr=False)
    theta: np.ndarray = field(repr=False)
    starts: np.ndarray = field(repr=False)

    @property
    def degrees_of_freedom(self) -> int:
        """Return runs less fitted parameters."""
        return self.nobs - FITTED


@dataclass(frozen=True)
class Approach3:
    """How the law is fitted.

    Attributes:
        objective: ``huber-log``: the sum of Huber's loss of residuals of ln L (arXiv 2203.15556, appendix D.3);
            ``ls-log``: least squares of the same residuals; ``ls``: least squares of L itself.
        delta: Threshold of Huber's loss, > 0.
        factor: k of C = k N D.
    """

    objective: Objective = "huber-log"
    delta: float = 1e-3
    factor: float = 6.0

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, not {self.objective!r}")
        for name in ("delta", "factor"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)}")

    def fit(
        self, N: Any, D: Any, L: Any, weights: Any = None, *, loss_se: Any = None, rows: Any = None  # noqa: N803
    ) -> ParametricResult:
        """Fit the law.

        Args:
            N: Parameters, > 0, [n].
            D: Data, > 0, [n].
            L: Loss, > 0, [n].
            weights: Of the runs, > 0, [n]; all the same by default.
            loss_se: Standard errors of the losses, >= 0, [n]: runs are weighted by the inverse of their squares plus
                a variance that is fitted so that residuals are as large as they should be. Not with ``weights``.
            rows: Lines of a file, for messages, [n]; 2, 3, ... by default.

        Returns:
            The law with intervals of Student's t; HC3 beside it. ``statistics`` has ``extra_sd`` with ``loss_se``.

        Raises:
            ValueError: An argument has a wrong shape, or a value that is no positive number.
            InputError: There are too few runs, or they are all of one budget.
        """
        sizes, data, losses = _positive(N=N, D=D, L=L)
        count = len(losses)
        lines = np.arange(2, 2 + count) if rows is None else np.asarray(rows, np.int64)
        _check_design(sizes, data, lines)
        if weights is not None and loss_se is not None:
            raise ValueError("weights and loss_se cannot both be given")
        sample = Sample(sizes, data, losses, np.ones(count), self.objective != "ls", self._threshold())
        statistics: dict[str, float] = {}
        if weights is not None:
            (own,) = _positive(weights=weights)
            if own.shape != losses.shape:
                raise ValueError(f"weights must have the shape of L, {losses.shape}, not {own.shape}")
            sample = replace(sample, weights=own / own.mean())
        if loss_se is not None:
            errors = np.asarray(loss_se, float)
            if errors.shape != losses.shape or not np.all((errors >= 0) & np.isfinite(errors)):
                raise ValueError(f"loss_se must be {count} finite numbers >= 0")
            sample, statistics["extra_sd"] = _weigh(sample, errors)
        return self._result(sample, lines, statistics)

    def _threshold(self) -> float:
        return self.delta if self.objective == "huber-log" else np.inf

    def _result(self, sample: Sample, rows: np.ndarray, statistics: dict[str, float]) -> ParametricResult:
        found = fit(sample)
        theta = found.theta[0]
        params = derive(sample.to_params(theta))
        model = loss_of(params, sample.parameters, sample.data)
        residuals = np.log(sample.losses / model) if sample.log else sample.losses - model
        jacobian = jacobian_of(sample, theta)
        scaled = jacobian * np.sqrt(sample.weights)[:, None]
        lengths = np.linalg.norm(scaled, axis=0)
        singular = np.linalg.svd(scaled / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
        plain, robust = _covariances(sample, theta, residuals, jacobian)
        df = max(len(residuals) - FITTED, 0)
        result = ParametricResult(
            law="approach3",
            params=pd.Series(params, index=PARAMETERS),
            cov=plain,
            objective=self.objective,
            objective_sum=float(found.objective[0]) * (1 if np.isfinite(sample.delta) else 2),
            fitted=np.log(model) if sample.log else model,
            residuals=residuals,
            rows=rows,
            interval=WaldInterval(params, plain, df, _LOGS, "t"),
            delta=self.delta if np.isfinite(sample.delta) else None,
            converged=bool(found.converged[0]),
            gradient_norm=float(found.gradient_norm[0]),
            rank=int(np.sum(singular > 1e-10 * singular[0])),
            condition_number=float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf,
            function=loss_of,
            optimum_function=Optimum(self.factor),
            statistics=statistics,
            warnings=_findings(theta, bool(found.converged[0]), rows),
            sample=sample,
            theta=theta,
            starts=distinct(found),
        )
        beside = replace(result, cov=robust, interval=WaldInterval(params, robust, df, _LOGS, "hc3"))
        return replace(result, beside={"hc3": beside})


def _positive(**arrays: Any) -> tuple[np.ndarray, ...]:
    """Return the arrays as float64 [n], all of one length."""
    converted = {name: np.asarray(array, float) for name, array in arrays.items()}
    length = np.shape(next(iter(converted.values())))
    for name, array in converted.items():
        if array.ndim != 1 or array.shape != length:
            raise ValueError(f"{name} must be one-dimensional and as long as the others, not of shape {array.shape}")
        if not np.all((array > 0) & np.isfinite(array)):
            raise ValueError(f"{name} must be positive and finite; element {np.argmin((array > 0) & (array < np.inf))}")
    return tuple(converted.values())


def _check_design(sizes: np.ndarray, data: np.ndarray, rows: np.ndarray) -> None:
    """Raise where no surface can be fitted."""
    lines = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
    if len(sizes) < FITTED:
        raise InputError(
            f"rows {lines or 'none'}: approach3 has {FITTED} parameters and needs as many runs; there are {len(sizes)}"
        )
    if np.ptp(np.log(sizes) + np.log(data)) <= np.log1p(_SAME_BUDGET):
        raise InputError(f"rows {lines}: all runs are of one budget; approach3 needs runs of several")


def _weigh(sample: Sample, errors: np.ndarray) -> tuple[Sample, float]:
    """Return the sample weighted by 1 / (error^2 + extra^2), and the extra standard deviation that fits.

    As Paule and Mandel (1982) do for a mean: the extra variance is that with which the standardised squares sum to the
    degrees of freedom. For Huber's loss their median is that of a chi-square, so that bad runs do not count.
    """
    known = (errors / sample.losses if sample.log else errors) ** 2
    robust = bool(np.isfinite(sample.delta))
    share = max(1 - FITTED / len(known), 1 / len(known))
    extra = 0.0
    for _ in range(20):
        theta = fit(sample).theta[0]
        model = loss_of(sample.to_params(theta), sample.parameters, sample.data)
        squares = (np.log(sample.losses / model) if sample.log else sample.losses - model) ** 2
        before, extra = extra, _extra_variance(squares, known, share, robust)
        inverse = 1 / np.maximum(known + extra, 1e-12 * np.max(known + squares) + 1e-300)
        sample = replace(sample, weights=inverse / inverse.mean())
        if abs(extra - before) <= 1e-8 * (extra + np.mean(known)):
            break
    return sample, float(np.sqrt(extra))


def _extra_variance(squares: np.ndarray, known: np.ndarray, share: float, robust: bool) -> float:
    """Return the variance, beside that known, which squared residuals ask for; 0 where they ask for less."""

    def excess(extra: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = squares / (known + extra)
        if robust:
            return float(np.median(ratio) / stats.chi2.ppf(0.5, 1) - share)
        return float(np.mean(ratio) - share)

    low, high = 0.0, float(np.max(squares) / share * 4)
    if not excess(0.0) > 0:
        return 0.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return 0.5 * (low + high)


def jacobian_of(sample: Sample, theta: np.ndarray) -> np.ndarray:
    """Return the derivatives of the model (or of its logarithm) in the centred parameters [5], [n, 5]."""
    level, a, b, alpha, beta = theta
    x, y = np.exp(-alpha * sample.u), np.exp(-beta * sample.v)
    columns = np.stack([np.ones_like(x), x, y, -a * sample.u * x, -b * sample.v * y], axis=-1)
    return columns / (level + a * x + b * y)[:, None] if sample.log else columns


def at_bounds(theta: np.ndarray) -> np.ndarray:
    """Return which of the centred parameters lie at a bound, or are not identified because their term is absent."""
    bound = np.zeros(FITTED, bool)
    bound[:3] = theta[:3] <= 0
    bound[3:] = bound[1:3] | (theta[3:] <= LOW) | (theta[3:] >= HIGH)
    return bound


def _covariances(
    sample: Sample, theta: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of all parameters for equal variances, and HC3; NaN where a parameter is at its bound.

    With Huber's loss both are those of an M-estimator, H^-1 S H^-1 with H = d J^T J, d the mean of psi' (Huber 1981,
    section 7.6). Where delta is far below the noise, few residuals tell d; it is then estimated over a wider band.
    """
    count, free = len(residuals), ~at_bounds(theta)
    missing = np.full((len(PARAMETERS), len(PARAMETERS)), np.nan)
    if count <= FITTED:
        return missing, missing
    columns = jacobian[:, free]
    curvature = _mean_curvature(residuals, sample.delta)
    bread = np.linalg.pinv((columns * (sample.weights * curvature)[:, None]).T @ columns, hermitian=True)
    leverage = np.einsum("ni,ij,nj->n", columns, bread * curvature, columns) * sample.weights
    influence = np.clip(residuals, -sample.delta, sample.delta)
    spread = np.sum(sample.weights * influence**2) / (count - FITTED)
    equal = bread @ ((columns * (sample.weights * spread)[:, None]).T @ columns) @ bread
    own = (sample.weights * influence / np.maximum(1 - leverage, 1e-6)) ** 2
    robust = bread @ ((columns * own[:, None]).T @ columns) @ bread
    lever = gradient_of(lambda one: derive(sample.to_params(one)), theta)[:, free]
    absent = np.append(~free, [~free[3] or ~free[4]] * 3)
    results = []
    for cov in (equal, robust):
        whole = lever @ cov @ lever.T
        whole[absent], whole[:, absent] = np.nan, np.nan
        results.append(whole)
    return results[0], results[1]


def _mean_curvature(residuals: np.ndarray, delta: float) -> float:
    """Return the mean of psi', the share of residuals within delta, from a band that holds enough of them."""
    if not np.isfinite(delta):
        return 1.0
    spread = 1.4826 * np.median(np.abs(residuals))
    band = max(delta, spread * len(residuals) ** -0.2)
    return max(float(np.mean(np.abs(residuals) <= band)) * delta / band, 1e-12)


def _findings(theta: np.ndarray, converged: bool, rows: np.ndarray) -> tuple[Finding, ...]:
    """Return what a user should know about the fit."""
    found = []
    if not converged:
        found.append(Finding("not_converged", "The optimiser did not reach a stationary point of approach3."))
    for name, bound in zip(("E", "A", "B", "alpha", "beta"), at_bounds(theta), strict=True):
        if bound:
            found.append(Finding("at_bound", f"{name} of approach3 is at its bound: the runs do not determine it."))
    return tuple(found)
