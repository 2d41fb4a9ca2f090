"""What is timed: fixed networks over fixed data, so that figures of two machines compare.

`WORKLOAD` changes whenever anything here does, or the tournament of `end_to_end`; results of
different workloads are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structure_net.evolution import World, founders
from structure_net.genome import Genome, allocate, genome_of, shapes_of
from structure_net.schema import Given, resolve
from structure_net.seeding import derive

WORKLOAD = "3"
INPUTS, CLASSES = 3072, 10
BATCH_SIZE = 256
RATE = 1e-3

# The two shapes of the published measurements, and the densities of the search.
# What the published measurements have: relu, no residual blocks.
FOUNDED = {"space.activations": ("relu",), "enable_residual_blocks": False}
SHAPES = {"A": (512, 256, 128), "B": (1536, 768, 384, 192)}
DENSITIES = (0.01, 0.05, 0.10)

# Drawn images: steps begin again at the first when the training part is used up.
TRAINING_SAMPLES = 2048
VALIDATION_SAMPLES = 1024
VALIDATION_SHARE = 9  # training samples for each validation sample, as by --validation-fraction 0.1


@dataclass(frozen=True)
class Workload:
    """Networks that are each trained for `steps` steps of `batch_size` samples, and then measured
    on `validation` samples."""

    name: str
    genomes: tuple[Genome, ...]
    steps: int
    batch_size: int = BATCH_SIZE
    validation: int = 0

    @property
    def connections(self) -> int:
        """Of all networks together."""
        return sum(sum(genome.counts) for genome in self.genomes)


def generation(size: int, steps: int) -> Workload:
    """The first generation of a default tournament: named and random shapes, density 1 to 10 %."""
    world = World.of(
        resolve(Given(FOUNDED, dict.fromkeys(FOUNDED, "bench"))).config, INPUTS, CLASSES
    )
    genomes = founders(world, size, derive(0, "bench", "founders"))
    return Workload("generation", tuple(genomes), steps)


def single(shape: str, density: float, copies: int, steps: int) -> Workload:
    """One shape at one density for an epoch with its evaluation; `copies` of it, so that every
    core has one to train."""
    shapes = shapes_of(INPUTS, SHAPES[shape], CLASSES)
    counts = allocate(shapes, density)
    genome = genome_of(INPUTS, SHAPES[shape], CLASSES, counts, base_learning_rate=RATE)
    validation = min(steps * BATCH_SIZE // VALIDATION_SHARE, VALIDATION_SAMPLES)
    name = f"{shape}@{density:g}"
    return Workload(name, (genome,) * copies, steps, validation=validation)


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn 8-bit images [count, 3, 32, 32] and labels: speed does not depend on what they show."""
    draw = derive(0, "bench", "images")
    pixels = draw.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return pixels, draw.integers(0, CLASSES, count)
