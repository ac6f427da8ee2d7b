"""The instances by name."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.regimes import REGIMES

INSTANCES: dict[str, Callable[..., FiniteMDP]] = {**REGIMES}
"""Names of the instances, and the function that builds each from its parameters."""


def instance(name: str, **parameters: Any) -> FiniteMDP:
    """Return the instance of that name.

    Args:
        name: A key of ``INSTANCES``.
        **parameters: Arguments of its function; numbers, texts and lists.

    Raises:
        InputError: There is no such instance or parameter, or a value is out of its range.
    """
    if name not in INSTANCES:
        close = get_close_matches(str(name).lower(), [one.lower() for one in INSTANCES], n=1)
        meant = [f"; did you mean {one!r}?" for one in INSTANCES if one.lower() in close]
        raise InputError(f"instance {name!r}: there are {', '.join(INSTANCES)}{''.join(meant)}")
    known = list(inspect.signature(INSTANCES[name]).parameters)
    unknown = [parameter for parameter in parameters if parameter not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"instance {name}: there is no parameter {unknown[0]!r}; {has}")
    return INSTANCES[name](**parameters)
