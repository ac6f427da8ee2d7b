"""Checkpoints: directories of tensors and a manifest that are complete whenever they are there.

A checkpoint ``step-00000123`` holds ``tensors.pt``, a flat dict from dotted name to tensor that loads with
``torch.load(weights_only=True)``, and ``manifest.json``. It is written under another name, brought to the disk, and
then renamed, which is atomic; only then are older ones removed. So a writer that is killed leaves a complete one.
"""

import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sandtable.simulators.errors import InputError

_COMPLETE = "step-"
_PARTIAL = "partial-"


@dataclass(frozen=True)
class Checkpoints:
    """Where ``fit`` keeps its state, and how often.

    Attributes:
        folder: A directory of this training alone; made if it is not there.
        every: Steps between checkpoints, at least 1; the last step always makes one.
    """

    folder: Path | str
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")


def save(folder: Path | str, step: int, tensors: dict[str, Tensor], manifest: dict[str, Any]) -> Path:
    """Write a checkpoint, then remove older ones.

    Args:
        folder: Directory of the checkpoints; made if it is not there.
        step: Which step it belongs to, not negative. If this step has a checkpoint already, that one stays.
        tensors: By dotted name, see ``flatten``.
        manifest: What JSON can hold.

    Returns:
        The directory of the checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / f"{_COMPLETE}{step:08d}"
    if not complete.exists():
        partial = folder / f"{_PARTIAL}{step:08d}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        buffer = io.BytesIO()  # torch hides the error of a full disk behind one of its own
        torch.save({name: tensor.detach().cpu() for name, tensor in tensors.items()}, buffer)
        with open(partial / "tensors.pt", "wb") as file:
            file.write(buffer.getbuffer())
            _to_disk(file)
        with open(partial / "manifest.json", "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            _to_disk(file)
        _directory_to_disk(partial)
        os.replace(partial, complete)
        _directory_to_disk(folder)
    _remove_all_but(folder, complete)
    return complete


def load(folder: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the newest checkpoint, and remove what a killed writer left behind.

    Returns:
        Its tensors, on the CPU, and its manifest; None if there is no checkpoint.

    Raises:
        InputError: The checkpoint cannot be read.
    """
    folder = Path(folder)
    found = sorted(folder.glob(f"{_COMPLETE}*"), key=lambda path: int(path.name.removeprefix(_COMPLETE)))
    newest = found[-1] if found else None
    _remove_all_but(folder, newest)
    if newest is None:
        return None
    try:
        tensors = torch.load(newest / "tensors.pt", weights_only=True, map_location="cpu")
        manifest = json.loads((newest / "manifest.json").read_text(encoding="utf-8"))
    except Exception as error:  # torch.load raises many kinds
        raise InputError(f"{newest}: not a readable checkpoint ({error}); remove it to start again") from error
    return tensors, manifest


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _directory_to_disk(folder: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_all_but(folder: Path, kept: Path | None) -> None:
    for name in (_COMPLETE, _PARTIAL):
        for path in folder.glob(f"{name}*"):
            if path != kept:
                shutil.rmtree(path)


def flatten(tree: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of nested dicts, NamedTuples and tuples by dotted name, such as ``optimizer.first.weight``.

    Args:
        tree: The tensors; None and empty containers hold none.
        prefix: Put before each name.

    Raises:
        ValueError: Two tensors have one name.
    """
    if isinstance(tree, Tensor):
        return {prefix: tree}
    flat: dict[str, Tensor] = {}
    for name, branch in _branches(tree):
        for dotted, tensor in flatten(branch, f"{prefix}.{name}" if prefix else name).items():
            if dotted in flat:
                raise ValueError(f"two tensors are called {dotted}")
            flat[dotted] = tensor
    return flat


def unflatten(template: Any, flat: dict[str, Tensor], prefix: str = "") -> Any:
    """Put tensors back in their places.

    Args:
        template: A tree of the same structure; gives shapes, types and devices too.
        flat: As ``flatten`` returned it; may hold more.
        prefix: As given to ``flatten``.

    Raises:
        InputError: A tensor is missing, or has another shape or type.
    """
    if isinstance(template, Tensor):
        if prefix not in flat:
            raise InputError(f"the checkpoint has no tensor {prefix}; it belongs to another training")
        found = flat[prefix]
        if found.shape != template.shape or found.dtype != template.dtype:
            raise InputError(
                f"the checkpoint's tensor {prefix} is {found.dtype} {tuple(found.shape)}, "
                f"not {template.dtype} {tuple(template.shape)}; it belongs to another training"
            )
        return found.to(template.device)
    if template is None:
        return None
    branches = {
        name: unflatten(branch, flat, f"{prefix}.{name}" if prefix else name) for name, branch in _branches(template)
    }
    if isinstance(template, dict):
        return branches
    return type(template)(**branches) if hasattr(template, "_fields") else tuple(branches.values())


def _branches(tree: Any) -> list[tuple[str, Any]]:
    if tree is None:
        return []
    if isinstance(tree, dict):
        return list(tree.items())
    if isinstance(tree, tuple):
        return list(zip(getattr(tree, "_fields", map(str, range(len(tree)))), tree, strict=False))
    raise TypeError(f"a checkpoint holds tensors in dicts and tuples, not {type(tree).__name__}")
