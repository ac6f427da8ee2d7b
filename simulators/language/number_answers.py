"""The number with which a solution in words ends, as GSM8K's do (arXiv 2110.14168)."""

import re
from fractions import Fraction

MARKS = re.compile(r"####|\bA:")
"""What the answer stands after: in GSM8K's own solutions, and in those of its models."""

_NUMBER = re.compile(r"(?:(?<![\w)])[-+])?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d[\d,]*)?")
"""A sign after a digit, a letter or a bracket is none: 10-5 ends with 5."""

_MOST_DIGITS = 1000
"""A longer number is none: no problem asks for it, and reading it takes time."""


def final_number(text: str) -> Fraction | None:
    """Return the number of a solution: the first one after the last ``####`` or ``A:``, else the last one of the text.

    Commas, ``$``, ``%`` and final dots are dropped, so ``A: $1,250.00.`` is 1250; ``3/4`` is a fraction.

    Returns:
        The number, exactly; None where there is none.
    """
    marks = list(MARKS.finditer(text))
    if marks:
        found = _NUMBER.search(text, marks[-1].end())
        return _value(found[0]) if found else None
    numbers = _NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def same_number(text: str, answer: str) -> bool:
    """Tell whether a solution ends with the number of the answer."""
    number = final_number(text)
    return number is not None and number == final_number(answer)


def _value(digits: str) -> Fraction | None:
    digits = digits.replace(",", "").replace("$", "")
    if len(digits) > _MOST_DIGITS:
        return None
    above, _, below = digits.partition("/")
    try:
        return Fraction(above) / Fraction(below or 1)
    except ZeroDivisionError:
        return None
