"""Optimisers as functions of tensors, with hyperparameters of their own for each replica.

An optimiser maps (parameters, gradients, state) to (parameters, state) and changes nothing in place. All tensors lead
with the axis of replicas. Only operations that round once are used, each of which gives the same bits wherever a number
lies in memory; hyperparameters are held in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sandtable.simulators.arrays import tree_map

Tensors = dict[str, Tensor]
"""Parameters, gradients or moments by the parameter's name, each [R, ...]."""

Setting = float | Sequence[float] | Tensor
"""A hyperparameter: one number, or one for each replica, [R]."""


class Optimizer(Protocol):
    """What ``fit`` asks of an optimiser."""

    def start(self, parameters: Tensors) -> dict[str, Any]:
        """Return the state before the first update: nested dicts of tensors."""

    def update(
        self, parameters: Tensors, gradients: Tensors, state: dict[str, Any], multiplier: Tensor
    ) -> tuple[Tensors, dict[str, Any]]:
        """Return new parameters and the new state; ``multiplier`` ([] or [R]) scales the learning rate."""


_SMALL = 1 << 16
"""Numbers of a replica's parameter above which torch's threads are worth more than quick calls."""


def per_replica(name: str, setting: Setting, parameters: Tensors, below: float = torch.inf) -> Tensor:
    """Return a hyperparameter of each replica.

    Args:
        name: Its name, for the error.
        setting: One number or [R], each in [0, below).
        parameters: What it will be applied to; gives R and the device.
        below: Upper end of the range.

    Returns:
        float64 [R].

    Raises:
        ValueError: The setting has another shape, or a number out of range.
    """
    some = next(iter(parameters.values()))
    values = torch.as_tensor(setting, dtype=torch.float64)
    if values.shape not in ((), (some.shape[0],)):
        raise ValueError(f"{name} must be a number or one for each of {some.shape[0]} replicas, not {setting!r}")
    if not bool(((values >= 0) & (values < below)).all()):
        raise ValueError(f"{name} must lie in [0, {below}), not {setting!r}")
    return values.to(some.device).expand(some.shape[0]).clone()


