"""Stable-Baselines3 on our vector environments."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import sandtable
from sandtable.envs.adapter import ProcessVectorEnv
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.random import make_key
from sandtable.simulators.tasks.sparse_parity import SparseParity

stable_baselines3 = pytest.importorskip("stable_baselines3", reason="needs the extra rl")

from sandtable.agents.stable_baselines import ProcessVecEnv, to_sb3  # noqa: E402

assert "sandtable/LostSales-v0" in sandtable.ENVIRONMENTS


@pytest.fixture
def lost_sales():
    return to_sb3(gym.make_vec("sandtable/LostSales-v0", num_envs=3, lead_time=2, horizon=4))


@pytest.mark.parametrize("step_infos", [False, True])
def test_steps_are_those_of_the_process(step_infos):
    process = LostSales(lead_time=2, horizon=4)
    env = ProcessVecEnv(ProcessVectorEnv(process, 3, "SameStep"), step_infos)
    env.seed(7)
    seen = env.reset()
    keys, rng = make_key([7, 8, 9]), np.random.default_rng(0)
    for episode in range(3):
        state, total = process.reset(keys, episode=episode), np.zeros(3)
        for t in range(4):
            np.testing.assert_array_equal(seen, process.observe(state))
            assert seen.dtype == np.float32
            actions = rng.uniform(0, 9, (3, 1)).astype(np.float32)
            seen, reward, done, infos = env.step(actions)
            step = process.step(state, actions)
            state, total = step.state, total + step.reward
            np.testing.assert_array_equal(reward, step.reward)
            assert (reward.dtype, done.dtype) == (np.float32, bool)
            assert done.tolist() == [t == 3] * 3
            for row, info in enumerate(infos):
                assert ("sales" in info) == step_infos
                if step_infos:
                    assert info["sales"] == step.info["sales"][row]
                assert info["TimeLimit.truncated"] is (t == 3)
                assert ("terminal_observation" in info) == ("episode" in info) == (t == 3)
                if t == 3:
                    np.testing.assert_array_equal(info["terminal_observation"], process.observe(state)[row])
                    assert info["episode"]["r"] == pytest.approx(total[row])
                    assert info["episode"]["l"] == 4
                    assert 0 <= info["episode"]["fill_rate"] <= 1
            if not step_infos:
                assert set(infos[0]) <= {"TimeLimit.truncated", "terminal_observation", "episode"}
    assert env.last_info["episode_length"].tolist() == [4, 4, 4]


def test_rows_that_end_alone_tell_it_alone(finite_process):
    transition = np.random.default_rng(0).dirichlet(np.ones(3), (3, 2))
    process = finite_process(transition, np.arange(6.0).reshape(3, 2), np.full(3, 1 / 3), horizon=5, terminal=[2])
    env = to_sb3(ProcessVectorEnv(process, 4))
    env.seed(0)
    env.reset()
    returns, lengths, ends = np.zeros(4), np.zeros(4, int), {True: 0, False: 0}
    for _ in range(40):
        _, reward, done, infos = env.step(np.ones(4, np.int64))
        returns, lengths = returns + reward, lengths + 1
        for row in range(4):
            assert ("episode" in infos[row]) == done[row]
            if done[row]:
                assert infos[row]["episode"]["r"] == pytest.approx(returns[row])
                assert infos[row]["episode"]["l"] == lengths[row]
                terminated = infos[row]["terminal_observation"] == 2
                assert infos[row]["TimeLimit.truncated"] == (not terminated)
                ends[bool(terminated)] += 1
        returns, lengths = np.where(done, 0, returns), np.where(done, 0, lengths)
    assert min(ends.values()) > 0


def test_a_task_of_one_step_ends_in_every_step():
    process = SparseParity(6, 2)
    env = to_sb3(gym.make_vec("sandtable/SparseParity-v0", num_envs=5, n=6, k=2))
    env.seed(3)
    seen = env.reset()
    for episode in range(3):
        state = process.reset(make_key([3, 4, 5, 6, 7]), episode=episode)
        np.testing.assert_array_equal(seen, process.observe(state))
        actions = np.array([0, 1, 1, 0, 1])
        seen, reward, done, infos = env.step(actions)
        np.testing.assert_array_equal(reward, process.step(state, actions).reward)
        assert done.all()
        assert not any(info["TimeLimit.truncated"] for info in infos)
        assert [info["episode"]["l"] for info in infos] == [1] * 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: gym.make_vec("sandtable/LostSales-v0", num_envs=4, lead_time=1, horizon=10),
        lambda: gym.make_vec("sandtable/SparseParity-v0", num_envs=4, n=5, k=1),
        lambda: gym.make_vec("sandtable/GroupOperation-v0", num_envs=4, group="Z_5"),
        lambda: gym.make_vec("sandtable/Tabular-v0", num_envs=4, feedback="full"),
        lambda: gym.make_vec("sandtable/Inventory-v0", num_envs=4, horizon=5),
    ],
)
def test_stable_baselines3_trains_and_is_judged(make):
    from stable_baselines3.common.evaluation import evaluate_policy

    env = to_sb3(make())
    several = isinstance(env.observation_space, gym.spaces.Dict)
    policy = "MultiInputPolicy" if several else "MlpPolicy"
    model = stable_baselines3.PPO(policy, env, n_steps=16, batch_size=32, n_epochs=1, seed=0).learn(128)
    assert model.num_timesteps == 128
    assert len(model.ep_info_buffer) > 3
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=8, return_episode_rewards=True, warn=False)
    assert len(returns) == 8
    assert set(lengths) == {env.vector_env.process.horizon}


def test_two_runs_with_one_seed_are_equal():
    def rewards():
        env = to_sb3(gym.make_vec("sandtable/LostSales-v0", num_envs=4, horizon=8))
        model = stable_baselines3.PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=5).learn(64)
        return model.rollout_buffer.rewards

    np.testing.assert_array_equal(rewards(), rewards())


def test_seeds_hold_for_one_reset(lost_sales):
    def demand():
        return lost_sales.vector_env._state.paths.demand[:, 0].tolist()

    assert lost_sales.seed(5) == [5, 6, 7]
    lost_sales.reset()
    first = demand()
    lost_sales.reset()
    assert demand() != first  # the next episode
    lost_sales.seed(5)
    lost_sales.reset()
    assert demand() == first


def test_attributes_and_methods_are_the_environment_s_or_the_process_s(lost_sales):
    assert lost_sales.num_envs == 3
    assert lost_sales.get_attr("horizon") == [4, 4, 4]
    assert lost_sales.get_attr("autoreset_mode", indices=1)[0].value == "SameStep"
    assert lost_sales.has_attr("longest_lead_time")
    assert not lost_sales.has_attr("no_such_thing")
    assert "lead_time" in lost_sales.env_method("card", indices=[0, 2])[1]
    lost_sales.set_attr("note", "seen")
    assert lost_sales.get_attr("note") == ["seen"] * 3
    with pytest.raises(InputError, match="rows share horizon"):
        lost_sales.set_attr("horizon", 9, indices=0)
    from stable_baselines3.common.monitor import Monitor

    assert lost_sales.env_is_wrapped(Monitor) == [True] * 3
    assert lost_sales.env_is_wrapped(gym.wrappers.TimeLimit, indices=0) == [False]
    assert lost_sales.get_images() == [None] * 3
    assert lost_sales.render_mode is None
    lost_sales.close()


def test_options_are_the_process_s():
    env = to_sb3(gym.make_vec("sandtable/Inventory-v0", num_envs=2, horizon=4))
    env.set_options({"product": 3})
    env.seed(0)
    assert (env.reset()["product"] == 3).all()
    env.set_options([{"product": 3}, {"product": 4}])
    with pytest.raises(InputError, match="options must be the same for all rows"):
        env.reset()


def with_actions(space):
    process = LostSales(horizon=2)
    process.action_space = space
    return ProcessVectorEnv(process, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_actions(gym.spaces.Dict({"order": gym.spaces.Discrete(2)})), "acts in Box, Discrete, MultiDis"),
        (lambda: with_actions(gym.spaces.Tuple([gym.spaces.Discrete(2)])), "acts in Box, Discrete, MultiDiscrete"),
        (lambda: with_actions(gym.spaces.Box(0, np.inf, (1,))), "needs finite bounds of actions"),
        (lambda: with_actions(gym.spaces.Discrete(3, start=1)), "counts actions from 0"),
        (lambda: gym.make("sandtable/LostSales-v0"), "takes a vector environment of this package .*, not"),
        (lambda: gym.make_vec("CartPole-v1", num_envs=2), "takes a vector environment of this package"),
        (lambda: ProcessVectorEnv(LostSales(), 2, device="cpu"), "without device='cpu'"),
    ],
)
def test_what_stable_baselines3_cannot_use_is_refused_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as refused:
        to_sb3(make())
    assert "\n" not in str(refused.value)


def test_wrappers_are_not_dropped_in_silence():
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(ProcessVectorEnv(LostSales(), 2))
    with pytest.raises(InputError, match="would drop the wrapper RecordEpisodeStatistics"):
        to_sb3(wrapped)


def test_without_stable_baselines3_the_extra_is_named():
    code = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "try: import sandtable.agents.stable_baselines\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtraError Stable-Baselines3 on these environments needs")
    assert "pip install 'sandtable[rl]'" in done.stdout
