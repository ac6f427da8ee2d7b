"""One-step episodes a second of ``sandtable/SparseParity-v0``, beside a plain one in Gymnasium's ``SyncVectorEnv``."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

import sandtable
from sandtable.benchmarks.plain_parity import PlainParity
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing

ID = "sandtable/SparseParity-v0"
assert ID in sandtable.ENVIRONMENTS  # importing the package registers it
N, K, ROWS = 50, 3, 4096
ASKED = 5e6
"""Least rate asked for, episodes a CPU-second."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time the native vector environment of (50, 3)-parities at 4,096 rows, with both kinds of feedback.

    A step is an episode: the answer is scored, and the next example drawn and shown. Both sides reset in the same step
    and tell the target and the last observation; ours also the index and the episode's return and length.
    """
    bound = memory_bandwidth(quick) / bytes_per_episode()
    plain = gym.vector.SyncVectorEnv([lambda: PlainParity(N)] * ROWS, autoreset_mode=AutoresetMode.SAME_STEP)
    theirs = _step(plain)
    rows = []
    kinds: list[dict[str, Any]] = [{"feedback": "bandit"}, {"feedback": "full", "loss": "hinge"}]
    for settings in kinds:
        ours = gym.make_vec(ID, num_envs=ROWS, n=N, k=K, **settings)
        steps = 10  # of ours: a call of the alternative takes as long as many of them
        rates = rates_in_turns(_steps(_step(ours), steps), theirs, (steps * ROWS, ROWS), quick)
        case = f"vector of {ROWS:,}, {' '.join(settings.values())} ({ASKED:.0e} asked)"
        rows.append(timing("tasks", case, "episodes/s", rates, "SyncVectorEnv, plain Python", None, bound))
    return rows


def _step(vector: gym.vector.VectorEnv[Any, Any, Any]) -> Callable[[], Any]:
    """Return a call that answers every row once."""
    vector.reset(seed=0)
    vector.action_space.seed(0)
    answers: np.ndarray = vector.action_space.sample()
    return lambda: vector.step(answers)


def _steps(step: Callable[[], Any], times: int) -> Callable[[], Any]:
    """Return a call that does several steps."""

    def several() -> None:
        for _ in range(times):
            step()

    return several


def bytes_per_episode() -> float:
    """Return the bytes of an episode if every array were read or written once."""
    key, episode, drawn = 8, 8, 8 * -(-N // 64)
    seen, last_seen = 2 * N, N  # written and copied; copied once more
    answer, target, index, reward, ends = 8, 8, 8, 4, 2
    totals = 16
    return float(key + episode + drawn + seen + last_seen + answer + target + index + reward + ends + totals)
