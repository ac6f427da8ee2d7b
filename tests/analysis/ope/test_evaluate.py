"""An evaluation of logs whose truth is known: values, regimes, what does not run and why, and the document."""

import math

import numpy as np
import pytest

from sandtable.analysis.ope.estimates import ESTIMATORS
from sandtable.analysis.ope.evaluate import DIAGNOSTICS, Evaluation, answer, document, evaluate
from sandtable.analysis.ope.evaluation_report import evaluation_report
from sandtable.analysis.ope.prepare import prepare
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.analysis.report import render
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.logged_steps import LoggedSteps

LINEAR = ("lstd", "td", "minimax", "model")
WEIGHTED = ("is", "wis", "pdis", "wpdis", "dr", "wdr")


def found(log: LoggedSteps, discount: float, **settings) -> Evaluation:
    chosen = EvaluateSettings(discount, **{"fqe_steps": 0, **settings})
    return evaluate(prepare(log, chosen), chosen)


def covers(result: Evaluation, name: str, value: float, alpha: float = 0.01) -> bool:
    low, high = result.estimate(name).conf_int(alpha)
    return low <= value <= high


@pytest.fixture(scope="module")
def r5():
    """Independent draws from a world on which FQI diverges and LSTD is right."""
    process = LinearMDP("R5", noise=0.5)
    return process, found(process.sample(2000, 1), 0.9)


@pytest.fixture(scope="module")
def graph():
    """Episodes of the graph of COBS, of two actions."""
    process = LinearMDP("cobs-graph")
    return process, process.sample(800, 4, "episodes")


@pytest.fixture(scope="module")
def of_pairs(graph):
    _, log = graph
    return found(log, 0.98, features="tabular")


def test_where_fqi_diverges_lstd_is_right(r5):
    """R5: spectral radius 1.8 at discount .9, value 1/2."""
    process, result = r5
    assert result.estimate("fqi").status == "diverged"
    assert math.isnan(result.estimate("fqi").value)
    for name in LINEAR:
        assert covers(result, name, process.exact().value), name
    assert result.chosen == "lstd"
    assert result.verdict.fqi == "diverges"
    assert "FQI diverges here for almost every reward (spectral radius 1.8" in result.verdict.sentence
    assert answer(result).startswith("The target policy is worth 0.4")


def test_so_many_iterations_of_a_diverging_fqi_are_so_far_off(r5):
    process, _ = r5
    result = found(process.sample(2000, 1), 0.9, iterations=20)
    assert abs(result.estimate("fqi").value) > 1e4
    assert result.estimate("fqi").iterations == 20
    assert result.curves.iterates[20] == pytest.approx(result.estimate("fqi").value)


def test_what_needs_episodes_does_not_run_on_independent_draws(r5):
    _, result = r5
    for name in (*WEIGHTED, "magic"):
        assert result.estimate(name).status == "not run"
        assert "independent draws" in result.estimate(name).reason


def test_where_fqi_converges_all_agree():
    """R1b: low distribution shift; the value from its uniform start is 0."""
    process = LinearMDP("R1b", noise=0.5, horizon=30)
    result = found(process.sample(100, 2, "episodes"), 0.9)
    assert result.verdict.diagnostics.regime == "low distribution shift"
    values = [result.estimate(name).value for name in (*LINEAR, "fqi")]
    assert np.allclose(values, values[0])
    assert covers(result, "lstd", process.exact().value)
    assert result.estimate("lstd").interval == "cluster"
    assert [one.interval for one in result.intervals] == ["hc0", "cluster", "one_step_bootstrap", "episode_bootstrap"]


def test_every_estimator_covers_the_truth_of_the_graph(graph, of_pairs):
    """-1.16448 for the target policy of COBS's graph at horizon 4 (its own FQE gives -1.12583 on 1,024 episodes).

    IS and WIS weight whole episodes: eight effective ones of 800, for which a normal interval promises nothing.
    """
    process, _ = graph
    assert process.exact().value == pytest.approx(-1.16448, abs=1e-5)
    for name in (*LINEAR, "fqi", "pdis", "wpdis", "dr", "wdr"):
        assert covers(of_pairs, name, -1.16448, alpha=0.005), name


def test_values_of_pairs_and_of_states_agree_within_their_intervals(graph, of_pairs):
    _, log = graph
    states = found(log, 0.98, features="tabular", value="v")
    one, other = of_pairs.estimate("lstd"), states.estimate("lstd")
    assert abs(one.value - other.value) < 3 * (one.se + other.se)
    assert states.prepared.moments.features == 7
    assert covers(states, "lstd", -1.16448)
    assert covers(states, "dr", -1.16448, alpha=0.005)


