"""The worlds of stages have the published values and growth of errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance


@pytest.mark.parametrize("horizon", [1, 2, 4, 6])
@pytest.mark.parametrize("width", [2, 4, 9])
@pytest.mark.parametrize("reward", [1.0, 0.3])
def test_the_hard_instance_is_realizable(horizon, width, reward):
    """arXiv 2010.11895: the value is r_0 w^(H / 2), and linear on all pairs."""
    mdp = instance("wang-foster-kakade", horizon=horizon, width=width, reward=reward)
    assert_allclose(mdp.features @ mdp.theta, mdp.action_values(), rtol=1e-12, atol=1e-12)
    assert mdp.value() == pytest.approx(reward * width ** (horizon / 2))
    assert mdp.features.shape[-1] == 2 * width * horizon
    going = ~mdp.terminal
    assert (np.linalg.norm(mdp.features[going], axis=-1) <= 1 + 1e-12).all()


def test_the_hard_instance_is_stable_and_its_hardness_is_in_the_lyapunov_norm():
    told = instance("wang-foster-kakade").exact().diagnostics
    assert told.regime == "stable"
    assert told.spectral_radius == pytest.approx(0, abs=1e-9)
    assert told.norm == pytest.approx(np.sqrt(5))
    assert told.distribution_shift == pytest.approx(5)
    assert told.lyapunov_norm == pytest.approx(106)


@pytest.mark.parametrize(("samples", "deviation"), [(125, 11.45), (1250, 3.62), (12500, 1.145)])
def test_errors_of_the_hard_instance_grow_by_half_a_power_of_its_width_a_stage(samples, deviation):
    """Noise of unit variance on m samples of each last (s_c, a_1), H = 8: sd(V) = w^((H - 1) / 2) / m^(1/2)."""
    mdp = instance("wang-foster-kakade", horizon=8, reward=0.0)
    moments = mdp.moments()
    start = mdp.initial @ mdp.state_features
    back = np.linalg.solve(moments.system(1.0).T, start)  # V = back^T E[phi r]
    ends = mdp.features[-6:-2, 0] @ back * mdp.data[-6:-2, 0]
    assert mdp.noise[-6:-2, 0] == pytest.approx(1)
    assert np.sqrt((ends**2).sum() / samples) == pytest.approx(deviation, abs=5e-3)


def test_the_graph_s_value():
    """-0.3 a step: recorded for COBS's graph (arXiv 1911.06854) as -1.16448 at H = 4 and -4.14303 at H = 16."""
    assert instance("cobs-graph").value() == pytest.approx(-1.16448, abs=5e-6)
    assert instance("cobs-graph", horizon=16).value() == pytest.approx(-4.14303, abs=5e-6)
    steps = 0.98 ** np.arange(7)
    assert instance("cobs-graph", horizon=7, target=0.9, slip=0.1).value() == pytest.approx(0.64 * steps.sum())


def test_the_graph_has_two_nodes_a_layer_and_data_where_the_behaviour_policy_goes():
    mdp = instance("cobs-graph", horizon=3)
    assert (mdp.states, mdp.actions, mdp.features.shape[-1]) == (7, 2, 10)
    assert_allclose(mdp.transitions[0], [[0, 0.75, 0.25, 0, 0, 0, 0], [0, 0.25, 0.75, 0, 0, 0, 0]])
    assert_allclose(mdp.rewards[:, 0], [0.5] * 5 + [0, 0])
    assert_allclose(mdp.data.sum(axis=1), [1 / 3, 0.65 / 3, 0.35 / 3, 0.65 / 3, 0.35 / 3, 0, 0])
    assert_allclose(mdp.features[:5] @ mdp.exact().theta, mdp.action_values()[:5])
    assert mdp.exact().diagnostics.bellman_complete


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("wang-foster-kakade", {"horizon": 0}, "horizon is 0; it must be a whole number, at least 1"),
        ("wang-foster-kakade", {"width": 1}, "width is 1; it must be a whole number, at least 2"),
        ("wang-foster-kakade", {"reward": 2}, r"reward is 2; it must lie in \[0, 1\]"),
        ("cobs-graph", {"horizon": 2.5}, "horizon is 2.5; it must be a whole number"),
        ("cobs-graph", {"behaviour": -0.1}, r"behaviour is -0.1; it must lie in \[0, 1\]"),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters, message):
    with pytest.raises(InputError, match=f"{name}: {message}"):
        instance(name, **parameters)
