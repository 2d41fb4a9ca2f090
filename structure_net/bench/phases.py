"""Where a step's time goes: data, forward, backward, optimizer.

torch: a clock between the phases of one network's steps on all cores; the batches are ready
tensors, so data costs nothing. Ours: one process on one core, by differences, since one call trains
a whole cohort. A cohort of four copies takes data + 4 x training, one copy data + training; forward
is the evaluation of batches that are already prepared; the rest, backward with the optimizer, which
the kernels do in one, stands under backward.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from torch.nn import functional

from structure_net.bench.data import Parts, Tensors
from structure_net.bench.machine import fastest
from structure_net.bench.ours import prepared, rates_of
from structure_net.bench.reference import Apprentice, masked, torch_as
from structure_net.bench.workloads import Workload
from structure_net.networks import build_network
from structure_net.schema import Cohort, Trial

PHASES = ("data", "forward", "backward", "optimizer")
COPIES = 4
REPEATS = 3

Phases = dict[str, float]


@dataclass(frozen=True)
class Breakdown:
    """Milliseconds a step, of one network, by phase and side."""

    name: str
    sides: dict[str, Phases]


def breakdown(workload: Workload, engine: str, steps: int, threads: int) -> Breakdown:
    """All three sides for the first network of a workload."""
    parts = Parts.draw()
    with torch_as(strong=False, threads=1):
        sides = {"ours": _ours(workload, engine, steps, parts)}
    batches, _ = parts.tensors(workload)
    for side, strong in (("plain", False), ("strong", True)):
        with torch_as(strong=strong, threads=threads):
            network = build_network(workload.genomes[0], 0)
            sides[side] = _by_clock(masked(network, strong=strong), batches, steps)
    return Breakdown(workload.name, sides)


def _by_clock(apprentice: Apprentice, batches: Tensors, steps: int) -> Phases:
    """Means over the steps after a first one."""
    sums = dict.fromkeys(PHASES, 0.0)
    apprentice.step(*batches[0])
    for number in range(steps):
        inputs, targets = batches[number % len(batches)]
        apprentice.optimizer.zero_grad()
        marks = [time.perf_counter()]
        loss = functional.cross_entropy(apprentice.network(inputs), targets)
        marks.append(time.perf_counter())
        loss.backward()  # type: ignore[no-untyped-call]
        marks.append(time.perf_counter())
        apprentice.optimizer.step()
        marks.append(time.perf_counter())
        for phase, (start, end) in zip(PHASES[1:], pairwise(marks), strict=True):
            sums[phase] += 1e3 * (end - start) / steps
    return sums


def _ours(workload: Workload, engine_name: str, steps: int, parts: Parts) -> Phases:
    """By differences of whole passes, the fastest of each kind."""
    one, four = (
        _training_seconds(workload, engine_name, steps, copies, parts) for copies in (1, COPIES)
    )
    training = (four - one) / (COPIES - 1)
    engine, (learner,) = prepared(_cohort(workload, engine_name, 1), parts, workload.batch_size)
    batches = list(parts.training(workload.batch_size, steps))
    engine.evaluate(learner.network, batches)  # prepares them
    forward = fastest(lambda: engine.evaluate(learner.network, batches), REPEATS)
    spent = (max(one - training, 0.0), forward, max(training - forward, 0.0), 0.0)
    return {phase: 1e3 * part / steps for phase, part in zip(PHASES, spent, strict=True)}


def _training_seconds(
    workload: Workload, engine_name: str, steps: int, copies: int, parts: Parts
) -> float:
    cohort = _cohort(workload, engine_name, copies)
    engine, learners = prepared(cohort, parts, workload.batch_size)
    rates = rates_of(steps, learners)

    def train() -> None:
        engine.train_steps(learners, parts.training(workload.batch_size, steps), rates)

    return fastest(train, REPEATS)


def _cohort(workload: Workload, engine: str, copies: int) -> Cohort:
    trials = tuple(
        Trial(number=number, generation=0, genome=workload.genomes[0], seed=number, epochs=1)
        for number in range(copies)
    )
    return Cohort(engine=engine, trials=trials, attempts=(1,) * copies)
