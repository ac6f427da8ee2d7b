"""Nothing outlives a vector environment: no process, no shared memory, no descriptor, no temporary file."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("nle", reason="needs the extra nethack")
from sandtable.envs.nethack.vector_env import NetHackVectorEnv
from sandtable.simulators.errors import InputError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="processes are looked up in /proc")


def running(pid):
    """Tell whether a process runs; one that has ended and that its parent has not asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors():
    """Return the descriptors that this process has open."""
    return sorted(os.listdir("/proc/self/fd"))


def mappings():
    """Return how many pieces of shared memory without a name this process has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:sandtable")


def played(workers=2, **arguments):
    """Return a vector environment in which something has happened."""
    env = NetHackVectorEnv(2, workers=workers, **arguments)
    env.reset(seed=0)
    env.step([1, 2])
    return env


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("end", ["close", "forget", "fail"])
def test_nothing_is_left_of_an_environment(tmp_path, monkeypatch, end, workers):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gc.collect()
    before = descriptors(), mappings()
    if end == "fail":
        env = NetHackVectorEnv(2, workers=workers, game_options=["no such option:1"])
        pids = env.worker_pids
        with pytest.raises(InputError, match="game_options"):
            env.reset()
    else:
        env = played(workers)
        pids = env.worker_pids
        assert len(list(tmp_path.iterdir())) == 2  # of each worker, or of each game
    if end == "close":
        env.close()
    if end == "forget":
        del env
        gc.collect()
    assert not any(map(running, pids))
    assert (descriptors(), mappings()) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("it exits", 0),
        ("it fails", 1),
        ("it is asked to end by Ctrl-C", -signal.SIGINT),
        ("it is killed", -signal.SIGKILL),
    ],
)
def test_nothing_outlives_the_process_that_made_an_environment(tmp_path, end, code):
    last = {"it exits": "sys.exit()", "it fails": "1 / 0"}.get(end, "while True: env.step([1, 2])")
    program = f"""
        import sys
        from sandtable.envs.nethack.vector_env import NetHackVectorEnv
        env = NetHackVectorEnv(2, workers=2)
        env.reset(seed=0)
        print(*env.worker_pids, flush=True)
        {last}
    """
    command, environment = [sys.executable, "-c", textwrap.dedent(program)], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        if code < 0:  # as a terminal does, to all processes of the group
            os.killpg(process.pid, -code)
        said = process.stderr.read()
    assert len(pids) == 2
    assert process.returncode == code
    assert said.count("Traceback") == (code in (1, -signal.SIGINT)), said
    for _ in range(500):  # a moment: a worker sees that its parent is gone when it has done its step
        if not any(map(running, pids)):
            break
        time.sleep(0.01)
    assert not any(map(running, pids))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_environment_is_closed(monkeypatch):
    env = played()
    pids = env.worker_pids

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(env._pool._workers[1]), "receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        env.step([1, 2])
    assert env.closed
    assert not any(map(running, pids))


def test_a_fork_leaves_the_games_alone():
    env = played()
    child = os.fork()
    if child == 0:
        env.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert all(map(running, env.worker_pids))
    assert not env.step([1, 2])[3].any()
    env.close()
