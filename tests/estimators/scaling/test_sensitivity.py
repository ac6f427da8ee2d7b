"""A law is fitted again without some of its runs."""

import numpy as np
import pytest

from sandtable.estimators.scaling.isoflop import IsoFlop
from sandtable.estimators.scaling.minima import Minima
from sandtable.estimators.scaling.return_law import ReturnLaw
from sandtable.estimators.scaling.sensitivity import inner_sizes, sensitivity, windows
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, training_curves

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)


def test_the_smallest_budgets_go_one_after_another_then_the_largest_then_the_outer_sizes():
    runs = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(5), 9)
    kept = {what: int(mask.sum()) for what, mask in windows(runs)}
    assert kept == {
        "the smallest budget (1e18 FLOP)": 36,
        "the smallest 2 budgets (up to 1e19 FLOP)": 27,
        "the largest budget (1e22 FLOP)": 36,
        "the outer sizes of every budget": 25,
    }


def test_on_a_surface_every_window_has_the_same_exponent():
    runs = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(5), 9)
    for one in sensitivity(IsoFlop().fit, runs, ("N_exponent",)):
        assert one.params["N_exponent"] == pytest.approx(SURFACE.N_exponent, abs=1e-6)


def test_nethack_s_exponent_rises_without_its_smallest_budgets():
    """The five smallest budgets have their minimum at the smallest size, which flattens the line (arXiv 2307.09423)."""
    found = sensitivity(Minima().fit, load_nethack_minima(), ("N_exponent",))
    values = [one.params["N_exponent"] for one in found[:3]]
    assert values == sorted(values)
    assert values[0] > 0.605


def test_a_law_that_cannot_be_fitted_to_the_rest_has_no_parameters():
    runs = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(4), 3)

    def fit(part):
        raise ValueError("too few")

    assert all(one.params.isna().all() for one in sensitivity(fit, runs, ("alpha",)))


def test_of_training_curves_a_third_of_the_compute_goes_at_either_end():
    """Of 6e15 to 6e19 FLOP, in steps of half a decade: the smaller size keeps four of seven points, the larger six."""
    curves = training_curves(SURFACE, [1e7, 1e8], np.geomspace(1e8, 1e11, 7))
    kept = {what: int(mask.sum()) for what, mask in windows(curves)}
    assert kept == {
        "the lower third of compute (below 1.29e17 FLOP)": 10,
        "the upper third of compute (above 2.78e18 FLOP)": 10,
    }


def test_without_compute_the_ends_of_the_loss_go():
    runs = Runs.of(loss=[4.0, 3.0, 2.5, 2.0, 1.5], returns=[1.0, 2.0, 3.0, 5.0, 9.0])
    found = sensitivity(lambda part: ReturnLaw().fit(part.loss, part.returns, part.rows), runs, ("exponent",))
    assert [(one.dropped, one.runs) for one in found] == [
        ("the run of the greatest loss", 4), ("the run of the least loss", 4),
    ]  # fmt: skip


def test_budgets_of_few_sizes_keep_all():
    assert inner_sizes(np.array([1.0, 10.0, 100.0, 1000.0]), np.zeros(4, int)).all()
    assert inner_sizes(np.geomspace(1, 1e4, 9), np.zeros(9, int)).tolist() == [False] * 2 + [True] * 5 + [False] * 2
