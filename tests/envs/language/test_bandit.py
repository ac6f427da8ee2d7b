"""The bandit over completions as an environment: masks, options of reset, and agents that learn it."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from sandtable.agents.ppo import PPO
from sandtable.simulators.language.completion_bandit import CompletionBandit
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.completions_file import write_completions
from sandtable.simulators.language.features_folder import write_features
from sandtable.simulators.random import make_key
from sandtable.training import AdamW, Categorical, ImportanceWeighted, Pathwise, Rollouts, fit
from sandtable.training.networks import Replicated

ID = "sandtable/CompletionBandit-v0"
WORLD = {"prompts": 2000, "k": 8, "dim": 8}
EASY = {"prompts": 1000, "k": 4, "dim": 2, "gap": 2.0, "offset": 1.0}
PLAYED = 20_000


class Probe(Replicated):
    """A linear score of each completion, as in the Q-probe (arXiv 2402.14688), and no value of the prompt."""

    def __init__(self, dim):
        super().__init__(1)
        self.weight = nn.Parameter(torch.zeros(1, dim))

    def forward(self, seen):
        score = (seen["embeddings"] * self.weight[:, None, None]).sum(-1).masked_fill(seen["mask"] == 0, -1e9)
        return score, score.new_zeros(score.shape[:2])


class Weights(Probe):
    """The probe's probabilities."""

    def forward(self, seen):
        return super().forward(seen)[0].softmax(-1)


def played(choose, **world):
    """Return the mean reward of a rule on test prompts, its standard error, and what the best rule can expect."""
    process = CompletionBandit(split="test", **world)
    state = process.reset(make_key(np.arange(PLAYED)))
    reward = process.step(state, choose(process.observe(state))).reward.astype(float)
    # the rewards of a prompt's completions depend on each other, and their prompts return
    groups = np.bincount(state.prompt, reward), np.bincount(state.prompt)
    residual = (groups[0] - groups[1] * reward.mean())[groups[1] > 0]
    return reward.mean(), np.sqrt((residual**2).sum()) / PLAYED, process


def best_of(network):
    """Return the rule that takes the completion of the largest output."""

    def choose(seen):
        rows = {name: torch.as_tensor(array)[None] for name, array in seen.items()}
        with torch.no_grad():
            output = network(rows)
        return (output[0] if isinstance(output, tuple) else output)[0].argmax(-1).numpy()

    return choose


def assert_optimal(choose, **world):
    """Assert that a rule earns what the best can expect, within the sampling error, and far more than chance."""
    mean, error, process = played(choose, **world)
    state = process.reset(make_key(np.arange(PLAYED)))
    seen = process.observe(state)
    best = process.step(state, seen["embeddings"][..., 0].argmax(-1)).reward.mean()
    assert abs(mean - process.optimal_reward) < 3 * error
    assert mean == pytest.approx(best, abs=0.01)  # on the very same draws
    assert mean > process.base_reward + 0.1


@pytest.mark.parametrize("weighting", ["plain", "clipped"])
def test_importance_weighted_choices_come_to_the_optimum(weighting):
    world, network = CompletionBandit(**WORLD), Probe(WORLD["dim"])
    rollouts = Rollouts(world, rows=512, periods=1)
    objective = ImportanceWeighted(rollouts, Categorical(WORLD["k"]), weighting, value_weight=0.0)
    adam = AdamW(learning_rate=0.05, weight_decay=0.0)
    training = fit(network, objective, key=0, steps=150, optimizer=adam, log_every=150)
    assert_optimal(best_of(training.network), **WORLD)


def test_the_gradient_through_the_weights_comes_to_the_optimum():
    world, network = CompletionBandit(**WORLD, action="weights"), Weights(WORLD["dim"])
    adam = AdamW(learning_rate=0.05, weight_decay=0.0)
    training = fit(network, Pathwise(world, batch=512), key=0, steps=150, optimizer=adam, log_every=150)
    assert_optimal(best_of(training.network), **WORLD)


