from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sandtable.estimators.ope.moments import device_moments
from sandtable.estimators.ope.moments.accumulate import moments_of_rows
from sandtable.estimators.ope.moments.device_moments import moments_of_tensors
from sandtable.estimators.ope.moments.sparse_moments import moments_of_sparse, moments_of_table
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments


def assert_equal(one: Moments, other: Moments, skip=()):
    for entry in fields(Moments):
        ours, theirs = getattr(one, entry.name), getattr(other, entry.name)
        if isinstance(ours, str | None) or isinstance(theirs, str | None):
            assert entry.name in skip or ours == theirs, entry.name
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=entry.name)


def one_hot(index, features):
    return np.where(index[..., None] == np.arange(features), 1.0, 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), weighted=st.booleans())
def test_counting_is_the_products_of_one_hot_features(seed, weighted):
    generator = np.random.default_rng(seed)
    index, following = generator.integers(0, 6, 80), generator.integers(-1, 6, 80)
    reward, starts = generator.normal(size=80), generator.integers(0, 6, 5)
    weight = generator.uniform(size=80) if weighted else None
    counted = moments_of_table(index, following, reward, 6, weight=weight, initial_index=starts)
    dense = moments_of_rows(
        one_hot(index, 6),
        one_hot(following, 6),
        reward,
        weight=weight,
        initial_features=one_hot(starts, 6),
        next_taken="drawn",
    )
    assert_equal(counted, dense)


def test_probabilities_of_next_pairs_give_mean_features_and_an_enumerated_covariance():
    generator = np.random.default_rng(0)
    index, following = generator.integers(0, 6, 80), generator.integers(0, 6, (80, 3))
    probability, reward = generator.dirichlet(np.ones(3), 80), generator.normal(size=80)
    starts, starting = generator.integers(0, 6, (4, 2)), np.full((4, 2), 0.5)
    counted = moments_of_table(
        index, following, reward, 6, next_probability=probability, initial_index=starts, initial_probability=starting
    )
    each = one_hot(following, 6)
    mean = np.einsum("nk,nkd->nd", probability, each)
    enumerated = np.einsum("nk,nkd,nke->de", probability, each, each)
    dense = moments_of_rows(
        one_hot(index, 6),
        mean,
        reward,
        initial_features=one_hot(starts, 6).mean(axis=1),
        next_covariance=enumerated,
    )
    assert_equal(counted, dense, skip=("next_reward_moment",))
    np.testing.assert_allclose(counted.next_reward_moment, mean.T @ reward)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), weighted=st.booleans(), taken=st.sampled_from(["mean", "drawn"]))
def test_sparse_matrices_and_tensors_give_the_moments_of_dense_rows(seed, weighted, taken):
    generator = np.random.default_rng(seed)
    phi, following = (generator.normal(size=(40, 5)) * (generator.uniform(size=(40, 5)) < 0.3) for _ in range(2))
    reward, weight = generator.normal(size=40), generator.uniform(size=40) if weighted else None
    dense = moments_of_rows(phi, following, reward, weight=weight, initial_features=phi[:4], next_taken=taken)
    sparsely = moments_of_sparse(
        sparse.csr_array(phi), sparse.coo_array(following), reward, weight=weight, initial_features=phi[:4],
        next_taken=taken,
    )  # fmt: skip
    tensors = [torch.tensor(array) for array in (phi, following, reward)]
    on_device = moments_of_tensors(
        *tensors,
        weight=None if weight is None else torch.tensor(weight),
        initial_features=tensors[0][:4],
        next_taken=taken,
    )
    assert_equal(sparsely, dense)
    assert_equal(on_device, dense)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_moments_of_the_cpu():
    generator = np.random.default_rng(0)
    arrays = generator.normal(size=(1000, 16)), generator.normal(size=(1000, 16)), generator.normal(size=1000)
    assert_equal(moments_of_tensors(*(torch.tensor(array).cuda() for array in arrays)), moments_of_rows(*arrays))


def test_float32_tensors_are_summed_in_float64_chunk_by_chunk(monkeypatch):
    monkeypatch.setattr(device_moments, "CHUNK_BYTES", 8 * 5 * 7)
    generator = np.random.default_rng(0)
    phi, following = generator.normal(size=(2, 5000, 2)).astype(np.float32)
    reward = generator.normal(size=5000).astype(np.float32)
    found = moments_of_tensors(*(torch.tensor(array) for array in (phi, following, reward)))
    assert_equal(found, moments_of_rows(phi, following, reward))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"index": np.array([0, 7, 1])}, r"index, row 1: 7 is not a pair in \[0, 3\)"),
        ({"index": np.array([0, -1, 1])}, r"index, row 1: -1 is not a pair"),
        ({"next_index": np.array([0, 1, 3])}, "next_index, row 2: 3 is no pair below 3"),
        ({"reward": np.array([0, np.nan, 1])}, "reward, row 1: nan is not a finite number"),
        ({"weight": np.array([1.0, -1.0, 1.0])}, "weight, row 1: -1.0 is not finite and >= 0"),
        ({"weight": np.zeros(3)}, "no row of positive weight"),
        ({"initial_index": np.array([5])}, "initial_index, row 0: 5 is not"),
    ],
)
def test_pairs_outside_of_the_table_and_numbers_that_are_none_are_named(changed, message):
    held = {"index": np.array([0, 1, 2]), "next_index": np.array([1, 2, -1]), "reward": np.ones(3)} | changed
    with pytest.raises(InputError, match=message):
        moments_of_table(**held, features=3)


def test_sparse_rows_and_tensors_that_are_not_finite_are_named():
    phi = np.eye(3)
    phi[2, 1] = np.inf
    with pytest.raises(InputError, match="features, row 2"):
        moments_of_sparse(sparse.csr_array(phi), sparse.csr_array(np.eye(3)), np.ones(3))
    with pytest.raises(InputError, match="next_features, row 2"):
        moments_of_tensors(torch.eye(3), torch.tensor(phi), torch.ones(3))
    with pytest.raises(InputError, match="the weights must be"):
        moments_of_tensors(torch.eye(3), torch.eye(3), torch.ones(3), weight=-torch.ones(3))
    with pytest.raises(ValueError, match="must be"):
        moments_of_tensors(torch.eye(3), torch.eye(2), torch.ones(3))
