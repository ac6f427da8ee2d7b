"""What a result came from: versions, platform, commit, command line, and what it cost.

Neither host names nor absolute paths of the user's machine are recorded, so a run folder can be given away.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any


class Recorder:
    """The record of one attempt at a run, from its construction to ``finished``."""

    def __init__(self) -> None:
        self.started = {**describe_environment(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def finished(self) -> dict[str, Any]:
        """Return the record with the cost so far.

        ``wall_seconds`` and ``cpu_seconds`` (all threads of this process, not its children) are of this attempt;
        ``peak_memory_mib`` is the peak of the process since it started, None where the platform does not tell.
        """
        return {
            **self.started,
            "device": _accelerator(),
            "wall_seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "peak_memory_mib": _peak_memory(),
        }


def describe_environment() -> dict[str, Any]:
    """Return what the process runs on: versions, platform, CPUs, commit (None outside a checkout), command line."""
    return {
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        **dict(zip(("commit", "dirty"), checkout_state(), strict=True)),
        "command": strip_paths(sys.argv),
    }


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of sandtable and its installed dependencies, without importing them."""
    try:
        versions = {"sandtable": metadata.version("sandtable")}
        requirements = metadata.requires("sandtable") or []
    except metadata.PackageNotFoundError:
        return {}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if re.search(r"extra\s*==\s*['\"](test|docs)", requirement):
            continue
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def checkout_state() -> tuple[str | None, bool | None]:
    """Return the git commit that the package lies in and whether files differ from it; (None, None) if in none.

    A package that is merely installed somewhere inside another project's checkout lies in none.
    """
    this = Path(__file__).resolve()
    if _git(this, "ls-files", "--error-unmatch", this.name) is None:
        return None, None
    commit, changes = _git(this, "rev-parse", "HEAD"), _git(this, "status", "--porcelain")
    return commit, None if changes is None else bool(changes)


def strip_paths(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which absolute paths, also after ``--option=``, are cut to their last part."""

    def cut(text: str) -> str:
        for path in (PurePosixPath(text), PureWindowsPath(text)):
            if path.is_absolute():
                return path.name
        return text

    stripped = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        stripped.append(f"{option}={cut(value)}" if equals and option.startswith("-") else cut(argument))
    return stripped


def _git(file: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _accelerator() -> str | None:
    """Return the name of the GPU if the run could have used one: torch is loaded and sees it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def _peak_memory() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
