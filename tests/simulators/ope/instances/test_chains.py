"""The chains have the values of the textbooks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance


def test_boyan_s_values_are_minus_two_a_state():
    """Boyan 2002: V(s) = -2 s, with the parameters (-24, -16, -8, 0)."""
    mdp = instance("boyan")
    assert_allclose(mdp.values(), -2.0 * np.arange(12, -1, -1), atol=1e-12)
    assert_allclose(mdp.features[:, 0] @ [-24, -16, -8, 0], mdp.values(), atol=1e-12)
    moments = mdp.moments()
    assert_allclose(np.linalg.solve(moments.system(1.0), moments.reward_moment), [-24, -16, -8, 0], atol=1e-10)
    assert mdp.value() == pytest.approx(-24)


def test_boyan_s_chain_with_features_at_its_end_is_singular():
    """Bootstrapping from the published features e_4 of the terminal state leaves rank 3; all values are off by 12."""
    mdp = instance("boyan")
    phi, moments = mdp.features[:12, 0], mdp.moments()
    followed = mdp.next_features()[:12, 0] + mdp.transitions[:12, 0, 12:] * [0, 0, 0, 1]
    system = phi.T @ (phi - followed) / 12
    assert np.linalg.matrix_rank(system) == 3
    assert_allclose(np.linalg.lstsq(system, moments.reward_moment)[0], [-12, -4, 4, 12], atol=1e-10)


def test_boyan_s_value_is_not_linear_at_a_lower_discount():
    exact = instance("boyan", discount=0.9).exact()
    assert exact.theta is None
    assert exact.value > -24


def test_states_of_the_random_walk_are_worth_sixths():
    """Sutton 1988: the i-th of five states is worth i / 6."""
    mdp = instance("random-walk")
    assert_allclose(mdp.values()[:5], np.arange(1, 6) / 6)
    assert_allclose(mdp.exact().theta, np.arange(1, 6) / 6)
    assert mdp.value() == pytest.approx(0.5)
    assert mdp.exact().diagnostics.bellman_complete


@pytest.mark.parametrize("states", [1, 3, 19])
def test_random_walks_of_any_odd_length(states):
    mdp = instance("random-walk", states=states)
    assert_allclose(mdp.values()[:states], np.arange(1, states + 1) / (states + 1))
    assert_allclose(instance("random-walk", states=states, discount=0.5).exact().theta, mdp.values(0.5)[:states])


@pytest.mark.parametrize("states", [0, 4, 2.5])
def test_a_random_walk_has_a_middle(states):
    with pytest.raises(InputError, match=f"random-walk: states is {states}; it must be an odd whole number"):
        instance("random-walk", states=states)
