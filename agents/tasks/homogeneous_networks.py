"""The networks that maximum margins are known of, to be trained: one hidden layer, no biases, weights of one variance.

With an activation s they are f(a, b) = sum_i s(u_i[a] + v_i[b]) w_i on the pairs of elements of a group, and f(x) =
sum_i (u_i . x)^k w_i on bits (arXiv 2311.07568). The first layer of the ``MLP`` holds the u_i, above the v_i, and the
second one the w_i.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sandtable.agents.tasks.maximum_margin import GroupNetwork, ParityNetwork
from sandtable.simulators.arrays import Array
from sandtable.simulators.decision_process import Batch
from sandtable.simulators.tasks.boolean_fourier import hypercube
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training.initialisation import Initialisation
from sandtable.training.networks import MLP


class HomogeneousMLP(MLP):
    """An ``MLP`` with one hidden layer and no biases, whose first weights are all normal numbers of one variance.

    Inputs are brought to the precision of the weights.

    Args:
        replicas: R.
        inputs: Width of the input.
        width: m, hidden units.
        outputs: Width of the output.
        key: A seed, or one key a replica, [R].
        activation: ``"relu"`` or ``"power-<k>"``: with these the network is homogeneous in its parameters.
        variance: Of a weight, > 0; one number, or one for each replica.
    """

    def __init__(
        self,
        replicas: int,
        inputs: int,
        width: int,
        outputs: int,
        key: int | Array,
        activation: str,
        variance: float | Sequence[float],
    ) -> None:
        each = [variance] * replicas if isinstance(variance, float | int) else variance
        kinds = [Initialisation("normal", variance=one * inputs) for one in each]
        super().__init__(replicas, inputs, [width], outputs, key, activation, kinds, bias=False)
        self.outer.data *= math.sqrt(width / inputs)  # drawn with the variance of a layer of m inputs

    @property
    def inner(self) -> Tensor:
        """Return the weights of the hidden units, [R, inputs, m]."""
        return self._layer(0).weight

    @property
    def outer(self) -> Tensor:
        """Return the weights of the outputs, [R, m, outputs]."""
        return self._layer(1).weight

    def forward(self, x: Tensor, kept: list[Tensor] | None = None) -> Tensor:
        """Map [R, B, inputs] to [R, B, outputs]; see ``MLP.forward``."""
        return super().forward(x.to(self.inner.dtype), kept)


class PowerNetwork(HomogeneousMLP):
    """f(x) = sum_i (u_i . x)^k w_i of n bits, with two logits.

    Args:
        replicas: R.
        bits: n.
        k: At least 2.
        width: m, hidden units.
        key: A seed, or one key a replica, [R].
        variance: Of first weights. Powers explode: at k = 4 and a learning rate of .1, 1/n is too much.
    """

    def __init__(
        self, replicas: int, bits: int, k: int, width: int, key: int | Array, variance: float | Sequence[float]
    ) -> None:
        super().__init__(replicas, bits, width, 2, key, f"power-{k}", variance)

    def weights(self) -> ParityNetwork:
        """Return copies of u, [R, m, n], and w, [R, m, 2]."""
        return ParityNetwork(*(one.detach().cpu().double().numpy().copy() for one in (self.inner.mT, self.outer)))


class PairNetwork(HomogeneousMLP):
    """f(a, b) = sum_i s(u_i[a] + v_i[b]) w_i of pairs of elements, with one logit an element.

    It takes both elements one-hot, [R, B, 2 G], like any ``MLP``; or the table, see ``whole_table``. For that u_i and
    v_i are added for each pair, which spares the products with ones and zeros.

    Args:
        replicas: R.
        elements: G.
        width: m, hidden units.
        key: A seed, or one key a replica, [R].
        activation: s, ``"power-2"`` or ``"relu"``.
        variance: Of first weights.
    """

    def __init__(
        self,
        replicas: int,
        elements: int,
        width: int,
        key: int | Array,
        activation: str,
        variance: float | Sequence[float],
    ) -> None:
        super().__init__(replicas, 2 * elements, width, elements, key, activation, variance)
        self.elements = elements

    def forward(self, x: Tensor, kept: list[Tensor] | None = None) -> Tensor:
        """Map [R, B, 2 G] to [R, B, G], and the table's empty inputs [R, 0] to all its pairs, [R, G^2, G]."""
        if x.ndim == 3:
            return super().forward(x, kept)
        with torch.set_grad_enabled(torch.is_grad_enabled() and kept is None):
            u, v = self.inner.split(self.elements, dim=1)
            before = (u[:, :, None] + v[:, None]).flatten(1, 2)
            after = self.activation.value(before)
            if kept is not None:
                kept += [x, before, after]
            return torch.bmm(after, self.outer)

    @torch.no_grad()
    def pullback(self, kept: list[Tensor], back: Tensor) -> dict[str, Tensor]:
        """Return the gradients by name; see ``MLP.pullback``."""
        x, before, after = kept[:3]
        if x.ndim == 3:
            return super().pullback(kept, back)
        of_pair = self.activation.pullback(torch.bmm(back, self.outer.mT), before, after)
        of_pair = of_pair.unflatten(1, (self.elements, self.elements))
        inner = torch.cat([of_pair.sum(2), of_pair.sum(1)], dim=1)
        return {"layers.0.weight": inner, "layers.1.weight": torch.bmm(after.mT, back)}

    def flops(self, x: Tensor, kept: list[Tensor] | None = None) -> tuple[int, int]:
        """Return the operations of a call, and those of its gradient."""
        if x.ndim == 3:
            return super().flops(x, kept)
        product = 2 * self.elements**2 * self.outer.numel()
        return product, 2 * product

    def weights(self) -> GroupNetwork:
        """Return copies of u, v and w, each [R, m, G]."""
        u, v = self.inner.split(self.elements, dim=1)
        return GroupNetwork(*(one.detach().cpu().double().numpy().copy() for one in (u.mT, v.mT, self.outer)))


def whole_table(task: GroupOperation, device: torch.device | str = "cpu") -> Batch:
    """Return all pairs of a group, for a ``PairNetwork``: empty inputs [0], as it knows them, and targets [G^2]."""
    return Batch(torch.zeros(0, device=device), torch.tensor(task.group.table.ravel(), device=device))


def whole_cube(task: SparseParity, device: torch.device | str = "cpu") -> Batch:
    """Return all inputs of a parity: float64 [2^n, n], +-1, and targets [2^n].

    Raises:
        InputError: There are too many bits to enumerate.
    """
    bits = torch.tensor(hypercube(task.n), device=device)
    return Batch(bits, (bits[:, list(task.subset)].prod(1) < 0).long())
