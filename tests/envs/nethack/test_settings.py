"""What the NetHack environments can be told."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from sandtable.envs.nethack.settings import CHALLENGE, CHARACTERS, OBSERVATIONS, NetHackSettings, Restart, restart
from sandtable.simulators.errors import InputError


def test_observations_are_nle_s_arrays():
    nethack = pytest.importorskip("nle.nethack", reason="needs the extra nethack")
    theirs = {name: (one["shape"], one["dtype"]) for name, one in nethack.OBSERVATION_DESC.items()}
    assert {name: one[:2] for name, one in OBSERVATIONS.items()} == theirs
    assert OBSERVATIONS["glyphs"][3] == nethack.MAX_GLYPH
    assert OBSERVATIONS["inv_oclasses"][3] == nethack.MAXOCLASSES


def test_every_character_begins_as_what_it_is_called():
    """The welcome names alignment, gender where the role has both, race and role: role.c of NetHack 3.6."""
    pytest.importorskip("nle", reason="needs the extra nethack")
    from sandtable.envs.nethack.game import Game

    message = np.zeros(256, np.uint8)
    game = Game(NetHackSettings(), {"message": message})
    words = {"law": "lawful", "neu": "neutral", "cha": "chaotic", "hum": "human", "elf": "elven", "dwa": "dwarven"}
    words |= {"gno": "gnomish", "orc": "orcish", "mal": " male", "fem": " female"}
    welcomed = 0
    for character in CHARACTERS[1:]:
        game.start((1, 2), character=character)
        role, race, alignment, gender = character.split("-")
        welcome = message.tobytes().decode()
        if "welcome" in welcome:  # another message may have followed it
            assert words[alignment] in welcome
            assert words[race] in welcome
            assert words[gender] in welcome or role in ("val", "pri", "cav")
            assert welcome.split()[-1].lower().startswith(role)
            welcomed += 1
    assert welcomed > 60
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 74
    game.close()


def test_arguments_are_json():
    arguments = json.loads(json.dumps(asdict(NetHackSettings(game_options=["color"], **CHALLENGE))))
    settings = NetHackSettings(**arguments)
    assert settings.names == ("tty_chars", "tty_colors", "tty_cursor", "blstats")
    assert len(settings.keys) == 121
    assert set(NetHackSettings(observation="all").names) == set(OBSERVATIONS) - {"program_state", "internal"}
    assert NetHackSettings(observation=["misc", "internal"]).names == ("misc", "internal")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"character": "mon-hum-neu"}, "write role-race-alignment-gender"),
        ({"character": "sam-elf-law-mal"}, "as NetHack allows them"),
        ({"observation": "glyph"}, "is it glyphs?"),
        ({"observation": "glyphs,glyphs"}, "each once"),
        ({"observation": []}, "at least one"),
        ({"observation": 3}, "must be names"),
        ({"actions": "all"}, "there are score, keyboard, canonical"),
        ({"prompts": "none"}, "there are skip, ask, all"),
        ({"max_episode_steps": 0}, "at least 1"),
        ({"no_progress_timeout": 1.5}, "at least 1"),
        ({"penalty_step": float("nan")}, "must be finite"),
        ({"penalty_step": "a"}, "must be a number"),
        ({"game_options": "color"}, "must be a list"),
        ({"game_options": ["color,time"]}, "without commas"),
        ({"game_options": ["role:Monk"]}, "argument character"),
        ({"record": 3}, "path of a folder"),
        ({"render_mode": "full"}, "there are human, ansi, rgb_array"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, said):
    with pytest.raises(InputError, match=said.replace("?", r"\?")) as refused:
        NetHackSettings(**arguments)
    assert "\n" not in str(refused.value)


def test_options_of_a_reset_are_read():
    assert restart(None) == restart({}) == Restart()
    options = {"nethack_seeds": np.array([1, 2]), "level_seed": 3, "character": "@"}
    assert restart(options) == Restart((1, 2), 3, "@")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": [1, 2]}, "there are nethack_seeds"),
        ({"nethack_seeds": [1]}, "two numbers"),
        ({"nethack_seeds": 7}, "two numbers"),
        ({"nethack_seeds": [1, -1]}, "whole number"),
        ({"level_seed": 1.5}, "whole number"),
        ({"character": "monk"}, "role-race"),
    ],
)
def test_options_of_a_reset_that_cannot_be_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        restart(options)
