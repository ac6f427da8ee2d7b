"""What the names in tests mean: which are the judge's own, and which stand for something in the worker.

In this order: the entry point; functions that the prompt gives (helpers); builtins and standard modules of the judge;
what the setup or the reference binds. A program can define whatever it likes (`set`, `len`, `math`, `check`): none of
it is looked up, so no test compares with what a program made up.

This module uses the standard library alone: processes load it that have no packages.
"""

import ast
import builtins
import importlib
import sys

# Modules that tests may speak of without importing them. They are imported before the fork, in the server.
STANDARD_MODULES = (
    "array", "bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "hashlib",
    "heapq", "itertools", "json", "math", "numbers", "operator", "os", "random", "re", "statistics", "string", "sys",
    "time", "typing",
)  # fmt: skip
MODULES = {name: importlib.import_module(name) for name in STANDARD_MODULES}


def names_in_worker(*sources: str) -> tuple[str, ...]:
    """Return the variables of modules' sources that tests may speak of in the worker (of a setup, of a reference).

    What a source imports from the standard library is not among them (`standard_imports`), nor are the names of
    builtins and of standard modules: they are the judge's.

    Args:
        sources: Python. What cannot be parsed binds nothing.
    """
    found: dict[str, None] = {}
    for tree in map(_parsed, sources):
        for statement in tree.body:
            found |= dict.fromkeys(_bound(statement))
    return tuple(name for name in found if not hasattr(builtins, name) and name not in MODULES)


def standard_imports(*sources: str) -> str:
    """Return the statements by which modules' sources import from the standard library, as source for the judge."""
    found: dict[str, None] = {}
    for tree in map(_parsed, sources):
        for statement in tree.body:
            if _imports_standard(statement):
                found[ast.unparse(statement)] = None
    return "".join(f"{one}\n" for one in found)


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _imports_standard(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        modules = [statement.module or ""] if statement.level == 0 else []
    elif isinstance(statement, ast.Import):
        modules = [one.name for one in statement.names]
    else:
        return False
    return bool(modules) and all(one.partition(".")[0] in sys.stdlib_module_names for one in modules)


def _bound(statement: ast.stmt) -> list[str]:
    """Return the variables that a statement of a module binds; those of functions within are their own."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if _imports_standard(statement):
            return []
        return [(one.asname or one.name).partition(".")[0] for one in statement.names if one.name != "*"]
    names = [
        node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]  # fmt: skip
    for block in ("body", "orelse", "finalbody"):
        for inner in getattr(statement, block, []):
            names += _bound(inner)
    return names
