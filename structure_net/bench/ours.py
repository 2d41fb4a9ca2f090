"""The same work by this package: cohorts over single-threaded processes, one for each core."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from typing import TYPE_CHECKING

from structure_net.bench.workloads import RATE, Workload
from structure_net.errors import RunFailedError
from structure_net.executors import deal, interrupts_blocked, work_of
from structure_net.genome import Genome
from structure_net.schema import Cohort, Trial

if TYPE_CHECKING:
    from torch import Tensor

    from structure_net.bench.data import Parts
    from structure_net.engine import Engine, Learner

WEIGHT_DECAY = 1e-4
MIXED_PRECISION = True  # as a run has it by default; it concerns engine `dense` only
LIMITS = (1e-6, 1e-2)
END_SECONDS = 5.0

Share = tuple[list[Cohort], int, int, int]  # cohorts, steps, batch size, validation samples
Outcome = tuple[float, list[tuple[int, float]]]  # seconds, (trial number, last loss)


class Crew:
    """One process for each core, started and imported before anything is timed."""

    def __init__(self, cores: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(cores)  # its semaphore lives as long as this does
        self._members = []
        with interrupts_blocked():  # Ctrl-C is the parent's, also while they import
            for _ in range(cores):
                pipe, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, self._barrier), daemon=True)
                process.start()
                theirs.close()
                self._members.append((pipe, process))

    def train(self, workload: Workload, engines: Sequence[str]) -> tuple[float, list[float]]:
        """Every network for the workload's steps, then its evaluation: seconds, and the last loss
        of each network.

        Networks are built, take one step and one evaluation before the clock starts; it stops when
        the last process is done.
        """
        trials = [
            Trial(number=number, generation=0, genome=genome, seed=number, epochs=1)
            for number, genome in enumerate(workload.genomes)
        ]
        cohorts = deal(trials, lambda genome: chosen_engine(genome, engines), len(self._members))
        shares: list[list[Cohort]] = [[] for _ in self._members]
        loads = [0.0] * len(shares)
        for cohort in cohorts:  # the most expensive first, each to whoever has least
            place = loads.index(min(loads))
            shares[place].append(cohort)
            loads[place] += work_of(cohort)
        with _ended_while_it_trained():
            for (pipe, _), share in zip(self._members, shares, strict=True):
                pipe.send((share, workload.steps, workload.batch_size, workload.validation))
            parts = list(self._answers())
        losses = {number: loss for _, part in parts for number, loss in part}
        return max(seconds for seconds, _ in parts), [losses[one.number] for one in trials]

    def _answers(self) -> Iterator[Outcome]:
        """What each process says, as it comes."""
        silent = {pipe for pipe, _ in self._members}
        while silent:
            for pipe in wait(list(silent)):
                assert isinstance(pipe, Connection)
                silent.remove(pipe)
                yield pipe.recv()

    def close(self) -> None:
        """End the processes."""
        for _, process in self._members:
            process.terminate()
        for pipe, process in self._members:
            process.join(END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()
        self._members = []


@contextmanager
def _ended_while_it_trained() -> Iterator[None]:
    """RunFailedError where the other end of a pipe is gone."""
    try:
        yield
    except (EOFError, ConnectionError) as problem:
        raise RunFailedError(
            "A process of the benchmark ended while it trained; what it said stands above. One "
            "that was killed for memory says nothing: close other programs."
        ) from problem


def chosen_engine(genome: Genome, engines: Sequence[str]) -> str:
    """The engine of the table in force if it is allowed, else the first that is."""
    from structure_net.engine import choose_engine, table_in_force

    table = table_in_force(mixed_precision=MIXED_PRECISION)
    chosen = choose_engine(genome, "auto", "cpu", table)
    if chosen not in engines:
        without = table.model_copy(update={"kernels": False})
        chosen = choose_engine(genome, "auto", "cpu", without)
    return chosen if chosen in engines else engines[0]


def _serve(pipe: Connection, barrier: Barrier) -> None:
    """In a worker: one thread, the images, and one share of a workload after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from structure_net.bench.data import Parts

    torch.set_num_threads(1)
    parts = Parts.draw()
    while True:
        try:
            share: Share = pipe.recv()
        except EOFError:  # the parent is gone
            return
        pipe.send(_train(share, parts, barrier))


def _train(share: Share, parts: Parts, barrier: Barrier) -> Outcome:
    """In a worker: train its share, everyone at the same time."""
    cohorts, steps, batch_size, held_out = share
    validation = parts.validation(held_out)
    ready = [(cohort, *prepared(cohort, parts, batch_size)) for cohort in cohorts]
    for _, engine, learners in ready:
        for learner in learners if validation else []:
            engine.evaluate(learner.network, validation)  # a run keeps these batches prepared
    barrier.wait()
    done, began = [], time.perf_counter()
    for cohort, engine, learners in ready:
        rates = rates_of(steps, learners)
        losses = engine.train_steps(learners, parts.training(batch_size, steps), rates)
        for learner in learners if validation else []:
            engine.evaluate(learner.network, validation)
        done += [(trial.number, float(losses[-1, k])) for k, trial in enumerate(cohort.trials)]
    return time.perf_counter() - began, done


def prepared(cohort: Cohort, parts: Parts, batch_size: int) -> tuple[Engine, list[Learner]]:
    """An engine and the cohort's networks after their first step."""
    from structure_net.engine import AdamW, Learner, make_engine
    from structure_net.networks import build_network

    networks = [build_network(trial.genome, trial.seed) for trial in cohort.trials]
    learners = [Learner(one, AdamW(one, WEIGHT_DECAY, LIMITS)) for one in networks]
    engine = make_engine(cohort.engine, mixed_precision=MIXED_PRECISION)
    engine.train_steps(learners, parts.training(batch_size, 1), rates_of(1, learners))
    return engine, learners


def rates_of(steps: int, learners: Sequence[Learner]) -> Tensor:
    """The constant rate of all workloads, [steps, learners]."""
    import torch

    return torch.full((steps, len(learners)), RATE)
