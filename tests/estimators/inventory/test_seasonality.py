import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.estimators.inventory.seasonality import SeasonalIndex, SeasonalProfile


def parts_of(periods, parts):
    """Return the middle of each period's part of the year."""
    return (np.arange(periods) % parts + 0.5) / parts


def fit(demand, parts, known=None, **settings):
    known = np.ones(demand.shape, bool) if known is None else known
    return SeasonalIndex(parts, **settings).fit(demand, known, parts_of(len(demand), parts))


def season_of(parts):
    season = np.random.default_rng(parts).uniform(0.5, 2.0, parts)
    return season / season.mean()


@pytest.mark.parametrize("parts", [4, 7, 12, 52])
def test_demand_that_repeats_each_year_is_its_own_season(parts):
    season = season_of(parts)
    demand = np.tile(season, 3)[:, None] * [1.0, 30.0, 4.0]
    profile = fit(demand, parts, smoothing=0)
    assert_allclose(profile.params, season, rtol=1e-12)
    assert_allclose(profile.bse, 0.0, atol=1e-12)
    assert profile.seasons == 3.0


@pytest.mark.parametrize("parts", [4, 12, 52])
def test_two_years_of_one_product_agree_with_the_classical_decomposition(parts):
    """With an even number of parts two years hold one ratio a part, so that statsmodels averages the same."""
    seasonal = pytest.importorskip("statsmodels.tsa.seasonal", reason="statsmodels computes the same season")
    growth = np.linspace(50, 90, 2 * parts)
    demand = growth * np.tile(season_of(parts), 2) * np.random.default_rng(1).uniform(0.8, 1.2, 2 * parts)
    expected = seasonal.seasonal_decompose(demand, model="multiplicative", period=parts).seasonal[:parts]
    assert_allclose(fit(demand[:, None], parts, smoothing=0).params, expected, rtol=1e-12)


def test_steady_growth_is_no_season():
    demand = np.linspace(100.0, 200.0, 48)[:, None]
    assert_allclose(fit(demand, 12, smoothing=0).params, np.ones(12), rtol=1e-12)


def test_products_count_by_their_volume():
    season, flat = season_of(12), np.ones(12)
    demand = np.tile(np.stack([300 * season, 100 * flat], axis=1), (3, 1))
    assert_allclose(fit(demand, 12, smoothing=0).params, 0.75 * season + 0.25, rtol=1e-12)


def test_demand_that_is_not_known_does_not_count():
    season = season_of(12)
    demand = np.tile(season, 4)[:, None] * np.ones(5)
    known = np.ones(demand.shape, bool)
    known[:, 1:3] = False
    known[17, 0] = False
    spoiled = np.where(known, demand, 1e6)
    assert_array_equal(fit(spoiled, 12, known).params, fit(np.where(known, demand, 0.0), 12, known).params)
    unspoiled = np.delete(spoiled, [0, 1, 2], axis=1)
    assert_allclose(fit(spoiled[:, 1:], 12, known[:, 1:], smoothing=0).params, season, rtol=1e-12)
    assert_allclose(fit(unspoiled, 12, smoothing=0).params, season, rtol=1e-12)


def test_smoothing_averages_neighbouring_parts_across_the_new_year():
    season = season_of(12)
    demand = np.tile(season, 3)[:, None]
    expected = (np.roll(season, 1) + season + np.roll(season, -1)) / 3
    assert_allclose(fit(demand, 12, smoothing=1).params, expected, rtol=1e-12)


def test_standard_errors_cover_the_season_of_a_noisy_assortment():
    """Of 52 parts and 20 assortments, two standard errors miss the true factor in about one of twenty."""
    season, missed = season_of(52), []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        demand = generator.poisson(20 * np.tile(season, 3)[:, None] * np.ones(40)).astype(float)
        profile = fit(demand, 52, smoothing=0)
        missed.append(np.abs(profile.params - season) > 2 * profile.bse)
    assert 0.02 < np.mean(missed) < 0.10


def test_factor_is_that_of_the_part_of_the_year():
    profile = SeasonalProfile(np.asarray([0.5, 1.0, 1.5, 1.0]), np.zeros(4), 2.0)
    fractions = np.asarray([[0.0, 0.2499], [0.25, 0.9999]])
    assert_array_equal(profile.factor(fractions), [[0.5, 0.5], [1.0, 1.0]])


def test_year_of_one_part_has_no_season():
    assert_array_equal(fit(np.asarray([[3.0], [5.0], [1.0]]), 1).params, [1.0])


@pytest.mark.parametrize("settings", [{"parts": 0}, {"parts": 4, "smoothing": -1}])
def test_impossible_index_is_refused(settings):
    with pytest.raises(ValueError, match="parts must be at least 1 and smoothing 0"):
        SeasonalIndex(**settings)


def test_too_little_history_is_refused():
    demand = np.ones((23, 2))
    with pytest.raises(ValueError, match="a season needs two years of history: 24 periods, not 23"):
        fit(demand, 12)
    with pytest.raises(ValueError, match="no product has a whole year of known demand"):
        fit(np.ones((24, 2)), 12, np.zeros((24, 2), bool))


def test_shapes_that_do_not_agree_are_refused():
    index, demand = SeasonalIndex(4), np.ones((8, 2))
    with pytest.raises(ValueError, match=r"must have shapes \[T, N\], \[T, N\] and \[T\]"):
        index.fit(demand, np.ones((8, 1), bool), parts_of(8, 4))
    with pytest.raises(ValueError, match=r"must have shapes \[T, N\], \[T, N\] and \[T\]"):
        index.fit(demand, np.ones((8, 2), bool), parts_of(7, 4))
    with pytest.raises(ValueError, match=r"year_fraction must lie in \[0, 1\)"):
        index.fit(demand, np.ones((8, 2), bool), np.linspace(0, 1, 8))
