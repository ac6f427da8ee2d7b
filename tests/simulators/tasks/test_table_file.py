"""Tables of files: what is read, what is left out, what is refused and in which words."""

import subprocess
import sys

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.table_file import bundled_table, find_table

GOOD = "a,Class,b\n1,yes,0.5\n2,no,-1e3\n3,yes,7\n4,no,8\n"


@pytest.fixture
def table_of(tmp_path):
    def write(text, target="class"):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return find_table(path, target)

    return write


@pytest.mark.parametrize("target", ["class", "Class", " CLASS "])
def test_columns_are_numbers_and_classes_are_the_target_s_values_in_order(table_of, target):
    table = table_of(GOOD, target)
    assert table.columns == ("a", "b")
    assert table.inputs.tolist() == [[1, 0.5], [2, -1000], [3, 7], [4, 8]]
    assert table.classes == ("no", "yes")
    assert table.target.tolist() == [1, 0, 1, 0]
    assert table.row.tolist() == [0, 1, 2, 3]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(table_of):
    table = table_of("x,class\n" + "".join(f"{i},{label}\n" for i, label in enumerate(["10", "9", "9.0", "10.0"] * 2)))
    assert table.classes == (9.0, 10.0)
    assert table.target.tolist() == [1, 0, 0, 1] * 2


def test_rows_with_missing_values_are_left_out_and_the_warning_says_which(table_of):
    text = "a,class,b\n1,0,1\n,0,2\n3,,3\n4,1,4\n5,1,NA\n6,0,6\n7,1,7\n"
    with pytest.warns(UserWarning, match=r"table.csv: 3 of 7 rows .* left out, the first of them row 3, column a"):
        table = table_of(text)
    assert table.row.tolist() == [0, 3, 5, 6]
    assert table.left_out == 3
    assert table.inputs[:, 0].tolist() == [1, 4, 6, 7]


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        (GOOD, "clas", r"target column 'clas': there are a, class, b; is it class\?"),
        (GOOD, None, "say which column is to be told: target = one of a, class, b"),
        (GOOD.replace("no", "yes"), "class", "column class has one class, yes; there must be at least two"),
        (GOOD.replace("-1e3", "Paris"), "class", "row 3, column b: 'Paris' is no finite number; leave the column out"),
        (GOOD.replace("-1e3", "inf"), "class", "row 3, column b: 'inf' is no finite number"),
        (GOOD.replace("Class", "b"), "b", "column b is there 2 times; keep one"),
        ("," + GOOD.replace("\n", "\n0,").removesuffix("0,"), "class", "row 1: column 1 has no name"),
        ("class\n0\n1\n", "class", "no column besides the target class"),
        ("a,class\n", "class", "the file has a header and no rows"),
        ("a,b,class\n1,,0\n2,,1\n", "class", "no row is complete; column b misses the most; leave it out"),
        ("a,class\n" + "".join(f"{i},{i / 7}\n" for i in range(9)), "class", "has 9 values in 9 rows"),
        (GOOD.replace(",", ";"), "class", "separated by semicolons"),
        ("", "class", "the file is empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_place(table_of, text, target, said):
    with pytest.raises(InputError, match=said):
        table_of(text, target)


def test_names_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data 'randhi': there are randhie, fair, .*; is it randhie\?"):
        find_table("randhi", None)
    with pytest.raises(InputError, match="there is no such file"):
        find_table(tmp_path / "nothing.csv", "class")
    with pytest.raises(InputError, match="this is a folder"):
        find_table(tmp_path, "class")


def test_bundled_tables_have_the_sizes_and_shares_that_are_known():
    """Sizes: statsmodels' notes on both; shares by counting ``mdvis > 0`` and ``affairs > 0`` in them."""
    visits, affairs = bundled_table("randhie"), bundled_table("fair")
    assert (visits.inputs.shape, affairs.inputs.shape) == ((20190, 9), (6366, 8))
    assert "mdvis" not in visits.columns
    assert affairs.target.sum() == 2053  # Fair (1978): 32.2 % of the women who answered Redbook
    assert visits.classes == ("mdvis = 0", "mdvis > 0")
    assert bundled_table("fair", "children").classes == (0.0, 1.0, 2.0, 3.0, 4.0, 5.5)
    with pytest.raises(InputError, match=r"fair: target column 'child': .* is it children\?"):
        find_table("fair", "child")
    assert np.isfinite(visits.inputs).all()


def test_statsmodels_and_torch_are_imported_only_by_who_needs_them():
    code = (
        "import sys, gymnasium as gym, sandtable;"
        "gym.make('sandtable/SparseParity-v0').reset(); gym.make('sandtable/GroupOperation-v0').reset();"
        "print([name for name in ('torch', 'statsmodels', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
