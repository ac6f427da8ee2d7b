"""Spectra of neurons: pure for the networks of maximum margin, complete for all, the same in every basis."""

import numpy as np
import pytest
import torch

from sandtable.agents.tasks.maximum_margin import cyclic_network, group_network, one_hot_network
from sandtable.analysis.tasks.spectra import fourier_spectrum, irrep_spectrum, neuron_spectra
from sandtable.simulators.tasks.groups import FiniteGroup, parse
from sandtable.simulators.tasks.representations import irreducible_representations

GROUPS = ["Z_1", "Z_2", "Z_8", "Z_9", "D_5", "S_4", "A_4", "Q_8"]


@pytest.mark.parametrize("name", GROUPS)
def test_shares_sum_to_one(name):
    group = parse(name)
    vectors = np.random.default_rng(0).normal(size=(2, 5, group.order))
    spectrum = irrep_spectrum(vectors, group)
    assert spectrum.share.shape == (2, 5, len(irreducible_representations(group)))
    assert spectrum.share.sum(-1) == pytest.approx(1, rel=1e-12)
    assert spectrum.purity == pytest.approx(spectrum.share.max(-1))


@pytest.mark.parametrize("name", GROUPS)
def test_matrix_elements_lie_in_their_own_part_alone(name):
    group = parse(name)
    for index, one in enumerate(irreducible_representations(group)):
        elements = one.matrices.reshape(group.order, -1).T
        mixed = np.random.default_rng(1).normal(size=(3, len(elements))) @ elements
        spectrum = irrep_spectrum(mixed, group)
        assert (spectrum.dominant == index).all()
        assert spectrum.purity == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9])
def test_frequencies_are_the_representations_of_the_cyclic_group(n):
    """The transform and the matrices are computed apart from each other."""
    vectors = np.random.default_rng(2).normal(size=(4, n))
    by_transform, by_matrices = fourier_spectrum(vectors), irrep_spectrum(vectors, parse(f"Z_{n}"))
    assert by_transform.names == by_matrices.names
    assert by_transform.share == pytest.approx(by_matrices.share, abs=1e-13)


def test_folded_spectrum_counts_both_of_a_pair_of_frequencies():
    """A cosine has half of its power at j and half at n - j."""
    angle = 2 * np.pi / 23 * np.arange(23)
    spectrum = fourier_spectrum(np.cos(5 * angle + 0.3))
    assert spectrum.dominant == 5
    assert spectrum.purity == pytest.approx(1, rel=1e-12)
    mixed = fourier_spectrum(3 + 2 * np.cos(4 * angle) + np.sin(7 * angle))
    assert mixed.share[[0, 4, 7]] == pytest.approx(np.asarray([9, 2, 0.5]) / 11.5)


@pytest.mark.parametrize("name", ["S_4", "A_4", "Q_8", "D_5"])
def test_shares_depend_neither_on_a_shift_nor_on_the_names_of_the_elements(name):
    group = parse(name)
    vector = np.random.default_rng(3).normal(size=group.order)
    share = irrep_spectrum(vector, group).share
    for shifted in (vector[group.table[3]], vector[group.table[:, 3]]):
        assert irrep_spectrum(shifted, group).share == pytest.approx(share, abs=1e-12)
    names = np.random.default_rng(4).permutation(group.order)
    table = np.empty_like(group.table)
    table[np.ix_(names, names)] = names[group.table]
    other = np.empty(group.order)
    other[names] = vector
    renamed = irrep_spectrum(other, FiniteGroup.from_table(table)).share
    assert np.sort(renamed) == pytest.approx(np.sort(share), abs=1e-12)


@pytest.mark.parametrize(("name", "build"), [("Z_23", cyclic_network), ("S_4", group_network), ("S_5", group_network)])
def test_neurons_of_maximum_margin_are_pure_and_use_every_part_but_the_trivial_one(name, build):
    group = parse(name)
    spectra = neuron_spectra(*build(group), group)
    assert spectra.purity == pytest.approx(1, rel=1e-10)
    neurons = np.bincount(spectra.dominant)
    expected = [2 * one.dimension**3 for one in irreducible_representations(group)[1:]]
    assert neurons.tolist() == [0, *(expected if name != "Z_23" else [8] * 11)]


def test_one_hot_neurons_are_spread_over_all_parts():
    group = parse("Z_23")
    spectra = neuron_spectra(*one_hot_network(group), group)
    assert spectra.purity == pytest.approx(2 / 23, rel=1e-10)


def test_neuron_whose_vectors_differ_has_no_dominant_part():
    angle = 2 * np.pi / 7 * np.arange(7)
    one, two = np.cos(angle), np.cos(2 * angle)
    spectra = neuron_spectra(np.stack([one, one]), np.stack([one, one]), np.stack([one, two]), parse("Z_7"))
    assert spectra.dominant.tolist() == [1, -1]


def test_dead_and_exploded_neurons_have_no_spectrum_and_spare_the_others():
    vectors = np.ones((4, 6))
    vectors[0], vectors[1, 2], vectors[2, 3] = 0, np.nan, np.inf
    for spectrum in (fourier_spectrum(vectors), irrep_spectrum(vectors, parse("S_3"))):
        assert spectrum.dominant.tolist() == [-1, -1, -1, 0]
        assert np.isnan(spectrum.purity).tolist() == [True, True, True, False]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_shares_do_not_depend_on_the_scale(scale):
    vector, group = np.random.default_rng(5).normal(size=6), parse("S_3")
    assert fourier_spectrum(scale * vector).share == pytest.approx(fourier_spectrum(vector).share)
    assert irrep_spectrum(scale * vector, group).share == pytest.approx(irrep_spectrum(vector, group).share)


def test_tensors_with_gradients_are_taken():
    tensor = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert irrep_spectrum(tensor, parse("S_3")).share.dtype == np.float64
    assert fourier_spectrum(tensor).share == pytest.approx(fourier_spectrum(tensor.detach().numpy()).share)


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match="6 elements"):
        irrep_spectrum(np.ones((2, 5)), parse("S_3"))
