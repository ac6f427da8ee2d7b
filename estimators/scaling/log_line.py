"""A straight line in logarithms, y = coefficient * x^exponent, by least squares: what several laws end in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS, WLS

from sandtable.estimators.scaling.law_result import WaldInterval

Covariance = Literal["t", "hc3", "hac"]


@dataclass(frozen=True)
class LogLine:
    """ln y = ln coefficient + exponent ln x.

    Attributes:
        coefficient: y at x = 1.
        exponent: Slope in logs.
        cov: Covariance of (coefficient, exponent), [2, 2]; NaN without degrees of freedom.
        df: Degrees of freedom, n - 2.
        fitted: ln y of the line, [n].
        residuals: ln y less fitted, [n].
        condition_number: Of the design with its columns scaled to length 1.
        durbin_watson: Of the residuals by increasing x: near 2 without serial correlation, near 0 with a strong one.
    """

    coefficient: float
    exponent: float
    cov: np.ndarray
    df: int
    fitted: np.ndarray
    residuals: np.ndarray
    condition_number: float
    durbin_watson: float


def fit_log_line(x: Any, y: Any, method: Covariance = "t", weights: np.ndarray | None = None) -> LogLine:
    """Fit a line to the logarithms of y against those of x.

    Args:
        x: [n], > 0; at least two distinct values.
        y: [n], > 0.
        method: Of the covariance: ``"t"`` for equal variances; ``"hc3"`` for unequal ones; ``"hac"`` for residuals that
            are correlated along x (Newey and West 1987, lags to 4 (n / 100)^(2/9), with the small-sample factor).
        weights: Of the squared residuals, [n]; None for equal ones.
    """
    log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    if np.ptp(log_x) == 0:
        raise ValueError("x must have at least two distinct values")
    order = np.argsort(log_x, kind="stable")
    centre = log_x.mean()
    design = np.column_stack([np.ones(len(log_x)), log_x - centre])[order]
    model = OLS(log_y[order], design) if weights is None else WLS(log_y[order], design, weights[order])
    df = len(log_x) - 2
    done = model.fit()
    if df > 0:
        if method == "hac":
            lags = max(1, int(4 * (len(log_x) / 100) ** (2 / 9)))
            done = model.fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True)
        elif method == "hc3":
            done = model.fit(cov_type="HC3", use_t=True)
    level, exponent = (float(value) for value in done.params)
    coefficient = float(np.exp(level - exponent * centre))
    uncentre = np.array([[coefficient, -coefficient * centre], [0.0, 1.0]])  # gradient of (coefficient, exponent)
    residuals = np.empty(len(log_x))
    residuals[order] = done.resid
    along = np.asarray(done.resid)
    raw = np.column_stack([np.ones(len(log_x)), log_x])
    return LogLine(
        coefficient=coefficient,
        exponent=exponent,
        cov=uncentre @ np.asarray(done.cov_params()) @ uncentre.T if df > 0 else np.full((2, 2), np.nan),
        df=df,
        fitted=log_y - residuals,
        residuals=residuals,
        condition_number=float(np.linalg.cond(raw / np.linalg.norm(raw, axis=0))),
        durbin_watson=durbin_watson(along, log_y),
    )


def durbin_watson(residuals: np.ndarray, values: np.ndarray) -> float:
    """Return the statistic of residuals in order; 2 where they are the rounding of the values, and nothing else."""
    squares = float(residuals @ residuals)
    if squares <= len(values) * (1e-13 * float(np.max(np.abs(values)))) ** 2:
        return 2.0
    return float(np.sum(np.diff(residuals) ** 2) / squares)


PREFIXES = {"parameters": "N", "data": "D", "loss": "loss", "return": "return"}
"""What the parameters of a line through optimal sizes (or data, ...) are called by."""


def joined_params(lines: Mapping[str, LogLine]) -> tuple[pd.Series, np.ndarray, np.ndarray, tuple[bool, ...]]:
    """Return the parameters of lines by quantity, their covariance, degrees of freedom, and which are made in logs.

    The lines are fitted alone, so the covariance between parameters of different lines is 0 here.
    """
    params, df = {}, []
    cov = np.zeros((2 * len(lines), 2 * len(lines)))
    for index, (quantity, line) in enumerate(lines.items()):
        prefix = PREFIXES[quantity]
        params[f"{prefix}_exponent"], params[f"{prefix}_coefficient"] = line.exponent, line.coefficient
        cov[2 * index : 2 * index + 2, 2 * index : 2 * index + 2] = line.cov[::-1, ::-1]
        df += [line.df, line.df]
    return pd.Series(params, dtype=float), cov, np.array(df), (False, True) * len(lines)


def joined_interval(lines: Mapping[str, LogLine], method: str, level: float) -> WaldInterval:
    """Return Student's intervals of the parameters of lines; coefficients have theirs in logs."""
    params, cov, df, logs = joined_params(lines)
    return WaldInterval(params.to_numpy(), cov, df, logs, method, level)


class LinesOptimum:
    """The compute-optimal sizes, data, ... that lines through optima tell: ``optimum(params, flops)``."""

    def __init__(self, quantities: tuple[str, ...]) -> None:
        self.quantities = quantities

    def __call__(self, params: np.ndarray, flops: np.ndarray) -> dict[str, np.ndarray]:
        """Return coefficient * flops^exponent of every quantity, each the shape of ``flops``."""
        pairs = np.reshape(params, (-1, 2))
        return {
            quantity: coefficient * np.asarray(flops, float) ** exponent
            for quantity, (exponent, coefficient) in zip(self.quantities, pairs, strict=True)
        }
