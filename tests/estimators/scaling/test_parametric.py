"""Approach 3 as a fitted law: published optima, standard errors, weights, refusals and warnings."""

import numpy as np
import pandas as pd
import pytest

from sandtable.estimators.scaling.parametric import PARAMETERS, Approach3, Optimum, derive
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

CHINCHILLA = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
BUDGETS = np.geomspace(1e18, 1e21, 6)
GRID = isoflop_grid(CHINCHILLA, BUDGETS, 10)


def fitted(objective="ls-log", scale=0.01, seed=0, grid=GRID, **settings):
    runs = with_noise(grid, scale, seed=seed)
    return Approach3(objective, **settings).fit(runs.parameters, runs.data, runs.loss)


@pytest.mark.parametrize(
    ("params", "exponent", "factor", "optima"),
    [
        (
            (1.69, 406.4, 410.7, 0.34, 0.28),
            0.451613,
            1.344711,
            {5.76e23: (3.21899e10, 2.98231e12, 1.930748), 1e21: (1.82422e9, 9.13634e10, 2.328883)},
        ),
    ],
)
def test_optima_are_those_of_the_published_surface(params, exponent, factor, optima):
    """arXiv 2203.15556, equation 4, with the rounded parameters of its appendix D.3."""
    whole = derive(np.array(params))
    assert whole[PARAMETERS.index("N_exponent")] == pytest.approx(exponent, abs=1e-6)
    assert whole[PARAMETERS.index("G")] == pytest.approx(factor, abs=1e-6)
    for budget, numbers in optima.items():
        found = Optimum()(whole, budget)
        np.testing.assert_allclose([found["parameters"], found["data"], found["loss"]], numbers, rtol=1e-5)


@pytest.mark.parametrize("objective", ["huber-log", "ls-log", "ls"])
def test_a_noise_free_surface_is_found_with_its_optimum(objective):
    result = Approach3(objective).fit(GRID.parameters, GRID.data, GRID.loss)
    np.testing.assert_allclose(result.params[:5], [1.69, 406.4, 410.7, 0.34, 0.28], rtol=1e-6)
    for name, value in CHINCHILLA.optimum(1e23).items():
        assert result.optimum(1e23)[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(result.predict(GRID.parameters, GRID.data), GRID.loss, rtol=1e-9)
    assert (result.rank, result.converged, result.warnings) == (5, True, ())
    assert result.condition_number < 1e3


@pytest.mark.parametrize("objective", ["huber-log", "ls-log", "ls"])
def test_standard_errors_are_those_of_repeated_fits(objective):
    results = [fitted(objective, 0.005, seed) for seed in range(60)]
    names = ["E", "alpha", "beta", "N_exponent"]
    spread = pd.DataFrame([one.params[names] for one in results]).std()
    for kind in (lambda one: one, lambda one: one.beside["hc3"]):
        errors = pd.DataFrame([kind(one).bse[names] for one in results]).median()
        np.testing.assert_allclose(errors, spread, rtol=0.35)


def test_the_sum_is_that_of_the_residuals():
    least, huber = fitted("ls-log"), fitted("huber-log", delta=2e-3)
    assert least.objective_sum == pytest.approx(np.sum(least.residuals**2), rel=1e-12)
    size = np.abs(huber.residuals)
    expected = np.sum(np.where(size <= 2e-3, size**2 / 2, 2e-3 * (size - 1e-3)))
    assert huber.objective_sum == pytest.approx(expected, rel=1e-12)
    assert (least.delta, huber.delta) == (None, 2e-3)


@pytest.mark.parametrize("objective", ["huber-log", "ls-log"])
def test_the_variance_beside_the_known_one_is_found(objective):
    grid = isoflop_grid(CHINCHILLA, BUDGETS, 60)
    known = np.where(np.arange(len(grid)) % 2, 0.02, 0.001)
    generator = np.random.default_rng(0)
    losses = grid.loss * np.exp(generator.normal(size=len(grid)) * np.sqrt(known**2 + 0.01**2))
    result = Approach3(objective).fit(grid.parameters, grid.data, losses, loss_se=known * losses)
    assert result.statistics["extra_sd"] == pytest.approx(0.01, rel=0.15)
    ratio = result.sample.weights[0] / result.sample.weights[1]
    assert ratio == pytest.approx((0.02**2 + 0.01**2) / (0.001**2 + 0.01**2), rel=0.25)


def test_no_variance_is_added_where_the_known_one_suffices():
    runs = with_noise(GRID, 0.001, seed=1)
    result = Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss, loss_se=0.01 * runs.loss)
    assert result.statistics["extra_sd"] == 0


