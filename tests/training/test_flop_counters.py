"""Counts by formula are those that torch counts, where it counts; published sizes of networks are met."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sandtable.training import flop_counters
from sandtable.training.flop_counters import (
    attention,
    attention_scores,
    convolution,
    dense,
    embedding,
    normalisation,
    recurrent,
    total,
    training_flops,
)


def counted(call, *inputs):
    """Return torch's counts of the forward pass and of the backward one."""
    with FlopCounterMode(display=False) as forward:
        output = call(*inputs)
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


def size_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers(gradient, bias):
    layer, formula = nn.Linear(7, 11, bias=bias), dense(7, 11, bias)
    forward, backward = counted(layer, torch.ones(5, 7, requires_grad=gradient))
    assert (forward, backward) == (5 * formula.forward, 5 * formula.backward(gradient))
    assert formula.parameters == size_of(layer)


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "padding", "groups", "size"),
    [(4, 6, 3, 1, 1, 1, (9, 8)), (4, 6, 8, 4, 0, 1, (84, 84)), (4, 6, 3, 2, 1, 2, (7, 10))],
)
def test_convolutions_count_places_of_their_output(inputs, outputs, kernel, stride, padding, groups, size, gradient):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
    formula = convolution(inputs, outputs, kernel, size, stride, padding, groups)
    forward, backward = counted(layer, torch.ones(3, inputs, *size, requires_grad=gradient))
    assert forward == 3 * formula.forward
    if groups == 1:  # torch forgets that a group sees its own channels alone when it counts the backward pass
        assert backward == 3 * formula.backward(gradient)
    assert formula.parameters == size_of(layer)


@pytest.mark.parametrize(
    ("cell", "module"), [("lstm", nn.LSTMCell(5, 8)), ("gru", nn.GRUCell(5, 8)), ("rnn", nn.RNNCell(5, 8))]
)
def test_recurrent_cells_unrolled(cell, module):
    def unrolled(inputs):
        memory = None
        for x in inputs:
            state = module(x, memory)
            memory = state
        return state[0] if isinstance(state, tuple) else state

    formula = recurrent(cell, 5, 8)
    memory = (torch.ones(2, 8, requires_grad=True),) * 2
    x = torch.ones(2, 5, requires_grad=True)
    forward, backward = counted(
        lambda x: module(x, memory if cell == "lstm" else memory[0])[0 if cell == "lstm" else ...], x
    )
    assert (forward, backward) == (2 * formula.forward, 2 * formula.backward())
    assert counted(unrolled, torch.ones(6, 2, 5))[0] == 6 * 2 * formula.forward
    assert formula.parameters == size_of(module)


@pytest.mark.parametrize("keys", [None, 9])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_counts_a_causal_mask_full(keys, causal):
    query = torch.ones(2, 3, 6, 4, requires_grad=True)
    other = torch.ones(2, 3, keys or 6, 4, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):
        forward, backward = counted(
            lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal and keys is None),
            query,
            other,
            other.detach().requires_grad_(),
        )
    formula = attention_scores(6, 3, 4, keys)
    assert (forward, backward) == (2 * formula.forward, 2 * formula.backward())


def test_self_attention_has_four_projections():
    module = nn.MultiheadAttention(12, 3)
    formula = attention(12, 7, 3)
    assert formula.parameters == size_of(module)
    assert formula.forward == 7 * 4 * 2 * 12**2 + 2 * 2 * 7**2 * 12


def test_looking_up_costs_nothing_and_its_table_is_counted_apart():
    table = embedding(256, 16)
    assert (table.training(), table.parameters, table.embedding) == (0, 4096, 4096)
    assert normalisation(16).parameters == size_of(nn.LayerNorm(16))


@pytest.mark.parametrize(("width", "parameters"), [(1, 725), (266, 4_985_110)])
def test_published_sizes_of_a_convolutional_network(width, parameters):
    """Atari networks of arXiv 2307.09423: 84 x 84 x 4 frames, 4 actions, 725 to 4,985,110 parameters."""
    layers = [
        convolution(4, width, 8, (84, 84), stride=4),
        convolution(width, 2 * width, 4, (20, 20), stride=2),
        convolution(2 * width, 2 * width, 3, (9, 9)),
        dense(7 * 7 * 2 * width, 4),
    ]
    assert total(layers).parameters == parameters
    if width == 1:
        assert 3 * total(layers).forward == pytest.approx(6.43e5, rel=1e-3)


def test_a_published_size_of_a_recurrent_network():
    """The LSTM of the NetHack networks of arXiv 2307.09423 v1 at width 1738 has 24,179,056 parameters."""
    assert recurrent("lstm", 1738, 1738).parameters == 24_179_056


def test_training_counts_no_gradient_for_the_first_input():
    network = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 2))
    forward, backward = counted(network, torch.ones(10, 6))
    assert training_flops([dense(6, 9), dense(9, 2)], 10) == forward + backward


def test_a_table_of_vectors_is_trained_and_has_no_input_to_differentiate():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(20, 6), nn.Linear(6, 9)

        def forward(self, tokens):
            return self.head(self.table(tokens))

    layers = [embedding(20, 6), dense(6, 9)]
    assert training_flops(layers, 10) == sum(counted(Tokens(), torch.arange(10)))
    assert training_flops(layers, 10, "6ND") == 6 * 10 * (120 + 63)
    assert training_flops(layers, 10, "6ND-non-embedding") == 6 * 10 * 63


def test_what_is_not_there_is_named():
    for call, message in (
        (lambda: training_flops([], 1, "7ND"), "convention must be one of counted, 6ND"),
        (lambda: recurrent("lru", 1, 1), "cell must be one of rnn, gru, lstm"),
        (lambda: attention(10, 2, 3), "heads must divide the width 10"),
        (lambda: convolution(3, 4, 3, (8, 8), groups=2), "groups must divide"),
        (lambda: flop_counters.convolution_output((2, 9), 3), "kernel must fit"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
