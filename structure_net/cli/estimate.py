"""How much memory the default run wants, from the sizes of its first networks alone."""

from __future__ import annotations

import math
from pathlib import Path

from structure_net.cli.requirements import GB, Check
from structure_net.environment import memory_bytes
from structure_net.genome import allocate, floors_of, shapes_of
from structure_net.schema import Config, resolve

# Bytes of a trained parameter: weight, gradient, two moments of the optimizer, a saved best copy
# and a parent's (24), and the indices of a connection in two orders (16).
BYTES_PER_PARAMETER = 40
BYTES_PER_ACTIVATION = 8  # the activation and its gradient, 32 bits each
CIFAR10 = (3072, 10, 60_000)  # inputs, classes, images; one byte an input
BYTES_PER_LABEL = 8
LARGEST_BATCH = 256  # of the automatic batch size


def network_bytes(config: Config, inputs: int, classes: int) -> int:
    """Memory of the largest network of a first generation while it trains."""
    largest = 0
    for widths in config.space.initial_architectures:
        scaled = [config.space.scaled(width, inputs) for width in widths]
        shapes = shapes_of(inputs, scaled, classes)
        counts = allocate(shapes, config.space.initial_max_density, config.space.allocation)
        parameters = max(sum(counts), sum(floors_of(shapes))) + sum(scaled) + classes
        batch = config.batch_size_base or LARGEST_BATCH
        activations = (inputs + sum(scaled) + classes) * batch
        largest = max(
            largest, parameters * BYTES_PER_PARAMETER + activations * BYTES_PER_ACTIVATION
        )
    return largest


def memory_check() -> Check:
    """The default run's estimate against what is there.

    Each worker holds Python and torch, measured on this process, and at most its share of the
    generation at once; the dataset is shared by all.
    """
    from structure_net.executors import usable_cores

    config = resolve().config
    inputs, classes, images = CIFAR10
    workers = config.workers or usable_cores()
    at_once = math.ceil(config.tournament_size / workers)
    program = program_bytes()
    own = program + at_once * network_bytes(config, inputs, classes)
    dataset = images * (inputs + BYTES_PER_LABEL)
    wanted = program + workers * own + dataset
    there = memory_bytes()
    figure = (
        f"at most {own / GB:.2f} GB a worker x {workers} + data {dataset / GB:.2f} GB = "
        f"{wanted / GB:.1f} GB of {there / GB:.1f} GB"
    )
    name = "memory of the default run"
    if wanted > there:
        advice = "smaller --tournament-size, fewer --workers, or --quick"
        return Check(name, "problem", figure, advice, required=False)
    return Check(name, "ok", figure, "an estimate, not a measurement", required=False)


def program_bytes() -> int:
    """Resident memory of this process, which has imported what a worker imports."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 400_000_000  # Python with a processor build of torch
    import resource

    return pages * resource.getpagesize()
