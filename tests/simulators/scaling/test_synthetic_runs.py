"""Surfaces of loss: published optima, and noise that is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.random import make_key
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, log_noise, training_curves, with_noise

CHINCHILLA = Surface(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)


@pytest.mark.parametrize(
    ("flops", "parameters", "data", "loss"),
    [(5.76e23, 3.21899e10, 2.98231e12, 1.930748), (1e21, 1.82422e9, 9.13634e10, 2.328883)],
)
def test_the_optimum_of_the_published_surface(flops, parameters, data, loss):
    """Closed forms at the rounded estimates of arXiv 2203.15556, Approach 3."""
    optimum, coefficient = CHINCHILLA.optimum(flops), CHINCHILLA.G
    assert coefficient == pytest.approx(1.344711, rel=1e-6)
    assert CHINCHILLA.N_exponent == pytest.approx(0.451613, abs=5e-7)
    assert optimum["parameters"] == pytest.approx(parameters, rel=3e-6)
    assert optimum["data"] == pytest.approx(data, rel=3e-6)
    assert optimum["loss"] == pytest.approx(loss, abs=5e-7)


@given(
    st.floats(0, 5), st.floats(1, 1e4), st.floats(1, 1e4), st.floats(0.1, 1), st.floats(0.1, 1), st.floats(15, 25)
)
def test_no_other_size_of_equal_compute_does_better(E, A, B, alpha, beta, exponent):  # noqa: N803
    surface = Surface(E, A, B, alpha, beta)
    best = surface.optimum(10.0**exponent)
    assert 6 * best["parameters"] * best["data"] == pytest.approx(10.0**exponent)
    others = best["parameters"] * np.exp(np.linspace(-1, 1, 41))
    assert surface.loss(others, 10.0**exponent / (6 * others)).min() >= best["loss"] * (1 - 1e-12)


def test_a_grid_is_centred_where_it_is_told():
    runs = isoflop_grid(CHINCHILLA, [1e18, 1e20], points=5, half_width=4, off_centre=3)
    optimum = CHINCHILLA.optimum([1e18, 1e20])["parameters"]
    assert runs.parameters[[2, 7]] == pytest.approx(3 * optimum)
    assert runs.parameters[4] / runs.parameters[2] == pytest.approx(4)
    assert runs.budget.tolist() == [0] * 5 + [1] * 5
    assert runs.flops == pytest.approx(6 * runs.parameters * runs.data)


def test_curves_lie_on_the_surface():
    curves = training_curves(CHINCHILLA, [1e7, 1e8], [1e9, 1e10, 1e11])
    assert curves.loss == pytest.approx(CHINCHILLA.loss(curves.parameters, curves.data))
    assert curves.step.tolist() == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("kind", ["iid", "heteroscedastic", "t3", "shared"])
def test_noise_has_the_scale_that_was_asked_for(kind):
    runs = isoflop_grid(CHINCHILLA, np.geomspace(1e17, 1e21, 5), points=4)
    noise = log_noise(runs, 0.02, kind, make_key(list(range(4000))))
    assert noise.shape == (4000, 20)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(0.02, rel=0.04 if kind != "t3" else 0.1)
    together = np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]
    assert together == pytest.approx(0.5 if kind == "shared" else 0.0, abs=0.06)


def test_a_table_of_one_seed_is_a_row_of_many():
    runs = isoflop_grid(CHINCHILLA, [1e18, 1e20], points=3)
    many = log_noise(runs, 0.1, "shared", make_key([3, 7]))
    assert with_noise(runs, 0.1, "shared", seed=7).loss == pytest.approx(runs.loss * np.exp(many[1]), rel=1e-15)


def test_what_a_surface_cannot_be():
    with pytest.raises(ValueError, match="E must be >= 0"):
        Surface(-1, 1, 1, 0.3, 0.3)
    with pytest.raises(ValueError, match="kind must be one of"):
        log_noise(isoflop_grid(CHINCHILLA, [1e18]), 0.1, "uniform", make_key(0))
