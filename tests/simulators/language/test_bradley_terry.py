"""Scores inferred from preferences are the most probable ones."""

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit

from sandtable.simulators.language.bradley_terry import bradley_terry_scores


def test_one_preference_between_two_has_a_score_that_solves_its_equation():
    """With s = (a, -a) the slope is sigmoid(-2 a) - a = 0."""
    scores = bradley_terry_scores(3, [(0, 2)])
    a = optimize.brentq(lambda x: expit(-2 * x) - x, 0, 1)
    np.testing.assert_allclose(scores, [a, 0, -a], atol=1e-10)


def test_scores_are_those_of_a_general_optimiser():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=6)
    pairs = []
    for _ in range(200):
        i, j = rng.choice(6, 2, replace=False)
        pairs.append((i, j) if rng.uniform() < expit(truth[i] - truth[j]) else (j, i))
    first, second = np.array(pairs).T

    def loss(s):
        return np.logaddexp(0, s[second] - s[first]).sum() + s @ s / 2

    scores = bradley_terry_scores(6, pairs)
    np.testing.assert_allclose(scores, optimize.minimize(loss, np.zeros(6), tol=1e-10).x, atol=1e-4)
    assert scores.sum() == pytest.approx(0, abs=1e-10)
    assert np.corrcoef(scores, truth)[0, 1] > 0.9


def test_without_preferences_and_with_one_that_always_wins_scores_are_finite():
    assert bradley_terry_scores(2, []).tolist() == [0, 0]
    scores = bradley_terry_scores(3, [(0, 1)] * 10_000)
    assert 3 < scores[0] - scores[1] < 20
