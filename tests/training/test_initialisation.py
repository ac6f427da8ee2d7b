"""First weights: variances, sparsity, and that they belong to the replica's own key."""

import pytest
import torch

from sandtable.training.initialisation import PYTORCH, Initialisation
from sandtable.training.keys import replica_keys

KEYS = replica_keys(0, 4)


@pytest.mark.parametrize("distribution", ["uniform", "normal", "sign"])
def test_variance_is_the_one_asked_for_divided_by_the_inputs(distribution):
    weights = Initialisation(distribution, variance=2.0).weights(KEYS, 200, 300)
    assert weights.shape == (4, 200, 300)
    assert weights.mean().item() == pytest.approx(0, abs=2e-4)
    assert weights.var().item() == pytest.approx(2 / 200, rel=0.01)


def test_signs_are_plus_and_minus_one_number():
    weights = Initialisation("sign").weights(KEYS, 25, 10)
    torch.testing.assert_close(weights.unique(), torch.tensor([-0.2, 0.2]))


def test_pytorch_s_weights_and_biases_reach_to_one_over_the_root_of_the_inputs():
    """``torch.nn.Linear`` documents uniform(-sqrt(k), sqrt(k)) with k = 1 / in_features for both."""
    weights, biases = PYTORCH.weights(KEYS, 100, 500), PYTORCH.biases(KEYS, 100, 500)
    for tensor in (weights, biases):
        assert tensor.abs().max().item() == pytest.approx(0.1, rel=0.01)
        assert tensor.abs().max() <= 0.1


def test_sparse_neurons_have_as_many_weights_as_asked_in_places_of_their_own():
    weights = Initialisation("sign", nonzero=2).weights(KEYS, 50, 1000)
    assert ((weights != 0).sum(1) == 2).all()
    assert weights[weights != 0].abs().unique().item() == pytest.approx(2**-0.5)
    places = (weights != 0).float().mean((0, 2))  # each input is chosen by 2 of 50 neurons
    assert places.numpy() == pytest.approx(0.04, abs=0.015)


def test_weights_of_a_replica_come_from_its_key_alone():
    kind = Initialisation("normal", nonzero=3, bias=True)
    assert torch.equal(kind.weights(KEYS, 8, 5)[2:3], kind.weights(KEYS[2:3], 8, 5))
    assert torch.equal(kind.biases(KEYS, 8, 5)[2:3], kind.biases(KEYS[2:3], 8, 5))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Initialisation("cauchy"), "distribution"),
        (lambda: Initialisation(variance=0.0), "variance"),
        (lambda: Initialisation(variance=float("nan")), "variance"),
        (lambda: Initialisation(nonzero=0), "nonzero"),
        (lambda: Initialisation(nonzero=9).weights(KEYS, 8, 5), "nonzero"),
    ],
)
def test_impossible_initialisations_are_refused(make, named):
    with pytest.raises(ValueError, match=f"{named} must be"):
        make()
