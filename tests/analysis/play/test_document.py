"""The document on games: what is counted, what is warned of, and the sentence."""

import pytest

from sandtable.agents.policy_spec import PolicyOptions
from sandtable.analysis.play.document import answer, document, games_csv, number
from sandtable.analysis.play.environment import EnvironmentChoice
from sandtable.analysis.play.games import GameRow
from sandtable.analysis.play.play_report import decimals
from sandtable.analysis.play.prepared import Prepared
from sandtable.analysis.play.settings import PlaySettings


def told(rows: list[GameRow], nethack: bool = False, **settings: object) -> dict:
    prepared = Prepared(EnvironmentChoice("Any-v0", {}), "random", PolicyOptions(), "random", False, nethack, {})
    return document(PlaySettings(env="Any-v0", policy="random", **settings), prepared, rows, "games.csv", "report.html")


def game(seed: int, total: float = 1.0, **of: object) -> GameRow:
    return GameRow(seed, **{"end": "terminated", "total": total, "length": 4} | of)


def codes(found: dict) -> list[str]:
    return [one["code"] for one in found["warnings"]]


def test_what_the_environment_does_not_tell_is_null():
    found = told([game(seed, seed) for seed in range(20)])
    assert (found["score"], found["turns"], found["depth"], found["reproducible"]) == (None, None, None, None)
    assert codes(found) == []
    assert answer(found, 0.05).startswith("Mean return 9.5 [6.731, 12.27], median 9.5 [5, 14], of random in 20 games")


def test_ends_of_nethack_are_all_told():
    ends = ("death", "ascended", "quit", "step_limit", "no_progress", "lost")
    found = told([game(0, end="death", score=2.0), game(1, 3.0, end="step_limit", score=3.0)], nethack=True)
    assert found["end"] == {name: int(name in ("death", "step_limit")) for name in ends}
    assert "cut_games" in codes(found)
    assert told([game(0, end="won"), game(1, 2.0)])["end"] == {"terminated": 1, "lost": 0, "won": 1}


def test_a_limit_of_the_environment_s_own_is_no_warning_and_the_user_s_is():
    rows = [game(seed, seed, end="step_limit") for seed in range(20)]
    assert codes(told(rows)) == []
    assert codes(told(rows, max_steps=4)) == ["cut_games"]


def test_games_that_all_came_out_the_same_and_few_games_are_warned_of():
    assert codes(told([game(seed) for seed in range(3)])) == ["few_games", "equal_games"]
    assert codes(told([game(0)])) == ["few_games"]


def test_steps_a_second_count_what_all_games_cost():
    rows = [game(0, cpu_seconds=1.0), GameRow(1, "lost", reason="it broke", cpu_seconds=3.0)]
    assert told(rows)["steps_per_cpu_second"] == 1


def test_the_table_has_whole_numbers_and_leaves_out_what_is_not_known():
    lines = games_csv([game(3, -1.25, score=7.0), GameRow(4, "lost")]).splitlines()
    assert lines[1:] == ["3,7,-1.25,4,,,,terminated", "4,,,,,,,lost"]


@pytest.mark.parametrize(("value", "text"), [(3.14159, "3.142"), (12345.6, "12,346"), (-0.05, "-0.05"), (500.0, "500")])
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("mean", "error", "places"), [(33.8, 2.9, 1), (1889, 89, 0), (0.5, 0.012, 3), (7, 0, 3), (0, 0, 1)]
)
def test_decimals_are_those_that_the_error_warrants(mean, error, places):
    assert decimals(mean, error) == places
