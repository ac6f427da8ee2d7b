"""How weights start: distributions of a stated variance, dense or sparse, drawn from each replica's own key."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sandtable.simulators.random import fold_in, normal, uniform

_WEIGHTS = 0x776569676874  # the stream of initial weights
_BIASES = 0x626961736573  # and those of initial biases, and of which weights a sparse neuron has
_PLACES = 0x706C61636573


@dataclass(frozen=True)
class Initialisation:
    """The distribution of a layer's first weights, which are independent and have mean 0.

    Attributes:
        distribution: ``"uniform"`` on an interval, ``"normal"``, or ``"sign"``: plus or minus one number.
        variance: Of a weight, times the number of inputs (times ``nonzero`` where that is given), > 0. 1 is LeCun's
            initialisation (Efficient BackProp, 1998), 2 that of He et al. (arXiv 1502.01852), 1/3 PyTorch's.
        bias: Whether biases start like dense weights; else at 0.
        nonzero: How many weights of each output start other than 0, in random places (arXiv 2309.03800, section 4.2);
            None for all.
    """

    distribution: Literal["uniform", "normal", "sign"] = "uniform"
    variance: float = 1.0
    bias: bool = False
    nonzero: int | None = None

    def __post_init__(self) -> None:
        if self.distribution not in ("uniform", "normal", "sign"):
            raise ValueError(f"distribution must be 'uniform', 'normal' or 'sign', not {self.distribution!r}")
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance must be positive and finite, not {self.variance}")
        if self.nonzero is not None and self.nonzero < 1:
            raise ValueError(f"nonzero must be at least 1, not {self.nonzero}")

    def weights(self, keys: Tensor, inputs: int, outputs: int) -> Tensor:
        """Return first weights, float32 [R, inputs, outputs], of the replicas with these keys, [R].

        Raises:
            ValueError: Outputs are to have more weights than there are inputs.
        """
        draws = self._draws(fold_in(keys, _WEIGHTS), inputs * outputs).reshape(-1, inputs, outputs)
        if self.nonzero is None:
            return (draws * math.sqrt(self.variance / inputs)).float()
        if self.nonzero > inputs:
            raise ValueError(f"nonzero must be at most the number of inputs, {inputs}, not {self.nonzero}")
        order = uniform(fold_in(keys, _PLACES)[:, None], torch.arange(inputs * outputs, device=keys.device))
        places = order.reshape(-1, inputs, outputs).argsort(1)[:, : self.nonzero]
        kept = torch.zeros_like(draws, dtype=torch.bool).scatter_(1, places, True)
        return torch.where(kept, draws * math.sqrt(self.variance / self.nonzero), 0).float()

    def biases(self, keys: Tensor, inputs: int, outputs: int) -> Tensor:
        """Return first biases, float32 [R, 1, outputs], of the replicas with these keys, [R]."""
        if not self.bias:
            return torch.zeros(len(keys), 1, outputs, device=keys.device)
        draws = self._draws(fold_in(keys, _BIASES), outputs)
        return (draws[:, None] * math.sqrt(self.variance / inputs)).float()

    def _draws(self, keys: Tensor, count: int) -> Tensor:
        """Return numbers of mean 0 and variance 1, float64 [R, count]."""
        counters = torch.arange(count, device=keys.device)
        if self.distribution == "normal":
            drawn: Tensor = normal(keys[:, None], counters)
            return drawn
        centred: Tensor = 2 * uniform(keys[:, None], counters) - 1
        return centred.sign() if self.distribution == "sign" else centred * math.sqrt(3)


PYTORCH = Initialisation(variance=1 / 3, bias=True)
"""That of ``torch.nn.Linear``: weights and biases uniform on plus or minus ``1 / sqrt(inputs)``."""


def of_replicas(
    initialisation: Initialisation | Sequence[Initialisation], replicas: int
) -> dict[Initialisation, list[int]]:
    """Return which replicas start how, each distribution once.

    Args:
        initialisation: One for all, or one for each replica.
        replicas: R.

    Raises:
        ValueError: There are neither one nor R of them.
    """
    each = [initialisation] * replicas if isinstance(initialisation, Initialisation) else list(initialisation)
    if len(each) != replicas:
        raise ValueError(f"initialisation must be one, or one for each of {replicas} replicas, not {len(each)}")
    return {kind: [r for r, own in enumerate(each) if own == kind] for kind in dict.fromkeys(each)}
