import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.order_rules import OrderRules, checked, place


def rules(minimum=None, batch=None, capacity=None):
    return checked(OrderRules(minimum, batch, capacity))


@pytest.mark.parametrize(
    ("supplier", "wanted", "ordered"),
    [
        (rules(), [-1.0, 0.0, 0.3, 7.0], [0.0, 0.0, 0.3, 7.0]),
        (rules(batch=1.0), [0.49, 0.5, 1.5, 2.49], [0.0, 1.0, 2.0, 2.0]),
        (rules(batch=6.0), [2.9, 3.0, 8.9, 9.0, -5.0], [0.0, 6.0, 6.0, 12.0, 0.0]),
        (rules(minimum=10.0), [4.9, 5.0, 9.0, 10.5], [0.0, 10.0, 10.0, 10.5]),
        (rules(minimum=10.0, batch=4.0), [5.9, 6.0, 13.9, 14.0], [0.0, 12.0, 12.0, 16.0]),
        (rules(capacity=8.0), [7.5, 8.0, 1e9], [7.5, 8.0, 8.0]),
        (rules(batch=3.0, capacity=8.0), [7.4, 7.5, 100.0], [6.0, 6.0, 6.0]),
        (rules(minimum=5.0, batch=2.0, capacity=7.0), [2.9, 3.0, 6.9, 8.0], [0.0, 6.0, 6.0, 6.0]),
    ],
)
def test_order_becomes(supplier, wanted, ordered):
    assert_array_equal(place(np.asarray(wanted), supplier), ordered)
    assert_array_equal(place(torch.tensor(wanted, dtype=torch.float64), supplier_in_torch(supplier)).numpy(), ordered)


def supplier_in_torch(supplier):
    return OrderRules(*(None if rule is None else torch.as_tensor(rule) for rule in supplier))


@st.composite
def suppliers(draw):
    """A supplier whose minimum, batch and capacity do not contradict each other; some of them are absent."""
    batch = draw(st.sampled_from([None, 0.1, 0.5, 1.0, 7.0]))
    minimum = draw(st.none() | st.integers(0, 40).map(float))
    smallest = max(minimum or 0.0, batch or 0.0) + (batch or 0.0)
    capacity = draw(st.none() | st.just(np.inf) | st.floats(smallest + 1, smallest + 100))
    return rules(minimum, batch, capacity)


quantities = st.floats(-10, 500)


@given(supplier=suppliers(), wanted=quantities)
def test_placing_an_order_again_changes_nothing(supplier, wanted):
    ordered = place(np.asarray([wanted]), supplier)
    assert_array_equal(place(ordered, supplier), ordered)


@given(supplier=suppliers(), wanted=quantities, more=quantities)
def test_wanting_more_never_orders_less(supplier, wanted, more):
    low, high = place(np.sort(np.asarray([wanted, more])), supplier)
    assert low <= high


@given(supplier=suppliers(), wanted=quantities)
def test_order_keeps_every_rule(supplier, wanted):
    ordered = place(np.asarray([wanted]), supplier)[0]
    assert ordered >= 0
    if ordered > 0:
        assert supplier.minimum_order is None or ordered >= supplier.minimum_order
        assert supplier.capacity is None or ordered <= supplier.capacity
    if supplier.batch_size is not None:
        batches = ordered / supplier.batch_size
        assert batches == pytest.approx(np.round(batches), abs=1e-9)


@given(supplier=suppliers(), wanted=st.lists(quantities, min_size=1, max_size=8))
def test_gradient_goes_straight_through_all_but_the_capacity(supplier, wanted):
    wanted = np.asarray(wanted)
    most = np.inf if supplier.capacity is None else float(supplier.capacity)
    wanted = wanted[(wanted != 0) & (wanted != most)]
    tensor = torch.tensor(wanted, requires_grad=True)
    ordered = place(tensor, supplier_in_torch(supplier))
    assert_array_equal(ordered.detach().numpy(), place(wanted, supplier))
    (gradient,) = torch.autograd.grad(ordered.sum(), tensor)
    assert_array_equal(gradient.numpy(), np.where((wanted > 0) & (wanted < most), 1.0, 0.0))


def test_minimum_and_capacity_become_whole_batches():
    supplier = rules(minimum=[5.0, 6.0, 0.0], batch=[4.0, 3.0, 2.0], capacity=[np.inf, 11.0, 2.5])
    assert_array_equal(supplier.minimum_order, [8.0, 6.0, 0.0])
    assert_array_equal(supplier.capacity, [np.inf, 9.0, 2.0])


@given(batches=st.integers(1, 10**6), batch=st.floats(1e-3, 1e3))
def test_whole_number_of_batches_stays_what_it_is(batches, batch):
    supplier = rules(minimum=batches * batch, batch=batch, capacity=batches * batch)
    assert supplier.minimum_order == supplier.capacity == pytest.approx(batches * batch, rel=1e-12)


@pytest.mark.parametrize(
    "supplier",
    [
        OrderRules(minimum_order=[0.0, 11.0], capacity=[10.0, 10.0]),
        OrderRules(minimum_order=[0.0, 9.0], batch_size=[1.0, 4.0], capacity=[10.0, 11.0]),
        OrderRules(batch_size=[1.0, 12.0], capacity=[10.0, 10.0]),
    ],
)
def test_smallest_order_above_capacity_is_refused_by_product(supplier):
    with pytest.raises(InputError, match="product b: its smallest possible order is above the supplier's capacity"):
        checked(supplier, ("a", "b"))


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        ("minimum_order", -1.0, "the minimum order must be finite and not negative"),
        ("minimum_order", np.nan, "the minimum order must be finite and not negative"),
        ("minimum_order", np.inf, "the minimum order must be finite and not negative"),
        ("batch_size", 0.0, "the batch size must be finite and positive"),
        ("batch_size", np.nan, "the batch size must be finite and positive"),
        ("capacity", 0.0, "the supplier's capacity must be positive"),
        ("capacity", np.nan, "the supplier's capacity must be positive"),
        ("supply_yield", 0.0, "the yield must be finite and positive"),
        ("supply_yield", np.inf, "the yield must be finite and positive"),
    ],
)
def test_impossible_rule_is_refused_by_product(rule, value, reason):
    with pytest.raises(InputError, match=f"product 1: {reason}"):
        checked(OrderRules(**{rule: [1.0, value]}))
    with pytest.raises(InputError, match=reason):
        checked(OrderRules(**{rule: value}))
