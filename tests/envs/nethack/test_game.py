"""The rules of an episode: nle's own environments are the reference wherever they are right."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nle", reason="needs the extra nethack")

from nle.env.tasks import NetHackChallenge, NetHackScore

from sandtable.envs.nethack.game import AT_PROMPT, CLOSING, ENDS, Game, nethack_seeds
from sandtable.envs.nethack.settings import CHALLENGE, OBSERVATIONS, NetHackSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.keyboard import ACTIONS, KEYBOARD

NAMES = [name for name in OBSERVATIONS if name not in ("program_state", "internal")]
BYTE = dict(KEYBOARD)
PLAIN = {"observation_keys": NAMES, "fix_moon_phase": True, "render_mode": None}
KEYBOARD_OF_NLE = {"actions": list(ACTIONS["keyboard"])}
ASK_OF_NLE = KEYBOARD_OF_NLE | {"allow_all_yn_questions": True}


def game(**arguments):
    """Return a game and the arrays that it writes in."""
    settings = NetHackSettings(**{"observation": "all"} | arguments)
    buffers = {name: np.zeros(*OBSERVATIONS[name][:2]) for name in settings.names}
    return Game(settings, buffers), buffers


def started(seed=0, **arguments):
    """Return a game that has begun."""
    one, _ = game(**arguments)
    one.start(nethack_seeds(seed, 0))
    return one


def walk(one, keys):
    """Press keys by name until the episode ends; return the last step."""
    step = None
    for name in keys:
        step = one.step(BYTE[name])
        if not one.live:
            break
    return step


TASKS = {
    "score": (NetHackScore, {}, {}),
    "any character": (NetHackScore, {"character": "@", "penalty_step": -0.5}, {"character": "@", "penalty_step": -0.5}),
    "keyboard": (NetHackScore, KEYBOARD_OF_NLE, {"actions": "keyboard"}),
    "ask": (NetHackScore, ASK_OF_NLE, {"actions": "keyboard", "prompts": "ask"}),
    "options": (NetHackScore, {"options": ["color", "showscore"]}, {"game_options": ["color", "showscore"]}),
    "challenge": (NetHackChallenge, {}, CHALLENGE | {"observation": "all"}),
}


def assert_is_nle_s(task, episodes, steps):
    """Hold episodes of random keys to nle's; at a game's end to all but what is mended: ``blstats`` stays live."""
    theirs, their_arguments, our_arguments = TASKS[task]
    env, (ours, buffers) = theirs(**PLAIN, **their_arguments), game(**our_arguments)
    rng = np.random.default_rng(0)
    for episode in range(episodes):
        seeds = nethack_seeds(0, episode)
        env.nethack._pynethack.set_initial_seeds(*seeds, False, None)  # the challenge forbids the public way
        Path(env.nethack._vardir, "record").write_text("")  # else the last screen has earlier games
        observation, _ = env.reset()
        ours.start(seeds)
        for action in rng.integers(len(ours.settings.keys), size=steps):
            assert [name for name in NAMES if not np.array_equal(buffers[name], observation[name])] == []
            observation, *expected, _ = env.step(int(action))
            assert list(ours.step(ours.settings.keys[action])) == expected
            if expected[1]:
                differing = [name for name in NAMES if not np.array_equal(buffers[name], observation[name])]
                assert differing == ([] if observation["blstats"].any() else ["blstats"])
                assert buffers["blstats"][20] == ours.measures()[1] > 0
                break
    env.close()
    ours.close()


@pytest.mark.parametrize("task", TASKS)
def test_rewards_screens_and_ends_are_nle_s_for_the_same_seeds_and_keys(task):
    assert_is_nle_s(task, episodes=4, steps=100)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_many_games_are_nle_s(task):
    assert_is_nle_s(task, episodes=25, steps=400)


def test_the_step_limit_truncates_at_exactly_that_step_and_keeps_the_screen():
    """nle calls its own limit an end of the game, and shows what is left after it has quit."""
    theirs = NetHackScore(**PLAIN, max_episode_steps=8)
    theirs.seed(*nethack_seeds(0, 0))
    theirs.reset()
    limited, buffers = game(max_episode_steps=8)
    free, expected = game()
    for one in (limited, free):
        one.start(nethack_seeds(0, 0))
    for t in range(1, 9):
        key = limited.settings.keys[t]
        step = limited.step(key)
        assert step[0] == free.step(key)[0]
        assert step[1:] == (False, t == 8)
        assert theirs.step(t)[2:4] == ((False, False) if t < 8 else (True, False))
    assert (limited.end, limited.live) == ("step_limit", False)
    for name, array in expected.items():
        np.testing.assert_array_equal(buffers[name], array)
    with pytest.raises(RuntimeError, match="no game"):
        limited.step(key)
    theirs.close()


def test_no_progress_is_counted_once_a_step():
    """nle's challenge counts twice, so that its limit comes at half its value (100 steps: at the 50th)."""
    escape = ACTIONS["keyboard"].index(BYTE["escape"])
    theirs = NetHackChallenge(**PLAIN, no_progress_timeout=10)
    theirs.reset()
    assert [theirs.step(escape)[2] for _ in range(5)] == [False] * 4 + [True]
    ours = started(actions="keyboard", prompts="all", no_progress_timeout=10)
    ours.step(BYTE["search"])
    for _ in range(9):
        assert ours.step(BYTE["escape"])[1:] == (False, False)
    assert ours.step(BYTE["escape"])[1:] == (False, True)
    assert (ours.end, ours.steps) == ("no_progress", 11)
    theirs.close()


