"""Row i of the vector environment is the environment with seed s + i; how rows end, start anew, and are lost."""

import copy
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode

pytest.importorskip("nle", reason="needs the extra nethack")
from sandtable.envs.nethack.env import NetHackEnv
from sandtable.envs.nethack.game import ENDS
from sandtable.envs.nethack.vector_env import NetHackVectorEnv
from sandtable.simulators.errors import InputError

SCORE, CHALLENGE = "sandtable/NetHackScore-v0", "sandtable/NetHackChallenge-v0"
SHORT = {"observation": "tty_chars,tty_cursor,blstats", "actions": "keyboard", "prompts": "ask", "max_episode_steps": 9}
LONG = {"observation": "tty_chars,tty_cursor,blstats"}
MOVES, QUIT, YES = 16, 65, 7  # numbers of keys in the keyboard: how many steps and runs there are; "quit"; "y"
SEED = 5


def keys(steps, rows):
    """Return numbers of keys, [steps, rows]: random moves, between which rows quit, each when it will."""
    chosen = np.random.default_rng(0).integers(MOVES, size=(steps, rows))
    for row in range(rows):
        chosen[3 + row :: 11, row] = QUIT
        chosen[4 + row :: 11, row] = YES
    return chosen


def assert_same(some, others):
    """Assert that two batches of observations are equal."""
    assert some.keys() == others.keys()
    for name, array in some.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
        assert array.dtype == others[name].dtype


def part_of(batch, rows):
    """Return one row, or some, of a batch of observations."""
    return {name: array[rows] for name, array in batch.items()}


def assert_told(info, told):
    """Assert that an info has what another one tells, for the same rows."""
    for name in (name for name in told if not name.startswith("_") and name not in ("final_obs", "final_info")):
        rows = told[f"_{name}"]
        np.testing.assert_array_equal(info[f"_{name}"], rows, err_msg=name)
        assert [np.asarray(value).tolist() for value in info[name][rows]] == list(told[name][rows]), name


