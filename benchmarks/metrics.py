"""Claim: every metric of a network 3072-4000-1000-4000-10 with 381,440 connections, within 5 s.

python benchmarks/metrics.py [--quick]

One thread computes. On a machine with other work the time of the processor says more than that of
the wall, and what the machine did beside is printed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

from structure_net import build_network
from structure_net.executors import single_thread
from structure_net.genome import allocate, genome_of, shapes_of
from structure_net.metrics import Level, Metric, Probe, chosen, measure, probe
from structure_net.networks import Network
from structure_net.seeding import derive

WIDTHS = (3072, 4000, 1000, 4000, 10)
SMALL = (256, 300, 100, 300, 10)  # for --quick: whether it runs, not how fast
CONNECTIONS = 381_440
SAMPLES = 2048
ROUNDS = 3
SLOWEST = 12  # metrics listed one by one
T = TypeVar("T")


def network_of(widths: tuple[int, ...], connections: int) -> Network:
    """Untrained, connections shared out by Erdos-Renyi weights."""
    inputs, *hidden, classes = widths
    shapes = shapes_of(inputs, hidden, classes)
    counts = allocate(shapes, connections / sum(one * other for one, other in shapes))
    genome = genome_of(inputs, hidden, classes, counts, base_learning_rate=0.003, activation="relu")
    return build_network(genome, 1)


@cache
def samples(inputs: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels; the classes can be told apart, as in data."""
    generator = derive(0, "benchmark of metrics")
    labels = generator.integers(0, classes, SAMPLES)
    centres = 0.2 * generator.standard_normal((classes, inputs))
    drawn = centres[labels] + generator.standard_normal((SAMPLES, inputs))
    # Features down in memory, as a training prepares them.
    return torch.from_numpy(drawn).float().t().contiguous().t(), torch.from_numpy(labels)


def look(network: Network) -> Probe:
    """At those samples."""
    inputs, classes = network.genome.inputs, network.genome.classes
    return probe(network, *samples(inputs, classes), classes, path=("benchmark",))


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What `work` gives, its seconds on the wall and those of the processor."""
    wall, own = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - own


def parts_of(network: Network) -> list[tuple[Metric, float, float]]:
    """Each metric of the full set in order; what several share counts for the first that asks."""
    seen = look(network)
    found = []
    for one in chosen("full"):
        _, wall, own = timed(lambda one=one: one.measure(seen))  # type: ignore[misc]
        found.append((one, wall, own))
    return found


def whole(network: Network, level: Level) -> tuple[float, float]:
    """Seconds of a look and all metrics of a level, as a trial has them after an epoch."""
    seen, *looking = timed(lambda: look(network))
    _, *measuring = timed(lambda: measure(seen, level))
    return looking[0] + measuring[0], looking[1] + measuring[1]


def main(arguments: list[str] | None = None) -> int:
    """Print the whole, and where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network: does it run?")
    quick = parser.parse_args(arguments).quick
    widths, connections = (SMALL, 5_000) if quick else (WIDTHS, CONNECTIONS)
    network = network_of(widths, connections)
    load = os.getloadavg()[0]
    print(f"{'-'.join(map(str, widths))}, {network.connection_count:,} connections, {SAMPLES:,}")
    print(f"samples, one thread of {os.cpu_count()} cores, load of the machine {load:.1f}")
    with single_thread():
        measure(look(network_of(SMALL, 5_000)), "full")  # loads what is loaded once
        samples(widths[0], widths[-1])
        for level in ("full", "light"):
            rounds = [whole(network, level) for _ in range(ROUNDS)]
            wall, own = map(min, zip(*rounds, strict=True))
            print(f"{level}: {wall:.2f} s, {own:.2f} s of the processor, least of {ROUNDS}")
        parts = parts_of(network)
    groups: dict[str, float] = defaultdict(float)
    for one, _, own in parts:
        groups[one.group] += own
    for group, own in groups.items():
        print(f"  {group}: {own:.2f} s of the processor")
    for one, _, own in sorted(parts, key=lambda part: -part[2])[:SLOWEST]:
        print(f"    {one.name}: {own:.3f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
