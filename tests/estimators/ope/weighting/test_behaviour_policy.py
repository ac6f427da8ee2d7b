"""Estimated behaviour probabilities: counts and regression, on other episodes than those they are used in."""

import numpy as np
import pytest
from scipy.special import expit

from sandtable.estimators.ope.weighting.behaviour_policy import BehaviourPolicy
from sandtable.estimators.ope.weighting.folds import episode_folds
from sandtable.estimators.ope.weighting.importance_sampling import WeightedPerDecisionImportanceSampling
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps


def single_steps(observation, action, actions=2):
    n = len(action)
    once = np.ones(n, dtype=bool)
    steps = LoggedSteps(actions, np.arange(n), np.zeros(n, int), np.asarray(action), np.zeros(n), once, ~once)
    return steps.with_(observation=np.asarray(observation))


def test_counts_of_the_other_fold_by_hand():
    """With two folds, smoothing 1 and 3 actions: (count + 1) / (total + 3), of the episodes on the other side."""
    state, action = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 1, 1])
    estimate = BehaviourPolicy(folds=2).fit(single_steps(state, action, 3))
    fold = episode_folds(6, 2)
    for row in range(6):
        others = (fold != fold[row]) & (state == state[row])
        expected = (np.sum(others & (action == action[row])) + 1) / (np.sum(others) + 3)
        assert estimate.probability[row] == pytest.approx(expected, rel=1e-14)
    assert estimate.method == "table"


def test_an_action_does_not_vouch_for_itself():
    """A state met once: without cross-fitting its action would seem certain; it is as likely as any."""
    log = single_steps(np.arange(50), np.zeros(50, dtype=int), 4)
    assert BehaviourPolicy().fit(log).probability == pytest.approx(np.full(50, 0.25))


def test_folds_deal_episodes_evenly_and_repeat_themselves():
    fold = episode_folds(103, 5, seed=1)
    assert sorted(np.bincount(fold)) == [20, 20, 21, 21, 21]
    assert np.array_equal(fold, episode_folds(103, 5, seed=1))
    assert not np.array_equal(fold, episode_folds(103, 5, seed=2))
    with pytest.raises(ValueError, match="folds must lie in"):
        episode_folds(3, 4)


def test_weighted_rows_count_by_their_weights():
    action, weight = np.arange(40) % 2, np.random.default_rng(0).random(40)
    log = single_steps(np.zeros(40, dtype=int), action).with_(weight=weight)
    estimate, fold = BehaviourPolicy(smoothing=0.5).fit(log), episode_folds(40, 5)
    for row in range(40):
        others = fold != fold[row]
        expected = (weight[others & (action == action[row])].sum() + 0.5) / (weight[others].sum() + 1)
        assert estimate.probability[row] == pytest.approx(expected, rel=1e-12)


def test_regression_finds_a_logistic_policy():
    """Of 4,000 actions with log-odds 1 + 2 x - x^2: within .03 on average, and no better than the truth foretells."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 1))
    chance = expit(1 + 2 * x[:, 0] - x[:, 0] ** 2)
    action = (generator.random(4000) < chance).astype(int)
    estimate = BehaviourPolicy().fit(single_steps(x, action))
    truth = np.where(action == 1, chance, 1 - chance)
    assert (estimate.method, estimate.converged) == ("logistic", True)
    assert np.abs(estimate.probability - truth).mean() < 0.03
    assert abs(estimate.log_loss + np.log(truth).mean()) < 0.01
    assert estimate.log_loss < estimate.frequency_log_loss - 0.1
    assert "logistic regression, cross-fitted on 5 folds" in estimate.summary()


def test_actions_that_observations_tell_for_certain_have_finite_ratios():
    x = np.linspace(-1, 1, 200)[:, None]
    estimate = BehaviourPolicy(penalty=1e-6).fit(single_steps(x, (x[:, 0] > 0).astype(int)))
    assert (estimate.probability > 0).all()
    assert np.isfinite(estimate.log_loss)


def test_constant_and_many_columns_are_taken_as_they_are():
    generator = np.random.default_rng(1)
    wide = np.concatenate([np.ones((60, 1)), generator.normal(size=(60, 30))], axis=1)
    estimate = BehaviourPolicy().fit(single_steps(wide, generator.integers(3, size=60), 3))
    assert ((estimate.probability > 0) & (estimate.probability < 1)).all()


def test_estimated_probabilities_serve_importance_sampling(every_episode, draw_episodes):
    errors = []
    for seed in range(10):
        log = draw_episodes(2000, seed)
        estimated = log.with_(behaviour_probability=BehaviourPolicy(seed=seed).fit(log).probability)
        estimate = WeightedPerDecisionImportanceSampling(0.9).fit(estimated)
        errors.append((estimate.value - every_episode.value[0.9]) / estimate.se)
    assert abs(np.mean(errors)) < 3 / np.sqrt(10)


def test_what_cannot_be_estimated_is_refused():
    log = single_steps(np.zeros((4, 2)), np.zeros(4, dtype=int))
    with pytest.raises(InputError, match="no observations"):
        BehaviourPolicy().fit(log.with_(observation=None))
    with pytest.raises(InputError, match="holds one"):
        BehaviourPolicy().fit(single_steps([0], [0]))
    spoiled = np.zeros((4, 2))
    spoiled[2, 1] = np.nan
    with pytest.raises(InputError, match=r"A\.csv, row 7: an observation must be finite"):
        BehaviourPolicy().fit(log.with_(observation=spoiled, source="A.csv", rows=np.arange(5, 9)))
    for settings in ({"smoothing": 0.0}, {"penalty": np.inf}, {"folds": 1}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            BehaviourPolicy(**settings)
