"""The verdict on a log, its sampling error, and the check of what it assumes."""

from dataclasses import replace

import numpy as np
import pytest

from sandtable.estimators.ope.linear.intervals import bootstrap_moments
from sandtable.estimators.ope.linear.linearity import check_linearity, quadratic_features
from sandtable.estimators.ope.linear.verdict import spectra, verdict
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.diagnostics import diagnose
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.instances.reward_process import reward_process
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.random_mdps import random_mdps


def log_of(name, n=400, key=1, **settings):
    return LinearMDP(name, noise=0.5, **settings).sample(n, key)


def non_linear() -> FiniteMDP:
    """Return R1b with half a unit more of reward in its first state: no longer linear in its two features."""
    world = LinearMDP("R1b", noise=0.5).mdp
    return replace(world, pair_rewards=world.pair_rewards + np.array([[0.5], [0], [0]]), theta=None)


def test_where_fqi_diverges_and_lstd_does_not_the_verdict_says_so():
    told = verdict(log_of("R5"), 0.9)
    assert told.sentence == (
        "FQI diverges here for almost every reward (spectral radius 1.8 [1.8, 1.8]); LSTD is consistent."
    )
    assert (told.fqi, told.lstd, told.regime_certain) == ("diverges", "consistent", True)
    assert "symmetric stable" in told.summary()


def test_where_fqi_converges_the_verdict_says_how_soon():
    told = verdict(log_of("R1b"), 0.9)
    assert (told.fqi, told.lstd) == ("converges", "consistent")
    assert f"{told.diagnostics.iterations} iterations to a millionth of the first error" in told.sentence
    low, high = told.spectral_radius_ci
    assert low < told.diagnostics.spectral_radius < high < 1


def test_a_threshold_within_the_sampling_error_leaves_it_undetermined():
    """A true radius of .98: the logged state, of feature 1, leads to one of feature 1.96 / .9 in half of the steps."""
    world = reward_process("near", [[1], [1.96 / 0.9]], [[0, 0.5], [0, 0]], [1, 0], 0.9, theta=[1.0], ends=True)
    assert diagnose(world).spectral_radius == pytest.approx(0.98)
    told = verdict(LinearMDP(world).sample(200, 2), 0.9)
    assert told.spectral_radius_ci[0] < 1 < told.spectral_radius_ci[1]
    assert told.fqi == "undetermined"
    assert not told.regime_certain
    assert "Whether FQI converges here is undetermined" in told.sentence
    assert "but a threshold lies within its sampling error" in told.summary()


def test_where_nothing_can_be_consistent_the_verdict_says_so():
    told = verdict(log_of("R7"), 0.9)
    assert (told.lstd, told.regime_certain) == ("inconsistent", True)
    assert told.sentence.startswith("No estimator that sees these moments alone is consistent")


def test_resamples_on_the_other_side_of_a_singular_system_count_as_negative():
    """One feature, two kinds of rows: 1 - A is as often below 0 as above."""
    world = reward_process("both", [[1], [2]], [[0, 0.5], [0, 0]], [1, 0], 1.0, theta=[1.0], ends=True)
    told = verdict(LinearMDP(world).sample(300, 5), 1.0)
    assert told.smallest_singular_value_ci[0] == 0.0
    assert told.lstd == "undetermined"
    assert "whether LSTD is consistent is undetermined" in told.sentence


def test_rows_that_a_resample_may_miss_leave_it_undetermined():
    """R3 shows its second state in one row of a hundred, and everything leads there."""
    told = verdict(log_of("R3", n=200), 0.9)
    assert told.lstd == "undetermined"


def test_a_few_episodes_determine_nothing():
    """One long episode: each resample is the log itself."""
    told = verdict(LinearMDP("R1b", noise=0.5, horizon=500).sample(1, 1, mode="episodes"), 0.9)
    assert (told.fqi, told.lstd, told.regime_certain) == ("undetermined", "undetermined", False)
    assert np.isnan([*told.spectral_radius_ci, *told.smallest_singular_value_ci]).all()
    assert "of too few episodes" in told.sentence


def test_resamples_can_be_passed_on_and_the_seed_decides():
    log = log_of("R1b")
    told = verdict(log, 0.9, replicates=100, seed=3)
    again = verdict(log, 0.9, resampled=bootstrap_moments(log, 100, 3))
    assert told.spectral_radius_ci == again.spectral_radius_ci
    assert told.spectral_radius_ci != verdict(log, 0.9, replicates=100, seed=4).spectral_radius_ci


