"""The importance-sampling family: exact in expectation, right by hand, and calm where weights are not."""

import re

import numpy as np
import pytest
from scipy import stats

from sandtable.estimators.ope.weighting.importance_sampling import (
    ImportanceSampling,
    PerDecisionImportanceSampling,
    WeightedImportanceSampling,
    WeightedPerDecisionImportanceSampling,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

PLAIN = (ImportanceSampling, PerDecisionImportanceSampling)
WEIGHTED = (WeightedImportanceSampling, WeightedPerDecisionImportanceSampling)
ALL = (*PLAIN, *WEIGHTED)


def log_of(lengths, ratios, rewards, **more):
    """Return a log of episodes of these lengths, in which the behaviour policy took each action with probability .1."""
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    ratios, rewards = np.asarray(ratios, dtype=float), np.asarray(rewards, dtype=float)
    columns = {
        "actions": 2,
        "episode": episode,
        "step": step,
        "action": np.zeros(len(episode), dtype=int),
        "reward": rewards,
        "terminated": np.append(episode[1:] != episode[:-1], True),
        "truncated": np.zeros(len(episode), dtype=bool),
        "behaviour_probability": np.full(len(episode), 0.1),
        "target_probability": 0.1 * ratios,
    }
    return LoggedSteps(**{**columns, **more})


UNEVEN = log_of([3, 1, 2], [2, 0.5, 3, 2, 0.5, 4], [1, 2, 3, 4, 5, 6])
"""Weights (2, 1, 3), (2), (.5, 2)."""


@pytest.mark.parametrize("discount", [0.9, 1.0])
@pytest.mark.parametrize("estimator", ALL)
def test_the_expectation_over_all_episodes_is_the_value(every_episode, estimator, discount):
    """IS and PDIS are unbiased; with the probabilities themselves as weights, the weighted forms have no error left."""
    estimate = estimator(discount).fit(every_episode.log)
    assert estimate.status == "ok"
    assert abs(estimate.value - every_episode.value[discount]) < 1e-12


def test_uneven_episodes_by_hand():
    """Discount .5: returns 1 + 1 + .75, 4 and 5 + 3."""
    values = {estimator.name: estimator(0.5).fit(UNEVEN).value for estimator in ALL}
    assert values["is"] == pytest.approx((3 * 2.75 + 2 * 4 + 2 * 8) / 3, rel=1e-14)
    assert values["wis"] == pytest.approx((3 * 2.75 + 2 * 4 + 2 * 8) / 7, rel=1e-14)
    pdis = (2 * 1 + 0.5 * 1 * 2 + 0.25 * 3 * 3) + 2 * 4 + (0.5 * 5 + 0.5 * 2 * 6)
    assert values["pdis"] == pytest.approx(pdis / 3, rel=1e-14)
    # the episode of one step stays in the sums of later ones with its last weight, 2, and that of two steps with its 2
    first = (2 * 1 + 2 * 4 + 0.5 * 5) / (2 + 2 + 0.5)
    second = (1 * 2 + 2 * 6) / (1 + 2 + 2)
    third = 3 * 3 / (3 + 2 + 2)
    assert values["wpdis"] == pytest.approx(first + 0.5 * second + 0.25 * third, rel=1e-14)


def test_finished_episodes_that_were_left_out_would_bias_the_weighted_form(every_episode):
    """Sums over the unfinished episodes alone give another number than the value: what padding is for."""
    log, chance = every_episode.log, every_episode.log.weight
    ratio = log.target_probability[np.arange(len(log)), log.action] / log.behaviour_probability
    weight = np.array(ratio)
    for row in np.flatnonzero(log.step > 0):
        weight[row] *= weight[row - 1]
    sums = [np.bincount(log.step, chance * weight * by) for by in (log.reward, 1.0)]
    assert abs(float((sums[0] / sums[1]).sum()) - every_episode.value[1.0]) > 0.5


def test_on_policy_all_forms_are_the_mean_return():
    log = log_of([2, 1, 3], np.ones(6), [1, 2, 3, 4, 5, 6])
    assert [estimator(1.0).fit(log).value for estimator in ALL] == pytest.approx([7.0] * 4, rel=1e-14)


@pytest.mark.parametrize("estimator", PLAIN)
def test_the_interval_of_on_policy_returns_is_the_two_sided_normal_one(estimator):
    """SCOPE-RL's t interval takes the quantile 1 - alpha for both sides: 90 % sold as 95 %."""
    rewards = np.random.default_rng(0).normal(size=400)
    estimate = estimator(1.0).fit(log_of([1] * 400, np.ones(400), rewards))
    half = stats.norm.ppf(0.975) * rewards.std(ddof=1) / 20
    assert estimate.conf_int(0.05) == pytest.approx((rewards.mean() - half, rewards.mean() + half), rel=1e-12)


@pytest.mark.parametrize("estimator", ALL)
def test_linearised_and_bootstrap_errors_agree(estimator):
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 5, 400)
    log = log_of(lengths, generator.choice([0.5, 1.5], lengths.sum()), generator.normal(1, 1, lengths.sum()))
    linearised = estimator(0.9).fit(log)
    resampled = estimator(0.9, interval="episode_bootstrap", bootstrap=800).fit(log)
    assert resampled.value == linearised.value
    assert len(resampled.replicates) == 800
    assert resampled.se == pytest.approx(linearised.se, rel=0.1)


