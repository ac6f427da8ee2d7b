"""Irreducible real representations of finite groups: the harmonics in which functions on a group are analysed.

A real representation maps each element to an orthogonal matrix, R(ab) = R(a) R(b). Irreducible ones come in three
types, told apart by the matrices that commute with all of R: they form the reals, the complex numbers or the
quaternions. Over the complex numbers the first type stays irreducible, the second falls into a representation and its
conjugate, and the third into two copies of one; the Frobenius-Schur indicator of these parts is 1, 0 and -1.

The matrix elements of R span a space of functions on the group, of dimension d^2 / e, where e = 1, 2, 4 is the
dimension of the commuting algebra; over all irreducible representations these spaces are orthogonal, and their
dimensions sum to G.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

import numpy as np

from sandtable.simulators.tasks.groups import FiniteGroup, permutations

_COMMUTANT = {1: 1, 0: 2, -1: 4}
_ATTEMPTS = 10  # each fails only where two of G random eigenvalues nearly agree
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Representation:
    """An irreducible real representation.

    Attributes:
        name: Its usual name within its group; ``"trivial"`` for the one that maps all to 1.
        matrices: Orthogonal, float64 [G, d, d].
        indicator: The Frobenius-Schur indicator of its complex parts: 1 real, 0 complex, -1 quaternionic type.
    """

    name: str
    matrices: np.ndarray
    indicator: int

    @property
    def dimension(self) -> int:
        """Return d, over the reals."""
        return int(self.matrices.shape[1])

    @property
    def commutant(self) -> int:
        """Return e, the dimension of the algebra that commutes with it: 1, 2 or 4."""
        return _COMMUTANT[self.indicator]

    @cached_property
    def character(self) -> np.ndarray:
        """The traces, float64 [G]."""
        return np.trace(self.matrices, axis1=1, axis2=2)


def irreducible_representations(group: FiniteGroup) -> tuple[Representation, ...]:
    """Return all irreducible real representations of a group, the trivial one first.

    Cyclic, dihedral and symmetric groups have theirs written down; those of others are found by ``decompose_regular``.
    """
    if group.family == "cyclic":
        return _cyclic(group)
    if group.family == "dihedral":
        return _dihedral(group)
    if group.family == "symmetric":
        return tuple(young_orthogonal(group, partition) for partition in partitions(group.degree))
    return decompose_regular(group)


def frobenius_schur(group: FiniteGroup, character: np.ndarray) -> int:
    """Return the indicator of the complex parts of an irreducible real representation: the sign of mean chi(g^2).

    The mean is 1 for a real, 0 for a complex and -2 for a quaternionic type, whose character counts its part twice.
    """
    squares = group.table.diagonal()
    return int(np.sign(np.rint(character[squares].mean())))


def homomorphism_error(group: FiniteGroup, matrices: np.ndarray) -> float:
    """Return the largest element of |R(a) R(b) - R(ab)| over all a and b, of matrices [G, d, d]."""
    return max(
        float(np.abs(matrix @ matrices - matrices[products]).max())
        for matrix, products in zip(matrices, group.table, strict=True)
    )


def partitions(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Yield the partitions of n in descending lexicographic order, from (n) to (1, ..., 1)."""
    if n == 0:
        yield ()
    for first in range(min(n, n if largest is None else largest), 0, -1):
        for rest in partitions(n - first, first):
            yield (first, *rest)


