"""A whole generation in lockstep on one device: experiments a second, extrapolated from steps."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from structure_net.bench.data import Parts
from structure_net.bench.ours import LIMITS, WEIGHT_DECAY, rates_of
from structure_net.bench.workloads import TRAINING_SAMPLES, generation
from structure_net.engine import AdamW, Batch, Learner, make_engine
from structure_net.networks import build_network

EPOCHS = 20
IMAGES = 50_000
BATCH_SIZES = (256, 1024)


@dataclass(frozen=True)
class Stack:
    """So many mixed networks on one device, and the steps that are timed."""

    device: str
    networks: int = 64
    batch_size: int = 256
    steps: int = 100


@dataclass(frozen=True)
class Stacked:
    """An experiment is one network's 20 epochs of 50,000 images; the figure is extrapolated from
    `steps` steps, evaluation not included."""

    stack: Stack
    seconds_per_step: float
    peak_bytes: int

    @property
    def experiments_per_second(self) -> float:
        steps = EPOCHS * IMAGES / self.stack.batch_size
        return self.stack.networks / (steps * self.seconds_per_step)

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self.stack),
            "milliseconds_per_step": 1e3 * self.seconds_per_step,
            "experiments_per_second": self.experiments_per_second,
            "extrapolated_from_steps": self.stack.steps,
            "epochs": EPOCHS,
            "images": IMAGES,
            "peak_bytes": self.peak_bytes,
        }


def stack(wanted: Stack) -> Stacked:
    """Time it. The data lie on the device; a first pass warms up and is not counted."""
    device = torch.device(wanted.device)
    genomes = generation(wanted.networks, wanted.steps).genomes
    networks = [build_network(genome, seed).to(device) for seed, genome in enumerate(genomes)]
    learners = [Learner(one, AdamW(one, WEIGHT_DECAY, LIMITS)) for one in networks]
    engine = make_engine("dense", device=wanted.device, mixed_precision=True)
    ready = [
        Batch.of(batch.inputs.to(device), batch.targets)
        for batch in Parts.draw().training(wanted.batch_size, TRAINING_SAMPLES // wanted.batch_size)
    ]
    batches = [ready[step % len(ready)] for step in range(wanted.steps)]
    rates = rates_of(wanted.steps, learners)
    engine.train_steps(learners, batches, rates)
    _finished(device)
    began = time.perf_counter()
    engine.train_steps(learners, batches, rates)
    _finished(device)
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Stacked(wanted, seconds / wanted.steps, peak)


def _finished(device: torch.device) -> None:
    """A device works on while the program goes ahead; wait for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
