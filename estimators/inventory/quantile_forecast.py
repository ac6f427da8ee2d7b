"""Quantiles of the demand until the next order can arrive, by regression on what is known when an order is placed."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from sandtable.simulators.arrays import Array, namespace

LEAST_SCALE = 0.05  # units a period: below it, ratios would be noise divided by nothing
LEAST_WINDOW = 8  # periods of past demand that the features look back
MOST_ROWS = 20_000  # more windows that overlap say little more
FEATURES = ("constant", "last period", "last 4", "last 8", "long run", "deviation", "rarity")
SEASON = ("sine of the year", "cosine of the year", "sine of the half-year", "cosine of the half-year")


def demand_scale(observation: dict[str, Any]) -> Array:
    """Return the size of demand, units a period, [*batch, 1], >= ``LEAST_SCALE``.

    The mean of the recent known demand and of the history's.
    """
    mean = observation["mean"]
    xp = namespace(mean)
    scale = 0.5 * (_recent(observation, observation["past_demand"].shape[-1], mean) + mean)
    return xp.where(scale > LEAST_SCALE, scale, 0.0 * scale + LEAST_SCALE)


def forecast_features(observation: dict[str, Any], seasonal: bool) -> Array:
    """Return what demand is regressed on, free of the product's scale: [*batch, k], k = 7, or 11 with the season.

    The entries are those of ``FEATURES`` and ``SEASON``. With s the scale and h the periods of lead time and review:
    recent means and the long-run mean over s, the deviation of h periods' demand over s h, and 1 / sqrt(s h), the
    coefficient of variation that Poisson demand would have.

    Args:
        observation: Of ``InventoryReplay``, or with its entries past_demand and demand_known [*batch, W], mean,
            deviation and lead_time [*batch, 1], and calendar [*batch, 4] where the season is asked for.
        seasonal: Whether sines and cosines of the year are features too.
    """
    xp = namespace(observation["mean"])
    scale, periods = demand_scale(observation), observation["lead_time"] + 1
    recent = [_recent(observation, window, scale) / scale for window in (1, 4, 8)]
    deviation = observation["deviation"] / (scale * periods**0.5)
    columns = [0.0 * scale + 1, *recent, observation["mean"] / scale, deviation, (scale * periods) ** -0.5]
    return xp.concat([*columns, observation["calendar"]] if seasonal else columns, axis=-1)


def _recent(observation: dict[str, Any], window: int, otherwise: Array) -> Array:
    """Return the mean of the known demands of the last periods, [*batch, 1]; ``otherwise`` where none is known."""
    demand, known = observation["past_demand"][..., -window:], observation["demand_known"][..., -window:]
    xp = namespace(demand)
    count = xp.sum(known, axis=-1, keepdims=True)
    mean = xp.sum(demand * known, axis=-1, keepdims=True) / xp.where(count > 0, count, 0.0 * count + 1)
    return xp.where(count > 0, mean, otherwise)


class Examples(NamedTuple):
    """Past moments at which an order could have been placed, and what was wanted until the next could have arrived.

    Attributes:
        target: Demand over lead time and review, in units of scale times periods, [n].
        features: [n, k].
        group: Column of the product, int [n].
    """

    target: np.ndarray
    features: np.ndarray
    group: np.ndarray


def past_examples(
    demand: np.ndarray, known: np.ndarray, lead_time: np.ndarray, window: int, calendar: np.ndarray | None = None
) -> Examples:
    """Return an example a product and period with known demand before it, and all demand known that it is to foretell.

    The features of a period use the demand of earlier periods alone, its mean and deviation included. A fraction of a
    last period counts with that fraction. Of more than ``MOST_ROWS`` examples, so many at even distances are kept.

    Args:
        demand: [T, N], units.
        known: bool [T, N].
        lead_time: Periods, >= 0, [N].
        window: W, periods of past demand that the features may use, at least 8.
        calendar: [T, 4], for features of the season; None for none.

    Raises:
        ValueError: The shapes do not agree, a lead time is negative, or the window is too short.
    """
    periods, products = demand.shape
    if (
        known.shape != demand.shape
        or lead_time.shape != (products,)
        or len(demand if calendar is None else calendar) != periods
    ):
        raise ValueError("demand, known, lead_time and calendar must have shapes [T, N], [T, N], [N] and [T, 4]")
    if window < LEAST_WINDOW or not (lead_time >= 0).all():
        raise ValueError(f"window must be at least {LEAST_WINDOW}, not {window}, and no lead time negative")
    ahead = np.ceil(lead_time + 1).astype(np.int64)
    total, complete = np.zeros(demand.shape), np.zeros(demand.shape, dtype=bool)
    complete[:] = np.arange(periods)[:, None] + ahead <= periods
    for offset in range(min(int(ahead.max(initial=0)), periods)):
        counted = np.clip(lead_time + 1 - offset, 0, 1)
        rest = periods - offset
        total[:rest] += counted * np.where(known, demand, 0.0)[offset:]
        complete[:rest] &= known[offset:] | (counted == 0)
    seen = np.where(known, demand, 0.0)
    count = known.cumsum(axis=0) - known
    mean = (seen.cumsum(axis=0) - seen) / np.maximum(count, 1)
    square = ((seen**2).cumsum(axis=0) - seen**2) / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(square - mean**2, 0) * count / np.maximum(count - 1, 1))
    period, product = np.nonzero(complete & (count > 0))
    kept = slice(None) if len(period) <= MOST_ROWS else np.linspace(0, len(period) - 1, MOST_ROWS).astype(np.int64)
    period, product = period[kept], product[kept]
    back = period[:, None] + np.arange(window)
    padding = np.zeros((window, products))
    observation = {
        "past_demand": np.concatenate([padding, seen])[back, product[:, None]],
        "demand_known": np.concatenate([padding, known])[back, product[:, None]],
        "mean": mean[period, product, None],
        "deviation": np.where(count > 1, spread, np.sqrt(mean))[period, product, None],
        "lead_time": lead_time[product, None],
    }
    if calendar is not None:
        observation["calendar"] = calendar[period]
    target = total[period, product] / (demand_scale(observation)[:, 0] * (lead_time[product] + 1))
    return Examples(target, forecast_features(observation, calendar is not None), product)


@dataclass(frozen=True)
class QuantileFit:
    """A fitted quantile regression.

    Attributes:
        quantile: In (0, 1).
        names: Of the features.
        params: Coefficients, [k].
        bse: Their standard errors, [k]; between groups where groups were given.
        rows: Examples.
        rank: Of the features; below k the coefficients are not unique (the smallest are taken).
        condition_number: Of the features.
        iterations: That the solver took.
        converged: Whether it stopped because the coefficients no longer moved.
    """

    quantile: float
    names: tuple[str, ...]
    params: np.ndarray
    bse: np.ndarray
    rows: int
    rank: int
    condition_number: float
    iterations: int
    converged: bool

    def predict(self, features: Array) -> Array:
        """Return the quantile at features [*batch, k]: [*batch, 1]; may be negative."""
        xp = namespace(features)
        params = xp.asarray(self.params, dtype=features.dtype, device=features.device)
        return xp.sum(features * params, axis=-1, keepdims=True)

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Return the ends of the coefficients' normal confidence intervals, [k, 2]."""
        half = stats.norm.ppf(1 - alpha / 2) * self.bse
        return np.stack([self.params - half, self.params + half], axis=1)

    def summary(self) -> str:
        """Return a table of the coefficients, as text."""
        head = f"quantile {self.quantile:g} of {self.rows:,} examples, " + (
            f"converged after {self.iterations} iterations" if self.converged else "NOT converged"
        )
        lines = [
            f"{name:24}{value:12.4f}{error:12.4f}"
            for name, value, error in zip(self.names, self.params, self.bse, strict=True)
        ]
        return "\n".join([head, f"{'':24}{'coefficient':>12}{'std. error':>12}", *lines])


