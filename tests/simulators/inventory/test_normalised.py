"""The world in numbers of order one is the world in other units."""

import numpy as np
import pytest

from sandtable.envs.adapter import ProcessEnv
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.normalised import NormalisedStock


def test_it_is_the_world_in_other_units():
    world = LostSales(2, horizon=8, dtype="float64")
    other = NormalisedStock(world, unit=5.0, most=12.0, money=10.0)
    state, twin = world.reset(np.arange(6)), other.reset(np.arange(6))
    for action in np.random.default_rng(0).uniform(-1, 1, (8, 6, 1)):
        np.testing.assert_allclose(other.observe(twin), world.observe(state) / 5 - 1)
        step, same = world.step(state, (action + 1) * 6), other.step(twin, action)
        np.testing.assert_allclose(same.reward, step.reward / 10)
        np.testing.assert_array_equal(same.truncated, step.truncated)
        state, twin = step.state, same.state


def test_its_observations_and_actions_lie_in_its_spaces():
    env = ProcessEnv(NormalisedStock(LostSales(3, horizon=20), 5.0, 12.0))
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        assert observation in env.observation_space
        observation, *_, info = env.step(env.action_space.sample())
    assert info["units_sold"] > 0


@pytest.mark.parametrize("name", ["unit", "most", "money"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_units_that_measure_nothing_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        NormalisedStock(LostSales(), **{"unit": 5.0, "most": 12.0, "money": 1.0, name: value})