def young_orthogonal(group: FiniteGroup, partition: tuple[int, ...]) -> Representation:
    """Return the representation of S_n that belongs to a partition, in Young's orthogonal form.

    Its basis are the standard tableaux. With r the axial distance from i to i + 1 in a tableau (column less row of i +
    1, less that of i), the transposition of i and i + 1 takes it to 1/r of itself and sqrt(1 - 1/r^2) of the tableau in
    which the two have changed places.

    Args:
        group: S_n, as ``symmetric`` makes it.
        partition: Of n, in descending order.
    """
    tableaux = list(_tableaux(partition))
    place = {tableau: index for index, tableau in enumerate(tableaux)}
    n, dimension = sum(partition), len(tableaux)
    steps = np.zeros((max(n - 1, 0), dimension, dimension))
    for tableau, index in place.items():
        content = [tableau[:i].count(row) - row for i, row in enumerate(tableau)]
        for i in range(n - 1):
            inverse_distance = 1.0 / (content[i + 1] - content[i])
            steps[i, index, index] = inverse_distance
            if abs(inverse_distance) < 1:
                exchanged = (*tableau[:i], tableau[i + 1], tableau[i], *tableau[i + 2 :])
                steps[i, place[exchanged], index] = np.sqrt(1 - inverse_distance**2)
    name = "trivial" if len(partition) <= 1 else "(" + ",".join(map(str, partition)) + ")"
    return Representation(name, _generated(group, _adjacent_transpositions(n), steps), 1)


