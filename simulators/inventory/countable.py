"""Quantities that an element type can count: from 2**24 on, float32 holds no odd numbers."""

import numpy as np

from sandtable.simulators.errors import InputError

LARGEST = 2.0**24
"""Units to which float32 counts."""


def require_countable(largest: float, dtype: str, name: str) -> None:
    """Refuse a quantity that is not finite, or that the element type cannot count.

    Args:
        largest: Its largest magnitude, units; NaN where a value is not a number.
        dtype: Element type.
        name: What it is.

    Raises:
        ValueError: It is not finite, or float32 is asked for it and does not count so far.
    """
    if not np.isfinite(largest):
        raise ValueError(f"{name} must be finite")
    if dtype == "float32" and largest > LARGEST:
        raise ValueError(f"{name} reaches {largest:g} units, and float32 counts to 2**24; use dtype='float64'")


def require_countable_table(
    units: np.ndarray, dtype: str, name: str, skus: tuple[str, ...], starts: np.ndarray
) -> None:
    """Refuse a table of what products sold or had, if the element type cannot count it.

    Args:
        units: [T, N]; NaN where unknown.
        dtype: Element type.
        name: What it is.
        skus: Names of the N products.
        starts: datetime64 [T], first day of each period.

    Raises:
        InputError: Which product, in which period, and what to do.
    """
    if dtype != "float32" or not units.size:
        return
    period, product = np.unravel_index(np.nan_to_num(units).argmax(), units.shape)
    if (largest := units[period, product]) > LARGEST:
        raise InputError(
            f"product {skus[product]!r}, period of {starts[period]}: {name} is {largest:g} units, and float32 counts "
            "to 2**24; use dtype='float64', or count in larger units"
        )
