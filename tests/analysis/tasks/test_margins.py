"""Normalised margins: those of the definition, whatever the pieces, the library and the number of replicas."""

import numpy as np
import pytest
import torch

from sandtable.agents.tasks.maximum_margin import cyclic_network, group_network, maximum_margin, parity_network
from sandtable.analysis.tasks.margins import group_network_margin, parity_network_margin, runner_up_difference
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.boolean_fourier import hypercube
from sandtable.simulators.tasks.groups import parse


def random_network(*shape, seed=0):
    return tuple(np.random.default_rng(seed).normal(size=(3, *shape)))


def by_the_definition(u, v, w, group):
    margins = []
    for a in range(group.order):
        for b in range(group.order):
            logits = ((u[:, a] + v[:, b]) ** 2) @ w
            right = group.table[a, b]
            margins.append(logits[right] - max(np.delete(logits, right)))
    return min(margins) / (np.concatenate([u, v, w], axis=1) ** 2).sum(1).__pow__(1.5).sum()


def test_margin_of_a_group_network_follows_its_definition():
    group, network = parse("S_3"), random_network(4, 6)
    margin = group_network_margin(*network, group)
    assert margin.normalised == pytest.approx(by_the_definition(*network, group), rel=1e-12)
    assert margin.normalised == pytest.approx(margin.least / margin.norm**3, rel=1e-12)


def test_margin_of_a_parity_network_follows_its_definition():
    u, w = np.random.default_rng(1).normal(size=(5, 4)), np.random.default_rng(2).normal(size=(5, 2))
    inputs = hypercube(4)
    logits = (inputs @ u.T) ** 3 @ w
    sign = inputs[:, [0, 1, 3]].prod(1)
    least = (sign * (logits[:, 0] - logits[:, 1])).min()
    norm = (((u**2).sum(1) + (w**2).sum(1)) ** 2).sum()
    assert parity_network_margin(u, w, (0, 1, 3)).normalised == pytest.approx(least / norm, rel=1e-12)


def test_replicas_pieces_and_libraries_agree():
    group, network = parse("Z_5"), random_network(2, 3, 7, 5)
    whole = group_network_margin(*network, group).normalised
    assert whole.shape == (2, 3)
    for memory in (1, 3000, 10_000):
        assert group_network_margin(*network, group, memory=memory).normalised == pytest.approx(whole, rel=1e-12)
    alone = [[by_the_definition(*(one[i, j] for one in network), group) for j in range(3)] for i in range(2)]
    assert whole == pytest.approx(np.asarray(alone), rel=1e-12)
    tensors = [torch.tensor(one, requires_grad=True) for one in network]
    assert group_network_margin(*tensors, group).normalised == pytest.approx(whole, rel=1e-12)
    u, w = network[0][..., :4], network[2][..., :2]
    bits = parity_network_margin(u, w, (0, 2)).normalised
    assert bits.shape == (2, 3)
    assert parity_network_margin(u, w, (0, 2), memory=500).normalised == pytest.approx(bits, rel=1e-12)
    assert parity_network_margin(torch.tensor(u), torch.tensor(w), (0, 2)).normalised == pytest.approx(bits, rel=1e-12)


def test_float32_parameters_are_measured_in_float64():
    group = parse("Z_23")
    single = [one.astype(np.float32) for one in cyclic_network(group)]
    doubled = [one.astype(np.float64) for one in single]
    assert group_network_margin(*single, group).normalised == group_network_margin(*doubled, group).normalised


@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_normalised_margin_does_not_depend_on_the_scale(scale):
    group = parse("S_3")
    network = group_network(group)
    scaled = group_network_margin(*(scale * one for one in network), group)
    assert scaled.normalised == pytest.approx(group_network_margin(*network, group).normalised, rel=1e-12)
    assert scaled.norm == pytest.approx(scale, rel=1e-12)
    parity = parity_network(6, (1, 2, 5))
    scaled = parity_network_margin(*(scale * one for one in parity), (1, 2, 5))
    assert scaled.normalised == pytest.approx(parity_network_margin(*parity, (1, 2, 5)).normalised, rel=1e-12)


def test_network_that_is_wrong_somewhere_has_a_negative_margin():
    group = parse("Z_5")
    u, v, w = cyclic_network(group)
    exchanged = w[:, [1, 0, 2, 3, 4]]
    assert group_network_margin(u, v, exchanged, group).normalised < -0.99 * maximum_margin(group)
    w[:, 0] = w[:, 1]
    assert group_network_margin(u, v, w, group).normalised == pytest.approx(0, abs=1e-15)  # a tie of two labels


def test_replicas_that_exploded_or_died_have_no_margin_and_spare_the_others():
    group = parse("Z_3")
    u, v, w = (np.stack([one] * 4) for one in cyclic_network(group))
    u[0, 0, 0], v[1] = np.nan, np.inf
    u[2] = v[2] = w[2] = 0
    margin = group_network_margin(u, v, w, group)
    assert np.isnan(margin.normalised).tolist() == [True, True, True, False]
    assert np.isnan(margin.norm).tolist() == [True, True, True, False]


def test_difference_is_to_the_runner_up():
    logits = np.asarray([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0], [np.inf, 0.0, 1.0]])
    assert runner_up_difference(logits, np.asarray([0, 2, 1])).tolist() == [1, -1, -np.inf]


def test_shapes_that_do_not_fit_are_refused():
    group, (u, v, w) = parse("Z_3"), random_network(4, 3)
    with pytest.raises(ValueError, match="same replicas and m"):
        group_network_margin(u[:3], v, w, group)
    with pytest.raises(ValueError, match="u must end with 5"):
        group_network_margin(u, v, w, parse("Z_5"))
    with pytest.raises(ValueError, match="same replicas and m"):
        group_network_margin(u[0], v[0], w[0], group)
    with pytest.raises(ValueError, match="w must end with 2"):
        parity_network_margin(u, w, (0, 1))
    for subset in [(), (0, 0), (3,)]:
        with pytest.raises(ValueError, match="distinct bits"):
            parity_network_margin(u, w[:, :2], subset)
    with pytest.raises(InputError, match="at most 20"):
        parity_network_margin(np.ones((2, 21)), np.ones((2, 2)), (0, 1))
