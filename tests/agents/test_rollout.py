"""What a policy returns is checked before it touches the world, and what it is shown it cannot change."""

import numpy as np
import pytest
import torch

from sandtable.agents.rollout import rollout
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key

NAMES = ["product A", "product B", "product C"]


@pytest.fixture
def world(make_panel):
    return InventoryReplay(make_panel(np.full((8, 3), 4.0)), 5, starts=(3, 3), dtype="float64")


@pytest.fixture
def state(world):
    return world.reset(make_key(np.arange(3)), product=np.arange(3), start=3)


def in_third_period(value):
    """A policy that orders one unit twice and then returns ``value``."""
    calls = []

    def policy(observation):
        calls.append(observation)
        return value if len(calls) == 3 else np.ones(3)

    return policy


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.ones(2), r"returned shape \[2\]; return units to order, of shape \[3, 1\]"),
        (np.ones((1, 3)), r"returned shape \[1, 3\]"),
        (1.0, r"returned shape \[\]"),
        ([1.0, float("nan"), 1.0], "returned nan for product B; orders are finite numbers from 0"),
        (np.array([[1.0], [1.0], [np.inf]]), "returned inf for product C"),
        (torch.tensor([1.0, -2.5, 1.0]), "returned -2.5 for product B"),
        (np.array([1e300, 1.0, 1.0]), r"returned 1e\+300 for product A"),
        (None, "returned NoneType, which is no array of numbers"),
        ("many", "returned str, which is no array of numbers"),
        (np.array(["1", "2", "3"]), "returned ndarray of <U1, which is no array of numbers"),
        (np.ones(3) + 1j, "returned ndarray of complex128, which is no array of numbers"),
        ([[1.0], [1.0, 2.0], [3.0]], "returned list, which is no array of numbers"),
        (np.array(["2024-01-01"] * 3, "datetime64[D]"), "returned ndarray of datetime64"),
    ],
)
def test_a_wrong_order_is_refused_with_policy_period_and_product(world, state, returned, said):
    with pytest.raises(InputError, match=rf"^mine:order, period 3 of 5: it {said}"):
        rollout(world, in_third_period(returned), state, name="mine:order", rows=NAMES)


def test_without_names_the_row_is_told(world, state):
    with pytest.raises(InputError, match=r"^policy, period 3 of 5: it returned nan for row 2"):
        rollout(world, in_third_period(np.array([0.0, 0.0, np.nan])), state)


@pytest.mark.parametrize(
    "returned",
    [
        np.full((3, 1), 2.0),
        np.full(3, 2, np.int8),
        [2, 2, 2],
        torch.full((3,), 2.0, requires_grad=True),
        np.full((3, 1), 2.0, np.float32),
    ],
)
def test_orders_may_be_arrays_tensors_or_lists_of_any_numbers(world, state, returned):
    run = rollout(world, lambda observation: returned, state)
    assert (run["ordered"] == 2).all()
    assert run["ordered"].shape == (5, 3)


def test_a_policy_cannot_write_into_what_it_is_shown(world, state):
    for name in world.observation_space:

        def meddle(observation, name=name):
            observation[name][...] = 99.0
            return np.zeros(3)

        with pytest.raises(ValueError, match="read-only"):
            rollout(world, meddle, state)


def test_an_observation_that_is_an_array_is_read_only_too():
    world = LostSales()

    def meddle(observation):
        observation[...] = 0
        return np.zeros(2)

    with pytest.raises(ValueError, match="read-only"):
        rollout(world, meddle, world.reset(make_key(np.arange(2))), periods=1)


def test_the_world_stays_writable_for_others(world, state):
    first = rollout(world, lambda observation: observation["mean"], state)
    assert state.stock.on_hand.flags.writeable
    again = rollout(world, lambda observation: observation["mean"], state)
    assert all((first[name] == again[name]).all() for name in first)


def test_a_run_holds_every_flow_of_every_period(world, state):
    run = rollout(world, lambda observation: np.full(3, 4.0), state, periods=2)
    assert {values.shape for values in run.values()} == {(2, 3)}
    assert {values.dtype for values in run.values()} == {np.dtype(np.float64)}
    assert (run["sales"] + run["lost"] == run["demand"]).all()
    assert {"reward", "ordered", "on_hand", "in_transit"} <= set(run)


def test_a_policy_that_refuses_its_input_is_named(world, state):
    def refuse(observation):
        raise InputError("no forecast")

    with pytest.raises(InputError, match=r"^mine, period 1 of 5: no forecast$"):
        rollout(world, refuse, state, name="mine")