def test_proximal_policy_optimisation_comes_to_the_optimum():
    learner = PPO(environments=512, periods=1, batch=512, epochs=4, learning_rate=1e-2, hidden=(16,))
    learned = learner.learn(CompletionBandit(**EASY), key=0, steps=512 * 100)
    assert_optimal(learned.policy(), **EASY)


@pytest.mark.slow
def test_stable_baselines_learns_through_its_own_vector_env():
    stable_baselines = pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    from sandtable.agents.stable_baselines import to_sb3

    env = to_sb3(gym.make_vec(ID, num_envs=512, **EASY))
    settings = {"n_steps": 1, "batch_size": 512, "n_epochs": 4, "learning_rate": 3e-3}
    model = stable_baselines.PPO("MultiInputPolicy", env, seed=0, policy_kwargs={"net_arch": [32]}, **settings)
    model.learn(512 * 100)
    mean, _, process = played(lambda seen: model.predict(seen, deterministic=True)[0], **EASY)
    assert mean > process.base_reward + 0.9 * (process.optimal_reward - process.base_reward)


@pytest.fixture
def uneven(tmp_path):
    """Return the path of a file whose prompts have 1, 2 and 3 completions."""
    prompts = [
        Prompt(f"p{n}", f"prompt {n}", tuple(f"{n}.{i}" for i in range(n)), rewards=tuple(range(n)), split="train")
        for n in (1, 2, 3)
    ]
    write_completions(tmp_path / "uneven.jsonl", prompts)
    features = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    write_features(tmp_path / "uneven.features", prompts, {"last": features}, model="none")
    return str(tmp_path / "uneven.jsonl")


def test_masks_tell_which_places_hold_a_completion(uneven):
    env = gym.make(ID, source=uneven, k=4)
    for n in (1, 2, 3):
        seen, _ = env.reset(seed=0, options={"prompt_id": f"p{n}"})
        masks = env.unwrapped.action_masks()
        assert masks.dtype == bool
        assert masks.tolist() == [place < n for place in range(4)] == seen["mask"].tolist()
        assert env.step(3)[1:3] == (0.0, True)  # empty: the least reward of the data
        env.reset(options={"prompt_id": f"p{n}"})
        assert env.step(3)[4]["invalid"]
    vector = gym.make_vec(ID, num_envs=50, source=uneven, k=4)
    seen, _ = vector.reset(seed=0)
    np.testing.assert_array_equal(vector.unwrapped.action_masks(), seen["mask"])
    assert len(np.unique(seen["mask"].sum(1))) == 3


def test_options_of_a_vector_env_name_prompts_and_completions_for_all_rows_or_each(uneven):
    vector = gym.make_vec(ID, num_envs=3, source=uneven, k=2, autoreset_mode="disabled")
    seen, _ = vector.reset(seed=0, options={"prompt_id": "p3", "completions": [2, 0]})
    np.testing.assert_array_equal(seen["embeddings"], [[[10, 11], [6, 7]]] * 3)
    named = {"prompt_id": ["p1", "p2", "p3"], "completions": [[0], [1], [2]]}
    seen, _ = vector.reset(options=named)
    np.testing.assert_array_equal(seen["embeddings"][:, 0], [[0, 1], [4, 5], [10, 11]])
    np.testing.assert_array_equal(seen["mask"], [[1, 0]] * 3)
    mask = np.array([False, True, True])
    seen, _ = vector.reset(options={"prompt_id": "p2", "completions": [1, 0], "reset_mask": mask})
    np.testing.assert_array_equal(seen["embeddings"][1:], [[[4, 5], [2, 3]]] * 2)
    np.testing.assert_array_equal(seen["embeddings"][0, 0], [0, 1])


def test_a_file_makes_the_same_environment_in_json(uneven):
    env = gym.make(ID, source=uneven, k=2, action="weights", rewards="win-rate")
    copy = gym.make(type(env.spec).from_json(env.spec.to_json()))
    for one in (env, copy):
        one.reset(seed=4)
    action = np.array([0.25, 0.5], np.float32)
    assert env.step(action)[1] == copy.step(action)[1]
