"""Fitness: a result -> one number, larger is better. The seed's is the default."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

from structure_net.errors import RunFailedError
from structure_net.registry import Registry
from structure_net.schema import TrialResult

Fitness = Callable[[TrialResult], float]
FITNESS: Registry[Fitness] = Registry("fitness")

# Without a floor, 31 weights at chance level would beat every network that learnt something.
PARAMETER_FLOOR = 1000


@FITNESS.register("seed")
def seed_fitness(result: TrialResult) -> float:
    """0.7 accuracy + 0.3 efficiency; efficiency = accuracy per 1,000 active parameters, floored."""
    efficiency = result.validation_accuracy * PARAMETER_FLOOR
    efficiency /= max(result.active_parameters, PARAMETER_FLOOR)
    return 0.7 * result.validation_accuracy + 0.3 * efficiency


@FITNESS.register("accuracy")
def accuracy_fitness(result: TrialResult) -> float:
    """Validation accuracy alone."""
    return result.validation_accuracy


def fitness_of(name: str, result: TrialResult) -> float:
    """The fitness of that name; RunFailedError unless it is a finite number."""
    value: object = FITNESS.get(name)(result)  # whatever a user's function gives
    if not isinstance(value, Real) or not math.isfinite(value):
        raise RunFailedError(
            f"The fitness {name!r} gave {str(value)[:80]}, a {type(value).__name__}, for trial "
            f"{result.number}. It must be a finite number for every finished trial."
        )
    return float(value)
