"""The table behind `--engine auto`, measured here: where dense products become faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from structure_net.bench.data import Parts
from structure_net.bench.machine import fastest
from structure_net.bench.ours import LIMITS, WEIGHT_DECAY, rates_of
from structure_net.bench.reference import torch_as
from structure_net.bench.workloads import BATCH_SIZE, SHAPES, Workload, single
from structure_net.engine import AdamW, Learner, make_engine, native_is_there, this_machine
from structure_net.networks import build_network
from structure_net.schema import Crossover, EngineTable

DENSITIES = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50)
STEPS = 4
REPEATS = 3

# (engine, workload of one network, 16-bit products) -> seconds a step
Timer = Callable[[str, Workload, bool], float]


def step_seconds(engine_name: str, workload: Workload, mixed_precision: bool) -> float:
    """Measured on one core, as a worker trains; the fastest of a few repetitions."""
    parts = Parts.draw()
    with torch_as(strong=False, threads=1):
        network = build_network(workload.genomes[0], 0)
        learners = [Learner(network, AdamW(network, WEIGHT_DECAY, LIMITS))]
        engine = make_engine(engine_name, mixed_precision=mixed_precision)
        rates = rates_of(STEPS, learners)

        def train() -> None:
            engine.train_steps(learners, parts.training(BATCH_SIZE, STEPS), rates)

        train()
        return fastest(train, REPEATS) / STEPS


def calibrate(
    timer: Timer = step_seconds, densities: Sequence[float] = DENSITIES
) -> Iterator[str | EngineTable]:
    """Text while it measures, then the table: a crossover for each shape and precision."""
    rows = []
    for shape in SHAPES:
        seconds: dict[str, list[float]] = {"native": [], "csr": [], "dense": [], "dense 16": []}
        for density in densities:
            yield f"{shape} at {100 * density:g} %"
            workload = single(shape, density, 1, STEPS)
            for name, values in seconds.items():
                engine = name.split()[0]
                if engine != "native" or native_is_there():
                    values.append(timer(engine, workload, name == "dense 16"))
        possible = sum(source * unit for source, unit in workload.genomes[0].shapes)
        for mixed_precision in (False, True):
            dense = seconds["dense 16" if mixed_precision else "dense"]
            rows.append(
                Crossover(
                    possible=possible,
                    mixed_precision=mixed_precision,
                    native=crossover(densities, seconds["native"] or dense, dense),
                    csr=crossover(densities, seconds["csr"], dense),
                )
            )
    yield EngineTable(
        origin="calibrated",
        machine=this_machine(),
        kernels=native_is_there(),
        crossovers=tuple(rows),
    )


def crossover(densities: Sequence[float], sparse: Sequence[float], dense: Sequence[float]) -> float:
    """Density from which on dense products are faster: where the ratio of the times, a straight
    line between two measured densities in logarithms, passes 1. 0 where they always are; the
    highest measured density where they never are: beyond it nothing is known."""
    gains = [math.log(own / other) for own, other in zip(sparse, dense, strict=True)]
    if gains[0] > 0:
        return 0.0
    for (low, before), (high, after) in pairwise(zip(densities, gains, strict=True)):
        if after > 0:
            share = -before / (after - before)
            return round(math.exp(math.log(low) + share * math.log(high / low)), 4)
    return densities[-1]
