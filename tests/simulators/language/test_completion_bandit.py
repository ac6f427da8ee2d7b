"""The bandit over completions draws, shows and pays what its rules say; the synthetic source's optimum is known."""

import shutil
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import expit, ndtr

from sandtable.simulators.arrays import tree_map
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.bandit_data import (
    BanditData,
    expected_best,
    synthetic_completions,
    synthetic_optimum,
)
from sandtable.simulators.language.bradley_terry import bradley_terry_scores
from sandtable.simulators.language.completion_bandit import CompletionBandit
from sandtable.simulators.language.completions import SPLITS, Prompt
from sandtable.simulators.language.completions_file import write_completions
from sandtable.simulators.language.features_folder import write_features
from sandtable.simulators.random import make_key

KEYS = make_key(np.arange(20_000))


@pytest.fixture
def small():
    """Three prompts of 4, 2 and 1 completions; embedding [row, 10 row] and reward row / 10 of each row."""
    rows = np.arange(7.0)
    return BanditData(
        prompt_ids=("four", "two", "one"),
        count=np.array([4, 2, 1]),
        split=np.array([0, 0, 2]),
        embeddings=np.stack([rows + 1, 10 * (rows + 1)], 1).astype(np.float32),
        rewards=(rows / 10 - 0.2).astype(np.float32),
        logprobs=(-rows - 1).astype(np.float32),
    )


def test_what_is_shown_are_distinct_completions_of_one_prompt(small):
    world = CompletionBandit(small, k=3)
    state = world.reset(KEYS)
    seen = world.observe(state)
    assert set(state.prompt.tolist()) == {0, 1}  # of the split
    four, two = state.prompt == 0, state.prompt == 1
    assert seen["mask"][four].all()
    assert (seen["mask"][two] == [1, 1, 0]).all()
    rows = np.where(state.completion >= 0, state.completion + 4 * state.prompt, -1).T
    np.testing.assert_array_equal(seen["embeddings"][..., 0], rows + 1)  # 0 in empty places
    np.testing.assert_array_equal(seen["embeddings"][..., 1], 10 * (rows + 1))
    np.testing.assert_array_equal(seen["logprobs"], -(rows + 1))
    assert all(len({*shown}) == 3 for shown in state.completion.T[four][:200].tolist())


