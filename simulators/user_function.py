"""A user's own Python function, named as ``module:function`` on the command line."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from sandtable.simulators.errors import InputError


def load_function(spec: str, option: str) -> Callable[..., Any]:
    """Import a function.

    Args:
        spec: ``module:function``; the module is looked for in the current folder first.
        option: The option that it was given with, for messages.

    Raises:
        InputError: There is no such module or function, or importing it fails.
    """
    module_name, colon, function_name = spec.partition(":")
    if not (module_name and colon and function_name):
        raise InputError(f"{option} {spec}: write it as module:function")
    if module_name.endswith(".py"):
        raise InputError(f"{option} {spec}: write it without .py, as {module_name.removesuffix('.py')}:{function_name}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise InputError(f"{option} {spec}: importing {module_name} raised {on_one_line(error)}") from error
        place = "the current folder or among the installed packages"
        raise InputError(f"{option} {spec}: there is no module {module_name} in {place}") from error
    except (Exception, SystemExit) as error:  # a script that ends the program when it is imported
        raise InputError(f"{option} {spec}: importing {module_name} raised {on_one_line(error)}") from error
    function = getattr(module, function_name, None)
    if function is None:
        raise InputError(f"{option} {spec}: {module_name} has no function {function_name}")
    if not callable(function):
        kind = type(function).__name__
        raise InputError(f"{option} {spec}: {function_name} is no function but of type {kind}")
    return function


def source_of(function: Callable[..., Any], name: str) -> str:
    """Return the text of the file that holds a function, or ``name`` where there is no such file."""
    try:
        path = inspect.getsourcefile(function)
        if path:
            with open(path, encoding="utf-8") as file:
                return file.read()
    except (OSError, TypeError):
        pass
    return name


def on_one_line(error: BaseException) -> str:
    """Return what an exception says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
