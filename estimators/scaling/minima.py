"""Lines through minima that are already found: the optimal size, data, loss and return against compute."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats

from sandtable.estimators.scaling.law_result import LawResult, WaldInterval
from sandtable.estimators.scaling.log_line import (
    Covariance,
    LinesOptimum,
    LogLine,
    fit_log_line,
    joined_interval,
    joined_params,
)
from sandtable.estimators.scaling.power_law import correlated
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.run_columns import name_rows
from sandtable.simulators.scaling.runs import Finding, Runs

COLUMNS = {"parameters": "parameters", "data": "data", "loss": "loss", "return": "returns"}
FEW = 5


@dataclass(frozen=True)
class Minima:
    """Lines in logs through the minima of budgets, and three answers beside them.

    ``beside`` holds the same lines with intervals for residuals that are correlated along compute (``"hac"``); without
    the minima at the edge of the grid of sizes (``"edge_free"``); and, for the sizes, the likelihood of what an argmin
    on a grid tells: that the optimum lies nearer to this size than to the next ones (``"interval_censored"``).

    Attributes:
        method: Of the interval: ``"t"``, ``"hc3"`` or ``"hac"``.
        level: Of the interval.
        flops_factor: k of C = k N D, by which the interval-censored sizes give the data.
    """

    method: Covariance = "t"
    level: float = 0.95
    flops_factor: float = 6.0

    def fit(self, runs: Runs, grid: np.ndarray | None = None) -> LawResult:
        """Fit the lines.

        Args:
            runs: One minimum a row: flops, and any of parameters, data, loss, returns.
            grid: The sizes among which the minima were sought; None takes the distinct sizes of the minima, of which
                the least and the greatest count as edges only where several budgets share them.

        Raises:
            InputError: There are fewer than three budgets with some response, or a response is not positive.
        """
        flops = runs.column("flops")
        here = [name for name, column in COLUMNS.items() if runs.has(column)]
        known = {name: np.isfinite(runs.column(COLUMNS[name])) & np.isfinite(flops) for name in here}
        enough = {name: mask for name, mask in known.items() if len(np.unique(flops[mask])) >= 3}
        for name, mask in enough.items():
            _require_positive(name, runs.column(COLUMNS[name])[mask], runs.rows[mask])
        lines = {name: self._line(runs, name, self.method) for name in enough}
        if not lines:
            raise InputError("lines through minima need at least three budgets with parameters, data, loss or return")
        edge = np.zeros(len(runs), bool)
        if "parameters" in lines:
            edge[known["parameters"]] = _on_edge(runs.column("parameters")[known["parameters"]], grid)
        result = self._result(runs, lines, edge)
        others = {name: self._line(runs, name, "hac") for name in lines}
        robust = self._interval(others, "hac")
        beside = {"hac": replace(result, cov=robust.cov, interval=robust, warnings=())}
        if edge.any() and (~edge).sum() >= 3:
            inner = self.fit(runs.select(~edge), grid)
            beside["edge_free"] = replace(inner, beside={}, warnings=())
        if "parameters" in lines:
            sized = runs.select(known["parameters"])
            sizes = np.unique(sized.column("parameters")) if grid is None else np.unique(grid)
            if len(sizes) >= 3 and (grid is not None or len(sizes) < len(sized)):
                beside["interval_censored"] = self._interval_censored(sized, sizes)
        return replace(result, beside=beside)

    def _result(self, runs: Runs, lines: dict[str, LogLine], edge: np.ndarray) -> LawResult:
        params, cov, _, _ = joined_params(lines)
        first = next(iter(lines))
        column = runs.column(COLUMNS[first])
        rows = runs.rows[np.isfinite(column) & np.isfinite(runs.column("flops"))]
        findings: tuple[Finding, ...] = ()
        for name, line in lines.items():
            findings += correlated(line.durbin_watson, len(line.residuals), f"residuals of {name}", rows)
        if edge.any():
            message = (
                f"{edge.sum()} of {len(edge)} minima lie at the edge of the sizes that were tried; the optimum may lie "
                f"beyond it"
            )
            findings += (Finding("edge_minimum", message, tuple(int(row) for row in runs.rows[edge])),)
        if len(runs) < FEW:
            findings += (Finding("few_budgets", f"a line through {len(runs)} budgets has wide intervals"),)
        return LawResult(
            law="minima",
            params=params,
            cov=cov,
            objective="ls-log",
            objective_sum=float(sum(line.residuals @ line.residuals for line in lines.values())),
            fitted=lines[first].fitted,
            residuals=lines[first].residuals,
            rows=rows,
            interval=self._interval(lines, self.method),
            rank=2 * len(lines),
            condition_number=lines[first].condition_number,
            optimum_function=LinesOptimum(tuple(lines)),
            minima=table_of_minima(runs, edge),
            statistics={f"durbin_watson_{name}": line.durbin_watson for name, line in lines.items()},
            warnings=findings,
        )

    def _line(self, runs: Runs, name: str, method: Covariance) -> LogLine:
        values, flops = runs.column(COLUMNS[name]), runs.column("flops")
        known = np.isfinite(values) & np.isfinite(flops)
        return fit_log_line(flops[known], values[known], method)

    def _interval(self, lines: dict[str, LogLine], method: Covariance) -> WaldInterval:
        return joined_interval(lines, method, self.level)

    def _interval_censored(self, runs: Runs, grid: np.ndarray) -> LawResult:
        """Return the line by the likelihood of the cells of the grid.

        Its intervals are Student's with the variance scaled by n / (n - 2): on a grid that is fine beside the scatter
        they are those of least squares.
        """
        parameters = runs.column("parameters")
        log_x = np.log(runs.column("flops"))
        centre = log_x.mean()
        low, high = cells(parameters, grid)
        start = fit_log_line(np.exp(log_x - centre), parameters)
        spread = max(float(np.std(start.residuals)), 0.05)
        found = optimize.minimize(
            _negative_likelihood,
            [np.log(start.coefficient), start.exponent, np.log(spread)],
            args=(log_x - centre, low, high),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 20_000},
        )
        hessian = _hessian(found.x, log_x - centre, low, high)
        n = len(parameters)
        cov_centred = np.linalg.pinv(hessian)[:2, :2] * n / (n - 2)
        exponent = float(found.x[1])
        coefficient = float(np.exp(found.x[0] - exponent * centre))
        k = self.flops_factor
        names = ["N_exponent", "N_coefficient", "D_exponent", "D_coefficient"]
        params = pd.Series([exponent, coefficient, 1 - exponent, 1 / (k * coefficient)], index=names)
        inverse = 1 / (k * coefficient)
        gradient = np.array([[0, 1], [coefficient, -coefficient * centre], [0, -1], [-inverse, centre * inverse]])
        cov = gradient @ cov_centred @ gradient.T
        residuals = np.log(parameters) - np.log(coefficient) - exponent * log_x
        sigma = float(np.exp(found.x[2]))
        findings: tuple[Finding, ...] = ()
        if sigma < 1e-3:  # the line passes through every cell: nothing tells how far optima lie from it
            findings = (Finding("at_bound", "a line passes through every cell of the grid; its scatter is not known"),)
        return LawResult(
            law="minima",
            params=params,
            cov=cov,
            objective="interval-censored likelihood",
            objective_sum=float(found.fun),
            fitted=np.log(parameters) - residuals,
            residuals=residuals,
            rows=runs.rows,
            interval=WaldInterval(params.to_numpy(), cov, n - 2, (False, True) * 2, "t", self.level),
            converged=bool(found.success),
            gradient_norm=float(np.linalg.norm(_gradient(found.x, log_x - centre, low, high))),
            rank=int(np.linalg.matrix_rank(hessian)),
            optimum_function=LinesOptimum(("parameters", "data")),
            statistics={"sigma": sigma},
            warnings=findings,
        )


def _require_positive(name: str, values: np.ndarray, rows: np.ndarray) -> None:
    if (values <= 0).any():
        raise InputError(
            f"{name_rows(rows[values <= 0])}: {name} must be above 0 for a line in logarithms; leave the column out"
        )


def table_of_minima(runs: Runs, edge: np.ndarray) -> pd.DataFrame:
    """Return ``flops parameters data loss return on_edge`` of minima, a row a budget; NaN where unknown."""
    unknown = np.full(len(runs), np.nan)
    columns = {name: getattr(runs, column) for name, column in COLUMNS.items()}
    filled = {name: unknown if values is None else values for name, values in columns.items()}
    return pd.DataFrame({"flops": runs.column("flops"), **filled, "on_edge": edge})


def _on_edge(parameters: np.ndarray, grid: np.ndarray | None) -> np.ndarray:
    """Return which minima lie at the least or greatest size, bool [n]."""
    ends = (parameters.min(), parameters.max()) if grid is None else (np.min(grid), np.max(grid))
    edge = np.zeros(len(parameters), bool)
    for end in ends:
        at = np.isclose(parameters, end, rtol=1e-9)
        if grid is not None or at.sum() > 1:
            edge |= at
    return edge


def cells(parameters: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends in ln N of where the optimum lies if each size is the best of the grid, each [n].

    A parabola in ln N is lowest at the size nearest to its vertex, so a cell ends halfway to the next size; the outer
    cells are open.
    """
    logs = np.log(grid)
    edges = np.concatenate([[-np.inf], (logs[1:] + logs[:-1]) / 2, [np.inf]])
    index = np.abs(np.log(parameters)[:, None] - logs).argmin(axis=1)
    return edges[index], edges[index + 1]


