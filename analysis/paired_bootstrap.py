"""How sure a sum over products is: a cluster bootstrap over products and over blocks of time.

Products differ, and so do weeks: a promotion week moves many products at once. The total of a panel of values
``d[i, b]`` (product i, time block b) varies with the products that happened to be in the panel and with the blocks that
happened to be in the test. Products are resampled with replacement, whole histories at a time, which covers the
products' own noise. Blocks are resampled as well; of their variance the part that products' own noise causes is taken
out (it is counted already), so that

    variance = products' variance + blocks' variance - variance of the interaction,

the two-way cluster-robust variance of Cameron, Gelbach and Miller (2011, doi 10.1198/jbes.2010.07136). With few blocks
the blocks' part is widened by the ratio of Student's to the normal quantile.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A total and how sure it is.

    Attributes:
        estimate: The total.
        low: Lower end of the confidence interval; NaN with fewer than two products.
        high: Upper end.
        products: How many products it sums.
        blocks: How many blocks of time.
        time_share: Share of the variance that is due to blocks of time, in [0, 1].
    """

    estimate: float
    low: float
    high: float
    products: int
    blocks: int
    time_share: float


def time_blocks(values: np.ndarray, length: int) -> np.ndarray:
    """Sum periods into blocks.

    Args:
        values: [T, N].
        length: Periods a block, >= 1; the last block takes the remainder.

    Returns:
        [N, B] with B = max(1, T // length).
    """
    blocks = max(1, len(values) // length)
    bounds = [block * length for block in range(blocks)]
    return np.add.reduceat(values, bounds, axis=0).T


def bootstrap_total(values: np.ndarray, alpha: float = 0.05, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the total of a panel with its bootstrap interval.

    Args:
        values: [N, B], a row a product, a column a block of time (see ``time_blocks``).
        alpha: One minus the confidence, in (0, 1).
        resamples: Bootstrap draws, >= 100.
        seed: Of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: ``values`` is no finite [N, B] array, or an argument is out of range.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values must be a [products, blocks] array, not of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite")
    if not 0 < alpha < 1 or resamples < 100:
        raise ValueError("alpha must lie in (0, 1) and resamples be at least 100")
    products, blocks = values.shape
    total = float(values.sum())
    if products < 2:
        return Interval(total, np.nan, np.nan, products, blocks, 0.0)
    generator = np.random.default_rng(seed)
    of_products = values.sum(axis=1)
    draws = np.empty(resamples)
    step = max(1, 4_000_000 // products)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        drawn = generator.integers(products, size=(size, products), dtype=np.int32)
        draws[first : first + size] = of_products[drawn].sum(axis=1)
    product_variance = products * of_products.var(ddof=1)
    scale, block_variance = 0.0, 0.0
    if blocks > 1:
        of_blocks = values.sum(axis=0)
        residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
        interaction = values.size * (residual**2).sum() / ((products - 1) * (blocks - 1))
        whole = blocks * of_blocks.var(ddof=1)
        block_variance = max(0.0, whole - interaction)
        if block_variance > 0:
            student = stats.t.ppf(1 - alpha / 2, blocks - 1) / stats.norm.ppf(1 - alpha / 2)
            scale = student * np.sqrt(block_variance / (whole * (blocks - 1) / blocks))
            chosen = generator.integers(blocks, size=(resamples, blocks))
            draws += scale * (of_blocks[chosen].sum(axis=1) - total)
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    everything = product_variance + block_variance
    share = block_variance / everything if everything > 0 else 0.0
    return Interval(total, float(low), float(high), products, blocks, float(share))
