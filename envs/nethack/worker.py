"""The side of a worker: some of the games of a vector environment, played into shared memory."""

import json
import os
from contextlib import ExitStack
from typing import Any

import numpy as np

from sandtable.envs.nethack.game import ENDS, MEASURES, Game
from sandtable.envs.nethack.settings import OBSERVATIONS, NetHackSettings
from sandtable.envs.nethack.shared_memory import Field, map_arrays
from sandtable.envs.nethack.worker_pool import GO, serve

START, WAIT = -1, -2
"""Orders that are no keys: begin the next episode; do nothing."""

GOES_ON = -1
"""Stands for the number of an end in ``ENDS``, while there is none."""

RESULT = np.dtype(
    [
        ("reward", "f8"),
        ("total", "f8"),
        ("steps", "i8"),
        *((name, "i8") for name in MEASURES),
        ("terminated", "?"),
        ("truncated", "?"),
        ("end", "i1"),
        ("reproducible", "?"),
        ("done", "?"),
    ]
)
"""What a row says of its last step or start. ``total`` and ``steps`` are of the episode so far, ``end`` is the number
of one of ``ENDS`` or ``GOES_ON``; ``done``, set last, tells that the order was carried out."""


def layout(settings: NetHackSettings, num_envs: int) -> list[Field]:
    """Return the fields of the shared memory: an order, two seeds and a result a row, and the observations."""
    fields = [
        Field("order", (num_envs,), "i2"),
        Field("seeds", (num_envs, 2), "i8"),
        Field("result", (num_envs,), RESULT),
    ]
    shown = ((name, *OBSERVATIONS[name][:2]) for name in settings.names)
    return fields + [Field(name, (num_envs, *shape), dtype) for name, shape, dtype in shown]


def main(job: dict[str, Any]) -> None:
    """Be a worker of ``NetHackVectorEnv``, which made the job."""
    serve(job, lambda stack: _Games(job, stack).follow)


class _Games:
    """The games of a worker's rows, and where their orders come from.

    Args:
        job: ``arguments`` of the settings, ``num_envs``, the worker's ``rows`` (first, and first of the next worker)
            and ``memory``.
        stack: Ends the games when it is left.
    """

    def __init__(self, job: dict[str, Any], stack: ExitStack) -> None:
        settings = NetHackSettings(**job["arguments"])
        arrays = map_arrays(job["memory"], layout(settings, job["num_envs"]))
        os.close(job["memory"])
        self._rows = range(*job["rows"])
        self._orders, self._seeds = arrays["order"][slice(*job["rows"])], arrays["seeds"]
        self._results = arrays["result"]
        self._games = [Game(settings, {name: arrays[name][row] for name in settings.names}) for row in self._rows]
        for game in self._games:
            stack.callback(game.close)

    def follow(self, message: bytes) -> None:
        """Carry out the orders; the message is ``GO``, or JSON: a level seed and a character, by row."""
        special = {} if message == GO else json.loads(message)
        for row, game, order in zip(self._rows, self._games, self._orders.tolist(), strict=True):
            if order >= 0:
                result = game.step(order)
            elif order == START:
                core, disp = self._seeds[row].tolist()
                game.start((core, disp), *special.get(str(row), ()))
                result = (0.0, False, False)
            else:
                continue
            reward, terminated, truncated = result
            end = GOES_ON if game.end is None else ENDS.index(game.end)
            ends = terminated, truncated, end, game.reproducible, True
            self._results[row] = (reward, game.total, game.steps, *game.measures(), *ends)
