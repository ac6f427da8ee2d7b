"""What the tests of the exact solvers share: the average cost of a policy in the simulator."""

import numpy as np
import pytest

from sandtable.agents.rollout import rollout
from sandtable.simulators.random import make_key

ROWS, WARM_UP, PERIODS = 1_000, 200, 1_000


@pytest.fixture
def costs_what_the_oracle_says():
    """Return a check: over 1e6 periods the cost is that of the oracle within four standard errors over rows."""

    def check(problem, optimum, fixed=0.0):
        world = problem.world(WARM_UP + PERIODS)
        played = rollout(world, optimum.policy, world.reset(make_key(np.arange(ROWS))))
        cost = fixed * (played["ordered"] > 0) - played["reward"] if fixed else -played["reward"]
        each = cost[WARM_UP:].mean(axis=0)
        error = each.std(ddof=1) / np.sqrt(ROWS)
        assert abs(each.mean() - optimum.cost) < 4 * error
        assert error < 0.005 * optimum.cost  # else the check would say little

    return check
