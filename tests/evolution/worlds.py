"""Scripted outcomes for evolution, and the bounds of the space checked by other means."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from structure_net.evolution import Evolution, Outcome, Selected
from structure_net.genome import Genome, active_parameters, connection_count, dense_parameters
from structure_net.schema import Config, Trial, TrialFailed, TrialResult

STRATEGIES = ("COSINE", "CONSTANT")
Score = Callable[[Trial], float | None]


def config_of(**fields: Any) -> Config:
    """Without inherited weights, which add continuations: tests/evolution/test_inheritance.py."""
    own = {"learning_rate_strategies": STRATEGIES, "inherit": "none"}
    return Config.model_validate({**own, **fields})


def result_of(trial: Trial, accuracy: float, **fields: Any) -> TrialResult:
    """What training would tell, with an accuracy chosen by the test."""
    told = {
        "trial": trial,
        "validation_accuracy": accuracy,
        "validation_loss": 1.0,
        "train_loss": 1.0,
        "active_parameters": active_parameters(trial.genome),
        "dense_parameters": dense_parameters(trial.genome),
        "connections": connection_count(trial.genome),
        "batch_size": 32,
        "engine": "csr",
        "cost": 6 * connection_count(trial.genome),
        "network_sha256": "ab" * 32,
        **fields,
    }
    return TrialResult.model_validate(told)


def failure_of(trial: Trial, reason: str = "the loss is not finite", cost: int = 7) -> TrialFailed:
    return TrialFailed(
        generation=trial.generation,
        trial=trial.number,
        genome=trial.genome,
        seed=trial.seed,
        parents=trial.parents,
        failure="diverged",
        reason=reason,
        cost=cost,
    )


def outcomes_of(trials: list[Trial], score: Score) -> dict[int, Outcome]:
    """`score` gives an accuracy, or None for a failed trial."""
    told: dict[int, Outcome] = {}
    for trial in trials:
        accuracy = score(trial)
        told[trial.number] = failure_of(trial) if accuracy is None else result_of(trial, accuracy)
    return told


def by_content(trial: Trial) -> float:
    """An accuracy that depends on the genome alone, in [0, 1), far from any order of numbers."""
    return int(trial.genome.id, 16) % 10_007 / 10_007


def play(
    config: Config,
    inputs: int = 64,
    classes: int = 10,
    score: Score = by_content,
    order: Callable[[Mapping[int, Outcome]], Mapping[int, Outcome]] = dict,
) -> tuple[list[list[Trial]], list[Selected]]:
    """A whole search with scripted outcomes: the trials and the selection of every generation."""
    evolution = Evolution(config, inputs, classes)
    asked, told = [], []
    for _ in range(config.generations):
        asked.append(evolution.ask())
        told.append(evolution.tell(order(outcomes_of(asked[-1], score))))
    return asked, told


def assert_inside(genome: Genome, config: Config, inputs: int, classes: int) -> None:
    """Every bound of the space from the genome's stored text, with whole numbers."""
    stored = json.loads(genome.model_dump_json())
    widths = [layer["width"] for layer in stored["hidden"]]
    ends = [stored["inputs"], *widths, stored["classes"]]
    assert (ends[0], ends[-1]) == (inputs, classes)
    space = config.space
    factor = math.sqrt(inputs / 3072) if inputs < 3072 else 1.0
    narrow = max(min(space.min_width, 8), round(space.min_width * factor))
    wide = max(min(space.max_width, 8), round(space.max_width * factor))
    assert all(narrow <= width <= wide for width in widths)
    densities = [*(layer["density"] for layer in stored["hidden"]), stored["output_density"]]
    layers = [  # density, sources, units, fewest connections
        (densities[layer], sources, units, units if layer == 0 else max(units, sources))
        for layer, (sources, units) in enumerate(pairwise(ends))
    ]
    inside = 0
    for gene in stored["hidden"]:
        for block in gene.get("blocks", ()):
            assert config.enable_residual_blocks
            own, last = block["width"], len(block["densities"]) - 1
            inside += own * last
            between = [gene["width"], *[own] * last, gene["width"]]
            layers += [
                (density, sources, units, own)
                for density, (sources, units) in zip(
                    block["densities"], pairwise(between), strict=True
                )
            ]
    assert 2 <= len(layers) <= config.max_layers
    counts, floors = [], []
    for density, sources, units, fewest in layers:
        count = Fraction(density) * sources * units
        counts.append(round(count))
        floors.append(fewest)
        assert abs(count - counts[-1]) < Fraction(1, 10**6)
        assert floors[-1] <= counts[-1] <= sources * units
    possible = sum(sources * units for _, sources, units, _ in layers)
    half = 0.5 + 1e-9 * possible
    assert sum(counts) >= space.min_density * possible - half
    assert sum(counts) <= max(space.max_density * possible + half, sum(floors))
    if space.max_parameters is not None:
        assert sum(counts) + sum(ends[1:]) + inside <= space.max_parameters
    assert stored["activation"] in space.activations
    assert stored["normalisation"] in space.normalisations
    assert space.min_learning_rate <= stored["base_learning_rate"] <= space.max_learning_rate
    assert stored["strategy"] in config.learning_rate_strategies
