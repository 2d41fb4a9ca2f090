"""A fixed list of operations, run as it is or recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch

# Runs before the recording: libraries make their plans and workspaces in the first ones, which must
# not happen while a stream is recorded. 3 is what torch's own documentation takes.
WARM_UP = 3


class Program:
    """`work` without arguments; on a CUDA device recorded as a graph after its first runs.

    `work` reads and writes tensors that stay where they are, and asks the device for nothing. Every
    call counts: the first ones are ordinary runs, and recording runs nothing.
    """

    def __init__(self, work: Callable[[], None], device: torch.device, *, graphs: bool) -> None:
        self._work = work
        self._runs = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        # One stream for first runs and recording: workspaces of the libraries belong to a stream.
        self._stream = _side_stream(device) if graphs and device.type == "cuda" else None

    def __call__(self) -> None:
        """Do the work once, behind all that the current stream was given so far."""
        if self._stream is None:
            self._work()
        elif self._runs < WARM_UP:
            current = torch.cuda.current_stream(self._stream.device)
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                self._work()
            current.wait_stream(self._stream)
            self._runs += 1
        else:
            if self._graph is None:
                self._record()
            assert self._graph is not None
            self._graph.replay()

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        # Other threads of the process may use the device meanwhile.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._work()
        self._graph = graph


def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
