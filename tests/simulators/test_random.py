"""Randomness that is addressed: known answers, distributions, independence, and one stream of bits everywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sandtable.simulators.random import (
    bits,
    categorical,
    fold_in,
    geometric_table,
    integers,
    make_key,
    normal,
    poisson,
    uniform,
)
from sandtable.training.keys import replica_keys

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
INT64 = st.integers(-(2**63), 2**63 - 1)
ALPHA = 1e-4  # the seeds are fixed: a test that passes once passes always


def unsigned(words):
    return np.asarray(words).view(np.uint64)


def reference_splitmix64(seed, count):
    """SplitMix64 as Steele, Lea and Flood (2014) state it, in Python's integers."""
    state, outputs = seed % 2**64, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


def test_splitmix64_gives_the_known_answers():
    """The published outputs for seed 1234567 (rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64)."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert unsigned(bits(make_key(1234567), np.arange(5))).tolist() == known


@given(seed=st.integers(0, 2**64 - 1), count=st.integers(1, 20))
def test_bits_are_splitmix64_s_outputs(seed, count):
    assert unsigned(bits(make_key(seed), np.arange(count))).tolist() == reference_splitmix64(seed, count)


@pytest.mark.parametrize("device", DEVICES)
@given(key=INT64, counter=st.integers(0, 2**62), child=INT64)
def test_numpy_and_torch_draw_the_same_bits(device, key, counter, child):
    arrays = np.array([key, key ^ 5]), np.array([[counter], [counter // 3]])
    tensors = [torch.as_tensor(array, device=device) for array in arrays]
    for draw in (bits, fold_in, uniform):
        np.testing.assert_array_equal(draw(*arrays), draw(*tensors).cpu().numpy())
    np.testing.assert_array_equal(
        uniform(fold_in(arrays[0], child), 3), uniform(fold_in(tensors[0], child), 3).cpu().numpy()
    )
    np.testing.assert_array_equal(integers(*arrays, 7), integers(*tensors, 7).cpu().numpy())
    np.testing.assert_array_equal(poisson(*arrays, 3.5), poisson(*tensors, 3.5).cpu().numpy())
    np.testing.assert_allclose(normal(*arrays), normal(*tensors).cpu().numpy(), rtol=1e-13, atol=1e-15)


@given(key=INT64, counter=st.integers(0, 2**40))
def test_a_draw_does_not_depend_on_its_neighbours(key, counter):
    alone = bits(np.array([key]), counter)[0]
    many = bits(np.array([3, key, -9])[:, None], np.arange(counter, counter + 4))
    assert bits(make_key(key), counter) == alone == many[1, 0]


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1])
@pytest.mark.parametrize("axis", ["counter", "key", "child", "stream"])
def test_uniforms_are_uniform_along_every_axis(seed, axis):
    """Counters of one key, first draws of neighbouring keys, of child keys, and of one stream of neighbouring keys."""
    numbers, key = np.arange(200_000), make_key(seed)
    u = {
        "counter": lambda: uniform(key, numbers),
        "key": lambda: uniform(key + numbers, 0),
        "child": lambda: uniform(fold_in(key, numbers), 0),
        "stream": lambda: uniform(fold_in(key + numbers, 3), 17),
    }[axis]()
    assert ((u >= 0) & (u < 1)).all()
    assert stats.kstest(u, "uniform").pvalue > ALPHA
    low = (u * 2**20).astype(np.int64) % 256  # bits 13 to 20 behind the point
    assert stats.chisquare(np.bincount(low, minlength=256)).pvalue > ALPHA
    pairs = np.histogram2d(u[:-1], u[1:], bins=20, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(pairs.ravel()).pvalue > ALPHA


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 62, 63])
def test_every_bit_is_fair_and_independent_of_the_next_draw_s(bit):
    words = unsigned(bits(make_key(8), np.arange(100_000)))
    one = (words >> np.uint64(bit)) & np.uint64(1)
    assert stats.binomtest(int(one.sum()), len(one)).pvalue > ALPHA
    agree = (one[1:] == one[:-1]).sum()
    assert stats.binomtest(int(agree), len(one) - 1).pvalue > ALPHA


def test_streams_of_one_key_and_of_neighbouring_keys_are_uncorrelated():
    keys, periods = make_key(np.arange(50)), np.arange(2_000)
    streams = [uniform(key, periods) for key in keys[:6]]
    streams += [uniform(fold_in(keys[0], child), periods) for child in range(6)]
    streams += [uniform(fold_in(fold_in(keys[0], 0), child), periods) for child in range(6)]
    correlation = np.corrcoef(np.array(streams))
    off = correlation[np.triu_indices(len(streams), 1)]
    assert np.abs(off).max() < 4.5 / np.sqrt(len(periods))  # 153 pairs
    # and not when shifted against each other either: a stream must not be another one, later
    for lag in (1, 2, 7):
        shifted = np.corrcoef(streams[0][lag:], streams[1][:-lag])[0, 1]
        assert abs(shifted) < 4.5 / np.sqrt(len(periods))


def test_rows_of_neighbouring_seeds_do_not_overlap_in_training():
    """Training takes ``fold_in(replica key, step)`` and folds the rows in: 3 seeds, 4 replicas, 50 steps, 64 rows."""
    rows = []
    for seed in (0, 1, 2):
        replicas = replica_keys(seed, 4).numpy()
        steps = fold_in(replicas[:, None], np.arange(50))
        rows.append(fold_in(steps[..., None], np.arange(64)).ravel())
    rows = np.concatenate(rows)
    assert len(np.unique(rows)) == len(rows)
    words = bits(rows[:, None], np.arange(8))  # nor do their draws
    assert len(np.unique(words)) == words.size


def test_children_do_not_repeat_the_draws_of_their_parent():
    key = make_key(np.arange(100))[:, None]
    drawn, children = bits(key, np.arange(500)), fold_in(key, np.arange(500))
    grandchildren = fold_in(children, 0)
    everything = np.concatenate([drawn.ravel(), children.ravel(), grandchildren.ravel()])
    assert len(np.unique(everything)) == everything.size


def test_draws_have_their_distributions():
    key, counter = make_key(3), np.arange(200_000)
    assert stats.kstest(normal(key, counter), "norm").pvalue > ALPHA
    cases = [(poisson(key, counter, 4.2), stats.poisson(4.2)), (integers(key, counter, 11), stats.randint(0, 11))]
    geometric = categorical(key, counter, geometric_table(2.5))
    cases.append((geometric, stats.geom(1 / 3.5, loc=-1)))
    for draws, law in cases:
        values, counts = np.unique(draws, return_counts=True)
        expected = law.pmf(values) * len(counter)
        common = expected >= 10  # the rarer ones are one cell
        observed = np.append(counts[common], len(counter) - counts[common].sum())
        expected = np.append(expected[common], len(counter) - expected[common].sum())
        keep = expected > 1e-6
        assert stats.chisquare(observed[keep], expected[keep], sum_check=False).pvalue > ALPHA


def test_normals_are_finite_for_every_word():
    """The uniform's cells are taken in the middle, so neither 0 nor 1 reaches the inverse distribution function."""
    extreme = np.array([0.0, 1.0 - 2.0**-53]) + 2.0**-54
    assert np.isfinite(stats.norm.ppf(extreme[0]))
    assert np.isfinite(normal(make_key(np.arange(1000))[:, None], np.arange(1000))).all()


