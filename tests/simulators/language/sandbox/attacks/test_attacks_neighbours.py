"""What a program may do to others: signals, sockets, shared memory, files, kernel objects, privileges.

Every entry names the layers that stop an attack, and its source. Sources are harmless where they get through: signal 0,
one fork, files of the test.
"""

import platform

SIGNALS = "seccomp scope identity"
FILES = "seccomp landlock"
ATTACKS = {
    "signal to the parent": (SIGNALS, "os.kill(os.getppid(), 0)"),
    "signal to the grader": (SIGNALS, "os.kill(@GRADER@, 0)"),
    "signal to the parent's group": (SIGNALS, "os.killpg(os.getpgid(os.getppid()), 0)"),
    "signal to everyone": (SIGNALS, "os.kill(-1, 0)"),
    "signal by pidfd": (SIGNALS, "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)"),
    "signals of a descriptor to the parent": ("seccomp", "import fcntl; fcntl.fcntl(4, fcntl.F_SETOWN, os.getppid())"),
    "being of the parent's session": ("seccomp session", "assert os.getsid(0) == os.getsid(os.getppid())"),
    "TCP connection": ("seccomp scope", "socket.create_connection(('127.0.0.1', @PORT@)).close()"),
    "TCP server": ("seccomp scope", "socket.create_server(('127.0.0.1', 0)).close()"),
    "UDP": ("seccomp", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"),
    "netlink": ("seccomp", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()"),
    "abstract socket": ("seccomp scope", "socket.socket(socket.AF_UNIX).connect(chr(0) + '@ABSTRACT@')"),
    "socket in a folder": (FILES, "socket.socket(socket.AF_UNIX).bind(FOLDER + '/socket')"),
    "message with flags": ("seccomp", "call('send', 4, b'', 0, 0)"),
    "socket pair": ("seccomp", "socket.socketpair()"),
    "SysV shared memory": ("seccomp", "call('shmctl', call('shmget', 0, 4096, 0o1600), 0, None)"),
    "SysV semaphores": ("seccomp", "call('semctl', call('semget', 0, 1, 0o1600), 0, 0)"),
    "SysV message queue": ("seccomp", "call('msgctl', call('msgget', 0, 0o1600), 0, None)"),
    "POSIX shared memory": (
        FILES,
        """
        name = f"/attack-{time.time_ns()}"
        import _posixshmem
        _posixshmem.shm_open(name, os.O_CREAT | os.O_RDWR, mode=0o600)
        _posixshmem.shm_unlink(name)
        """,
    ),
    "POSIX message queue": (
        FILES,
        """
        name = f"/attack-{time.time_ns()}".encode()
        call("mq_open", name, os.O_CREAT | os.O_RDWR, 0o600, None)
        call("mq_unlink", name)
        """,
    ),
    "keyring": (
        "seccomp",
        """
        add_key = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
        call("syscall", add_key, b"user", b"attack", b"x", 1, -2)
        """,
    ),
    "file in memory": ("seccomp", "os.memfd_create('attack')"),
    "inotify": ("seccomp", "call('inotify_init1', 0)"),
    "fanotify or epoll": ("seccomp", "import select; select.epoll()"),
    "io_uring": ("seccomp", "call('syscall', 425, 1, ctypes.create_string_buffer(120))"),
    "BPF": (
        "seccomp",
        """
        bpf = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
        LIBC.syscall(bpf, 0, bytes(64), 64)
        assert ctypes.get_errno() == 22  # EINVAL: it has been read
        """,
        "root",
    ),
    "new file": (FILES, "open(FOLDER + '/new', 'w').close()"),
    "written file": ("seccomp landlock limits", "open(FOLDER + '/file', 'a').write('more')"),
    "file in /dev/shm": (
        FILES,
        """
        name = f"/dev/shm/attack-{time.time_ns()}"
        open(name, "w").close()
        os.unlink(name)
        """,
    ),
    "symbolic link": (FILES, "os.symlink('/etc/passwd', FOLDER + '/link')"),
    "hard link": (FILES, "os.link(FOLDER + '/file', FOLDER + '/link')"),
    "rename": (FILES, "os.rename(FOLDER + '/file', FOLDER + '/moved')"),
    "rename to another folder": (FILES, "os.rename(FOLDER + '/file', FOLDER + '/inner/moved')"),
    "truncation": (FILES, "os.truncate(FOLDER + '/file', 0)"),
    "removal": (FILES, "os.remove(FOLDER + '/file')"),
    "new folder": (FILES, "os.mkdir(FOLDER + '/new')"),
    "named pipe": (FILES, "os.mkfifo(FOLDER + '/pipe')"),
    "mode": ("seccomp identity", "os.chmod(FOLDER + '/file', 0)"),
    "owner": ("seccomp identity", "os.chown(FOLDER + '/file', os.getuid(), -1)"),
    "times": ("seccomp", "os.utime(FOLDER + '/file')"),
    "extended attribute": ("seccomp", "os.setxattr(FOLDER + '/file', 'user.attack', b'x')"),
    "lock of a file": ("seccomp landlock", "import fcntl; fcntl.flock(open(FOLDER + '/file'), fcntl.LOCK_EX)"),
    "cgroup": (
        "seccomp landlock identity",
        """
        import pathlib
        root = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2].startswith("cgroup"))
        name = f"{root}/attack-{time.time_ns()}"
        os.mkdir(name)
        os.rmdir(name)
        """,
        "root",
    ),
    "user namespace": ("seccomp identity", "call('unshare', 0x10000000)", "root"),
    "network namespace": ("seccomp identity", "call('unshare', 0x40000000)", "root"),
    "mount": (
        "seccomp identity landlock",
        "call('mount', b'none', FOLDER.encode(), b'tmpfs', 1, None); call('umount2', FOLDER.encode(), 0)",
        "root",
    ),
    "other root": ("seccomp identity", "os.chroot(FOLDER)", "root"),
    "becoming root": ("seccomp identity", "os.setresuid(0, 0, 0); assert os.getuid() == 0", "root"),
    "becoming someone else": ("seccomp identity", "os.setuid(4321); assert os.getuid() == 4321", "root"),
    "staying oneself": ("seccomp", "os.setuid(os.getuid())"),
    "execution": ("seccomp landlock limits", "assert os.spawnv(os.P_WAIT, '/bin/true', ['true']) == 0"),
    "more CPU time": ("seccomp cpu", "import resource; resource.setrlimit(resource.RLIMIT_CPU, (9, 9))"),
    "more descriptors": ("seccomp limits", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))"),
    "limits of the parent": ("seccomp identity", "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_AS)"),
    "priority": ("seccomp", "os.nice(1)"),
    "processors": ("seccomp", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    "scheduler": ("seccomp", "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"),
    "mask of new files": ("seccomp", "os.umask(0)"),
    "other folder": ("seccomp", "os.chdir('/tmp')"),
    "personality": ("seccomp", "call('personality', 0)"),
    "dumpable again": ("seccomp", "call('prctl', 4, 1, 0, 0, 0)"),
    "weaker order to die": ("seccomp", "call('prctl', 1, 0, 0, 0, 0)"),
}
if platform.machine() == "x86_64":
    ATTACKS["calls of another architecture"] = (
        "seccomp",
        """
        import mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(bytes.fromhex("b814000000cd80c3"))  # getpid as a program of 32 bits asks for it
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        assert ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid()
        """,
    )


def test_attacks_on_neighbours_are_stopped_and_succeed_without_what_stops_them(outcomes):
    assert {name: one for name, one in outcomes.items() if one.confined == "passed"} == {}
    assert {name: one for name, one in outcomes.items() if one.neighbour != "passed" or not one.untouched} == {}
    assert {name: one for name, one in outcomes.items() if one.free not in ("passed", None)} == {}
