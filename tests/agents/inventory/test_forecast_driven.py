import numpy as np
import torch

from sandtable.agents.inventory.forecast_driven import MovingAverage, SeasonalForecast


def seen(past, known, *, on_hand=0.0, lead_time=1.0, mean=4.0, deviation=2.0, period=10):
    """The observation of one product without orders under way."""
    one = {"on_hand": on_hand, "lead_time": lead_time, "mean": mean, "deviation": deviation, "period": period}
    return {
        **{name: np.array([[float(value)]]) for name, value in one.items()},
        "past_demand": np.array([past], dtype=np.float64),
        "demand_known": np.array([known], dtype=np.float64),
        "on_order": np.zeros((1, 3)),
    }


def order(policy, observation):
    """Return the one order, after making sure that torch gives the same."""
    ours = policy(observation)
    theirs = policy({name: torch.from_numpy(values) for name, values in observation.items()})
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-12)
    return ours.item()


def test_the_level_is_mean_times_periods_plus_buffer_deviations():
    observation = seen([9, 2, 6], [1, 1, 1])
    assert order(MovingAverage(2, 0.0), observation) == 8  # mean 4 over lead time and review
    assert order(MovingAverage(2, 1.0), observation) == 11  # 8 + 2 * sqrt(2) = 10.83
    assert order(MovingAverage(2, 1.0), seen([9, 2, 6], [1, 1, 1], on_hand=5)) == 6
    assert order(MovingAverage(2, 1.0), seen([9, 2, 6], [1, 1, 1], on_hand=50)) == 0


def test_the_window_is_the_latest_demand():
    assert order(MovingAverage(1, 0.0), seen([9, 2, 6], [1, 1, 1])) == 12
    assert order(MovingAverage(3, 0.0), seen([9, 2, 7], [1, 1, 1])) == 12


def test_demand_that_was_not_seen_does_not_count():
    assert order(MovingAverage(3, 0.0), seen([0, 0, 5], [0, 0, 1])) == 10
    assert order(MovingAverage(3, 0.0), seen([0, 0, 0], [0, 0, 0])) == 8  # the training history's mean, 4


def test_the_deviation_grows_with_the_root_of_the_forecast():
    assert order(MovingAverage(1, 1.0), seen([16], [1], lead_time=0)) == 16 + 2 * 2  # four times the mean
    assert order(MovingAverage(1, 1.0), seen([16], [1], lead_time=0, mean=0, deviation=0)) == 16 + 4  # as Poisson


def test_without_seasons_the_seasonal_forecast_is_the_moving_average():
    flat = np.ones(40)
    for past in ([9, 2, 6], [0, 0, 1], [3, 3, 3]):
        observation = seen(past, [1, 1, 1])
        assert order(SeasonalForecast(3, 1.0, flat), observation) == order(MovingAverage(3, 1.0), observation)


def test_the_season_of_the_coming_periods_moves_the_forecast():
    factor = np.ones(40)
    factor[11:] = 3.0  # the next period and all after it
    assert order(SeasonalForecast(2, 0.0, factor), seen([4, 4], [1, 1])) == 4 + 12
    assert order(SeasonalForecast(2, 0.0, factor), seen([12, 12], [1, 1], period=20)) == 24


def test_past_demand_is_freed_of_its_season():
    factor = np.ones(40)
    factor[8:10] = 2.0  # the two periods that were seen
    assert order(SeasonalForecast(2, 0.0, factor), seen([8, 8], [1, 1])) == 8


def test_a_fraction_of_a_period_counts_as_a_fraction():
    factor = np.ones(40)
    factor[12] = 3.0
    observation = seen([4], [1], lead_time=1.5)  # this period, the next, and half of the tripled one
    assert order(SeasonalForecast(1, 0.0, factor), observation) == 4 * (1 + 1 + 1.5)
