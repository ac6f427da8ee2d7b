"""A compiled period has the bits of the array program."""

import numpy as np
import pytest

from sandtable.simulators.inventory.kernels import period as compiled_period
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.world import Economics, Period, Stock, advance

pytest.importorskip("numba")


def play(monkeypatch, compiled, arguments):
    """Play a period with the kernel, or with the array program alone."""
    with monkeypatch.context() as patch:
        taken = []
        move = compiled_period.move
        patch.setattr(compiled_period, "move", lambda *x: taken.append(move(*x)) or taken[0] if compiled else None)
        return *advance(*arguments), bool(taken) and taken[0] is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lags", [0, 1, 4, 9])
@pytest.mark.parametrize("pay_on", ["received", "ordered"])
@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 333])
def test_a_compiled_period_has_the_bits_of_the_array_program(monkeypatch, dtype, lags, pay_on, common, rows):
    draw = np.random.default_rng(0)

    def some(*shape):
        return (draw.integers(0, 9, shape) * draw.choice([1.0, 0.37], shape)).astype(dtype)

    width = 1 if common else rows
    shares = draw.dirichlet(np.ones(lags + 1), width).T.astype(dtype)
    economics = Economics(0.01, 0.3, 1.7, 0.2, 0.4, pay_on)
    rules = OrderRules(supply_yield=np.full(rows, 0.9, dtype), batch_size=np.asarray(0.3, dtype))
    period = Period(some(rows), some(width), some(width), shares)
    arguments = Stock(some(rows), some(lags, rows)), some(rows), period, rules, economics
    stock, flow, taken = play(monkeypatch, True, arguments)
    expected_stock, expected, _ = play(monkeypatch, False, arguments)
    assert taken == (rows > 1 or lags < 8)
    for ours, theirs in zip((*stock, *flow), (*expected_stock, *expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_what_the_kernel_does_not_know_is_left_to_the_array_program():
    row = np.ones(3, np.float32)
    stock, period = Stock(row, np.ones((1, 3), np.float32)), Period(row, row, row, np.ones((2, 3), np.float32))
    assert compiled_period.move(stock, row, period, Economics()) is not None
    assert compiled_period.move(stock, row, period, Economics(unmet="backlog")) is None
    assert compiled_period.move(stock, row.astype(np.float64), period, Economics()) is None
    assert compiled_period.move(stock._replace(on_hand=row[None]), row, period, Economics()) is None
