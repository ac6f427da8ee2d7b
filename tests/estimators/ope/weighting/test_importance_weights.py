"""Weights as logarithms, their effective number, and what of the target policy a log never shows."""

import numpy as np
import pytest

from sandtable.estimators.ope.weighting.importance_weights import (
    cumulative_by_episode,
    effective_sample_size,
    importance_weights,
    logged_target_probability,
    overlap,
    why_unweighted,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

LOG = LoggedSteps(
    2,
    np.array([0, 0, 0, 1, 2, 2]),
    np.array([0, 1, 2, 0, 0, 1]),
    np.array([0, 1, 0, 0, 1, 0]),
    np.ones(6),
    np.array([False, False, True, True, False, True]),
    np.zeros(6, dtype=bool),
    observation=np.array([0, 1, 0, 0, 1, 2]),
    behaviour_probability=np.array([0.5, 0.5, 0.5, 0.25, 0.5, 0.5]),
    target_probability=np.array([[1.0, 0.0], [0.2, 0.8], [1.0, 0.0], [1.0, 0.0], [0.2, 0.8], [0.5, 0.5]]),
)
"""Ratios 2, 1.6, 2; 4; 1.6, 1."""


def test_weights_by_hand_of_uneven_episodes():
    weights = importance_weights(LOG)
    assert np.exp(weights.log_ratio) == pytest.approx([2, 1.6, 2, 4, 1.6, 1])
    assert np.exp(weights.log_weight) == pytest.approx([2, 3.2, 6.4, 4, 1.6, 1.6])
    assert weights.horizon == 3


def test_running_sums_stay_within_their_episodes():
    """An infinite loss ends with its episode, and a sum is that of its own episode to the last bit."""
    values = np.array([1.0, -np.inf, 2.0, 0.1, 0.2, 0.3])
    first, last = np.array([0, 3, 5]), np.array([2, 4, 5])
    expected = [1.0, -np.inf, -np.inf, 0.1, 0.1 + 0.2, 0.3]
    assert cumulative_by_episode(values, first, last).tolist() == expected


def test_overlap_by_hand():
    """Weights 6.4, 4 and 1.6; of state 2, where the target goes either way, only action 0 was logged."""
    seen = overlap(LOG)
    assert seen.effective_sample_size == pytest.approx(12**2 / (6.4**2 + 4**2 + 1.6**2))
    assert seen.max_weight == pytest.approx(6.4)
    # state 0 was met with action 0, state 1 with action 1, so .2 twice, and .5 in state 2
    assert seen.unsupported_mass == pytest.approx((0.2 + 0.2 + 0.5) / 6)
    assert (seen.zero_behaviour_rows, seen.off_target_rows) == (0, 0)


def test_what_follows_a_row_is_no_matter_of_weights():
    """A reader leaves the target's probabilities after a cut blank where the log does not tell them."""
    assert why_unweighted(LOG.with_(next_target_probability=np.full((6, 2), np.nan))) == ""


def test_vectors_are_compared_over_the_whole_log():
    log = LOG.with_(observation=np.zeros((6, 2)), actions=3)
    wide = np.concatenate([0.9 * log.target_probability, np.full((6, 1), 0.1)], axis=1)
    assert overlap(log.with_(target_probability=wide)).unsupported_mass == pytest.approx(0.1)


def test_what_is_not_known_is_nan():
    seen = overlap(LOG.with_(behaviour_probability=None, target_probability=logged_target_probability(LOG)))
    assert np.isnan([seen.effective_sample_size, seen.max_weight, seen.unsupported_mass]).all()


def test_independent_rows_have_ratios_and_no_weights():
    ratio = np.array([2, 1.6, 2, 4, 1.6, 1])
    seen = overlap(LOG.with_(independent=True))
    assert seen.effective_sample_size == pytest.approx(ratio.sum() ** 2 / (ratio**2).sum())
    assert "independent draws" in why_unweighted(LOG.with_(independent=True))


def test_the_effective_number_of_huge_weights_is_finite():
    assert effective_sample_size(np.array([2302.0, 2302.0, 0.0])) == pytest.approx(2.0)
    assert effective_sample_size(np.array([-5000.0])) == pytest.approx(1.0)
    assert effective_sample_size(np.full(3, -np.inf)) == 0.0


def test_a_largest_weight_beyond_the_range_is_inf_and_its_logarithm_is_not():
    n = 1000
    log = LoggedSteps(
        1,
        np.zeros(n, dtype=int),
        np.arange(n),
        np.zeros(n, dtype=int),
        np.zeros(n),
        np.arange(n) == n - 1,
        np.zeros(n, dtype=bool),
        behaviour_probability=np.full(n, 0.1),
        target_probability=np.ones(n),
    )
    with np.errstate(over="raise"):
        seen = overlap(log)
    assert seen.max_weight == np.inf
    assert seen.log_max_weight == pytest.approx(n * np.log(10))


def test_zero_behaviour_where_the_target_goes_is_told_with_the_row():
    behaviour = np.array([0.5, 0.0, 0.5, 0.25, 0.5, 0.5])
    log = LOG.with_(behaviour_probability=behaviour)
    assert overlap(log).zero_behaviour_rows == 1
    assert "first in row 1" in why_unweighted(log)
    with pytest.raises(ValueError, match="ratio is infinite"):
        importance_weights(log)
    # where the target does not go either, the weight is 0 and nothing is lost
    off = LOG.target_probability.copy()
    off[1] = [1.0, 0.0]
    weights = importance_weights(log.with_(target_probability=off))
    assert np.exp(weights.log_weight).tolist()[:3] == [2.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target_probability": 0.4 * LOG.target_probability}, "row 0: target_probability must sum to 1"),
        ({"target_probability": np.full((6, 3), 1 / 3)}, "3 columns, and there are 2 actions"),
        ({"behaviour_probability": np.array([0.5, 0.5, 1.2, 0.5, 0.5, 0.5])}, "row 2: behaviour_probability must lie"),
        ({"behaviour_probability": np.array([0.5, np.nan, 1, 0.5, 0.5, 0.5])}, "row 1: behaviour_probability must lie"),
        ({"target_probability": np.array([-0.1, 0.5, 1, 0.5, 0.5, 0.5])}, "row 0: target_probability must lie"),
    ],
)
def test_what_is_no_probability_is_refused_with_its_row(changed, message):
    for function in (why_unweighted, overlap):
        with pytest.raises(InputError, match=message):
            function(LOG.with_(**changed))
    with pytest.raises(InputError, match=r"LOG\.csv, row 1"):
        why_unweighted(LOG.with_(behaviour_probability=np.full(6, 2.0), source="LOG.csv", rows=np.arange(1, 7)))
