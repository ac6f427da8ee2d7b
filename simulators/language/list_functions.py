"""Generated programming tasks: short functions of lists, described vaguely, with two examples that tell which is meant.

A prompt looks like those of MBPP: a docstring that says what to do, step by step, and shows two assertions, and the
first line of a function ``f(x)``. The completion is the function's body: a line a step, and ``return x``. Of the
docstring's clauses some are precise ("double each number") and some vague ("change each number"), which may mean any
of several steps; the examples tell which. So a model that reads the docstring alone is right sometimes, and one that
reads the examples can always be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.random import fold_in, make_key, uniform

SHOWN, HIDDEN = 2, 8
"""Examples in the prompt, and those that are only tested."""

_DEPTHS = (1, 2, 2, 3, 3)  # one statement, two, three: 1 : 2 : 2
_LENGTHS = (4, 5, 6)
_LARGEST = 99
_DRAWS = max(_DEPTHS) + (SHOWN + HIDDEN) * (1 + max(_LENGTHS))  # uniforms that an attempt needs at most


@dataclass(frozen=True)
class Statement:
    """A step of a function.

    Attributes:
        source: The line of Python, without its indentation.
        clause: What it does, precisely.
        vague: What it does, vaguely; other steps have the same words.
        apply: The same as ``source``, of a list.
    """

    source: str
    clause: str
    vague: str
    apply: Callable[[list[int]], list[int]]


_CHANGE, _KEEP = "change each number", "keep some of the numbers"
_ORDER, _SHORTEN = "put the numbers in another order", "leave one number out"
STATEMENTS = (
    Statement("x = [2 * v for v in x]", "double each number", _CHANGE, lambda x: [2 * v for v in x]),
    Statement("x = [v + 3 for v in x]", "add three to each number", _CHANGE, lambda x: [v + 3 for v in x]),
    Statement("x = [v * v for v in x]", "square each number", _CHANGE, lambda x: [v * v for v in x]),
    Statement("x = [v for v in x if v % 2 == 0]", "keep even numbers", _KEEP, lambda x: [v for v in x if not v % 2]),
    Statement("x = [v for v in x if v % 2 == 1]", "keep odd numbers", _KEEP, lambda x: [v for v in x if v % 2]),
    Statement("x = [v for v in x if v > 4]", "keep numbers above four", _KEEP, lambda x: [v for v in x if v > 4]),
    Statement("x = x[::-1]", "reverse the list", _ORDER, lambda x: x[::-1]),
    Statement("x = sorted(x)", "sort the numbers upwards", _ORDER, lambda x: sorted(x)),
    Statement("x = sorted(x)[::-1]", "sort the numbers downwards", _ORDER, lambda x: sorted(x)[::-1]),
    Statement("x = x[1:] + x[:1]", "move the first number to the end", _ORDER, lambda x: x[1:] + x[:1]),
    Statement("x = x[1:]", "leave the first number out", _SHORTEN, lambda x: x[1:]),
    Statement("x = x[:-1]", "leave the last number out", _SHORTEN, lambda x: x[:-1]),
)
"""The steps. Each vague clause is shared by two to four of them."""


def list_functions(count: int, vague: float = 0.6, seed: int = 0) -> tuple[Task, ...]:
    """Generate tasks.

    A function has one step, two or three (1 : 2 : 2), and each is described vaguely with probability ``vague``. Which
    of ``STATEMENTS`` they are, and the inputs, lists of 4 to 6 digits, are drawn until no number exceeds 99, no output
    is empty, no two inputs are equal, and the examples that are shown, two of ten, single the function out: any other
    that the docstring allows and that does what is shown also passes the hidden tests.

    Args:
        count: How many, at least 1.
        vague: Share of vague clauses, in [0, 1].
        seed: Task i depends on the seed and i alone.

    Returns:
        Tasks ``lists/<seed>/<i>`` of kind ``python``, with a reference.

    Raises:
        InputError: An argument is out of its range.
    """
    if count < 1:
        raise InputError(f"count = {count}: it must be at least 1")
    if not 0 <= vague <= 1:
        raise InputError(f"vague = {vague}: it must lie in [0, 1]")
    keys = fold_in(make_key(int(seed)), np.arange(count))
    return tuple(_task(f"lists/{int(seed)}/{i}", key[None], vague) for i, key in enumerate(keys))


def _task(task_id: str, key: Array, vague: float) -> Task:
    """Return the task of a key, [1]: its first attempt that will do."""
    shape = uniform(fold_in(key, 0), np.arange(1 + max(_DEPTHS))).tolist()
    hazy = [draw < vague for draw in shape[1 : 1 + _chosen(_DEPTHS, shape[0])]]
    attempt = 0
    while True:
        attempt += 1
        draws = iter(uniform(fold_in(key, attempt), np.arange(_DRAWS)).tolist())
        steps = [_chosen(STATEMENTS, next(draws)) for _ in hazy]
        inputs = [
            [int(10 * next(draws)) for _ in range(_chosen(_LENGTHS, next(draws)))] for _ in range(SHOWN + HIDDEN)
        ]
        outputs = [_run(steps, x) for x in inputs]
        if all(outputs) and len({*map(tuple, inputs)}) == len(inputs) and _singled_out(steps, hazy, inputs, outputs):
            return _written(task_id, steps, hazy, inputs, outputs)


def _chosen(choices: Sequence[Any], draw: float) -> Any:
    """Return one of the choices, by a uniform draw."""
    return choices[int(draw * len(choices))]


def _run(steps: Sequence[Statement], x: list[int]) -> list[int]:
    """Return what the function makes of a list; an empty list where a number on the way is too large."""
    for step in steps:
        x = step.apply(x)
        if any(v > _LARGEST for v in x):
            return []
    return x


def _singled_out(
    steps: Sequence[Statement], hazy: Sequence[bool], inputs: Sequence[list[int]], outputs: Sequence[list[int]]
) -> bool:
    """Tell whether every function that the docstring allows and the examples agree with does the same on all inputs."""
    allowed = [
        [one for one in STATEMENTS if one.vague == step.vague] if dim else [step]
        for step, dim in zip(steps, hazy, strict=True)
    ]
    for other in product(*allowed):
        agrees = all(_run(other, inputs[i]) == outputs[i] for i in range(SHOWN))
        if agrees and any(_run(other, x) != y for x, y in zip(inputs[SHOWN:], outputs[SHOWN:], strict=True)):
            return False
    return True


def _written(
    task_id: str,
    steps: Sequence[Statement],
    hazy: Sequence[bool],
    inputs: Sequence[list[int]],
    outputs: Sequence[list[int]],
) -> Task:
    """Return the task as text."""
    clauses = ", then ".join(step.vague if dim else step.clause for step, dim in zip(steps, hazy, strict=True))
    asserts = [f"assert f({x}) == {y}\n" for x, y in zip(inputs, outputs, strict=True)]
    shown = "".join(asserts[:SHOWN])
    body = "".join(f"    {step.source}\n" for step in steps)
    return Task(
        task_id=task_id,
        kind="python",
        prompt=f'"""\n{clauses[0].upper()}{clauses[1:]}.\n{shown}"""\ndef f(x):\n',
        entry_point="f",
        tests="".join(asserts),
        visible_tests=shown,
        reference=f"{body}    return x\n",
    )
