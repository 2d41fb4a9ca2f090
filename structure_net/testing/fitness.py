"""The contract of a fitness."""

from __future__ import annotations

import math
from numbers import Real

from structure_net.evolution import Fitness
from structure_net.schema import TrialResult
from structure_net.seeding import derive
from structure_net.testing.cases import (
    SIZES,
    drawn_genomes,
    drawn_result,
    hold,
    only_given_draws,
    world_of,
)


def check_fitness(fitness: Fitness, *, cases: int = 200, seed: int = 0) -> None:
    """A finite number for every result, the same each time, and the result left as it was.

    Accuracies from 0 to 1 occur, and networks from 5 inputs to 3,072.
    """
    name = getattr(fitness, "__name__", repr(fitness))
    for inputs, classes in SIZES:
        genomes = drawn_genomes(world_of(inputs, classes), cases, seed)
        draw = derive(seed, "checked results", inputs)
        for number, genome in enumerate(genomes):
            result = drawn_result(number, genome, draw)
            before = result.model_dump_json()
            with only_given_draws(name):
                value, again = _given(fitness, result), _given(fitness, result)
            hold(
                isinstance(value, Real) and math.isfinite(value),
                f"{name} gave {value!r}, and a finite number was expected, for {result!r}.",
            )
            hold(value == again, f"{name} gave {value} and then {again} for one result: {result!r}")
            hold(result.model_dump_json() == before, f"{name} changed the result it was given.")


def _given(fitness: Fitness, result: TrialResult) -> object:
    """What a user's function gives may be of any type."""
    return fitness(result)
