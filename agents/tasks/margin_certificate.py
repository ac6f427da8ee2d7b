"""Why no network has a larger margin: a problem of one neuron that bounds all networks (arXiv 2311.07568, section 3).

Let q weigh the inputs x = (a, b), and tau(x) the wrong labels of each, both of sum 1. A network's least margin is at
most the weighted mean of

    g(x) = f(x)[ab] - sum_{c != ab} tau(x)[c] f(x)[c],

since each difference to a wrong label is at least that to the runner-up, and a mean is at least the minimum. The
network is a sum over neurons, and each is homogeneous of degree 3: with phi(omega) the mean of g for one neuron alone,

    mean g = sum_i phi(omega_i) <= sum_i |omega_i|^3 max_{|omega| = 1} phi = max phi      at norm sum_i |omega_i|^3 = 1.

So max phi bounds the margin of every network, whatever q and tau are. Here q is uniform, and tau depends on the class
of (ab)^-1 c alone. In terms of W(h) = 1 at the identity and -tau(h) elsewhere, and z[x] = sum_h W(h) w[x h], which has
mean 0 so that the squares drop out of (u + v)^2,

    phi(u, v, w) = mean over a, b of (u[a] + v[b])^2 z[ab] = 2 / G^2 sum_{a, b} u[a] v[b] z[ab].

W multiplies the part of w in a representation R by a number mu_R. Within R the sum over a and b is at most
sqrt(G / d_R) |u| |v| |z|, as a product of matrices in Frobenius norms (d_R over the reals), and |u| |v| |w| is at most
3^-1.5 at norm 1. With mu_R in proportion to sqrt(d_R) no representation is favoured: then, with the trivial one left
out of the sums,

    W = sum_R d_R^1.5 chi_R / sum_R d_R^2.5,    max phi = 2 / (3 sqrt(3 G)) / sum_R d_R^2.5,

and tau >= 0 is the theorem's condition on classes. For Z_p, of complex type with d_R = 2, tau is uniform, and the same
gives sqrt(2/27) / (sqrt(p) (p - 1)). The constructions of ``maximum_margin`` have that margin: it is the maximum.

What is proved is also tried: ``ascend`` climbs phi, as it is defined by the network, from random neurons.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from sandtable.agents.tasks.maximum_margin import maximum_margin
from sandtable.simulators.tasks.groups import FiniteGroup
from sandtable.simulators.tasks.representations import irreducible_representations


class Ascent(NamedTuple):
    """Where ascents ended.

    Attributes:
        bound: phi at the end of each, float64 [restarts]; none is above the maximum margin if the theorem holds.
        neuron: u, v and w of the best, of norm 1 together, float64 [3, G].
    """

    bound: np.ndarray
    neuron: np.ndarray


def label_weights(group: FiniteGroup) -> np.ndarray:
    """Return W, float64 [G]: 1 at the identity, minus the weight of the wrong label x h at h elsewhere; of sum 0.

    Raises:
        InputError: No theorem holds for the group, so that the weights may be negative.
    """
    maximum_margin(group)
    parts = irreducible_representations(group)[1:]
    weights = np.sum([one.dimension**1.5 / one.commutant * one.character for one in parts], axis=0)
    return weights / weights[group.identity]


def neuron_margin(neuron: np.ndarray, group: FiniteGroup, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return phi of a neuron and its gradient.

    Args:
        neuron: u, v and w, float64 [3, G]; of any norm.
        group: Of G elements.
        weights: W, [G].
    """
    u, v, w = neuron
    labels = group.table  # row x holds x h, and as inputs row a holds ab
    hidden = u[:, None] + v
    margin = (w[labels] @ weights)[labels]  # what w adds to the margin at (a, b)
    value = float((hidden**2 * margin).mean())
    of_hidden = 2 * hidden * margin
    of_label = np.bincount(labels.ravel(), (hidden**2).ravel(), group.order)
    of_w = np.bincount(labels.ravel(), np.outer(of_label, weights).ravel(), group.order)
    return value, np.stack([of_hidden.sum(1), of_hidden.sum(0), of_w]) / group.order**2


def ascend(group: FiniteGroup, restarts: int = 200, seed: int = 0) -> Ascent:
    """Climb phi over neurons of norm 1 from random ones, by quasi-Newton steps (L-BFGS) on phi / norm^3.

    Args:
        group: One for which ``maximum_margin`` is known.
        restarts: How many neurons to start from, at least 1.
        seed: Of the standard normal starts.

    Raises:
        InputError: No theorem holds for the group.
    """
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1, not {restarts}")
    weights, scale = label_weights(group), maximum_margin(group)

    def downhill(flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Return -phi and its gradient, over the margin, so that steps and stopping rules meet numbers of order 1."""
        norm = np.linalg.norm(flat)
        value, gradient = neuron_margin(flat.reshape(3, -1) / norm, group, weights)
        return -value / scale, (3 * value * flat / norm - gradient.ravel()) / (norm * scale)

    starts = np.random.default_rng(seed).normal(size=(restarts, 3 * group.order))
    ends = [minimize(downhill, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15}) for start in starts]
    bound = np.asarray([-one.fun * scale for one in ends])
    best = ends[int(bound.argmax())].x
    return Ascent(bound, (best / np.linalg.norm(best)).reshape(3, -1))
