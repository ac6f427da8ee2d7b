"""Power laws: recovered exactly without noise; the offset of the published losses; what the criterion prefers."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 1.0), st.floats(0.05, 5), st.floats(0.05, 5), st.booleans())
def test_a_law_without_noise_is_recovered(exponent, offset, share, falling):
    x = np.geomspace(1e17, 1e21, 12)
    power = -exponent if falling else exponent
    y = share * offset * (x / 1e19) ** power + offset
    result = PowerLaw(offset=True).fit(x, y)
    assert result.converged
    assert result.params["exponent"] == pytest.approx(power, rel=1e-5)
    assert result.params["offset"] == pytest.approx(offset, rel=1e-5)
    assert result.predict(x) == pytest.approx(y, rel=1e-8)


def test_the_published_losses_approach_an_offset():
    """L = a C^g + b by least squares in logs on the isoFLOP minima of arXiv 2307.09423 v3."""
    runs = load_nethack_minima()
    result = PowerLaw().fit(runs.flops, runs.loss, runs.rows)
    assert result.names == ("coefficient", "exponent", "offset")
    assert result.params["exponent"] == pytest.approx(-0.356, abs=0.002)
    assert result.bse["exponent"] == pytest.approx(0.010, abs=0.001)
    assert result.params["offset"] == pytest.approx(0.1235, abs=0.0005)
    assert result.bse["offset"] == pytest.approx(0.003, abs=0.0005)
    assert result.params["coefficient"] == pytest.approx(1.04e5, rel=0.02)
    assert result.statistics["aicc"] < result.beside["pure"].statistics["aicc"] - 50


def test_without_an_offset_in_the_data_the_pure_law_is_preferred():
    x = np.geomspace(1e17, 1e21, 30)
    y = 20 * x**-0.06 * np.exp(np.random.default_rng(1).normal(0, 0.01, 30))
    result = PowerLaw().fit(x, y)
    assert result.names == ("coefficient", "exponent")
    assert "offset" in result.beside


@pytest.mark.parametrize(("method", "statsmodels"), [("t", "nonrobust"), ("hc3", "HC3")])
def test_intervals_are_those_of_statsmodels(method, statsmodels):
    runs = load_nethack_minima()
    result = PowerLaw(offset=False, method=method).fit(runs.flops, runs.loss)
    theirs = sm.OLS(np.log(runs.loss), sm.add_constant(np.log(runs.flops))).fit(cov_type=statsmodels, use_t=True)
    assert result.conf_int().loc["exponent"].tolist() == pytest.approx(theirs.conf_int()[1].tolist(), rel=1e-9)
    ends = np.log(result.conf_int().loc["coefficient"].to_numpy(float))
    assert ends.tolist() == pytest.approx(theirs.conf_int()[0].tolist(), rel=1e-9)


def test_squares_of_the_response_itself_have_their_own_estimate():
    x = np.geomspace(1, 100, 9)
    y = 3 * x**0.5 * (1 + 0.1 * np.cos(np.arange(9)))
    levels, logs = (PowerLaw(offset=False, objective=one).fit(x, y) for one in ("ls", "ls-log"))
    assert levels.params["exponent"] != pytest.approx(logs.params["exponent"], abs=1e-4)
    assert levels.gradient_norm == pytest.approx(0, abs=1e-6)
    assert levels.objective_sum <= np.sum((y - logs.predict(x)) ** 2)


def test_residuals_that_wander_along_compute_are_told():
    x = np.geomspace(1e17, 1e21, 40)
    wandering = np.exp(0.05 * np.sin(np.linspace(0, 9, 40)))
    codes = [finding.code for finding in PowerLaw(offset=False).fit(x, x**-0.1 * wandering).warnings]
    assert codes == ["correlated_residuals"]
    noise = np.exp(np.random.default_rng(2).normal(0, 0.05, 40))
    assert PowerLaw(offset=False).fit(x, x**-0.1 * noise).warnings == ()


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="3 parameters needs 4 runs that differ, not 3"):
        PowerLaw(offset=True).fit([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="rows 9, 7: a power law needs values that are positive and finite"):
        PowerLaw().fit([1, 2, 3, 4], [1, 2, 0, np.nan], rows=np.array([5, 6, 9, 7]))
    with pytest.raises(ValueError, match="hac is for a law without offset"):
        PowerLaw(offset=True, method="hac").fit(np.arange(1, 9), np.arange(1, 9))
