"""The instances by name."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.ope.finite_mdp import FiniteMDP, checked_discount
from sandtable.simulators.ope.instances.chains import boyan, random_walk
from sandtable.simulators.ope.instances.counterexamples import amortila, baird, kolter, tsitsiklis_van_roy
from sandtable.simulators.ope.instances.icu_sepsis import icu_sepsis
from sandtable.simulators.ope.instances.random_world import random_world
from sandtable.simulators.ope.instances.regimes import REGIMES
from sandtable.simulators.ope.instances.stages import cobs_graph, wang_foster_kakade

INSTANCES: dict[str, Callable[..., FiniteMDP]] = {
    **REGIMES,
    "baird": baird,
    "tsitsiklis-van-roy": tsitsiklis_van_roy,
    "amortila": amortila,
    "kolter": kolter,
    "boyan": boyan,
    "random-walk": random_walk,
    "wang-foster-kakade": wang_foster_kakade,
    "cobs-graph": cobs_graph,
    "random": random_world,
    "icu-sepsis": icu_sepsis,
}
"""Names of the instances, and the function that builds each from its parameters."""


def instance(name: str, **parameters: Any) -> FiniteMDP:
    """Return the instance of that name.

    Args:
        name: A key of ``INSTANCES``.
        **parameters: Arguments of its function; numbers, texts and lists.

    Raises:
        InputError: There is no such instance or parameter, or a value is out of its range.
    """
    known = parameters_of(name)
    unknown = [parameter for parameter in parameters if parameter not in known]
    if unknown:
        raise InputError(f"instance {name}: there is no parameter {unknown[0]!r}; it has {', '.join(known)}")
    if "discount" in parameters:
        parameters["discount"] = checked_discount(parameters["discount"], f"{name}: ")
    return INSTANCES[name](**parameters)


def parameters_of(name: str) -> list[str]:
    """Return the names of the parameters of an instance.

    Raises:
        InputError: There is no such instance.
    """
    require_name("instance", name, INSTANCES)
    return list(inspect.signature(INSTANCES[name]).parameters)


def description(name: str) -> str:
    """Return what the instance is, in words; errors as for ``parameters_of``."""
    require_name("instance", name, INSTANCES)
    build = INSTANCES[name]
    return inspect.getdoc(build.func if isinstance(build, partial) else build) or name
