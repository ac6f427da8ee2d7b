"""The number with which a solution ends, exactly."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.number_answers import final_number, same_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so it is\n#### 18", 18),
        ("1 + 1 = 2\nA: $1,250.00.", 1250),
        ("#### 5\n#### 7", 7),
        ("A: 3 of 4 apples", 3),
        ("first 5, then 12.", 12),
        ("it is 12.5%", Fraction(25, 2)),
        ("#### -3", -3),
        ("#### .5", Fraction(1, 2)),
        ("#### 3/4", Fraction(3, 4)),
        ("A: 1.5/2", Fraction(3, 4)),
        ("A: .5/1,000", Fraction(1, 2000)),
        ("it is 10-5", 5),
        ("(7)-3 = 4, x=-4", -4),
        ("$-2 or -$2", -2),
        ("#### 1/0", None),
        ("#### 1.5/00", None),
        ("#### eighteen", None),
        ("USA: 4 and 5", 5),
        ("", None),
        ("\ud800\0", None),
        ("1" * 5000, None),
        ("#### 1e999999999", 1),
    ],
)
def test_the_final_number(text, number):
    assert final_number(text) == number


def test_numbers_are_compared_as_fractions():
    assert same_number("#### 0.50", "1/2")
    assert not same_number("#### 0.3333333333333333333", "1/3")
    assert not same_number("no idea", "#### 3")


def test_a_megabyte_of_digits_or_marks_is_no_number():
    """None of these takes more than a moment: expressions are searched for without going back."""
    for text in ("1" * 10**6, "1," * 500_000, "####" * 250_000, "A: " * 300_000, "$" * 10**6):
        assert final_number(text) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3))
def test_any_decimal_is_read_as_it_is_written(number):
    assert final_number(f"The answer is\n#### {number:,}.") == Fraction(number)


def test_verdicts_agree_with_those_of_gsm8k_s_authors():
    """All 5,276 model solutions of the repository's example_model_solutions.jsonl have ``is_correct``."""
    folder = data_folder()
    if folder is None or not (folder / "lm").is_dir():
        pytest.skip("there is no folder of language-model data")
    path = folder / "lm" / "gsm8k" / "example_model_solutions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    solutions = [(row["ground_truth"], one) for row in rows for one in row.values() if isinstance(one, dict)]
    assert len(solutions) == 5276
    differ = [one for truth, one in solutions if same_number(one["solution"], truth) != one["is_correct"]]
    assert differ == []
