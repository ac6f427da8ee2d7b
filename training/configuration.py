"""A JSON description of how a training is set up, so that its checkpoint is not continued by another."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch

from sandtable.simulators.errors import InputError

_LISTED = 256  # numbers of an array that are told one by one


def describe(thing: Any) -> Any:
    """Return what JSON can hold of a setting.

    Numbers and strings stay; small arrays of finite numbers become lists and others a digest; a function tells its name
    and the values that it closes over, a dataclass its fields, and any other object its public attributes.
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Path):
        return str(thing)
    if isinstance(thing, torch.Tensor):
        return describe(thing.detach().cpu().numpy())
    if isinstance(thing, np.ndarray | np.generic):
        plain = thing.dtype.kind in "biu" or (thing.dtype.kind == "f" and np.isfinite(thing).all())
        return thing.tolist() if plain and thing.size <= _LISTED else hashlib.sha256(thing.tobytes()).hexdigest()
    if isinstance(thing, Mapping):
        return {str(name): describe(value) for name, value in thing.items()}
    if isinstance(thing, Sequence):
        return [describe(value) for value in thing]
    if isinstance(thing, FunctionType):
        cells = [describe(cell.cell_contents) for cell in thing.__closure__ or ()]
        return {"function": f"{thing.__module__}.{thing.__qualname__}", "closure": cells}
    if isinstance(thing, type):
        return {"type": f"{thing.__module__}.{thing.__qualname__}"}
    names = [field.name for field in fields(thing)] if is_dataclass(thing) else getattr(thing, "__dict__", {})
    told = {name: describe(getattr(thing, name)) for name in names if not name.startswith("_")}
    return {**describe(type(thing)), **told}


def require_same(found: dict[str, Any], expected: dict[str, Any], where: str) -> None:
    """Compare the configuration of a checkpoint with the present one.

    Raises:
        InputError: They differ; the message names the settings and ``where``.
    """
    expected = json.loads(json.dumps(expected))
    differing = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    if differing:
        raise InputError(
            f"{where}: the checkpoint there was made with another {', '.join(differing)}; "
            "use another folder, or remove it to start again"
        )
