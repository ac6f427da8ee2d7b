"""What a user can put right: one sentence that names the file, the row or the argument, and says what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used as it is; the command line prints its message and exits with code 2."""


class MissingExtraError(ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'sandtable[{extra}]'")


def require_name(what: str, name: object, known: Iterable[str]) -> None:
    """Raise unless ``name`` is one of the known ones; the nearest of them is suggested.

    Args:
        what: What is named, for example ``"loss"``.
        name: What was given.
        known: What can be given.

    Raises:
        InputError: It is none of them.
    """
    names = list(known)
    if name not in names:
        lower = {one.lower(): one for one in names}
        near = difflib.get_close_matches(str(name).lower(), lower, n=1)
        suggestion = f"; is it {lower[near[0]]}?" if near else ""
        raise InputError(f"{what} {name!r}: there are {', '.join(names)}{suggestion}")
