"""A training that is killed again and again; ``test_killing.py`` runs it as a program of its own.

Usage: ``python killed_training.py FOLDER [KIND:COUNT ...]``. For each KIND:COUNT a child is forked that trains until
the COUNT-th event of that kind, where it stands still until it is killed with SIGKILL. A last child trains to the end.
The modules are loaded once, so that a child starts in no time.
"""

import io
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, AdamW, Checkpoints, JsonLines, Supervised, Validation, cosine, fit


def train(folder):
    """Train to the end, and write what came out."""
    task = SparseParity(10, 2, loss="hinge")
    training = fit(
        MLP(3, 10, [16], 1, key=0),
        Supervised(task, 16),
        key=1,
        steps=120,
        optimizer=AdamW([0.03, 0.0, 0.003]),
        schedule=cosine(120, warmup=10),
        clip=1.0,
        validate=Validation(Supervised(task, 64), every=12, patience=3),
        checkpoint=Checkpoints(folder / "checkpoints", every=5),
        metrics=JsonLines(folder / "metrics.jsonl"),
        log_every=7,
    )
    scores = {name: getattr(training, name).tolist() for name in ("best_score", "best_step", "stopped")}
    (folder / "result.json").write_text(json.dumps({**scores, "steps": training.steps, "history": training.history}))
    torch.save(training.network.state_dict(), folder / "parameters.pt")


def stand_still_at(kind, count, pipe):
    """Replace what writes by what tells the parent when its moment has come, and then waits for the end."""
    events = Counter()

    def event(happened):
        events[happened] += 1
        if happened == kind and events[happened] == count:
            os.write(pipe, b"now")
            time.sleep(60)

    def around(owner, name):
        function = getattr(owner, name)

        def replaced(*arguments, **settings):
            event(f"before-{name}")
            result = function(*arguments, **settings)
            event(f"after-{name}")
            return result

        setattr(owner, name, replaced)

    def torn_save(tensors, file, save=torch.save):
        whole = io.BytesIO()
        save(tensors, whole)
        half = len(whole.getvalue()) // 2
        file.write(whole.getvalue()[:half])
        file.flush()
        event("half-saved")
        file.write(whole.getvalue()[half:])

    def torn_write(self, step, values, write=JsonLines.write):
        before = self.path.read_bytes() if self.path.exists() else b""
        write(self, step, values)
        after = self.path.read_bytes()
        self.path.write_bytes(after[: (len(before) + len(after)) // 2])
        event("half-written")
        self.path.write_bytes(after)

    def torn_removal(path, *arguments, remove=shutil.rmtree, **settings):
        for file in Path(path).glob("tensors.pt"):
            file.unlink()
            event("half-removed")
        remove(path, *arguments, **settings)

    torch.save, JsonLines.write, shutil.rmtree = torn_save, torn_write, torn_removal
    for owner, name in [(os, "fsync"), (os, "replace"), (json, "dump"), (Supervised, "gradient")]:
        around(owner, name)


def main(folder, points):
    """Run one child for each point and kill it there, then one to the end."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for point in [*points, None]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            if point is not None:
                kind, count = point.split(":")
                stand_still_at(kind, int(count), writing)
            train(folder)
            os._exit(0)
        os.close(writing)
        if os.read(reading, 3) == b"now":
            os.kill(child, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        expected = signal.SIGKILL if point else 0
        if status != expected:
            sys.exit(f"the child of {point} ended with status {status}, not {int(expected)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