def _negative_likelihood(theta: np.ndarray, log_x: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    sigma = np.exp(np.clip(theta[2], np.log(1e-4), 5.0))
    mean = theta[0] + theta[1] * log_x
    upper, lower = (high - mean) / sigma, (low - mean) / sigma
    flip = lower > 0  # the difference of two numbers near 1 has no digits
    upper, lower = np.where(flip, -lower, upper), np.where(flip, -upper, lower)
    log_upper, log_lower = stats.norm.logcdf(upper), stats.norm.logcdf(lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(-np.sum(log_upper + np.log1p(-np.exp(np.minimum(log_lower - log_upper, -1e-16)))))


def _gradient(theta: np.ndarray, *args: np.ndarray) -> np.ndarray:
    return optimize.approx_fprime(theta, _negative_likelihood, 1e-6, *args)


def _hessian(theta: np.ndarray, *args: np.ndarray) -> np.ndarray:
    step, size = 1e-4, len(theta)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            total = 0.0
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = theta.copy()
                moved[i] += a * step
                moved[j] += b * step
                total += a * b * _negative_likelihood(moved, *args)
            hessian[i, j] = total / (4 * step**2)
    return hessian


def disagreement(result: LawResult, name: str = "N_exponent") -> str:
    """Return in words how far the answers beside a fit differ from it, and what to make of that."""
    words = {"hac": "with correlated residuals", "edge_free": "without the minima at the edge"}
    words |= {"interval_censored": "by the cells of the grid"}

    def told(one: LawResult) -> str:
        low, high = one.conf_int().loc[name]
        return f"{one.params[name]:.3f} [{low:.3f}, {high:.3f}]"

    parts = [f"{name} is {told(result)} by least squares"]
    answers = {key: one for key, one in result.beside.items() if name in one.params}
    parts += [f"{told(one)} {words.get(key, key)}" for key, one in answers.items()]
    low, high = result.conf_int().loc[name]
    outside = [words.get(key, key) for key, one in answers.items() if not low <= one.params[name] <= high]
    verdict = "every answer lies within the interval of least squares"
    if outside:
        answer, lie = ("answer", "lies") if len(outside) == 1 else ("answers", "lie")
        verdict = f"the {answer} {' and '.join(outside)} {lie} outside the interval of least squares: do not rely on it"
    return f"{', '.join(parts)}; {verdict}."