def test_a_turn_ends_the_count_of_steps_without_progress():
    ours = started(actions="keyboard", no_progress_timeout=3)
    for _ in range(4):
        walk(ours, ["escape", "escape", "search"])
    assert ours.live


def test_quitting_is_an_end_of_its_own():
    ours = started(actions="keyboard", prompts="ask")
    assert walk(ours, ["search", "quit", "north_west"])[1:] == (True, False)
    assert (ours.end, ours.steps) == ("quit", 3)
    assert ours.measures()[:2] == (0, 2)


def test_death_is_told_and_the_numbers_stay_those_of_the_last_live_screen():
    ours, buffers = game(observation="blstats,tty_chars")
    rng = np.random.default_rng(0)
    for episode in range(40):
        ours.start(nethack_seeds(0, episode))
        total, live = 0.0, None
        while ours.live and ours.steps < 600:
            live = buffers["blstats"].copy()
            total += ours.step(ours.settings.keys[rng.integers(23)])[0]
        assert ours.total == pytest.approx(total)
        if not ours.live:
            break
    assert ours.end == "death"
    assert buffers["blstats"][20] >= live[20] > 1
    assert ours.measures() == tuple(buffers["blstats"][[9, 20, 12, 12, 18]])
    assert not buffers["tty_chars"].tobytes().decode().startswith(" " * 1920)


WAYS = {0: "death", 10: "death", 11: "lost", 12: "lost", 13: "quit", 14: "quit", 15: "ascended"}


@pytest.mark.parametrize(("how", "end"), WAYS.items())
def test_every_way_to_end_has_a_name(how, end, monkeypatch):
    """NetHack 3.6, hack.h: died .. genocided, panicked, tricked, quit, escaped, ascended."""
    ours = started(actions="keyboard", prompts="ask")
    monkeypatch.setattr(ours.engine, "how_done", lambda: how)
    step = walk(ours, ["quit", "north_west"])
    assert ours.end == end in ENDS
    assert step[1:] == (end != "lost", end == "lost")


def test_the_positions_of_keys_that_the_layer_sent_are_kept(tmp_path):
    ours, _ = game(actions="keyboard", record=str(tmp_path), max_episode_steps=30)
    ours.start(nethack_seeds(3, 0))
    own = ours.keys
    assert ours.sent == [(position, AT_PROMPT) for position in range(own)]
    agents = []
    while ours.live:
        agents.append(ours.keys)
        ours.step(BYTE["read"] if ours.steps % 2 else BYTE["search"])  # "What do you want to read?" is declined
    sent = dict(ours.sent)
    assert not set(agents) & set(sent)
    assert set(agents) | set(sent) == set(range(ours.keys))
    assert sum(why == AT_PROMPT for why in sent.values()) >= 15
    closing = [position for position, why in ours.sent if why == CLOSING]
    assert closing == list(range(ours.keys - len(closing), ours.keys))


def test_games_on_rows_of_larger_arrays_are_those_on_arrays_of_their_own():
    settings = NetHackSettings()
    rows = {name: np.zeros((2, *OBSERVATIONS[name][0]), OBSERVATIONS[name][1]) for name in settings.names}
    some = [Game(settings, {name: array[row] for name, array in rows.items()}) for row in range(2)]
    alone = [game(observation=settings.observation) for _ in range(2)]
    for row in range(2):
        some[row].start(nethack_seeds(row, 0))
        alone[row][0].start(nethack_seeds(row, 0))
    for action in np.random.default_rng(0).integers(23, size=60):
        for row in range(2):
            assert some[row].step(settings.keys[action]) == alone[row][0].step(settings.keys[action])
        for row in range(2):
            assert all(np.array_equal(rows[name][row], alone[row][1][name]) for name in rows)


def test_a_game_that_does_not_begin_is_refused():
    with pytest.raises(InputError, match="game_options"):
        started(game_options=["nonsense"])


def test_seeds_of_nethack_are_numbers_of_63_bits_that_do_not_repeat():
    seeds = [seed for s in (0, 1, 2**40) for episode in range(50) for seed in nethack_seeds(s, episode)]
    assert len(set(seeds)) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62