def test_a_ridge_is_part_of_the_verdict():
    log = log_of("R6")
    told = verdict(log, 0.9, ridge=1.0)
    assert told.fqi == "converges"  # 1.8 / (1 + 1)
    assert told.diagnostics.spectral_radius == pytest.approx(0.9)
    with pytest.raises(ValueError, match="ridge"):
        verdict(log, 0.9, ridge=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        verdict(log, 0.9, alpha=0.0)


def test_spectra_are_those_of_the_diagnostics():
    worlds = random_mdps(np.arange(200), states=4, features=2)
    moments, told = worlds.moments(), diagnose(worlds)
    radius, signed = spectra(moments, 0.9)
    certain = told.rank == 2
    np.testing.assert_allclose(radius[certain], told.spectral_radius[certain], rtol=1e-6)
    np.testing.assert_allclose(np.abs(signed), told.smallest_singular_value, rtol=1e-6, atol=1e-12)
    determinant = np.linalg.det(moments.system(0.9))
    np.testing.assert_array_equal(np.sign(signed)[certain], np.sign(determinant)[certain])


def test_beyond_the_rank_nothing_is_counted():
    """A redundant feature changes neither number; with two features of rank 1, I - A is 1 x 1."""
    one = moments_of_log(log_of("R6"))
    twice = np.ones((2, 2))
    both = Moments(
        one.weight, one.rows, one.covariance * twice, one.cross_covariance * twice, np.repeat(one.reward_moment, 2),
        one.reward_square, np.repeat(one.initial_features, 2), one.initial_weight,
    )  # fmt: skip
    np.testing.assert_allclose(spectra(both, 0.9), spectra(one, 0.9), rtol=1e-9)
    assert spectra(both, 0.9)[1] == pytest.approx(-0.8)


def test_a_linear_value_passes_the_check_as_often_as_it_should():
    """At level .05 of 200 logs; three standard deviations are .046."""
    p = np.array([check_linearity(log_of("R1b", key=key), 0.9).p_value for key in range(200)])
    assert abs((p < 0.05).mean() - 0.05) < 0.046
    assert abs((p < 0.5).mean() - 0.5) < 0.11


def test_a_value_that_is_not_linear_is_found_out():
    log = LinearMDP(non_linear()).sample(1000, 1)
    assert check_linearity(log, 0.9).p_value < 1e-3
    assert "speaks against it" in verdict(log, 0.9).assumption
    of_states = check_linearity(log, 0.9, extra_features=np.eye(3)[log.observation])
    assert of_states.degrees == 1
    assert of_states.p_value < 1e-3


def test_episodes_are_what_the_check_counts():
    log = LinearMDP("R1b", noise=0.5, horizon=10).sample(60, 1, mode="episodes")
    told = check_linearity(log, 0.9)
    assert told.episodes == 60
    assert told.p_value > 1e-3


def test_a_ridge_does_not_make_a_singular_world_tell_its_value():
    """R7: the data are the same whatever the value; a ridge picks one of them."""
    told = verdict(log_of("R7"), 0.9, ridge=0.01)
    assert told.lstd == "inconsistent"
    assert "the system is singular but for the ridge" in told.sentence
    assert verdict(log_of("R1b"), 0.9, ridge=0.01).lstd == "consistent"


def test_the_regime_is_named_with_or_without_the_ridge():
    told = verdict(log_of("R7"), 0.9, ridge=0.01)
    assert told.diagnostics.regime == "singular"
    assert told.sentences[1] == "Without the ridge the moments are in the regime “singular”."
    assert verdict(log_of("R1b"), 0.9, ridge=0.01).sentences[1].startswith("With the ridge the moments are in")


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_starts_outside_of_the_span_of_the_data_are_told(ridge):
    log = log_of("R1b")
    now, after = (np.column_stack([array, np.zeros(len(log))]) for array in (log.features, log.next_features))
    wider = log.with_(features=now, next_features=after, initial_features=np.array([[1.0, 0.0, 0.5]]))
    told = verdict(wider, 0.9, ridge=ridge)
    assert (told.lstd, told.starts_left) == ("consistent", True)
    assert told.sentence.endswith("the value at these starts is not determined by the log.")
    assert not verdict(log, 0.9, ridge=ridge).starts_left


def test_the_check_knows_no_unit_of_weights():
    log = log_of("R1b")
    huge = check_linearity(log.with_(weight=np.full(len(log), 1e300)), 0.9)
    assert huge.statistic == pytest.approx(check_linearity(log, 0.9).statistic, rel=1e-6)


def test_features_that_leave_nothing_to_check_are_told():
    told = check_linearity(log_of("R1c"), 0.9)
    assert (told.degrees, told.p_value) == (0, 1.0)
    assert "nothing could be checked" in told.sentence()


def test_what_cannot_be_checked_is_told_with_the_reason():
    with pytest.raises(InputError, match="takes 40 episodes, and the log has 30"):
        check_linearity(log_of("R1b", n=30), 0.9)
    assert "not checked (it takes 40 episodes" in verdict(log_of("R1b", n=30), 0.9).assumption
    with pytest.raises(InputError, match="does not determine the parameters"):
        check_linearity(log_of("R7"), 0.9)
    with pytest.raises(ValueError, match="extra_features has 3 rows"):
        check_linearity(log_of("R1b"), 0.9, extra_features=np.ones((3, 1)))


def test_quadratic_features_know_no_units():
    features = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(quadratic_features(features), quadratic_features(features * [1e-6, 1, 1e6]))
    assert quadratic_features(np.zeros((4, 2))).tolist() == [[0.0] * 5] * 4
