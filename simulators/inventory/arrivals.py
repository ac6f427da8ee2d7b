"""When an order arrives: shares of it by lag. A fixed, a random and a replayed lead time are all this one thing.

An array of shares has shape [T, J + 1, N]: of an order for product i placed in period t, ``shares[t, j, i]`` arrives j
periods later. A first axis of length one holds for all periods.
"""

from collections.abc import Sequence

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.random import categorical, fold_in, make_key


def fixed(lead_time: np.ndarray) -> np.ndarray:
    """Return the shares of lead times that never change.

    Args:
        lead_time: Whole periods, >= 0, [N].

    Returns:
        float64 [1, J + 1, N], one-hot, J the longest lead time.
    """
    lead_time = np.asarray(lead_time, dtype=np.int64)
    if (lead_time < 0).any():
        raise InputError(f"lead times must not be negative, but one is {lead_time.min()}")
    lags = np.arange(int(lead_time.max(initial=0)) + 1)
    return (lags[:, None] == lead_time).astype(np.float64)[None]


def random_lead_time(
    probabilities: Sequence[float] | np.ndarray, periods: int, products: int, seed: int = 0
) -> np.ndarray:
    """Draw one lag an order: all of it arrives together, after a random number of periods. Orders may cross.

    Args:
        probabilities: Of the lags 0, 1, ..., J; >= 0, sum to 1 (to 1e-9).
        periods: T.
        products: N.
        seed: The draws of product i depend on (seed, i) alone.

    Returns:
        float64 [T, J + 1, N], one-hot.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if not ((probabilities >= 0).all() and abs(probabilities.sum() - 1) < 1e-9):
        raise InputError("the probabilities of the lead times must not be negative and must sum to 1")
    keys = fold_in(make_key(seed), np.arange(products))
    lag = categorical(keys, np.arange(periods)[:, None], np.cumsum(probabilities)[:-1])
    return (np.arange(len(probabilities))[:, None] == lag[:, None, :]).astype(np.float64)


def checked(shares: np.ndarray, periods: int, products: int) -> np.ndarray:
    """Return arrival shares as float64, or refuse them.

    Args:
        shares: [T or 1, J + 1, N or 1], >= 0, summing to 1 over lags (to 1e-6).
        periods: T.
        products: N.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if shares.ndim != 3 or shares.shape[0] not in (1, periods) or shares.shape[2] not in (1, products):
        raise InputError(
            f"shares must have shape [{periods} or 1, lags, {products} or 1], not {list(shares.shape)}"
        )
    if not (shares >= 0).all() or not np.allclose(shares.sum(axis=1), 1.0, rtol=0, atol=1e-6):
        raise InputError("arrival shares must not be negative and must sum to 1 over the lags of each order")
    return shares


def mean_lead_time(shares: np.ndarray) -> np.ndarray:
    """Return the mean lag of each product over all periods, [N]."""
    return np.einsum("tjn,j->n", shares, np.arange(shares.shape[1])) / shares.shape[0]
