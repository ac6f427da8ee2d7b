"""The keys of NetHack."""

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.keyboard import (
    ACTIONS,
    CANONICAL_BYTES,
    KEY_NAMES,
    KEY_OF_BYTE,
    KEYBOARD,
    UNKNOWN_KEY,
    key_byte,
    key_text,
)


def test_actions_are_those_of_nle_in_its_order() -> None:
    """``nle.nethack.ACTIONS`` and ``nle.env.tasks.TASK_ACTIONS`` of NLE 1.3.0."""
    nethack = pytest.importorskip("nle.nethack")
    tasks = pytest.importorskip("nle.env.tasks")
    assert ACTIONS["keyboard"] == tuple(int(action) for action in nethack.ACTIONS)
    assert ACTIONS["score"] == tuple(int(action) for action in tasks.TASK_ACTIONS)


def test_three_of_121_actions_repeat_a_byte() -> None:
    keyboard = ACTIONS["keyboard"]
    assert (len(keyboard), len(CANONICAL_BYTES), len(ACTIONS["score"])) == (121, 118, 23)
    assert sorted(byte for byte in set(keyboard) if keyboard.count(byte) > 1) == sorted(map(ord, '+"$'))
    assert len({name for name, _ in KEYBOARD}) == 121


def test_key_numbers_are_ranks_of_bytes() -> None:
    assert list(CANONICAL_BYTES) == sorted(set(CANONICAL_BYTES))
    np.testing.assert_array_equal(KEY_OF_BYTE[list(CANONICAL_BYTES)], np.arange(118))
    assert np.count_nonzero(KEY_OF_BYTE != UNKNOWN_KEY) == 118
    assert KEY_NAMES[KEY_OF_BYTE[ord("s")]] == "search"
    assert KEY_NAMES[KEY_OF_BYTE[ord("+")]] == "see_spells"


def test_every_byte_can_be_written_and_read() -> None:
    assert [key_text(key_byte(text)) for text in ("s", "^D", "M-p", "SPC", "^")] == ["s", "^D", "M-p", "SPC", "^"]
    assert all(key_byte(key_text(byte)) == byte for byte in CANONICAL_BYTES)


@pytest.mark.parametrize("text", ["", "M-", "escape", "M-é", "^é"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write one character"):
        key_byte(text)
