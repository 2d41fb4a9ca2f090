"""When work is run, recorded and replayed; torch's graphs are stood in for by a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from structure_net.engine.stacked import program
from structure_net.engine.stacked.program import WARM_UP, Program


class Stream:
    device = torch.device("cuda:0")

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def wait_stream(self, other: Stream) -> None:
        self.log.append("wait")


class Graph:
    """What is done while it is recorded is done at each replay, and not before."""

    def __init__(self) -> None:
        self.recorded: list[str] = []

    def replay(self) -> None:
        self.log.extend(self.recorded)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    entries: list[str] = []
    Graph.log = entries

    @contextmanager
    def stream(_: Stream) -> Iterator[None]:
        yield

    @contextmanager
    def recording(graph: Graph, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        before = len(entries)
        yield
        graph.recorded = entries[before:]
        del entries[before:]

    monkeypatch.setattr(program, "_side_stream", lambda _: Stream(entries))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream(entries))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    return entries


def test_every_call_does_the_work_once(log: list[str]) -> None:
    own = Program(lambda: log.append("work"), torch.device("cuda"), graphs=True)
    for call in range(WARM_UP + 4):
        own()
        assert log.count("work") == call + 1
    assert log == ["wait", "work", "wait"] * WARM_UP + ["work"] * 4


@pytest.mark.parametrize(("device", "graphs"), [("cpu", True), ("cuda", False)])
def test_without_graphs_the_work_is_called(log: list[str], device: str, graphs: bool) -> None:
    own = Program(lambda: log.append("work"), torch.device(device), graphs=graphs)
    for _ in range(WARM_UP + 4):
        own()
    assert log == ["work"] * (WARM_UP + 4)
