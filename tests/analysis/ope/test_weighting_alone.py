"""Logs that tell the target policy's probability of the logged actions alone: weighting serves them, values may not."""

from dataclasses import replace

import numpy as np
import pytest

from sandtable.analysis.ope.estimates import ESTIMATORS, LINEAR
from sandtable.analysis.ope.evaluate import DIAGNOSTICS, Evaluation, answer, document, evaluate
from sandtable.analysis.ope.evaluation_report import evaluation_report
from sandtable.analysis.ope.prepare import prepare
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.analysis.report import render
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

SERVED = ("is", "wis", "pdis", "wpdis")
SETTINGS = EvaluateSettings(1.0)
STEPS, VALUE = 3, 1.2
"""Each step pays its action; the target policy takes action 1 with probability .4."""


@pytest.fixture(scope="module")
def bare() -> LoggedSteps:
    """Return 300 episodes of three steps: the actions of a fair coin, and no states."""
    episodes, action = 300, np.random.default_rng(0).integers(0, 2, 900)
    last = np.tile([False, False, True], episodes)
    return LoggedSteps(
        actions=2, episode=np.repeat(np.arange(episodes), STEPS), step=np.tile(np.arange(STEPS), episodes),
        action=action, reward=action.astype(float), terminated=last, truncated=np.zeros(len(last), bool),
        behaviour_probability=np.full(len(last), 0.5), target_probability=np.where(action == 1, 0.4, 0.6),
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_states(bare) -> LoggedSteps:
    """Return the same with the step for the state."""
    return bare.with_(observation=bare.step, next_observation=np.where(bare.terminated, 0, bare.step + 1))


def found(log: LoggedSteps, settings: EvaluateSettings = SETTINGS) -> Evaluation:
    return evaluate(prepare(log, settings), settings)


def covers(result: Evaluation, name: str) -> bool:
    low, high = result.estimate(name).conf_int(0.01)
    return low <= VALUE <= high


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (False, "the log holds neither states nor features, and a value is fitted to them"),
        (True, "the target policy's probability is known of the logged actions alone, and values of pairs need that of "
         "every action; use --value v, log target_probability_0 .., or pass --target"),
    ],
)  # fmt: skip
def test_what_weights_runs_and_the_rest_does_not_with_the_reason(bare, with_states, states, reason):
    result = found(with_states if states else bare)
    for name in SERVED:
        assert result.estimate(name).status == "ok", name
        assert covers(result, name), name
    for name in set(ESTIMATORS) - set(SERVED):
        assert (result.estimate(name).status, result.estimate(name).reason) == ("not run", reason)
    assert result.chosen == "wis"
    assert ", by WIS from 300 episodes." in answer(result)
    told = document(result, "report.html")
    assert list(told) == [
        "schema", "n", "episodes", "actions", "features", "discount", "value_scale", "initial", "estimates",
        "diagnostics", "overlap", "warnings", "report",
    ]  # fmt: skip
    assert told["features"] == 0
    assert told["diagnostics"] == dict.fromkeys(DIAGNOSTICS)
    assert list(told["diagnostics"]) == list(DIAGNOSTICS)
    assert [warning for warning in told["warnings"] if "diagnostics" in warning] == [f"diagnostics: null, for {reason}"]
    assert told["overlap"]["ess"] > 100


def test_the_report_leaves_out_what_is_not_known_and_says_why(bare):
    result = found(bare)
    report = evaluation_report(result, document(result, "report.html"), {})
    assert [section.title for section in report.sections] == [
        "Estimates", "Overlap", "What was assumed", "How it was done",
    ]  # fmt: skip
    page = render(report)
    assert "There is no spectrum, and there are no curves, for the log holds neither states nor features" in page
    assert page.count("<svg") == 2


def test_state_values_need_the_probability_of_the_logged_action_alone(with_states):
    result = found(with_states, replace(SETTINGS, value="v"))
    for name in (*LINEAR, "dr", "wdr"):
        assert result.estimate(name).status == "ok", name
    assert covers(result, "lstd")
    assert result.chosen == "lstd"
    assert document(result, "x")["features"] == STEPS
    assert result.estimate("fqe").reason == "the log holds no target_probability of every action"


def test_features_without_those_that_follow_serve_values_of_states_alone(bare):
    log = bare.with_(features=np.eye(STEPS)[bare.step])
    result = found(log)
    assert "the log holds no next_feature_0 .." in result.estimate("lstd").reason
    assert result.chosen == "wis"
    assert covers(found(log, replace(SETTINGS, value="v")), "lstd")
    with pytest.raises(InputError, match="needs next_feature_0"):
        prepare(log, replace(SETTINGS, features="columns"))


def test_one_action_in_the_log_may_be_one_of_several(with_states):
    """The target policy takes the logged action less often than it was taken: rows weigh as much less."""
    ones = with_states.with_(
        actions=1, action=np.zeros_like(with_states.action), target_probability=np.full(len(with_states), 0.25)
    )
    assert set(prepare(ones, replace(SETTINGS, value="v")).featured.ratio) == {0.5}


def test_weights_that_few_episodes_carry_name_no_answer(bare):
    rare = np.where((bare.episode < 3) & (bare.action >= 0), 0.5, 1e-6)
    result = found(bare.with_(target_probability=rare))
    assert result.chosen is None
    assert "no value is fitted, and its weights leave too few episodes to average" in answer(result)
    assert "no value is fitted, and the weights leave fewer" in render(evaluation_report(result, {}, {}))


def test_what_neither_serves_is_refused(bare):
    with pytest.raises(InputError, match="neither features nor observations"):
        prepare(bare.with_(behaviour_probability=None), SETTINGS)
    with pytest.raises(InputError, match="needs the features in the log"):
        prepare(bare, replace(SETTINGS, features="columns"))
