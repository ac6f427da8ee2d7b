"""PPO solves what it should, to the same bits every time."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

from sandtable.agents import small_perceptrons
from sandtable.agents.actor_critic import ActorCritic, features, orthogonal
from sandtable.agents.ppo import PPO
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.training import Categorical, Gaussian, ImportanceWeighted, Rollouts, replica_keys
from sandtable.training.objectives.importance_weighted import Collected, Samples

QUICK = {"environments": 8, "periods": 16, "batch": 64, "epochs": 4, "learning_rate": 3e-3, "hidden": (16,)}


@pytest.fixture
def identity(finite_process):
    """Four contexts, four arms; the arm of the context's name pays."""
    return finite_process(np.full((4, 4, 4), 0.25), np.eye(4), np.full(4, 0.25), horizon=1, terminates=True)


@pytest.fixture
def chain(finite_process):
    """Six places in a row; only the right end pays, 1 a step, and the left end a little."""
    transition = np.zeros((6, 2, 6))
    reward = np.zeros((6, 2))
    for place in range(6):
        transition[place, 0, max(place - 1, 0)] = transition[place, 1, min(place + 1, 5)] = 1
    reward[0, 0], reward[5, 1] = 0.1, 1.0
    return finite_process(transition, reward, np.eye(6)[1], horizon=20)


def test_identity_bandit_is_solved(identity):
    learned = PPO(**QUICK, replicas=2).learn(identity, key=0, steps=8_000)
    for replica in range(2):
        assert learned.policy(replica)(np.arange(4)).tolist() == [0, 1, 2, 3]
    assert min(learned.training.history[-1]["reward"]) > 0.85
    assert learned.environment_steps == 63 * 128  # whole collections
    assert learned.training.steps == 63


@pytest.mark.slow
def test_chain_is_walked_to_its_better_end(chain):
    learned = PPO(**{**QUICK, "periods": 32}, entropy_weight=0.01).learn(chain, key=1, steps=25_000)
    assert learned.policy()(np.arange(6)).tolist() == [1] * 6
    assert learned.training.history[-1]["reward"][0] > 0.7  # 15 of 20 steps pay
    assert learned.training.history[0]["reward"][0] < 0.3


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.slow
def test_continuous_orders_improve(squashed):
    world = LostSales(lead_time=1, horizon=20)
    learned = PPO(**{**QUICK, "periods": 32}, squashed=squashed).learn(world, key=0, steps=30_000)
    first, last = (learned.training.history[place]["reward"][0] for place in (0, -1))
    assert last > first + 3


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(identity):
    runs = [PPO(**QUICK).learn(identity, key=key, steps=500).training for key in (3, replica_keys(3, 1), 4)]
    assert runs[0].history == runs[1].history
    assert runs[0].history != runs[2].history
    same, other = (torch.equal(runs[0].network.flat, run.network.flat) for run in runs[1:])
    assert (same, other) == (True, False)


def test_a_replica_learns_the_same_whoever_learns_beside_it():
    world = LostSales(lead_time=4, horizon=10)
    keys = replica_keys(0, 3)
    alone, together = (PPO(**QUICK, replicas=len(k)).learn(world, k, steps=512) for k in (keys[1:2], keys))
    assert torch.equal(alone.training.network.flat[0], together.training.network.flat[1])
    assert not torch.equal(together.training.network.flat[0], together.training.network.flat[1])
    for row, rows in zip(alone.training.history, together.training.history, strict=True):
        assert {name: value[0] for name, value in row.items() if name != "step"} == {
            name: value[1] for name, value in rows.items() if name != "step"
        }


def test_interrupted_training_resumes_to_the_same_bits(tmp_path):
    world = LostSales(lead_time=2, horizon=7)  # episodes end within collections

    def train(folder, interrupted_at=0):
        def progress(step, steps, row):
            if step == interrupted_at:
                raise KeyboardInterrupt

        settings = {"checkpoint": folder, "checkpoint_every": 2, "progress": progress}
        return PPO(**QUICK, replicas=2).learn(world, key=0, steps=1000, **settings).training

    whole = train(tmp_path / "whole")
    for step in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", step)
    resumed = train(tmp_path / "parts")
    assert resumed.history == whole.history
    assert torch.equal(resumed.network.flat, whole.network.flat)


def test_predict_has_stable_baselines_arguments(identity):
    policy = PPO(**QUICK).learn(identity, key=0, steps=128).policy()
    several, state = policy.predict(np.arange(4), deterministic=True)
    assert several.shape == (4,)
    assert state is None
    one, _ = policy.predict(np.int64(2))
    assert one.shape == ()
    assert one == several[2]
    draws, state = [], None
    for _ in range(200):
        drawn, state = policy.predict(np.arange(4), state, None, deterministic=False)
        draws.append(drawn)
    assert state == 200
    assert np.unique(np.stack(draws)).tolist() == [0, 1, 2, 3]
    again, _ = policy.predict(np.arange(4), 7, deterministic=False)
    assert again.tolist() == draws[7].tolist()
    order = PPO(**QUICK).learn(LostSales(lead_time=2), key=0, steps=128).policy()
    action, _ = order.predict(np.zeros(3, np.float32))
    assert action.shape == (1,)
    assert order.predict(np.zeros((5, 3), np.float32))[0].shape == (5, 1)


