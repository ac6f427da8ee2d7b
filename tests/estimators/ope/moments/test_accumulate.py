from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.ope.moments import accumulator
from sandtable.estimators.ope.moments.accumulate import (
    moments_by_episode,
    moments_of_log,
    moments_of_rows,
    next_covariance_of_blocks,
    starts_of,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments


def rows(n=500, d=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)), generator.normal(size=(n, d)), generator.normal(size=n)


def a_log(lengths=(3, 1, 4, 1, 5), d=3, seed=0, **changed):
    """A log of episodes of these lengths; every second one is truncated."""
    generator = np.random.default_rng(seed)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    n = len(episode)
    last = np.append(np.diff(episode) > 0, True)
    log = LoggedSteps(
        actions=1,
        episode=episode,
        step=np.concatenate([np.arange(length) for length in lengths]),
        action=np.zeros(n, dtype=np.int64),
        reward=generator.normal(size=n),
        terminated=last & (episode % 2 == 0),
        truncated=last & (episode % 2 == 1),
        features=generator.normal(size=(n, d)),
        next_features=generator.normal(size=(n, d)),
    )
    return log.with_(**changed)


def assert_equal(one: Moments, other: Moments, tolerance=1e-12):
    for entry in fields(Moments):
        ours, theirs = getattr(one, entry.name), getattr(other, entry.name)
        if isinstance(ours, np.ndarray | np.generic):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=entry.name)
        else:
            assert ours == theirs


def test_moments_are_the_sums_that_they_are_called(monkeypatch):
    monkeypatch.setattr(accumulator, "CHUNK_BYTES", 8 * 4 * 7)  # chunks of 7 rows, the last of 3
    phi, following, reward = rows()
    weight = np.random.default_rng(1).uniform(size=500)
    found = moments_of_rows(phi, following, reward, weight=weight, initial_features=phi[:3], next_taken="drawn")
    weighted = phi * weight[:, None]
    for name, expected in {
        "covariance": weighted.T @ phi,
        "cross_covariance": weighted.T @ following,
        "next_covariance": (following * weight[:, None]).T @ following,
        "reward_moment": weighted.T @ reward,
        "next_reward_moment": following.T @ (weight * reward),
        "reward_square": weight @ reward**2,
        "initial_mean": phi[:3].mean(axis=0),
        "weight": weight.sum(),
    }.items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, atol=1e-12, err_msg=name)
    assert found.rows == 500


def test_mean_next_features_give_no_next_covariance():
    found = moments_of_rows(*rows())
    assert found.next_covariance is None
    assert found.next_covariance_from is None


@settings(max_examples=30, deadline=None)
@given(split=st.integers(1, 499), seed=st.integers(0, 9))
def test_moments_of_two_parts_add_up_to_those_of_the_whole(split, seed):
    phi, following, reward = rows(seed=seed)
    first = moments_of_rows(phi[:split], following[:split], reward[:split], next_taken="drawn")
    second = moments_of_rows(phi[split:], following[split:], reward[split:], next_taken="drawn")
    assert_equal(first + second, moments_of_rows(phi, following, reward, next_taken="drawn"), 1e-11)


@settings(max_examples=50, deadline=None)
@given(
    which=st.sampled_from(["features", "next_features", "reward"]),
    number=st.sampled_from([np.nan, np.inf, -np.inf]),
    row=st.integers(0, 499),
    column=st.integers(0, 3),
    zeros=st.booleans(),
)
def test_a_number_that_is_not_finite_is_named_with_file_and_row(which, number, row, column, zeros):
    arrays = dict(zip(["features", "next_features", "reward"], rows(), strict=True))
    if zeros:  # also where everything that it is multiplied with is 0
        arrays = {name: np.zeros_like(array) for name, array in arrays.items()}
    arrays[which][(row, column) if which != "reward" else row] = number
    with pytest.raises(InputError, match=rf"log\.npz, row {row}: {which}.* is {number}"):
        moments_of_rows(**arrays, source="log.npz")


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(weight):
    weights = np.ones(500)
    weights[17] = weight
    with pytest.raises(InputError, match="the rows, row 17: weight is"):
        moments_of_rows(*rows(), weight=weights)


def test_no_rows_and_shapes_that_do_not_agree_are_refused():
    phi, following, reward = rows()
    with pytest.raises(InputError, match="no row of positive weight"):
        moments_of_rows(phi[:0], following[:0], reward[:0])
    with pytest.raises(ValueError, match=r"must be \[n, 4\]"):
        moments_of_rows(phi, following[:, :2], reward)
    with pytest.raises(ValueError, match="initial_features must be"):
        moments_of_rows(phi, following, reward, initial_features=np.ones(4))
    with pytest.raises(InputError, match="initial_features, row 1"):
        moments_of_rows(phi, following, reward, initial_features=np.array([[1.0] * 4, [np.nan] * 4]))


