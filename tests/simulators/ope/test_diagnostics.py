"""Diagnostics of moments: the published numbers of one world a regime, and what holds of all worlds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from sandtable.simulators.ope.diagnostics import REGIMES, diagnose, whitened
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.random_mdps import assorted_mdps, random_mdps

# one world a regime, discount .9: C_ds, ||A||, spectral radius, symmetric part, least singular value of I - A
TABLE = {
    "R1": (1.0, 0.81, 0.81, 0.81, 0.19, "low distribution shift", False),
    "R1b": (1.0, 0.8293, 0.7335, 0.7650, 0.2561, "low distribution shift", False),
    "R1c": (1.0, 0.9, 0.9, 0.9, 0.1, "low distribution shift", True),
    "R2": (4.0, 0.0, 0.0, 0.0, 1.0, "contractive", True),
    "R2b": (4.0, 0.0, 0.0, 0.0, 1.0, "contractive", False),
    "R3": (100.0, 9.0, 0.9, 4.95, 0.0111, "stable", True),
    "R4": (9.0, 2.7, 0.0, 1.35, 0.33, "stable", False),
    "R4b": (2.25, 1.35, 0.0, 0.675, 0.5315, "stable and symmetric stable", False),
    "R5": (4.0, 1.8, 1.8, 0.0, 2.0591, "symmetric stable", False),
    "R6": (4.0, 1.8, 1.8, 1.8, 0.8, "invertible", False),
    "R7": (1 / 0.81, 1.0, 1.0, 1.0, 0.0, "singular", False),
}


def moments_of(phi, chain, data, start=None):
    """Return exact moments of a chain with features [n, d]; what a row lacks of 1 ends."""
    phi, chain, mu = (np.asarray(array, float) for array in (phi, chain, data))
    weighted = phi.T * mu
    start = phi[0] if start is None else np.asarray(start, float)
    following = (phi.T * (mu @ chain)) @ phi
    none = np.zeros(phi.shape[1]), np.zeros(())
    exact = "mean", "enumerated"
    return Moments(1.0, 0, weighted @ phi, weighted @ chain @ phi, *none, start, 1.0, following, *exact)


@pytest.mark.parametrize("name", TABLE)
def test_each_world_has_the_published_numbers_and_regime(name):
    """The reference's table of one world a regime; four digits are printed there."""
    told = diagnose(instance(name))
    numbers = (told.distribution_shift, told.norm, told.spectral_radius, told.symmetric_part)
    assert (*numbers, told.smallest_singular_value) == pytest.approx(TABLE[name][:5], abs=5.1e-5)
    assert (told.regime, told.bellman_complete) == TABLE[name][5:]
    assert told.reasons == {}


@pytest.mark.parametrize(
    ("name", "norm", "condition"), [("R1b", 2.375, 2.198), ("R3", 427.3, 427.3), ("R4", 8.29, 8.29)]
)
def test_lyapunov_solutions_have_the_published_norms(name, norm, condition):
    told = diagnose(instance(name))
    assert (told.lyapunov_norm, told.lyapunov_condition) == pytest.approx((norm, condition), rel=2e-4)


@pytest.mark.parametrize(("name", "iterations"), [("R1", 66), ("R4", 2), ("R2", 1), ("R5", np.inf), ("R6", np.inf)])
def test_iterations_count_until_a_millionth_of_the_first_error_is_left(name, iterations):
    """R1: .81^65 > 1e-6 >= .81^66. R4's matrix is nilpotent, R2's 0; R5 and R6 diverge."""
    assert diagnose(instance(name)).iterations == iterations


def test_td_converges_where_the_system_s_eigenvalues_are_positive():
    assert [diagnose(instance(name)).td_stable for name in ("R1", "R5", "R6", "R7")] == [True, True, False, False]


def test_a_linear_mdp_its_arrays_and_its_moments_are_diagnosed_alike():
    world = LinearMDP("R5")
    told, of_moments = diagnose(world), diagnose(world.moments(), 0.9)
    assert told == diagnose(world.mdp)
    assert replace(told, bellman_complete=None, reasons=of_moments.reasons) == of_moments
    assert "cannot be read off moments" in of_moments.reasons["bellman_complete"]


def test_conditions_are_numpy_s_own():
    moments = instance("R3").moments()
    told = diagnose(moments, 0.9)
    assert told.condition_g == pytest.approx(np.linalg.cond(moments.system(0.9)))
    assert told.condition_covariance == pytest.approx(np.linalg.cond(moments.covariance))


