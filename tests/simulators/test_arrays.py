import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from array_api_compat import numpy as numpy_namespace
from array_api_compat import torch as torch_namespace
from numpy.testing import assert_array_equal

from sandtable.simulators.arrays import Constant, at_most, like, namespace, positive, straight_through, tree_map


class Pair(NamedTuple):
    left: object
    right: object


def test_namespace_is_that_of_the_array():
    assert namespace(np.ones(2)) is numpy_namespace
    assert namespace(np.float32(1)) is numpy_namespace
    assert namespace(torch.ones(2)) is torch_namespace


@pytest.mark.parametrize("values", [[1, 2], np.asarray([1, 2]), (1, 2)])
def test_like_moves_values_to_the_library_of_the_reference(values):
    for reference, kind in ((np.zeros(1), np.ndarray), (torch.zeros(1), torch.Tensor)):
        moved = like(reference, values, "float32")
        assert isinstance(moved, kind)
        assert str(moved.dtype).removeprefix("torch.") == "float32"
        assert_array_equal(np.asarray(moved), [1, 2])
        assert str(like(reference, values).dtype).removeprefix("torch.") == "int64"


def test_like_keeps_a_tensor_and_its_gradient():
    tensor = torch.ones(3, requires_grad=True)
    assert like(torch.zeros(1), tensor) is tensor
    assert like(torch.zeros(1), tensor, "float64").requires_grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positive_and_at_most_cut_on_both_sides_and_keep_the_element_type(dtype):
    values = np.asarray([-2.0, 0.0, 3.5], dtype)
    for array in (values, torch.as_tensor(values)):
        for cut, expected in ((positive(array), [0, 0, 3.5]), (at_most(array, 1.25), [-2, 0, 1.25])):
            assert cut.dtype == array.dtype
            assert_array_equal(np.asarray(cut), expected)


def test_gradient_of_positive_is_one_from_zero_on():
    values = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(positive(values).sum(), values)
    assert gradient.tolist() == [0, 1, 1]


def test_tree_map_keeps_the_structure():
    tree = Pair(left=(1, None), right={"a": 2, "b": Pair(3, 4)})
    mapped = tree_map(lambda one, other: 10 * one + other, tree, tree)
    assert mapped == Pair(left=(11, None), right={"a": 22, "b": Pair(33, 44)})
    assert isinstance(mapped.right["b"], Pair)


def test_tree_map_refuses_tuples_of_different_length():
    with pytest.raises(ValueError, match="shorter"):
        tree_map(lambda one, other: one, (1, 2), (1,))


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other():
    relaxed = torch.tensor([0.3, 1.7], dtype=torch.float64, requires_grad=True)
    rounded = straight_through(torch.round(relaxed), 3 * relaxed)
    assert rounded.tolist() == [0, 2]
    (gradient,) = torch.autograd.grad((rounded * torch.tensor([1.0, 5.0])).sum(), relaxed)
    assert gradient.tolist() == [3, 15]
    exact = np.asarray([1.0])
    assert straight_through(exact, np.asarray([0.8])) is exact


def test_straight_through_without_a_gradient_is_the_value_itself():
    exact = torch.ones(2)
    assert straight_through(exact, torch.zeros(2)) is exact


def test_small_constants_are_moved_to_a_device_once():
    """On torch's device without contents: what is kept is known by contents, type and shape."""
    reference = torch.empty(0, device="meta")
    one = like(reference, np.arange(3))
    assert one is like(reference, np.arange(3))
    assert (one.device.type, one.dtype, one.shape) == ("meta", torch.int64, (3,))
    for other in (np.arange(3) + 1, np.arange(3.0), np.arange(3)[None]):
        assert like(reference, other) is not one
    large = np.zeros(2**14)
    assert like(reference, large) is not like(reference, large)
    here = torch.empty(0)
    assert like(here, np.arange(3)) is not like(here, np.arange(3))


def test_a_constant_is_copied_to_each_library_once_and_pickled_without_its_copies():
    constant = Constant(np.arange(3))
    assert constant.on(np.zeros(1)) is constant.values
    there = constant.on(torch.zeros(1))
    assert torch.equal(there, torch.arange(3))
    assert constant.on(torch.ones(2)) is there
    again = pickle.loads(pickle.dumps(constant))
    assert_array_equal(again.values, constant.values)
    assert again.on(torch.zeros(1)) is not there
