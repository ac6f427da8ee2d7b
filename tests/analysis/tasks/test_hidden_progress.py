"""The progress measure of arXiv 2207.08799, appendix C.3, and the Fourier gap of a first gradient, section 4."""

import pytest
import torch

from sandtable.agents.tasks.parity_networks import ARCHITECTURES, transformer
from sandtable.analysis.tasks.hidden_progress import (
    HiddenProgress,
    first_weights,
    gradient_gaps,
    movement,
    remember_start,
)
from sandtable.simulators.tasks.boolean_fourier import fourier_gap, hypercube, majority_gap
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, PYTORCH, SGD, Initialisation, Supervised, Validation, fit

TASK = SparseParity(9, 2, subset=(1, 4), loss="hinge")


def test_movement_is_that_of_the_first_weights():
    network = MLP(2, 4, [3], 1, key=0)
    remember_start(network)
    network.layers[0].weight.data[1, 0, 2] += 0.5
    network.layers[0].weight.data[1, 3] -= 0.1
    moved = movement(network, (0, 1))
    torch.testing.assert_close(moved["progress"], torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(moved["relevant"], torch.tensor([0.0, 0.5 / 6]))
    torch.testing.assert_close(moved["irrelevant"], torch.tensor([0.0, 0.3 / 6]))


@pytest.mark.parametrize("name", ["ii", "v", "x", "xv"])
def test_every_architecture_with_a_first_layer_tells_its_progress(name):
    network = ARCHITECTURES[name].make(2, 9, 2, 0, PYTORCH)
    remember_start(network)
    objective = Supervised(TASK, 8)
    validate = Validation(HiddenProgress(objective, TASK.subset), every=2)
    training = fit(network, objective, key=0, steps=4, optimizer=SGD(0.1), validate=validate)
    told = training.history[-1]["validation_progress"]
    assert len(told) == 2
    assert min(told) > 0
    assert first_weights(network).shape[:2] == network.start.shape[:2] == (2, 9)


def test_replicas_keep_their_starts_when_others_are_dropped():
    """Replicas with rates of 0.1 reach the goal and are dropped; the movement of a slow one is as if it were alone."""

    def train(rates, keys):
        network = MLP(len(keys), 9, [32], 1, torch.tensor(keys), initialisation=PYTORCH)
        remember_start(network)
        judge = HiddenProgress(Supervised(TASK, 64), TASK.subset)
        validate = Validation(judge, every=20, metric="-accuracy", goal=-1.0)
        return fit(
            network, Supervised(TASK, 16), key=torch.tensor(keys), steps=600, optimizer=SGD(rates), validate=validate
        )

    together, alone = train([0.1, 0.1, 1e-4], [1, 2, 3]), train([1e-4], [3])
    assert together.stopped.tolist() == [True, True, False]
    measured = [row["validation_progress"][2] for row in together.history if "validation_progress" in row]
    assert measured == [row["validation_progress"][0] for row in alone.history if "validation_progress" in row]


def test_what_has_no_start_or_no_first_layer_is_refused():
    with pytest.raises(ValueError, match="remember_start"):
        movement(MLP(1, 4, [3], 1, key=0), (0,))
    with pytest.raises(ValueError, match="no first layer"):
        remember_start(transformer(1, 4, key=0, width=8, heads=1))


@pytest.mark.parametrize("k", [2, 4])
def test_the_gap_of_a_first_gradient_is_half_that_of_the_majority(k):
    """Majority coefficients in closed form: O'Donnell, Analysis of Boolean Functions, section 5.3."""
    network = MLP(2, 9, [5], 1, key=0, initialisation=Initialisation("sign"), bias=False).double()
    expected = torch.full((2, 5), majority_gap(9, k) / 2, dtype=torch.float64)
    torch.testing.assert_close(gradient_gaps(network, tuple(range(k))), expected, rtol=1e-10, atol=0)


def test_the_gap_of_any_unit_is_that_of_its_derivative():
    network = MLP(1, 7, [4], 1, key=3, initialisation=PYTORCH).double()
    inner = network.layers[0]
    before = torch.as_tensor(hypercube(7)) @ inner.weight[0] + inner.bias[0]
    expected = [fourier_gap((before[:, unit] > 0).numpy(), (0, 2, 5)) for unit in range(4)]
    torch.testing.assert_close(gradient_gaps(network, (0, 2, 5))[0].tolist(), expected, rtol=1e-10, atol=1e-12)
