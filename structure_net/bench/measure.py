"""Interleaved measurements: ours, plain, strong, in turn; ratios round by round, medians over them.

Machines are shared and change their speed; a ratio within a round cancels that, a single time does
not. Preparing the data is inside our time and outside the reference's; building networks is outside
both, since a real training does it once in thousands of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from structure_net.bench.ours import Crew
from structure_net.bench.reference import ReferenceTrainer
from structure_net.bench.workloads import (
    DENSITIES,
    SHAPES,
    WORKLOAD,
    Workload,
    generation,
    images,
    single,
)
from structure_net.environment import facts

SAMPLES = 2048


@dataclass(frozen=True)
class Scale:
    """How much is measured. The full scale takes about 6 minutes on two cores."""

    rounds: int
    networks: int
    steps: int
    single_steps: int


FULL = Scale(rounds=9, networks=64, steps=8, single_steps=24)
QUICK = Scale(rounds=3, networks=16, steps=4, single_steps=8)


@dataclass
class Timing:
    """Seconds of each round, and the last losses of all sides as evidence of equal work."""

    workload: Workload
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    strong: list[float] = field(default_factory=list)
    loss_difference: float = 0.0

    def ratio(self, side: str) -> float:
        """Median over the rounds of reference seconds / our seconds."""
        reference = self.plain if side == "plain" else self.strong
        return median(theirs / own for theirs, own in zip(reference, self.ours, strict=True))

    def as_json(self) -> dict[str, Any]:
        networks, steps = len(self.workload.genomes), self.workload.steps
        return {
            "networks": networks,
            "steps": steps,
            "batch_size": self.workload.batch_size,
            "connections": sum(sum(genome.counts) for genome in self.workload.genomes),
            "milliseconds_per_step": {
                side: 1e3 * median(getattr(self, side)) / networks / steps
                for side in ("ours", "plain", "strong")
            },
            "ratio": {side: self.ratio(side) for side in ("plain", "strong")},
            "rounds": {side: getattr(self, side) for side in ("ours", "plain", "strong")},
            "loss_difference": self.loss_difference,
        }


def workloads(scale: Scale, cores: int) -> list[Workload]:
    """The mixed generation, then every shape at every density, one copy a core."""
    singles = [
        single(shape, density, cores, scale.single_steps)
        for shape in SHAPES
        for density in DENSITIES
    ]
    return [generation(scale.networks, scale.steps), *singles]


def measure(scale: Scale, cores: int, engines: Sequence[str]) -> Iterator[Timing]:
    """One Timing for each workload as it is done."""
    from structure_net.bench.data import tensors_of

    pixels, labels = images(SAMPLES)
    crew = Crew(cores, SAMPLES)
    try:
        for workload in workloads(scale, cores):
            batches = tensors_of(pixels, labels, workload.batch_size)
            timing = Timing(workload)
            plain = ReferenceTrainer(workload, strong=False, threads=cores)
            strong = ReferenceTrainer(workload, strong=True, threads=cores)
            crew.train(workload, engines)  # warm: kernels compiled, memory touched
            for _ in range(scale.rounds):
                seconds, own = crew.train(workload, engines)
                timing.ours.append(seconds)
                seconds, theirs = plain.train(batches)
                timing.plain.append(seconds)
                timing.strong.append(strong.train(batches)[0])
                worst = max(abs(one - other) for one, other in zip(own, theirs, strict=True))
                timing.loss_difference = max(timing.loss_difference, worst)
            yield timing
    finally:
        crew.close()


def report(timings: Sequence[Timing], scale: Scale, cores: int, engines: Sequence[str]) -> Any:
    """The published JSON: ratios first, then everything behind them."""
    ratios: dict[str, Any] = {"single": {}}
    for timing in timings:
        both = {side: timing.ratio(side) for side in ("plain", "strong")}
        if timing.workload.name == "generation":
            ratios["generation"] = both
        else:
            ratios["single"][timing.workload.name] = both
    return {
        "workload": WORKLOAD,
        "ratios": ratios,
        "engines": list(engines),
        "cores": cores,
        "rounds": scale.rounds,
        "workloads": {timing.workload.name: timing.as_json() for timing in timings},
        "environment": facts(),
    }
