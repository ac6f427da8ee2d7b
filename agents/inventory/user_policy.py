"""A user's own ordering policy: a Python function from an observation to units to order."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.simulators.arrays import Array
from sandtable.simulators.errors import InputError


@dataclass(frozen=True)
class UserPolicy(OrderingPolicy):
    """A function as a policy.

    Attributes:
        name: As the user gave it, ``module:function``.
        function: Takes the observation, a dict of [B, k] arrays, and returns units to order, [B] or [B, 1].
    """

    name: str
    function: Callable[[dict[str, Array]], Any]

    def __call__(self, observation: dict[str, Array]) -> Array:
        """Return what the function returns; whoever runs the policy checks it."""
        try:
            return self.function(observation)
        except Exception as error:
            raise InputError(f"it raised {_told(error)}") from error

    def source(self) -> str:
        """Return the text of the file that holds the function, or its name where there is no such file."""
        try:
            path = inspect.getsourcefile(self.function)
            if path:
                with open(path, encoding="utf-8") as file:
                    return file.read()
        except (OSError, TypeError):
            pass
        return self.name


def load_policy(spec: str) -> UserPolicy:
    """Import a policy.

    Args:
        spec: ``module:function``; the module is looked for in the current folder first.

    Raises:
        InputError: There is no such module or function, or importing it fails.
    """
    module_name, colon, function_name = spec.partition(":")
    if not (module_name and colon and function_name):
        raise InputError(f"--policy {spec}: write it as module:function")
    if module_name.endswith(".py"):
        raise InputError(f"--policy {spec}: write it without .py, as {module_name.removesuffix('.py')}:{function_name}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise InputError(f"--policy {spec}: importing {module_name} raised {_told(error)}") from error
        place = "the current folder or among the installed packages"
        raise InputError(f"--policy {spec}: there is no module {module_name} in {place}") from error
    except (Exception, SystemExit) as error:  # a script that ends the program when it is imported
        raise InputError(f"--policy {spec}: importing {module_name} raised {_told(error)}") from error
    function = getattr(module, function_name, None)
    if function is None:
        raise InputError(f"--policy {spec}: {module_name} has no function {function_name}")
    if not callable(function):
        raise InputError(f"--policy {spec}: {function_name} is no function but of type {type(function).__name__}")
    return UserPolicy(spec, function)


def _told(error: BaseException) -> str:
    """Return what an exception says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
