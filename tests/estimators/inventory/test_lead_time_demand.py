import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import stats

from sandtable.estimators.inventory.lead_time_demand import lead_time_demand_quantile

SERVICE = np.asarray([0.05, 0.5, 0.8, 0.95, 0.999])


@pytest.mark.parametrize("periods", [1, 3, 10])
@pytest.mark.parametrize("mean", [0.01, 0.7, 5.0, 400.0])
def test_poisson_demand_adds_up_to_poisson_demand(mean, periods):
    quantile = lead_time_demand_quantile(mean, np.sqrt(mean), periods, SERVICE)
    assert_array_equal(quantile, stats.poisson(mean * periods).ppf(SERVICE))


@pytest.mark.parametrize("periods", [1, 2, 7])
@pytest.mark.parametrize("mean", [0.3, 5.0, 60.0])
def test_geometric_demand_adds_up_to_negative_binomial_demand(mean, periods):
    """The sum of k geometric variables is negative binomial of size k."""
    quantile = lead_time_demand_quantile(mean, np.sqrt(mean * (1 + mean)), periods, SERVICE)
    assert_array_equal(quantile, stats.nbinom(periods, 1 / (1 + mean)).ppf(SERVICE))


def test_less_spread_than_poisson_counts_as_poisson():
    assert_array_equal(
        lead_time_demand_quantile(6.0, 0.5, 2, SERVICE), lead_time_demand_quantile(6.0, np.sqrt(6.0), 2, SERVICE)
    )


def test_service_of_the_newsvendor_gives_its_level():
    assert lead_time_demand_quantile(5.0, np.sqrt(5.0), 1, 4 / 5) == 7


def test_product_without_demand_needs_nothing():
    assert_array_equal(lead_time_demand_quantile([0.0, 0.0], [0.0, 3.0], 4, 0.99), [0, 0])


moments = st.tuples(st.floats(0, 1e4), st.floats(0, 1e4))


@given(moments=moments, periods=st.floats(0.5, 50), low=st.floats(0.01, 0.99), high=st.floats(0.01, 0.99))
def test_quantile_is_whole_and_grows_with_the_service(moments, periods, low, high):
    low, high = sorted((low, high))
    quantile = lead_time_demand_quantile(*moments, periods, [low, high])
    assert np.isfinite(quantile).all()
    assert_array_equal(quantile, np.floor(quantile))
    assert 0 <= quantile[0] <= quantile[1]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1.0, 1.0, 1, 0.5), "mean"),
        ((np.nan, 1.0, 1, 0.5), "mean"),
        ((1.0, -1.0, 1, 0.5), "deviation"),
        ((1.0, np.inf, 1, 0.5), "deviation"),
        ((1.0, 1.0, 0, 0.5), "periods"),
        ((1.0, 1.0, np.nan, 0.5), "periods"),
        ((1.0, 1.0, 1, 0.0), "probability"),
        ((1.0, 1.0, 1, 1.0), "probability"),
        ((1.0, 1.0, 1, np.nan), "probability"),
    ],
)
def test_argument_out_of_range_is_refused_by_name(arguments, name):
    with pytest.raises(ValueError, match=name):
        lead_time_demand_quantile(*arguments)
