"""The sparse parity task: same bits in both libraries, right targets, fair coins, data sets that nobody stores."""

import numpy as np
import pytest
import torch

from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.sparse_parity import SparseParity


@pytest.mark.parametrize("settings", [{}, {"noise": 0.3}, {"samples": 7, "noise": 0.3, "data_seed": 5}])
@pytest.mark.parametrize("n", [1, 8, 50, 64, 65, 130])
def test_numpy_and_torch_draw_the_same_bits(n, settings):
    task = SparseParity(n, 1, **settings)
    keys = fold_in(make_key([3, 4])[:, None], np.arange(5))
    ours, theirs = task.draw(keys), task.draw(torch.from_numpy(keys))
    assert ours.observation.shape == (2, 5, n)
    assert ours.observation.dtype == np.int8
    assert ours.target.shape == ours.index.shape == (2, 5)
    for some, others in zip(ours, theirs, strict=True):
        assert np.array_equal(some, others.numpy())
    fed, fed_torch = task.sample(keys), task.sample(torch.from_numpy(keys))
    assert fed.input.dtype == np.float32
    assert np.array_equal(fed.input, fed_torch.input.numpy())
    assert np.array_equal(fed.input, 1.0 - 2.0 * ours.observation)
    assert np.array_equal(fed.input, task.encode(ours.observation))
    assert np.array_equal(fed.target, ours.target)


@pytest.mark.parametrize("subset", [None, (1, 5, 66), [66, 1, 5]])
def test_target_is_the_exclusive_or_of_the_subset(subset):
    task = SparseParity(70, 3, subset)
    shown = task.draw(fold_in(make_key(0), np.arange(1000)))
    bits = shown.observation[:, list(task.subset)]
    assert np.array_equal(shown.target, bits.sum(-1) % 2)
    assert np.array_equal(1 - 2 * shown.target, (1 - 2 * bits).prod(-1))
    assert (shown.index == -1).all()


def test_coordinates_are_fair_and_independent():
    rows = 20_000
    batch = SparseParity(130, 2).sample(fold_in(make_key(1), np.arange(rows)))
    assert set(np.unique(batch.input)) == {-1.0, 1.0}
    doubt = 5 / np.sqrt(rows)
    assert np.abs(batch.input.mean(0)).max() < doubt
    correlation = batch.input.T @ batch.input / rows - np.eye(130)
    assert np.abs(correlation).max() < doubt
    assert np.abs((1 - 2 * batch.target) @ batch.input / rows).max() < doubt


def test_row_does_not_depend_on_its_batch():
    task, keys = SparseParity(70, 2), fold_in(make_key(1), np.arange(10))
    assert np.array_equal(task.sample(keys).input[7], task.sample(keys[7]).input)


def test_subsets_are_drawn_by_the_data_s_seed_each_coordinate_as_often():
    subsets = [SparseParity(10, 3, data_seed=seed).subset for seed in range(2000)]
    assert all(len(set(subset)) == 3 for subset in subsets)
    counts = np.bincount(np.ravel(subsets), minlength=10)
    assert np.abs(counts / 2000 - 0.3).max() < 5 * np.sqrt(0.21 / 2000)
    assert SparseParity(10, 3, data_seed=4, samples=9, noise=0.1).subset == subsets[4]


def test_noise_flips_its_share_of_targets_whatever_the_bits():
    keys = fold_in(make_key(2), np.arange(20_000))
    shown = SparseParity(10, 2, noise=0.2).draw(keys)
    flipped = shown.target != shown.clean_target
    assert abs(flipped.mean() - 0.2) < 5 * np.sqrt(0.16 / 20_000)
    centred = flipped - flipped.mean()
    assert np.abs(centred @ (1 - 2.0 * shown.observation) / 20_000).max() < 5 * 0.4 / np.sqrt(20_000)
    assert np.array_equal(shown.clean_target, SparseParity(10, 2).draw(keys).target)


