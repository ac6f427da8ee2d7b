"""Doubly robust estimators: right if either the weights or the model are, and never fitted to what they correct."""

import numpy as np
import pytest

from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.weighting.doubly_robust import (
    ActionValues,
    DoublyRobust,
    WeightedDoublyRobust,
    corrections,
    cross_fitted_values,
)
from sandtable.estimators.ope.weighting.importance_sampling import (
    ImportanceSampling,
    PerDecisionImportanceSampling,
    WeightedPerDecisionImportanceSampling,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

BOTH = (DoublyRobust, WeightedDoublyRobust)
DISCOUNTS = (0.9, 1.0)


def exact_values(log, action_values):
    """Return the true values of the rows of the small world, which depend on the steps left."""
    table = np.array([action_values[3 - step][state] for step, state in zip(log.step, log.observation, strict=True)])
    after = [action_values[2 - step][state] for step, state in zip(log.step, log.next_observation, strict=True)]
    next_v = (np.array(after) * log.next_target_probability).sum(axis=1)
    return ActionValues(table[np.arange(len(log)), log.action], (table * log.target_probability).sum(axis=1), next_v)


def wrong_values(log):
    """Return the values of a model that knows nothing of the world, but is a model: V is the mean of Q."""
    table = np.random.default_rng(0).normal(scale=5, size=(3, 2, 2))[log.step, log.observation]
    return ActionValues(table[np.arange(len(log)), log.action], (table * log.target_probability).sum(axis=1))


def with_features(log):
    """Return the log with one feature a step, state and action: the model can be exact."""

    def blocks(step, state, probability):
        phi = np.zeros((len(log), 4, 2, 2))
        phi[np.arange(len(log)), step, state] = probability
        return phi[:, :3].reshape(len(log), 12)

    here = blocks(log.step, log.observation, np.eye(2)[log.action])
    after = np.where(
        log.terminated[:, None], 0.0, blocks(log.step + 1, log.next_observation, log.next_target_probability)
    )
    start = blocks(log.step, log.observation, log.target_probability)[log.first]
    return log.with_(features=here, next_features=after, initial_features=start)


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("estimator", BOTH)
def test_any_model_is_unbiased_with_the_right_weights(every_episode, estimator, discount):
    log = every_episode.log
    estimate = estimator(discount).fit(log, wrong_values(log))
    assert abs(estimate.value - every_episode.value[discount]) < 1e-12


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("estimator", BOTH)
def test_wrong_weights_do_no_harm_to_the_right_model(every_episode, estimator, discount):
    log = every_episode.log.with_(behaviour_probability=np.where(every_episode.log.action == 0, 0.3, 0.7))
    values = exact_values(log, every_episode.action_values[discount])
    estimate = estimator(discount).fit(log, values)
    assert abs(estimate.value - every_episode.value[discount]) < 1e-12
    assert abs(ImportanceSampling(discount).fit(log).value - every_episode.value[discount]) > 0.1


@pytest.mark.parametrize("estimator", BOTH)
def test_a_cut_episode_goes_on_in_the_model(every_episode, estimator):
    """All episodes cut after their first step: the model's value of the next state is what the rest is worth."""
    whole = every_episode.log
    values = exact_values(whole, every_episode.action_values[0.9])
    rows = whole.first
    log = LoggedSteps(
        2,
        np.arange(len(rows)),
        whole.step[rows],
        whole.action[rows],
        whole.reward[rows],
        whole.terminated[rows],
        ~whole.terminated[rows],
        behaviour_probability=whole.behaviour_probability[rows],
        target_probability=whole.target_probability[rows],
        weight=whole.weight[rows],
    )
    cut = ActionValues(*(array[rows] for array in values))
    assert abs(estimator(0.9).fit(log, cut).value - every_episode.value[0.9]) < 1e-12
    with pytest.raises(ValueError, match=r"next_v is needed: .* episodes were cut, first at row"):
        estimator(0.9).fit(log, cut._replace(next_v=None))


def test_a_model_that_says_nothing_leaves_importance_sampling(draw_episodes):
    log = draw_episodes(50, 0)
    nothing = ActionValues(np.zeros(len(log)), np.zeros(len(log)))
    for estimator, without in (
        (DoublyRobust, PerDecisionImportanceSampling),
        (WeightedDoublyRobust, WeightedPerDecisionImportanceSampling),
    ):
        one, other = estimator(0.9).fit(log, nothing), without(0.9).fit(log)
        assert (one.value, one.se) == pytest.approx((other.value, other.se), rel=1e-12)


def test_the_correction_is_the_textbook_s(every_episode):
    """w_t (r_t - Q_t) + w_{t-1} V_t, summed with the discount: Jiang and Li's form."""
    log = every_episode.log
    values, total = wrong_values(log), 0.0
    ratio = log.target_probability[np.arange(len(log)), log.action] / log.behaviour_probability
    for first, last in zip(log.first, log.last, strict=True):
        before = 1.0
        for row in range(first, last + 1):
            weight = before * ratio[row]
            gain = weight * (log.reward[row] - values.q[row]) + before * values.v[row]
            total += log.weight[row] * 0.9 ** log.step[row] * gain
            before = weight
    assert DoublyRobust(0.9).fit(log, values).value == pytest.approx(total, rel=1e-12)


def test_weights_that_are_linear_in_the_features_correct_lstd_by_nothing():
    """Its errors are orthogonal to the features: the linear double estimator is LSTD (identity of the references).

    In a log of single steps whose behaviour probabilities are the frequencies in the log, ratios are a function of
    state and action, so with one feature a pair DR with LSTD's own model is LSTD's value.
    """
    generator = np.random.default_rng(3)
    n, states, actions = 300, 3, 2
    state, action = generator.integers(states, size=n), generator.integers(actions, size=n)
    count = np.zeros((states, actions))
    np.add.at(count, (state, action), 1)
    target = generator.dirichlet(np.ones(actions), states)
    phi = np.eye(states * actions)[state * actions + action]
    start = (np.eye(states)[state][:, :, None] * target[state][:, None, :]).reshape(n, -1)
    log = LoggedSteps(
        actions,
        np.arange(n),
        np.zeros(n, dtype=int),
        action,
        generator.normal(size=n),
        np.ones(n, dtype=bool),
        np.zeros(n, dtype=bool),
        behaviour_probability=(count / count.sum(axis=1, keepdims=True))[state, action],
        target_probability=target[state],
        features=phi,
        next_features=np.zeros_like(phi),
        initial_features=start,
    )
    model = LSTD(0.9).fit(log)
    values = ActionValues(phi @ model.params, start @ model.params)
    assert np.abs(phi.T @ corrections(log, values, 0.9).errors).max() < 1e-12 * n
    for estimator in BOTH:
        assert estimator(0.9).fit(log, values).value == pytest.approx(float(model.value), abs=1e-12)


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("estimator", BOTH)
def test_cross_fitted_estimates_find_the_value_with_less_noise(every_episode, draw_episodes, estimator, discount):
    value, errors, plain = every_episode.value[discount], [], []
    for seed in range(40):
        log = with_features(draw_episodes(300, seed))
        estimate = estimator(discount).fit(log)
        errors.append((estimate.value - value) / estimate.se)
        plain.append(PerDecisionImportanceSampling(discount).fit(log).se / estimate.se)
    assert abs(np.mean(errors)) < 3 / np.sqrt(40)
    assert 0.6 < np.std(errors) < 1.4
    assert np.median(plain) > 1.2


def test_no_episode_is_judged_by_a_model_that_has_seen_it(draw_episodes):
    log = with_features(draw_episodes(60, 1))
    before, _ = cross_fitted_values(log, 0.9)
    own = log.episode == 7
    after, _ = cross_fitted_values(log.with_(reward=log.reward + 100.0 * own), 0.9)
    assert np.array_equal(before.q[own], after.q[own])
    assert np.array_equal(before.v[own], after.v[own])
    assert not np.array_equal(before.q[~own], after.q[~own])


def test_features_of_states_serve_too(every_episode, draw_episodes):
    """LSTD of state values weights its rows by their ratios; the correction has the same expectation."""
    errors = []
    for seed in range(20):
        log = draw_episodes(400, seed)
        phi = np.eye(6)[2 * log.step + log.observation]
        after = np.where(log.terminated[:, None], 0.0, np.eye(8)[2 * (log.step + 1) + log.next_observation][:, :6])
        estimate = DoublyRobust(0.9, features="v").fit(log.with_(features=phi, next_features=after))
        errors.append((estimate.value - every_episode.value[0.9]) / estimate.se)
    assert abs(np.mean(errors)) < 3 / np.sqrt(20)


def test_a_rank_that_a_fold_lacks_is_told(draw_episodes):
    log = with_features(draw_episodes(200, 0))
    doubled = log.with_(
        **{name: np.tile(getattr(log, name), 2) for name in ("features", "next_features", "initial_features")}
    )
    one, two = DoublyRobust(0.9).fit(log), DoublyRobust(0.9).fit(doubled)
    assert "rank 12 of 24" in two.reason
    assert two.value == pytest.approx(one.value, rel=1e-8)


@pytest.mark.parametrize("estimator", BOTH)
def test_what_cannot_be_fitted_is_not_run_and_says_why(draw_episodes, estimator):
    log = draw_episodes(20, 0)
    assert "no features" in estimator(0.9).fit(log).reason
    single = draw_episodes(1, 0)
    assert "one episode" in estimator(0.9).fit(with_features(single)).reason
    assert "independent draws" in estimator(0.9).fit(with_features(log).with_(independent=True)).reason


def test_bad_numbers_are_refused(draw_episodes):
    log = with_features(draw_episodes(20, 0))
    phi = log.features.copy()
    phi[3, 0] = np.nan
    with pytest.raises(InputError, match=r"LOG\.csv, row 3: features must be finite"):
        DoublyRobust(0.9).fit(log.with_(features=phi, source="LOG.csv"))
    with pytest.raises(ValueError, match="q must be"):
        DoublyRobust(0.9).fit(log, ActionValues(np.zeros(3), np.zeros(len(log))))
    with pytest.raises(ValueError, match="folds must be at least 2"):
        DoublyRobust(0.9, folds=1)