def test_finite_numbers_whose_squares_overflow_say_so():
    phi, following, reward = rows()
    with pytest.raises(InputError, match="overflow"):
        moments_of_rows(phi * 1e200, following, reward)


def test_float32_rows_are_summed_in_float64():
    phi, following, reward = (array.astype(np.float32) for array in rows(100_000, 2))
    found = moments_of_rows(phi, following, reward)
    exact = phi.astype(np.longdouble).T @ phi.astype(np.longdouble)
    assert np.abs(found.covariance - exact).max() < 1e-12 * exact.max()


def test_memory_mapped_rows_give_the_same(tmp_path):
    for name, array in zip(("phi", "following", "reward"), rows(), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("phi", "following", "reward")]
    assert_equal(moments_of_rows(*mapped), moments_of_rows(*rows()), 0.0)


def test_what_follows_a_termination_counts_as_nothing_and_what_follows_a_truncation_counts():
    log = a_log()
    nothing = np.where(log.terminated[:, None], 0.0, log.next_features)
    garbage = np.where(log.terminated[:, None], np.nan, log.next_features)
    expected = moments_of_rows(log.features, nothing, log.reward, initial_features=log.features[log.first])
    assert_equal(moments_of_log(log), expected)
    assert_equal(moments_of_log(log.with_(next_features=garbage)), expected)


def test_a_log_names_its_own_rows():
    reward = a_log().reward
    reward[3] = np.nan
    with pytest.raises(InputError, match=r"the log, row 105: reward is nan"):
        moments_of_log(a_log(reward=reward, rows=np.arange(102, 116)))
    with pytest.raises(InputError, match="holds no features"):
        moments_of_log(a_log(features=None))


def test_starts_are_given_or_the_first_rows_or_unknown():
    log = a_log()
    assert starts_of(log).of_episodes
    np.testing.assert_array_equal(starts_of(log).features, log.features[log.first])
    assert starts_of(a_log(initial_features=np.ones((5, 3)))).of_episodes
    assert not starts_of(a_log(initial_features=np.ones((1, 3)))).of_episodes
    assert starts_of(a_log(lengths=(1, 1), independent=True)) is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("taken", ["mean", "drawn"])
def test_the_moments_of_episodes_add_up_to_the_log_s(weighted, taken):
    lengths = tuple(np.random.default_rng(2).integers(1, 6, size=40))
    weight = np.random.default_rng(3).uniform(size=sum(lengths)) if weighted else None
    log = a_log(lengths, weight=weight)
    each = moments_by_episode(log, next_taken=taken)
    total = each.combined(np.ones((1, 40)))
    expected = moments_of_log(log, next_taken=taken)
    for name in ("covariance", "cross_covariance", "next_covariance", "reward_moment", "next_reward_moment"):
        if getattr(expected, name) is not None:
            np.testing.assert_allclose(getattr(total, name)[0], getattr(expected, name), atol=1e-12)
    np.testing.assert_allclose(total.weight[0], expected.weight)
    np.testing.assert_allclose(total.initial_mean[0], expected.initial_mean)
    one = log.episode == 7
    np.testing.assert_allclose(
        each.covariance[7], (log.features[one] * (1 if weight is None else weight[one, None])).T @ log.features[one]
    )
    part = moments_by_episode(log, slice(5, 9), taken)
    np.testing.assert_array_equal(part.cross_covariance, each.cross_covariance[5:9])


def test_given_starts_are_the_same_in_every_resample():
    given = np.random.default_rng(4).normal(size=(1, 3))
    each = moments_by_episode(a_log(initial_features=given))
    mixed = each.combined(np.array([[5, 0, 0, 0, 0], [1, 1, 1, 1, 1]]))
    np.testing.assert_allclose(mixed.initial_mean, np.repeat(given, 2, axis=0))


def test_enumerated_next_actions_of_blocks_are_the_outer_products_one_by_one():
    generator = np.random.default_rng(5)
    x, probability = generator.normal(size=(50, 2)), generator.dirichlet(np.ones(3), 50)
    weight = generator.uniform(size=50)
    ended = generator.uniform(size=50) < 0.2
    expected = np.zeros((6, 6))
    for row in range(50):
        for action in range(3):
            phi = np.kron(np.eye(3)[action], x[row])
            expected += 0.0 if ended[row] else weight[row] * probability[row, action] * np.outer(phi, phi)
    np.testing.assert_allclose(next_covariance_of_blocks(x, probability, weight, ended), expected, atol=1e-12)
