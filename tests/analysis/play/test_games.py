"""Games in one process: each is played to its end, and does not depend on those beside it."""

import multiprocessing
from collections import deque

import gymnasium as gym
import numpy as np
import pytest

from sandtable.agents.policy_spec import load_policy
from sandtable.analysis.play.environment import EnvironmentChoice, arguments_of
from sandtable.analysis.play.games import GameRow, NobodyListensError, Reused, play
from sandtable.analysis.play.process import Pipe
from sandtable.simulators.errors import InputError


class Listener:
    """Asks for games as ``workers`` does, in this process."""

    def __init__(self, seeds, seats):
        self.waiting, self.out, self.rows = deque(seeds), min(seats, len(seeds)), []

    def seed(self, wait):
        if wait and not self.waiting:
            raise NobodyListensError
        return self.waiting.popleft() if self.waiting else None

    def look(self):
        pass

    def send(self, row):
        self.rows.append(row)


def games(env: str, policy: str, seeds, seats: int = 1, **how) -> dict[int, GameRow]:
    choice = EnvironmentChoice(env, how.pop("arguments", {}), how.pop("max_steps", None))
    one = choice.make()
    listener, host = Listener(seeds, seats), Reused(choice)
    loaded = load_policy(policy, one.observation_space, one.action_space)
    with pytest.raises(NobodyListensError):
        play(listener, host, loaded, policy, seats)
    host.close()
    return {row.seed: row for row in listener.rows}


def outcome(row: GameRow) -> tuple:
    return row.end, row.total, row.length, row.score


@pytest.mark.parametrize("policy", ["random", "worlds:Alternating"])
def test_a_game_does_not_depend_on_those_beside_it(worlds, policy):
    alone = {seed: outcome(games("CartPole-v1" if policy == "random" else "worlds:Lengths-v0", policy, [seed])[seed])
             for seed in range(8)}  # fmt: skip
    together = games("CartPole-v1" if policy == "random" else "worlds:Lengths-v0", policy, range(7, -1, -1), seats=5)
    assert {seed: outcome(row) for seed, row in sorted(together.items())} == alone


def test_the_first_games_to_finish_are_a_biased_sample_and_the_games_of_all_seeds_are_not(worlds):
    """Half of the games are long and bring 1. Of the first 50 that end in 50 places hardly any are among them."""
    vector = gym.vector.SyncVectorEnv([lambda: gym.make("worlds:Lengths-v0")] * 50)
    vector.reset(seed=0)
    first: list[float] = []
    while len(first) < 50:
        _, reward, terminated, _, _ = vector.step(np.zeros(50, np.int64))
        first += list(reward[terminated])
    ours = games("worlds:Lengths-v0", "random", range(400), seats=50)
    assert set(ours) == set(range(400))
    assert np.mean(first) < 0.1
    assert np.mean([row.total for row in ours.values()]) == pytest.approx(0.5, abs=3 * 0.025)


def test_a_row_says_how_the_game_ended_and_what_the_environment_told(worlds):
    told = games("worlds:Telling-v0", "random", range(6))
    plain = games("worlds:Lengths-v0", "random", range(6))
    for seed, row in told.items():
        assert (row.score, row.turns, row.depth, row.experience_level) == (2 * row.length, row.length, 1, 3)
        assert (row.end, row.length in (3, 60), row.reproducible) == ("terminated", True, row.length == 3)
        assert outcome(plain[seed]) == ("terminated", row.total, row.length, None)
    assert {row.end for row in games("worlds:Lengths-v0", "random", range(6), max_steps=10).values()} == {
        "terminated", "step_limit",
    }  # fmt: skip
    assert games("CartPole-v1", "random", [0], max_steps=4)[0].length == 4
    assert games("sandtable/LostSales-v0", "random", [0], arguments={"horizon": 5})[0].end == "truncated"


def test_a_policy_that_leaves_the_action_space_is_told_with_its_game_and_step(worlds):
    with pytest.raises(InputError, match=r"worlds:beyond, game of seed 5, step 2: action 2 is not in Discrete\(2\)"):
        games("worlds:Lengths-v0", "worlds:beyond", [5])


@pytest.mark.parametrize("env", ["CartPole-v1", "sandtable/LostSales-v0", "sandtable/LinearMDP-v0"])
def test_a_limit_of_steps_is_gymnasium_s_where_the_environment_has_none_of_its_own(worlds, env):
    choice = EnvironmentChoice(env, {}, max_steps=3)
    assert choice.make().spec.max_episode_steps == 3
    assert choice.told == {"max_episode_steps": 3}


@pytest.mark.parametrize(
    ("env", "arguments", "said"),
    [
        ("CartPol-v1", {}, "--env CartPol-v1: Environment `CartPol` doesn't exist. Did you mean: `CartPole`?"),
        ("CartPole-v1", {"lenght": 2}, "--set lenght: CartPole-v1 has no such argument; it has sutton_barto_reward"),
        ("sandtable/LostSales-v0", {"lead": 2}, "--set lead: sandtable/LostSales-v0 has no such argument"),
        ("worlds:Picky-v0", {"hardness": 5}, "it cannot be made: ValueError: hardness must be 1, 2 or 3"),
        ("absent_world:Any-v0", {}, "importing absent_world raised ModuleNotFoundError"),
        ("an id", {}, "--env an id: Malformed environment ID"),
    ],
)
def test_an_environment_that_cannot_be_made_is_told(worlds, env, arguments, said):
    with pytest.raises(InputError) as refused:
        EnvironmentChoice(env, arguments).make()
    assert said in str(refused.value)
    with pytest.raises(InputError) as refused:
        EnvironmentChoice(env, arguments, max_steps=7).make()
    assert said in str(refused.value)


def test_arguments_are_json_or_else_text():
    given = ["a=1", "b=-0.5", "c=null", 'd=["x", "y"]', "e=glyphs,blstats", "f=@", "g=", "h=a=b", 'i="1"']
    assert arguments_of(given) == {
        "a": 1, "b": -0.5, "c": None, "d": ["x", "y"], "e": "glyphs,blstats", "f": "@", "g": "", "h": "a=b", "i": "1",
    }  # fmt: skip
    for wrong in ("a", "=1", "a b=1"):
        with pytest.raises(InputError, match="it must be ARGUMENT=VALUE"):
            arguments_of([wrong])
    with pytest.raises(InputError, match="given twice"):
        arguments_of(["a=1", "a=2"])


def test_a_line_whose_other_end_is_closed_says_so():
    ours, theirs = multiprocessing.Pipe()
    line = Pipe(theirs)
    assert line.seed(wait=False) is None
    ours.send(3)
    assert line.seed(wait=False) == 3
    ours.close()
    for use in (line.look, lambda: line.seed(wait=True), lambda: line.send(GameRow(3, "lost"))):
        with pytest.raises(NobodyListensError):
            use()
