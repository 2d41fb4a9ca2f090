"""Selection: members with results -> survivors, best first; the same for the same draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from structure_net.registry import Registry
from structure_net.schema import TrialResult


@dataclass(frozen=True)
class Member:
    """A trial with a result and its fitness; `ancestors` are trial numbers, all of them.
    `ancestors_cost` is what training them cost, each once, in FLOP."""

    result: TrialResult
    fitness: float
    ancestors: frozenset[int]
    ancestors_cost: int = 0


Selection = Callable[[Sequence[Member], int, np.random.Generator], list[Member]]
SELECTION: Registry[Selection] = Registry("selection")


def rank_key(member: Member) -> tuple[float, int, str, int]:
    """Fitness descending, then fewer connections, genome id, trial number: no order is chance."""
    result = member.result
    return (-member.fitness, result.connections, result.genome.id, result.number)


@SELECTION.register("truncation")
def truncation(
    members: Sequence[Member], count: int, generator: np.random.Generator
) -> list[Member]:
    """The best `count` (the seed's rule)."""
    return sorted(members, key=rank_key)[:count]
