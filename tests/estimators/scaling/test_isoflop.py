"""Approach 2: published bias factors, budgets that have no usable minimum, and what is said of them."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.scaling.isoflop import IsoFlop, procedure_bias
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

CHINCHILLA = Surface(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
BUDGETS = np.geomspace(1e17, 1e21, 5)


def codes(result):
    return [finding.code for finding in result.warnings]


@pytest.mark.parametrize(
    ("truth", "factor", "exponent"),
    [
        ((1.69, 400, 400, 0.31, 0.31), 1.00000, 0.5),
        ((1.69, 406.4, 410.7, 0.34, 0.28), 1.02990, 0.451613),
        ((1.69, 406.4, 410.7, 0.46, 0.15), 1.16158, 0.245902),
    ],
)
def test_parabolas_are_biased_without_noise(truth, factor, exponent):
    """Vertex over optimal size, 15 sizes within a factor 8; the exponents are exact (arXiv 2603.22339)."""
    surface = Surface(*truth)
    bias = procedure_bias(IsoFlop(), isoflop_grid(surface, BUDGETS), surface, [1e17, 1e21, 1e24])
    assert bias.size_factor == pytest.approx([factor] * 3, abs=1e-5)
    assert bias.N_exponent == pytest.approx(0, abs=1e-6)
    assert bias.fit.params["N_exponent"] == pytest.approx(exponent, abs=1e-6)
    assert bias.fit.params["D_exponent"] == pytest.approx(1 - exponent, abs=1e-6)
    assert codes(bias.fit) == []


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 0.8), st.floats(1.5, 4), st.integers(3, 9))
def test_parabolas_in_log_size_are_found_exactly(exponent, half_width, points):
    flops = np.repeat(BUDGETS, points)
    optimum = 0.1 * flops**exponent
    size = optimum * np.exp(np.tile(np.linspace(-1, 0.8, points), 5) * np.log(half_width))
    loss = 2 + 0.1 * np.log(size / optimum) ** 2
    result = IsoFlop().fit(Runs.of(flops=flops, parameters=size, data=flops / (6 * size), loss=loss))
    assert result.params["N_exponent"] == pytest.approx(exponent, abs=1e-7)
    assert result.minima["loss"].tolist() == pytest.approx([2] * 5)
    assert result.minima["flops"].tolist() == pytest.approx(6 * result.minima["parameters"] * result.minima["data"])


def test_intervals_are_student_s_on_the_vertices():
    runs = with_noise(isoflop_grid(CHINCHILLA, BUDGETS), 0.003, seed=1)
    result = IsoFlop().fit(runs)
    line = sm.OLS(np.log(result.minima["parameters"]), sm.add_constant(np.log(result.minima["flops"]))).fit()
    assert result.conf_int().loc["N_exponent"].tolist() == pytest.approx(line.conf_int().loc["flops"].tolist())
    assert result.bse["N_exponent"] == pytest.approx(line.bse["flops"])


def test_an_odd_factor_of_compute_is_kept():
    runs = isoflop_grid(CHINCHILLA, BUDGETS, flops_factor=8)
    result = IsoFlop().fit(runs)
    assert result.minima["flops"].tolist() == pytest.approx(8 * result.minima["parameters"] * result.minima["data"])


def budget(sizes, losses, flops):
    sizes = np.asarray(sizes, float)
    return {"flops": np.full(len(sizes), flops), "parameters": sizes, "data": flops / (6 * sizes), "loss": losses}


def table(*budgets):
    return Runs.of(**{name: np.concatenate([one[name] for one in budgets]) for name in budgets[0]})


def good(flops, shift=0.0, points=5):
    """Return a budget whose minimum lies ``shift`` half-ranges off the middle of its sizes."""
    places = np.linspace(-1, 1, points)
    size = np.sqrt(flops / 120)
    return budget(size * np.exp(places), 2 + 0.1 * (places - shift) ** 2, flops)


GOOD = [good(flops) for flops in (1e17, 1e18, 1e19, 1e20)]
WELL = np.array([2.1, 2.02, 2.0, 2.02, 2.1])


@pytest.mark.parametrize(
    ("odd", "near", "code"),
    [
        (good(1e21, shift=1.02), good(1e21, shift=0.5), "edge_minimum"),
        (budget([1e9, 2e9, 3e9, 4e9, 5e9], 4 - WELL, 1e21), good(1e21), "no_minimum"),
        (good(1e21, points=4), good(1e21, points=5), "few_sizes"),
        (good(1e21, points=2), good(1e21, points=5), "few_sizes"),
        (good(1e21, shift=0.55), good(1e21, shift=0.49), "off_centre"),
    ],
)
def test_a_budget_without_a_trustworthy_minimum_is_told_by_its_rows(odd, near, code):
    result = IsoFlop().fit(table(*GOOD, odd))
    found = next(finding for finding in result.warnings if finding.code == code)
    assert found.rows == tuple(range(22, 22 + len(odd["flops"])))
    assert code not in codes(IsoFlop().fit(table(*GOOD, near)))


def test_minima_beyond_their_sizes_are_no_points_of_the_line():
    result = IsoFlop().fit(table(*GOOD, good(1e21, shift=1.5)))
    assert result.minima["on_edge"].tolist() == [False] * 4 + [True]
    assert result.nobs == 4
    assert "few_budgets" in codes(result)
    assert result.params["N_exponent"] == pytest.approx(0.5)


def test_too_little_is_refused():
    with pytest.raises(InputError, match="two budgets at least; all 5 have one"):
        IsoFlop().fit(table(good(1e18)))
    with pytest.raises(InputError, match=r"1 of 2 have one \(budgets begin at rows 2, 7\)"):
        IsoFlop().fit(table(good(1e18), good(1e19, shift=2)))
    with pytest.raises(ValueError, match="no column parameters_non_embedding"):
        IsoFlop(size="parameters_non_embedding").fit(table(*GOOD))


def test_a_count_without_embeddings_has_its_own_sizes_and_the_same_data():
    runs = isoflop_grid(CHINCHILLA, BUDGETS)
    table = {name: getattr(runs, name) for name in runs.names()}
    embedding = 0.4 * (runs.parameters / runs.parameters.min()) ** (-1 / 3)  # of the parameters: less of larger ones
    inner = Runs.of(**table, parameters_non_embedding=runs.parameters * (1 - embedding))
    total, without = IsoFlop().fit(inner), IsoFlop(size="parameters_non_embedding").fit(inner)
    assert without.params["N_exponent"] > total.params["N_exponent"] + 0.01
    assert without.params["D_exponent"] == pytest.approx(total.params["D_exponent"], abs=0.01)
