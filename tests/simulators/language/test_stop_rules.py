"""Where completions are cut."""

import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.stop_rules import stop_rule


@pytest.mark.parametrize(
    ("name", "text", "kept"),
    [
        ("humaneval", "    return 1\n\nprint(f())\ndef g(): pass", "    return 1\n"),
        ("humaneval", "    return 1\n    # inside\n    if x:", "    return 1\n    # inside\n    if x:"),
        ("humaneval", "def f():\n    return 1\nclass A:", "def f():\n    return 1"),
        ("humaneval", "    x = 1\n# outside", "    x = 1"),
        ("mbpp", "def f():\n  return 1\nassert f()", "def f():\n  return 1"),
        ("mbpp", 'def f():\n  return 1\n"""', "def f():\n  return 1"),
        ("mbpp", "def f():\n  return 1\n```\ntext", "def f():\n  return 1"),
        ("none", "def f():\n  return 1\nassert f()", "def f():\n  return 1\nassert f()"),
        (r"\nQ:", "A: 3\nQ: and", "A: 3"),
        ("END", "3END4", "3"),
        ("humaneval", "", ""),
    ],
)
def test_a_text_is_cut_at_its_first_stop_string(name, text, kept):
    assert stop_rule(name).cut(text) == kept


def test_an_empty_string_stops_nothing():
    with pytest.raises(InputError, match="--stop"):
        stop_rule("")
