"""Environment steps a second of ``sandtable/LostSales-v0``, beside plain Python in Gymnasium's ``SyncVectorEnv``."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

import sandtable
from sandtable.benchmarks.plain_lost_sales import PlainLostSales
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing
from sandtable.simulators.inventory.world import Flow

ID = "sandtable/LostSales-v0"
assert ID in sandtable.ENVIRONMENTS  # importing the package registers it
ASKED = {64: 4.0, 4096: 80.0}
"""Least ratio asked for, by number of sub-environments."""
LEAD_TIME, HORIZON, CHUNK = 4, 100, 101  # a chunk is an episode and its reset


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time the native vector environment at 64 and 4,096 rows, and a single environment, against plain Python.

    Both sides play whole episodes with the same constant orders, resets and the drawing of demand included; ours gives
    the flows of every period in ``info``, the alternative nothing.
    """
    bound = memory_bandwidth(quick) / bytes_per_step()
    rows = []
    for number, asked in ASKED.items():
        ours = gym.make_vec(ID, num_envs=number, lead_time=LEAD_TIME, horizon=HORIZON)
        plain = gym.vector.SyncVectorEnv([lambda: PlainLostSales(LEAD_TIME, horizon=HORIZON)] * number)
        steps = 20 if quick else CHUNK
        chunks = _vector_chunk(ours, number, steps), _vector_chunk(plain, number, steps)
        work = float(number * steps)
        rates = rates_in_turns(*chunks, (work, work), quick)
        alternative = "SyncVectorEnv, plain Python"
        rows.append(timing("vector-env", f"vector of {number:,}", "env-steps/s", rates, alternative, asked, bound))
    single = gym.make(ID, lead_time=LEAD_TIME, horizon=HORIZON)
    entry = EnvSpec("PlainLostSales-v0", entry_point=f"{PlainLostSales.__module__}:{PlainLostSales.__name__}")
    plain_single = gym.make(entry, lead_time=LEAD_TIME, horizon=HORIZON)
    rates = rates_in_turns(_episode(single), _episode(plain_single), (HORIZON, HORIZON), quick)
    rows.append(timing("vector-env", "single gym.make", "env-steps/s", rates, "plain Python, gym.make"))
    return rows


def _vector_chunk(vector: gym.vector.VectorEnv[Any, Any, Any], number: int, steps: int) -> Callable[[], Any]:
    """Return a call that makes ``steps`` steps of a vector environment."""
    orders = np.full((number, 1), 5.0, np.float32)
    vector.reset(seed=0)

    def chunk() -> None:
        for _ in range(steps):
            vector.step(orders)

    return chunk


def _episode(env: gym.Env[Any, Any]) -> Callable[[], Any]:
    """Return a call that plays one episode."""
    order = np.full(1, 5.0, np.float32)
    env.reset(seed=0)

    def episode() -> None:
        env.reset()
        for _ in range(HORIZON):
            env.step(order)

    return episode


def bytes_per_step() -> float:
    """Return the bytes of a step if every array were read or written once, in float32."""
    stock, seen = 1 + LEAD_TIME, 1 + LEAD_TIME
    demand, order, reward, ends = 1, 1, 1, 1
    return 4.0 * (demand + order + 2 * stock + seen + len(Flow._fields) + reward + ends)
