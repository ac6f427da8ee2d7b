"""Approach 1: on curves without noise it converges to the truth; curves that end early do not deceive it."""

import numpy as np
import pytest

from sandtable.estimators.scaling.envelope import Envelope
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, training_curves

CHINCHILLA = Surface(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
DATA = np.geomspace(1e8, 3e12, 300)


def codes(result):
    return [finding.code for finding in result.warnings]


def test_the_exponent_converges_as_sizes_double():
    """a = beta / (alpha + beta) = .4516 (arXiv 2203.15556, eq. 4)."""
    errors = []
    for sizes in (8, 16, 32, 64):
        result = Envelope().fit(training_curves(CHINCHILLA, np.geomspace(1e7, 1e10, sizes), DATA))
        errors.append(abs(result.params["N_exponent"] - 0.451613))
        assert result.params["D_exponent"] == pytest.approx(1 - result.params["N_exponent"], abs=1e-4)
    assert errors[0] < 0.01
    assert max(errors[2:]) < 2e-4


def test_optimal_sizes_are_those_of_the_surface():
    result = Envelope().fit(training_curves(CHINCHILLA, np.geomspace(1e7, 1e10, 64), DATA))
    expected = CHINCHILLA.optimum([1e19, 1e22])
    assert result.optimum([1e19, 1e22])["parameters"] == pytest.approx(expected["parameters"], rel=5e-3)
    assert result.optimum([1e19, 1e22])["data"] == pytest.approx(expected["data"], rel=5e-3)


def test_a_size_whose_curve_ended_is_not_beaten_by_its_absence():
    curves = training_curves(CHINCHILLA, np.geomspace(1e7, 1e10, 16), DATA)
    whole = Envelope().fit(curves)
    cut = Envelope().fit(curves.select((curves.parameters > 3e7) | (curves.data < 2e8)))
    assert cut.nobs < whole.nobs
    assert cut.params["N_exponent"] == pytest.approx(whole.params["N_exponent"], abs=5e-3)


def test_seeds_of_a_size_are_averaged():
    one = training_curves(CHINCHILLA, np.geomspace(1e7, 1e9, 6), DATA)
    columns = {name: np.concatenate([getattr(one, name)] * 2) for name in one.names()}
    sign = np.repeat([1.0, -1.0], len(one))
    both = Runs.of(**columns | {"loss": columns["loss"] * np.exp(0.01 * sign), "seed": np.repeat(["a", "b"], len(one))})
    assert Envelope().fit(both).params["N_exponent"] == pytest.approx(Envelope().fit(one).params["N_exponent"])


def test_what_is_said_of_few_sizes_and_of_schedules():
    curves = training_curves(CHINCHILLA, np.geomspace(1e7, 1e9, 5), DATA)
    result = Envelope().fit(curves)
    assert "few_sizes" in codes(result)
    planned = Runs.of(**{name: getattr(curves, name) for name in curves.names()}, data_planned=curves.data.copy())
    assert "mixed_schedule" not in codes(Envelope().fit(planned))
    ends = Runs.of(
        **{name: getattr(curves, name) for name in curves.names()}, data_planned=np.full(len(curves), DATA[-1])
    )
    assert "mixed_schedule" in codes(Envelope().fit(ends))


def test_two_sizes_have_no_envelope():
    with pytest.raises(InputError, match="0 of 2 are"):
        Envelope().fit(training_curves(CHINCHILLA, [1e7, 1e8], DATA))
    with pytest.raises(InputError, match="not by profile"):
        Envelope(method="profile").fit(training_curves(CHINCHILLA, [1e7, 1e8], DATA))
