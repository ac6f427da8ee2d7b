"""Features of completions, NAME.features/: what a model's layers hold at the end of each, too large for JSON.

    manifest.json    model, layers, d, dtype, token position, and the SHA-256 of ids and texts of the completions' file
    LAYER.npy        [N, d], a row a completion in the order of the file; read as a memory map

They belong to ids and texts alone: what is learned later of the completions, such as verdicts, changes nothing.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.language.completions import Prompt

SCHEMA, MANIFEST, SUFFIX = "sandtable.features/1", "manifest.json", ".features"
DTYPES = ("float16", "float32", "float64")
_ROWS = 65_536


@dataclass(frozen=True)
class Features:
    """Features of the completions of a file.

    Attributes:
        path: The folder.
        model: Whose features they are.
        layers: Names of the layers, in the order of the manifest.
        d: How many features there are.
        dtype: Of the numbers.
        token_position: Whose token's features they are, for example ``last``.
        sha256: Of ids and texts, see ``digest``.
        rows: How many completions there are.
    """

    path: Path
    model: str
    layers: tuple[str, ...]
    d: int
    dtype: str
    token_position: str
    sha256: str
    rows: int

    def layer(self, name: str | None = None) -> np.ndarray:
        """Return the features of a layer [N, d], memory-mapped and not writeable.

        Args:
            name: Of the layer; None: the last one of the manifest.

        Raises:
            InputError: There is no such layer, or its file cannot be read or has another shape than the manifest says.
        """
        name = self.layers[-1] if name is None else str(name)
        require_name("layer", name, self.layers)
        path = self.path / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise InputError(f"{path}: there is no such file, but the manifest lists the layer") from error
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: the file is no array that can be read ({error})") from error
        if array.shape != (self.rows, self.d) or array.dtype.name != self.dtype:
            raise InputError(
                f"{path}: it holds {array.dtype.name} {list(array.shape)}, where the manifest says {self.dtype} "
                f"[{self.rows}, {self.d}]"
            )
        return array

    def require_finite(self) -> None:
        """Raise an ``InputError`` that names layer and row of the first number that is not finite."""
        for name in self.layers:
            array = self.layer(name)
            for start in range(0, len(array), _ROWS):
                bad = np.flatnonzero(~np.isfinite(array[start : start + _ROWS]).all(axis=1))
                if len(bad):
                    raise InputError(f"{self.path / name}.npy, row {start + bad[0]}: a number is not finite")


def digest(prompts: Iterable[Prompt]) -> str:
    """Return the SHA-256 of what features belong to: ids, prompts and completions, in their order."""
    told = hashlib.sha256()
    for one in prompts:
        line = json.dumps([one.prompt_id, one.prompt, *one.completions], separators=(",", ":"))
        told.update(line.encode("ascii") + b"\n")
    return told.hexdigest()


def features_path(completions: str | Path) -> Path:
    """Return where the features of a file of completions are: beside it, ``NAME.features`` for ``NAME.jsonl``."""
    path = Path(completions)
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".jsonl") + SUFFIX)


def is_features(path: str | Path) -> bool:
    """Tell whether a folder holds features, by its manifest."""
    manifest = Path(path) / MANIFEST
    try:
        return SCHEMA in manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def read_features(path: str | Path, prompts: Sequence[Prompt] | None = None) -> Features:
    """Read the manifest of a folder of features.

    Args:
        path: The folder.
        prompts: Those of the file of completions; the features must be theirs.

    Raises:
        InputError: There is no such folder, its manifest cannot be used, or the features are of another file.
    """
    path = Path(path)
    features = _manifest(path)
    for name in features.layers:
        features.layer(name)
    if prompts is not None and digest(prompts) != features.sha256:
        rows = sum(len(one) for one in prompts)
        raise InputError(
            f"{path / MANIFEST}, field sha256: these are features of another file: {features.rows} rows, for "
            f"{rows} completions whose ids and texts differ in something; extract them again"
        )
    return features


def _manifest(path: Path) -> Features:
    manifest = path / MANIFEST
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{manifest}: there is no such file; name a folder NAME{SUFFIX}") from error
    except OSError as error:
        raise InputError(f"{manifest}: the file cannot be opened ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{manifest}: this is no JSON ({error})") from error
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise InputError(f"{manifest}, field schema: it must be {SCHEMA}")

    def field(name: str, kind: type) -> Any:
        value = told.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{manifest}, field {name}: it must be a {kind.__name__}, not {json.dumps(value)}")
        return value

    layers = field("layers", list)
    if not layers or not all(isinstance(one, str) and is_layer_name(one) for one in layers):
        raise InputError(f"{manifest}, field layers: it must list names of letters, digits, '.', '_' and '-'")
    if len(set(layers)) < len(layers):
        raise InputError(f"{manifest}, field layers: a layer is listed twice")
    if field("dtype", str) not in DTYPES:
        raise InputError(f"{manifest}, field dtype: it must be one of {', '.join(DTYPES)}, not {told['dtype']}")
    if field("d", int) < 1 or field("rows", int) < 1:
        raise InputError(f"{manifest}, fields d and rows: they must be at least 1")
    if not re.fullmatch("[0-9a-f]{64}", field("sha256", str)):
        raise InputError(f"{manifest}, field sha256: it must be 64 hexadecimal digits")
    return Features(
        path, field("model", str), tuple(layers), told["d"], told["dtype"], field("token_position", str),
        told["sha256"], told["rows"],
    )  # fmt: skip


def is_layer_name(name: str) -> bool:
    """Tell whether a name can be that of a layer, and so of a file."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) is not None


def write_features(
    path: str | Path,
    prompts: Sequence[Prompt],
    layers: Mapping[str, np.ndarray],
    *,
    model: str,
    token_position: str = "last",
) -> Features:
    """Write features of completions, as a whole or not at all; a folder of features that is there is replaced.

    Args:
        path: The folder, ``NAME.features``.
        prompts: Whose completions they are of.
        layers: Arrays [N, d] of one type and shape by layer, rows in the order of the completions.
        model: Whose they are.
        token_position: Whose token's.

    Raises:
        ValueError: An array has another shape or type.
        InputError: The path is something else than features.
    """
    path, rows = Path(path), sum(len(one) for one in prompts)
    if path.exists() and not is_features(path):
        raise InputError(f"{path}: this is something else than features; name another folder")
    arrays = {name: np.asarray(array) for name, array in layers.items()}
    first = next(iter(arrays.values()), None)
    if first is None or first.ndim != 2 or len(first) != rows or first.dtype.name not in DTYPES or not first.shape[1]:
        raise ValueError(f"layers must hold floating-point arrays [{rows}, d]")
    if not all(array.shape == first.shape and array.dtype == first.dtype for array in arrays.values()):
        raise ValueError("layers must be of one shape and type")
    if not all(is_layer_name(name) for name in arrays):
        raise ValueError("names of layers must be of letters, digits, '.', '_' and '-'")
    manifest = {
        "schema": SCHEMA, "model": model, "layers": list(arrays), "d": first.shape[1], "dtype": first.dtype.name,
        "token_position": token_position, "rows": rows, "sha256": digest(prompts),
    }  # fmt: skip
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        beside.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(beside / f"{name}.npy", array, allow_pickle=False)
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if path.exists():
            old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            os.rename(path, old)
            os.rename(beside, path)
            shutil.rmtree(old)
        else:
            os.rename(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return _manifest(path)
