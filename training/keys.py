"""Keys of replicas: every replica has a stream of random numbers of its own."""

import torch

from sandtable.simulators.arrays import Array
from sandtable.simulators.random import fold_in, make_key


def replica_keys(key: int | Array, replicas: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return one key a replica.

    Args:
        key: A seed (an integer or an array without axes), which gives replica r the key ``fold_in(make_key(seed), r)``,
            whatever the number of replicas; or the keys themselves, [replicas].
        replicas: R, at least 1.
        device: Where the keys shall lie.

    Returns:
        int64 [replicas].

    Raises:
        ValueError: The keys are neither a seed nor one for each replica.
    """
    keys = torch.as_tensor(make_key(key)).to(device)
    if keys.ndim == 0:
        return fold_in(keys, torch.arange(replicas, device=device))
    if keys.shape != (replicas,):
        raise ValueError(f"key must be a seed or one key for each of {replicas} replicas, not {tuple(keys.shape)}")
    return keys
