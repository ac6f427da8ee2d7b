"""Distributions over actions against torch's own and against integrals."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from sandtable.training import Categorical, Gaussian, distribution_for, replica_keys


def noise_of(policy, rows, count):
    keys = replica_keys(0, rows)[None]
    return policy.noise(keys, torch.arange(count)[:, None, None])


def test_categories_are_drawn_with_their_probabilities():
    policy = Categorical(3)
    logits = torch.tensor([0.1, 1.2, -0.7])
    draws = policy.draw(logits.expand(500, 1, 40, 3), noise_of(policy, 40, 500)).flatten()
    exact = logits.softmax(-1)
    share = torch.bincount(draws, minlength=3) / len(draws)
    assert ((share - exact).abs() < 4 * (exact * (1 - exact) / len(draws)).sqrt()).all()


def test_categorical_agrees_with_torch():
    policy, logits, latent = Categorical(4, start=2), torch.randn(5, 6, 4), torch.randint(4, (5, 6))
    peer = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(policy.log_probability(logits, latent), peer.log_prob(latent))
    torch.testing.assert_close(policy.entropy(logits, latent), peer.entropy())
    assert torch.equal(policy.mode(logits), logits.argmax(-1))
    assert torch.equal(policy.latent(policy.action(latent)), latent)
    assert int(policy.action(latent).min()) >= 2
    certain = torch.tensor([0.0, -200.0, 0.0])
    ends = torch.tensor([0.0, 0.4999, 0.5001, 1.0])  # float32 rounds noise near one to one
    assert Categorical(3).draw(certain.expand(4, 3), ends).tolist() == [0, 0, 2, 2]


def test_gaussian_agrees_with_torch():
    policy = Gaussian((-1.0, 0.0), (1.0, 5.0))
    parameters = torch.randn(3, 7, 2), torch.randn(3, 1, 2)
    peer = torch.distributions.Independent(torch.distributions.Normal(parameters[0], parameters[1].exp()), 1)
    latent = policy.draw(parameters, torch.randn(3, 7, 2))
    torch.testing.assert_close(policy.log_probability(parameters, latent), peer.log_prob(latent))
    torch.testing.assert_close(policy.entropy(parameters, latent), peer.entropy())
    cut = policy.action(torch.tensor([[-9.0, 9.0], [0.5, 2.0]]))
    assert cut.tolist() == [[-1.0, 5.0], [0.5, 2.0]]


def test_squashed_density_integrates_to_one_and_its_actions_invert():
    policy = Gaussian((-2.0,), (6.0,), squashed=True)
    action = torch.linspace(-2, 6, 200_002, dtype=torch.float64)[1:-1, None]
    latent = torch.atanh((action + 2) / 4 - 1)
    parameters = torch.full_like(action, 0.3), torch.full_like(action, -0.2)
    density = policy.log_probability(parameters, latent).exp()
    assert torch.trapezoid(density, action[:, 0]).item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(policy.action(latent), action)
    inner = action[1000:-1000].float()
    torch.testing.assert_close(policy.action(policy.latent(inner)), inner)
    extreme = policy.log_probability((torch.zeros(1, 1), torch.zeros(1, 1)), torch.tensor([[30.0]]))
    assert extreme.isfinite().all()


def test_estimated_entropy_of_a_squashed_gaussian_is_unbiased():
    policy = Gaussian((-2.0,), (6.0,), squashed=True)
    parameters = torch.tensor([0.3]), torch.tensor([-0.2])
    estimates = policy.entropy(parameters, policy.draw(parameters, noise_of(policy, 40, 500))).flatten().double()
    action = torch.linspace(-2, 6, 200_002, dtype=torch.float64)[1:-1, None]
    logs = policy.log_probability((parameters[0].double(), parameters[1].double()), torch.atanh((action + 2) / 4 - 1))
    exact = torch.trapezoid(-logs * logs.exp(), action[:, 0])
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / len(estimates) ** 0.5


def test_noise_depends_on_key_and_counter_alone():
    for policy in (Categorical(3), Gaussian((0.0, 0.0), (1.0, 1.0))):
        whole = noise_of(policy, 5, 8)
        assert torch.equal(noise_of(policy, 3, 6), whole[:6, :, :3])
    pairs = whole.flatten(0, 2).double()
    assert abs(np.corrcoef(pairs.T.numpy())[0, 1]) < 4 / len(pairs) ** 0.5


def test_spaces_have_their_distributions():
    assert distribution_for(gym.spaces.Discrete(4, start=1)) == Categorical(4, 1)
    box = gym.spaces.Box(0.0, 5.0, (2,))
    assert distribution_for(box, squashed=True) == Gaussian((0.0, 0.0), (5.0, 5.0), True)
    for space in (gym.spaces.MultiBinary(3), gym.spaces.Box(0, 1, (2, 2)), gym.spaces.Tuple(())):
        with pytest.raises(ValueError, match="actions must be Discrete, or a Box"):
            distribution_for(space)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Categorical(0),
        lambda: Gaussian((), ()),
        lambda: Gaussian((1.0,), (1.0,)),
        lambda: Gaussian((0.0,), (float("inf"),), squashed=True),
    ],
)
def test_impossible_distributions_are_refused(make):
    with pytest.raises(ValueError, match=r"must be|needs finite"):
        make()
