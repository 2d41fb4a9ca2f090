"""Trials one cohort after the other, in this process: to debug, and as the measure of others."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from structure_net.engine import is_out_of_memory
from structure_net.executors.executor import Desk, EngineChoice, Executor, deal, refused
from structure_net.executors.memory import UNLIMITED, Allowance
from structure_net.schema import WHOLE, Event, Failure, Segment, TrainingPlan, Trial
from structure_net.training import Classroom, train


class SerialExecutor(Executor):
    """One network at a time, one thread, on one device."""

    capacity = 1

    def __init__(
        self,
        plan: TrainingPlan,
        device: str,
        engine_of: EngineChoice,
        allowance: Allowance = UNLIMITED,
    ) -> None:
        self._plan = plan
        self._device = device
        self._engine_of = engine_of
        self._allowance = allowance
        self._room: Classroom | None = None

    def run(
        self,
        trials: Sequence[Trial],
        attempts: Mapping[int, int] | None = None,
        segment: Segment = WHOLE,
    ) -> Iterator[Event | None]:
        """See Executor. An exception in training becomes that trial's failure `error`."""
        cohorts = deal(trials, self._engine_of, self.capacity, self._allowance, segment)
        yield from refused(trials, cohorts, attempts or {}, self._engine_of, self._allowance)
        with single_thread():
            room = self._room = self._room or Classroom.open(self._plan, self._device, "serial")
            desk = Desk(cohorts, attempts or {})
            while (cohort := desk.take()) is not None:
                try:
                    for event in train(cohort, room):
                        desk.note(event)
                        yield event
                except Exception as problem:
                    details = traceback.format_exc()
                    yield from desk.lost(cohort, failure_of(problem), said(problem), details)

    def close(self) -> None:
        """Nothing runs outside `run`."""
        self._room = None


def failure_of(problem: Exception) -> Failure:
    """`out_of_memory` for each of the ways in which an allocation fails, else `error`."""
    return "out_of_memory" if is_out_of_memory(problem) else "error"


def said(problem: BaseException) -> str:
    """An exception in one line, with the notes that were added to it."""
    lines = str(problem).strip().splitlines()
    notes = getattr(problem, "__notes__", [])
    return " ".join([f"{type(problem).__name__}: {lines[0] if lines else 'no message'}", *notes])


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for torch inside, the caller's number afterwards: sums must not change order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
