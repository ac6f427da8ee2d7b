import numpy as np
import pytest

from sandtable.estimators.ope.value_estimate import ValueEstimate


def test_a_normal_interval_is_1_96_standard_errors_each_way():
    low, high = ValueEstimate("lstd", 2.0, se=0.5, interval="hc0").conf_int()
    assert (low, high) == pytest.approx((2 - 0.5 * 1.959964, 2 + 0.5 * 1.959964), abs=1e-6)


def test_a_bootstrap_interval_is_made_of_percentiles_and_leaves_out_what_is_not_finite():
    replicates = np.append(np.linspace(0, 100, 101), [np.nan, np.inf])
    estimate = ValueEstimate("lstd", 50.0, interval="episode_bootstrap", replicates=replicates)
    assert estimate.conf_int(0.1) == pytest.approx((5.0, 95.0))


def test_nothing_known_is_nan():
    assert np.isnan(ValueEstimate("lstd", 1.0).conf_int()).all()
    assert np.isnan(ValueEstimate("lstd", 1.0, replicates=np.array([np.nan, 1.0])).conf_int()).all()
    missing = ValueEstimate.not_run("is", "no behaviour probability")
    assert missing.status == "not run"
    assert missing.summary().endswith("not run: no behaviour probability")


def test_alpha_outside_of_its_range_is_refused():
    with pytest.raises(ValueError, match="alpha"):
        ValueEstimate("lstd", 1.0, se=1.0).conf_int(1.0)


def test_the_summary_tells_value_interval_and_level():
    line = ValueEstimate("lstd", 2.0, se=0.5, interval="hc0").summary()
    assert line.split() == ["lstd", "2", "[1.02,", "2.98]", "at", "95%", "(hc0)"]
