"""How the cost of a network moves with population, density, workers and devices."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from structure_net.bench.ours import Crew
from structure_net.bench.stack import Stack, stack
from structure_net.bench.workloads import Workload, generation, single


@dataclass(frozen=True)
class Sweep:
    """What is swept; seconds are for `steps` steps."""

    populations: tuple[int, ...]
    densities: tuple[float, ...]
    steps: int
    rounds: int


FULL_SWEEP = Sweep((8, 16, 32, 64), (0.01, 0.02, 0.05, 0.1, 0.2), 16, 3)
QUICK_SWEEP = Sweep((4, 8, 16), (0.01, 0.05, 0.2), 4, 2)
COPIES = 4  # networks a worker trains in the sweeps of density and workers


@dataclass(frozen=True)
class Curve:
    """Seconds per network at each value of an axis, medians over the rounds."""

    axis: str
    values: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float | None:
        """Slope of log seconds over log value by least squares; None for a single value."""
        if len(self.values) < 2:
            return None
        xs, ys = ([math.log(one) for one in row] for row in (self.values, self.seconds))
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((one - x) ** 2 for one in xs)
        return sum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True)) / spread

    def as_json(self) -> dict[str, object]:
        return {
            "axis": self.axis,
            "values": list(self.values),
            "seconds_per_network": list(self.seconds),
            "exponent": self.exponent,
        }


def scaling(
    sweep: Sweep, cores: int, engines: Sequence[str], devices: int
) -> Iterator[str | Curve]:
    """A curve for each axis, and text in between; devices only where there are any."""
    populations = [generation(size, sweep.steps) for size in sweep.populations]
    densities = [single("A", density, COPIES * cores, sweep.steps) for density in sweep.densities]
    crew = Crew(cores)
    try:
        yield "population"
        seconds = [_per_network(crew, one, sweep.rounds, engines) for one in populations]
        yield Curve("population", tuple(map(float, sweep.populations)), tuple(seconds))
        yield "density"
        seconds = [_per_network(crew, one, sweep.rounds, engines) for one in densities]
        yield Curve("density", sweep.densities, tuple(seconds))
    finally:
        crew.close()
    yield "workers"
    yield _workers(sweep, cores, engines)
    if devices:
        yield "devices"
        yield _devices(sweep, devices)


def _workers(sweep: Sweep, cores: int, engines: Sequence[str]) -> Curve:
    """The same networks over 1, 2, 4 … processes, and over all cores."""
    counts = sorted(
        {2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores}
    )
    workload = single("A", 0.05, COPIES * cores, sweep.steps)
    seconds = []
    for count in counts:
        crew = Crew(count)
        try:
            seconds.append(_per_network(crew, workload, sweep.rounds, engines))
        finally:
            crew.close()
    return Curve("workers", tuple(map(float, counts)), tuple(seconds))


def _devices(sweep: Sweep, devices: int) -> Curve:
    """A cohort on each of 1, 2 … devices at the same time, one process each."""
    wanted = [
        Stack(f"cuda:{number}", max(sweep.populations), steps=sweep.steps)
        for number in range(devices)
    ]
    seconds = []
    with multiprocessing.get_context("spawn").Pool(devices) as pool:
        for count in range(1, devices + 1):
            done = pool.map(stack, wanted[:count], chunksize=1)
            slowest = max(one.seconds_per_step for one in done)
            seconds.append(slowest * sweep.steps / (count * max(sweep.populations)))
    return Curve("devices", tuple(float(count) for count in range(1, devices + 1)), tuple(seconds))


def _per_network(crew: Crew, workload: Workload, rounds: int, engines: Sequence[str]) -> float:
    crew.train(workload, engines)  # warm
    taken = [crew.train(workload, engines)[0] for _ in range(rounds)]
    return median(taken) / len(workload.genomes)
