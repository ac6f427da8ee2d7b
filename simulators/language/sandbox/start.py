"""How the fork server is started: what of this machine confines it, what its children may read, and in which world.

Where the kernel has landlock, the server runs in the open and each child confines itself. Where it has not, bubblewrap
puts the server, and with it all children, into a world that holds the interpreter and the system's libraries alone;
seccomp and the limits are each child's own in both.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.sandbox.confinement import NOBODY, Limits
from sandtable.simulators.language.sandbox.kernel_rules import Offers, landlock_ruleset, seccomp_program
from sandtable.simulators.language.sandbox.server import PACKAGE, READY, fixed_addresses

_FOLDER = Path(__file__).resolve().parent
_START_SECONDS = 60.0
_NOT_STANDARD = {"site-packages", "dist-packages"}
_SYSTEM_FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
# Libraries of linear algebra would start threads when they are imported, and no process here may have any.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Start:
    """What a server is started with.

    Attributes:
        backend: `landlock`, `bubblewrap` or `none`.
        layers: Names of `confinement.LAYERS`.
        limits: Of each role.
        packages: Names of packages that programs may import.
        offers: What this machine has; what there is of it is used without a backend, too.
    """

    backend: str
    layers: frozenset[str]
    limits: dict[str, Limits]
    packages: tuple[str, ...]
    offers: Offers


def choose_backend(offers: Offers, wanted: str, allow_unsafe: bool) -> str:
    """The name of what confines: `landlock`, `bubblewrap`, or `none`.

    Args:
        offers: What this machine has.
        wanted: `auto`, `landlock` or `bubblewrap`.
        allow_unsafe: Whether `none` is an answer.

    Raises:
        InputError: Nothing confines here.
    """
    if sys.platform != "linux":
        raise InputError("programs are graded in a sandbox that only Linux offers: use one, for example in WSL 2")
    has = {"landlock": offers.landlock_abi > 0, "bubblewrap": offers.bubblewrap is not None}
    for backend in ("landlock", "bubblewrap"):
        if offers.seccomp and has[backend] and wanted in ("auto", backend):
            return backend
    if allow_unsafe:
        return "none"
    missing = "; ".join(offers.missing) or f"{wanted} is not there"
    raise InputError(
        f"hostile programs cannot be confined here: {missing}; allow_unsafe=True (--allow-unsafe) runs them all the "
        "same, with your files and network open to them"
    )


def start_server(start: Start) -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    """Start a fork server and let it rehearse.

    Returns:
        The process, the socket to it, and the user that its children are.

    Raises:
        InputError: A package is not there, or the server could not start or confine a child.
    """
    packages = {name: _package_folder(name) for name in start.packages}
    readable = (*standard_library(), *(path for name, folder in packages.items() for path in _of_package(name, folder)))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    landlocked = start.backend != "bubblewrap" and start.offers.landlock_abi > 0
    ruleset = landlock_ruleset(start.layers, readable) if landlocked else None
    seccomp = os.memfd_create("seccomp", 0)
    if start.offers.seccomp and "seccomp" in start.layers:
        os.write(seccomp, seccomp_program())
        os.lseek(seccomp, 0, os.SEEK_SET)
    settings = {
        "folder": str(_FOLDER),
        "roles": {"worker": f"{PACKAGE}.worker", "judge": f"{PACKAGE}.judge"},
        "limits": {role: asdict(limits) for role, limits in start.limits.items()},
        "layers": sorted(start.layers),
        "packages": packages,
        "environment": _ONE_THREAD if packages else {},
        "readable": [os.__file__, *(str(Path(folder, name)) for name, folder in packages.items())],
        "landlock_abi": start.offers.landlock_abi,
        "control": theirs.fileno(),
        "ruleset": ruleset,
        "seccomp": seccomp,
    }
    passed = [descriptor for descriptor in (theirs.fileno(), seccomp, ruleset) if descriptor is not None]
    command = [sys.executable, "-s", "-P", "-S", "-X", "utf8", str(_FOLDER / "server.py"), json.dumps(settings)]
    if start.backend == "bubblewrap":
        command = [*_bubblewrap(readable), *command]
    try:
        with fixed_addresses():
            server = subprocess.Popen(
                command,
                env={"PYTHONHASHSEED": "0"},
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                start_new_session=True,
            )
    finally:
        theirs.close()
        for descriptor in passed[1:]:
            os.close(descriptor)
    return server, ours, _greeting(server, ours)


def _greeting(server: subprocess.Popen[bytes], control: socket.socket) -> int:
    """Wait until the server is ready; it says whom its children will be."""
    assert server.stderr is not None
    control.settimeout(_START_SECONDS)
    try:
        greeting = control.recv(64)
    except TimeoutError:
        greeting = b""
    control.settimeout(None)
    if not greeting.startswith(READY):
        control.close()
        server.kill()
        said = server.stderr.read().decode(errors="replace").strip().splitlines()
        server.stderr.close()
        server.wait()
        raise InputError(f"programs cannot be confined here: {said[-1] if said else 'the server did not start'}")
    server.stderr.close()
    return int(greeting[len(READY) :])


def standard_library() -> tuple[str, ...]:
    """The files and folders of the standard library, without the folders of installed packages inside of it."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})}
    entries = {str(entry) for folder in folders for entry in Path(folder).iterdir() if entry.name not in _NOT_STANDARD}
    return tuple(sorted(entries))


def _package_folder(name: str) -> str:
    """The folder in which a package's folder lies."""
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package {name!r} is not installed here (pip install {name})")
    return str(Path(spec.submodule_search_locations[0]).resolve().parent)


def _of_package(name: str, folder: str) -> list[str]:
    """What has to be readable for a package: its folder, and that of the shared libraries it came with."""
    return [str(path) for path in (Path(folder, name), Path(folder, f"{name}.libs")) if path.is_dir()]


def _bubblewrap(readable: tuple[str, ...]) -> list[str]:
    """The command that puts the server into a world of the interpreter and the system's libraries."""
    binary = Path(sys.executable)
    shown = {*map(Path, readable), _FOLDER, binary, binary.resolve(), *_beside(binary)}
    command: list[Any] = ["bwrap", "--unshare-all", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    command += ["--die-with-parent", "--cap-drop", "ALL", "--chdir", "/"]
    command += ["--clearenv", "--setenv", "PYTHONHASHSEED", "0"]
    for folder in map(Path, _SYSTEM_FOLDERS):
        if folder.is_symlink():
            command += ["--symlink", os.readlink(folder), folder]
        elif folder.is_dir():
            command += ["--ro-bind", folder, folder]
            hidden = [found for name in _NOT_STANDARD for found in folder.glob(f"python*/{name}")]
            command += [part for found in hidden for part in ("--tmpfs", found)]
    for path in sorted(shown):
        if _NOT_STANDARD & {*path.parts} or not any(map(path.is_relative_to, _SYSTEM_FOLDERS)):
            command += ["--ro-bind", path, path]
    return [*map(str, command), "--dev", "/dev", "--"]


def _beside(binary: Path) -> list[Path]:
    """What tells a virtual environment's interpreter where its library is, and the library in which it lives."""
    library = Path(sysconfig.get_config_var("LIBDIR") or "/", sysconfig.get_config_var("LDLIBRARY") or "")
    found = [binary.parent.parent / "pyvenv.cfg", library, library.resolve()]
    return [path for path in found if path.is_file()]
