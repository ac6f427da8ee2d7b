"""Random finite worlds by the thousand."""

import numpy as np
import pytest

from sandtable.simulators.ope.random_mdps import assorted_mdps, random_mdps


def test_a_world_does_not_depend_on_how_many_are_drawn():
    many, few = random_mdps(np.arange(9), 5, states=3, features=2), random_mdps([7], 5, states=3, features=2)
    for name in ("features", "transitions", "rewards", "data", "theta", "target"):
        np.testing.assert_array_equal(getattr(many, name)[7], getattr(few, name)[0])
    assert not np.array_equal(few.theta, random_mdps([7], 6, states=3, features=2).theta)


def test_rows_are_distributions_and_data_are_dirichlet():
    """Dirichlet(a) over k has variance (1/k) (1 - 1/k) / (k a + 1) of each share."""
    worlds = random_mdps(np.arange(4000), states=4, features=2, actions=2)
    for array in (worlds.transitions, worlds.target, worlds.initial):
        np.testing.assert_allclose(array.sum(-1), 1.0)
    np.testing.assert_allclose(worlds.data.sum((1, 2)), 1.0)
    assert worlds.data.mean() == pytest.approx(1 / 8)
    assert worlds.data.var() == pytest.approx(1 / 8 * 7 / 8 / 1.8, rel=0.05)
    assert worlds.transitions.var() == pytest.approx(1 / 4 * 3 / 4 / 1.4, rel=0.05)


def test_features_give_the_values_exactly():
    worlds = random_mdps(np.arange(20), states=3, features=2, actions=2)
    for i in range(20):
        move = worlds.transitions[i].reshape(6, 3)
        chain = (move[:, :, None] * worlds.target[i]).reshape(6, 6)
        values = np.linalg.solve(np.eye(6) - 0.9 * chain, worlds.rewards[i].ravel())
        np.testing.assert_allclose(worlds.features[i].reshape(6, 2) @ worlds.theta[i], values, atol=1e-9)


def test_moments_are_those_of_the_definition():
    worlds = random_mdps([4], states=3, features=2, actions=2)
    moments = worlds.moments()
    phi, mu = worlds.features[0].reshape(6, 2), np.diag(worlds.data[0].ravel())
    chain = (worlds.transitions[0].reshape(6, 3)[:, :, None] * worlds.target[0]).reshape(6, 6)
    np.testing.assert_allclose(moments.covariance[0], phi.T @ mu @ phi)
    np.testing.assert_allclose(moments.cross_covariance[0], phi.T @ mu @ chain @ phi)
    np.testing.assert_allclose(moments.next_covariance[0], phi.T @ np.diag(worlds.data[0].ravel() @ chain) @ phi)
    np.testing.assert_allclose(moments.reward_moment[0], phi.T @ mu @ worlds.rewards[0].ravel())
    np.testing.assert_allclose(moments.system(0.9)[0] @ worlds.theta[0], moments.reward_moment[0], atol=1e-12)
    start = np.einsum("s,sa,sad->d", worlds.initial[0], worlds.target[0], worlds.features[0])
    np.testing.assert_allclose(moments.initial_mean[0], start)


def test_half_of_an_assortment_is_tabular_and_every_world_is_there_once():
    worlds = list(assorted_mdps(1000))
    assert sorted(np.concatenate([one.index for one in worlds])) == list(range(1000))
    tabular = [one for one in worlds if set(np.unique(one.features)) == {0.0, 1.0}]
    assert sum(len(one) for one in tabular) == 500
    assert {one.transitions.shape[1] for one in tabular} == {2, 3, 4, 5}
    others = [one for one in worlds if set(np.unique(one.features)) != {0.0, 1.0}]
    assert max(one.features.shape[-1] for one in others) == 3


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="1 to S A features"):
        random_mdps([0], states=2, features=3)
    with pytest.raises(ValueError, match="discount"):
        random_mdps([0], states=2, discount=1.0)
