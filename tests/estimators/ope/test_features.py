"""Features of a log: what follows is a mean over the target policy's actions, or is weighted by the policies' ratio."""

import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from sandtable.estimators.ope.features import load_features, with_features
from sandtable.estimators.ope.linear.intervals import cluster, episode_bootstrap, one_step_bootstrap
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.linear_mdp import LinearMDP


@pytest.fixture(scope="module")
def graph():
    """Episodes of a world with two actions, and its process."""
    process = LinearMDP("cobs-graph")
    return process, process.sample(3000, 1, "episodes")


def bare(log):
    """Return a log as one without features."""
    return log.with_(features=None, next_features=None, initial_features=None)


def lstd(made, discount):
    moments = moments_of_log(made.weighted, next_taken=made.next_taken, next_covariance=made.next_covariance)
    return LSTD(discount).fit(moments)


def test_pairs_have_their_state_in_the_block_of_their_action(graph):
    _, log = graph
    made = with_features(bare(log), load_features("rff:3:1"), "q").log
    assert made.features.shape == (len(log), 6)
    blocks = made.features.reshape(len(log), 2, 3)
    assert (blocks[np.arange(len(log)), 1 - log.action] == 0).all()
    assert (blocks[np.arange(len(log)), log.action] != 0).any(axis=1).all()
    assert (made.next_features[log.terminated] == 0).all()


def test_what_follows_is_the_mean_over_the_target_policy(graph):
    _, log = graph
    made = with_features(bare(log), load_features("rff:3:1"), "q").log
    row = int(np.flatnonzero(~log.terminated)[0])  # its next row is its next observation
    state = made.features[row + 1].reshape(2, 3).sum(axis=0)
    expected = np.outer(log.next_target_probability[row], state).ravel()
    assert np.allclose(made.next_features[row], expected)
    assert np.allclose(made.initial_features[0].reshape(2, 3).sum(axis=0),
                       made.features[0].reshape(2, 3).sum(axis=0))  # fmt: skip


@pytest.mark.parametrize("spec", ["tabular", "rff:60:0.5", "columns"])
@pytest.mark.parametrize("value", ["q", "v"])
def test_values_of_pairs_and_of_states_agree_with_the_truth(graph, spec, value):
    """On the graph of COBS with 3,000 episodes; columns are of pairs, so only tables serve the value of states."""
    process, log = graph
    if spec == "columns" and value == "v":
        pytest.skip("the columns are features of pairs")
    given = log if spec == "columns" else bare(log)
    ridge = 1e-8 if spec.startswith("rff") else 0.0
    made = with_features(given, load_features(spec), value)
    moments = moments_of_log(made.weighted, next_taken=made.next_taken, next_covariance=made.next_covariance)
    value_of = LSTD(process.mdp.discount, ridge).fit(moments).value
    assert abs(value_of - process.exact().value) < 0.15


def test_a_table_has_a_feature_a_pair_that_is_there(graph):
    _, log = graph
    made = with_features(bare(log), load_features("tabular"), "q")
    assert made.log.features.shape[1] == len(np.unique(log.observation * 2 + log.action))
    assert np.allclose(made.log.next_features.sum(axis=1)[~log.terminated], 1)
    assert np.allclose(np.diag(made.next_covariance), made.log.next_features.sum(axis=0))
    assert made.warnings == ()


def test_pairs_that_nobody_logged_are_told(graph):
    _, log = graph
    only = bare(log).with_(action=np.zeros(len(log), np.int64))
    made = with_features(only, load_features("tabular"), "q")
    (warning,) = made.warnings
    assert "pairs of state and action that the log never shows" in warning
    shown = len(np.unique(log.observation))
    assert made.log.features.shape[1] == shown + 1  # the last is what nobody logged
    assert not made.log.features[:, -1].any()
    assert np.allclose(made.log.next_features.sum(axis=1)[~log.terminated], 1)
    assert lstd(made, 0.9).status == "singular"


