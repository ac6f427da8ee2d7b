"""What every registered decision process promises. Runs on the oldest and on the newest gymnasium that is supported."""

import json
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

import sandtable
from sandtable.simulators.arrays import like, tree_map
from sandtable.simulators.random import make_key

OTHERS = (".nethack.", ".language.text:")  # no array programs; their own tests hold them to the same promises
IDS = sorted(name for name, entry in sandtable.ENVIRONMENTS.items() if not any(part in entry for part in OTHERS))
SHORT = {  # so that episodes end
    "sandtable/LostSales-v0": {"horizon": 5},
    "sandtable/DualSourcing-v0": {"horizon": 5},
    "sandtable/SerialInventory-v0": {"horizon": 5, "lead_times": [1, 1, 2]},
    "sandtable/Inventory-v0": {"horizon": 5},
    "sandtable/SparseParity-v0": {"n": 12, "subset": [1, 5, 7], "noise": 0.2, "samples": 100, "reveal": True},
    "sandtable/GroupOperation-v0": {"group": "S_3", "feedback": "full"},
    "sandtable/Tabular-v0": {"data": "fair", "split": "test", "feedback": "full", "loss": "square"},
    "sandtable/LinearMDP-v0": {"instance": "R1b", "horizon": 5},
    "sandtable/CompletionBandit-v0": {"k": 3, "prompts": 20, "dim": 4, "completions": 5, "reveal": True},
}
MODES = list(AutoresetMode)


def same(some, others):
    """Tell whether two observations, or two batches of them, are equal to the last bit."""
    if isinstance(some, dict):
        return some.keys() == others.keys() and all(same(some[name], others[name]) for name in some)
    return np.array_equal(np.asarray(some), np.asarray(others))


def row_of(batch, row):
    """Return one row of a batched observation."""
    return tree_map(lambda array: array[row], batch)


def actions_for(space, steps, rows, seed=0):
    """Return actions [steps, rows, ...] that lie in ``space``."""
    space.seed(seed)
    return np.stack([np.stack([space.sample() for _ in range(rows)]) for _ in range(steps)])


def play_alone(environment_id, seed, actions):
    """Return what one environment saw over consecutive episodes, a tuple a step."""
    env = gym.make(environment_id, disable_env_checker=True, **SHORT.get(environment_id, {}))
    seen, (observation, _) = [], env.reset(seed=seed)
    first = observation
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        following = env.reset()[0] if terminated or truncated else None
        seen.append((observation, reward, terminated, truncated, following))
    return first, seen


