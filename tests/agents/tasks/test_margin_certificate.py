"""The bound on all networks: no neuron does better than the closed form says, and whole networks do not either."""

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from sandtable.agents.tasks.margin_certificate import ascend, label_weights, neuron_margin
from sandtable.agents.tasks.maximum_margin import cyclic_network, group_network, maximum_margin
from sandtable.analysis.tasks.margins import group_network_margin
from sandtable.analysis.tasks.spectra import neuron_spectra
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.groups import parse


@pytest.mark.parametrize("name", ["Z_7", "S_3", "S_4", "D_5"])
def test_wrong_labels_have_weights_of_a_distribution(name):
    weights = label_weights(parse(name))
    assert weights[0] == pytest.approx(1)
    assert (weights[1:] < 0).all()
    assert weights.sum() == pytest.approx(0, abs=1e-12)


def test_wrong_labels_of_a_cyclic_group_are_weighted_alike():
    assert label_weights(parse("Z_7"))[1:] == pytest.approx(-1 / 6)


def test_margin_of_a_neuron_follows_its_definition():
    group, (u, v, w) = parse("S_3"), np.random.default_rng(0).normal(size=(3, 6))
    weights = label_weights(group)
    means = []
    for a in range(6):
        for b in range(6):
            right = group.table[a, b]
            wrong = sum(-weights[group.table[group.inverse[right], c]] * w[c] for c in range(6) if c != right)
            means.append((u[a] + v[b]) ** 2 * (w[right] - wrong))
    value, gradient = neuron_margin(np.stack([u, v, w]), group, weights)
    assert value == pytest.approx(np.mean(means), rel=1e-12)
    numeric = approx_fprime(np.stack([u, v, w]).ravel(), lambda x: neuron_margin(x.reshape(3, -1), group, weights)[0])
    assert gradient.ravel() == pytest.approx(numeric, abs=1e-5)


@pytest.mark.parametrize(("name", "build"), [("Z_7", cyclic_network), ("S_4", group_network)])
def test_every_neuron_of_the_construction_attains_the_bound(name, build):
    group = parse(name)
    neurons = np.stack(build(group), axis=1)
    neurons /= np.linalg.norm(neurons, axis=(1, 2), keepdims=True)
    values = [neuron_margin(neuron, group, label_weights(group))[0] for neuron in neurons]
    assert values == pytest.approx([maximum_margin(group)] * len(values), rel=1e-10)


@pytest.mark.parametrize("name", ["Z_3", "Z_5", "Z_7", "Z_11", "S_3", "D_5"])
def test_ascent_from_200_restarts_finds_no_larger_margin(name):
    """And its best neuron is of one frequency or representation, as the theorems say."""
    group = parse(name)
    ascent = ascend(group, restarts=200)
    ratio = ascent.bound / maximum_margin(group)
    assert ratio.max() < 1 + 1e-10
    assert ratio.max() > 1 - 1e-6
    best = neuron_spectra(*ascent.neuron[:, None], group)
    assert best.purity[0] == pytest.approx(1, abs=1e-4)
    assert best.dominant[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("p", [3, 5, 7])
def test_whole_networks_that_climb_their_own_margin_stay_below_the_maximum(p):
    """200 networks of 4 (p - 1) neurons, by Adam on a soft minimum that hardens; no part of the proof is used.

    The best networks end at 1 - 1e-8 to 1 - 1e-7 of the maximum.
    """
    group, generator = parse(f"Z_{p}"), torch.Generator().manual_seed(0)
    table = torch.tensor(group.table.flatten())
    network = torch.randn((3, 200, 4 * (p - 1), p), generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([network], lr=0.03)
    steps, maximum = 3000, maximum_margin(group)
    for step in range(steps):
        for settings in optimizer.param_groups:
            settings["lr"] = 0.03 * (1 - step / steps)
        unit = network / ((network**2).sum((0, 3)) ** 1.5).sum(-1)[None, :, None, None] ** (1 / 3)
        hidden = (unit[0][..., :, None] + unit[1][..., None, :]).flatten(-2) ** 2
        logits = hidden.mT @ unit[2]
        difference = logits.gather(-1, table.expand(200, -1)[..., None]) - logits
        sharpness = (10 + 1000 * step / steps) / maximum
        wrong = torch.arange(p) != table[:, None]
        soft = -torch.logsumexp(-sharpness * difference[:, wrong], -1) / sharpness
        optimizer.zero_grad()
        (-soft.sum() / maximum).backward()
        optimizer.step()
    ratio = group_network_margin(*network, group).normalised / maximum
    assert ratio.max() < 1 + 1e-10
    assert ratio.max() > 0.9999


def test_groups_without_a_theorem_and_no_restarts_are_refused():
    with pytest.raises(InputError, match="quaternionic"):
        ascend(parse("Q_8"))
    with pytest.raises(ValueError, match="restarts"):
        ascend(parse("Z_3"), restarts=0)
