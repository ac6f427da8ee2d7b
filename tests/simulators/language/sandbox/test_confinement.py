"""What the kernel itself says of a confined process, and what its rules are made of."""

import os
import sysconfig

import pytest

from sandtable.simulators.language.sandbox.confinement import LAYERS
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.sandbox.kernel_rules import ALLOWED_CALLS, probe, seccomp_program
from sandtable.simulators.language.sandbox.start import standard_library

OFFERS = probe()
pytestmark = pytest.mark.skipif(bool(OFFERS.missing), reason="; ".join(OFFERS.missing))


def said(question, layers=LAYERS, **settings):
    """Whether the expression is true in a worker, and in a judge."""
    worker = Job(f"import os, resource\ndef f():\n    return {question}", "assert f() is True", "f")
    judge = Job("def f():\n    return 1", f"import os, resource\nassert f() == 1\nassert {question}", "f")
    with Sandbox(layers=layers, **settings) as sandbox:
        return [verdict.status == "passed" for verdict in sandbox.grade([worker, judge])]


STATUS = "dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())"


@pytest.mark.parametrize(
    "question",
    [
        f"int({STATUS}['CapEff'], 16) == int({STATUS}['CapPrm'], 16) == int({STATUS}['CapAmb'], 16) == 0",
        f"{STATUS}['NoNewPrivs'] == '1'",
        f"{STATUS}['Seccomp'] == '2'",
        f"{STATUS}['Threads'] == '1'",
        f"{STATUS}['Groups'].strip() in ('', ' '.join(map(str, {os.getgroups() if os.geteuid() else []})))",
    ],
)
def test_worker_and_judge_have_no_capability_no_groups_and_a_filter(question):
    assert said(question, LAYERS - {"landlock", "dumpable"}) == [True, True]


@pytest.mark.parametrize(
    ("limit", "values"),
    [("FSIZE", (0, 0)), ("CORE", (0, 0)), ("NPROC", (0, 0)), ("NOFILE", (16, 16))],
)
def test_limits_are_those_of_the_page(limit, values):
    assert said(f"resource.getrlimit(resource.RLIMIT_{limit}) == {values}") == [True, True]


def test_a_worker_has_its_memory_and_its_time_and_a_judge_has_more():
    assert said("resource.getrlimit(resource.RLIMIT_AS) == (300 << 20, 300 << 20)", memory=300) == [True, False]
    assert said("resource.getrlimit(resource.RLIMIT_CPU) == (6, 7)", cpu=4) == [True, False]
    assert said("resource.getrlimit(resource.RLIMIT_CPU) == (18, 19)", cpu=4) == [False, True]


def test_a_process_started_by_root_is_nobody_or_has_no_capability_and_any_other_stays_who_it_is():
    with Sandbox() as sandbox:
        uid = sandbox.uid
    assert uid in ((0, 65534) if os.geteuid() == 0 else (os.geteuid(),))
    assert said(f"os.getuid() == os.geteuid() == {uid}") == [True, True]


def test_memory_that_runs_out_ends_these_processes_before_any_other():
    with Sandbox(backend="landlock") as sandbox, open(f"/proc/{sandbox.server_pid}/oom_score_adj") as file:
        assert file.read().strip() == "1000"


def test_the_standard_library_is_without_installed_packages():
    entries = standard_library()
    assert os.path.join(sysconfig.get_path("stdlib"), "os.py") in entries
    assert not [entry for entry in entries if entry.endswith(("site-packages", "dist-packages"))]
    assert sysconfig.get_path("stdlib") not in entries


def test_the_list_of_system_calls_has_none_that_reaches_beyond_the_process():
    reaching = {
        "kill", "tkill", "tgkill", "fork", "vfork", "clone", "clone3", "execve", "execveat", "ptrace",
        "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "socket",
        "connect", "bind", "sendto", "recvfrom", "sendmsg", "sendmmsg", "shmget", "semget", "msgget", "mq_open",
        "add_key", "keyctl", "memfd_create", "inotify_init1", "io_uring_setup", "symlinkat", "renameat2", "truncate",
        "ftruncate", "fchmodat", "utimensat", "unshare", "setns", "mount", "setuid", "setresuid",
        "setrlimit", "prctl", "seccomp", "bpf", "userfaultfd", "perf_event_open", "open", "creat", "ioctl",
        "nanosleep", "clock_nanosleep", "poll", "select", "epoll_wait", "pause", "setitimer",
        "timer_create", "alarm",
    }  # fmt: skip
    assert not reaching & set(ALLOWED_CALLS)
    assert len(seccomp_program()) % 8 == 0
