"""NetHack as a Gymnasium environment; what nle's own does otherwise is mended."""

import bz2
import copy
import dataclasses
import inspect
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import warnings
from contextlib import redirect_stdout

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

pytest.importorskip("nle", reason="needs the extra nethack")

import sandtable
from sandtable.envs.nethack.env import NetHackEnv, net_hack_challenge_env, net_hack_score_env
from sandtable.envs.nethack.game import MEASURES
from sandtable.simulators.errors import InputError, MissingExtraError

SCORE, CHALLENGE = "sandtable/NetHackScore-v0", "sandtable/NetHackChallenge-v0"
IDS = [name for name in sandtable.ENVIRONMENTS if "NetHack" in name]


@pytest.fixture
def make():
    """Make environments that are closed at the end."""
    made = []

    def one(name=SCORE, **arguments):
        made.append(gym.make(name, **arguments))
        return made[-1]

    yield one
    for env in made:
        env.close()


def same(some, others):
    """Tell whether two observations are equal to the last bit."""
    return some.keys() == others.keys() and all(np.array_equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_and_stable_baselines_accept_the_environment(name, make):
    """nle's own fails Gymnasium's checker: a reset with empty options, arrays written over, no seeds."""
    stable_baselines = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra rl")
    env = make(name, observation="all", render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # a screen of bytes is neither an image nor a vector to Stable-Baselines3
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")
        warnings.filterwarnings("ignore", message=".*screen_descriptions.*")
        warnings.filterwarnings("ignore", message=".*image.*")
        with redirect_stdout(io.StringIO()):
            check_env(env.unwrapped)
            stable_baselines.check_env(env)


def test_defaults_are_those_of_the_two_tasks(make):
    score, challenge = make(SCORE).unwrapped, make(CHALLENGE).unwrapped
    assert (score.action_space.n, challenge.action_space.n) == (23, 121)
    assert set(score.observation_space) == {"glyphs", "blstats", "message"}
    assert set(challenge.observation_space) == {"tty_chars", "tty_colors", "tty_cursor", "blstats"}
    assert make(SCORE, actions="canonical").action_space.n == 118
    told = [(one.character, one.prompts, one.max_episode_steps, one.no_progress_timeout, one.penalty_step)
            for one in (score.settings, challenge.settings)]  # fmt: skip
    assert told == [("mon-hum-neu-mal", "skip", 5000, None, -0.01), ("@", "all", 1_000_000, 10_000, 0.0)]


@pytest.mark.parametrize("make_env", [net_hack_score_env, net_hack_challenge_env])
def test_who_asks_for_the_arguments_is_told_their_names_and_defaults(make_env):
    told = inspect.signature(make_env).parameters
    settings = make_env().settings
    assert {name: one.default for name, one in told.items()} == dataclasses.asdict(settings)


def test_what_info_tells():
    env = NetHackEnv(max_episode_steps=5)
    _, info = env.reset(seed=4)
    assert dict(zip(MEASURES, (0, 1, 1, 1, 1), strict=True)).items() <= info.items()
    assert info["end"] is None
    assert info["reproducible"] is True
    assert json.loads(json.dumps(info)) == info
    rewards = []
    for action in range(1, 6):
        *_, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        assert ("episode_return" in info) == truncated
    assert (terminated, truncated, info["end"]) == (False, True, "step_limit")
    assert (info["episode_return"], info["episode_length"]) == (sum(rewards), 5)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.close()


def test_a_seed_plays_one_episode_after_another(make):
    env, other = make(), make()
    first, second = env.reset(seed=7), env.reset()
    assert first[1]["nethack_seeds"] != second[1]["nethack_seeds"]
    assert same(other.reset(seed=7)[0], first[0])
    assert same(other.reset()[0], second[0])
    assert make().reset()[1]["nethack_seeds"] != make().reset()[1]["nethack_seeds"]


def test_options_of_a_reset_hold_for_one_episode(make):
    env = make(CHALLENGE, observation="blstats,chars,message")
    chosen = {"nethack_seeds": [5, 6], "character": "val-dwa-law-fem"}
    seen, info = env.reset(seed=1, options=chosen)
    assert info["nethack_seeds"] == [5, 6]
    assert b"dwarven Valkyrie" in seen["message"].tobytes()
    following = env.reset()[1]["nethack_seeds"]
    fresh = make(CHALLENGE)
    fresh.reset(seed=1)
    assert fresh.reset()[1]["nethack_seeds"] == following
    levels = [env.reset(options=chosen | {"nethack_seeds": [core, 6], "level_seed": 9})[0]["chars"] for core in (1, 2)]
    others = [env.reset(options=chosen | {"nethack_seeds": [core, 6]})[0]["chars"] for core in (1, 2)]
    assert (levels[0] != levels[1]).sum() < 15 < (others[0] != others[1]).sum()


def test_observations_are_arrays_of_their_own(make):
    """nle gives its buffers, which the next step and the next reset write over."""
    env, kept = make(observation="all"), make(observation="all")
    observations, expected = [env.reset(seed=0)[0]], [kept.reset(seed=0)[0]]
    for action in (1, 2, 3, 21, 22):
        for array in observations[-1].values():
            array.fill(99)
        observations.append(env.step(action)[0])
        expected.append(kept.step(action)[0])
        assert same(observations[-1], expected[-1])
    assert all((array == 99).all() for array in observations[0].values())


def test_the_final_observation_is_that_of_the_episode_which_ended():
    """In both libraries' vector environments nle's own shows the next episode's first observation there."""
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env", reason="needs the extra rl")
    envs = [lambda: NetHackEnv(max_episode_steps=4)] * 2
    vector = gym.vector.SyncVectorEnv(envs, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    stable_baselines, alone = vec_env.DummyVecEnv(envs), NetHackEnv(max_episode_steps=4)
    stable_baselines.seed(3)
    stable_baselines.reset()
    vector.reset(seed=3)
    alone.reset(seed=3)
    for action in (1, 2, 3, 4):
        _, _, _, truncated, info = vector.step(np.array([action, action]))
        *_, told = stable_baselines.step(np.array([action, action]))
        last = alone.step(action)
    assert truncated.all()
    assert last[0]["blstats"][20] > 0
    assert same(info["final_obs"][0], last[0])
    assert same(told[0]["terminal_observation"], last[0])
    assert told[0]["TimeLimit.truncated"]
    for one in (vector, stable_baselines, alone):
        one.close()


def test_gymnasium_s_limit_ends_a_recorded_game_whole(make, tmp_path):
    """With nle's own the game is not quit: no row in the list of games, and an open file."""
    env = make(SCORE, max_episode_steps=5, record=str(tmp_path))
    env.reset(seed=0)
    assert [env.step(action)[3] for action in range(1, 6)] == [False] * 4 + [True]
    env.reset()
    assert (tmp_path / "nle.1.xlogfile").read_text().count("ttyrecname=nle.1.0.ttyrec3.bz2") == 1


def test_recorded_games_are_those_that_are_not_and_nle_indexes_them(tmp_path):
    dataset = pytest.importorskip("nle.dataset")
    plain, length = NetHackEnv(observation="all", actions="keyboard", prompts="all", max_episode_steps=80), {}
    actions = np.random.default_rng(0).integers(121, size=80)
    for seed in (0, 1):
        env = NetHackEnv(observation="all", actions="keyboard", prompts="all", max_episode_steps=80,
                         record=str(tmp_path / str(seed)))  # fmt: skip
        assert same(env.reset(seed=seed)[0], plain.reset(seed=seed)[0])
        for action in actions:
            some, others = env.step(action), plain.step(action)
            assert same(some[0], others[0])
            assert some[1:] == others[1:]
        length[str(seed)] = env.game.keys  # before close: the episode's end has made the files whole
        (recording,) = (tmp_path / str(seed)).glob("*.bz2")
        assert str(tmp_path).encode() not in bz2.decompress(recording.read_bytes())  # as in nle's
    plain.close()
    with redirect_stdout(io.StringIO()):
        dataset.db.create(str(tmp_path / "games.db"))
        dataset.add_nledata_directory(str(tmp_path), "ours", str(tmp_path / "games.db"))
    games = dataset.TtyrecDataset("ours", batch_size=1, seq_length=100, dbfilename=str(tmp_path / "games.db"))
    recorded = {}
    for game in games._gameids:
        parts = [part for part in games.get_ttyrec(game, 100) if part["gameids"].any()]
        folder = games.get_paths(game)[0].split("/")[-2]
        recorded[folder] = sum(int((part["gameids"] != 0).sum()) for part in parts)
    assert recorded.keys() == length.keys()
    assert all(0 <= recorded[seed] - length[seed] <= 1 for seed in length)


def test_a_full_disk_is_said_in_one_line(tmp_path):
    """A limit on the size of files stands in for the disk."""
    code = (
        "import resource, sys\n"
        "from sandtable.envs.nethack.env import NetHackEnv\n"
        "from sandtable.simulators.errors import InputError\n"
        "env = NetHackEnv(record=sys.argv[1], actions='keyboard', prompts='all', max_episode_steps=400)\n"
        "env.reset(seed=0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    while not any(env.step(int(env.action_space.sample()))[2:4]): pass\n"
        "except InputError as error:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "is the disk full?" in done.stdout
    assert done.stdout.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["nle.1.xlogfile"]


def test_it_pickles_by_its_arguments_and_a_live_game_is_not_copied(make):
    env = make(CHALLENGE, character="val-hum-neu-fem", disable_env_checker=True)
    seen = env.reset(seed=2)[0]
    twin = pickle.loads(pickle.dumps(env))
    assert same(twin.reset(seed=2)[0], seen)
    for copying in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            copying(env.unwrapped)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(env)
    env.close()
    copied = copy.deepcopy(env)
    assert same(copied.reset(seed=2)[0], seen)
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.dumps(env.unwrapped.game)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert same(again.reset(seed=2)[0], seen)
    for one in (twin, copied, again):
        one.close()


@pytest.mark.parametrize("action", [23, -1, 1.5, None, "search", [1]])
def test_an_action_out_of_range_is_refused(action):
    env = NetHackEnv()
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"\[0, 23\)"):
        env.step(action)
    env.close()


def test_stepping_needs_a_reset():
    with pytest.raises(gym.error.ResetNeeded):
        NetHackEnv().step(0)


def test_rendering(make):
    text = make(render_mode="ansi")
    text.reset(seed=0)
    assert "@" in text.render()
    assert set(text.observation_space) == {"glyphs", "blstats", "message"}
    image = make(CHALLENGE, render_mode="rgb_array")
    image.reset(seed=0)
    assert image.render().shape == (384, 640, 3)
    printed = io.StringIO()
    with redirect_stdout(printed):
        human = make(render_mode="human")
        human.reset(seed=0)
        human.step(1)
    assert printed.getvalue().count("\033[2J") == 2
    plain = NetHackEnv()
    plain.reset(seed=0)
    assert plain.render() is None
    plain.close()


def test_without_nle_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nle", None)
    with pytest.raises(MissingExtraError, match=r"sandtable\[nethack\]"):
        NetHackEnv()


def test_a_temporary_folder_with_too_long_a_path_is_refused(tmp_path, monkeypatch):
    deep = tmp_path / "/".join(["y" * 100] * 4)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(InputError, match="set TMPDIR"):
        NetHackEnv().reset(seed=0)
    assert list(deep.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nle's own, as it clears up
def test_too_many_games_at_once_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    envs = [NetHackEnv() for _ in range(highest + 4)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
    try:
        with pytest.raises(InputError, match="ulimit -n"):
            [env.reset(seed=0) for env in envs]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for env in envs:
            env.close()