def test_every_ordered_draw_without_replacement_is_equally_likely(small):
    world = CompletionBandit(small, k=3)
    state = world.reset(KEYS, prompt_id="four")
    drawn, counts = np.unique(state.completion.T, axis=0, return_counts=True)
    assert drawn.tolist() == [list(one) for one in permutations(range(4), 3)]
    assert stats.chisquare(counts).pvalue > 0.001
    whole = CompletionBandit(small, k=4).reset(KEYS, prompt_id="four").completion
    assert (np.sort(whole, 0) == np.arange(4)[:, None]).all()
    _, counts = np.unique(whole.T, axis=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_choice_earns_its_reward_and_an_empty_place_the_least(small):
    world = CompletionBandit(small, k=3, reveal=True)
    state = world.reset(KEYS[:50])
    for place in range(3):
        step = world.step(state, np.full(50, place))
        there = state.completion[place] >= 0
        expected = np.where(there, (state.completion[place] + 4 * state.prompt) / 10 - 0.2, -0.2)
        np.testing.assert_allclose(step.reward, expected, rtol=1e-6)
        np.testing.assert_array_equal(step.info["invalid"], ~there)
        np.testing.assert_array_equal(step.info["completion"], state.completion[place])
        np.testing.assert_allclose(np.where(there, step.info["rewards"][:, place], -0.2), expected, rtol=1e-6)
        assert step.terminated.all()
        assert not step.truncated.any()
    hidden = CompletionBandit(small, k=3)
    assert hidden.step(hidden.reset(KEYS[:2]), np.zeros(2, int)).info.keys() == {"invalid", "prompt", "completion"}


def test_weights_earn_the_expectation_over_what_is_there(small):
    index, world = CompletionBandit(small, k=3, reveal=True), CompletionBandit(small, k=3, action="weights")
    state = world.reset(KEYS[:400])
    weights = np.random.default_rng(0).uniform(size=(400, 3)).astype(np.float32)
    mask = world.mask(state)
    rewards = index.step(state, np.zeros(400, int)).info["rewards"]
    shares = weights * mask / (weights * mask).sum(1, keepdims=True)
    np.testing.assert_allclose(world.step(state, weights).reward, (shares * rewards).sum(1), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(world.step(state, 5 * weights).reward, world.step(state, weights).reward, rtol=1e-5)
    single = world.step(state, np.eye(3, dtype=np.float32)[np.zeros(400, int)])
    np.testing.assert_allclose(single.reward, rewards[:, 0], rtol=1e-6)
    last = world.step(state, np.eye(3, dtype=np.float32)[np.full(400, 2)])  # all weight on a place that may be empty
    np.testing.assert_array_equal(last.info["invalid"], ~mask[:, 2])
    np.testing.assert_allclose(last.reward[~mask[:, 2]], -0.2, rtol=1e-6)


def test_the_gradient_in_the_weights_is_that_of_the_expected_reward(small):
    world = CompletionBandit(small, k=3, action="weights")
    state = world.reset(torch.as_tensor(KEYS[:8]), prompt_id="four")
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    reward = world.step(state, logits.softmax(-1)).reward
    (gradient,) = torch.autograd.grad(reward.sum(), logits)
    rewards = torch.as_tensor(small.rewards)[state.completion].T
    share = logits.softmax(-1)
    torch.testing.assert_close(gradient, share * (rewards - reward[:, None]))  # of a softmax policy


def test_win_rates_are_those_of_bradley_and_terry(small):
    """The chance that i is preferred to j is sigmoid(s_i - s_j) (Bradley and Terry, Biometrika 39, 1952)."""
    world = CompletionBandit(small, k=3, rewards="win-rate", reveal=True)
    state = world.reset(KEYS[:100])
    told = world.step(state, np.zeros(100, int)).info["rewards"]
    for row in range(100):
        rows = [c + 4 * state.prompt[row] for c in state.completion[:, row] if c >= 0]
        s = small.rewards[rows]
        for place, own in enumerate(s):
            expected = np.mean([expit(own - other) for j, other in enumerate(s) if j != place])
            assert told[row, place] == pytest.approx(expected, rel=1e-5)
    alone = CompletionBandit(small, k=3, split="test", rewards="win-rate")
    step = alone.step(alone.reset(KEYS[:3]), np.array([0, 1, 2]))
    np.testing.assert_allclose(step.reward, [0.5, 0, 0])
    assert world.least == 0


def test_options_name_the_prompt_and_its_completions(small):
    world = CompletionBandit(small, k=3)
    state = world.reset(KEYS[:2], prompt_id=np.array(["two", "four"], object), completions=np.array([[1, 0], [0, 1]]))
    assert state.prompt.tolist() == [1, 0]
    assert state.completion.T.tolist() == [[1, 0, -1], [0, 1, -1]]
    for options, message in [
        ({"prompt_id": "five"}, "prompt_id 'five': there is none among the 3 prompts"),
        ({"prompt_id": ["two"] * 3}, r"prompt_id has shape \[3\]; there are \[2\] rows"),
        ({"prompt_id": "one"}, "prompt_id 'one': it is in the test split, not train"),
        ({"prompt_id": "two", "completions": [0, 2]}, "completions: 2 is none of the prompt's, which are 0 to 1"),
        ({"completions": [1, 1]}, "completions: one is named twice"),
        ({"completions": [0, 1, 2, 3]}, "completions must be 1 to 3 whole numbers a row"),
        ({"completions": [0.5]}, "completions must be 1 to 3 whole numbers a row"),
        ({"completions": np.zeros((3, 1), int)}, r"completions has shape \[3, 1\]; there are \[2\] rows"),
    ]:
        with pytest.raises(InputError, match=message):
            world.reset(KEYS[:2], **options)
    with pytest.raises(ValueError, match="not prompt"):
        world.reset(KEYS[:2], prompt="two")


@pytest.mark.parametrize("action", ["index", "weights"])
@pytest.mark.parametrize("rewards", ["given", "win-rate"])
def test_numpy_and_torch_see_the_same_rows_whatever_their_batch(action, rewards):
    world = CompletionBandit(k=5, prompts=30, completions=7, dim=3, action=action, rewards=rewards, reveal=True)
    keys = make_key(np.arange(12)).reshape(2, 6)
    actions = np.random.default_rng(0).integers(5, size=(2, 6))
    actions = actions if action == "index" else np.eye(5, dtype=np.float32)[actions] + np.float32(0.25)
    found = []
    for one in (np.asarray, torch.as_tensor):
        state = world.reset(one(keys), episode=3)
        found.append((world.observe(state), world.step(state, one(actions))))
    tree_map(lambda a, b: np.testing.assert_array_equal(a, b.numpy()), found[0][0], found[1][0])
    tree_map(lambda a, b: np.testing.assert_allclose(a, b.numpy(), rtol=1e-6), found[0][1], found[1][1])
    row = world.reset(keys[1, 2:3], episode=3)
    tree_map(lambda a, b: np.testing.assert_array_equal(a[1, 2], b[0]), found[0][0], world.observe(row))


def test_an_episode_is_one_graph(small):
    world = CompletionBandit(small, k=3, action="weights", rewards="win-rate")

    def episode(key, action):
        state = world.reset(key)
        return world.observe(state), world.step(state, action).reward

    arguments = torch.arange(6), torch.full((6, 3), 0.5)
    compiled = torch.compile(episode, fullgraph=True, backend="eager")(*arguments)
    tree_map(torch.testing.assert_close, compiled, episode(*arguments))


def test_draws_of_a_row_do_not_tell_of_each_other():
    state = CompletionBandit(k=2, prompts=1000).reset(KEYS)
    following = CompletionBandit(k=2, prompts=1000).reset(KEYS, episode=1)
    draws = np.stack([state.prompt, *state.completion, following.prompt, *following.completion])
    correlations = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(len(KEYS))


def test_the_synthetic_completions_have_the_law_that_is_stated():
    data = synthetic_completions(prompts=4000, completions=10, dim=3, gap=2.0, offset=1.5, seed=3)
    e = data.embeddings.reshape(4000, 10, 3).astype(float)
    noise = e[..., 1] - e[..., 1].mean(1, keepdims=True)
    for values, variance in ((e[..., 0], 1), (noise, 0.9), (e[..., 2], 1), (e[:, 0, 1], 1 + 1.5**2)):
        assert values.mean() == pytest.approx(0, abs=4.5 * np.sqrt(variance / values.size))
        assert values.var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / values.size))
    residual = (data.rewards - data.probability).reshape(4000, 10)
    spread = data.probability * (1 - data.probability)
    assert abs(residual.sum()) < 4 * np.sqrt(spread.sum())
    assert abs((residual * e[..., 0]).sum()) < 4 * np.sqrt((spread.reshape(4000, 10) * e[..., 0] ** 2).sum())
    np.testing.assert_allclose(np.bincount(data.split) / 4000, [0.6, 0.2, 0.2], atol=4 * np.sqrt(0.24 / 4000))
    fewer = synthetic_completions(prompts=7, completions=4, dim=2, gap=2.0, offset=1.5, seed=3)  # the first of them
    np.testing.assert_array_equal(fewer.embeddings.reshape(7, 4, 2), data.embeddings.reshape(4000, 10, 3)[:7, :4, :2])
    np.testing.assert_array_equal(fewer.rewards.reshape(7, 4), data.rewards.reshape(4000, 10)[:7, :4])


