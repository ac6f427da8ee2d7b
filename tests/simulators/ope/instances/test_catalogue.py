"""What holds for every instance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import INSTANCES, description, instance

SMALL = [name for name in INSTANCES if name != "icu-sepsis"]


def test_the_instances():
    regimes = {"R1", "R1b", "R1c", "R2", "R2b", "R3", "R4", "R4b", "R5", "R6", "R7"}
    classics = {"baird", "tsitsiklis-van-roy", "boyan", "random-walk", "amortila", "kolter", "wang-foster-kakade"}
    assert set(INSTANCES) == regimes | classics | {"cobs-graph", "random", "icu-sepsis"}


@pytest.mark.parametrize("name", SMALL)
def test_values_solve_the_bellman_equation(name):
    mdp = instance(name)
    action_values = mdp.action_values()
    values = (mdp.target * action_values).sum(axis=1)
    assert_allclose(values, mdp.values(), atol=1e-12)
    going = ~mdp.terminal
    assert_allclose(action_values[going], (mdp.rewards + mdp.discount * mdp.transitions @ values)[going], atol=1e-12)
    assert_array_equal(action_values[mdp.terminal], 0)


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_exact_where_there_are_any(name):
    mdp = instance(name)
    exact = mdp.exact()
    if exact.theta is None:
        assert name == "kolter"  # its feature is off by epsilon, on purpose
        return
    assert_allclose(mdp.features @ exact.theta, mdp.action_values(), atol=1e-9)
    assert exact.moments.initial_mean @ exact.theta == pytest.approx(exact.value, abs=1e-9)
    residual = exact.moments.system(mdp.discount) @ exact.theta - exact.moments.reward_moment
    assert_allclose(residual, 0, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_discount_out_of_range_is_refused(name):
    if name != "wang-foster-kakade":  # has none but 1
        with pytest.raises(InputError, match=r"discount is 1\.01"):
            instance(name, discount=1.01)
    with pytest.raises(InputError, match=r"discount is -0.5; it must lie in \[0, 1\]"):
        instance(name).exact(-0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("r1", "instance 'r1': there are R1, R1b, .*; is it R1"),
        ("bairds", "is it baird"),
        ("gridworld", "instance 'gridworld': there are R1, .*icu-sepsis$"),
    ],
)
def test_an_unknown_instance_is_refused_and_the_nearest_named(name, message):
    with pytest.raises(InputError, match=message):
        instance(name)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(InputError, match="instance random-walk: there is no parameter 'size'; it has states, discount"):
        instance("random-walk", size=5)
    assert np.isfinite(instance("random-walk", states=7).value())


@pytest.mark.parametrize("name", INSTANCES)
def test_every_instance_says_what_it_is(name):
    assert description(name).startswith("Return ")
    assert "\n\n" in description(name)
