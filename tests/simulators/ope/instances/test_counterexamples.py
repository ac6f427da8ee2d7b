"""The counterexamples behave as published."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.instances.counterexamples import kolter_singular


def test_td_diverges_on_baird_s_star():
    """Baird 1995; with the classic first weights the expected update grows as it does in exact arithmetic."""
    moments = instance("baird").moments()
    system = moments.system(0.99)
    assert np.linalg.matrix_rank(moments.covariance) == 7
    assert np.linalg.eigvals(-system).real.max() == pytest.approx(0.2392504643, abs=1e-10)
    weights, norms = np.array([1.0] * 6 + [10.0, 1.0]), []
    for _ in range(1000):
        weights = weights + 0.01 * (moments.reward_moment - system @ weights)
        norms.append(np.linalg.norm(weights))
    assert_allclose(norms[99], 16.826, atol=5e-4)
    assert_allclose(norms[999], 436.86, atol=5e-3)


@pytest.mark.parametrize(
    ("ridge", "radius"), [(0, 0.99), (1e-4, 0.990053), (1e-2, 0.994944), (0.1, 1.014355), (1.0, 0.7975)]
)
def test_a_ridge_can_make_fqi_diverge_on_baird_s_star(ridge, radius):
    moments = instance("baird").moments()
    inverse = np.linalg.pinv(moments.covariance + ridge * np.eye(8), rcond=1e-12)
    assert np.abs(np.linalg.eigvals(0.99 * inverse @ moments.cross_covariance)).max() == pytest.approx(radius, abs=5e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("discount", [0.8, 5 / 6, 0.99])
def test_an_iteration_on_tsitsiklis_and_van_roy_s_states_multiplies_by_their_gain(epsilon, discount):
    """Tsitsiklis and Van Roy 1996: FQI diverges where discount > 5 / (6 - 4 epsilon)."""
    moments = instance("tsitsiklis-van-roy", epsilon=epsilon, discount=discount).moments()
    gain = discount * moments.cross_covariance / moments.covariance
    assert_allclose(gain, discount * (6 - 4 * epsilon) / 5, rtol=1e-12)


def test_the_gain_of_the_default_states():
    found = instance("tsitsiklis-van-roy").exact().diagnostics
    assert found.spectral_radius == pytest.approx(1.18008)
    assert not found.td_stable


def test_the_data_of_amortila_s_world_do_not_tell_its_value():
    """arXiv 2011.01075: any parameter gives the same moments, and its own value."""
    one, other = (instance("amortila", theta=theta, discount=0.8) for theta in (3.0, -2.0))
    assert_allclose(one.moments().reward_moment, other.moments().reward_moment)
    assert_allclose(one.moments().system(0.8), 0, atol=1e-15)
    assert_allclose((one.value(), other.value()), (2.4, -1.6))
    assert one.exact().diagnostics.regime == "singular"


def test_kolter_s_values_and_rewards():
    """Kolter 2011: V = (1, 1.05), r = V - discount P V."""
    mdp = instance("kolter")
    assert_allclose(mdp.values(), [1, 1.05])
    assert_allclose(mdp.rewards[:, 0], np.array([1, 1.05]) - 0.99 * 1.025)
    assert mdp.exact().theta is None
    assert_allclose(instance("kolter", epsilon=0.0).exact().theta, [1.0])


@pytest.mark.parametrize("epsilon", [0.0, 0.001, -0.01])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.72, 1.0])
def test_kolter_s_system_in_closed_form(epsilon, share):
    mdp = instance("kolter", epsilon=epsilon).with_data([[share], [1 - share]])
    b = 1.05 + epsilon
    mixed, after = share + (1 - share) * b, (1 + b) / 2
    assert_allclose(mdp.moments().system(0.99), [[share + (1 - share) * b**2 - 0.99 * after * mixed]], atol=1e-14)


def test_kolter_s_system_is_singular_at_one_share():
    share = kolter_singular(epsilon=0.0)
    assert share == pytest.approx(1.05 * (1.05 - 0.99 * 1.025) / (0.05 * (2.05 - 0.99 * 1.025)))
    assert share == pytest.approx(0.715, abs=1e-3)
    for epsilon in (0.0, 0.001, -0.002):
        singular = kolter_singular(epsilon)
        mdp = instance("kolter", epsilon=epsilon)
        at, near = (mdp.with_data([[p], [1 - p]]).moments() for p in (singular, singular + 1e-6))
        assert abs(at.system(0.99).item()) < 1e-15
        error = abs((near.reward_moment / near.system(0.99)).item() - 1)
        assert error < 1e-6 if epsilon == 0 else error > 100


def test_kolter_has_no_singular_data_where_the_feature_is_constant():
    with pytest.raises(InputError, match="no data makes the system singular"):
        kolter_singular(epsilon=-0.05)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("tsitsiklis-van-roy", {"epsilon": 1.5}, r"epsilon is 1.5; it must lie in \[0, 1\]"),
        ("tsitsiklis-van-roy", {"epsilon": 0.0, "discount": 2}, r"discount is 2; it must lie in \[0, 1\]"),
        ("amortila", {"discount": 1.0}, "discount is 1.0; it must lie between 0 and 1"),
        ("kolter", {"epsilon": float("nan")}, "epsilon is nan; it must be finite"),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters, message):
    with pytest.raises(InputError, match=f"{name}: {message}"):
        instance(name, **parameters)


