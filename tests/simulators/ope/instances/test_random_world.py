import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.random_mdps import random_mdps


@pytest.mark.parametrize("seed", range(4))
def test_worlds_of_even_seeds_are_tabular_and_all_are_realizable(seed):
    mdp = instance("random", seed=seed, states=4, actions=3, features=5)
    assert mdp.features.shape == (4, 3, 12 if seed % 2 == 0 else 5)
    assert_allclose(mdp.features @ mdp.theta, mdp.action_values(), atol=1e-10)
    assert instance("random", seed=seed, tabular=True).features.shape == (5, 2, 10)
    assert instance("random", seed=seed, tabular=False).features.shape == (5, 2, 3)


def test_moments_of_one_world_are_those_of_the_batch():
    batch = random_mdps(np.arange(4), states=5, actions=2, features=3)
    moments = instance("random", seed=3).moments()
    for name in ("covariance", "cross_covariance", "next_covariance", "reward_moment", "reward_square"):
        assert_allclose(getattr(moments, name), getattr(batch.moments(), name)[3], atol=1e-14)
    assert_allclose(moments.initial_mean, batch.moments().initial_mean[3], atol=1e-14)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": -1}, "seed is -1; it must be a whole number, at least 0"),
        ({"states": 0}, "states is 0; it must be a whole number, at least 1"),
        ({"features": 11}, r"features is 11; it must be a whole number in \[1, 10\]"),
        ({"discount": 1.0}, r"discount is 1.0; it must lie in \[0, 1\)"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InputError, match=f"random: {message}"):
        instance("random", **parameters)