@pytest.mark.parametrize(("k", "gap", "offset"), [(1, 1.0, 3.0), (8, 1.0, 3.0), (4, -2.0, 0.5), (100, 3.0, 0.0)])
def test_the_optimum_is_that_of_an_adaptive_quadrature(k, gap, offset):
    def given(ease):
        def integrand(m):
            return expit(offset * ease + abs(gap) * m) * k * density(m) * ndtr(m) ** (k - 1)

        return integrate.quad(integrand, -9, 9, epsabs=1e-10)[0] * density(ease)

    def density(x):
        return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)

    expected = integrate.quad(given, -9, 9, epsabs=1e-9)[0] if offset else given(0) / density(0)
    assert synthetic_optimum(k, gap, offset) == pytest.approx(expected, abs=1e-7)


def test_the_optimum_is_what_the_best_choice_earns():
    """The largest coordinate 0, played; the error is that of 20,000 prompts, each shown once."""
    world = CompletionBandit(k=8, prompts=33_000, completions=8, dim=2, gap=1.0, offset=3.0, data_seed=5)
    prompts = np.array([world.data.prompt_ids[p] for p in np.flatnonzero(world.data.split == 0)], object)
    state = world.reset(make_key(np.arange(len(prompts))), prompt_id=prompts)
    best = world.observe(state)["embeddings"][..., 0].argmax(-1)
    reward = world.step(state, best).reward.astype(float)
    error = reward.std() / np.sqrt(len(reward))
    assert error < 0.0035
    assert abs(reward.mean() - synthetic_optimum(8)) < 3 * error
    assert abs(reward.mean() - world.optimal_reward) < 3 * error
    first = world.step(state, np.zeros(len(prompts), int)).reward.astype(float)
    assert abs(first.mean() - synthetic_optimum(1)) < 3 * error
    assert synthetic_optimum(1) == pytest.approx(0.5, abs=1e-12)
    assert synthetic_optimum(8) > 0.6


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_the_expected_best_is_that_of_all_draws(k):
    values = np.random.default_rng(k).normal(size=5)
    expected = np.mean([max(draw) for draw in combinations(values, min(k, 5))])
    assert expected_best(values, k) == pytest.approx(expected, rel=1e-12)


