"""What the checks are played through: drawn genomes, results and members; and what they share."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from structure_net.evolution import Member, World, founders
from structure_net.genome import Genome, active_parameters, connection_count, dense_parameters
from structure_net.schema import Config, Trial, TrialResult
from structure_net.seeding import derive

# Two ends of what is trained: rows of five numbers, and images of 3 x 32 x 32.
SIZES = ((5, 2), (3072, 10))
SAMPLES = 144  # a validation part as small as that of digits: accuracies tie


def hold(condition: bool, sentence: str) -> None:
    """AssertionError with the sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def world_of(inputs: int, classes: int) -> World:
    """The default space with every choice open."""
    config = Config.model_validate(
        {
            "learning_rate_strategies": ("COSINE", "CONSTANT"),
            "space": {"normalisations": ("none", "rms")},
        }
    )
    return World.of(config, inputs, classes)


def drawn_genomes(world: World, count: int, seed: int) -> list[Genome]:
    """Founders, named architectures and random ones."""
    return founders(world, count, derive(seed, "checked genomes", world.inputs))


def drawn_result(number: int, genome: Genome, generator: np.random.Generator) -> TrialResult:
    """A result that training could have given: any accuracy, the genome's true sizes."""
    return TrialResult(
        trial=Trial(number=number, generation=0, genome=genome, seed=number, epochs=1),
        validation_accuracy=int(generator.integers(SAMPLES + 1)) / SAMPLES,
        validation_loss=float(generator.exponential()),
        train_loss=float(generator.exponential()),
        active_parameters=active_parameters(genome),
        dense_parameters=dense_parameters(genome),
        connections=connection_count(genome),
        batch_size=32,
        engine="csr",
        cost=6 * connection_count(genome),
        network_sha256=f"{number:064x}",
    )


def drawn_members(count: int, seed: int) -> list[Member]:
    """A population in which genomes, sizes and fitnesses tie, in no order."""
    draw = derive(seed, "checked members", count)
    pool = drawn_genomes(world_of(*SIZES[0]), max(2, count // 2), seed)
    members = []
    for number in draw.permutation(count):
        result = drawn_result(int(number), pool[int(draw.integers(len(pool)))], draw)
        members.append(Member(result, round(result.validation_accuracy, 1), frozenset()))
    return members


@contextmanager
def only_given_draws(what: str, of: Sequence[str] = ("Python", "numpy", "torch")) -> Iterator[None]:
    """Inside, the global generators of Python, numpy and torch must stay where they are."""
    before = _global_states()
    yield
    for name, state in _global_states().items():
        hold(
            name not in of or name not in before or state == before[name],
            f"{what} draws from the global generator of {name}. Draw from the generator that is "
            f"passed in, and from nothing else: results must follow from the run's seed.",
        )


def _global_states() -> dict[str, Any]:
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    states: dict[str, Any] = {"Python": random.getstate(), "numpy": repr(numpy_state)}
    if "torch" in sys.modules:
        import torch

        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states