def test_weights_matter_by_their_ratios_alone():
    runs = with_noise(GRID, 0.01, seed=1)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(runs))
    one, other = (
        Approach3().fit(runs.parameters, runs.data, runs.loss, scale * weights) for scale in (1.0, 7.0)
    )
    np.testing.assert_allclose(one.params, other.params, rtol=1e-8)


def test_a_factor_of_flops_moves_the_optimum_but_not_the_law():
    six, three = fitted(), fitted(factor=3.0)
    pd.testing.assert_series_equal(six.params, three.params)
    np.testing.assert_allclose(six.optimum(2e20)["parameters"], three.optimum(1e20)["parameters"])


def test_a_parameter_at_its_bound_is_said_and_has_no_error():
    result = Approach3("ls").fit(GRID.parameters, GRID.data, GRID.loss - 1.69 - 0.05)
    assert [finding.code for finding in result.warnings] == ["at_bound"]
    assert result.warnings[0].message.startswith("E ")
    assert np.isnan(result.bse["E"])
    assert np.isfinite(result.bse[["alpha", "beta", "G"]]).all()


def test_a_floor_just_above_zero_is_no_bound():
    assert Approach3("ls").fit(GRID.parameters, GRID.data, GRID.loss - 1.69 + 0.01).warnings == ()


def test_two_sizes_do_not_identify_an_exponent():
    sizes = np.tile([1e8, 1e9], 20)
    data = np.repeat(np.geomspace(1e9, 1e11, 20), 2)
    assert Approach3("ls-log").fit(sizes, data, CHINCHILLA.loss(sizes, data)).rank == 4


def test_as_many_runs_as_parameters_have_no_intervals():
    runs = with_noise(GRID, 0.001, seed=1).select(np.array([0, 9, 25, 50, 59]))
    result = Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss)
    assert result.conf_int().isna().all(axis=None)


def test_too_few_runs_and_one_budget_are_refused_by_their_rows():
    with pytest.raises(InputError, match=r"rows 2, 3, 4, 5: approach3 has 5 parameters"):
        Approach3().fit(*(np.geomspace(1, 2, 4),) * 3)
    one = GRID.select(GRID.budget == 2)
    with pytest.raises(InputError, match=r"rows 22, 23, .*all runs are of one budget"):
        Approach3().fit(one.parameters, one.data, one.loss, rows=one.rows)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"N": [1, 2]}, "D must be"),
        ({"L": [1.0, 2, 3, 4, 5, -1]}, "L must be positive"),
        ({"L": [1.0, 2, 3, 4, 5, np.nan]}, "L must be positive.*element 5"),
        ({"D": [1.0, 2, 3, 4, 5, np.inf]}, "D must be positive"),
        ({"weights": np.ones(5)}, "weights must have the shape"),
        ({"weights": np.zeros(6)}, "weights must be positive"),
        ({"loss_se": -np.ones(6)}, "loss_se must be"),
        ({"loss_se": np.ones(6), "weights": np.ones(6)}, "cannot both"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    plain = {"N": np.geomspace(1e6, 1e9, 6), "D": np.geomspace(1e8, 1e9, 6), "L": np.linspace(3, 2, 6)}
    with pytest.raises(ValueError, match=named):
        Approach3().fit(**plain | arguments)


@pytest.mark.parametrize("settings", [{"objective": "mse"}, {"delta": 0}, {"factor": np.nan}])
def test_a_wrong_setting_is_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Approach3(**settings)