def test_initial_weights_are_orthogonal_and_start_near_uniform():
    wide, tall = orthogonal(replica_keys(0, 3), 4, 9, 2.0), orthogonal(replica_keys(0, 3), 9, 4, 2.0)
    torch.testing.assert_close(wide @ wide.mT, 4 * torch.eye(4).expand(3, 4, 4))
    torch.testing.assert_close(tall.mT @ tall, 4 * torch.eye(4).expand(3, 4, 4))
    assert torch.equal(orthogonal(replica_keys(0, 1), 4, 9, 2.0)[0], wide[0])
    network = ActorCritic(2, gym.spaces.Box(-1, 1, (5,)), Categorical(3), (32,), key=0)
    logits, value = network(torch.randn(2, 40, 5))
    assert logits.shape == (2, 40, 3)
    assert value.shape == (2, 40)
    assert logits.abs().max() < 0.2
    assert network.take(1).flat.shape[0] == 1


def test_observations_are_flattened_as_gymnasium_does():
    space = gym.spaces.Dict({"b": gym.spaces.Discrete(3), "a": gym.spaces.Box(-1, 1, (2, 2))})
    space.seed(0)
    samples = [space.sample() for _ in range(4)]
    batch = {name: torch.as_tensor(np.stack([s[name] for s in samples]))[None] for name in space.spaces}
    expected = np.stack([gym.spaces.flatten(space, s) for s in samples])
    np.testing.assert_allclose(features(batch, space)[0], expected)
    with pytest.raises(ValueError, match="observations must be"):
        features(torch.zeros(1, 1, 2), gym.spaces.Text(2))


def test_worlds_with_other_actions_and_batches_that_do_not_divide_are_refused(identity):
    with pytest.raises(ValueError, match="batch must divide the 8 steps of a collection, not 3"):
        PPO(environments=4, periods=2, batch=3).learn(identity, key=0, steps=1)
    identity.action_space = gym.spaces.MultiBinary(3)
    with pytest.raises(ValueError, match="actions must be Discrete, or a Box"):
        PPO(**QUICK).learn(identity, key=0, steps=1)


@pytest.mark.parametrize("hidden", [(), (16,), (16, 48)])
@pytest.mark.parametrize("policy", [Categorical(3), Gaussian((0.0,), (1.0,)), Gaussian((0.0, 0.0), (1.0, 1.0))])
def test_gradient_by_hand_is_that_of_automatic_differentiation(hidden, policy):
    network = ActorCritic(2, gym.spaces.Box(-1, 1, (5,)), policy, hidden, key=0).double()
    torch.nn.init.normal_(network.flat, std=0.3)
    x = torch.randn(2, 9, 5, dtype=torch.float64, requires_grad=True)

    def by_layers(x, flat):
        *layers, actor_w, actor_b, critic_w, critic_b, log_deviation = network.blocks(flat)
        h = [x, x]
        for weight, bias in zip(layers[::2], layers[1::2], strict=True):
            h = [torch.tanh(h[part] @ weight[:, part] + bias[:, part]) for part in (0, 1)]
        actor, value = h[0] @ actor_w + actor_b, (h[1] @ critic_w + critic_b)[..., 0]
        return ((actor, log_deviation) if isinstance(policy, Gaussian) else actor), value

    def loss(parameters, value):
        latent = policy.draw(parameters, torch.full((2, 9), 0.3) if isinstance(policy, Categorical) else 0.3)
        return (policy.log_probability(parameters, latent.detach()) * value.sin()).sum()

    (found, found_x), (exact, exact_x) = (
        torch.autograd.grad(loss(*output), (network.flat, x)) for output in (network(x), by_layers(x, network.flat))
    )
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(found_x, exact_x)
    assert exact.abs().max() > 0.1


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("weighting", ["clipped", "plain", "self-normalised"])
@pytest.mark.parametrize("policy", [Categorical(3), Gaussian((0.0,), (1.0,)), Gaussian((0.0, 0.0), (1.0, 2.0), True)])
def test_objective_gives_the_gradient_of_its_loss(policy, weighting, library, monkeypatch):
    if library == "torch":  # as with large batches
        monkeypatch.setattr(small_perceptrons, "LARGEST_PRODUCT", 0)
    generator = torch.Generator().manual_seed(0)

    def normals(*shape):
        return torch.randn(shape, generator=generator)

    network = ActorCritic(2, gym.spaces.Box(-1, 1, (5,)), policy, (16, 48), key=0)
    network.flat.data += 0.3 * normals(*network.flat.shape)
    observation, noise = normals(2, 12, 5), normals(2, 12, network.deviations or 1)
    with torch.no_grad():
        parameters, value = network(observation)
        latent = policy.draw(parameters, noise[..., 0].sigmoid() if isinstance(policy, Categorical) else noise)
        old = policy.log_probability(parameters, latent) + 0.3 * normals(2, 12)
    samples = Samples(observation, latent, old, normals(2, 12), value + normals(2, 12), normals(2, 12).exp())
    unused = Rollouts(LostSales(4, horizon=8), rows=3, periods=4)
    objective = ImportanceWeighted(unused, policy, weighting, batch=6, epochs=2)
    carry, key = Collected((), samples, (), torch.zeros(2)), replica_keys(0, 2)
    for update in range(objective.updates):
        loss, metrics, following = objective.loss(network, key, carry, update)
        (exact,) = torch.autograd.grad(loss.sum(), network.flat)
        found, by_hand, told, carry = objective.gradient(network, key, carry, update)
        torch.testing.assert_close(found, {"flat": exact})
        torch.testing.assert_close(by_hand, loss.detach())
        torch.testing.assert_close(told, {name: measure.detach() for name, measure in metrics.items()})
        assert exact.abs().max() > 0.1
        if update < 3:
            pairs = zip(following.minibatches, carry.minibatches, strict=True)
            assert all(one.advantage.equal(other.advantage) for one, other in pairs)
        else:
            assert following == carry == ()
    assert not any(tensor.requires_grad for tensor in (found["flat"], by_hand, *told.values()))
    with_entropy = replace(objective, entropy_weight=0.1)
    assert with_entropy.gradient(network, key, Collected((), samples, (), torch.zeros(2)), 0) is None
