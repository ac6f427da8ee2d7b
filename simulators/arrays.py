"""The few array operations that simulators need beyond the array API standard, for numpy and torch alike."""

from functools import lru_cache
from typing import Any, cast

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array, numpy

Array = Any
"""A numpy array or a torch tensor."""

NUMPY = (np.ndarray, np.generic)
"""What counts as numpy's; a tuple, because ``torch.compile`` cannot follow a union of types."""

_SMALL = 2**16  # bytes of a constant that is worth keeping on a device


def namespace(array: Array) -> Any:
    """Return the array API namespace of ``array``: numpy's or torch's."""
    return numpy if isinstance(array, NUMPY) else array_namespace(array)


def like(reference: Array, values: Array, dtype: str | None = None) -> Array:
    """Return ``values`` as an array of the library and device of ``reference``.

    Args:
        reference: A numpy array or torch tensor; only its library and device matter.
        values: Anything ``numpy.asarray`` takes, or already an array of that library.
        dtype: Name of the element type, for example ``"float32"``; None keeps that of ``values``.
    """
    xp = namespace(reference)
    if is_torch_array(values):
        return values if dtype is None else values.to(getattr(xp, dtype))
    converted = np.asarray(values, dtype=dtype)
    if xp is numpy:
        return converted
    where = device(reference)
    if where.type != "cpu" and converted.nbytes <= _SMALL and not _is_compiling():
        return _kept(converted.tobytes(), converted.dtype.str, converted.shape, str(where))
    return xp.asarray(converted, device=where)


def _is_compiling() -> bool:
    import torch

    return bool(torch.compiler.is_compiling())


@lru_cache(maxsize=256)
def _kept(contents: bytes, dtype: str, shape: tuple[int, ...], where: str) -> Array:
    """Return a small constant on a device, copied once: a copy makes the host wait, and cannot be in a CUDA graph."""
    import torch

    return torch.asarray(np.frombuffer(contents, dtype).reshape(shape).copy(), device=where)


class Constant:
    """An array that many calls need, copied to each library and device once.

    Attributes:
        values: The array, numpy.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._copies: dict[tuple[str, str], Array] = {}

    def on(self, reference: Array) -> Array:
        """Return the array in the library and on the device of ``reference``."""
        if isinstance(reference, NUMPY):
            return self.values
        place = namespace(reference).__name__, str(reference.device)
        if place not in self._copies:
            self._copies[place] = like(reference, self.values)
        return self._copies[place]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the copies behind when pickled."""
        return {"values": self.values, "_copies": {}}


def positive(values: Array) -> Array:
    """Return ``max(values, 0)``; where ``values`` is 0 its gradient is that of the values."""
    if isinstance(values, NUMPY):
        return np.maximum(values, 0.0)
    return values.clamp_min(0.0)


def at_most(values: Array, bound: float) -> Array:
    """Return ``min(values, bound)``."""
    if isinstance(values, NUMPY):
        return np.minimum(values, bound)
    return values.clamp_max(bound)


def tree_map(function: Any, *trees: Any) -> Any:
    """Apply ``function`` to the arrays of NamedTuples, tuples or dicts that have the same structure.

    None stays None.
    """
    first = trees[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {name: tree_map(function, *(tree[name] for tree in trees)) for name in first}
    if isinstance(first, tuple):
        mapped = [tree_map(function, *branches) for branches in zip(*trees, strict=True)]
        return type(first)(*mapped) if hasattr(first, "_fields") else tuple(mapped)
    return function(*trees)


def straight_through(exact: Array, relaxed: Array) -> Array:
    """Return ``exact``, with the gradient of ``relaxed`` (Bengio et al., arXiv 1308.3432).

    Args:
        exact: The value, for example a rounded quantity; numpy or torch.
        relaxed: A differentiable stand-in of the same shape. Only torch tensors carry gradients.
    """
    if not is_torch_array(exact) or not relaxed.requires_grad:
        return exact
    from sandtable.simulators.straight_through import StraightThrough

    return cast(Array, StraightThrough.apply(exact, relaxed))
