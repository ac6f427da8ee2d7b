"""MAGIC: the blend of least estimated squared error, which is the model where that is right and WDR where it is not."""

import numpy as np
import pytest
from scipy import optimize

from sandtable.estimators.ope.weighting.doubly_robust import ActionValues, WeightedDoublyRobust
from sandtable.estimators.ope.weighting.magic import Magic, least_squared_error


def constant_model(log, value):
    return ActionValues(np.full(len(log), value), np.full(len(log), value))


def test_biases_of_opposite_signs_cancel():
    """min (x_1 - x_2)^2: COBS adds b * b by elements instead of the outer product, and would not see it."""
    assert least_squared_error(np.zeros((2, 2)), np.array([1.0, -1.0])) == pytest.approx([0.5, 0.5], abs=1e-12)


def test_two_returns_by_hand():
    """Variances 1 and 4, covariance .5, the first biased by 3: 10 x^2 + x (1 - x) + 4 (1 - x)^2 is least at 7 / 26."""
    blend = least_squared_error(np.array([[1.0, 0.5], [0.5, 4.0]]), np.array([3.0, 0.0]))
    assert blend == pytest.approx([7 / 26, 19 / 26], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_blend_is_the_minimum_that_a_general_solver_finds(seed):
    generator = np.random.default_rng(seed)
    root, bias = generator.normal(size=(6, 6)), generator.normal(size=6)
    matrix = root @ root.T + np.outer(bias, bias)
    blend = least_squared_error(root @ root.T, bias)
    found = optimize.minimize(
        lambda x: x @ matrix @ x,
        np.full(6, 1 / 6),
        jac=lambda x: 2 * matrix @ x,
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        tol=1e-12,
    )
    assert blend.sum() == pytest.approx(1, abs=1e-12)
    assert (blend >= 0).all()
    assert blend @ matrix @ blend <= found.fun * (1 + 1e-6)


def test_scale_and_zeros_change_nothing():
    root, bias = np.random.default_rng(0).normal(size=(3, 3)), np.array([0.1, 0.2, 0.3])
    one, other = (least_squared_error(c * root @ root.T, np.sqrt(c) * bias) for c in (1.0, 1e12))
    assert one == pytest.approx(other, abs=1e-9)
    assert least_squared_error(np.zeros((3, 3)), np.zeros(3)) == pytest.approx(np.full(3, 1 / 3))


def test_a_model_far_from_everything_leaves_weighted_doubly_robust(draw_episodes):
    """On-policy, WDR is the mean return whatever the model says; what stops earlier ends in a model that is far off."""
    log = draw_episodes(500, 0)
    log = log.with_(target_probability=log.behaviour_probability)
    values = constant_model(log, 3000.0)
    blended, whole = Magic(0.9).fit(log, values), WeightedDoublyRobust(0.9).fit(log, values)
    assert "0% of the blend is the model, 100% WDR" in blended.reason
    assert blended.value == pytest.approx(whole.value, abs=0.02 * whole.se)


def test_a_model_within_the_doubt_of_the_weights_is_taken_as_it_is(every_episode, draw_episodes):
    """The same value everywhere has no variance; near the truth, the bootstrap interval holds it: no bias is seen."""
    log = draw_episodes(100, 0)
    values = constant_model(log, every_episode.value[0.9])
    estimate = Magic(0.9).fit(log, values)
    assert estimate.value == pytest.approx(every_episode.value[0.9], abs=1e-9)
    assert "100% of the blend is the model" in estimate.reason


def test_two_lengths_are_the_model_and_weighted_doubly_robust(draw_episodes):
    log = draw_episodes(200, 2)
    values = constant_model(log, 1.0)
    ends = 1.0, WeightedDoublyRobust(0.9).fit(log, values).value
    assert min(ends) <= Magic(0.9, lengths=2).fit(log, values).value <= max(ends)


@pytest.mark.parametrize("interval", ["cluster", "episode_bootstrap"])
def test_the_interval_is_as_wide_as_that_of_weighted_doubly_robust(every_episode, draw_episodes, interval):
    """Also where the blend is the model: a model that stays as it is in all resamples would seem to be certain."""
    log = draw_episodes(100, 0)
    values = constant_model(log, every_episode.value[0.9])
    one, whole = (kind(0.9, interval=interval).fit(log, values) for kind in (Magic, WeightedDoublyRobust))
    assert (one.interval, one.se) == (interval, pytest.approx(whole.se, rel=1e-12))
    assert one.value != whole.value
    widths = [high - low for low, high in (one.conf_int(), whole.conf_int())]
    assert widths[0] == pytest.approx(widths[1], rel=1e-9)
    assert Magic(0.9, interval="none").fit(log, values).se is None


def test_one_episode_is_not_enough(draw_episodes):
    log = draw_episodes(1, 0)
    assert "one episode" in Magic(0.9).fit(log, constant_model(log, 0.0)).reason


@pytest.mark.parametrize("settings", [{"lengths": 1}, {"confidence": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Magic(0.9, **settings)
