"""Representations: homomorphisms, irreducible, complete, and of the type that their group is known for."""

from collections import Counter
from math import factorial

import numpy as np
import pytest

from sandtable.simulators.tasks.groups import FiniteGroup, parse
from sandtable.simulators.tasks.representations import (
    decompose_regular,
    frobenius_schur,
    homomorphism_error,
    irreducible_representations,
    partitions,
)

WRITTEN = ["Z_1", "Z_2", "Z_7", "Z_12", "D_1", "D_2", "D_5", "D_6", "S_1", "S_2", "S_3", "S_4", "S_5"]
OTHERS = ["A_4", "A_5", "Q_8"]


def renamed(name, seed=5):
    """Return a named group under other names of its elements: a table like any other."""
    table = parse(name).table
    names = np.random.default_rng(seed).permutation(len(table))
    other = np.empty_like(table)
    other[np.ix_(names, names)] = names[table]
    return FiniteGroup.from_table(other)


@pytest.fixture(params=[*WRITTEN, *OTHERS, "renamed S_4", "renamed Z_9", "renamed D_6"], scope="module")
def group(request):
    name = request.param
    return renamed(name.removeprefix("renamed ")) if name.startswith("renamed") else parse(name)


@pytest.fixture(scope="module")
def representations(group):
    return irreducible_representations(group)


def test_representations_are_orthogonal_homomorphisms(group, representations):
    for one in representations:
        assert homomorphism_error(group, one.matrices) < 1e-10
        product = one.matrices @ one.matrices.transpose(0, 2, 1)
        assert np.abs(product - np.eye(one.dimension)).max() < 1e-10


def test_squared_dimensions_sum_to_the_order(group, representations):
    """Each real representation counts d^2 / e; where all are of real type this is sum d^2 = G."""
    assert sum(one.dimension**2 / one.commutant for one in representations) == group.order
    assert representations[0].name == "trivial"
    assert (representations[0].matrices == pytest.approx(1))
    assert len({one.name for one in representations}) == len(representations)


def test_characters_are_orthogonal_and_their_squared_norms_are_the_commutants(group, representations):
    characters = np.stack([one.character for one in representations])
    gram = characters @ characters.T / group.order
    assert gram == pytest.approx(np.diag([one.commutant for one in representations]), abs=1e-10)
    assert [frobenius_schur(group, one.character) for one in representations] == [o.indicator for o in representations]


def test_matrix_elements_of_different_representations_are_orthogonal(group, representations):
    bases = [one.matrices.reshape(group.order, -1) for one in representations]
    for i, first in enumerate(bases):
        assert np.linalg.matrix_rank(first) == representations[i].dimension ** 2 / representations[i].commutant
        assert all(np.abs(first.T @ second).max() < 1e-9 for second in bases[:i])


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "S_5"])
def test_decomposition_of_the_table_finds_what_is_written_down(name):
    group = parse(name)
    written, found = (
        Counter((*np.round(one.character, 6) + 0.0, one.indicator) for one in which(group))
        for which in (irreducible_representations, decompose_regular)
    )
    assert written == found


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("Z_5", [(1, 1), (2, 0), (2, 0)]),
        ("A_4", [(1, 1), (2, 0), (3, 1)]),
        ("Q_8", [(1, 1), (1, 1), (1, 1), (1, 1), (4, -1)]),
        ("A_5", [(1, 1), (3, 1), (3, 1), (4, 1), (5, 1)]),
    ],
)
def test_types_are_those_of_the_character_tables(name, types):
    """Serre, section 13.2: complex characters come in conjugate pairs; that of Q_8 of degree 2 is quaternionic."""
    assert [(one.dimension, one.indicator) for one in irreducible_representations(parse(name))] == types


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_dimensions_of_the_symmetric_group_follow_the_hook_lengths(n):
    """Frame, Robinson and Thrall: d = n! / product of hook lengths."""
    for one, partition in zip(irreducible_representations(parse(f"S_{n}")), partitions(n), strict=True):
        columns = [sum(length > column for length in partition) for column in range(partition[0])]
        hooks = [
            length - column + columns[column] - row - 1
            for row, length in enumerate(partition)
            for column in range(length)
        ]
        assert one.dimension == factorial(n) // np.prod(hooks)
        assert one.name in ("trivial", "(" + ",".join(map(str, partition)) + ")")


def test_characters_of_s4_are_those_of_the_books():
    """Fulton and Harris, section 2.3; partitions in descending order, classes of 1, (34), (234), (12)(34), (1234)."""
    group = parse("S_4")
    classes = [0, 1, 3, 7, 9]
    assert len(set(group.conjugacy_class[classes])) == 5
    table = [one.character[classes] for one in irreducible_representations(group)]
    expected = [[1, 1, 1, 1, 1], [3, 1, 0, -1, -1], [2, 0, -1, 2, 0], [3, -1, 0, -1, 1], [1, -1, 1, 1, -1]]
    assert np.asarray(table) == pytest.approx(np.asarray(expected), abs=1e-12)


@pytest.mark.slow
def test_young_s_form_and_the_decomposition_hold_for_s6():
    group = parse("S_6")
    for representations in (irreducible_representations(group), decompose_regular(group)):
        assert sum(one.dimension**2 for one in representations) == 720
        assert max(homomorphism_error(group, one.matrices) for one in representations) < 1e-10


def test_decomposition_repeats_itself():
    group = renamed("S_3")
    first, second = decompose_regular(group), decompose_regular(group)
    assert all(np.array_equal(a.matrices, b.matrices) for a, b in zip(first, second, strict=True))
