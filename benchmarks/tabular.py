"""Steps a second of finite worlds with keyed draws: 16 states, and ICU-Sepsis where its file is at hand."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

import sandtable
from sandtable.benchmarks.plain_tabular import InverseTable, PlainTabular
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.ope.linear_mdp import LinearMDP

ID = "sandtable/LinearMDP-v0"
assert ID in sandtable.ENVIRONMENTS  # importing the package registers it
SIXTEEN = {"instance": "random", "states": 16, "actions": 4, "seed": 1}
ROWS, STEPS = 4096, 50
BYTES = 8 * 3 + 8 * 2 + 2
"""Of a step, if each array were moved once: state, action and stream; next state and reward; two ends of an episode."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time the program at 4,096 rows beside plain Python and beside a batch of numpy, and the vector environment.

    Programs step from states that the data distribution visits, with all actions; environments play whole episodes.
    """
    limit = memory_bandwidth(quick) / BYTES
    worlds: list[tuple[str, dict[str, Any]]] = [("16 states (30 M asked)", SIXTEEN)]
    folder = data_folder()
    if folder is not None and (folder / "ope" / "icu_sepsis_dynamics.npz").is_file():
        worlds.append(("ICU-Sepsis (10 M asked)", {"instance": "icu-sepsis"}))
    found = []
    for name, settings in worlds:
        world = LinearMDP(**settings)
        ours = program(world)
        work = float(ROWS * STEPS)
        for alternative, steps, label in (
            (plain_episodes(world, 100 if quick else 2000), 100 if quick else 2000, "plain Python, Generator.choice"),
            (inverse_table(world), ROWS * STEPS // 10, "numpy, cumulative sums"),
        ):
            rates = rates_in_turns(ours, alternative, (work, float(steps)), quick)
            found.append(timing("tabular", f"{name}; program, {ROWS:,} rows", "steps/s", rates, label, None, limit))
        found.append(vector_row(name, settings, world, quick))
    return found


def vector_row(name: str, settings: dict[str, Any], world: LinearMDP, quick: bool) -> dict[str, Any]:
    """Time the vector environment, resets included, beside ``SyncVectorEnv`` of plain Python."""
    few = 16
    ours = gym.make_vec(ID, num_envs=ROWS, **settings)
    plain = gym.vector.SyncVectorEnv([lambda: PlainTabular(world.mdp)] * few)
    steps = 5 if quick else STEPS
    chunks = _vector_chunk(ours, ROWS, steps), _vector_chunk(plain, few, steps)
    rates = rates_in_turns(*chunks, (float(ROWS * steps), float(few * steps)), quick)
    case = f"{name.partition(' (')[0]}; vector of {ROWS:,}, resets included"
    return timing("tabular", case, "env-steps/s", rates, f"SyncVectorEnv of {few}, plain Python")


def program(world: LinearMDP) -> Callable[[], Any]:
    """Return a call that makes STEPS steps of ROWS rows, each from states that are visited."""
    log = world.sample(ROWS, 0)
    state = world.reset(np.arange(ROWS))._replace(position=log.observation)
    actions = _actions(world, ROWS, STEPS)

    def steps() -> Any:
        for t in range(STEPS):
            step = world.step(state._replace(t=np.int64(t)), actions[t])
        return step

    return steps


def inverse_table(world: LinearMDP) -> Callable[[], Any]:
    """Return a call that makes a tenth of the steps of ``program`` by cumulative sums."""
    table, state = InverseTable(world.mdp), world.sample(ROWS, 0).observation
    actions = _actions(world, ROWS, STEPS // 10)

    def steps() -> Any:
        for action in actions:
            following = table.step(np.asarray(state), action)
        return following

    return steps


def plain_episodes(world: LinearMDP, steps: int) -> Callable[[], Any]:
    """Return a call that makes ``steps`` steps of one plain environment, resets included."""
    env = PlainTabular(world.mdp)
    env.reset(seed=0)
    actions = _actions(world, 1, steps)[:, 0]

    def play() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return play


def _vector_chunk(vector: gym.vector.VectorEnv[Any, Any, Any], number: int, steps: int) -> Callable[[], Any]:
    """Return a call that makes ``steps`` steps of a vector environment."""
    vector.reset(seed=0)
    count = int(vector.single_action_space.n)  # type: ignore[attr-defined]
    actions = np.random.default_rng(0).integers(0, count, (steps, number))

    def chunk() -> None:
        for action in actions:
            vector.step(action)

    return chunk


def _actions(world: LinearMDP, rows: int, steps: int) -> np.ndarray:
    """Return uniform actions, int64 [steps, rows]."""
    return np.random.default_rng(0).integers(0, world.mdp.actions, (steps, rows))