def test_behaviour_that_nobody_logged_is_estimated(graph, of_pairs):
    _, log = graph
    blind = found(log.with_(behaviour_probability=None), 0.98, features="tabular", behaviour="estimate")
    assert any(warning.startswith("behaviour probabilities by counts, cross-fitted") for warning in blind.warnings)
    for name in ("wis", "dr"):
        one, other = blind.estimate(name), of_pairs.estimate(name)
        assert abs(one.value - other.value) < one.se + other.se
    silent = found(log.with_(behaviour_probability=None), 0.98, features="tabular")
    assert "behaviour_probability" in silent.estimate("wis").reason
    assert silent.estimate("lstd").value == of_pairs.estimate("lstd").value


def test_the_target_may_be_another_policy(graph):
    process, log = graph
    uniform = found(log, 0.98, features="tabular", target="uniform")
    world = process.mdp
    even = LinearMDP(type(world)(**{**vars_of(world), "target": np.full_like(world.target, 0.5)}))
    assert covers(uniform, "lstd", even.mdp.value(0.98))


def vars_of(world):
    from dataclasses import fields

    return {field.name: getattr(world, field.name) for field in fields(world)}


def test_linear_columns_of_icu_sepsis_tell_the_experts_worth():
    """ICU-Sepsis (arXiv 2406.05646): the expert's return is published as .78."""
    folder = data_folder()
    if folder is None or not (folder / "ope" / "icu_sepsis_dynamics.npz").is_file():
        pytest.skip("needs the file of ICU-Sepsis in the folder of real data")
    log = LinearMDP("icu-sepsis", target="expert", behaviour="expert").sample(2000, 1, "episodes")
    result = found(log, 1.0)
    assert covers(result, "lstd", 0.78)
    assert covers(result, "wis", 0.78)
    assert result.verdict.fqi == "converges"


def test_where_the_system_is_singular_no_answer_is_given():
    """R7: the reward where the data lie is 0 whatever the value, so the moments cannot tell it."""
    result = found(LinearMDP("R7").sample(200, 1), 0.9)
    assert result.verdict.diagnostics.regime in ("singular", "boundary")
    assert result.chosen is None
    assert "does not tell what the target policy is worth" in answer(result)
    for one in (result.estimate(name) for name in LINEAR):
        assert one.status in ("singular", "diverged"), one.estimator
        assert (one.se, one.interval) == (None, "none"), one.estimator
    lstd = result.estimate("lstd")
    assert "no interval, for the log does not determine the value at the starts" in lstd.reason
    assert result.intervals == []
    assert result.estimate("brm").status == "ok"  # its squared errors have a minimum, at another value: it is biased
    told = next(row for row in document(result, "x")["estimates"] if row["estimator"] == "lstd")
    assert (told["se"], told["ci"], told["interval"]) == (None, [None, None], "none")


def test_a_ridge_hides_no_singular_system():
    """R7: the ridge makes a system that has a solution, and the log still does not tell the value."""
    result = found(LinearMDP("R7").sample(200, 1), 0.9, ridge=0.01)
    assert result.verdict.lstd == "inconsistent"
    assert result.chosen is None
    for one in (result.estimate(name) for name in (*LINEAR, "fqi")):
        assert (one.status, one.se, one.interval) == ("singular", None, "none"), one.estimator
        assert "does not determine the value at the starts: the ridge does" in one.reason
    told = document(result, "x")
    assert (told["diagnostics"]["regime"], told["diagnostics"]["regime_certain"]) == ("singular", True)
    assert told["diagnostics"]["coverage"] is None
    assert any(warning.startswith("diagnostics: of the moments with the ridge of 0.01") for warning in told["warnings"])
    assert "Without the ridge the moments are in the regime “singular”." in result.verdict.summary()
    assert "Of the moments with the ridge of 0.01" in render(evaluation_report(result, told, {}))


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_starts_that_leave_the_span_of_the_data_have_no_answer(ridge):
    """R1b in its own features and one that no row has: LSTD is right of the rows, and says nothing of such starts."""
    log = LinearMDP("R1b", noise=0.5).sample(200, 1)
    wider = [np.column_stack([array, np.zeros(len(array))]) for array in (log.features, log.next_features)]
    start = np.append(np.zeros(log.features.shape[1]), 1.0)[None]
    result = found(log.with_(features=wider[0], next_features=wider[1], initial_features=start), 0.9, ridge=ridge)
    assert result.verdict.lstd == "consistent"
    assert "the value at these starts is not determined by the log" in result.verdict.sentence
    assert result.chosen is None
    assert document(result, "x")["diagnostics"]["coverage"] is None
    assert all(result.estimate(name).interval == "none" for name in (*LINEAR, "brm", "fqi"))
    assert result.intervals == []
    assert "the log does not determine what linear values are at its starts" in answer(result)


