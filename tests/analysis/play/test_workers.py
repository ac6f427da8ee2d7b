"""Games spread over processes: the same rows from any crew, and no game lost but those that break something."""

import pytest

from sandtable.agents.policy_spec import PolicyOptions
from sandtable.analysis.play.environment import EnvironmentChoice
from sandtable.analysis.play.games import GameRow
from sandtable.analysis.play.process import Job
from sandtable.analysis.play.workers import played
from sandtable.simulators.errors import InputError


def rows(env: str, policy: str, games: int, seats: int, workers: int) -> dict[int, tuple]:
    job = Job(EnvironmentChoice(env, {}), policy, PolicyOptions())
    found: list[GameRow] = list(played(job, range(games), seats, workers))
    assert sorted(row.seed for row in found) == list(range(games))
    return {row.seed: (row.end, row.total, row.length, row.reason) for row in sorted(found, key=lambda row: row.seed)}


@pytest.mark.parametrize("policy", ["random", "worlds:Alternating"])
def test_rows_do_not_depend_on_seats_and_workers(worlds, policy, capfd):
    assert rows("worlds:Lengths-v0", policy, 20, 1, 1) == rows("worlds:Lengths-v0", policy, 20, 9, 3)
    assert capfd.readouterr().out == ""  # what a policy prints is not the command's output


def test_only_the_games_that_break_something_are_lost_however_many_were_beside_them(worlds):
    alone, beside = (rows("worlds:Crashing-v0", "random", 8, seats, 1) for seats in (1, 8))
    assert alone == beside
    assert [seed for seed, row in alone.items() if row[0] == "lost"] == [1, 2, 4]
    assert alone[2][3] == "the environment raised RuntimeError: no such level"
    assert alone[4][3] == "its process ended with exit code 3"


def test_where_no_game_can_be_played_it_is_said_early(worlds):
    with pytest.raises(InputError, match="no game can be played: of each of the first 3"):
        rows("worlds:Dying-v0", "random", 100, 16, 2)


def test_games_that_nobody_waits_for_any_more_are_left(worlds):
    job = Job(EnvironmentChoice("worlds:Lengths-v0", {}), "random", PolicyOptions())
    games = played(job, range(1000), 4, 2)
    assert next(games).end == "terminated"
    games.close()
