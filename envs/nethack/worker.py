"""The side of a worker: some of the games of a vector environment, played into shared memory."""

import json
import os
from contextlib import ExitStack
from typing import Any

from sandtable.envs.nethack.engine import library_path
from sandtable.envs.nethack.game import ENDS, MEASURES, Game
from sandtable.envs.nethack.settings import OBSERVATIONS, NetHackSettings
from sandtable.envs.nethack.shared_code import SharedCode
from sandtable.envs.nethack.shared_memory import Field, map_arrays
from sandtable.envs.nethack.worker_pool import GO, serve

START, WAIT = -1, -2
"""Orders that are no keys: begin the next episode; do nothing."""

TERMINATED, TRUNCATED, END, REPRODUCIBLE, DONE = range(5)
"""Rows of ``flags``. ``END`` is the number of one of ``ENDS``, or their count while the episode goes on; ``DONE``, set
last, tells that the order was carried out."""


def layout(settings: NetHackSettings, num_envs: int) -> list[Field]:
    """Return the fields of the shared memory.

    They are a row's order and seeds, what its last step or start came to (``reward``; ``total`` and ``steps`` of the
    episode so far; ``MEASURES``; flags), and the observation.
    """
    fields = [
        Field("order", (num_envs,), "i2"),
        Field("seeds", (num_envs, 2), "i8"),
        Field("reward", (num_envs,), "f8"),
        Field("total", (num_envs,), "f8"),
        Field("steps", (num_envs,), "i8"),
        Field("measures", (len(MEASURES), num_envs), "i8"),
        Field("flags", (5, num_envs), "u1"),
    ]
    shown = ((name, *OBSERVATIONS[name][:2]) for name in settings.names)
    return fields + [Field(name, (num_envs, *shape), dtype) for name, shape, dtype in shown]


def main(job: dict[str, Any]) -> None:
    """Be a worker of ``NetHackVectorEnv``, which made the job."""
    serve(job, lambda stack: Games(job, stack).follow)


class Games:
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
        self._measures, self._flags, self._done = arrays["measures"], arrays["flags"], arrays["flags"][DONE].data
        self._reward, self._total, self._steps = (arrays[name] for name in ("reward", "total", "steps"))
        self._games = [Game(settings, {name: arrays[name][row] for name in settings.names}) for row in self._rows]
        self._code = SharedCode(library_path())
        stack.callback(self._code.close)
        for game in self._games:
            stack.callback(game.close)

    def follow(self, message: bytes) -> None:
        """Carry out the orders; the message is ``GO``, or JSON: a level seed and a character, by row."""
        special = {} if message == GO else json.loads(message)
        for row, game, order in zip(self._rows, self._games, self._orders.tolist(), strict=True):
            if order == WAIT:
                continue
            if order == START:
                reward, terminated, truncated = 0.0, False, False
                core, disp = self._seeds[row].tolist()
                game.start((core, disp), *special.get(str(row), ()))
                self._code.share(game.engine.library)
            else:
                reward, terminated, truncated = game.step(order)
            self._reward[row], self._total[row], self._steps[row] = reward, game.total, game.steps
            self._measures[:, row] = game.measures()
            if order == START or game.end is not None:  # else they are as they were
                end = len(ENDS) if game.end is None else ENDS.index(game.end)
                self._flags[:DONE, row] = terminated, truncated, end, game.reproducible
            self._done[row] = True