def along(values: Tensor, like: Tensor) -> Tensor:
    """Return ``values`` [R] in the type of ``like`` [R, ...] and with as many axes."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def on_host(tensor: Tensor) -> bool:
    """Tell whether a tensor's numbers can be worked with by numpy: it is on a CPU, and nothing is being compiled."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _zeros(parameters: Tensors) -> Tensors:
    return {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with heavy-ball momentum and L2 penalty, as ``torch.optim.SGD``.

    With gradient g, momentum mu and weight decay w: ``v <- mu v + g + w p``, ``p <- p - rate v``.

    Attributes:
        learning_rate: At least 0; a replica of rate 0 does not move.
        momentum: In [0, 1).
        weight_decay: At least 0.
    """

    learning_rate: Setting
    momentum: Setting = 0.0
    weight_decay: Setting = 0.0

    def start(self, parameters: Tensors) -> dict[str, Any]:
        """Return hyperparameters and zero velocities; without momentum or weight decay, nothing of them."""
        momentum = per_replica("momentum", self.momentum, parameters, below=1)
        weight_decay = per_replica("weight_decay", self.weight_decay, parameters)
        state: dict[str, Any] = {"learning_rate": per_replica("learning_rate", self.learning_rate, parameters)}
        if bool(momentum.any()):
            state |= {"momentum": momentum, "velocity": _zeros(parameters)}
        if bool(weight_decay.any()):
            state["weight_decay"] = weight_decay
        return state

    def update(
        self, parameters: Tensors, gradients: Tensors, state: dict[str, Any], multiplier: Tensor
    ) -> tuple[Tensors, dict[str, Any]]:
        """Take one step; see ``Optimizer.update``."""
        rate = state["learning_rate"] * multiplier
        moved, velocities = {}, {}
        for name, parameter in parameters.items():
            velocity = gradients[name]
            if "weight_decay" in state:
                velocity = velocity + parameter * along(state["weight_decay"], parameter)
            if "velocity" in state:
                velocity = velocities[name] = state["velocity"][name] * along(state["momentum"], parameter) + velocity
            moved[name] = torch.addcmul(parameter, velocity, along(rate, parameter), value=-1)  # in one pass
        return moved, {**state, "velocity": velocities} if velocities else state


@dataclass(frozen=True)
class AdamW:
    """Adam (Kingma and Ba, arXiv 1412.6980) with decoupled weight decay (arXiv 1711.05101), as ``torch.optim.AdamW``.

    Attributes:
        learning_rate: At least 0; a replica of rate 0 does not move.
        betas: Decay of the first and of the second moment, each in [0, 1).
        eps: Added to the root of the second moment, at least 0.
        weight_decay: At least 0; 0 is Adam.
    """

    learning_rate: Setting
    betas: tuple[Setting, Setting] = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.01

    def start(self, parameters: Tensors) -> dict[str, Any]:
        """Return hyperparameters, zero moments, and the products of the betas of all steps, which are ones."""
        named = {
            "learning_rate": per_replica("learning_rate", self.learning_rate, parameters),
            "betas[0]": per_replica("betas[0]", self.betas[0], parameters, below=1),
            "betas[1]": per_replica("betas[1]", self.betas[1], parameters, below=1),
            "eps": per_replica("eps", self.eps, parameters),
            "weight_decay": per_replica("weight_decay", self.weight_decay, parameters),
        }
        settings = torch.stack(list(named.values()), -1)
        return {
            "settings": settings,
            "products": torch.ones_like(settings[:, :2]),
            "first": _zeros(parameters),
            "second": _zeros(parameters),
        }

    def update(
        self, parameters: Tensors, gradients: Tensors, state: dict[str, Any], multiplier: Tensor
    ) -> tuple[Tensors, dict[str, Any]]:
        """Take one step; see ``Optimizer.update``."""
        # numpy's calls take less time than torch's; a replica's size alone decides, so that neighbours change no bit
        small = all(parameter.numel() <= _SMALL * len(parameter) for parameter in parameters.values())
        if small and on_host(state["settings"]):
            given = tree_map(Tensor.numpy, (parameters, gradients, state, multiplier))
            return tree_map(torch.from_numpy, _adam(np, *given))
        return _adam(torch, parameters, gradients, state, multiplier)


def _adam(xp: Any, parameters: Any, gradients: Any, state: Any, multiplier: Any) -> tuple[Any, Any]:
    """Take a step of Adam with the arrays of torch or numpy."""
    products, factors = _factors(xp, state["settings"], state["products"], multiplier)
    moved, first, second = {}, {}, {}
    for name, parameter in parameters.items():
        gradient = gradients[name]
        # as ``along`` does with each
        own = xp.asarray(factors, dtype=parameter.dtype).reshape(len(factors), -1, *[1] * (parameter.ndim - 1))
        keep_1, add_1, keep_2, add_2, keep, move, least = own
        mean = first[name] = state["first"][name] * keep_1
        mean += gradient * add_1
        square = second[name] = state["second"][name] * keep_2
        square += xp.square(gradient) * add_2
        root = xp.sqrt(square)
        root += least
        change = mean / root
        change *= move
        kept = moved[name] = parameter * keep
        kept -= change
    return moved, {"settings": state["settings"], "products": products, "first": first, "second": second}


def _factors(xp: Any, settings: Any, products: Any, multiplier: Any) -> tuple[Any, Any]:
    """Return the new products of the betas, [R, 2], and what an element's update multiplies and adds, [7, R].

    The step is ``rate * (first / (1 - product_1)) / (sqrt(second / (1 - product_2)) + eps)``, its factors gathered.
    """
    rate, beta_1, beta_2, eps, weight_decay = (settings[:, i] for i in range(5))
    products = products * settings[:, 1:3]
    rest = 1 - products
    root = xp.sqrt(rest[:, 1])
    rate = rate * multiplier
    shrink = 1 - rate * weight_decay
    move, least = rate * root / rest[:, 0], eps * root
    return products, xp.stack((beta_1, 1 - beta_1, beta_2, 1 - beta_2, shrink, move, least))
