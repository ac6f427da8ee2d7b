"""A synthetic panel of sales with what real panels have: slow and fast products, seasons, promotions, common shocks.

It is the history that a backtest uses when it is given no file, so it is reproducible to the bit and nothing in it is
unknown but stock: demand is fully observed.
"""

import numpy as np
from scipy.stats import nbinom

from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.review_periods import ReviewPeriods
from sandtable.simulators.random import fold_in, make_key, normal, uniform

STREAMS = {
    "rate": 0,
    "trend": 1,
    "season": 2,
    "christmas": 3,
    "dispersion": 4,
    "exposure": 5,
    "price": 6,
    "cost": 7,
    "elasticity": 8,
    "promotion_share": 9,
    "promotion": 10,
    "depth": 11,
    "shock": 12,
    "demand": 13,
    "lead_time": 14,
    "batch": 15,
    "minimum": 16,
}
"""Stream of each kind of draw: product i draws from ``fold_in(fold_in(key, stream), i)``, the shock from its stream."""

FIRST_DAY = np.datetime64("2023-01-02")  # a Monday
_BATCHES = np.asarray([1.0, 1.0, 1.0, 6.0, 12.0, 24.0])
_SUMMER = 196.0  # day of the year on which the shared season is lowest; it is highest half a year away
_CHRISTMAS = 345.0  # day of the year around which gifts are bought


def _product_uniforms(key: np.ndarray, stream: str, products: int) -> np.ndarray:
    """Return one uniform in (0, 1) a product, float64 [N]."""
    return uniform(fold_in(fold_in(key, STREAMS[stream]), np.arange(products)), 0) + 2.0**-54


def _between(key: np.ndarray, stream: str, products: int, low: float, high: float) -> np.ndarray:
    return low + (high - low) * _product_uniforms(key, stream, products)


def _normals(key: np.ndarray, stream: str, products: int) -> np.ndarray:
    """Return one standard normal a product, float64 [N]."""
    return normal(fold_in(fold_in(key, STREAMS[stream]), np.arange(products)), 0)


def _period_uniforms(key: np.ndarray, stream: str, periods: int, products: int) -> np.ndarray:
    """Return one uniform in (0, 1) a period and product, float64 [T, N]."""
    keys = fold_in(fold_in(key, STREAMS[stream]), np.arange(products))
    return uniform(keys[None, :], np.arange(periods)[:, None]) + 2.0**-54


