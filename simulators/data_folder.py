"""Where real data lies that the project may not redistribute: tests and studies use it where it is present."""

import os
from pathlib import Path

from sandtable.simulators.errors import InputError


def data_folder() -> Path | None:
    """Return the folder of real data, or None where there is none.

    The environment variable ``SANDTABLE_DATA`` names it; otherwise it is ``shared/data`` beside the checkout, or beside
    the current folder.

    Raises:
        InputError: ``SANDTABLE_DATA`` is set and names no folder.
    """
    named = os.environ.get("SANDTABLE_DATA")
    if named:
        if not Path(named).is_dir():
            raise InputError(f"environment variable SANDTABLE_DATA: {named!r} is not a folder; correct or unset it")
        return Path(named)
    checkout = Path(__file__).resolve().parents[1]
    for beside in (checkout, Path.cwd()):
        folder = beside.parent / "shared" / "data"
        if folder.is_dir():
            return folder
    return None