def test_coverage_is_the_variance_of_what_the_initial_features_need():
    moments = instance("R3").moments()
    h = np.linalg.solve(moments.system(0.5).T, moments.initial_mean)
    expected = h @ moments.covariance @ h
    assert diagnose(moments, 0.5).coverage == pytest.approx(0.25 * expected)
    undiscounted = instance("R4").moments()
    h = np.linalg.solve(undiscounted.system(1.0).T, undiscounted.initial_mean)
    assert diagnose(undiscounted, 1.0).coverage == pytest.approx(h @ undiscounted.covariance @ h)
    assert diagnose(instance("R7")).coverage == np.inf


def test_nothing_depends_on_units_or_basis_of_the_features_but_what_says_so():
    moments = instance("R1b").moments()
    basis = np.array([[1e-7, 2e-7], [-30.0, 10.0]])
    turned = replace(
        moments,
        covariance=basis @ moments.covariance @ basis.T,
        cross_covariance=basis @ moments.cross_covariance @ basis.T,
        next_covariance=basis @ moments.next_covariance @ basis.T,
        initial_features=basis @ moments.initial_features,
    ).scaled(7.0)
    told, other = diagnose(moments, 0.9), diagnose(turned, 0.9)
    for name in ("distribution_shift", "norm", "spectral_radius", "symmetric_part", "smallest_singular_value",
                 "rank", "lyapunov_norm", "lyapunov_condition", "iterations", "coverage"):  # fmt: skip
        assert getattr(other, name) == pytest.approx(getattr(told, name), rel=1e-9), name
    assert other.regime == told.regime
    assert other.condition_covariance > 1e10


def test_within_the_tolerance_a_strict_comparison_is_not_decided():
    """Two states whose features change sign: A = -discount * ratio, which FQI bears below 1 and LSTD at any size."""

    def of(ratio):
        return diagnose(moments_of([[1], [-ratio]], [[0, 1], [0, 0]], [1, 0]), 1.0)

    assert [of(ratio).regime for ratio in (1 - 1e-8, 1.0, 1 + 4e-10, 1 + 1e-8)] == [
        "low distribution shift",
        "boundary",
        "boundary",
        "symmetric stable",
    ]
    assert of(1.0).conditions == {
        "contractive": 0, "stable": 0, "symmetric_stable": 1, "td_stable": 1, "invertible": 1,
        "low_distribution_shift": 0,
    }  # fmt: skip


def test_a_system_that_is_zero_to_rounding_is_singular_and_one_that_is_nearly_so_is_on_the_boundary():
    def of(distance):
        return diagnose(moments_of([[1], [(1 - distance) / 0.9]], [[0, 1], [0, 0]], [1, 0]), 0.9).regime

    assert of(1e-16) == "singular"
    assert of(-3e-10) == "boundary"
    assert of(-3e-9) == "invertible"


def test_redundant_features_are_cut_and_change_nothing_else():
    """Baird's star: 8 weights for 7 states; FQI of least norm has radius .99, and TD diverges (Baird 1995)."""
    phi = np.zeros((7, 8))
    phi[np.arange(6), np.arange(6)], phi[:6, 7] = 2, 1
    phi[6, 6], phi[6, 7] = 1, 2
    told = diagnose(moments_of(phi, np.eye(7)[[6] * 7], np.full(7, 1 / 7)), 0.99)
    assert told.rank == 7
    assert told.spectral_radius == pytest.approx(0.99)
    assert told.regime == "stable"
    assert not told.td_stable
    assert told.condition_g == told.condition_covariance == np.inf


def test_next_features_beyond_the_data_make_the_system_singular():
    """The data show the first of two states alone, and it leads to the other."""
    told = diagnose(moments_of(np.eye(2), [[0, 1], [1, 0]], [1, 0]), 0.9)
    assert (told.rank, told.regime, told.smallest_singular_value) == (1, "singular", 0.0)
    assert told.distribution_shift == told.coverage == np.inf
    assert set(told.conditions.values()) == {-1}
    assert not told.td_stable


