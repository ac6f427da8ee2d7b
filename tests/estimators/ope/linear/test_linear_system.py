import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.ope.linear.linear_system import equilibrated, solve_system


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), exponents=st.lists(st.integers(-60, 60), min_size=4, max_size=4))
def test_scales_of_rows_and_columns_cost_no_digits(seed, exponents):
    generator = np.random.default_rng(seed)
    matrix, x = generator.normal(size=(4, 4)) + 3 * np.eye(4), generator.normal(size=4)
    scale = np.ldexp(1.0, np.array(exponents))
    solution = solve_system(matrix * scale * scale[:, None], scale * (matrix @ x))
    assert solution.rank == 4
    np.testing.assert_allclose(solution.x * scale, x, rtol=1e-9 * np.linalg.cond(matrix))


def test_the_equilibrated_matrix_has_rows_of_size_one():
    matrix = np.random.default_rng(0).normal(size=(6, 6)) * 10.0 ** np.arange(6)
    scaled, rows, columns = equilibrated(matrix)
    largest = np.abs(scaled).max(axis=1)
    assert ((largest >= 0.5) & (largest <= 1)).all()
    np.testing.assert_array_equal(scaled, rows[:, None] * matrix * columns)


def test_many_systems_are_solved_as_each_alone():
    generator = np.random.default_rng(1)
    matrices, right = generator.normal(size=(2, 3, 4, 4)), generator.normal(size=(2, 3, 4, 2))
    matrices[1, 2, :, 0] = 0.0  # one of them singular
    together = solve_system(matrices, right)
    assert together.rank[1, 2] == 3
    assert np.isinf(together.condition[1, 2])
    for i in range(2):
        for j in range(3):
            alone = solve_system(matrices[i, j], right[i, j])
            np.testing.assert_allclose(together.x[i, j], alone.x, rtol=1e-12)
            assert together.rank[i, j] == alone.rank


def test_a_singular_system_gets_the_least_norm_solution_and_its_rank():
    matrix = np.array([[1.0, 1.0], [2.0, 2.0]])
    solution = solve_system(matrix, np.array([2.0, 4.0]))
    assert solution.rank == 1
    np.testing.assert_allclose(solution.x, [1.0, 1.0])
    np.testing.assert_allclose(solution.x, np.linalg.lstsq(matrix, np.array([2.0, 4.0]))[0])


def test_an_almost_singular_system_is_told_as_singular():
    matrix = np.diag([1.0, 1.0]) + np.array([[0.0, 1.0], [1.0, 1e-17]])
    assert solve_system(matrix, np.ones(2)).rank == 1


def test_the_decomposition_agrees_where_nothing_is_singular():
    generator = np.random.default_rng(2)
    matrix, right = generator.normal(size=(5, 5)), generator.normal(size=5)
    np.testing.assert_allclose(solve_system(matrix, right, "svd").x, solve_system(matrix, right).x, rtol=1e-10)
    with pytest.raises(ValueError, match="solver must be"):
        solve_system(matrix, right, "cholesky")
