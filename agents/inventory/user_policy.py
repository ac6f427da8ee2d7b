"""A user's own ordering policy: a Python function from an observation to units to order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.simulators.arrays import Array
from sandtable.simulators.errors import InputError
from sandtable.simulators.user_function import load_function, on_one_line, source_of


@dataclass(frozen=True)
class UserPolicy(OrderingPolicy):
    """A function as a policy.

    Attributes:
        name: As the user gave it, ``module:function``.
        function: Takes the observation, a dict of [B, k] arrays, and returns units to order, [B] or [B, 1].
    """

    name: str
    function: Callable[[dict[str, Array]], Any]

    def __call__(self, observation: dict[str, Array]) -> Array:
        """Return what the function returns; whoever runs the policy checks it."""
        try:
            return self.function(observation)
        except Exception as error:
            raise InputError(f"it raised {on_one_line(error)}") from error

    def source(self) -> str:
        """Return the text of the file that holds the function, or its name where there is no such file."""
        return source_of(self.function, self.name)


def load_policy(spec: str) -> UserPolicy:
    """Import a policy.

    Args:
        spec: ``module:function``; the module is looked for in the current folder first.

    Raises:
        InputError: There is no such module or function, or importing it fails.
    """
    return UserPolicy(spec, load_function(spec, "--policy"))
