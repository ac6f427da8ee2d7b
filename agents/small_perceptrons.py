"""What ``ActorCritic`` computes, and its gradient, by numpy: for batches so small that calls take most of the time.

A call of numpy takes a third of the time of one of torch's. Shapes and names are those of ``actor_critic``.
"""

from collections.abc import Sequence

import numpy as np

Blocks = Sequence[np.ndarray]

LARGEST_PRODUCT = 1 << 18
"""Rows times inputs times outputs of a layer up to which numpy's libraries use one thread, as they do here."""


def layer(h: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return tanh(h weight + bias)."""
    h = h @ weight
    h += bias
    return np.tanh(h, out=h)


def output(h: np.ndarray, layers: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
    """Return one perceptron's output [R, B, k] of observations [R, B, n]; the last layer has no tanh."""
    *hidden, (weight, bias) = layers
    for own in hidden:
        h = layer(h, *own)
    return h @ weight + bias


def outputs(x: np.ndarray, blocks: Blocks) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the actor's output [R, B, k], the value [R, B], the logs of deviations, and each layer's input.

    Args:
        x: Observations, [R, B, n].
        blocks: Of the parameters; see ``ActorCritic.blocks``.
    """
    *hidden, actor_weight, actor_bias, critic_weight, critic_bias, log_deviation = blocks
    h = x[:, None]  # [R, 1 or 2, B, n]: both perceptrons read the same
    seen = [h]
    for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
        h = layer(h, weight, bias)
        seen.append(h)
    actor = h[:, 0] @ actor_weight + actor_bias
    return actor, (h[:, -1] @ critic_weight + critic_bias)[..., 0], log_deviation, seen


def write_gradients(
    found: Blocks,
    blocks: Blocks,
    seen: list[np.ndarray],
    actor: np.ndarray,
    value: np.ndarray,
    log_deviation: np.ndarray,
) -> None:
    """Write the gradients of the blocks, of the gradients in the outputs.

    Args:
        found: Takes them.
        blocks: Of the parameters.
        seen: As ``outputs`` returned it.
        actor: In the actor's output, [R, B, k].
        value: In the value, [R, B].
        log_deviation: In the logs of deviations.
    """
    actor_weight, critic_weight = blocks[-5], blocks[-3]
    value, h = value[..., None], seen[-1]
    found[-1][...] = log_deviation
    for own, part, place in ((value, -1, -3), (actor, 0, -5)):
        np.add.reduce(own, 1, keepdims=True, out=found[place + 1])
        np.matmul(h[:, part].mT, own, out=found[place])
    if len(seen) == 1:
        return
    back = np.empty_like(h)
    np.matmul(actor, actor_weight.mT, out=back[:, 0])
    np.matmul(value, critic_weight.mT, out=back[:, 1])
    for number in range(len(seen) - 2, -1, -1):
        slope = np.square(seen[number + 1])
        back *= np.subtract(1, slope, out=slope)
        np.add.reduce(back, 2, keepdims=True, out=found[2 * number + 1])
        np.matmul(seen[number].mT, back, out=found[2 * number])
        if number:
            back = back @ blocks[2 * number].mT
