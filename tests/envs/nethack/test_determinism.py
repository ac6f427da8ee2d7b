"""Arguments, seed and keys decide a game to the last bit; in plain nle, four other things do so as well."""

import time

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("nle", reason="needs the extra nethack")

from nle.env.tasks import NetHackScore

from sandtable.envs.nethack.env import NetHackEnv
from sandtable.envs.nethack.game import nethack_seeds
from sandtable.simulators.nethack.keyboard import ACTIONS, KEYBOARD

NUMBER = {name: number for number, (name, _) in enumerate(KEYBOARD)}
DAY = 86_400


def nle_env(**arguments):
    """Return nle's own environment with the whole keyboard."""
    keys = ("glyphs", "blstats", "tty_chars")
    actions = list(ACTIONS["keyboard"])
    return NetHackScore(observation_keys=keys, actions=actions, render_mode=None, fix_moon_phase=True, **arguments)


def test_seeds_hold_for_every_episode_and_not_only_for_the_next():
    """The first way in which plain nle differs: from the second episode on, runs with equal seeds do."""
    theirs = [nle_env(), nle_env()]
    ours = [NetHackEnv(), NetHackEnv()]
    for env in theirs:
        env.seed(*nethack_seeds(0, 0))
    screens = [[env.reset()[0]["glyphs"].copy() for env in theirs] for _ in range(2)]
    assert np.array_equal(*screens[0])
    assert not np.array_equal(*screens[1])
    for episode in range(4):
        some, others = (env.reset(seed=None if episode else 0) for env in ours)
        assert np.array_equal(some[0]["glyphs"], others[0]["glyphs"])
        assert some[1] == others[1]
        assert some[1]["nethack_seeds"] == list(nethack_seeds(0, episode))
    for env in (*theirs, *ours):
        env.close()


def test_neither_the_day_nor_the_time_at_which_a_game_began_is_in_it(played_at):
    """The second and third way: on Friday the 13th plain nle shows another screen; it stores when it was started."""
    friday, tuesday = (played_at(date, [0], 100) for date in ("2026-02-13T12:00", "2026-02-10T12:00"))
    assert friday["ours"] == tuesday["ours"]
    assert friday["nle"]["screen"] != tuesday["nle"]["screen"]
    assert friday["nle"]["began"] - tuesday["nle"]["began"] == pytest.approx(3 * DAY, abs=600)


def test_the_last_screen_shows_no_earlier_game():
    """The fourth way: plain nle's last screen lists the games that the instance has played."""

    def last_screen(env, start):
        start()
        for name in (far, "quit", "north_west"):  # to the gold; leave; y
            observation, *ended, _ = env.step(NUMBER[name])
        assert ended[-2]
        return observation["tty_chars"].copy()

    far = KEYBOARD[8 + int(np.random.default_rng(16).integers(8))][0]
    theirs = nle_env(allow_all_yn_questions=True)
    ours = NetHackEnv(actions="keyboard", prompts="ask", observation="tty_chars,glyphs")

    def start_theirs():
        theirs.seed(*nethack_seeds(16, 0))
        theirs.reset()

    assert not np.array_equal(*(last_screen(theirs, start_theirs) for _ in range(2)))
    assert np.array_equal(*(last_screen(ours, lambda: ours.reset(seed=16)) for _ in range(2)))
    theirs.close()
    ours.close()


def test_a_few_games_are_the_same_on_a_new_and_on_a_used_instance_and_in_another_process(games, played_elsewhere):
    seeds, steps = [0, 1, 2], 120
    fresh = games.play_all(seeds, steps)
    assert len({digest for digests in fresh.values() for digest in digests}) == 6
    assert games.play_all(seeds[::-1], steps, before=2) == {name: some[::-1] for name, some in fresh.items()}
    assert played_elsewhere(seeds, steps)["ours"]["games"] == fresh


@pytest.mark.slow
def test_twenty_games_are_the_same_wherever_and_whenever_they_are_played(games, played_elsewhere, played_at):
    """20 seeds and 1,000 random keys, on both environments."""
    seeds, steps = list(range(20)), 1000
    fresh = {name: [] for name in (games.SCORE, games.CHALLENGE)}
    for name, digests in fresh.items():
        for seed in seeds:
            env = gym.make(name, observation="all", disable_env_checker=True)
            digests.append(games.play(env, seed, games.actions_of(seed, steps, env.action_space.n)))
            env.close()
    assert games.play_all(seeds, steps, before=5) == fresh
    assert played_elsewhere(seeds, steps)["ours"]["games"] == fresh
    ahead = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 58 * DAY))
    assert played_at(ahead, seeds, steps)["ours"]["games"] == fresh
