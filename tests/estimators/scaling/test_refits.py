"""Percentiles of whole procedures: what is resampled stays together, and failures are counted."""

import numpy as np
import pytest

from sandtable.estimators.scaling.envelope import Envelope
from sandtable.estimators.scaling.isoflop import IsoFlop
from sandtable.estimators.scaling.refits import resampled_rows, with_percentiles
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, training_curves, with_noise

CHINCHILLA = Surface(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
RUNS = with_noise(isoflop_grid(CHINCHILLA, np.geomspace(1e17, 1e21, 5), points=9), 0.003, seed=4)


def test_rows_are_drawn_within_their_strata():
    for rows in resampled_rows(len(RUNS), 20, 0, None, RUNS.budget):
        assert np.bincount(RUNS.budget[rows]).tolist() == [9] * 5


def test_clusters_stay_whole():
    clusters = np.arange(len(RUNS)) // 3
    for rows in resampled_rows(len(RUNS), 20, 0, clusters, None):
        assert (np.bincount(clusters[rows], minlength=15) % 3 == 0).all()
        assert len(rows) == len(RUNS)


def test_vertices_are_found_anew():
    result = with_percentiles(IsoFlop().fit, RUNS, resamples=200, strata=RUNS.budget)
    low, high = result.conf_int().loc["N_exponent"]
    assert result.interval.method == "percentile"
    assert result.interval.failed == 0
    assert low < result.params["N_exponent"] < high
    assert low < 0.4516 < high
    assert (result.optimum_interval(1e22)["parameters"] > 0).all()
    assert with_percentiles(IsoFlop().fit, RUNS, resamples=9).conf_int().equals(
        with_percentiles(IsoFlop().fit, RUNS, resamples=9).conf_int()
    )


def test_curves_are_resampled_whole():
    curves = with_noise(training_curves(CHINCHILLA, np.geomspace(1e7, 1e9, 12), np.geomspace(1e8, 1e12, 60)), 1e-4)
    result = with_percentiles(Envelope(points=200).fit, curves, resamples=20, clusters=curves.run)
    low, high = result.conf_int(alpha=0.5).loc["N_exponent"]
    assert 0.3 < low < high < 0.6


def test_refits_that_fail_are_counted_and_too_many_leave_no_interval():
    calls = []

    def fails_now_and_then(runs):
        calls.append(runs)
        if len(calls) % 5 == 0:
            raise InputError("no minimum")
        return IsoFlop().fit(runs)

    result = with_percentiles(fails_now_and_then, RUNS, resamples=20, strata=RUNS.budget)
    assert result.interval.failed == 4
    assert result.conf_int().isna().all(axis=None)


def test_few_clusters_are_told():
    result = with_percentiles(IsoFlop().fit, RUNS, resamples=5, clusters=RUNS.budget)
    assert "5 clusters are resampled" in result.warnings[-1].message
    with pytest.raises(ValueError, match="resamples be positive"):
        with_percentiles(IsoFlop().fit, RUNS, resamples=0)
