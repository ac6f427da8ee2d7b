"""Grades attacks as some user: ``attack_runner.py UID``, batches as JSON on standard input, verdicts on the output.

It is a script, so that it can run under an interpreter and a user other than those of the tests. A batch is
``{"settings": of the Sandbox, "jobs": [of Job]}``; its answer is a list of [status, CPU seconds of the worker].

It is also what attacks aim at: in their sources, ``@GRADER@`` is its process, ``@PORT@`` a TCP port and ``@ABSTRACT@``
an abstract socket on which it listens, and ``@PACKAGES@`` the folder of an installed package.
"""

import ctypes
import json
import os
import socket
import sys


def main(uid: int, batches: list) -> None:
    if uid != os.getuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a process is that this user has started: others may look into it
    import pyseccomp

    from sandtable.simulators.language.sandbox.grader import Job, Sandbox

    abstract = f"attacked-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{abstract}")
        unix.listen()
        places = {"@GRADER@": str(os.getpid()), "@PORT@": str(tcp.getsockname()[1]), "@ABSTRACT@": abstract}
        places["@PACKAGES@"] = os.path.dirname(pyseccomp.__file__)
        answers = []
        for batch in batches:
            jobs = [Job(**{name: _filled(value, places) for name, value in job.items()}) for job in batch["jobs"]]
            with Sandbox(**batch["settings"]) as sandbox:
                answers.append([[verdict.status, verdict.cpu_seconds] for verdict in sandbox.grade(jobs)])
    json.dump(answers, sys.stdout)


def _filled(source: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        source = source.replace(place, value)
    return source


if __name__ == "__main__":
    main(int(sys.argv[1]), json.load(sys.stdin))
