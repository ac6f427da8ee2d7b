"""Finite groups as Cayley tables: what is checked of a table, and the families that have a name.

An element is its index, 0, ..., G - 1, and ``table[a, b]`` is the product ab. Permutations are in lexicographic order,
and (ab)(x) = a(b(x)): b acts first.
"""

import itertools
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np

from sandtable.simulators.errors import InputError

Family = Literal["cyclic", "dihedral", "symmetric"]
"""Groups whose irreducible representations are written down; those of others are found from the table."""

LARGEST_ORDER = 5040  # of S_7: a table of 194 MiB
_NAME = re.compile(r"([ZCDSAQ])_?(\d+)")


@dataclass(frozen=True, eq=False)
class FiniteGroup:
    """A finite group of G elements.

    Attributes:
        name: What to call it, such as ``"S_4"``.
        table: The products, int64 [G, G], read-only.
        identity: The element that changes nothing.
        inverse: Of each element, int64 [G].
        family: Which family of this module it is, None for any other group.
        degree: n of Z_n, D_n or S_n, else 0.
    """

    name: str
    table: np.ndarray
    identity: int
    inverse: np.ndarray
    family: Family | None = None
    degree: int = 0

    @classmethod
    def from_table(cls, table: Any, name: str = "the group", family: Family | None = None, degree: int = 0) -> Self:
        """Check that a table is that of a group.

        Args:
            table: Products, integers [G, G], elements 0, ..., G - 1.
            name: What to call the group.
            family: The family, if it is one whose representations are known.
            degree: n within the family.

        Raises:
            InputError: The table is not square or not of integers, or an axiom fails; the message names the axiom and
                elements for which it fails.
        """
        products = _checked_shape(table)
        _check_closure(products)
        identity = _find_identity(products)
        inverse = _find_inverses(products, identity)
        _check_associativity(products)
        products.flags.writeable = inverse.flags.writeable = False
        return cls(name, products, identity, inverse, family, degree)

    @property
    def order(self) -> int:
        """Return how many elements there are, G."""
        return len(self.table)

    @property
    def is_abelian(self) -> bool:
        """Return whether ab = ba for all a and b."""
        return bool((self.table == self.table.T).all())

    @cached_property
    def conjugacy_class(self) -> np.ndarray:
        """The class of each element, int64 [G]: classes are numbered by their least element, the first class is 0."""
        of_element = np.full(self.order, -1)
        for element in range(self.order):
            if of_element[element] < 0:
                conjugates = self.table[self.table[:, element], self.inverse]
                of_element[conjugates] = of_element.max() + 1
        return of_element

    @property
    def class_representatives(self) -> np.ndarray:
        """The least element of each conjugacy class, int64 [classes]."""
        return np.unique(self.conjugacy_class, return_index=True)[1]


def cyclic(n: int) -> FiniteGroup:
    """Return Z_n, integers under addition modulo n >= 1."""
    _check_order("Z", n, n)
    numbers = np.arange(n)
    return FiniteGroup.from_table((numbers[:, None] + numbers) % n, f"Z_{n}", "cyclic", n)


def dihedral(n: int) -> FiniteGroup:
    """Return D_n, the 2n symmetries of a regular polygon of n >= 1 corners.

    Element k + n e is r^k s^e, of the rotation r by one corner and a reflection s, with s r = r^-1 s.
    """
    _check_order("D", n, 2 * n)
    turns, flips = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    turned = (turns[:, None] + (1 - 2 * flips[:, None]) * turns) % n
    return FiniteGroup.from_table(turned + n * ((flips[:, None] + flips) % 2), f"D_{n}", "dihedral", n)


def symmetric(n: int) -> FiniteGroup:
    """Return S_n, the n! permutations of n >= 1 things."""
    _check_order("S", n, _factorial(n))
    return FiniteGroup.from_table(_composition_table(permutations(n)), f"S_{n}", "symmetric", n)


