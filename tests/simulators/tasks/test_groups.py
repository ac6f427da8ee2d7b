"""Groups: the named ones are what their names say, and a table that is no group is told why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks import groups
from sandtable.simulators.tasks.groups import FiniteGroup, parse

LOOP = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]


@pytest.mark.parametrize(
    ("name", "order", "classes"),
    [
        *[("Z_1", 1, 1), ("Z_12", 12, 12), ("C5", 5, 5), ("D_1", 2, 2), ("D_2", 4, 4), ("D_5", 10, 4), ("D_6", 12, 6)],
        *[("S_1", 1, 1), ("S_3", 6, 3), ("S_4", 24, 5), ("S_5", 120, 7), ("S_6", 720, 11)],
        *[("A_1", 1, 1), ("A_2", 1, 1), ("A_4", 12, 4), ("A_5", 60, 5), ("Q_8", 8, 5)],
    ],
)
def test_named_groups_have_their_order_and_number_of_classes(name, order, classes):
    """The classes of S_n are the partitions of n; those of the rest are in any book on group theory."""
    group = parse(name)
    assert group.order == order
    assert len(group.class_representatives) == classes
    assert group.is_abelian == (classes == order)


def test_products_of_permutations_apply_the_right_one_first():
    """(ab)(x) = a(b(x)), elements in lexicographic order."""
    rows, group = groups.permutations(4), parse("S_4")
    assert rows[0].tolist() == [0, 1, 2, 3]
    assert rows[1].tolist() == [0, 1, 3, 2]
    assert rows[-1].tolist() == [3, 2, 1, 0]
    for a, b in [(3, 17), (22, 5), (9, 9)]:
        assert rows[group.table[a, b]].tolist() == [rows[a][rows[b][x]] for x in range(4)]


def test_cyclic_group_adds_and_dihedral_group_turns_and_flips():
    assert parse("Z_7").table[5, 4] == 2
    square = parse("D_4")
    turn, flip = 1, 4
    assert square.table[flip, turn] == square.table[square.inverse[turn], flip]
    assert square.table[turn, flip] == 5
    assert (square.table[4:, 4:].diagonal() == square.identity).all()


def test_quaternions_multiply_as_hamilton_said():
    group, (one, i, j, k) = parse("Q_8"), range(4)
    minus_one = 4
    assert {group.table[i, i], group.table[j, j], group.table[k, k], group.table[group.table[i, j], k]} == {minus_one}
    assert group.identity == one


@pytest.mark.parametrize("name", ["Z_6", "D_5", "S_4", "A_4", "Q_8"])
def test_inverses_and_classes_are_those_of_the_definition(name):
    group = parse(name)
    elements = np.arange(group.order)
    assert (group.table[elements, group.inverse] == group.identity).all()
    for x in elements:
        conjugate = group.table[group.table[x], group.inverse[x]]
        assert (group.conjugacy_class[conjugate] == group.conjugacy_class).all()


@given(st.permutations(range(8)))
def test_renamed_elements_are_a_group_still(names):
    names = np.asarray(names)
    table = np.empty((8, 8), dtype=int)
    table[np.ix_(names, names)] = names[parse("Q_8").table]
    renamed = FiniteGroup.from_table(table.tolist())
    assert renamed.identity == names[0]
    assert len(renamed.class_representatives) == 5


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([[0, 1], [1, 2]], r"closure fails, as 1 \* 1 = 2 \(row 1, column 1\)"),
        ([[0, 1], [-1, 0]], r"closure fails, as 1 \* 0 = -1"),
        ([[1, 0], [1, 0]], r"no element is an identity; the nearest is 0, but 0 \* 0 = 1"),
        ([[0, 1], [0, 1]], r"no element is an identity; the nearest is 0, but 1 \* 0 = 0"),
        ([[0, 1], [1, 1]], "element 1 has no inverse"),
        (LOOP, r"associativity fails, as \(\d \* \d\) \* \d = \d and \d \* \(\d \* \d\) = \d"),
        ([[0, 1, 2], [1, 2, 0]], r"square, not of shape \(2, 3\)"),
        ([[0, 1], [1]], "whole numbers in rows of one length"),
        ([[0, 1], [1, 0.5]], "whole numbers"),
        ([[0, float("nan")], [1, 0]], "whole numbers"),
        ([["a", "b"], ["b", "a"]], "whole numbers"),
        ([], "square"),
        (None, "whole numbers"),
        (3, "square"),
    ],
)
def test_table_that_is_no_group_is_told_why(table, says):
    with pytest.raises(InputError, match=says):
        parse(table)


@given(st.integers(0, 10**6))
def test_light_s_test_finds_every_lack_of_associativity(seed):
    """Against the definition, on loops made from a group by exchanging two rows of products, or a group's own table."""
    generator = np.random.default_rng(seed)
    table = np.array(parse("Z_6" if seed % 2 else "S_3").table)
    i, j = generator.choice(np.arange(1, 6), 2, replace=False)
    columns = generator.choice(np.arange(1, 6), 2, replace=False)
    table[np.ix_([i, j], columns)] = table[np.ix_([j, i], columns)]
    left, right = table[table], table[:, table]  # (x a) y and x (a y), [x, a, y]
    if (left == right).all():
        FiniteGroup.from_table(table)
    else:
        with pytest.raises(InputError, match="no group"):
            FiniteGroup.from_table(table)


@pytest.mark.parametrize("name", ["X_3", "Z", "Z_-3", "Q_4", "S_4x", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match="not known"):
        parse(name)


@pytest.mark.parametrize("name", ["S_8", "S_1000000000", "Z_5041", "D_2521", "A_8"])
def test_groups_too_large_for_a_table_are_refused(name):
    with pytest.raises(InputError, match="too large"):
        parse(name)


def test_group_of_no_elements_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        parse("Z_0")


def test_table_of_a_group_is_read_only():
    group = parse("Z_3")
    assert parse(group) is group
    with pytest.raises(ValueError, match="read-only"):
        group.table[0, 0] = 1
