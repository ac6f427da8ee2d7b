"""The alternatives of the benchmark of finite worlds play the same worlds."""

import numpy as np
import pytest

from sandtable.benchmarks.plain_tabular import InverseTable, PlainTabular
from sandtable.benchmarks.tabular import program
from sandtable.simulators.ope.linear_mdp import LinearMDP


def test_the_plain_environment_has_the_value_of_the_world():
    world = LinearMDP("cobs-graph", target=1.0)
    env, returns = PlainTabular(world.mdp), []
    env.reset(seed=0)
    for _ in range(2000):
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(np.int64(0))
            total += 0.98**env.t / 0.98 * reward
            ended = terminated or truncated
        returns.append(total)
        env.reset()
    assert np.mean(returns) == pytest.approx(world.mdp.value(), abs=5 * np.std(returns) / 2000**0.5)


def test_the_batch_of_numpy_moves_with_the_world_s_probabilities():
    world, n = LinearMDP("random", states=5, actions=2), 50_000
    following, reward, _ = InverseTable(world.mdp).step(np.full(n, 3), np.full(n, 1))
    shares = np.bincount(following, minlength=5) / n
    np.testing.assert_allclose(shares, world.transitions()[3, 1], atol=5 / n**0.5)
    np.testing.assert_allclose(reward, world.rewards()[3, 1])


def test_every_timed_step_is_from_a_state_that_goes_on():
    world = LinearMDP("boyan")
    step = program(world)()
    assert (world.transitions()[:12, 0][:, step.state.position].sum(axis=0) > 0).all()
    assert not step.truncated.any()