@pytest.mark.parametrize("mean", [-1.0, np.nan, 1e7])
def test_means_that_no_table_can_hold_are_refused(mean):
    with pytest.raises(ValueError, match="mean"):
        poisson(make_key(0), 0, mean)
    with pytest.raises(ValueError, match="mean"):
        geometric_table(mean)


def test_make_key_wraps_integers_to_64_bits():
    assert make_key(2**64 + 5) == make_key(5) == 5
    assert make_key(2**63) == -(2**63)
    np.testing.assert_array_equal(make_key([1, 2**64 - 1]), [1, -1])


@pytest.mark.parametrize("table", [[0.1, 0.1, 0.75, 0.75 + 1e-9, 0.9999], [0.5], [0.25, 0.5, 0.75], [0.0, 1.0]])
@pytest.mark.parametrize("shape", ["rows", "columns", "both"])
def test_many_draws_at_once_are_those_drawn_one_by_one(table, shape):
    """Many are drawn by a table of cells, few by a search; entries on a cell's edge, equal and close ones included."""
    key, counter = make_key(np.arange(200))[:, None], np.arange(300)
    if shape == "rows":
        key = make_key(5)[None, None]
        counter = np.arange(60_000).reshape(200, 300)
    elif shape == "columns":
        key, counter = make_key(np.arange(60_000)), np.asarray(3)
    table = np.array(table)
    many = categorical(key, counter, table)
    tensors = torch.as_tensor(key), torch.as_tensor(counter)
    np.testing.assert_array_equal(many, np.searchsorted(table, uniform(key, counter), side="right"))
    np.testing.assert_array_equal(many, categorical(*tensors, table).numpy())
