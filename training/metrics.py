"""Where the rows of metrics of a training go."""

import json
import math
import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from sandtable.simulators.errors import InputError


class MetricsSink(Protocol):
    """What ``fit`` asks of a place for metrics."""

    def write(self, step: int, values: dict[str, list[float]]) -> None:
        """Take the row of a step: the values of each replica, by name of the metric."""

    def truncate(self, step: int) -> None:
        """Drop every row of a later step; called when a training starts or goes on."""


class JsonLines:
    """A file with one JSON object a line: ``step``, and a list of R numbers for each metric.

    A row is in the operating system's hands when ``write`` returns. Numbers that are not finite are written as null.

    Args:
        path: The file; made, with its folder, by the first row.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def write(self, step: int, values: dict[str, list[float]]) -> None:
        """Append a row; see ``MetricsSink.write``."""
        row = {name: [v if math.isfinite(v) else None for v in numbers] for name, numbers in values.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")

    def truncate(self, step: int) -> None:
        """Drop later rows, and a last line that a killed writer left unfinished.

        Raises:
            InputError: Another line is not a row.
        """
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        kept = []
        for number, line in enumerate(whole, start=1):
            try:
                later = int(json.loads(line)["step"]) > step
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self.path}, line {number}: not a row of metrics; remove the file") from error
            if not later:
                kept.append(line)
        if "".join(kept) != text:
            partial = self.path.with_name(f"{self.path.name}.partial")
            partial.write_text("".join(kept), encoding="utf-8")
            os.replace(partial, self.path)


class History:
    """Rows in memory.

    Attributes:
        rows: In order of their steps: ``{"step": int, metric: [R numbers], ...}``.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, step: int, values: dict[str, list[float]]) -> None:
        """Append a row; see ``MetricsSink.write``."""
        self.rows.append({"step": step, **values})

    def truncate(self, step: int) -> None:
        """Drop later rows."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return, for each metric, the steps that have it, int64 [n], and its values, float64 [n, R]."""
        names = dict.fromkeys(name for row in self.rows for name in row if name != "step")
        having = {name: [row for row in self.rows if name in row] for name in names}
        return {
            name: {
                "step": torch.tensor([row["step"] for row in rows]),
                "value": torch.tensor([row[name] for row in rows], dtype=torch.float64),
            }
            for name, rows in having.items()
        }

    @classmethod
    def of_tensors(cls, flat: dict[str, Tensor], prefix: str) -> "History":
        """Return the history whose ``tensors`` were flattened to names that start with ``prefix`` and a dot."""
        rows: dict[int, dict[str, Any]] = {}
        for dotted, values in flat.items():
            if dotted.startswith(f"{prefix}.") and dotted.endswith(".value"):
                name = dotted.removeprefix(f"{prefix}.").removesuffix(".value")
                steps = flat[f"{prefix}.{name}.step"].tolist()
                for step, numbers in zip(steps, values.tolist(), strict=True):
                    rows.setdefault(step, {"step": step})[name] = numbers
        history = cls()
        history.rows = [rows[step] for step in sorted(rows)]
        return history
