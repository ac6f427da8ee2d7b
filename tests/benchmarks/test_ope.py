"""The evaluation of a file and what it is held against do the same work."""

import numpy as np

from sandtable.benchmarks import ope
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.mapped_log import map_log


def test_the_alternative_accumulates_the_same_moments(tmp_path, monkeypatch):
    monkeypatch.setattr(ope, "WRITTEN", 700)  # the file repeats its rows
    monkeypatch.setattr(ope, "CHUNK", 300)
    path = tmp_path / "log.npz"
    ope.write_log(path, 2000, 8)
    with np.load(path) as held:
        assert held["features"].shape == held["next_features"].shape == (2000, 8)
        assert np.array_equal(held["features"][:700], held["features"][700:1400])
    moments = moments_of_log(map_log(path))
    covariance, cross, paid = ope.accumulated(path)
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-12)
    np.testing.assert_allclose(moments.cross_covariance, cross, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(moments.reward_moment, paid, rtol=1e-10, atol=1e-9)


def test_the_evaluation_tells_all_that_it_is_asked_for(tmp_path):
    ope.write_log(tmp_path / "log.npz", 500, 4)
    result, iterates, diagnostics, estimate = ope.evaluated(tmp_path / "log.npz")
    assert iterates.shape == (201, 4)
    np.testing.assert_allclose(iterates[-1], result.params, atol=1e-6)
    assert diagnostics.spectral_radius < 1
    assert estimate.se > 0
