"""What fitted Q evaluation regresses on: rewards alone after a termination, and a target network that waits."""

import numpy as np
import pytest
import torch

from sandtable.estimators.ope.fitted_q_objective import Coding, FittedQ, encoded, replay_of
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.training import MLP, replica_keys

LOG = LoggedSteps(
    2,
    np.array([0, 0, 1]),
    np.array([0, 1, 0]),
    np.array([0, 1, 1]),
    np.array([1.0, 2.0, 4.0]),
    np.array([False, True, False]),
    np.array([False, False, True]),
    observation=np.array([0, 2, 1]),
    next_observation=np.array([2, -7, 0]),
    next_target_probability=np.array([[0.25, 0.75], [np.nan, np.nan], [1.0, 0.0]]),
)


def objective(target_every=1, batch=None):
    coding = Coding.of(LOG)
    return FittedQ(replay_of(LOG, coding, 2.0, "cpu"), coding.states, 0.5, batch, target_every)


def test_goals_by_hand():
    """r / 2 + .5 E Q(s', a'), nothing after the termination, whose next state means nothing, and on after the cut."""
    network, key = MLP(2, 3, (), 2, key=0), replica_keys(0, 2)
    evaluation = objective()
    goal = evaluation.collect(network, key, evaluation.start(network, key)).goal
    q = network(torch.eye(3).expand(2, 3, 3))
    expected = torch.stack(
        [0.5 + 0.5 * (0.25 * q[:, 2, 0] + 0.75 * q[:, 2, 1]), torch.ones(2), 2 + 0.5 * q[:, 0, 0]], dim=1
    )
    assert torch.allclose(goal, expected)


def test_the_loss_is_the_mean_square_by_replica():
    network, key = MLP(2, 3, (), 2, key=0), replica_keys(0, 2)
    evaluation = objective()
    carry = evaluation.collect(network, key, evaluation.start(network, key))
    q = network(torch.eye(3)[torch.tensor([0, 2, 1])].expand(2, 3, 3))[:, [0, 1, 2], [0, 1, 1]]
    loss, _, _ = evaluation.loss(network, key, carry, 0)
    assert torch.allclose(loss, ((q - carry.goal) ** 2).mean(-1))


def test_the_target_network_waits():
    network, key = MLP(1, 3, (), 2, key=0), replica_keys(0, 1)
    evaluation = objective(target_every=3)
    carry = evaluation.start(network, key)
    at_step = []
    for step in range(7):
        for parameter in network.parameters():
            parameter.data = torch.full_like(parameter, float(step))
        carry = evaluation.collect(network, key, carry)
        at_step.append(float(carry.target["layers.0.bias"].detach().max()))
    assert at_step == [0, 0, 0, 3, 3, 3, 6]


def test_rows_of_a_batch_depend_on_their_replica_s_key_alone():
    evaluation, network = objective(batch=8), MLP(3, 3, (), 2, key=0)
    rows = evaluation.start(network, replica_keys(5, 3)).rows
    assert torch.equal(rows[:1], evaluation.start(network.take(0), replica_keys(5, 1)).rows)
    assert not torch.equal(rows[0], rows[1])


def test_vectors_are_standardised_and_states_become_indicators():
    vectors = LOG.with_(observation=np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]), next_observation=np.ones((3, 2)))
    coding = Coding.of(vectors)
    assert (coding.states, coding.inputs) == (0, 2)
    seen = coding.tensor(vectors.observation)
    assert seen.numpy() == pytest.approx(np.array([[-1.2247449, 0], [0, 0], [1.2247449, 0]]))
    assert encoded(torch.tensor([1]), 3).tolist() == [[0.0, 1.0, 0.0]]