def test_a_table_with_too_many_entries_is_refused(graph, monkeypatch):
    monkeypatch.setattr("sandtable.estimators.ope.features.MOST_FEATURES", 5)
    with pytest.raises(InputError, match="--features tabular makes 14 features, and more than 5 take hours"):
        with_features(bare(graph[1]), load_features("tabular"), "q")


def test_blocks_tell_the_next_covariance_of_enumerated_actions(graph):
    """The table as a function of one's own: dense blocks give what indicators give."""
    _, log = graph
    table = with_features(bare(log), load_features("tabular"), "q")
    states = int(max(log.observation.max(), log.next_observation.max())) + 1
    module = type(sys)("one_hot")
    module.of = lambda state: np.eye(states)[state]
    sys.modules["one_hot"] = module
    dense = with_features(bare(log), load_features("one_hot:of"), "q")
    del sys.modules["one_hot"]
    assert dense.log.features.shape == (len(log), 2 * states)
    kept = dense.log.features.any(axis=0)
    assert np.isclose(np.trace(dense.next_covariance), np.trace(table.next_covariance))
    assert kept.sum() == table.log.features.shape[1]
    assert np.isclose(lstd(dense, 0.9).value, lstd(table, 0.9).value)


def test_random_features_depend_on_the_seed_and_nothing_else(graph):
    _, log = graph
    made = [with_features(bare(log), load_features("rff:5:2"), "v", seed) for seed in (1, 1, 2)]
    one, same, other = (each.log.features for each in made)
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert (np.abs(one) <= np.sqrt(2 / 5)).all()


def test_random_features_approach_the_gaussian_kernel():
    """Rahimi and Recht (2007): inner products approach exp(-|x - y|^2 / (2 bandwidth^2)), standardised."""
    process = LinearMDP("random-walk")
    log = bare(process.sample(50, 1, "episodes"))
    position = np.random.default_rng(0).normal(size=(len(log), 2))
    seen = log.with_(observation=position, next_observation=position)
    made = with_features(seen, load_features("rff:2000:1.5"), "v").log.features[:30]
    scaled = ((position - position.mean(axis=0)) / position.std(axis=0))[:30]
    distance = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=-1)
    assert np.abs(made @ made.T - np.exp(-distance / (2 * 1.5**2))).max() < 0.1


@pytest.mark.parametrize("value", ["q", "v"])
def test_an_episode_of_weight_two_is_one_that_is_there_twice(value):
    """Starts too: the world begins in any of its states."""
    drawn = instance("random", seed=2, states=3, actions=2, features=6)
    even = {"initial": np.full(3, 1 / 3), "data": np.full((3, 2), 1 / 6), "behaviour": np.full((3, 2), 1 / 2)}
    mdp = replace(drawn, horizon=6, **even)
    log = bare(LinearMDP(mdp).sample(200, 3, "episodes"))
    count = np.where(np.arange(log.episodes) % 3 == 0, 2, 1)
    chosen = np.repeat(np.arange(log.episodes), count)
    length = log.last - log.first + 1
    rows = np.concatenate([np.arange(log.first[one], log.last[one] + 1) for one in chosen])
    each = {
        one.name: getattr(log, one.name)[rows]
        for one in fields(log)
        if isinstance(getattr(log, one.name), np.ndarray) and len(getattr(log, one.name)) == len(log)
    }
    twice = log.with_(**each | {"episode": np.repeat(np.arange(len(chosen)), length[chosen]), "names": None})
    weighted = log.with_(weight=count[log.episode].astype(float))
    ours, theirs = (with_features(one, load_features("tabular"), value) for one in (weighted, twice))
    assert lstd(ours, 0.9).value == pytest.approx(lstd(theirs, 0.9).value, rel=1e-9)
    assert lstd(ours, 0.9).value != pytest.approx(lstd(with_features(log, load_features("tabular"), value), 0.9).value)
    result, steps = lstd(ours, 0.9), ours.weighted
    told = episode_bootstrap(LSTD(0.9), steps, 50), cluster(result, steps), one_step_bootstrap(result, steps, 50)
    assert told[0].se == pytest.approx(told[1].se, rel=0.4)
    assert told[2].se == pytest.approx(told[1].se, rel=0.4)
    none = log.with_(weight=(log.step > 0).astype(float))
    with pytest.raises(InputError, match="weights of all starts are 0"):
        with_features(none, load_features("tabular"), value)


