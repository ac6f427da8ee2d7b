"""Order up to a forecast of demand over the lead time, plus a buffer for its error."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.agents.inventory.policy import OrderingPolicy, inventory_position
from sandtable.estimators.inventory.quantile_forecast import QuantileFit, demand_scale, forecast_features
from sandtable.simulators.arrays import Array, like, namespace, positive


@dataclass(frozen=True)
class MovingAverage(OrderingPolicy):
    """Order up to ``m (L + 1) + z d sqrt(L + 1)`` with m the mean of the last known demands.

    d is the product's standard deviation of demand in the training history, scaled with the forecast: d * sqrt(m /
    mean) as for demand whose variance grows with its mean.

    Attributes:
        window: Periods that the mean looks back, at most what the observation shows.
        buffer: z, standard deviations.
    """

    window: int
    buffer: float

    def __call__(self, observation: dict[str, Any]) -> Array:
        """Return units to order, [*batch, 1]."""
        periods = observation["lead_time"] + 1
        return _order_up_to(observation, _recent_mean(observation, self.window), periods, self.buffer)


@dataclass(frozen=True)
class SeasonalForecast(OrderingPolicy):
    """Order up to a seasonal forecast of the demand until the order after this one arrives, plus a buffer.

    Recent demand is divided by the season of its periods, averaged, and multiplied by the season of the lead time.

    Attributes:
        window: Periods that the mean looks back.
        buffer: z, standard deviations.
        factor: Seasonal factor of every period of the panel and of the year after it, [T + P].
    """

    window: int
    buffer: float
    factor: np.ndarray

    def __call__(self, observation: dict[str, Any]) -> Array:
        """Return units to order, [*batch, 1]."""
        period = observation["period"]
        xp = namespace(period)
        now = xp.astype(period, xp.int64)
        factor = xp.astype(like(period, self.factor), period.dtype)

        def season(offsets: Array) -> Array:
            index = xp.clip(now + offsets, 0, factor.shape[0] - 1)
            return xp.reshape(xp.take(factor, xp.reshape(index, (-1,))), index.shape)

        past = xp.arange(-self.window, 0, device=period.device)
        deseasonalised = _recent_mean(observation, self.window, season(past))
        longest = observation["on_order"].shape[-1]
        ahead = xp.arange(longest + 1, device=period.device)
        counted = positive(observation["lead_time"] + 1 - ahead)
        counted = counted - positive(counted - 1)  # 1 for whole periods, a fraction for the last, 0 beyond
        effective = xp.sum(season(ahead) * counted, axis=-1, keepdims=True)
        return _order_up_to(observation, deseasonalised, effective, self.buffer)


@dataclass(frozen=True)
class QuantileForecast(OrderingPolicy):
    """Order up to a quantile, by regression on what is known, of the demand until the order after this one arrives.

    Attributes:
        fit: The regression, of demand in units of scale times periods on ``forecast_features``.
        seasonal: Whether it knows the season.
    """

    fit: QuantileFit
    seasonal: bool

    def __call__(self, observation: dict[str, Any]) -> Array:
        """Return units to order, [*batch, 1]."""
        periods = observation["lead_time"] + 1
        ratio = positive(self.fit.predict(forecast_features(observation, self.seasonal)))
        level = namespace(ratio).ceil(ratio * demand_scale(observation) * periods - 1e-9)
        return positive(level - inventory_position(observation))


def _recent_mean(observation: dict[str, Any], window: int, season: Array | None = None) -> Array:
    """Return the mean of the known demands of the last ``window`` periods, [*batch, 1].

    Where none is known, the training history's mean. With ``season`` [*batch, window], that of demand / season.
    """
    demand = observation["past_demand"][..., -window:]
    known = observation["demand_known"][..., -window:]
    xp = namespace(demand)
    weight = known if season is None else known * season
    count = xp.sum(weight, axis=-1, keepdims=True)
    recent = xp.sum(demand * known, axis=-1, keepdims=True) / xp.where(count > 0, count, 0.0 * count + 1)
    return xp.where(count > 0, recent, observation["mean"])


def _order_up_to(observation: dict[str, Any], forecast: Array, periods: Array, buffer: float) -> Array:
    """Return the order that lifts the position to the forecast over ``periods`` plus the buffer, in whole units."""
    xp = namespace(forecast)
    mean = observation["mean"]
    growth = forecast / xp.where(mean > 0, mean, 0.0 * mean + 1)
    deviation = xp.where(mean > 0, observation["deviation"] * growth**0.5, forecast**0.5)
    level = forecast * periods + buffer * deviation * (observation["lead_time"] + 1) ** 0.5
    return positive(xp.ceil(level) - inventory_position(observation))
