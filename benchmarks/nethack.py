"""Steps a second of ``sandtable/NetHackScore-v0`` as a vector environment, beside nle's own in Gymnasium's.

All show the same arrays, the screen and ``blstats``, and are given the same random actions; games that end start anew.
A side's CPU-seconds are those of this process and of its workers, each read from the process's own clock
(``clock_getcpuclockid``), so that nothing of the start is counted and nothing of a worker is missed. The rates by the
wall clock are without workers for 8 games, and of as many workers as there are processors for 32, and mean something on
idle ones only.

The last rows tell what is left to gain: the keys that one game was given, pressed once more in nle's engine of a single
game, without rules, observations or other games in the caches.
"""

import ctypes
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.benchmarks.timing import rates_in_turns, timing
from sandtable.envs.nethack.engine import Engine, load_nle
from sandtable.envs.nethack.game import Game, nethack_seeds
from sandtable.envs.nethack.settings import OBSERVATIONS, NetHackSettings
from sandtable.envs.nethack.vector_env import NetHackVectorEnv
from sandtable.simulators.nethack.keyboard import SCORE_BYTES

OBSERVATION = "tty_chars,tty_colors,tty_cursor,blstats"
GAMES = (8, 32)
ASKED_OF_ASYNC, ASKED_OF_SYNC, ASKED_OF_WALL = 4.0, 1.3, 1.7
"""Least ratios asked for: to AsyncVectorEnv and SyncVectorEnv a CPU-second, to SyncVectorEnv a second."""
_STEPS = 1_600  # of all games together in a call


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time 8 and 32 games against ``AsyncVectorEnv`` and ``SyncVectorEnv`` of nle's ``NetHackScore``.

    Raises:
        MissingExtraError: nle is not installed.
    """
    load_nle()
    engine = engine_rate(quick)
    return [row for number in GAMES for row in _rows(number, engine, quick)]


def _rows(number: int, engine: float, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of so many games."""
    ours = NetHackVectorEnv(number, observation=OBSERVATION)
    spread = NetHackVectorEnv(number, os.cpu_count() if number > 8 else 0, observation=OBSERVATION)
    others = gym.vector.AsyncVectorEnv([nle_score] * number), gym.vector.SyncVectorEnv([nle_score] * number)
    try:
        calls = [steps_of(vector, number) for vector in (ours, *others, spread)]
        in_async = [process.pid for process in others[0].processes]
        clocks = [cpu_clock(pids) for pids in (ours.worker_pids, in_async, ())]
        units, walls = (float(_STEPS), float(_STEPS)), (time.perf_counter, time.perf_counter)
        of_async = rates_in_turns(calls[0], calls[1], units, quick, (clocks[0], clocks[1]))
        of_sync = rates_in_turns(calls[0], calls[2], units, quick, (clocks[0], clocks[2]))
        of_walls = rates_in_turns(calls[3], calls[2], units, quick, walls)
        case, on_the_wall = (f"{number} games, workers: {len(vector.worker_pids)}" for vector in (ours, spread))
    finally:
        for vector in (ours, *others, spread):
            vector.close()
    unit = "env-steps/s"
    return [
        timing("nethack", case, unit, of_async, "nle in AsyncVectorEnv", ASKED_OF_ASYNC),
        timing("nethack", case, unit, of_sync, "nle in SyncVectorEnv", ASKED_OF_SYNC),
        timing("nethack", f"{on_the_wall}, by the wall clock", unit, of_walls, "nle in SyncVectorEnv", ASKED_OF_WALL),
        timing("nethack", case, unit, (of_sync[0], engine), "the engine alone, one game"),
    ]


def nle_score() -> gym.Env[Any, Any]:
    """Return nle's own environment with the same arrays."""
    from nle.env.tasks import NetHackScore

    return NetHackScore(observation_keys=OBSERVATION.split(","), render_mode=None)


def steps_of(vector: gym.vector.VectorEnv[Any, Any, Any], number: int) -> Callable[[], None]:
    """Return a call that makes ``_STEPS`` steps, of all games together, with random actions."""
    generator = np.random.default_rng(0)
    vector.reset()

    def call() -> None:
        for _ in range(_STEPS // number):
            vector.step(generator.integers(len(SCORE_BYTES), size=number))

    return call


def cpu_clock(pids: Iterable[int]) -> Callable[[], float]:
    """Return a clock of the CPU-seconds of this process and of others that go on running."""
    numbers = [_clock_of(pid) for pid in (os.getpid(), *pids)]
    return lambda: sum(time.clock_gettime(number) for number in numbers)


def _clock_of(pid: int) -> int:
    """Return the number of the clock that counts the CPU time of a process."""
    number = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(number))
    if error:
        raise OSError(error, f"process {pid} has no clock: {os.strerror(error)}")
    return number.value


def engine_rate(quick: bool = False) -> float:
    """Return the steps a CPU-second of the engine alone; the keys that answer prompts are pressed, but not counted."""
    settings = NetHackSettings(observation=OBSERVATION)
    buffers = {name: np.zeros(*OBSERVATIONS[name][:2]) for name in settings.names}
    game, seeds, keys = Game(settings, buffers), nethack_seeds(0, 0), np.random.default_rng(0)
    pressed: list[int] = []
    press = game.engine.press
    game.engine.press = lambda byte: pressed.append(byte) or press(byte)  # type: ignore[method-assign, func-returns-value]
    game.start(seeds)
    while game.live and game.steps < (100 if quick else _STEPS):
        game.step(int(keys.choice(SCORE_BYTES)))
    steps, best = game.steps, float("inf")
    game.close()
    engine = Engine(settings, game.engine.buffers)
    for _ in range(1 if quick else 7):
        engine.start(*seeds)
        start = time.process_time()
        for byte in pressed:
            engine.press(byte)
        best = min(best, time.process_time() - start)
    engine.close()
    return steps / best
