"""The published minima are read as printed."""

import numpy as np
import pytest

from sandtable.simulators.scaling.nethack_minima import load_nethack_minima, sizes


def test_compute_counts_every_parameter_six_times():
    """Three to four digits are printed of the data (arXiv 2307.09423, isoFLOP results)."""
    runs = load_nethack_minima()
    assert len(runs) == 22
    assert runs.flops == pytest.approx(6 * runs.parameters * runs.data, rel=2e-3)


def test_every_minimum_is_a_size_of_the_grid():
    assert np.isin(load_nethack_minima().parameters, sizes()).all()
