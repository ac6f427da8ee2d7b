"""The rows of a log on their way to ``LoggedSteps``: fields as their file holds them, refused by row and column."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError

REQUIRED = ("episode", "step", "action", "reward")


@dataclass
class LogRows:
    """What a file holds, before it was checked.

    Attributes:
        file: The file's path, for messages.
        rows: Where each row stands in the file, int64 [n].
        fields: Arrays with a row each, by name: ``episode`` is text or integers, all others are float64, NaN where they
            are blank; ``initial_features`` alone has rows of its own.
        noun: What the file calls a field: a column or an array.
        columns: The names of a field's columns, where it has several.
        discrete: Whether observations are states, counted from 0.
        actions: How many actions there are, where the file tells.
        warnings: What was assumed or mended.
    """

    file: str
    rows: np.ndarray
    fields: dict[str, np.ndarray]
    noun: str = "column"
    columns: dict[str, list[str]] = field(default_factory=dict)
    discrete: bool = False
    actions: int | None = None
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, name: str) -> np.ndarray | None:
        """Return a field, or None where the file does not have it."""
        return self.fields.get(name)

    def flag(self, name: str) -> np.ndarray:
        """Return a field of zeros and ones as booleans [n], all false where the file does not have it."""
        values = self.get(name)
        if values is None:
            return np.zeros(len(self), bool)
        self.refuse((values != 0) & (values != 1), name, "is neither 0 nor 1")
        return values == 1

    def whole(self, name: str, what: str) -> np.ndarray:
        """Return a field of whole numbers, 0 or more, as int64."""
        values = self.fields[name]
        self.refuse(~(values >= 0) | (values != np.floor(values)) | (values > 2**53), name, f"is no {what}, 0 or more")
        return values.astype(np.int64)

    def refuse(self, wrong: Any, name: str, reason: str) -> None:
        """Raise an ``InputError`` about the first row where ``wrong`` holds, if there is one.

        Args:
            wrong: Booleans, [n], or the shape of the field.
            name: The field to blame.
            reason: What follows the offending value.
        """
        wrong = np.asarray(wrong, dtype=bool)
        if not wrong.any():
            return
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = self.fields[name][place]
        told = f"'{self.text(value)}' {reason}" if np.ndim(value) == 0 else reason
        raise InputError(f"{self.place(place[0])}, {self.noun} {self.column(name, place[1:])}: {told}")

    def place(self, index: int) -> str:
        """Return where a row is, for a message."""
        return f"{self.file}, row {self.rows[index]}"

    def column(self, name: str, place: tuple[int, ...] = ()) -> str:
        """Return what the file calls (an element of) a field."""
        names = self.columns.get(name)
        if names is not None:
            return names[place[0]] if place else names[0]
        return f"{name}[{', '.join(map(str, place))}]" if place else name

    @staticmethod
    def text(value: Any) -> str:
        """Return a value as a person would write it."""
        if isinstance(value, float | np.floating):
            return "" if np.isnan(value) else f"{value:.15g}"
        return " ".join(str(value).split())[:60]

    def take(self, kept: np.ndarray) -> None:
        """Keep some of the rows, booleans [n]."""
        self.rows = self.rows[kept]
        self.fields = {
            name: array if name == "initial_features" else array[kept] for name, array in self.fields.items()
        }
