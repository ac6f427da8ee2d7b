"""How networks are trained towards maximum margins: the settings of arXiv 2311.07568, appendix B, and smaller ones.

The paper leaves open how first weights are scaled; here they are normal numbers of variance 1/G, or .49/n on n bits.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        width: Hidden units.
        steps: Of gradient descent.
        weights: Of the penalty; each trains a network of its own, from one start.
        learning_rate: Of the first step.
        doubled: When the learning rate doubles, steps.
        scale: The standard deviation of first weights is ``scale / sqrt(inputs)``, inputs G or n; one for each network,
            or one for all.
        batch: Examples a step; 0 for all of them.
        order: nu of the penalty.
        seed: Of the first weights.
    """

    width: int
    steps: int
    weights: tuple[float, ...]
    learning_rate: float
    doubled: tuple[int, ...] = ()
    scale: tuple[float, ...] = (1.0,)
    batch: int = 0
    order: int = 3
    seed: int = 0

    @property
    def replicas(self) -> int:
        """Return how many networks are trained: one for each weight or scale, whichever are more."""
        return max(len(self.weights), len(self.scale))

    def keys(self) -> np.ndarray:
        """Return the keys of the networks, which are the same: they start alike, and see the same batches."""
        from sandtable.simulators.random import fold_in, make_key

        return fold_in(make_key(self.seed), np.zeros(self.replicas, dtype=np.int64))

    def each(self, settings: tuple[float, ...]) -> list[float]:
        """Return a setting of each network."""
        return list(settings) * (self.replicas // len(settings))


def every(steps: int, times: int) -> tuple[int, ...]:
    """Return the first multiples of a number of steps."""
    return tuple(range(steps, steps * times + 1, steps))


S_3 = Recipe(60, 8_000, (1e-4, 1e-5, 1e-6), 0.05, every(500, 10))
S_3_LONG = Recipe(60, 40_000, (1e-4, 1e-5, 1e-6), 0.05, every(500, 10))
S_3_PAPER = Recipe(30, 50_000, (1e-7,), 0.05, (*every(200, 13), 5_000, 10_000))
S_4 = Recipe(200, 20_000, (1e-5,), 0.05, every(500, 10))
S_4_LONG = Recipe(1_000, 100_000, (1e-5, 1e-6), 0.05, every(500, 10))
S_5_PAPER = Recipe(2_000, 75_000, (1e-5,), 0.05, every(3_000, 8), batch=1_000)
D_5 = Recipe(60, 8_000, (1e-4,), 0.05, every(500, 10))
Z_23 = Recipe(200, 12_000, (1e-4,), 0.05, every(500, 10))
Z_31 = Recipe(250, 10_000, (1e-4,), 0.05, every(500, 10))
Z_71_PAPER = Recipe(500, 40_000, (1e-4,), 0.05, every(1_000, 10))
PARITY = Recipe(40, 20_000, (1e-3,), 0.1, scale=(0.7, 2.0), order=5)
PARITY_PAPER = Recipe(40, 30_000, (1e-3,), 0.1, scale=(0.7, 0.5), order=5)