def test_a_zero_behaviour_probability_stops_what_divides_by_it(graph):
    _, log = graph
    never = log.behaviour_probability.copy()
    never[3] = 0.0
    result = found(log.with_(behaviour_probability=never), 0.98, features="tabular")
    assert "behaviour_probability is 0 in 1 rows" in result.estimate("dr").reason
    told = document(result, "x")
    assert (told["overlap"]["zero_behaviour_rows"], told["overlap"]["ess"]) == (1, None)
    assert f"overlap.ess: null, for {result.estimate('dr').reason}" in told["warnings"]
    assert result.estimate("lstd").status == "ok"


def test_an_empty_overlap_is_told(graph):
    _, log = graph
    shown = log.with_(action=np.zeros_like(log.action))
    other = np.tile([0.0, 1.0], (len(log), 1))
    result = found(shown.with_(target_probability=other, next_target_probability=other), 0.98, features="tabular")
    assert "all weights are 0" in result.estimate("wis").reason
    told = document(result, "x")["overlap"]
    assert (told["unsupported_mass"], told["ess"]) == (1.0, 0.0)
    assert result.chosen is None


def test_weights_beyond_the_range_of_numbers_are_told():
    log = LinearMDP("R1b", horizon=400).sample(30, 1, "episodes")
    rare = log.with_(behaviour_probability=np.full(len(log), 0.1))
    result = found(rare, 0.9)
    assert "leave the range of floating-point numbers" in result.estimate("is").reason
    assert result.estimate("wis").status == "ok"
    told = document(result, "x")
    assert told["overlap"]["max_weight"] is None
    assert "overlap.max_weight: null, for it is infinite" in told["warnings"]


def test_redundant_features_have_their_rank_told(graph):
    _, log = graph
    double = log.with_(
        features=np.repeat(log.features, 2, axis=1), next_features=np.repeat(log.next_features, 2, axis=1),
        initial_features=np.repeat(log.initial_features, 2, axis=1),
    )  # fmt: skip
    result, single = found(double, 0.98), found(log, 0.98)
    told = document(result, "x")
    assert (told["features"], told["diagnostics"]["rank"]) == (28, 14)
    assert result.estimate("lstd").value == pytest.approx(single.estimate("lstd").value)
    assert result.chosen == single.chosen == "lstd"
    assert result.estimate("lstd").status == "ok"
    assert "rank 14 of 28" in result.estimate("lstd").reason
    assert result.estimate("lstd").se == pytest.approx(single.estimate("lstd").se)
    assert result.estimate("td").status == "ok"


def test_where_resamples_cost_much_there_are_fewer_and_it_is_told(graph, monkeypatch):
    _, log = graph
    monkeypatch.setattr("sandtable.analysis.ope.evaluate.MOST_SUMS", 30 * 800 * 14**2)
    result = found(log, 0.98, features="tabular")
    assert any("comes from 30 resamples, not 200" in warning for warning in result.warnings)


def test_discount_one_without_an_end_runs_no_fixed_point():
    log = LinearMDP("R1b", horizon=20).sample(40, 1, "episodes")
    result = found(log, 1.0)
    assert result.estimate("lstd").status == "not run"
    assert "finite only where episodes end, and no row of the log is terminated" in result.estimate("lstd").reason
    assert result.estimate("wdr").reason == result.estimate("lstd").reason
    assert result.estimate("pdis").status == "ok"