def test_the_expected_best_of_zeros_and_ones_is_pass_at_k():
    """1 - C(n - c, k) / C(n, k) of n completions, c of them right (Chen et al., arXiv 2107.03374, equation 1)."""
    values = np.zeros(200)
    values[:13] = 1
    expected = 1 - np.prod((187 - np.arange(10)) / (200 - np.arange(10)))
    assert expected_best(values, 10) == pytest.approx(expected, rel=1e-12)


def test_known_rewards_of_a_split_are_those_of_its_draws(small):
    world = CompletionBandit(small, k=2, reveal=True)
    assert world.base_reward == pytest.approx((np.mean([-0.2, -0.1, 0, 0.1]) + np.mean([0.2, 0.3])) / 2)
    best = np.mean([max(one) for one in combinations([-0.2, -0.1, 0, 0.1], 2)])
    assert world.oracle_reward == pytest.approx((best + 0.3) / 2)
    assert world.optimal_reward is None
    rewards = world.step(world.reset(KEYS), np.zeros(len(KEYS), int)).info["rewards"].max(1)
    assert abs(rewards.mean() - world.oracle_reward) < 4 * rewards.std() / np.sqrt(len(KEYS))


def test_what_cannot_be_is_refused(small):
    for arguments, message in [
        ({"k": 0}, "k = 0: it must be a whole number, at least 1"),
        ({"split": "tests"}, "split 'tests': there are train, validation, test; is it test"),
        ({"action": "soft"}, "action 'soft': there are index, weights"),
        ({"rewards": "elo"}, "rewards 'elo': there are given, win-rate"),
        ({"layer": 3}, "layer = 3: the synthetic source has no layers"),
        ({"dim": 1}, "dim = 1: it must be a whole number, at least 2"),
        ({"dim": 2.5}, "dim = 2.5: it must be a whole number, at least 2"),
        ({"prompts": 0}, "prompts = 0: it must be a whole number, at least 1"),
        ({"gap": np.nan}, "gap = nan, offset = 3.0: both must be finite"),
        ({"source": small, "split": "validation"}, "none of 3 prompts is in the validation split"),
    ]:
        with pytest.raises(InputError, match=message):
            CompletionBandit(**arguments)
    assert [CompletionBandit(split=split, prompts=2000).size for split in SPLITS] == pytest.approx(
        [1200, 400, 400], rel=0.1
    )


@pytest.fixture
def folder(tmp_path):
    """Four prompts of 3, 1, 2 and 2 completions, the last of one group, with features of two layers."""
    prompts = [
        Prompt("a", "Add.", ("1", "2", "3"), rewards=(0, 1, 0.5), logprobs=(-1.0, -2.0, -3.0), split="train"),
        Prompt("b", "Subtract.", ("4",), rewards=(-1,), logprobs=(-4.0,), split="validation"),
        Prompt("c", "Divide.", ("5", "6"), rewards=(1, 0), logprobs=(-5.0, -6.0), group="g", split="test"),
        Prompt("d", "Multiply.", ("7", "7"), rewards=(0, 0), logprobs=(-7.0, -7.0), group="g"),
    ]
    path = tmp_path / "answers.jsonl"
    write_completions(path, prompts)
    rows = np.arange(8.0)[:, None]
    shift = np.array([0.25, 0.5])
    layers = {"3": (rows + shift).astype(np.float16), "6": (shift - rows).astype(np.float16)}
    write_features(tmp_path / "answers.features", prompts, layers, model="tiny")
    return path, prompts


