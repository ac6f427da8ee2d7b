"""Lottery tickets: which neurons are kept, that they are put back as they were, and what comes out."""

import pytest
import torch

from sandtable.analysis.store import RunStore
from sandtable.analysis.tasks.frontier_experiments import LotteryTicket
from sandtable.analysis.tasks.lottery import CONTROL, TICKET, WHOLE, join, keep_neurons, largest_neurons, run_lottery
from sandtable.simulators.errors import InputError
from sandtable.training import MLP, PYTORCH


def held(tmp_path, **settings):
    experiment = LotteryTicket(**{"n": 10, "k": 2, "width": 30, "seeds": 3, "steps": 400, "every": 20, **settings})
    return run_lottery(experiment, RunStore(tmp_path).run("study", experiment))


def test_the_neurons_with_the_largest_incoming_weights_are_kept():
    network = MLP(2, 6, [5], 1, 0)
    network.layers[0].weight.data[0, :, 3] = 9.0
    network.layers[0].weight.data[1, :, 1] = 7.0
    assert largest_neurons(network, 2)[:, 0].tolist() == [3, 1]


def test_kept_neurons_compute_what_they_did_among_the_others():
    network = MLP(2, 6, [5], 1, 0, initialisation=PYTORCH)
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    everyone = torch.arange(5).flip(0).expand(2, -1)
    torch.testing.assert_close(keep_neurons(network, everyone)(x), network(x))
    network.layers[1].weight.data[:, [0, 2]] = 0.0
    torch.testing.assert_close(keep_neurons(network, torch.tensor([[1, 3, 4]] * 2))(x), network(x))


def test_joined_networks_keep_their_replicas():
    one, other = MLP(2, 4, [3], 1, 0), MLP(2, 4, [3], 1, 1)
    x = torch.ones(4, 1, 4)
    torch.testing.assert_close(join(one, other)(x), torch.cat([one(x[:2]), other(x[:2])]))


def test_whole_networks_tickets_and_controls_are_told(tmp_path):
    whole, ticket, control = held(tmp_path, kept=12)
    assert [row["neurons"] for row in (whole, ticket, control)] == [WHOLE, TICKET, CONTROL]
    assert whole["trained"] == 3
    assert ticket["trained"] == control["trained"] == sum(whole["converged"])
    assert whole["share"] == 1
    assert ticket["times"] != control["times"]


def test_what_cannot_be_is_named(tmp_path):
    with pytest.raises(InputError, match=r"width = 3: there must be at least the 4 neurons"):
        held(tmp_path, width=3, kept=4)
    with pytest.raises(InputError, match=r"steps = 20: no network learned the parity"):
        held(tmp_path, steps=20)