def test_states_that_the_data_hardly_show_cost_no_digits():
    """Tabular, data (1, 1e-24): the least singular value is that of the exact inverse, which scaling gives."""
    rare = 1e-24
    told = diagnose(moments_of(np.eye(2), [[0, 1], [0.5, 0.5]], [1, rare]), 0.9)
    inverse = np.linalg.inv(np.eye(2) - 0.9 * np.array([[0, 1], [0.5, 0.5]]))
    scaled = np.array([1, rare])[:, None] ** 0.5 * inverse / np.array([1, rare]) ** 0.5
    assert told.smallest_singular_value == pytest.approx(1 / np.linalg.norm(scaled, 2), rel=1e-9)
    assert told.spectral_radius == pytest.approx(0.9)
    assert (told.rank, told.regime) == (2, "stable")


def test_without_features_nothing_is_known():
    told = diagnose(moments_of([[0.0]], [[1.0]], [1.0]), 0.9)
    assert (told.rank, told.regime, told.smallest_singular_value) == (0, "singular", 0.0)


def test_what_moments_do_not_hold_is_none_with_its_reason():
    held = instance("R5").moments()
    told = diagnose(replace(held, next_covariance=None, next_covariance_from=None, initial_weight=0.0), 0.9)
    assert told.distribution_shift is None
    assert told.coverage is None
    assert set(told.reasons) == {"distribution_shift", "coverage", "bellman_complete"}
    assert told.regime == "symmetric stable"


def test_json_has_its_own_names_and_null_for_what_is_not_finite():
    told = json.loads(json.dumps(diagnose(instance("R5")).as_json(), allow_nan=False))
    assert told["condition_G"] == pytest.approx(1.0)
    assert told["iterations_to_1e-6"] is None
    assert told["td_stable"] is True
    assert told["regime"] == "symmetric stable"


def test_batched_moments_give_what_each_gives_alone():
    worlds = random_mdps(np.arange(40), states=4, features=3)
    moments, together = worlds.moments(), diagnose(worlds)
    for i in range(40):
        arrays = {name: getattr(moments, name)[i] for name in ("covariance", "cross_covariance", "next_covariance")}
        alone = diagnose(replace(moments, initial_features=moments.initial_features[i], **arrays), 0.9)
        assert alone.regime == together.regime[i]
        assert alone.rank == together.rank[i]
        assert alone.smallest_singular_value == pytest.approx(together.smallest_singular_value[i], rel=1e-6)
        assert alone.iterations == together.iterations[i]


def test_a_discount_is_needed_and_lies_between_0_and_1():
    moments = instance("R1").moments()
    for discount in (None, 1.2, -0.1):
        with pytest.raises(ValueError, match="discount must lie in"):
            diagnose(moments, discount)
    with pytest.raises(ValueError, match="finite"):
        diagnose(replace(moments, covariance=moments.covariance * np.nan), 0.9)
    assert diagnose(moments, 0.0).regime == "low distribution shift"


def test_the_whitened_matrix_is_similar_to_the_iteration_of_fqi():
    moments = instance("R1b").moments()
    iteration = 0.9 * np.linalg.solve(moments.covariance, moments.cross_covariance)
    ours, theirs = np.linalg.eigvals(whitened(moments, 0.9)), np.linalg.eigvals(iteration)
    np.testing.assert_allclose(np.sort_complex(ours), np.sort_complex(theirs), rtol=1e-12)
    root = linalg.fractional_matrix_power(moments.covariance, -0.5)
    assert np.linalg.norm(whitened(moments, 0.9), 2) == pytest.approx(
        0.9 * np.linalg.norm(root @ moments.cross_covariance @ root, 2)
    )


def test_implications_hold_in_a_thousand_random_worlds_of_every_regime():
    arrows = [
        ("low_distribution_shift", "contractive"), ("contractive", "stable"), ("contractive", "symmetric_stable"),
        ("stable", "invertible"), ("symmetric_stable", "invertible"), ("symmetric_stable", "td_stable"),
        ("td_stable", "invertible"),
    ]  # fmt: skip
    seen = set()
    for worlds in assorted_mdps(1000, seed=3):
        told = diagnose(worlds)
        seen |= set(told.regime)
        for premise, conclusion in arrows:
            assert not ((told.conditions[premise] == 1) & (told.conditions[conclusion] == -1)).any()
        full = told.bellman_complete & (told.rank == worlds.features.shape[-1])
        assert not (full & (told.conditions["stable"] == -1)).any()
    assert seen >= set(REGIMES) - {"singular", "boundary"}
