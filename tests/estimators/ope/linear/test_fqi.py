from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.ope.linear.fqi import FQI
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.instances.catalogue import instance

DIVERGENT = ("R5", "R6")
STABLE = ("R1", "R1b", "R1c", "R2", "R2b", "R3", "R4", "R4b")


@pytest.mark.parametrize("name", STABLE + DIVERGENT)
@pytest.mark.parametrize("iterations", [1, 7, 50])
def test_fqi_differs_from_lstd_by_a_power_of_its_matrix(name, iterations):
    """theta_T = theta - M^T theta with M = discount cov^-1 cross, relative to max(1, |theta_T|)."""
    moments = instance(name).moments()
    matrix = 0.9 * np.linalg.solve(moments.covariance, moments.cross_covariance)
    theta = LSTD(0.9).fit(moments).params
    expected = theta - np.linalg.matrix_power(matrix, iterations) @ theta
    found = FQI(0.9, iterations).fit(moments).params
    assert np.abs(found - expected).max() <= 1e-10 * max(1.0, np.abs(found).max())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), iterations=st.integers(1, 60), ridge=st.sampled_from([0.0, 0.1]))
def test_the_identity_holds_on_noise_with_any_ridge(noisy_log, seed, iterations, ridge):
    moments = moments_of_log(noisy_log(n=60, seed=seed)).mean()
    matrix = 0.95 * np.linalg.solve(moments.covariance + ridge * np.eye(5), moments.cross_covariance)
    theta = LSTD(0.95, ridge).fit(moments).params
    expected = theta - np.linalg.matrix_power(matrix, iterations) @ theta
    found = FQI(0.95, iterations, ridge).fit(moments).params
    assert np.abs(found - expected).max() <= 1e-10 * max(1.0, np.abs(found).max(), np.abs(theta).max())


@pytest.mark.parametrize("name", STABLE)
def test_the_limit_is_lstd_s_solution_where_there_is_one(name):
    moments = instance(name).moments()
    limit = FQI(0.9).fit(moments)
    assert limit.converged
    np.testing.assert_allclose(limit.params, LSTD(0.9).fit(moments).params, atol=1e-12)
    np.testing.assert_allclose(FQI(0.9, 3000).fit(moments).params, limit.params, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DIVERGENT)
def test_divergence_is_told(name):
    """|theta_k - theta*| is 357 after 10 and 5.8e12 after 50 iterations in R5 and R6, whose radius is 1.8."""
    world = instance(name)
    limit = FQI(0.9).fit(world.moments())
    assert limit.status == "diverged"
    assert not limit.converged
    assert np.isnan(limit.params).all()
    assert "1.8" in limit.reason
    for iterations, error in ((10, 357.0), (50, 5.8e12)):
        iterate = FQI(0.9, iterations).fit(world.moments())
        assert np.abs(iterate.params - world.theta).max() == pytest.approx(error, rel=0.01)
        assert iterate.status == "diverged"


@pytest.mark.parametrize(("name", "errors"), [("R1", {10: 0.122, 50: 2.66e-5}), ("R3", {10: 3.49, 50: 0.0515})])
def test_errors_after_some_iterations_are_those_known(name, errors):
    world = instance(name)
    path = FQI(0.9, 50).path(world.moments())
    for iterations, error in errors.items():
        assert np.abs(path[iterations] - world.theta).max() == pytest.approx(error, rel=5e-3)


def test_overflow_is_no_exception():
    result = FQI(0.9, 3000).fit(instance("R5").moments())
    assert not np.isfinite(result.value)
    assert result.status == "diverged"
    assert result.influence is None


@pytest.mark.parametrize(
    ("ridge", "radius"), [(0.0, 0.99), (1e-4, 0.990053), (1e-2, 0.994944), (0.1, 1.014355), (1.0, 0.7975)]
)
def test_a_ridge_can_destabilise_fqi_on_baird_s_star(ridge, radius):
    """Without a ridge the regression has rank 7 of 8, is of least norm, and has radius .99."""
    result = FQI(0.99, ridge=ridge).fit(instance("baird").moments())
    assert result.spectral_radius == pytest.approx(radius, abs=1e-6 if ridge < 1 else 5e-5)
    assert (result.status == "diverged") == (radius > 1)
    if not ridge:
        assert result.rank == 7
        np.testing.assert_allclose(result.params, 0.0, atol=1e-9)


@pytest.mark.parametrize(("discount", "epsilon"), [(0.99, 0.01), (0.9, 0.5), (0.8, 0.0)])
def test_the_gain_of_tsitsiklis_and_van_roy(discount, epsilon):
    """Two states with features 1 and 2: discount (6 - 4 epsilon) / 5 an iteration."""
    world = instance("tsitsiklis-van-roy", epsilon=epsilon, discount=discount)
    result = FQI(discount).fit(world.moments())
    assert result.spectral_radius == pytest.approx(discount * (6 - 4 * epsilon) / 5, abs=1e-9)


def test_many_moments_are_iterated_as_each_alone(noisy_log):
    one = moments_of_log(noisy_log())
    batch = replace(
        one,
        covariance=np.stack([one.covariance] * 2),
        cross_covariance=np.stack([one.cross_covariance] * 2),
        reward_moment=np.stack([one.reward_moment, 2 * one.reward_moment]),
        initial_features=np.stack([one.initial_features] * 2),
    )
    for iterations in (None, 4):
        alone, together = FQI(0.9, iterations).fit(one), FQI(0.9, iterations).fit(batch)
        np.testing.assert_allclose(together.params, np.stack([alone.params, 2 * alone.params]), rtol=1e-12)
        np.testing.assert_allclose(together.value, [alone.value, 2 * alone.value], rtol=1e-12)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="iterations must be"):
        FQI(0.9, 0)
    with pytest.raises(ValueError, match="a path needs"):
        FQI(0.9).path(instance("R1").moments())
