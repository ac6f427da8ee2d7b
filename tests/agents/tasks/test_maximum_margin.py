"""Maximum margins: closed forms, the networks that have them, and errors where no theorem gives one."""

import numpy as np
import pytest

from sandtable.agents.tasks.maximum_margin import (
    class_sums,
    cyclic_margin,
    cyclic_network,
    group_margin,
    group_network,
    maximum_margin,
    one_hot_network,
    parity_margin,
    parity_network,
)
from sandtable.analysis.tasks.margins import group_network_margin, parity_network_margin
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.groups import FiniteGroup, parse


def renamed(name):
    table = parse(name).table
    names = np.random.default_rng(3).permutation(len(table))
    other = np.empty_like(table)
    other[np.ix_(names, names)] = names[table]
    return FiniteGroup.from_table(other)


@pytest.mark.parametrize(
    ("name", "margin"),
    [
        *[("Z_3", 0.0785674), ("Z_5", 0.0304290), ("Z_7", 0.0171448), ("Z_11", 0.00820610), ("Z_23", 0.00257957)],
        *[("S_3", 0.02360496931), ("S_4", 0.002076647996), ("S_5", 0.000132597749)],
    ],
)
def test_maximum_margins_of_groups(name, margin):
    """Theorems 7 and 9, to the digits that another program printed; D_3 is S_3."""
    assert maximum_margin(parse(name)) == pytest.approx(margin, rel=3e-6)
    if name == "S_3":
        assert maximum_margin(parse("D_3")) == pytest.approx(margin, rel=1e-9)


@pytest.mark.parametrize(
    ("k", "margin"), [(2, 0.5443311), (3, 0.5303301), (4, 0.6071573), (5, 0.7856742), (6, 1.1220297)]
)
def test_maximum_margins_of_parities(k, margin):
    """Theorem 8, to seven digits."""
    assert parity_margin(k) == pytest.approx(margin, abs=5e-8)


@pytest.mark.parametrize("p", [3, 5, 7, 11, 13, 17, 19, 23, 31, 53])
def test_cyclic_network_has_the_maximum_margin(p):
    group = parse(f"Z_{p}")
    network = cyclic_network(group)
    margin = group_network_margin(*network, group)
    assert len(network.u) == 4 * (p - 1)
    assert margin.norm == pytest.approx(1, rel=1e-12)
    assert margin.normalised == pytest.approx(cyclic_margin(p), rel=1e-10)


@pytest.mark.parametrize(
    ("name", "width"), [("S_2", 2), ("S_3", 18), ("S_4", 126), ("S_5", 1190), ("D_4", 22), ("D_5", 34), ("D_12", 86)]
)
def test_group_network_has_the_maximum_margin(name, width):
    """The width is that of theorem 9, 2 sum d^3 over all but the trivial representation."""
    group = parse(name)
    network = group_network(group)
    margin = group_network_margin(*network, group)
    assert len(network.u) == width
    assert margin.norm == pytest.approx(1, rel=1e-12)
    assert margin.normalised == pytest.approx(maximum_margin(group), rel=1e-10)


@pytest.mark.parametrize(("name", "build"), [("Z_7", cyclic_network), ("S_3", group_network), ("D_5", group_network)])
def test_margin_does_not_depend_on_the_names_of_the_elements(name, build):
    group = renamed(name)
    margin = group_network_margin(*build(group), group)
    assert margin.normalised == pytest.approx(maximum_margin(parse(name)), rel=1e-10)
    assert maximum_margin(group) == pytest.approx(maximum_margin(parse(name)), rel=1e-10)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_parity_network_has_the_maximum_margin_among_any_bits(k):
    subset = tuple(range(k + 2, 2, -1))
    network = parity_network(k + 4, subset)
    margin = parity_network_margin(*network, subset)
    assert len(network.u) == 2 ** (k - 1)
    assert margin.norm == pytest.approx(1, rel=1e-12)
    assert margin.normalised == pytest.approx(parity_margin(k), rel=1e-10)


def test_neurons_of_the_parity_network_are_those_of_the_theorem():
    """Theorem 8: support S, |u_ij| = |w_i|, w_i along [1, -1], and the sign of the product of all."""
    network = parity_network(7, (0, 2, 3, 6))
    on = network.u[:, [0, 2, 3, 6]]
    assert np.count_nonzero(network.u) == on.size
    assert np.abs(on) == pytest.approx(np.linalg.norm(network.w, axis=1)[:, None] * np.ones((1, 4)))
    assert network.w[:, 0] == pytest.approx(-network.w[:, 1])
    assert (on.prod(1) * network.w[:, 0] > 0).all()


@pytest.mark.parametrize("name", ["Z_7", "S_3", "Q_8"])
def test_looking_products_up_is_right_and_has_a_small_margin(name):
    """Appendix D: 2 G^2 one-hot neurons solve any table."""
    group = parse(name)
    margin = group_network_margin(*one_hot_network(group), group)
    assert margin.normalised == pytest.approx(2 / (3 * np.sqrt(3) * group.order**2), rel=1e-12)
    if name != "Q_8":
        assert margin.normalised < 0.7 * maximum_margin(group)


@pytest.mark.parametrize(
    ("name", "largest"), [("S_3", -1.0), ("S_4", -1.0), ("S_5", -0.3031), ("S_6", 11.0)]
)
def test_class_condition(name, largest):
    """The largest sum of d^1.5 chi over the classes other than the identity's; S_6 is the first to fail."""
    sums = class_sums(parse(name))
    assert sums[1:].max() == pytest.approx(largest, abs=5e-5)
    assert sums[0] > 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("S_6", r"does not hold for S_6: on the conjugacy class of element \d+, the sum of d\^1.5 chi is 11,"),
        ("A_5", r"does not hold for A_5: on the conjugacy class"),
        ("Q_8", r"Q_8: its representation 4a of dimension 4 is of quaternionic type \(Frobenius-Schur indicator -1\)"),
        ("A_4", r"A_4: its representation 2a of dimension 2 is of complex type \(Frobenius-Schur indicator 0\)"),
        ("Z_9", "theorem 7 .* odd prime, which 9 is not"),
        ("Z_4", "theorem 7 .* odd prime, which 4 is not"),
        ("Z_1", "no wrong answers"),
    ],
)
def test_no_number_where_no_theorem_holds(name, says):
    group = parse(name)
    builds = (cyclic_network,) if name in ("Z_9", "Z_4") else (group_margin, group_network)
    for function in (maximum_margin, *builds):
        with pytest.raises(InputError, match=says):
            function(group)


@pytest.mark.parametrize("order", [-3, 0, 1, 2, 4, 9, 15, 25, 49])
def test_orders_that_are_no_odd_primes_are_refused(order):
    with pytest.raises(InputError, match="odd prime"):
        cyclic_margin(order)


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_powers_that_are_no_positive_whole_numbers_are_refused(k):
    with pytest.raises(InputError, match="positive whole number"):
        parity_margin(k)


@pytest.mark.parametrize(("n", "subset"), [(3, (0, 3)), (3, (1, 1)), (2, (0, 1, 2)), (3, (-1, 0))])
def test_subsets_that_do_not_fit_are_refused(n, subset):
    with pytest.raises(InputError, match="distinct bits"):
        parity_network(n, subset)


def test_networks_that_do_not_fit_into_memory_are_refused():
    with pytest.raises(InputError, match="8000000 neurons on Z_2000 needs"):
        one_hot_network(parse("Z_2000"))
    with pytest.raises(InputError, match="enumerated"):
        parity_network(30, range(22))
