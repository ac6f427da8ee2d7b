"""How kernels are compiled: by numba where it is there, cached on disk where a folder can be written."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

AVAILABLE = find_spec("numba") is not None
"""Whether numba is installed."""


def compiled(function: Function, within: bool = False) -> Function:
    """Return the function compiled by numba, when it is first called; without numba, as it is.

    The machine code is cached beside the sources, in numba's own folder where that is read-only, and not at all where
    neither can be written. Floating-point operations keep their order, so the bits are those of the array program.

    Args:
        function: To be compiled.
        within: Whether it becomes part of each function that calls it.
    """
    if not AVAILABLE:
        return function
    njit = import_module("numba").njit
    options = {"error_model": "numpy", "boundscheck": False, "forceinline": within}
    try:
        dispatcher: Function = njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder for its cache
        dispatcher = njit(**options)(function)
    return dispatcher


def inlined(function: Function) -> Function:
    """Return the function compiled as a part of each that calls it, where what is known of its arguments is used."""
    return compiled(function, within=True)


def require_numba() -> None:
    """Raise unless kernels can be compiled.

    Raises:
        ImportError: numba is not installed.
    """
    if not AVAILABLE:
        raise ImportError("compiled kernels need numba: pip install 'sandtable[fast]', or use the world's own step")
