import numpy as np
import pytest

from sandtable.simulators.nethack.assembly import is_complete, who_pressed
from sandtable.simulators.nethack.keyboard import KEY_OF_BYTE


def test_without_game_json_only_the_keys_by_which_nle_quits_are_told():
    """NLE 1.3.0 ends a game that is not over by M-q and y, and dismisses what is then shown."""
    played = KEY_OF_BYTE[[ord("j"), 32, ord("q") | 0x80, ord("y"), 32, 27, 32]]
    assert who_pressed(played, None).tolist() == [3, 3, 2, 2, 2, 2, 2]
    assert who_pressed(played[:2], None).tolist() == [3, 3]
    assert who_pressed(np.append(played, KEY_OF_BYTE[106]), None).tolist() == [3] * 8


@pytest.mark.parametrize(
    ("score", "turn", "turns", "complete"),
    [
        ([1, 5, 0], 30, 30, True),
        ([1, 5, 5], 30, 30, False),  # without the final score 0
        ([1, 5, 0], 29, 30, False),  # before NetHack's last turn
        ([0, 0, 0], 30, 30, True),
        ([1, 5, 0], 30, None, True),
        ([0, 0, 0], 30, None, False),  # may be the beginning of a game
        ([1, 5, 0], -1, 30, True),  # no turn is shown
    ],
)
def test_a_game_is_complete_when_it_goes_to_its_end(score, turn, turns, complete):
    assert is_complete(np.array(score, np.int32), turn, turns) is complete
