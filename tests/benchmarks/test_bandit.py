"""The benchmark of bandits over completions compares the same problem."""

import gymnasium as gym
import numpy as np

from sandtable.benchmarks import bandit
from sandtable.benchmarks.plain_bandit import PlainBandit
from sandtable.simulators.language.completion_bandit import CompletionBandit


def test_the_plain_environment_shows_and_pays_what_the_bandit_does():
    process = CompletionBandit(k=4, prompts=50, dim=3, completions=6)
    data = process.data
    plain = PlainBandit(data.embeddings.reshape(50, 6, 3), data.rewards.reshape(50, 6), 4)
    assert plain.action_space == process.action_space
    assert plain.observation_space.spaces.keys() == process.observation_space.spaces.keys()
    for seed in range(20):
        seen, _ = plain.reset(seed=seed)
        assert seen in plain.observation_space
        assert data.split[plain.prompt] in (0, 1, 2)
        world = CompletionBandit(data, k=4, split=("train", "validation", "test")[data.split[plain.prompt]])
        named = {"prompt_id": data.prompt_ids[plain.prompt], "completions": plain.shown}
        state = world.reset(np.array([seed]), **named)
        expected = world.observe(state)
        for name, array in seen.items():
            np.testing.assert_array_equal(array, expected[name][0])
        step = world.step(state, np.array([seed % 4]))
        told = {name: value[0] for name, value in step.info.items()}
        assert plain.step(np.int64(seed % 4))[1:] == (step.reward[0], True, False, told)


def test_rows_name_both_actions(monkeypatch):
    monkeypatch.setattr(bandit, "ROWS", 256)
    rows = bandit.benchmark(quick=True)
    assert [row["case"].split(", ")[3].split(" (")[0] for row in rows] == ["index", "weights"]
    assert rows[0]["ours"] > rows[0]["alternative_rate"] > 0
    assert all(0 < row["fraction_of_limit"] < 1 for row in rows)
    vector = gym.make_vec(bandit.ID, num_envs=256, k=bandit.K, dim=bandit.DIM)
    plain = bandit._plain(vector.unwrapped.process.data)
    assert plain.envs[0].embeddings.shape == (vector.unwrapped.process.size, 64, bandit.DIM)
