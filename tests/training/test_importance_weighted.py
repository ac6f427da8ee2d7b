"""The score-function objective against exact gradients, and what rollouts and logs promise."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    MLP,
    AdamW,
    Categorical,
    Gaussian,
    ImportanceWeighted,
    Log,
    Logged,
    Replicated,
    Rollouts,
    Supervised,
    fit,
    replica_keys,
)
from sandtable.training.objectives.advantages import generalised_advantages, weights_before
from sandtable.training.objectives.importance_weighted import Samples, _Loss, _shuffled

EXACT = {"discount": 1.0, "trace": 1.0, "value_weight": 0.0, "normalise_advantages": False}
LOGITS = torch.tensor([[0.2, -0.3], [0.5, 0.1], [-0.4, 0.6]])
VALUES = torch.tensor([0.7, -1.0, 0.4])  # any baseline


class Table(Replicated):
    """Logits and a value for each state."""

    def __init__(self, logits, value=VALUES, replicas=1):
        super().__init__(replicas)
        self.logits = nn.Parameter(logits.repeat(replicas, 1, 1))
        self.value = nn.Parameter(value.repeat(replicas, 1))

    def forward(self, observation):
        rows = torch.arange(self.replicas)[:, None]
        return self.logits[rows, observation.long()], self.value[rows, observation.long()]


class Normal(Replicated):
    """A mean, a log of the deviation and no value, whatever is seen."""

    def __init__(self, mean, log_deviation, replicas=1):
        super().__init__(replicas)
        self.mean = nn.Parameter(torch.full((replicas, 1, 1), mean))
        self.log_deviation = nn.Parameter(torch.full((replicas, 1, 1), log_deviation))

    def forward(self, observation):
        batch = observation.shape[:2]
        return (self.mean.expand(*batch, 1), self.log_deviation), torch.zeros(batch)


@pytest.fixture
def bandit(finite_process):
    """Three contexts, two arms, one step."""
    anywhere = np.full((3, 2, 3), 1 / 3)
    return finite_process(anywhere, [[1, 0], [0.5, 2], [-1, 1]], [0.5, 0.2, 0.3], horizon=1, terminates=True)


@pytest.fixture
def mdp(finite_process):
    """Three states, two actions, three steps."""
    transition = np.random.default_rng(0).dirichlet(np.ones(3), (3, 2))
    return finite_process(transition, [[1, 0], [0.5, 2], [-1, 1]], [0.6, 0.4, 0], horizon=3, terminates=True)


def exact_gradient(process, logits):
    """Return the gradient of the return a step, which is what minibatches average."""
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(process.exact_return(logits), logits)
    return gradient / process.horizon


def gradients(network, objective, keys):
    """Return minus the gradient of the loss of a collection, in each parameter."""
    with torch.no_grad():
        carry = objective.collect(network, keys, objective.start(network, keys))
    loss, _, _ = objective.loss(network, keys, carry, 0)
    found = torch.autograd.grad(loss.sum(), list(network.parameters()), materialize_grads=True)
    return [-gradient.double() for gradient in found]


def assert_within_four_standard_errors(estimates, exact):
    error = estimates.std(0) / len(estimates) ** 0.5
    assert float(error.max()) < 0.1 * float(exact.abs().max())  # or the comparison would say little
    assert ((estimates.mean(0) - exact).abs() < 4 * error).all()


@pytest.mark.parametrize("weighting", ["plain", "self-normalised", "clipped"])
@pytest.mark.parametrize("world", ["bandit", "mdp"])
def test_gradient_of_rollouts_is_the_exact_policy_gradient(world, weighting, request):
    process = request.getfixturevalue(world)
    objective = ImportanceWeighted(Rollouts(process, 50, 2 * process.horizon), Categorical(2), weighting, **EXACT)
    found, _ = gradients(Table(LOGITS, replicas=400), objective, replica_keys(1, 400))
    assert_within_four_standard_errors(found, exact_gradient(process, LOGITS))


def log_of(process, network, rows, key):
    """Return what a network did in ``rows`` episodes."""
    source = Rollouts(process, rows, process.horizon)
    keys = replica_keys(key, 1)
    with torch.no_grad():
        seen, _ = source.collect(network, Categorical(process.actions), keys, source.start(keys))
    data = seen.observation, seen.latent, seen.log_probability, seen.reward
    if process.horizon == 1:
        return Log.of_bandit(*(array[0, 0] for array in data))
    return Log(*(array[:, 0] for array in (*data, seen.terminated, seen.ended & ~seen.terminated)))


@pytest.mark.parametrize(("weighting", "logs", "rows"), [("plain", 100, 1000), ("self-normalised", 25, 8000)])
@pytest.mark.parametrize("world", ["bandit", "mdp"])
def test_gradient_of_another_policy_s_log_is_the_exact_policy_gradient(world, weighting, logs, rows, request):
    process = request.getfixturevalue(world)
    behaviour = Table(torch.tensor([[-0.3, 0.2], [0.6, 0.0], [0.3, -0.2]]))
    target = Table(LOGITS)
    estimates = [
        gradients(
            target,
            ImportanceWeighted(Logged(log_of(process, behaviour, rows, key)), Categorical(2), weighting, **EXACT),
            replica_keys(0, 1),
        )[0][0]
        for key in range(logs)
    ]
    assert_within_four_standard_errors(torch.stack(estimates), exact_gradient(process, LOGITS))
    ignored = exact_gradient(process, behaviour.logits.detach()[0])
    with pytest.raises(AssertionError):  # the weights matter
        assert_within_four_standard_errors(torch.stack(estimates), ignored)


def test_gradient_of_a_gaussian_is_that_of_its_expected_reward():
    class Distance(SparseParity):
        def loss(self, output, batch):
            return (output[..., 0] - 1.5) ** 2

    source = Rollouts(Distance(4, 1, feedback="full", loss="square"), 200, 1)
    objective = ImportanceWeighted(source, Gaussian((-99.0,), (99.0,)), "plain", **EXACT)
    mean, log_deviation = gradients(Normal(0.5, -0.7, 400), objective, replica_keys(1, 400))
    assert_within_four_standard_errors(mean[:, 0, 0], torch.tensor(-2 * (0.5 - 1.5)).double())
    exact = torch.tensor(-2 * np.exp(2 * -0.7))
    error = log_deviation.std() / 20
    assert abs(log_deviation.mean() - exact) < 4 * error


def test_advantages_are_those_calculated_by_hand():
    reward, value = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 2.0]])
    next_value = torch.tensor([1.0, 9.0, 4.0, 6.0])
    terminated = torch.tensor([False, True, False, False])
    ended = torch.tensor([False, True, True, False])  # the second by truncation
    found = generalised_advantages(reward, value, next_value, terminated, ended, 0.5, 0.5)
    # differences: 1 + 1/2 - 1, 2 - 1 (nothing follows), 3 + 4/2 - 2 (the last observation's value), 4 + 6/2 - 2
    assert found.tolist() == [0.5 + 0.25 * 1.0, 1.0, 3.0, 5.0]
    going_on = generalised_advantages(reward, value, next_value, terminated, terminated, 0.5, 0.5)
    assert going_on.tolist() == [0.75, 1.0, 3.0 + 0.25 * 5.0, 5.0]
    ratio = torch.tensor([7.0, 2.0, 3.0, 4.0])
    weighted = generalised_advantages(reward, value, next_value, terminated, terminated, 0.5, 0.5, ratio)
    assert weighted.tolist() == [0.5 + 0.25 * 2 * 1.0, 1.0, 3.0 + 0.25 * 4 * 5.0, 5.0]
    assert weights_before(ratio, terminated).tolist() == [1.0, 7.0, 1.0, 3.0]


def cycle(finite_process, **settings):
    """A state that counts on by one, 0 to 4 and again 0; one action."""
    return finite_process(np.eye(5)[:, [1, 2, 3, 4, 0]].T[:, None], np.arange(5.0)[:, None], np.eye(5)[0], **settings)


def test_truncation_bootstraps_with_the_last_observation_and_termination_with_nothing(finite_process):
    network = Table(torch.zeros(5, 1), torch.tensor([10.0, 11.0, 12.0, 13.0, 14.0]))
    keys = replica_keys(0, 1)
    for terminates in (False, True):
        source = Rollouts(cycle(finite_process, horizon=3, terminates=terminates), 1, 5)
        with torch.no_grad():
            seen, _ = source.collect(network, Categorical(1), keys, source.start(keys))
        assert seen.observation.flatten().tolist() == [0, 1, 2, 0, 1]
        assert seen.ended.flatten().tolist() == [False, False, True, False, False]
        assert seen.terminated.flatten().tolist() == [False, False, terminates, False, False]
        if not terminates:
            assert seen.next_value.flatten().tolist() == [11, 12, 13, 11, 12]
        objective = ImportanceWeighted(source, Categorical(1), discount=1.0, trace=0.0)
        expected = [0 + 11 - 10, 1 + 12 - 11, 2 + (0 if terminates else 13) - 12, 0 + 11 - 10, 1 + 12 - 11]
        assert objective.samples(seen).advantage.flatten().tolist() == expected


def test_rows_go_on_where_the_last_collection_left_them(finite_process):
    transition = np.random.default_rng(0).dirichlet(np.ones(4), (4, 1))
    process = finite_process(transition, np.arange(4.0)[:, None], np.full(4, 0.25), horizon=6, terminal=[3])
    network = Table(torch.zeros(4, 1), torch.zeros(4), replicas=2)
    keys = replica_keys(3, 2)

    def collected(periods, times):
        source, found = Rollouts(process, 3, periods), []
        carry = source.start(keys)
        for _ in range(times):
            with torch.no_grad():
                seen, carry = source.collect(network, Categorical(1), keys, carry)
            found.append(seen)
        return [torch.cat(column) for column in zip(*((s.observation, s.reward, s.ended) for s in found), strict=True)]

    whole, parts = collected(40, 1), collected(8, 5)
    assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))
    observation, _, ended = (array[:, 1, 2] for array in whole)
    assert 6 < int(ended.sum()) < 40
    from sandtable.training.objectives import row_keys

    key, t = row_keys(keys, 3)[1, 2][None], 0
    for episode in range(int(ended.sum())):  # each episode is the process's own of that number
        state = process.reset(key, episode=episode)
        while True:
            assert int(observation[t]) == int(state.place)
            step = process.step(state, torch.zeros(1, dtype=torch.int64))
            state, t = step.state, t + 1
            if step.terminated | step.truncated:
                assert ended[t - 1]
                break


def test_rewards_are_those_of_the_same_actions_in_the_torch_program():
    process = LostSales(horizon=7)
    network, policy = Normal(4.0, 0.5, 2), Gaussian((0.0,), (50.0,))
    source, keys = Rollouts(process, 3, 7), replica_keys(0, 2)
    with torch.no_grad():
        seen, carry = source.collect(network, policy, keys, source.start(keys))
    from sandtable.training.objectives import row_keys

    state = process.reset(row_keys(keys, 3), episode=0)
    for t in range(7):
        torch.testing.assert_close(seen.observation[t], process.observe(state))
        step = process.step(state, policy.action(seen.latent[t]))
        torch.testing.assert_close(seen.reward[t], step.reward)
        state = step.state
    assert seen.ended[-1].all()
    assert (carry.episode == 1).all()
    assert (carry.t == 0).all()


def test_clipping_stops_the_gradient_beyond_the_bound_on_the_side_that_gains(bandit):
    objective = ImportanceWeighted(Rollouts(bandit, 2, 1), Categorical(2), clip=0.2)
    ratio = torch.tensor([[0.5, 1.5, 0.5, 1.5, 1.1, 0.9]])
    advantage = torch.tensor([[1.0, 1.0, -1.0, -1.0, 1.0, -1.0]])
    gain, slope = objective.gain(ratio, advantage, None)
    assert gain.item() == pytest.approx((0.5 + 1.2 - 0.8 - 1.5 + 1.1 - 0.9) / 6)
    torch.testing.assert_close(slope * 6, torch.tensor([[0.5, 0.0, 0.0, -1.5, 1.1, -0.9]]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("weighting", ["plain", "self-normalised", "clipped"])
def test_slopes_are_those_of_the_formulas(bandit, weighting, weighted):
    """The formulas of the class, by automatic differentiation in float64."""
    logs, old, advantage, target, value = torch.randn(5, 3, 50, dtype=torch.float64)
    weight = torch.rand(3, 50, dtype=torch.float64) if weighted and weighting != "clipped" else None
    for tensor in (logs, value):
        tensor.requires_grad_()
    objective = ImportanceWeighted(Rollouts(bandit, 2, 1), Categorical(2), weighting, value_weight=0.7)
    found = _Loss.apply(logs, value, advantage, Samples(None, None, old, advantage, target, weight), objective)
    ratio = (logs - old).exp()
    weights = ratio if weight is None else weight * ratio
    gain = {
        "plain": (weights * advantage).mean(-1),
        "self-normalised": (weights * advantage).sum(-1) / weights.sum(-1),
        "clipped": torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean(-1),
    }[weighting]
    exact = 0.7 * (value - target).square().mean(-1) - gain
    torch.testing.assert_close(found[0], exact)
    torch.testing.assert_close(found[1], gain)
    scale = torch.tensor([1.0, 2.0, -3.0])
    pairs = (torch.autograd.grad((scale * loss).sum(), (logs, value)) for loss in (found[0], exact))
    torch.testing.assert_close(*pairs)


def test_advantages_are_normalised_in_each_minibatch_of_each_replica(bandit):
    network, keys = Table(LOGITS, replicas=2), replica_keys(0, 2)
    whole = ImportanceWeighted(Rollouts(bandit, 40, 1), Categorical(2), value_weight=0.0)
    with torch.no_grad():
        carry = whole.collect(network, keys, whole.start(network, keys))
    scale = torch.tensor([[3.0], [0.2]])
    scaled = carry._replace(samples=carry.samples._replace(advantage=scale * (carry.samples.advantage + 1)))
    found, same = (
        torch.autograd.grad(whole.loss(network, keys, one, 0)[0].sum(), network.logits)[0] for one in (carry, scaled)
    )
    torch.testing.assert_close(found, same)
    assert (found.abs().amax((1, 2)) > 0.01).all()
    parts = replace(whole, batch=10)
    for given in (carry, scaled):
        minibatches = parts.loss(network, keys, given, 0)[2].minibatches
        advantage = torch.stack([one.advantage for one in minibatches], 1)
        torch.testing.assert_close(advantage.mean(-1), torch.zeros(2, 4), atol=1e-6, rtol=0)
        torch.testing.assert_close(advantage.std(-1), torch.ones(2, 4))


def test_an_epoch_goes_through_every_sample_once_in_an_order_of_its_own(bandit):
    values = torch.arange(2 * 60.0).reshape(2, 60)
    samples = Samples({"x": values[..., None]}, values, values, values, values, None)
    first, second = (_shuffled(samples, replica_keys(key, 2)) for key in (0, 1))
    for shuffled in (first, second):
        assert torch.equal(shuffled.latent.sort(-1).values, values)
        assert torch.equal(shuffled.observation["x"][..., 0], shuffled.latent)
    assert not torch.equal(first.latent, second.latent)
    assert not torch.equal(first.latent[0], first.latent[1] - 60)
    alone = _shuffled(Samples(*(None if x is None else x for x in samples)), replica_keys(0, 2))
    assert torch.equal(alone.latent, first.latent)
    objective = ImportanceWeighted(Rollouts(bandit, 60, 1), Categorical(2), epochs=3, batch=20)
    assert objective.updates == 9


def test_replicas_have_the_same_bits_whoever_trains_beside_them():
    class Pair(Replicated):
        def __init__(self, replicas):
            super().__init__(replicas)
            keys = replica_keys(0, 3)[:replicas]
            self.actor, self.critic = (MLP(replicas, 5, (16,), 1, keys + shift, "tanh") for shift in (0, 9))
            self.log_deviation = nn.Parameter(torch.zeros(replicas, 1, 1))

        def forward(self, observation):
            return (self.actor(observation), self.log_deviation), self.critic(observation)[..., 0]

    def trained(replicas):
        network = Pair(replicas)
        source = Rollouts(LostSales(horizon=10), 4, 16)
        objective = ImportanceWeighted(source, Gaussian((0.0,), (50.0,)), epochs=2, batch=16)
        keys = replica_keys(5, 3)[:replicas]
        fit(network, objective, key=keys, steps=3, optimizer=AdamW(1e-2), clip=0.5)
        return dict(network.named_parameters())

    alone, together = trained(1), trained(3)
    for name, parameter in alone.items():
        assert torch.equal(parameter[0], together[name][0]), name
        assert not torch.equal(together[name][1], together[name][2]), name


@pytest.mark.parametrize("weighting", ["plain", "self-normalised"])
def test_a_logged_bandit_teaches_the_best_arms(bandit, weighting):
    log = log_of(bandit, Table(torch.zeros(3, 2)), 3000, 0)
    network = Table(torch.zeros(3, 2), replicas=2)
    objective = ImportanceWeighted(Logged(log, rows=256), Categorical(2), weighting, batch=None)
    fit(network, objective, key=0, steps=150, optimizer=AdamW(0.1, weight_decay=0.0))
    assert network.logits.argmax(-1).tolist() == [[0, 1, 1]] * 2


def test_a_log_that_stops_within_an_episode_bootstraps_from_its_next_observations(finite_process):
    network = Table(torch.zeros(5, 1), torch.tensor([10.0, 11.0, 12.0, 13.0, 14.0]))
    column = torch.tensor([[0.0], [1.0], [2.0]])
    no = torch.zeros(3, 1, dtype=torch.bool)
    data = {"observation": column, "action": column.long() * 0, "log_probability": column * 0, "reward": column}
    log = Log(**data, terminated=no, truncated=no, next_observation=column + 1)
    experience, _ = Logged(log).collect(network, Categorical(1), replica_keys(0, 1), ())
    assert experience.next_value.flatten().tolist() == [11, 12, 13]
    with pytest.raises(ValueError, match="needs next_observation"):
        Log(**data, terminated=no, truncated=no)
    with pytest.raises(ValueError, match="must be finite"):
        Log(**{**data, "log_probability": column - torch.inf}, terminated=~no, truncated=no)
    with pytest.raises(ValueError, match=r"terminated must have the shape \[3, 1\]"):
        Log(**data, terminated=no[:2], truncated=no)


def test_entropy_bonus_pulls_towards_uniform(bandit):
    network = Table(LOGITS)
    settings = {**EXACT, "entropy_weight": 1e4}
    objective = ImportanceWeighted(Rollouts(bandit, 100, 1), Categorical(2), **settings)
    found, _ = gradients(network, objective, replica_keys(0, 1))
    assert (found[0] * (LOGITS - LOGITS.flip(-1)) < 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"weighting": "none"},
        {"discount": 1.1},
        {"trace": -0.1},
        {"clip": 0.0},
        {"epochs": 0},
        {"batch": 3},
        {"value_weight": -1.0},
        {"entropy_weight": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(bandit, settings):
    with pytest.raises(ValueError, match=r"must (be|lie|not|divide)"):
        ImportanceWeighted(Rollouts(bandit, 4, 2), Categorical(2), **settings)
    with pytest.raises(ValueError, match="rows and periods"):
        Rollouts(bandit, 0, 2)


@pytest.mark.slow
def test_a_task_is_learned_from_its_rewards_as_from_its_loss():
    task = SparseParity(4, 1, feedback="full", loss="square")
    judge = Supervised(task, 512)

    class Regression(Replicated):
        def __init__(self):
            super().__init__(1)
            self.mean, self.value = MLP(1, 4, (16,), 1, key=0), MLP(1, 4, (16,), 1, key=1)

        def forward(self, observation):
            return (self.mean(1 - 2 * observation), torch.full((1, 1, 1), -1.0)), self.value(observation)[..., 0]

    network = Regression()
    source = Rollouts(task, 256, 1)
    objective = ImportanceWeighted(source, Gaussian((-10.0,), (10.0,)), epochs=4, batch=64)
    fit(network, objective, key=0, steps=150, optimizer=AdamW(3e-3))
    loss, metrics, _ = judge.loss(network.mean, replica_keys(7, 1), (), 0)
    assert metrics["accuracy"].item() > 0.99
    assert loss.item() < 0.1
    assert isinstance(task.action_space, gym.spaces.Box)