@dataclass(frozen=True)
class QuantileRegression:
    """Linear quantile regression (Koenker and Bassett 1978) by statsmodels' iterated least squares.

    Attributes:
        quantile: In (0, 1).
        iterations: Most that the solver may take.
    """

    quantile: float
    iterations: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must lie strictly between 0 and 1, not {self.quantile}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")

    def fit(
        self,
        target: np.ndarray,
        features: np.ndarray,
        groups: np.ndarray | None = None,
        names: tuple[str, ...] | None = None,
    ) -> QuantileFit:
        """Fit the coefficients.

        Args:
            target: [n].
            features: [n, k], with a column of ones where an intercept is wanted.
            groups: int [n]; examples of one group may depend on each other in any way. None: all are independent.
            names: Of the features, k.

        Raises:
            ValueError: The shapes do not agree, a number is not finite, or there are fewer examples than coefficients.
        """
        from statsmodels.regression.quantile_regression import QuantReg

        target, features = np.asarray(target, np.float64), np.asarray(features, np.float64)
        if features.ndim != 2 or target.shape != features.shape[:1] or features.shape[1] < 1:
            raise ValueError(
                f"target and features must have shapes [n] and [n, k], not {target.shape} and {features.shape}"
            )
        if groups is not None and np.shape(groups) != target.shape:
            raise ValueError(f"groups must have shape {target.shape}, not {np.shape(groups)}")
        rows, count = features.shape
        if rows <= count:
            raise ValueError(f"{rows} examples are too few for {count} coefficients")
        if not (np.isfinite(target).all() and np.isfinite(features).all()):
            raise ValueError("target and features must be finite")
        if names is not None and len(names) != count:
            raise ValueError(f"names must be {count}, not {len(names)}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = QuantReg(target, features).fit(q=self.quantile, max_iter=self.iterations)
        params = np.asarray(found.params)
        converged = found.iterations < self.iterations and not any("onverge" in str(one.message) for one in caught)
        bse = (
            found.bse
            if groups is None
            else _grouped_errors(target, features, groups, params, self.quantile, found.bandwidth)
        )
        return QuantileFit(
            quantile=self.quantile,
            names=names or tuple(f"x{column}" for column in range(count)),
            params=params,
            bse=np.asarray(bse),
            rows=rows,
            rank=int(np.linalg.matrix_rank(features)),
            condition_number=float(np.linalg.cond(features)),
            iterations=int(found.iterations),
            converged=bool(converged and np.isfinite(params).all()),
        )


def _grouped_errors(
    target: np.ndarray, features: np.ndarray, groups: np.ndarray, params: np.ndarray, quantile: float, bandwidth: float
) -> np.ndarray:
    """Return standard errors for examples that depend on each other within groups (Parente and Santos Silva 2016).

    The sandwich ``A^-1 B A^-1`` with B the sum over groups of the outer products of their scores, and A Powell's kernel
    estimate of the density-weighted moments of the features.
    """
    residual = target - features @ params
    scores = features * (quantile - (residual < 0))[:, None]
    members = np.unique(groups, return_inverse=True)[1]
    summed = np.zeros((members.max() + 1, features.shape[1]))
    np.add.at(summed, members, scores)
    kernel = 0.75 * np.clip(1 - (residual / bandwidth) ** 2, 0, None) / bandwidth
    inverse = np.linalg.pinv((features * kernel[:, None]).T @ features)
    return np.sqrt(np.diag(inverse @ (summed.T @ summed) @ inverse))
