"""Schedules of the learning rate."""

import pytest
import torch

from sandtable.training.configuration import describe
from sandtable.training.schedules import constant, cosine, doubling, linear


def test_rate_doubles_when_a_number_of_steps_is_done():
    steps = torch.tensor([0, 499, 500, 999, 1000, 10**9])
    assert doubling([1000, 500])(steps).tolist() == [1, 1, 2, 2, 4, 4]


def test_twice_the_same_step_doubles_twice_and_no_step_never():
    assert doubling([3, 3])(torch.tensor(3)).item() == 4
    assert doubling([])(torch.tensor(7)).item() == 1


def test_doubling_ends_as_in_the_paper():
    """arXiv 2311.07568, appendix B: .05, doubled at 1e3, 2e3, ..., 1e4, ends at 51.2."""
    assert 0.05 * doubling(range(1000, 10_001, 1000))(torch.tensor(39_999)).item() == pytest.approx(51.2)


def test_doubling_is_told_by_its_steps():
    assert describe(doubling([5])) == describe(doubling([5]))
    assert describe(doubling([5])) != describe(doubling([6]))


@pytest.mark.parametrize("schedule", [constant, linear(10, 3), cosine(10, 3), doubling([4])])
def test_multiplier_is_float64_of_the_shape_of_the_step(schedule):
    multiplier = schedule(torch.arange(6).reshape(2, 3))
    assert multiplier.dtype == torch.float64
    assert multiplier.shape == (2, 3)


def test_doubling_before_the_first_step_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        doubling([0, 5])
