"""The worlds of the regimes have the moments for which they were made (arXiv 2203.04236; worked out by hand)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.instances.regimes import REGIMES

DISCOUNT = 0.9
# distribution shift, norm, spectral radius, largest eigenvalue of the symmetric part, least singular value of I - A
NUMBERS = {
    "R1": (1, 0.81, 0.81, 0.81, 0.19),
    "R1b": (1, 0.8293, 0.7335, 0.7650, 0.2561),
    "R1c": (1, 0.9, 0.9, 0.9, 0.1),
    "R2": (4, 0, 0, 0, 1),
    "R2b": (4, 0, 0, 0, 1),
    "R3": (100, 9.0, 0.9, 4.95, 0.0111),
    "R4": (9, 2.7, 0, 1.35, 0.33),
    "R4b": (2.25, 1.35, 0, 0.675, 0.5315),
    "R5": (4, 1.8, 1.8, 0, 2.0591),
    "R6": (4, 1.8, 1.8, 1.8, 0.8),
    "R7": (1 / 0.81, 1, 1, 1, 0),
}


def whitened(moments):
    """Return the inverse root of the covariance, and A = discount * cov^(-1/2) cross cov^(-1/2)."""
    values, vectors = np.linalg.eigh(moments.covariance)
    root = vectors / np.sqrt(values) @ vectors.T
    return root, DISCOUNT * root @ moments.cross_covariance @ root


@pytest.mark.parametrize("name", NUMBERS)
def test_conditions_of_the_estimators_are_those_of_the_regime(name):
    moments = instance(name).moments()
    root, a = whitened(moments)
    found = (
        np.linalg.eigvalsh(root @ moments.next_covariance @ root)[-1],
        np.linalg.norm(a, 2),
        np.abs(np.linalg.eigvals(a)).max(),
        np.linalg.eigvalsh((a + a.T) / 2)[-1],
        np.linalg.svd(np.eye(len(a)) - a, compute_uv=False)[-1],
    )
    assert_allclose(found, NUMBERS[name], atol=6e-5)


REGIME = {
    "R1": "low distribution shift",
    "R1b": "low distribution shift",
    "R1c": "low distribution shift",
    "R2": "contractive",
    "R2b": "contractive",
    "R3": "stable",
    "R4": "stable",
    "R4b": "stable and symmetric stable",
    "R5": "symmetric stable",
    "R6": "invertible",
    "R7": "singular",
}
COMPLETE = {"R1c", "R2", "R3"}


@pytest.mark.parametrize("name", REGIMES)
def test_each_world_is_in_its_regime(name):
    told = instance(name).exact().diagnostics
    assert told.regime == REGIME[name]
    if name not in ("R4", "R4b", "R5", "R6", "R7"):  # of those the literature does not say
        assert told.bellman_complete is (name in COMPLETE)


@pytest.mark.parametrize("name", REGIMES)
@pytest.mark.parametrize("discount", [0.9, 0.5])
def test_the_value_is_linear_in_the_features(name, discount):
    mdp = instance(name, discount=discount)
    assert_allclose(mdp.features @ mdp.theta, mdp.action_values(), atol=1e-12)
    assert_allclose(mdp.moments().system(discount) @ mdp.theta, mdp.moments().reward_moment, atol=1e-12)
    assert mdp.parameters() is mdp.theta


def test_lyapunov_solution_of_r4_is_that_of_scipy():
    """scipy.linalg.solve_discrete_lyapunov on [[0, 2.7], [0, 0]] gives diag(1, 8.29)."""
    _, a = whitened(instance("R4").moments())
    assert_allclose(np.abs(a), [[0, 2.7], [0, 0]], atol=1e-12)
    assert_allclose(np.eye(2) + a.T @ a, np.diag([1, 8.29]), atol=1e-12)  # a^2 = 0, so the series ends


def test_two_worlds_of_r7_have_one_data_and_two_values():
    one, other = instance("R7", theta=[1.0]), instance("R7", theta=[-5.0])
    assert_allclose(one.rewards[:, 0], [0, 10 / 9, 0])
    assert_allclose(other.rewards[:, 0], [0, -50 / 9, 0])
    assert_allclose(one.moments().reward_moment, 0)
    assert_allclose(other.moments().reward_moment, 0)
    assert_allclose((one.value(), other.value()), (19 / 18, -95 / 18))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"theta": [1.0]}, r"R3: theta has shape \[1\]; it must be \[2\]"),
        ({"discount": 1.5}, r"R3: discount is 1.5; it must lie in \[0, 1\]"),
        ({"discount": float("nan")}, "R3: discount is nan"),
        ({"discount": "high"}, "R3: discount is 'high'"),
        ({"epsilon": 1}, "instance R3: there is no parameter 'epsilon'; it has discount, theta"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        instance("R3", **parameters)
    with pytest.raises(InputError, match="R7: discount is 0"):
        instance("R7", discount=0.0)