def test_a_file_s_completions_are_shown_with_the_features_of_a_layer(folder):
    path, _ = folder
    for layer, sign in ((None, -1), ("6", -1), (3, 1)):
        world = CompletionBandit(path, k=2, layer=layer, split="test", reveal=True)
        for one in (np.asarray, torch.as_tensor):
            state = world.reset(one(KEYS[:40]))
            seen = tree_map(np.asarray, world.observe(state))
            rows = np.asarray((state.completion + 4 + 2 * (state.prompt - 2)).T)
            assert set(rows.flat) == {4, 5, 6, 7}  # of a group, in one split
            np.testing.assert_array_equal(seen["embeddings"], sign * rows[..., None] + np.float32([0.25, 0.5]))
            np.testing.assert_array_equal(seen["logprobs"], [[-7.0 if r > 5 else -r - 1 for r in row] for row in rows])
            told = world.step(state, one(np.zeros(40, int))).info["rewards"]
            np.testing.assert_array_equal(told, (rows == 4).astype(float))
    assert world.least == -1  # of the data, though it is in another split
    assert world.optimal_reward is None
    one = CompletionBandit(path, k=2, split="validation")
    assert one.step(one.reset(KEYS[:1]), np.array([1])).reward == -1


def test_rewards_that_are_missing_or_too_large_are_refused_with_line_and_field(folder):
    path, prompts = folder
    for change, message in [
        ({"rewards": None}, "line 3, field rewards: it is missing; `sandtable grade` writes"),
        ({"rewards": (0.0, None)}, r"line 3, field rewards\[1\]: it is null; leave the completion out"),
        ({"rewards": (1e300, 0.0)}, r"line 3, field rewards\[0\]: 1e\+300 is beyond single precision"),
        ({"logprobs": (0.0, -1e300)}, r"line 3, field logprobs\[1\]: -1e\+300 is beyond single precision"),
    ]:
        write_completions(path, [*prompts[:2], replace(prompts[2], **change), prompts[3]])
        with pytest.raises(InputError, match=message):
            CompletionBandit(path)
    text = path.read_text().replace('"rewards":[1', '"rewards":[NaN')
    path.write_text(text)
    with pytest.raises(InputError, match=r"line 3, field rewards\[0\]: it must be finite"):
        CompletionBandit(path)
    write_completions(path, [*prompts[:2], replace(prompts[2], logprobs=(None, -1.0)), prompts[3]])
    assert "logprobs" not in CompletionBandit(path).observation_space.spaces


def test_features_that_are_not_there_or_not_finite_or_of_another_file_are_refused(folder):
    path, prompts = folder
    with pytest.raises(InputError, match="layer '4': there are 3, 6"):
        CompletionBandit(path, layer=4)
    for large in (np.inf, 1e300):
        write_features(path.with_suffix(".features"), prompts, {"3": np.full((8, 2), large)}, model="tiny")
        with pytest.raises(InputError, match=r"3.npy, row 0: a number is not finite in single precision"):
            CompletionBandit(path)
    write_completions(path, prompts[:3])
    with pytest.raises(InputError, match="features of another file"):
        CompletionBandit(path)
    shutil.rmtree(path.with_suffix(".features"))
    with pytest.raises(InputError, match="there is no such file"):
        CompletionBandit(path)
    with pytest.raises(InputError, match="nowhere"):
        CompletionBandit("nowhere.jsonl")


def test_preferences_are_scores_where_there_are_no_rewards(folder):
    path, prompts = folder
    write_completions(path, [replace(prompts[0], rewards=None, preferences=((2, 0), (2, 1))), *prompts[1:]])
    world = CompletionBandit(path, k=3, rewards="win-rate", reveal=True)
    rewards = world.step(world.reset(KEYS[:1], completions=[0, 1, 2]), np.zeros(1, int)).info["rewards"][0]
    s = bradley_terry_scores(3, [(2, 0), (2, 1)])
    assert rewards[2] == pytest.approx(expit(s[2] - s[0]), rel=1e-6)
    assert rewards[0] == pytest.approx((0.5 + expit(s[0] - s[2])) / 2, rel=1e-6)
    with pytest.raises(InputError, match='line 1, field rewards: it is missing; rewards="win-rate" takes the pref'):
        CompletionBandit(path, k=3)