@pytest.fixture
def vector_env():
    """Return a function that makes vector environments, which are closed after the test."""
    made = []

    def make(num_envs=3, workers=2, **arguments):
        made.append(NetHackVectorEnv(num_envs, workers, **arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


def plain_vector_env(num_envs=3, mode=AutoresetMode.NEXT_STEP, **arguments):
    """Return Gymnasium's own vector environment of so many of ours."""
    return gym.vector.SyncVectorEnv([lambda: NetHackEnv(**arguments)] * num_envs, autoreset_mode=mode)


@pytest.mark.parametrize(("mode", "workers"), [*((mode, 2) for mode in AutoresetMode), (AutoresetMode.SAME_STEP, 0)])
def test_rows_are_those_of_gymnasium_s_vector_environment(vector_env, mode, workers):
    ours, plain = vector_env(3, workers, autoreset_mode=mode, **SHORT), plain_vector_env(mode=mode, **SHORT)
    assert ours.metadata["autoreset_mode"] is mode
    (seen, info), (expected, told) = (vector.reset(seed=SEED) for vector in (ours, plain))
    assert_same(seen, expected)
    assert_told(info, told)
    ends = []
    for actions in keys(30, 3):
        (seen, *said, info), (expected, *others, told) = ours.step(actions), plain.step(actions)
        assert_same(seen, expected)
        for some, other in zip(said, others, strict=True):
            np.testing.assert_array_equal(some, other)
            assert some.dtype == other.dtype
        ended = said[1] | said[2]
        ends += [end for end in info["end"] if end is not None]
        if not ended.any():
            assert_told(info, told)
            assert "final_obs" not in info
        elif mode is AutoresetMode.SAME_STEP:
            assert_told(info, {name: told[name] for name in told if name.strip("_") != "end"})
            assert_told(info["final_info"], told["final_info"])
            assert_told(info, {name: told["final_info"][name] for name in ("episode_return", "_episode_return")})
            np.testing.assert_array_equal(info["_final_obs"], ended)
            for row in np.flatnonzero(ended):
                assert_same(part_of(info["final_obs"], row), told["final_obs"][row])
        else:
            assert_told(info, told)
        if mode is AutoresetMode.DISABLED and ended.any():
            with pytest.raises(ResetNeeded, match="reset_mask"):
                ours.step(actions)
            (seen, info), (expected, told) = (vector.reset(options={"reset_mask": ended}) for vector in (ours, plain))
            assert_same(seen, expected)
            assert_told(info, told)
    assert {"quit", "step_limit"} == set(ends)
    plain.close()


def test_a_list_of_seeds_and_options_by_row_reach_their_rows(vector_env):
    ours, alone = vector_env(3, 1, **SHORT), NetHackEnv(**SHORT)
    seen, info = ours.reset(seed=[8, 3, 5])
    assert_row(1, seen, info, *alone.reset(seed=3))
    seen, info = ours.reset(seed=[None, 4, None])
    assert_row(1, seen, info, *alone.reset(seed=4))
    alone.reset(seed=8)
    assert_row(0, seen, info, *alone.reset())
    options = {"nethack_seeds": [[1, 2], [3, 4], [5, 6]], "level_seed": [0, None, 7], "character": "val-dwa-law-fem"}
    seen, info = ours.reset(options=options)
    for row in range(3):
        own = {name: values if name == "character" else values[row] for name, values in options.items()}
        assert_row(row, seen, info, *alone.reset(options=own))
    seen, info = ours.reset(options={"nethack_seeds": [1, 2], "reset_mask": np.array([False, True, False])})
    assert_row(1, seen, info, *alone.reset(options={"nethack_seeds": [1, 2]}))
    assert info["nethack_seeds"].tolist() == [[1, 2], [1, 2], [5, 6]]
    np.testing.assert_array_equal(info["_score"], [False, True, False])


def assert_row(row, seen, info, expected, told):
    """Assert that a row is what an environment of one game shows and tells."""
    assert_same(part_of(seen, row), expected)
    assert {name: np.asarray(info[name][row]).tolist() for name in told} == told


def test_unseeded_rows_differ(vector_env):
    _, info = vector_env(3, 1, **SHORT).reset()
    assert len({tuple(seeds) for seeds in info["nethack_seeds"].tolist()}) == 3


def test_observations_are_copies_unless_views_are_asked_for(vector_env):
    for is_copy in (True, False):
        ours = vector_env(1, 1, copy=is_copy, **SHORT)
        first, _ = ours.reset(seed=0)
        kept = first["blstats"].copy()
        for actions in keys(5, 1):
            ours.step(actions)
        assert np.array_equal(first["blstats"], kept) is is_copy
        assert ours.observation_space.contains(first)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_games_of_a_worker_that_is_killed_are_lost_and_the_others_do_not_notice(vector_env, mode):
    ours, undisturbed = (vector_env(4, workers, autoreset_mode=mode, **LONG) for workers in (2, 1))
    ours.reset(seed=SEED), undisturbed.reset(seed=SEED)
    moves, lost = keys(12, 4) % MOVES, np.array([True, True, False, False])
    for actions in moves[:4]:
        before = ours.step(actions)[0]
        undisturbed.step(actions)
    pids = ours.worker_pids
    if mode is AutoresetMode.SAME_STEP:  # it dies while it is waited for
        os.kill(pids[0], signal.SIGSTOP)
        threading.Timer(0.1, os.kill, (pids[0], signal.SIGKILL)).start()
    else:
        os.kill(pids[0], signal.SIGKILL)
    seen, reward, terminated, truncated, info = ours.step(moves[4])
    expected = undisturbed.step(moves[4])
    assert ours.worker_pids[0] != pids[0]
    assert ours.worker_pids[1] == pids[1]
    np.testing.assert_array_equal(truncated, lost)
    assert not terminated.any()
    assert not reward[lost].any()
    assert info["end"].tolist() == ["lost", "lost", None, None]
    assert info["episode_length"][lost].tolist() == [4, 4]
    assert_same(part_of(seen, slice(2, 4)), part_of(expected[0], slice(2, 4)))
    if mode is AutoresetMode.SAME_STEP:
        last, first = info["final_obs"], seen
    else:
        last = seen
        first = (ours.reset(options={"reset_mask": lost}) if mode is AutoresetMode.DISABLED else ours.step(moves[5]))[0]
        if mode is AutoresetMode.NEXT_STEP:
            undisturbed.step(moves[5])
    alone = NetHackEnv(**LONG)
    for row in range(2):
        assert_same(part_of(last, row), part_of(before, row))
        alone.reset(seed=SEED + row)
        assert_same(part_of(first, row), alone.reset()[0])
    for actions in moves[6:]:
        seen, *said, info = ours.step(actions)
        expected, *others, _ = undisturbed.step(actions)
        for some, other in zip((*seen.values(), *said), (*expected.values(), *others), strict=True):
            np.testing.assert_array_equal(some[2:], other[2:])
        assert info["end"].tolist() == [None] * 4


def test_games_that_are_lost_while_others_are_reset_say_so_in_the_next_step(vector_env):
    ours = vector_env(3, 1, autoreset_mode="disabled", **LONG)
    ours.reset(seed=SEED)
    ours.step(keys(1, 3)[0])
    os.kill(ours.worker_pids[0], signal.SIGKILL)
    ours.reset(options={"reset_mask": np.array([False, True, False])})
    _, _, _, truncated, info = ours.step(keys(1, 3)[0])
    assert truncated.tolist() == [True, False, True]
    assert info["end"].tolist() == ["lost", None, "lost"]
    assert info["episode_length"][truncated].tolist() == [1, 1]
    ours.reset(options={"reset_mask": truncated})
    assert not ours.step(keys(1, 3)[0])[3].any()


def test_games_that_kill_every_worker_are_given_up(vector_env, monkeypatch):
    ours = vector_env(1, 1, **LONG)
    ours.reset(seed=0)
    monkeypatch.setattr(type(ours._pool), "exchange", lambda pool, message: [0])
    with pytest.raises(RuntimeError, match="died 3 times in a row"):
        ours.reset()
    assert ours.closed


def test_a_game_that_ended_before_its_worker_died_ended_as_it_did(vector_env, monkeypatch):
    ours = vector_env(3, 1, **LONG)
    ours.reset(seed=0)

    def one_dies_and_one_steps(message):
        flags, reward = ours._arrays["flags"], ours._arrays["reward"]
        flags[:, 0] = True, False, ENDS.index("death"), True, True
        flags[:, 1] = False, False, len(ENDS), True, True
        reward[:] = 5.0
        return [0]

    monkeypatch.setattr(ours._pool, "exchange", one_dies_and_one_steps)
    _, reward, terminated, truncated, info = ours.step([0, 0, 0])
    assert (terminated.tolist(), truncated.tolist()) == ([True, False, False], [False, True, True])
    assert info["end"].tolist() == ["death", "lost", "lost"]
    assert reward.tolist() == [5.0, 5.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [SCORE, CHALLENGE])
def test_rows_of_many_games_are_those_of_one_that_plays_them_in_turn(games, name):
    """Twenty seeds, 1,000 random keys each, episode by episode, in vectors of 1, 8 and 32 games."""
    env = gym.make(name, observation="all", disable_env_checker=True)
    count, steps = env.action_space.n, 1000
    actions = np.stack([games.actions_of(seed, steps, count) for seed in range(32)], axis=1)
    expected = [games.play(env, seed, actions[:, seed]) for seed in range(20)]
    for num_envs in (1, 8, 32):
        ours = gym.make_vec(name, num_envs=num_envs, workers=2, observation="all", autoreset_mode="disabled")
        tales = [games.Tale() for _ in range(min(num_envs, 20))]

        def shown(row, observation, info):
            return part_of(observation, row), {entry: info[entry][row] for entry in games.TOLD}

        observation, info = ours.reset(seed=0)
        for row, tale in enumerate(tales):
            tale.saw(*shown(row, observation, info))
        for step in range(steps):
            observation, *said, info = ours.step(actions[step, :num_envs])
            for row, tale in enumerate(tales):
                seen, told = shown(row, observation, info)
                tale.stepped(seen, *(part[row] for part in said), told)
            ended = said[1] | said[2]
            if ended.any():
                observation, info = ours.reset(options={"reset_mask": ended})
            for row in np.flatnonzero(ended[: len(tales)]):
                tales[row].saw(*shown(row, observation, info))
        ours.close()
        assert [tale.digest for tale in tales] == expected[:num_envs]


@pytest.mark.parametrize("name", [SCORE, CHALLENGE])
def test_both_environments_can_be_made_as_vectors_by_name(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = gym.make_vec(name, num_envs=2, workers=1, max_episode_steps=3)
    alone = gym.make(name)
    assert isinstance(ours, NetHackVectorEnv)
    assert (ours.single_observation_space, ours.single_action_space) == (alone.observation_space, alone.action_space)
    assert ours.observation_space.shape == (2,) or ours.observation_space.contains(ours.reset(seed=1)[0])
    assert_row(1, *ours.reset(seed=1), *alone.reset(seed=2))
    assert [ours.step(ours.action_space.sample())[3].tolist() for _ in range(3)] == [[False] * 2] * 2 + [[True] * 2]
    assert not ours.step(ours.action_space.sample())[3].any()
    ours.close()
    alone.close()


def test_input_that_cannot_be_is_refused(vector_env):
    ours = vector_env(3, 1, **SHORT)
    with pytest.raises(ResetNeeded):
        ours.step([0, 0, 0])
    with pytest.raises(ValueError, match="never reset"):
        ours.reset(options={"reset_mask": np.array([True, False, False])})
    for mask in (np.zeros(3, bool), np.ones(2, bool), np.array([1, 0, 1])):
        with pytest.raises(ValueError, match="reset_mask must be booleans of shape"):
            ours.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="seed has 2 entries"):
        ours.reset(seed=[1, 2])
    with pytest.raises(InputError, match="option level_seed has 2 entries; there are 3 rows"):
        ours.reset(options={"level_seed": [1, 2]})
    with pytest.raises(InputError, match="character 'nobody'"):
        ours.reset(options={"character": ["@", "nobody", "@"]})
    with pytest.raises(InputError, match="option of reset 'level'"):
        ours.reset(options={"level": 3})
    ours.reset(seed=0)
    for actions, said in (
        ([0, 121, 0], r"action is 121 in row 1; it must lie in \[0, 121\)"),
        ([0, 0, -1], "action is -1 in row 2"),
        ([0.0, 1.0, 2.0], "of type float64"),
        ([0, 0], r"shape \[2\]; it must be \[3\]"),
    ):
        with pytest.raises(ValueError, match=said):
            ours.step(np.array(actions))
    assert not ours.step([0, 0, 0])[3].any()
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(ours)
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.dumps(ours)
    ours.close()
    ours.close()
    for call in (ours.reset, lambda: ours.step([0, 0, 0])):
        with pytest.raises(ClosedEnvironmentError):
            call()


def test_numbers_of_numpy_and_paths_are_arguments(vector_env, tmp_path):
    ours = vector_env(np.int64(2), np.int64(1), max_episode_steps=np.int64(1), record=tmp_path / "games")
    ours.reset(seed=0)
    assert ours.step(np.array([1, 2], np.uint8))[3].all()
    assert len(list((tmp_path / "games").glob("*.ttyrec3.bz2"))) == 2


def test_arguments_that_cannot_be_are_refused():
    for arguments, said in (
        ({"num_envs": 0}, "num_envs must be a whole number, at least 1, not 0"),
        ({"workers": -1}, "workers must be a whole number"),
        ({"autoreset_mode": "sometimes"}, "autoreset_mode must be one of"),
        ({"render_mode": "ansi"}, "render_mode: a vector environment shows nothing"),
        ({"observation": "smell"}, "observation 'smell'"),
        ({"num_envs": 10**9}, "num_envs = 1000000000 needs"),
    ):
        with pytest.raises(ValueError, match=said):
            NetHackVectorEnv(**arguments)


def with_open_files(limit, code):
    """Run a program that may have so many files open; this process may have more open already."""
    start = (
        "import resource\nfrom sandtable.envs.nethack.vector_env import InputError, NetHackVectorEnv\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", start + textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_too_few_open_files_are_said_before_any_game_begins():
    said = with_open_files(
        100,
        """
        try:
            NetHackVectorEnv(80, workers=2)
        except InputError as error:
            print(error)
        NetHackVectorEnv(2, workers=2).close()
        """,
    )
    assert re.search(r"80 in 2 workers: .* the limit is 100: raise it \(ulimit -n 112\)", said)


@pytest.mark.parametrize("record", [False, True])
def test_as_many_games_as_the_open_files_allow_can_be_played(tmp_path, record):
    folder = {"record": str(tmp_path / "games")} if record else {}
    with_open_files(
        48 + 8 * record,
        f"""
        ours = NetHackVectorEnv(8, workers=1, **{folder})
        ours.reset(seed=0)
        ours.step([0] * 8)
        ours.close()
        """,
    )
    assert len(list(tmp_path.glob("games/*.ttyrec3.bz2"))) == 8 * record
