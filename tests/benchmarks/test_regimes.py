"""The benchmark of the diagnostics does the same work as what it is held against."""

import numpy as np
import pytest

from sandtable.benchmarks.regimes import one_by_one
from sandtable.simulators.ope.diagnostics import diagnose
from sandtable.simulators.ope.random_mdps import random_mdps


def test_the_loop_over_worlds_finds_the_same_numbers():
    worlds = random_mdps(np.arange(60), states=4, features=2)
    moments, told = worlds.moments(), diagnose(worlds)
    certain = np.flatnonzero((told.rank == 2) & (told.condition_covariance < 1e6))
    assert len(certain) > 30
    found = one_by_one(moments, 0.9)
    for i in certain:
        for name, value in found[i].items():
            factor = 0.01 if name == "coverage" else 1.0  # the factor (1 - discount)^2 is ours
            assert factor * value == pytest.approx(float(getattr(told, name)[i]), rel=1e-6), name
