"""Steps a second of ``sandtable/CompletionBandit-v0``, beside a plain one in Gymnasium's ``SyncVectorEnv``."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

import sandtable
from sandtable.benchmarks.plain_bandit import PlainBandit
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing

ID = "sandtable/CompletionBandit-v0"
assert ID in sandtable.ENVIRONMENTS  # importing the package registers it
ROWS, K, DIM = 4096, 8, 64
ASKED = 1e5
"""Least rate asked for, steps a CPU-second."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time the native vector environment at 4,096 rows, eight completions of 64 numbers each, with both actions.

    A step is an episode: the choice is paid, and the next prompt drawn and shown. Both sides reset in the same step and
    tell the last observation, the prompt and the completion; ours also the episode's return and length.
    """
    bound = memory_bandwidth(quick) / bytes_per_step()
    rows, theirs = [], None
    for action in ("index", "weights"):
        ours = gym.make_vec(ID, num_envs=ROWS, k=K, dim=DIM, action=action)
        if theirs is None:
            theirs = _plain(ours.unwrapped.process.data)
        steps = _stepper(ours)
        alternative = _stepper(theirs) if action == "index" else None
        rates = rates_in_turns(steps, alternative, (ROWS, ROWS), quick)
        case = f"vector of {ROWS:,}, k = {K}, d = {DIM}, {action} ({ASKED:.0e} asked)"
        rows.append(timing("bandit", case, "steps/s", rates, "SyncVectorEnv, plain Python", None, bound))
    return rows


def _plain(data: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return the alternative, of the training prompts of the same data."""
    chosen = data.split == 0
    embeddings = data.embeddings.reshape(len(data.count), -1, DIM)[chosen]
    rewards = data.rewards.reshape(len(data.count), -1)[chosen]
    plain = [lambda: PlainBandit(embeddings, rewards, K)] * ROWS
    return gym.vector.SyncVectorEnv(plain, autoreset_mode=AutoresetMode.SAME_STEP)


def _stepper(vector: gym.vector.VectorEnv[Any, Any, Any]) -> Any:
    """Return a call that acts once in every row."""
    vector.reset(seed=0)
    vector.action_space.seed(0)
    actions: np.ndarray = vector.action_space.sample()
    return lambda: vector.step(actions)


def bytes_per_step() -> float:
    """Return the bytes of a step if every array were read or written once."""
    shown = K * (DIM * 4 + 1)  # embeddings and mask
    seen = 2 * shown  # gathered: read from the data, written for the agent
    last_seen = 2 * shown  # again, as the last observation
    drawn, rows, reward, ends, totals, told = 8 * K, 8 * K, 4 * K, 2, 16, 17
    return float(seen + last_seen + drawn + rows + reward + ends + totals + told + 8)