@pytest.mark.parametrize("estimator", ALL)
def test_the_influence_is_the_derivative_by_an_episode_s_count(estimator):
    """An episode that counts a little more moves the estimate by its influence: here by the weights of a log."""
    start, nudge = estimator(0.9).fit(UNEVEN), 1e-6
    moved = []
    for chosen in range(3):
        weight = np.where(UNEVEN.episode == chosen, 1 + nudge, 1.0)
        moved.append((estimator(0.9).fit(UNEVEN.with_(weight=weight)).value - start.value) / nudge)
    assert start.se == pytest.approx(np.sqrt(3 / 2 * np.sum(np.square(moved))), rel=1e-5)


@pytest.mark.parametrize("estimator", ALL)
def test_an_episode_s_weight_counts_like_copies_of_it(estimator):
    twice = log_of([3, 1, 2, 2], [2, 0.5, 3, 2, 0.5, 4, 0.5, 4], [1, 2, 3, 4, 5, 6, 5, 6])
    weight = np.array([1.0, 1, 1, 1, 2, 2])
    assert estimator(0.9).fit(UNEVEN.with_(weight=weight)).value == pytest.approx(estimator(0.9).fit(twice).value)


def test_a_thousand_steps_of_ratio_ten_overflow_nothing():
    """Weights of 10^1000 and 10^999: the weighted forms are 10 to 1, the plain ones say why there is no number."""
    ratios = np.full(2000, 10.0)
    ratios[1000] = 1.0
    log = log_of([1000, 1000], ratios, np.r_[np.zeros(999), 1.0, np.zeros(999), 12.0])
    with np.errstate(all="raise"):
        for estimator in WEIGHTED:
            for interval in ("cluster", "episode_bootstrap"):
                estimate = estimator(1.0, interval=interval).fit(log)
                assert estimate.value == pytest.approx((10 * 1 + 12) / 11, rel=1e-9)
                assert np.isfinite(estimate.conf_int()).all()
        for estimator in PLAIN:
            estimate = estimator(1.0).fit(log)
            assert (estimate.status, np.isnan(estimate.value)) == ("not run", True)
            assert "range of floating-point numbers" in estimate.reason
    # discounted, PDIS is in range where the weights themselves are not
    assert PerDecisionImportanceSampling(0.1).fit(log).value == pytest.approx(10 * (1 + 1.2) / 2, rel=1e-9)


@pytest.mark.parametrize("estimator", ALL)
def test_weights_that_are_all_zero_are_told_and_no_nan_is_sold(estimator):
    """offline_rl_ope returned NaN for weighted forms of all-zero weights in three releases."""
    estimate = estimator(0.9).fit(log_of([2, 1], np.zeros(3), [1, 2, 3]))
    assert estimate.status == "not run"
    assert "all weights are 0" in estimate.reason
    assert estimate.interval == "none"


def test_weights_that_vanish_later_leave_the_per_decision_form_alone():
    """What the first steps tell is an unbiased estimate, and it is told that nothing followed them to the end."""
    log = log_of([2, 2], [1, 0, 2, 0], [1, 1, 1, 1])
    estimate = PerDecisionImportanceSampling(1.0).fit(log)
    assert (estimate.value, estimate.status) == (pytest.approx(1.5), "ok")
    assert "no episode consists of" in estimate.reason
    for estimator in (ImportanceSampling, *WEIGHTED):
        other = estimator(1.0).fit(log)
        assert (other.status, "weights" in other.reason) == ("not run", True)


@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"independent": True}, "independent draws"),
        ({"behaviour_probability": None}, "no behaviour_probability"),
        ({"target_probability": None}, "no target_probability"),
        ({"behaviour_probability": np.array([0.5, 0, 0.5, 0.5, 0.5, 0.5])}, "0 in 1 rows .* first in row 1"),
        ({"weight": np.arange(6.0)}, "differ within an episode"),
        ({"weight": np.zeros(6)}, "all episodes are 0"),
    ],
)  # fmt: skip
def test_what_the_log_cannot_serve_is_not_run_and_says_why(estimator, changed, reason):
    estimate = estimator(0.9).fit(UNEVEN.with_(**changed))
    assert estimate.status == "not run"
    assert re.search(reason, estimate.reason)


@pytest.mark.parametrize("estimator", ALL)
def test_one_episode_has_a_value_and_no_standard_error(estimator):
    estimate = estimator(1.0).fit(log_of([2], [1.0, 2.0], [1, 1]))
    assert (np.isfinite(estimate.value), estimate.se, estimate.interval) == (True, None, "none")


def test_episodes_that_the_log_cut_are_told():
    log = UNEVEN.with_(terminated=np.zeros(6, bool), truncated=UNEVEN.terminated)
    assert "3 of 3 episodes were cut" in ImportanceSampling(0.9).fit(log).reason


def test_a_reward_that_is_none_is_refused_with_its_row():
    reward = np.array([1.0, 2, np.nan, 4, 5, 6])
    with pytest.raises(InputError, match="row 12: reward is nan"):
        ImportanceSampling(0.9).fit(UNEVEN.with_(reward=reward, rows=np.arange(10, 16)))


@pytest.mark.parametrize(
    "settings", [{"discount": 1.1}, {"discount": 0.9, "interval": "t"}, {"discount": 0.9, "bootstrap": 1}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(reversed(settings))):
        ImportanceSampling(**settings)
