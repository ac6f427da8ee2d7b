"""Attacks are graded as three users, with every layer and without those that stop it; and in bubblewrap."""

import functools
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandtable.simulators import errors
from sandtable.simulators.language.sandbox import grader
from sandtable.simulators.language.sandbox.confinement import LAYERS
from sandtable.simulators.language.sandbox.kernel_rules import probe

PLAIN_USER = 1234
WAYS = ("as started", "root whose programs become nobody", "a plain user", "in bubblewrap")
RUNNER = Path(__file__).with_name("attack_runner.py").resolve()
RIGHT = {"program": "def attack():\n    return 1", "tests": "assert attack() == 1", "entry_point": "attack"}
PRELUDE = """
import ctypes, os, signal, socket, sys, time
LIBC = ctypes.CDLL(None, use_errno=True)
FOLDER = "@FOLDER@"
def call(name, *arguments):
    result = getattr(LIBC, name)(*arguments)
    if result < 0 and ctypes.get_errno() != 38:  # ENOSYS: nothing stood between the call and a kernel that has none
        raise OSError(ctypes.get_errno(), name)
    return result
"""


@dataclass(frozen=True)
class Attack:
    """A program that returns 1 if it did what it should not.

    Attributes:
        stopped_by: The layers that stop it; each does, for at least one of the users.
        source: The body of its function; whatever it raises means that it was stopped.
        users: `root` if nobody else could do it without any sandbox.
    """

    stopped_by: str
    source: str
    users: str = "all"

    def job(self, folder: Path) -> dict[str, str]:
        body = textwrap.indent(textwrap.dedent(self.source).strip(), "    ")
        program = PRELUDE.replace("@FOLDER@", str(folder)) + f"def attack():\n{body}\n    return 1\n"
        return {**RIGHT, "program": program}


@dataclass(frozen=True)
class Way:
    """A user as whom the grader runs, an interpreter that this user's programs can read, and what confines them."""

    uid: int
    python: str
    path: str
    backend: str = "landlock"

    def grade(self, batches: list[dict]) -> list[list[list]]:
        """The verdicts of batches, as `attack_runner` has them."""
        for batch in batches:
            batch["settings"]["backend"] = self.backend
        done = subprocess.run(
            [self.python, str(Path(self.path, RUNNER.name)), str(self.uid)],
            input=json.dumps(batches),
            env={"PYTHONPATH": self.path, "A_SECRET": "of the grader", "PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Outcome:
    """What became of an attack.

    Attributes:
        confined: Its status with every layer.
        neighbour: The status of a right program that ran beside it.
        untouched: Whether the files it aimed at were then as before.
        free: Its status without the layers that stop it; None where this user could not do it anyway, and in
            bubblewrap, of which some of it cannot be taken away.
    """

    confined: str
    neighbour: str
    untouched: bool
    free: str | None


@pytest.fixture(scope="session")
def open_modules():
    """A folder with the sandbox and what it needs, readable by everyone."""
    folder = Path(tempfile.mkdtemp(prefix="sandbox-modules-"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        Path(grader.__file__).parent, folder / "sandtable" / "simulators" / "language" / "sandbox", ignore=ignored
    )
    shutil.copy(errors.__file__, folder / "sandtable" / "simulators")
    for name in ("landlock", "pyseccomp"):
        origin = Path(importlib.util.find_spec(name).origin)
        if origin.stem == "__init__":
            shutil.copytree(origin.parent, folder / name, ignore=ignored)
        else:
            shutil.copy(origin, folder)
    shutil.copy(RUNNER, folder)
    open_to_all(folder)
    yield str(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session", params=[WAYS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in WAYS[1:])])
def way(request):
    """The users and what confines their programs, one after the other."""
    missing = probe().missing
    if missing:
        pytest.skip("; ".join(missing))
    path = request.getfixturevalue("open_modules")
    if request.param == WAYS[0]:
        return Way(os.getuid(), sys.executable, path)
    if request.param == WAYS[3]:
        works = [probe().bubblewrap or "false", "--unshare-all", "--ro-bind", "/", "/", "true"]
        if subprocess.run(works, capture_output=True, check=False).returncode:
            pytest.skip("bubblewrap is not installed, or may not make a sandbox here")
        if os.getuid() == 0 and open_interpreter() is not None:
            return Way(PLAIN_USER, open_interpreter(), path, "bubblewrap")
        return Way(os.getuid(), sys.executable, path, "bubblewrap")
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    python = open_interpreter()
    if python is None:
        pytest.skip("no interpreter of this version that a plain user can read")
    return Way(0 if request.param == WAYS[1] else PLAIN_USER, python, path)


@pytest.fixture(scope="module")
def outcomes(request, way):
    """What became of each attack of the module's table `ATTACKS`: {name: Outcome}."""
    attacks = {name: Attack(*entry) for name, entry in request.module.ATTACKS.items()}
    settings = {"cpu": 1, "wall": 10, "memory": 256}
    with tempfile.TemporaryDirectory(prefix="attacked-") as base:
        open_to_all(Path(base))
        confined = {name: victim(Path(base, f"confined-{at}"), way.uid) for at, name in enumerate(attacks)}
        free = {name: victim(Path(base, f"free-{at}"), way.uid) for at, name in enumerate(attacks)}
        before = {name: state(folder) for name, folder in confined.items()}
        pairs = [job for name, attack in attacks.items() for job in (attack.job(confined[name]), RIGHT)]
        batches = [{"settings": settings, "jobs": pairs}]
        possible = [name for name, attack in attacks.items() if attack.users == "all" or way.uid == 0]
        possible *= way.backend == "landlock"
        possible.sort(key=lambda name: attacks[name].stopped_by)
        for layers, names in itertools.groupby(possible, lambda name: attacks[name].stopped_by):
            left = sorted(LAYERS - set(layers.split()))
            jobs = [attacks[name].job(free[name]) for name in names]
            batches.append({"settings": {**settings, "layers": left}, "jobs": jobs})
        first, *others = [[status for status, _ in answers] for answers in way.grade(batches)]
        freed = dict(zip(possible, itertools.chain(*others), strict=True))
        return {
            name: Outcome(first[2 * at], first[2 * at + 1], state(confined[name]) == before[name], freed.get(name))
            for at, name in enumerate(attacks)
        }


def victim(folder, uid):
    """A folder that everyone may write to, with files that everyone may change."""
    inner = folder / "inner"
    inner.mkdir(parents=True)
    for path in (folder / "file", inner / "secret"):
        path.write_text("whole")
        path.chmod(0o666)
    for path in (folder, inner):
        path.chmod(0o777)
    if uid != os.getuid():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid)
    return folder


def state(folder):
    """What an attack could have changed of a folder."""
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = path.read_text() if path.is_file() else ""
        found.append((path.name, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content))
    return found


def open_to_all(folder):
    """Let everyone read a folder and what is in it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


@functools.cache
def open_interpreter():
    """An interpreter of this version of Python that a plain user can run, or None."""
    version = "{}.{}".format(*sys.version_info)
    code = "import ctypes, sys; print('{}.{}'.format(*sys.version_info))"
    for python in (sys.executable, shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")):
        who = {"user": PLAIN_USER, "group": PLAIN_USER, "extra_groups": []}
        try:
            done = subprocess.run([python or "", "-c", code], **who, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version:
            return python
    return None
