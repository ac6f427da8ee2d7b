"""What the tests of the NetHack environments share."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

PLAY_GAMES = Path(__file__).with_name("play_games.py")

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, t);
    if (!failed && id == CLOCK_REALTIME) t->tv_sec += atol(getenv("CLOCK_SHIFT"));
    return failed;
}
int gettimeofday(struct timeval *restrict v, void *restrict zone) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    v->tv_sec = t.tv_sec;
    v->tv_usec = t.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
"""


@pytest.fixture(scope="session")
def games():
    """The module ``play_games``."""
    pytest.importorskip("nle", reason="needs the extra nethack")
    spec = importlib.util.spec_from_file_location("play_games", PLAY_GAMES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def clock(tmp_path_factory):
    """A library that, preloaded, moves the clock by ``CLOCK_SHIFT`` seconds."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and a preloaded library, to move the clock")
    source = tmp_path_factory.mktemp("clock") / "clock.c"
    source.write_text(CLOCK)
    library = source.with_suffix(".so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def played_elsewhere(games):
    """Return what ``play_games`` saw in a process of its own."""

    def play(seeds, steps, **environment):
        task = json.dumps({"seeds": seeds, "steps": steps})
        done = subprocess.run([sys.executable, PLAY_GAMES, task], capture_output=True, text=True,
                              env=os.environ | environment, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return play


@pytest.fixture(scope="session")
def played_at(played_elsewhere, clock):
    """Return what ``play_games`` saw at a date."""

    def play(date, seeds, steps):
        shift = int(datetime.fromisoformat(date).timestamp() - time.time())
        return played_elsewhere(seeds, steps, LD_PRELOAD=str(clock), CLOCK_SHIFT=str(shift))

    return play