@pytest.mark.parametrize("environment_id", IDS)
def test_gymnasium_and_stable_baselines_accept_the_environment(environment_id):
    stable_baselines = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra rl")
    env = gym.make(environment_id, render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # units to order are no numbers in [-1, 1], and are not meant to be
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        # completions have an embedding each, a row of a matrix, which Stable-Baselines3 flattens
        warnings.filterwarnings("ignore", message=".*embeddings has an unconventional shape.*")
        check_env(env.unwrapped)
        stable_baselines.check_env(env)


@pytest.mark.parametrize("environment_id", IDS)
def test_a_specification_survives_json_and_pickle(environment_id):
    settings = SHORT[environment_id]
    env = gym.make(environment_id, **settings)
    actions = actions_for(env.action_space, 3, 1)[:, 0]
    copies = [
        gym.make(EnvSpec.from_json(env.spec.to_json())),
        gym.make(pickle.loads(pickle.dumps(env.spec))),
        pickle.loads(pickle.dumps(env)),
    ]
    assert json.loads(env.spec.to_json())["kwargs"].items() >= json.loads(json.dumps(settings)).items()
    first = env.reset(seed=3)[0]
    for copy in copies:
        assert same(copy.reset(seed=3)[0], first)
    for action in actions[: env.unwrapped.process.horizon]:
        step = env.step(action)
        for copy in copies:
            other = copy.step(action)
            assert same(other[0], step[0])
            assert other[1:4] == step[1:4]
            assert same(other[4], step[4])


@pytest.mark.parametrize("environment_id", IDS)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_env_vector_env_and_program_give_the_same_rows(environment_id, rows):
    vector = gym.make_vec(environment_id, num_envs=rows, autoreset_mode="same-step", **SHORT.get(environment_id, {}))
    process = vector.process
    actions = actions_for(vector.single_action_space, process.horizon, rows)
    alone = [play_alone(environment_id, 40 + row, actions[:, row]) for row in range(rows)]
    states = [process.reset(like(keys, make_key(np.arange(40, 40 + rows)))) for keys in (np.zeros(1), torch.zeros(1))]
    seen = vector.reset(seed=40)[0]
    assert seen in vector.observation_space
    for row in range(rows):
        assert same(row_of(seen, row), alone[row][0])
    for t in range(process.horizon):
        seen, reward, terminated, truncated, info = vector.step(actions[t])
        last = info.get("final_obs", seen)
        for row in range(rows):
            expected = alone[row][1][t]
            assert same(row_of(last, row), expected[0])
            assert (reward[row], terminated[row], truncated[row]) == expected[1:4]
            if expected[4] is not None:
                assert same(row_of(seen, row), expected[4])
        for index, state in enumerate(states):
            step = process.step(state, like(state.key, actions[t]))
            states[index] = step.state
            program = tree_map(np.asarray, process.observe(step.state))
            if index == 0:
                assert same(program, last)
                assert same(step.reward, reward)
            else:  # torch may fuse or reorder sums
                tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), program, last)
                np.testing.assert_allclose(np.asarray(step.reward), reward, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("environment_id", IDS)
def test_a_vector_env_of_tensors_gives_the_same_rows(environment_id):
    settings = SHORT.get(environment_id, {})
    arrays = gym.make_vec(environment_id, num_envs=4, **settings)
    tensors = gym.make_vec(environment_id, num_envs=4, device="cpu", **settings)
    actions = actions_for(arrays.single_action_space, 12, 4)
    tree_map(lambda a, b: np.testing.assert_allclose(a, b.numpy()), arrays.reset(seed=0)[0], tensors.reset(seed=0)[0])
    for action in actions:
        expected = arrays.step(action)
        action = torch.as_tensor(action)
        got = tensors.step(action.requires_grad_(action.is_floating_point()))
        tree_map(lambda a, b: np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-4), expected[0], got[0])
        for some, others in zip(expected[1:4], got[1:4], strict=True):
            assert isinstance(others, torch.Tensor)
            assert not others.requires_grad
            np.testing.assert_allclose(some, others.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("environment_id", IDS)
@pytest.mark.parametrize("mode", MODES)
def test_autoreset_does_what_gymnasium_s_own_vector_env_does(environment_id, mode):
    """Rows get out of step by a masked reset, so that episodes end at different times."""
    settings, rows = SHORT.get(environment_id, {}), 4
    ours = gym.make_vec(environment_id, num_envs=rows, autoreset_mode=mode.value, **settings)
    theirs = gym.vector.SyncVectorEnv(
        [lambda: gym.make(environment_id, disable_env_checker=True, **settings)] * rows, autoreset_mode=mode
    )
    assert ours.metadata["autoreset_mode"] is mode
    totals = {"episode_return", "episode_length", "units_sold", "units_lost", "fill_rate", "stock_out_rate"}
    totals |= {"average_stock", "stock_turns", "cash"}

    def assert_same_reset(seed, **options):
        some, others = (env.reset(seed=seed, options=dict(options) or None)[0] for env in (ours, theirs))
        assert same(some, others)

    actions = actions_for(ours.single_action_space, 14, rows)
    assert_same_reset(7)
    for t, action in enumerate(actions):
        if t == 2 and ours.process.horizon > 1:
            assert_same_reset([None, 90, None, None], reset_mask=np.array([True, True, False, False]))
        some, others = ours.step(action), theirs.step(action)
        assert same(some[0], others[0])
        for a, b in zip(some[1:4], others[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for name in others[4]:
            mask = others[4].get(f"_{name}")
            if name.startswith("_") or name == "final_info" or (name in totals and mode is AutoresetMode.SAME_STEP):
                continue  # of episodes: theirs are within final_info, ours beside it
            np.testing.assert_array_equal(some[4][f"_{name}"], mask)
            for row in np.flatnonzero(mask):
                got = row_of(some[4][name], row)
                assert same(got, others[4][name][row]) or (
                    name in totals and np.isclose(got, others[4][name][row], rtol=1e-6)
                )
        for name, value in others[4].get("final_info", {}).items():
            if not name.startswith("_"):
                ended, got = others[4]["_final_info"], some[4] if name in totals else some[4]["final_info"]
                np.testing.assert_allclose(got[name][ended], value[ended], rtol=1e-6)
        ended = some[2] | some[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            with pytest.raises(gym.error.ResetNeeded):
                ours.step(action)
            assert_same_reset(None, reset_mask=ended)


@pytest.mark.parametrize("environment_id", IDS)
@pytest.mark.parametrize("mode", MODES)
def test_no_transition_is_lost_while_another_row_resets(environment_id, mode):
    """Every row goes through the very episodes that it has alone, whatever becomes of its neighbours."""
    settings, rows = SHORT.get(environment_id, {}), 5
    vector = gym.make_vec(environment_id, num_envs=rows, autoreset_mode=mode.value, **settings)
    actions = actions_for(vector.single_action_space, 40, rows)
    seeds = np.arange(rows) + 11
    vector.reset(seed=11)
    acted = [[] for _ in range(rows)]  # the actions that counted, and the rewards that they brought
    ended = np.zeros(rows, bool)
    for t in range(40):
        if t < rows - 1 and vector.process.horizon > 1:  # start row t anew, so that no two rows are in step
            mask = np.arange(rows) == t
            vector.reset(seed=[int(seed) if chosen else None for seed, chosen in zip(seeds, mask, strict=True)],
                         options={"reset_mask": mask})  # fmt: skip
            acted[t], ended = [], ended & ~mask
        _, reward, terminated, truncated, _ = vector.step(actions[t])
        for row in range(rows):
            if not (mode is AutoresetMode.NEXT_STEP and ended[row]):
                acted[row].append((actions[t, row], reward[row]))
        ended = terminated | truncated
        if mode is AutoresetMode.DISABLED and ended.any():
            vector.reset(options={"reset_mask": ended})
    for row in range(rows):
        _, alone = play_alone(environment_id, int(seeds[row]), [action for action, _ in acted[row]])
        assert len(acted[row]) >= 15
        assert [float(reward) for _, reward in acted[row]] == [reward for _, reward, *_ in alone]


@pytest.mark.parametrize("environment_id", IDS)
def test_worlds_of_one_step_reset_in_the_same_step_by_default(environment_id):
    vector = gym.make_vec(environment_id, num_envs=2)
    expected = AutoresetMode.SAME_STEP if vector.process.horizon == 1 else AutoresetMode.NEXT_STEP
    assert vector.metadata["autoreset_mode"] is expected


@pytest.mark.parametrize("environment_id", IDS)
def test_episode_return_and_length_are_in_info(environment_id):
    settings = SHORT.get(environment_id, {})
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        vector = gym.make_vec(environment_id, num_envs=3, autoreset_mode=mode.value, **settings)
        vector.reset(seed=0)
        for _ in range(2):  # the second episode must not count the first
            total = np.zeros(3)
            for action in actions_for(vector.single_action_space, vector.process.horizon, 3):
                _, reward, _, _, info = vector.step(action)
                total += reward
            np.testing.assert_allclose(info["episode_return"], total)
            np.testing.assert_array_equal(info["episode_length"], vector.process.horizon)
            assert info["_episode_return"].all()
            if mode is AutoresetMode.NEXT_STEP:
                vector.step(action)
    env = gym.make(environment_id, **settings)
    env.reset(seed=0)
    total = 0.0
    for _ in range(vector.process.horizon):
        _, reward, _, _, info = env.step(env.action_space.sample())
        total += reward
    assert (info["episode_return"], info["episode_length"]) == (pytest.approx(total), vector.process.horizon)


@pytest.mark.slow
@pytest.mark.parametrize("environment_id", IDS)
def test_spawned_processes_see_the_same_rows(environment_id):
    settings, rows = SHORT.get(environment_id, {}), 2
    ours = gym.make_vec(environment_id, num_envs=rows, autoreset_mode="next-step", **settings)
    spawned = gym.make_vec(
        environment_id, num_envs=rows, vectorization_mode="async", vector_kwargs={"context": "spawn"}, **settings
    )
    try:
        assert same(ours.reset(seed=5)[0], spawned.reset(seed=5)[0])
        for action in actions_for(ours.single_action_space, 8, rows):
            some, others = ours.step(action), spawned.step(action)
            assert same(some[0], others[0])
            np.testing.assert_array_equal(some[1], others[1])
    finally:
        spawned.close()


@pytest.mark.parametrize("environment_id", IDS)
def test_observations_are_arrays_of_their_own(environment_id):
    """Writing into an observation changes neither the world nor an earlier observation."""
    settings = SHORT.get(environment_id, {})
    written, kept = (gym.make_vec(environment_id, num_envs=3, **settings) for _ in range(2))
    actions = actions_for(kept.single_action_space, 7, 3)
    observations = [written.reset(seed=0)[0]]
    expected = [kept.reset(seed=0)[0]]
    for action in actions:
        tree_map(lambda array: array.fill(0), observations[-1])
        observations.append(written.step(action)[0])
        expected.append(kept.step(action)[0])
        assert same(observations[-1], expected[-1])


@pytest.mark.parametrize("environment_id", ["sandtable/LostSales-v0", "sandtable/Inventory-v0"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_key_figures_of_an_episode_are_those_of_its_periods(environment_id, mode):
    vector = gym.make_vec(environment_id, num_envs=6, autoreset_mode=mode.value, horizon=5)
    vector.reset(seed=0)
    for _ in range(2):
        periods = []
        for action in actions_for(vector.single_action_space, 5, 6):
            info = vector.step(action)[4]
            periods.append(info.get("final_info", info))
        demand, sales, lost, stock, rewards = (
            np.array([period[name] for period in periods], np.float64)
            for name in ("demand", "sales", "lost", "on_hand", "reward")
        )
        expected = {
            "units_sold": sales.sum(0),
            "units_lost": lost.sum(0),
            "fill_rate": np.where(demand.sum(0) > 0, sales.sum(0) / np.maximum(demand.sum(0), 1e-9), 1),
            "stock_out_rate": (lost > 0).mean(0),
            "average_stock": stock.mean(0),
            "stock_turns": np.where(stock.mean(0) > 0, sales.sum(0) / np.maximum(stock.mean(0), 1e-9), 0),
            "cash": rewards.sum(0),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(info[name], values, rtol=1e-5, atol=1e-4)
            assert info[f"_{name}"].all()
        if mode is AutoresetMode.NEXT_STEP:
            vector.step(action)


def test_ids_resolve_without_an_import_and_without_torch():
    code = (
        "import sys, gymnasium as gym; vector = gym.make_vec('sandtable:sandtable/LostSales-v0', num_envs=4);"
        "vector.reset(seed=0); vector.step(vector.action_space.sample()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_gymnasium_s_batches_and_ours_have_one_layout():
    vector = gym.make_vec("sandtable/Inventory-v0", num_envs=3)
    seen = vector.reset(seed=0)[0]
    rows = list(iterate(vector.observation_space, seen))
    empty = create_empty_array(vector.single_observation_space, 3)
    assert same(concatenate(vector.single_observation_space, rows, empty), seen)