def test_first_actions_are_weighted_where_features_are_columns_of_pairs(graph):
    _, log = graph
    made = with_features(log.with_(initial_features=None), load_features("columns"), "q")
    assert "weighted by the ratio of the policies" in made.warnings[0]
    assert np.allclose(made.log.initial_features.mean(axis=0), log.initial_features.mean(axis=0), atol=0.05)
    (warning,) = with_features(
        log.with_(initial_features=None, behaviour_probability=None), load_features("columns"), "q"
    ).warnings
    assert "the value is that of taking the logged action first" in warning


def test_next_features_of_one_action_are_those_of_the_row_that_follows():
    log = LinearMDP("R5").sample(50, 1, "episodes")
    made = with_features(log.with_(next_features=None), load_features("columns"), "q")
    assert np.allclose(made.log.next_features, log.next_features)
    assert made.next_taken == "drawn"


@pytest.mark.parametrize(
    ("changed", "spec", "value", "said"),
    [
        ({"features": None}, "columns", "q", "--features columns needs the features in the log"),
        ({"next_features": None}, "columns", "q", "needs next_feature_0"),
        ({"observation": None}, "tabular", "q", "--features tabular needs observations"),
        ({"next_observation": None}, "tabular", "q", "needs observations after truncated rows"),
        ({"target_probability": None}, "tabular", "q", "the target policy's probabilities of every action"),
        ({"next_target_probability": None}, "tabular", "q", "needs next_target_probability_0"),
        ({"behaviour_probability": None}, "tabular", "v", "and behaviour_probability is not known; log it, pass --beh"),
        ({"target_probability": None}, "tabular", "v", "and target_probability is not known; log it, pass --target"),
        ({"independent": True}, "tabular", "q", "their starts are known in the log's own features alone"),
    ],
)
def test_what_the_log_lacks_is_told(graph, changed, spec, value, said):
    _, log = graph
    with pytest.raises(InputError, match=said):
        with_features(log.with_(**changed), load_features(spec), value)


def test_places_are_told(graph):
    _, log = graph
    rows = np.arange(len(log)) + 2
    blank = log.next_target_probability.copy()
    blank[int(np.flatnonzero(~log.terminated)[0])] = np.nan
    with pytest.raises(InputError, match=r"log.csv, row \d+: next_target_probability_0 .. is blank"):
        with_features(log.with_(next_target_probability=blank, rows=rows, source="log.csv"), load_features("tabular"))
    never = log.behaviour_probability.copy()
    never[3] = 0
    with pytest.raises(InputError, match="row 5: behaviour_probability is 0, so the weight of --value v is infinite"):
        with_features(log.with_(behaviour_probability=never, rows=rows), load_features("tabular"), "v")
    elsewhere = np.zeros((len(log), 2))
    elsewhere[np.arange(len(log)), 1 - log.action] = 1
    with pytest.raises(InputError, match="takes none of the logged actions"):
        with_features(log.with_(target_probability=elsewhere), load_features("tabular"), "v")
    with pytest.raises(InputError, match="needs states, whole numbers"):
        with_features(log.with_(observation=np.ones((len(log), 2))), load_features("tabular"))


@pytest.mark.parametrize("spec", ["rff", "rff:10", "rff:0:1", "rff:10:0", "rff:10:nan", "rff:a:b", "poly", "no_such:f"])
def test_a_name_that_names_no_features_is_refused(spec):
    with pytest.raises(InputError, match=f"--features {spec}"):
        load_features(spec)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda state: np.ones(len(state)), "it returned shape"),
        (lambda state: np.full((len(state), 2), np.nan), "it returned a number that is not finite"),
        (lambda state: 1 / 0, "it raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_makes_no_features_is_refused(graph, function, said, monkeypatch):
    module = type(sys)("own_features")
    module.of = function
    monkeypatch.setitem(sys.modules, "own_features", module)
    with pytest.raises(InputError, match=said):
        with_features(bare(graph[1]), load_features("own_features:of"))
