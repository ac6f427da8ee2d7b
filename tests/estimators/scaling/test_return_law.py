"""Loss to return: the published slope, laws that level off, and losses that are not known exactly."""

import numpy as np
import pytest

from sandtable.estimators.scaling.return_law import ReturnLaw, return_interval
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima

LOSSES = np.geomspace(0.15, 1.3, 14)


@pytest.mark.parametrize(
    ("up_to", "estimate", "low", "high"), [(2e19, 2.036, 1.834, 2.237), (1e18, 2.192, 1.861, 2.523)]
)
def test_return_rises_as_a_power_of_the_inverse_loss(up_to, estimate, low, high):
    """Least squares in logs on the isoFLOP minima of arXiv 2307.09423 v3."""
    runs = load_nethack_minima()
    runs = runs.select(runs.flops <= up_to)
    result = ReturnLaw().fit(runs.loss, runs.returns, runs.rows)
    assert result.params["exponent"] == pytest.approx(estimate, abs=0.002)
    assert result.conf_int().loc["exponent"].tolist() == pytest.approx([low, high], abs=0.002)


def test_a_law_that_levels_off_is_recovered():
    returns = 1 / (3e-3 * (1 / LOSSES) ** -2.2 + 1e-4)
    result = ReturnLaw("saturating").fit(LOSSES, returns)
    assert result.params.to_dict() == pytest.approx({"a": 3e-3, "b": 1e-4, "delta": -2.2}, rel=1e-6)
    assert result.predict(LOSSES) == pytest.approx(returns, rel=1e-9)


def test_a_known_ceiling_is_kept():
    noise = np.exp(np.random.default_rng(0).normal(0, 0.1, len(LOSSES)))
    returns = noise / (3e-3 * (1 / LOSSES) ** -2.2 + 1e-4)
    result = ReturnLaw("saturating", ceiling=11_000).fit(LOSSES, returns)
    assert result.params["b"] == pytest.approx(1 / 11_000)
    assert result.bse["b"] == 0
    assert result.predict(1e-6) == pytest.approx(11_000, rel=1e-3)
    low, high = result.conf_int().loc["delta"]
    assert low < -2.2 < high


def test_a_loss_that_is_not_known_widens_the_return():
    noise = np.exp(np.random.default_rng(1).normal(0, 0.05, len(LOSSES)))
    result = ReturnLaw().fit(LOSSES, 40 * LOSSES**-2 * noise)
    centre, exact = return_interval(result, [0.2])
    again, wide = return_interval(result, [0.2], np.array([[0.19, 0.22]]))
    assert centre == pytest.approx(again)
    assert exact[0, 0] < centre[0] < exact[0, 1]
    assert wide[0, 0] <= result.predict(0.22)
    assert wide[0, 1] >= result.predict(0.19)
    assert return_interval(result, [0.2], alpha=0.5)[1][0, 0] > exact[0, 0]


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="below the ceiling"):
        ReturnLaw("saturating", ceiling=5).fit(LOSSES, LOSSES + 4)
    with pytest.raises(ValueError, match="ceiling is for the saturating form"):
        ReturnLaw(ceiling=5).fit(LOSSES, LOSSES)
    with pytest.raises(ValueError, match="positive and finite"):
        ReturnLaw().fit(LOSSES, LOSSES - 0.5)
