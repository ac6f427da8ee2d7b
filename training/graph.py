"""Steps of training as replays of one CUDA graph: no launch from Python within a step, and no wait for the device."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sandtable.simulators.arrays import tree_map
from sandtable.training.checkpoint import flatten
from sandtable.training.flops import Flops, counting
from sandtable.training.objectives import Metrics
from sandtable.training.step import State, Stepper

Work = Callable[[], None]
WARM_UPS = 3  # steps before the capture, in which libraries and allocators set themselves up


def captured(work: Work) -> Work:
    """Capture what ``work`` does on the CUDA device, which then is done by each call of what is returned.

    Raises:
        RuntimeError: It waits for the device, or otherwise does what a graph cannot hold.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeError(
            f"mode 'graph': the step cannot be captured in a CUDA graph ({error}); use mode='eager'"
        ) from error
    return graph.replay


class GraphRunner:
    """Does the steps of a ``Stepper`` in tensors that stay where they are.

    A cycle is a whole step, collection and all updates. It reads the state's tensors and writes the next state into the
    same ones, and its measures into a ring of ``capacity`` steps. The step's number, the schedule and the optimiser's
    bias correction are tensors of the state, so that the replays differ as steps do.

    Args:
        stepper: What a step is.
        capacity: Steps whose measures are kept, at least 1.
        record: Turns the cycle into something that does it: ``captured``, or for tests the identity.
    """

    def __init__(self, stepper: Stepper, capacity: int, record: Callable[[Work], Work] = captured) -> None:
        self.stepper = stepper
        self.flops: Flops | None = None
        self._capacity, self._record, self._step = capacity, record, 0
        self._replay: Work | None = None
        self._ring: Metrics = {}

    def advance(self, state: State) -> tuple[State, Metrics]:
        """Do a step.

        The tensors of the returned state are those of every later one too. The measures are views into the ring, and
        hold until ``capacity`` further steps are done.
        """
        if self._replay is None:
            self._replay = self._prepare(state)
        if state is not self._state:
            self._adopt(state)
        self._replay()
        slot, self._step = self._step % self._capacity, self._step + 1
        return self._state, {name: ring[slot] for name, ring in self._ring.items()}

    def _prepare(self, state: State) -> Work:
        """Make the tensors that stay, run some steps whose results are dropped, and record the cycle."""
        self._state: State = tree_map(torch.clone, state)
        self._step = int(state.step)
        on_cuda = state.step.device.type == "cuda"
        stream = torch.cuda.Stream(state.step.device) if on_cuda else None
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(state.step.device))
        with torch.cuda.stream(stream):  # does nothing with None
            for _ in range(WARM_UPS):
                self.stepper.restore(self._state)
                with counting(self.stepper.network) as count:
                    following, measures = self.stepper.advance(self._state)
                self.flops = self.flops or count.flops
            self._require_same_shapes(following)
            self._ring = {
                name: torch.zeros(self._capacity, *measured.shape, dtype=measured.dtype, device=measured.device)
                for name, measured in measures.items()
            }
        if stream is not None:
            torch.cuda.current_stream(state.step.device).wait_stream(stream)
        self.stepper.restore(self._state)
        replay = self._record(self._cycle)
        self.stepper.restore(self._state)
        return replay

    def _cycle(self) -> None:
        """Do a step, from and to the tensors that stay."""
        self.stepper.put(self._state.parameters)
        slot = (self._state.step % self._capacity).reshape(1)
        following, measures = self.stepper.advance(self._state)
        for name, measured in measures.items():
            self._ring[name].index_copy_(0, slot, measured[None])
        self._adopt(following)
        self.stepper.put(self._state.parameters)

    def _adopt(self, state: State) -> None:
        """Copy a state into the tensors that stay."""
        kept, given = flatten(self._state), flatten(state)
        ours = {id(tensor) for tensor in kept.values()}
        # a tensor that stays, but in another place, is copied before it is written
        moved = {
            name: tensor.clone() if id(tensor) in ours else tensor
            for name, tensor in given.items()
            if tensor is not kept[name]
        }
        for name, tensor in moved.items():
            kept[name].copy_(tensor)

    def _require_same_shapes(self, following: State) -> None:
        """Refuse a step that leaves other tensors than it found.

        Raises:
            ValueError: The objective's carry changes its structure, shapes or types.
        """
        before, after = (
            {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in flatten(state).items()}
            for state in (self._state, following)
        )
        if before != after:
            differing = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
            raise ValueError(
                f"mode 'graph' needs a state whose tensors keep their shapes; a step changes {', '.join(differing)}; "
                "use mode='eager'"
            )


@contextmanager
def interruptible(at_once: bool) -> Iterator[Callable[[], None]]:
    """Let the keyboard interrupt only where the block calls what it is given; a second time, anywhere.

    Args:
        at_once: Leave interruptions as they are.
    """
    asked: list[Any] = []
    if at_once or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*told: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(told)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def fetched(tensor: Tensor) -> Tensor:
    """Return a tensor on the host; on CUDA, by the one wait that a row of metrics takes."""
    if tensor.device.type != "cuda":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record()
    done.synchronize()
    return host
