"""Trials over persistent worker processes, one pipe each.

Not a pool of the standard library: there, one worker killed for memory breaks or hangs the whole
pool. Here a dead worker costs its cohort another start.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from structure_net.environment import memory_bytes, memory_kills
from structure_net.errors import RunFailedError, UsageError
from structure_net.executors.devices import Slot
from structure_net.executors.executor import Desk, EngineChoice, Executor, deal, refused
from structure_net.executors.memory import UNLIMITED, Allowance
from structure_net.executors.worker import DONE, EVENT, PROBLEM, READY, STOP, work
from structure_net.schema import (
    WHOLE,
    Cohort,
    Event,
    Failure,
    Segment,
    TrainingPlan,
    Trial,
    read_line,
)

TICK_SECONDS = 0.1
END_SECONDS = 5.0  # between asking, terminating and killing a worker
MOST_FAILED_STARTS = 3
LOG_TAIL_BYTES = 4096


class Worker:
    """One process on one slot, and the cohort it is training."""

    def __init__(self, slot: Slot, plan: TrainingPlan, logs: Path) -> None:
        self.slot = slot
        self.log = logs / f"{slot.name}.log"
        self.cohort: Cohort | None = None
        self.ready = False
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=work,
            args=(
                theirs,
                plan.model_dump_json(),
                slot.device,
                slot.visible,
                slot.name,
                str(self.log),
            ),
            daemon=True,
        )
        with interrupts_blocked():
            self.process.start()
        theirs.close()  # else a death in mid-message would never be seen

    def give(self, cohort: Cohort) -> None:
        """Send a cohort; a worker that died meanwhile is noticed by its sentinel."""
        self.cohort = cohort
        with suppress(BrokenPipeError, ConnectionError):
            self.pipe.send_bytes(cohort.model_dump_json().encode())

    def messages(self) -> Iterator[bytes]:
        """Everything that has arrived, also what a dead worker sent before it died."""
        try:
            while self.pipe.poll():
                yield self.pipe.recv_bytes()
        except (EOFError, OSError):  # "got end of file during message": it died while sending
            return

    def end(self) -> None:
        """Stop it: kindly when idle, at once when it is training."""
        if self.process.is_alive() and self.cohort is None and self.ready:
            with suppress(OSError):
                self.pipe.send_bytes(STOP)
            self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()

    def last_words(self) -> str:
        """The end of its log."""
        with suppress(OSError):
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return ""


class ProcessExecutor(Executor):
    """N devices x k processes, or one process per core; each trains one cohort at a time."""

    def __init__(
        self,
        plan: TrainingPlan,
        slots: Sequence[Slot],
        engine_of: EngineChoice,
        logs: Path,
        allowance: Allowance = UNLIMITED,
    ) -> None:
        self._plan = plan
        self._slots = list(slots)
        self._engine_of = engine_of
        self._allowance = allowance
        self._logs = logs
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._kills = memory_kills()
        self.capacity = len(self._slots)

    def run(
        self,
        trials: Sequence[Trial],
        attempts: Mapping[int, int] | None = None,
        segment: Segment = WHOLE,
    ) -> Iterator[Event | None]:
        """See Executor. Workers stay for the next call; an exception here ends them."""
        cohorts = deal(trials, self._engine_of, self.capacity, self._allowance, segment)
        yield from refused(trials, cohorts, attempts or {}, self._engine_of, self._allowance)
        desk = Desk(cohorts, attempts or {})
        wanted = min(self.capacity, len(trials))
        finished = False
        try:
            while desk.unfinished:
                self._fill(wanted)
                self._hand_out(desk)
                yield from self._listen(desk)
            finished = True
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """End all workers."""
        workers, self._workers = self._workers, []
        for worker in workers:
            if worker.cohort is not None and worker.process.is_alive():
                worker.process.terminate()  # all at once, then wait for each
        for worker in workers:
            worker.end()

    def _fill(self, wanted: int) -> None:
        if len(self._workers) >= wanted:
            return
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise UsageError(
                "A script that starts a tournament is imported again by each worker process. Put "
                'the call under `if __name__ == "__main__":`.'
            )
        self._logs.mkdir(exist_ok=True)
        taken = {worker.slot.name for worker in self._workers}
        free = [slot for slot in self._slots if slot.name not in taken]
        for slot in free[: wanted - len(self._workers)]:
            self._workers.append(Worker(slot, self._plan, self._logs))

    def _hand_out(self, desk: Desk) -> None:
        for worker in self._workers:
            if worker.ready and worker.cohort is None:
                cohort = desk.take()
                if cohort is None:
                    return
                worker.give(cohort)

    def _listen(self, desk: Desk) -> Iterator[Event | None]:
        """Wait a moment for messages and deaths, and pass on what came."""
        handles: dict[object, Worker] = {}
        for worker in self._workers:
            handles[worker.pipe] = worker
            handles[worker.process.sentinel] = worker
        waited_for: list[Connection | int] = list(handles)  # type: ignore[arg-type]
        woken = {id(handles[handle]): handles[handle] for handle in wait(waited_for, TICK_SECONDS)}
        if not woken:
            yield None
        for worker in woken.values():
            dead = not worker.process.is_alive()
            for message in worker.messages():
                yield from self._understand(worker, message, desk)
            if dead:
                yield from self._bury(worker, desk)

    def _understand(self, worker: Worker, message: bytes, desk: Desk) -> Iterator[Event]:
        if message == READY:
            worker.ready = True
            self._failed_starts = 0
        elif message == DONE:
            worker.cohort = None
        elif message.startswith(EVENT):
            event = read_line(message.removeprefix(EVENT))
            desk.note(event)
            yield event
        elif message.startswith(PROBLEM) and worker.cohort is not None:
            failure, reason, details = json.loads(message.removeprefix(PROBLEM))
            yield from desk.lost(worker.cohort, failure, reason, details)

    def _bury(self, worker: Worker, desk: Desk) -> Iterator[Event]:
        """A worker died: its cohort is tried again elsewhere, its slot gets a new worker."""
        worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if worker.cohort is not None:
            failure: Failure = "killed"
            reason = f"{worker.slot.name} ended by {how} while training"
            kills, self._kills = self._kills, memory_kills()
            if code == -signal.SIGKILL and self._kills > kills:
                failure = "out_of_memory"
                reason = f"the kernel killed {worker.slot.name}: {memory_bytes() / 1e6:,.0f} MB "
                reason += "are what the machine or its control group gives, and they were full"
            yield from desk.lost(worker.cohort, failure, reason, worker.last_words())
        elif not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MOST_FAILED_STARTS:
                raise RunFailedError(
                    f"Worker processes cannot start ({how}); the last lines of {worker.log}: "
                    f"{' | '.join(worker.last_words().strip().splitlines()[-3:]) or 'none'}. "
                    f"`--executor serial` runs without them."
                )
            time.sleep(TICK_SECONDS)
        worker.pipe.close()


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Ctrl-C must not reach a child that is still importing; it inherits this mask.

    The resource tracker starts first: starting it unblocks SIGINT again.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
