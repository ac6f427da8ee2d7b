"""Lines through minima: the published NetHack table, what lies at its edge, and what an argmin on a grid can tell."""

import numpy as np
import pytest

from sandtable.estimators.scaling.minima import Minima, cells, disagreement
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima, sizes
from sandtable.simulators.scaling.runs import Runs


@pytest.fixture(scope="module")
def runs():
    return load_nethack_minima()


@pytest.fixture(scope="module")
def published(runs):
    return Minima().fit(runs, sizes())


def codes(result):
    return [finding.code for finding in result.warnings]


@pytest.mark.parametrize(
    ("name", "estimate", "low", "high"),
    [
        ("N_exponent", 0.605, 0.546, 0.664),
        ("D_exponent", 0.395, 0.336, 0.454),
        ("loss_exponent", -0.172, -0.191, -0.153),
        ("return_exponent", 0.340, 0.273, 0.407),
    ],
)
def test_exponents_of_all_budgets(published, name, estimate, low, high):
    """Least squares in logs on the isoFLOP minima of arXiv 2307.09423 v3; its own N and D exponents are .61 and .39."""
    assert published.params[name] == pytest.approx(estimate, abs=0.002)
    assert published.conf_int().loc[name].tolist() == pytest.approx([low, high], abs=0.002)


@pytest.mark.parametrize(
    ("name", "estimate", "low", "high"),
    [
        ("N_exponent", 0.515, 0.408, 0.622),
        ("D_exponent", 0.485, 0.378, 0.592),
        ("loss_exponent", -0.219, None, None),
        ("return_exponent", 0.468, 0.352, 0.584),
    ],
)
def test_exponents_up_to_1e18(runs, name, estimate, low, high):
    """The same up to 1e18 FLOP; the return's slope is that of the table as printed."""
    result = Minima().fit(runs.select(runs.flops <= 1e18), sizes())
    assert result.params[name] == pytest.approx(estimate, abs=0.002)
    if low is not None:
        assert result.conf_int().loc[name].tolist() == pytest.approx([low, high], abs=0.002)


def test_five_minima_lie_on_the_smallest_model(published):
    assert published.minima["on_edge"].sum() == 5
    edge = next(finding for finding in published.warnings if finding.code == "edge_minimum")
    assert edge.rows == (2, 3, 4, 5, 6)


def test_the_answers_beside_least_squares_and_their_disagreement(published):
    assert set(published.beside) == {"hac", "edge_free", "interval_censored"}
    hac, free, censored = (published.beside[name] for name in ("hac", "edge_free", "interval_censored"))
    assert hac.params.tolist() == published.params.tolist()
    assert free.nobs == 17
    assert free.params["N_exponent"] > published.params["N_exponent"]
    assert censored.converged
    assert censored.params["N_exponent"] + censored.params["D_exponent"] == pytest.approx(1)
    words = disagreement(published)
    assert words.startswith("N_exponent is 0.605 [0.546, 0.664] by least squares, 0.605 [")
    assert "outside the interval of least squares" in words


def test_optima_follow_the_lines(published):
    at = published.optimum([1e18, 1e20])
    assert at["parameters"][1] / at["parameters"][0] == pytest.approx(100 ** published.params["N_exponent"])
    ends = published.optimum_interval([1e18, 1e20])["parameters"]
    assert (ends[:, 0] < at["parameters"]).all()
    assert (ends[:, 1] > at["parameters"]).all()
    assert np.ptp(np.log(ends[1])) > np.ptp(np.log(ends[0]))


def test_an_argmin_on_a_grid_is_unbiased_by_its_cells_alone():
    """Of optima that scatter about a line of slope .5, seen as the nearest of sizes that begin above the lowest."""
    generator = np.random.default_rng(0)
    flops, grid = np.geomspace(1e14, 1e19, 60), np.geomspace(3e5, 1e8, 6)
    optima = 2e-2 * flops**0.5 * np.exp(generator.normal(0, 0.3, 60))
    low, high = cells(grid, grid)
    seen = grid[np.searchsorted(high[:-1], np.log(optima))]
    result = Minima().fit(Runs.of(flops=flops, parameters=seen), grid)
    censored = result.beside["interval_censored"]
    ends = censored.conf_int().loc["N_exponent"]
    assert ends[0] < 0.5 < ends[1]
    assert abs(censored.params["N_exponent"] - 0.5) < abs(result.params["N_exponent"] - 0.5)
    assert low[0] == -np.inf
    assert high[-1] == np.inf


