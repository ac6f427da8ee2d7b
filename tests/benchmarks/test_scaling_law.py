"""The benchmark of fits of Approach 3: both sides have the same problem, and peers are sought where they should be."""

import numpy as np

from sandtable.benchmarks import scaling_law
from sandtable.benchmarks.scaling_law import best_of_starts, folder, lbfgs_starts, runs_to_fit
from sandtable.estimators.scaling.variable_projection import fit


def test_the_starts_are_4500():
    """arXiv 2203.15556, appendix D.3: a, b in 0 .. 25, e in -1 .. 1, exponents in 0 .. 2."""
    starts = lbfgs_starts()
    assert starts.shape == (4500, 5)
    np.testing.assert_array_equal(starts.min(axis=0), [0, 0, -1, 0, 0])
    np.testing.assert_array_equal(starts.max(axis=0), [25, 25, 1, 2, 2])


def test_l_bfgs_finds_our_minimum_from_there():
    sample = runs_to_fit()
    assert len(sample.losses) == 240
    params = sample.to_params(fit(sample).theta[0])
    near = np.array([[np.log(params[1]), np.log(params[2]), np.log(params[0]), params[3], params[4]]])
    found = best_of_starts(sample, near)
    assert abs(found.objective / fit(sample).objective[0] - 1) < 1e-9
    assert found.seconds > 0


def test_peers_are_sought_where_they_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDTABLE_PEERS", str(tmp_path))
    assert folder() is None
    (tmp_path / "vpnls").mkdir()
    (tmp_path / "vpnls" / "pyproject.toml").touch()
    assert folder() == tmp_path / "vpnls"


def test_without_its_sources_the_peer_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDTABLE_PEERS", str(tmp_path))
    monkeypatch.setattr(scaling_law, "rates_in_turns", lambda *arguments: (100.0, None))
    rows = scaling_law._beside_vpnls(runs_to_fit())
    assert [row["alternative_rate"] for row in rows] == [None] * 3
