"""The operation of a finite group as a task: two elements are seen, and their product is to be told."""

from typing import Any

import gymnasium as gym

from sandtable.simulators.arrays import Array, Constant, namespace
from sandtable.simulators.tasks.classification import Classification, Examples
from sandtable.simulators.tasks.groups import parse


class GroupOperation(Classification):
    """The product of two elements of a finite group of G elements (Morwani et al., arXiv 2311.07568).

    Seen: a pair (a, b), each of the G^2 pairs equally likely. To be told: the product ab, one of G classes; for the
    group Z_p it is a + b modulo p. The episode ends with the one answer; see ``Classification`` for what it earns.

    The data set is the whole table: example a G + b is the pair (a, b).

    Args:
        group: ``"Z_23"``, ``"D_5"``, ``"S_4"`` and the like, or a Cayley table; see ``groups.parse``. Permutations are
            in lexicographic order, and (ab)(x) = a(b(x)).
        feedback: ``"bandit"`` or ``"full"``.
        loss: ``"cross-entropy"`` (of G logits); for two elements also ``"hinge"`` or ``"square"`` (of one output).

    Attributes:
        observation_space: (a, b).
        action_space: A class in [0, G); or outputs, [G] or [1].
        group: The ``FiniteGroup``.

    Raises:
        InputError: The group is not known or the table is none, or another argument is out of its range.
    """

    def __init__(self, group: Any = "Z_23", feedback: str = "bandit", loss: str = "cross-entropy") -> None:
        self.group = parse(group)
        order = self.group.order
        super().__init__(gym.spaces.MultiDiscrete([order, order]), order, 2 * order, order**2, feedback, loss)
        self._products = Constant(self.group.table.flatten())

    def examples(self, index: Array) -> Examples:
        """Return the pairs (a, b) with these indices, a G + b: ``observation`` int64 [*batch, 2]."""
        xp = namespace(index)
        order = self.group.order
        pair = xp.stack([index // order, index % order], axis=-1)
        product = xp.reshape(xp.take(self._products.on(index), xp.reshape(index, (-1,))), index.shape)
        return Examples(pair, product, product, index)

    def encode(self, observation: Array) -> Array:
        """Return both elements one-hot, a before b: float32 [*batch, 2 G]."""
        xp = namespace(observation)
        elements = xp.arange(self.group.order, device=observation.device)
        chosen = xp.astype(observation[..., None] == elements, xp.float32)
        return xp.reshape(chosen, (*observation.shape[:-1], self.inputs))
