"""Whitened features, what the data do not show, and singular values of badly scaled matrices."""

from fractions import Fraction

import numpy as np
import pytest

from sandtable.simulators.ope.whitening import smallest_singular_value, unseen_variance, whitening


def covariances(n, d, rank, seed=0):
    factor = np.random.default_rng(seed).normal(size=(n, d, rank))
    return factor @ np.swapaxes(factor, 1, 2)


def test_whitened_features_have_the_identity_for_their_covariance():
    covariance = covariances(20, 4, 4) * np.array([1e-8, 1, 1e3, 1e8])[:, None] * np.array([1e-8, 1, 1e3, 1e8])
    told = whitening(covariance)
    np.testing.assert_array_equal(told.rank, 4)
    whitened = told.matrix @ covariance @ np.swapaxes(told.matrix, 1, 2)
    np.testing.assert_allclose(whitened, np.broadcast_to(np.eye(4), (20, 4, 4)), atol=1e-9)
    assert not told.hidden.any()


def test_directions_that_the_data_lack_are_set_apart():
    covariance = covariances(20, 4, 2)
    told = whitening(covariance)
    np.testing.assert_array_equal(told.rank, 2)
    whitened = told.matrix @ covariance @ np.swapaxes(told.matrix, 1, 2)
    np.testing.assert_allclose(whitened, np.broadcast_to(np.diag([1.0, 1, 0, 0]), (20, 4, 4)), atol=1e-9)
    np.testing.assert_allclose(told.hidden @ covariance, 0, atol=1e-12)
    assert not told.hidden[:, :2].any()
    assert (np.abs(told.hidden[:, 2:]).max(-1) > 0.1).all()


def test_a_feature_that_is_never_seen_is_measured_by_what_follows():
    covariance, cross = np.diag([4.0, 0.0]), np.array([[0.0, 6e9], [0.0, 0.0]])
    unseen = unseen_variance(covariance, cross)
    np.testing.assert_allclose(unseen, [0.0, 9e18])
    told = whitening(covariance, unseen)
    np.testing.assert_allclose(told.hidden, [[0, 0], [0, 1 / 3e9]])
    np.testing.assert_allclose(unseen_variance(covariance, cross, np.diag([1.0, 1e20])), [1.0, 1e20])


def test_rounding_is_that_of_the_least_eigenvalue():
    told = whitening(np.array([[1.0, 1 - 1e-6], [1 - 1e-6, 1.0]]))
    assert told.rounding == pytest.approx(1e3 * 2.0**-52 * 2e6, rel=1e-6)
    assert whitening(np.eye(3)).rounding == pytest.approx(1e3 * 2.0**-52)
    assert whitening(np.zeros((2, 2))).rounding == 0


def test_the_least_singular_value_of_a_harmless_but_badly_scaled_matrix_is_exact():
    """[[1, s], [-1/s, 1]] / 2 with s = 1e12 has determinant 1/2; the product of both singular values is that."""
    s = 1e12
    matrix = np.array([[[1, s], [-1 / s, 1]]]) / 2
    squares = sum(Fraction(x) ** 2 for x in matrix.ravel())
    expected = 0.5 / float(squares) ** 0.5  # the larger one is the Frobenius norm to 24 digits
    smallest, singular = smallest_singular_value(matrix, np.abs(matrix))
    assert smallest[0] == pytest.approx(expected, rel=1e-9)
    assert not singular[0]


def test_matrices_are_singular_if_their_terms_cancel():
    matrix = np.array([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0 + 1e-9]], [[0.0, 0.0], [0.0, 1.0]]])
    smallest, singular = smallest_singular_value(matrix, np.ones_like(matrix))
    assert singular.tolist() == [True, False, True]
    assert smallest == pytest.approx([0, 5e-10, 0], rel=1e-6, abs=1e-15)