def alternating(n: int) -> FiniteGroup:
    """Return A_n, the even permutations of n >= 1 things."""
    _check_order("A", n, max(1, _factorial(n) // 2))
    every = permutations(n)
    inversions = sum((every[:, i] > every[:, j]).astype(int) for i, j in itertools.combinations(range(n), 2))
    even = every[inversions % 2 == 0] if n > 1 else every
    return FiniteGroup.from_table(_composition_table(even), f"A_{n}")


def quaternion() -> FiniteGroup:
    """Return Q_8: 1, i, j, k as elements 0 to 3 and their negatives as 4 to 7."""
    units = np.asarray([[0, 1, 2, 3], [1, 4, 3, 6], [2, 7, 4, 1], [3, 2, 5, 4]])  # i j = k, j i = -k, ...
    negative = (units + 4) % 8
    return FiniteGroup.from_table(np.block([[units, negative], [negative, units]]), "Q_8")


def parse(group: Any) -> FiniteGroup:
    """Return the group of a name, such as ``"Z_23"``, ``"D_5"``, ``"S_4"``, ``"A_4"`` or ``"Q_8"``, or of a table.

    Args:
        group: A name, a Cayley table (nested lists or an array), or a group, which is returned as it is.

    Raises:
        InputError: The name is not known, the group too large, or the table is not that of a group.
    """
    if isinstance(group, FiniteGroup):
        return group
    if not isinstance(group, str):
        return FiniteGroup.from_table(group)
    match = _NAME.fullmatch(group.strip())
    if match is None or (match[1] == "Q" and match[2] != "8"):
        raise InputError(f"group {group!r} is not known; use Z_n, D_n, S_n, A_n, Q_8 or a Cayley table, e.g. 'Z_23'")
    if match[1] == "Q":
        return quaternion()
    families = {"Z": cyclic, "C": cyclic, "D": dihedral, "S": symmetric, "A": alternating}
    return families[match[1]](int(match[2]))


def permutations(n: int) -> np.ndarray:
    """Return the permutations of 0, ..., n - 1 in lexicographic order, int64 [n!, n]; row a maps x to ``row[x]``."""
    return np.asarray(list(itertools.permutations(range(n))), dtype=np.int64).reshape(-1, n)


def _factorial(n: int) -> int:
    """Return n!, or any number above the largest order where n! is."""
    result = 1
    for factor in range(2, n + 1):
        result *= factor
        if result > 2 * LARGEST_ORDER:
            break
    return result


def _check_order(family: str, n: int, order: int) -> None:
    if n < 1:
        raise InputError(f"group {family}_{n} does not exist; the number must be at least 1")
    if order > LARGEST_ORDER:
        raise InputError(f"group {family}_{n} is too large for a table; at most {LARGEST_ORDER} elements are allowed")


def _composition_table(rows: np.ndarray) -> np.ndarray:
    """Return the table of permutations in lexicographic order that are closed under composition."""
    place = len(rows[0]) ** np.arange(len(rows[0]))[::-1]
    codes = rows @ place  # ascend, as the rows do
    return np.stack([np.searchsorted(codes, a[rows] @ place) for a in rows])


def _checked_shape(table: Any) -> np.ndarray:
    try:
        given = np.asarray(table)
        with np.errstate(invalid="ignore"):
            whole = given.astype(np.int64)
        integers = given.dtype.kind in "iuf" and bool((whole == given).all())
    except (ValueError, TypeError, OverflowError):
        integers, given = False, np.zeros(0)
    if not integers:
        raise InputError("the Cayley table must have whole numbers in rows of one length")
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.size:
        raise InputError(f"the Cayley table must be square, not of shape {given.shape}")
    if len(given) > LARGEST_ORDER:
        raise InputError(f"the Cayley table has {len(given)} elements; at most {LARGEST_ORDER} are allowed")
    return np.array(whole)


def _check_closure(table: np.ndarray) -> None:
    outside = np.argwhere((table < 0) | (table >= len(table)))
    if len(outside):
        a, b = outside[0]
        raise InputError(
            f"the Cayley table is no group: closure fails, as {a} * {b} = {table[a, b]} (row {a}, column {b}) is not "
            f"among the elements 0 to {len(table) - 1}"
        )


def _find_identity(table: np.ndarray) -> int:
    """Return e with e a = a = a e for all a."""
    elements = np.arange(len(table))
    kept = (table == elements).sum(1) + (elements[:, None] == table).sum(0)  # how often an element acts as an identity
    nearest = int(kept.argmax())
    if kept[nearest] < 2 * len(table):
        wrong = table[nearest] != elements
        a = int(np.argmax(wrong if wrong.any() else table[:, nearest] != elements))
        example = f"{nearest} * {a} = {table[nearest, a]}" if wrong.any() else f"{a} * {nearest} = {table[a, nearest]}"
        raise InputError(
            f"the Cayley table is no group: no element is an identity; the nearest is {nearest}, but {example}"
        )
    return nearest


def _find_inverses(table: np.ndarray, identity: int) -> np.ndarray:
    """Return b with ab = e = ba of each a."""
    right = table == identity
    both = right & right.T
    without = np.flatnonzero(~both.any(1))
    if len(without):
        a = int(without[0])
        raise InputError(
            f"the Cayley table is no group: element {a} has no inverse, no b with {a} * b = b * {a} = {identity}"
        )
    return both.argmax(1)


def _check_associativity(table: np.ndarray) -> None:
    """Check x (a y) = (x a) y by Light's test: it holds for all a if it does for generators a.

    The elements a for which it holds for all x and y are closed under products, so that each element that is tested
    settles all products with those before it: in a group, log2 G tests at the most.
    """
    settled = np.zeros(len(table), dtype=bool)
    generators: list[int] = []
    while not settled.all():
        a = int(np.argmin(settled))
        _check_middle(table, a)
        generators.append(a)
        settled[a] = True
        fresh = np.flatnonzero(settled)
        while len(fresh):
            products = np.unique(table[fresh][:, generators])
            fresh = products[~settled[products]]
            settled[fresh] = True


def _check_middle(table: np.ndarray, a: int) -> None:
    different = table[table[:, a]] != table[:, table[a]]  # (x a) y and x (a y), [x, y]
    if different.any():
        x, y = np.argwhere(different)[0]
        left, right = table[table[x, a], y], table[x, table[a, y]]
        raise InputError(
            f"the Cayley table is no group: associativity fails, as ({x} * {a}) * {y} = {left} and "
            f"{x} * ({a} * {y}) = {right}"
        )