def _seasonal_demand(edges: np.ndarray, amplitude: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Return the demand of each period in weeks of an average week without trend, float64 [T, N].

    Args:
        edges: datetime64[D] [T + 1], first days of the periods and the day after them.
        amplitude: float64 [N], of the yearly season, on the log scale.
        peak: float64 [N], of Christmas, on the log scale.
    """
    days = np.arange(edges[0], edges[-1])
    day_of_year = (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64)
    season = -np.cos(2 * np.pi * (day_of_year - _SUMMER) / 365.25)
    christmas = np.exp(-0.5 * ((day_of_year - _CHRISTMAS) / 10.0) ** 2)
    factor = np.exp(amplitude * season[:, None] + peak * christmas[:, None])
    return np.add.reduceat(factor, (edges[:-1] - edges[0]).astype(np.int64), axis=0) / 7.0


def synthetic_sales(
    products: int = 200, periods: int = 156, seed: int = 0, review_period: str = "W-MON"
) -> SalesHistory:
    """Return a synthetic sales history.

    Units of product i in period t are negative binomial with mean ``m`` and variance ``m + m**2 / k_i``, where

        m_it = r_i * w_it * exp(g_i * 3 * tanh(y_t / 3)) * (p_it / p_i)**(-e_i) * exp(c_i * z_t - c_i**2 / 2)

    - ``r_i``: mean weekly demand, log-normal with median 4 and log standard deviation 1.5, cut to [0.2, 100].
    - ``w_it``: weeks in the period, weighted by the season: the sum over its days of
      ``exp(a_i * s(d) + b_i * x(d)) / 7``. All products share the yearly cosine s, highest in mid January, and the bump
      x around 12 December (standard deviation 10 days); ``a_i`` in [0, 0.4], ``b_i`` in [0, 1].
    - ``g_i``: trend a year, normal with standard deviation 0.2, cut to [-0.5, 0.5]; ``y_t`` is in years from the start,
      and the trend levels off at a factor of ``exp(3 * g_i)``.
    - ``p_it``: price, the list price ``p_i`` (log-normal, median 10) or, in a promotion, 10 to 40 % less; a product is
      promoted in a share of the periods that lies in [0.02, 0.10]; ``e_i``: elasticity in [1, 3].
    - ``z_t``: standard normal shock that all products share; ``c_i``: exposure to it in [0.05, 0.25].
    - ``k_i``: size of the negative binomial, log-uniform in [0.5, 10].

    Cost is 35 to 55 % of the list price, so that the deepest promotion still earns a margin. The lead time is 1 to 4
    periods. Half of the products draw a batch of 6, 12 or 24 and keep it if it is at most two weeks of mean demand (a
    fifth do; others: 1). Two fifths have a minimum order of half a week to two weeks of mean demand, rounded up to
    batches (others: 0).
    ``in_stock`` is 1 throughout; stock, orders and the supplier's capacity are unknown (NaN).

    Product i is the same whatever the number of products, and its first periods whatever the number of periods.

    Args:
        products: N, at least 1.
        periods: T, at least 1; the first one is that of Monday 2 January 2023.
        seed: Any integer.
        review_period: A calendar as ``read_sales`` takes; demand is scaled by the days in a period.

    Returns:
        The history; units are whole numbers, and no price or cost is unknown.

    Raises:
        ValueError: ``products``, ``periods`` or ``seed`` is no integer, or too small.
        InputError: ``review_period`` is not known.
    """
    for name, value, least in (("products", products, 1), ("periods", periods, 1), ("seed", seed, None)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or (least is not None and value < least):
            raise ValueError(
                f"{name} must be an integer{'' if least is None else f' of at least {least}'}, not {value!r}"
            )
    calendar = ReviewPeriods.from_alias(review_period)
    edges = calendar.starts(FIRST_DAY, periods + 1)
    key = make_key(seed)

    rate = np.clip(4.0 * np.exp(1.5 * _normals(key, "rate", products)), 0.2, 100.0)
    price, list_price = _prices(key, periods, products)
    years = (edges[:-1] - edges[0]).astype(np.float64)[:, None] / 365.25
    trend = np.clip(0.2 * _normals(key, "trend", products), -0.5, 0.5) * 3 * np.tanh(years / 3)
    weeks = _seasonal_demand(
        edges, _between(key, "season", products, 0.0, 0.4), _between(key, "christmas", products, 0.0, 1.0)
    )
    response = (price / list_price) ** -_between(key, "elasticity", products, 1.0, 3.0)
    exposure = _between(key, "exposure", products, 0.05, 0.25)
    shock = normal(fold_in(key, STREAMS["shock"]), np.arange(periods))[:, None]
    mean = rate * weeks * np.exp(trend) * response * np.exp(exposure * shock - exposure**2 / 2)
    size = np.exp(_between(key, "dispersion", products, np.log(0.5), np.log(10.0)))
    units = nbinom.ppf(_period_uniforms(key, "demand", periods, products), size, size / (size + mean))

    batch, minimum = _order_rules(key, rate, products)
    unknown = np.full((periods, products), np.nan)
    cost = np.round(list_price * _between(key, "cost", products, 0.35, 0.55), 2)
    return SalesHistory(
        source=f"synthetic sales, seed {seed}",
        skus=tuple(f"S{i:06d}" for i in range(products)),
        starts=edges[:-1],
        review_period=calendar.alias,
        units=units,
        price=price,
        cost=np.tile(cost, (periods, 1)),
        in_stock=np.ones((periods, products)),
        on_hand=unknown,
        on_order=unknown.copy(),
        lead_time=np.floor(_between(key, "lead_time", products, 1.0, 5.0)),
        minimum_order=minimum,
        batch_size=batch,
        capacity=np.full(products, np.nan),
    )


def _prices(key: np.ndarray, periods: int, products: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the price in each period, float64 [T, N], and the list price, float64 [N], in cents."""
    list_price = np.round(np.maximum(10.0 * np.exp(0.8 * _normals(key, "price", products)), 1.0), 2)
    share = _between(key, "promotion_share", products, 0.02, 0.10)
    promoted = _period_uniforms(key, "promotion", periods, products) < share
    depth = 0.1 + 0.3 * _period_uniforms(key, "depth", periods, products)
    return np.where(promoted, np.round(list_price * (1 - depth), 2), list_price), list_price


def _order_rules(key: np.ndarray, rate: np.ndarray, products: int) -> tuple[np.ndarray, np.ndarray]:
    """Return batch size and minimum order of each product, units, float64 [N] each."""
    batch = _BATCHES[(len(_BATCHES) * _product_uniforms(key, "batch", products)).astype(np.int64)]
    batch = np.where(batch <= 2 * rate, batch, 1.0)
    draw = _product_uniforms(key, "minimum", products)
    weeks = 0.5 + 1.5 * draw / 0.4
    return batch, np.where(draw < 0.4, batch * np.ceil(weeks * rate / batch), 0.0)