def test_discount_one_with_a_policy_that_may_never_end_is_told():
    """A state that leads to itself with probability 1/2 and ends otherwise, and one that no row leaves."""
    n = 60
    state, terminated = np.tile([0, 1, 2], n // 3), np.tile([True, False, False], n // 3)
    log = LoggedSteps(
        actions=1, episode=np.arange(n), step=np.zeros(n, np.int64), action=np.zeros(n, np.int64), reward=np.ones(n),
        terminated=terminated, truncated=~terminated, observation=state, next_observation=np.where(state == 1, 0, 2),
    )  # fmt: skip
    result = found(log, 1.0, features="tabular")
    assert any("its value be infinite" in warning for warning in result.warnings)
    assert result.estimate("fqi").status == "diverged"


def test_one_action_has_probability_one():
    log = LinearMDP("R5").sample(40, 1, "episodes")
    bare = log.with_(target_probability=None, next_target_probability=None, behaviour_probability=None)
    result = found(bare, 0.9)
    assert "the log shows one action and no probabilities" in result.warnings[0]
    assert result.estimate("wis").status == "ok"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"discount": 1.1}, "--discount: 1.1 is not in"),
        ({"discount": math.nan}, "--discount: nan is not in"),
        ({"ridge": -1.0}, "--ridge: -1.0 is not finite and at least 0"),
        ({"iterations": 0}, "--iterations: 0 is not at least 1"),
        ({"alpha": 1.0}, "--alpha: 1.0 is not in"),
        ({"bootstrap": 2}, "--bootstrap: 2 is not at least 20"),
        ({"fqe_steps": 5}, "--fqe-steps: 5 is not 0 or at least 100"),
        ({"seed": -1}, "--seed: -1 is not 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(graph, changed, said):
    with pytest.raises(InputError, match=said):
        prepare(graph[1], EvaluateSettings(**{"discount": 0.9, **changed}))


def test_features_have_to_be_named_where_the_log_suggests_none(graph):
    _, log = graph
    bare = log.with_(features=None, next_features=None, initial_features=None)
    with pytest.raises(InputError, match="it holds observations that are no states; say what the value is linear in"):
        prepare(bare.with_(observation=np.ones((len(log), 2))), EvaluateSettings(0.9))
    with pytest.raises(InputError, match="neither features nor observations"):
        prepare(bare.with_(observation=None, behaviour_probability=None), EvaluateSettings(0.9))
    with pytest.raises(InputError, match="all features are 0"):
        prepare(log.with_(features=np.zeros_like(log.features)), EvaluateSettings(0.9))


def test_the_document_has_its_shape(r5, of_pairs):
    for result in (r5[1], of_pairs):
        told = document(result, "report.html")
        assert list(told) == [
            "schema", "n", "episodes", "actions", "features", "discount", "value_scale", "initial", "estimates",
            "diagnostics", "overlap", "warnings", "report",
        ]  # fmt: skip
        assert (told["schema"], told["value_scale"]) == (1, "unnormalised")
        assert [row["estimator"] for row in told["estimates"]] == list(ESTIMATORS)
        for row in told["estimates"]:
            assert list(row) == [
                "estimator", "value", "se", "ci", "interval", "alpha", "status", "reason", "iterations", "params",
            ]  # fmt: skip
            assert len(row["ci"]) == 2
        assert list(told["diagnostics"]) == list(DIAGNOSTICS)
        assert list(told["overlap"]) == ["ess", "max_weight", "zero_behaviour_rows", "unsupported_mass"]
        assert no_number_is_missing_from_json(told)
    assert document(r5[1], "x")["initial"] == "given"
    assert document(of_pairs, "x")["initial"] == "log"
    assert "estimates.fqi.value: null, for it is not a number" in document(r5[1], "x")["warnings"]
    assert "diagnostics.lyapunov_norm: null, for it is infinite" in document(r5[1], "x")["warnings"]


def no_number_is_missing_from_json(value) -> bool:
    import json

    json.dumps(value, allow_nan=False)
    return True


def test_networks_take_part_where_they_are_asked_for(graph):
    _, log = graph
    result = found(log, 0.98, features="tabular", fqe_steps=100)
    assert result.estimate("fqe").status in ("ok", "not converged")
    assert result.estimate("fqe").iterations is not None


def test_the_report_says_answer_and_regime_first_and_draws_all_figures(r5, of_pairs):
    for result in (r5[1], of_pairs):
        report = evaluation_report(result, document(result, "report.html"), {})
        assert report.answer == f"{answer(result)} {result.verdict.sentence}"
        assert [section.title for section in report.sections] == [
            "Estimates", "What the log can tell", "What the estimate depends on", "Overlap", "What was assumed",
            "How it was done",
        ]  # fmt: skip
        assert render(report).count("<svg") == 6


def test_a_browser_shows_the_report(of_pairs, tmp_path, open_in_browser):
    path = tmp_path / "report.html"
    path.write_text(render(evaluation_report(of_pairs, document(of_pairs, "report.html"), {})), encoding="utf-8")
    for width in (1200, 390):
        shown = open_in_browser(path, width=width)
        assert shown.errors == []
        assert shown.requests == []
        assert len(shown.figures) == 6
        assert all(width > 100 and height > 50 for width, height in shown.figures)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_a_report_of_a_log_that_tells_nothing_is_a_page():
    result = found(LinearMDP("R7").sample(200, 1), 0.9)
    page = render(evaluation_report(result, document(result, "report.html"), {}))
    assert "does not tell what the target policy is worth" in page