def _tableaux(partition: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the standard tableaux of a shape, each as the row of 1, the row of 2, and so on."""
    if sum(partition) == 0:
        yield ()
        return
    for row, length in enumerate(partition):
        if length > (partition[row + 1] if row + 1 < len(partition) else 0):  # the largest entry ends a row
            smaller = (*partition[:row], length - 1, *partition[row + 1 :])
            for tableau in _tableaux(smaller):
                yield (*tableau, row)


def _adjacent_transpositions(n: int) -> list[int]:
    """Return the elements of S_n that exchange i and i + 1."""
    rows = permutations(n)
    exchanged = [np.r_[:i, i + 1, i, i + 2 : n] for i in range(n - 1)]
    return [int(np.flatnonzero((rows == row).all(1))[0]) for row in exchanged]


def _generated(group: FiniteGroup, generators: list[int], images: np.ndarray) -> np.ndarray:
    """Return the matrices of all elements, [G, d, d], from those of generators, [generators, d, d]."""
    matrices = np.zeros((group.order, *images.shape[1:]))
    matrices[group.identity] = np.eye(images.shape[1])
    known = np.arange(group.order) == group.identity
    frontier = np.flatnonzero(known)
    while len(frontier):
        reached = []
        for generator, image in zip(generators, images, strict=True):
            products = group.table[generator, frontier]
            fresh = ~known[products]
            matrices[products[fresh]] = image @ matrices[frontier[fresh]]
            known[products[fresh]] = True
            reached.append(products[fresh])
        frontier = np.concatenate(reached) if reached else frontier[:0]
    return matrices


def _rotations(angle: np.ndarray) -> np.ndarray:
    """Return the matrices that turn the plane, [..., 2, 2]."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def _cyclic(group: FiniteGroup) -> tuple[Representation, ...]:
    """Return rotations by multiples of k / n turns, k = 1, ..., and the alternating signs where n is even."""
    n = group.degree
    numbers = np.arange(n)
    found = [Representation("trivial", np.ones((n, 1, 1)), 1)]
    for frequency in range(1, n // 2 + 1):
        if 2 * frequency == n:
            found.append(Representation(f"frequency {frequency}", (-1.0) ** numbers[:, None, None], 1))
        else:
            turns = _rotations(2 * np.pi / n * (frequency * numbers % n))
            found.append(Representation(f"frequency {frequency}", turns, 0))
    return tuple(found)


def _dihedral(group: FiniteGroup) -> tuple[Representation, ...]:
    """Return signs of rotation and reflection, and the plane turned by multiples of k / n turns and reflected."""
    n = group.degree
    turns, reflected = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    found: list[Representation] = []
    for turn_sign in (1.0, -1.0)[: 1 + (n % 2 == 0)]:
        for reflection_sign in (1.0, -1.0):
            signs = turn_sign**turns * reflection_sign**reflected
            name = f"rotation {turn_sign:+.0f}, reflection {reflection_sign:+.0f}" if found else "trivial"
            found.append(Representation(name, signs[:, None, None], 1))
    mirror = np.stack([np.ones(2 * n), 1.0 - 2 * reflected], -1)  # the reflection keeps the first axis
    for frequency in range(1, (n + 1) // 2):
        matrices = _rotations(2 * np.pi / n * (frequency * turns % n)) * mirror[:, None, :]
        found.append(Representation(f"frequency {frequency}", matrices, 1))
    return tuple(found)


def decompose_regular(group: FiniteGroup, seed: int = 0) -> tuple[Representation, ...]:
    """Return the irreducible real representations of any group, by decomposing its regular representation.

    The group acts on functions of it, (L(g) f)(x) = f(g^-1 x). The matrices A[x, y] = c(x^-1 y) commute with that, and
    for a random even c the symmetric matrix A has eigenspaces that are irreducible, with probability 1. Each kind is
    kept once. Its basis is refined: the projection on the eigenspace is averaged over the group, so that it commutes
    with the group to machine precision however near the next eigenvalue was.

    Args:
        group: Any group.
        seed: Of the random c; it changes the bases, not what they represent.

    Returns:
        The trivial representation, then the others by dimension and by descending characters of the classes. They are
        named by dimension and a letter, as in character tables: ``"1b"``, ``"2a"``.

    Raises:
        ArithmeticError: Rounding hid a representation in each of ten draws.
    """
    generator = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        found = _eigenspace_representations(group, generator)
        spanned = sum(len(matrices[0]) ** 2 // _COMMUTANT[indicator] for matrices, indicator in found)
        if spanned == group.order and all(homomorphism_error(group, one) < _TOLERANCE for one, _ in found):
            return _named(group, found)
    raise ArithmeticError(f"the regular representation of {group.name} could not be decomposed to {_TOLERANCE}")


def _eigenspace_representations(
    group: FiniteGroup, generator: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """Return matrices [G, d, d] and indicator of each kind of representation among the eigenspaces of a random A."""
    quotient = group.table[group.inverse]  # x^-1 y
    draws = generator.normal(size=group.order)
    values, vectors = np.linalg.eigh((draws + draws[group.inverse])[quotient])
    bounds = np.flatnonzero(np.diff(values) > 1e-8 * np.abs(values).max()) + 1
    classes = group.class_representatives
    seen: list[np.ndarray] = []
    found: list[tuple[np.ndarray, int]] = []
    for basis in np.split(vectors, bounds, axis=1):
        character = np.asarray([np.vdot(basis[group.table[g]], basis) for g in classes])
        if any(np.allclose(character, other, atol=1e-4) for other in seen):
            continue
        seen.append(character)
        refined = _invariant(group, basis, quotient)
        matrices = np.stack([refined[products].T @ refined for products in group.table])
        found.append((matrices, frobenius_schur(group, np.trace(matrices, axis1=1, axis2=2))))
    return found


def _invariant(group: FiniteGroup, basis: np.ndarray, quotient: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis [G, d] of the invariant space next to that of ``basis``."""
    # the mean over g of P[g x, g y] depends on x^-1 y alone: it is the mean over x of P[x, x h]
    kernel = np.take_along_axis(basis @ basis.T, group.table, axis=1).mean(0)
    return np.linalg.qr(kernel[quotient] @ basis)[0]


def _named(group: FiniteGroup, found: list[tuple[np.ndarray, int]]) -> tuple[Representation, ...]:
    def rank(one: tuple[np.ndarray, int]) -> tuple[float, ...]:
        character = np.trace(one[0], axis1=1, axis2=2)[group.class_representatives]
        return (len(one[0][0]), *(-np.round(character, 6)))

    counts: Counter[int] = Counter()
    named: list[Representation] = []
    for matrices, indicator in sorted(found, key=rank):
        dimension = len(matrices[0])
        letter = ascii_lowercase[counts[dimension] % 26] * (counts[dimension] // 26 + 1)  # a, ..., z, aa, bb, ...
        named.append(Representation(f"{dimension}{letter}" if named else "trivial", matrices, indicator))
        counts[dimension] += 1
    return tuple(named)
