"""Powers of stable matrices, and the Lyapunov solution that bounds them."""

import numpy as np
import pytest
from scipy import linalg

from sandtable.simulators.ope.lyapunov import exceeds, powers_and_lyapunov, powers_until


def stable_matrices(n, r, seed=0):
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(n, r, r)) * np.exp(generator.normal(size=(n, r, 1)))
    radius = np.abs(np.linalg.eigvals(matrix)).max(-1)
    return matrix * (generator.uniform(0.05, 0.995, n) / radius)[:, None, None]


@pytest.mark.parametrize("r", [1, 2, 3, 6])
def test_the_solution_is_scipy_s(r):
    matrix = stable_matrices(50, r)
    _, solution = powers_and_lyapunov(matrix)
    expected = [linalg.solve_discrete_lyapunov(one.T, np.eye(r)) for one in matrix]
    np.testing.assert_allclose(solution, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_the_solution_of_a_nilpotent_matrix_is_exact():
    """scipy's documentation case of the reference: A = [[0, 2.7], [0, 0]] has P = diag(1, 8.29)."""
    _, solution = powers_and_lyapunov(np.array([[[0, 2.7], [0, 0]]]))
    np.testing.assert_allclose(solution[0], np.diag([1, 8.29]), rtol=1e-15)


@pytest.mark.parametrize("r", [2, 4])
def test_powers_obey_the_lyapunov_bound(r):
    """``||A^k|| <= sqrt(cond P) (1 - 1/||P||)^{k/2}`` for 2,000 stable matrices; it is nearly attained."""
    matrix = stable_matrices(2000, r, seed=1)
    _, solution = powers_and_lyapunov(matrix)
    eigenvalues = np.linalg.eigvalsh(solution)
    power, worst = matrix, 0.0
    for k in range(1, 25):
        bound = np.sqrt(eigenvalues[:, -1] / eigenvalues[:, 0]) * (1 - 1 / eigenvalues[:, -1]) ** (k / 2)
        worst = max(worst, (np.linalg.norm(power, 2, axis=(1, 2)) / bound).max())
        power = power @ matrix
    assert 0.9 < worst <= 1 + 1e-9


def test_the_number_of_powers_is_where_the_norm_falls_below():
    matrix = stable_matrices(200, 3, seed=2)
    levels, _ = powers_and_lyapunov(matrix)
    count = powers_until(levels, len(matrix), 1e-6)
    for one, t in zip(matrix, count, strict=True):
        assert np.linalg.norm(np.linalg.matrix_power(one, t), 2) <= 1e-6 * (1 + 1e-9)
        assert np.linalg.norm(np.linalg.matrix_power(one, t - 1), 2) > 1e-6 * (1 - 1e-9)


def test_powers_that_vanish_at_once_take_one_step():
    levels, solution = powers_and_lyapunov(np.zeros((2, 3, 3)))
    assert powers_until(levels, 2, 1e-6).tolist() == [1, 1]
    np.testing.assert_array_equal(solution, np.broadcast_to(np.eye(3), (2, 3, 3)))


def test_sizes_below_what_is_negligible_are_refused():
    with pytest.raises(ValueError, match="size must lie in"):
        powers_until([], 0, 1e-12)


def test_norms_are_compared_as_spectral_norms():
    matrix = np.stack([np.eye(2), 2 * np.eye(2), np.diag([1.3, 0.0])])
    assert exceeds(matrix, 1.2).tolist() == [False, True, True]