def test_example_i_is_a_function_of_the_data_s_seed_and_i():
    some, more = (SparseParity(20, 3, noise=0.4, samples=m, data_seed=3) for m in (50, 10**15))
    first, again = some.examples(np.arange(50)), more.examples(np.arange(50))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = SparseParity(20, 3, some.subset, noise=0.4, samples=50, data_seed=4).examples(np.arange(50))
    assert not np.array_equal(first.observation, other.observation)
    every = some.dataset()
    assert np.array_equal(every.input, 1 - 2.0 * first.observation)
    assert np.array_equal(every.target, first.target)
    assert torch.equal(some.dataset("cpu").input, torch.from_numpy(every.input))


def test_episodes_draw_each_example_as_often():
    task = SparseParity(20, 3, noise=0.4, samples=50)
    shown = task.draw(fold_in(make_key(0), np.arange(50_000)))
    counts = np.bincount(shown.index, minlength=50)
    assert len(counts) == 50
    assert np.abs(counts / 1000 - 1).max() < 5 / np.sqrt(1000)
    stored = task.examples(np.arange(50))
    assert np.array_equal(shown.observation, stored.observation[shown.index])
    assert np.array_equal(shown.target, stored.target[shown.index])  # noise is the example's, not the episode's


@pytest.mark.parametrize(("noise", "best"), [(0.0, 1.0), (0.25, 0.75)])
def test_the_best_rule_knows_the_subset_and_earns_what_noise_leaves(noise, best):
    task = SparseParity(16, 3, noise=noise)
    assert task.optimal_reward == best
    state = task.reset(fold_in(make_key(0), np.arange(20_000)))
    told = task.observe(state)[:, list(task.subset)].sum(-1) % 2
    assert abs(task.step(state, told).reward.mean() - best) <= 5 * np.sqrt(best * (1 - best) / 20_000)
    blind = task.step(state, np.zeros_like(told)).reward.mean()
    assert abs(blind - 0.5) < 5 * 0.5 / np.sqrt(20_000)


def test_a_noisy_data_set_can_be_learned_by_heart_so_its_best_reward_is_not_that_of_the_parity():
    assert SparseParity(samples=10, noise=0.1).optimal_reward is None
    assert SparseParity(samples=10).optimal_reward == 1.0


def test_info_tells_target_and_index_after_the_action_and_more_only_if_asked():
    shut, open_ = (SparseParity(9, 2, noise=0.5, samples=8, reveal=reveal) for reveal in (False, True))
    keys = make_key([1, 2, 3])
    told = shut.step(shut.reset(keys), np.zeros(3, int)).info
    assert set(told) == {"target", "index"}
    more = open_.step(open_.reset(keys), np.zeros(3, int)).info
    assert set(more) == {"target", "index", "clean_target", "subset"}
    assert more["subset"].tolist() == [list(open_.subset)] * 3
    stored = open_.examples(more["index"])
    assert np.array_equal(more["clean_target"], stored.clean_target)
    assert np.array_equal(more["target"], stored.target)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n": 3, "k": 4}, "k = 4: the subset must have between 1 and n = 3 bits"),
        ({"n": 0}, "n = 0"),
        ({"k": 0}, "k = 0"),
        ({"subset": (0, 1, 50)}, "there is no bit 50; bits are numbered from 0 to n - 1 = 49"),
        ({"subset": (0, 4, 4)}, "bit 4 is there 2 times"),
        ({"subset": (1,)}, "it has 1 bits, and k = 3"),
        ({"noise": 0.6}, r"noise = 0.6: .* \[0, 0.5\]"),
        ({"samples": 0}, "samples = 0"),
        ({"samples": 2**53 + 1}, r"\[1, 2\^53\]"),
        ({"loss": "hing"}, "there are cross-entropy, hinge, square; is it hinge?"),
        ({"feedback": "ful"}, "there are bandit, full; is it full?"),
    ],
)
def test_impossible_tasks_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        SparseParity(**settings)


def test_a_data_set_beyond_the_memory_is_refused_and_one_that_is_not_there_too():
    with pytest.raises(InputError, match=r"a data set of 10\d* examples needs .* GiB of memory, .* are left"):
        SparseParity(samples=10**14).dataset()
    for ask in (SparseParity().dataset, lambda: SparseParity().examples(np.arange(2))):
        with pytest.raises(ValueError, match="every example is fresh"):
            ask()