def test_on_a_fine_grid_the_cells_tell_what_least_squares_does():
    generator = np.random.default_rng(1)
    flops, grid = np.geomspace(1e17, 1e21, 15), np.geomspace(1e5, 1e12, 4000)
    optima = 0.3 * flops**0.5 * np.exp(generator.normal(0, 0.3, 15))
    nearest = np.abs(np.log(optima)[:, None] - np.log(grid)).argmin(axis=1)
    result = Minima().fit(Runs.of(flops=flops, parameters=grid[nearest]), grid)
    censored = result.beside["interval_censored"]
    for name in ("N_exponent", "N_coefficient"):
        assert censored.params[name] == pytest.approx(result.params[name], rel=1e-3)
        assert censored.conf_int().loc[name].tolist() == pytest.approx(result.conf_int().loc[name].tolist(), rel=1e-2)


@pytest.mark.slow
def test_an_edge_biases_least_squares_and_not_the_cells():
    """Sizes that scatter about a slope of .6 as much as the published ones do, at their budgets and on their grid."""
    flops, grid, generator = load_nethack_minima().flops, sizes(), np.random.default_rng(0)
    middles = np.sqrt(grid[1:] * grid[:-1])
    slopes, covered = [], 0
    for _ in range(100):
        optima = 5e6 * (flops / 1e17) ** 0.6 * np.exp(generator.normal(0, 0.33, len(flops)))
        result = Minima().fit(Runs.of(flops=flops, parameters=grid[np.searchsorted(middles, optima)]), grid)
        censored = result.beside["interval_censored"]
        low, high = censored.conf_int().loc["N_exponent"]
        covered += low <= 0.6 <= high
        slopes.append((result.params["N_exponent"], censored.params["N_exponent"]))
    least_squares, cells_ = np.mean(slopes, axis=0)
    assert least_squares < 0.58
    assert cells_ == pytest.approx(0.6, abs=0.01)
    assert covered >= 89  # of 100 at a level of .95, less three of its standard errors


def test_a_line_that_is_exact_is_found_exactly():
    flops = np.geomspace(1e17, 1e21, 6)
    result = Minima().fit(Runs.of(flops=flops, parameters=0.3 * flops**0.5, loss=9 * flops**-0.05))
    assert result.params["N_exponent"] == pytest.approx(0.5, rel=1e-12)
    assert result.params["loss_coefficient"] == pytest.approx(9, rel=1e-9)
    assert "data" not in result.optimum(1e20)
    assert codes(result) == []


def test_few_budgets_are_told_and_fewer_refused():
    flops = np.geomspace(1e17, 1e20, 4)
    assert "few_budgets" in codes(Minima().fit(Runs.of(flops=flops, loss=flops**-0.1 * [1, 1.1, 1, 1.1])))
    with pytest.raises(InputError, match="at least three budgets"):
        Minima().fit(Runs.of(flops=[1e17, 1e18], loss=[2.0, 1.0]))


def test_values_that_are_not_known_are_no_points_and_values_below_zero_are_named():
    flops = np.geomspace(1e17, 1e21, 6)
    size = 0.3 * flops**0.5
    size[2] = np.nan
    result = Minima().fit(Runs.of(flops=flops, parameters=size, loss=9 * flops**-0.05))
    assert result.params["N_exponent"] == pytest.approx(0.5)
    assert result.rows.tolist() == [2, 3, 5, 6, 7]
    with pytest.raises(InputError, match="rows 2, 3: return must be above 0 for a line in logarithms"):
        Minima().fit(Runs.of(flops=flops, returns=[-3, 0, 1, 2, 3, 4]))


def test_minima_of_parabolas_are_not_taken_for_those_of_a_grid():
    flops = np.geomspace(1e17, 1e21, 6)
    assert set(Minima().fit(Runs.of(flops=flops, parameters=0.3 * flops**0.5)).beside) == {"hac"}
