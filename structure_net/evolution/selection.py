"""Selection: members with results -> survivors; the same for the same draws.

A selection gets the members best first, the number wanted and a generator. It gives back some of
them, each once, at least one and at most as many as wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from structure_net.errors import RunFailedError
from structure_net.evolution.pareto import crowding, fronts, objectives
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

DRAWN = 3  # the k of best-of-k: the smallest with a choice beyond a coin; more is near truncation


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


@SELECTION.register("best-of-k")
def best_of_k(
    members: Sequence[Member], count: int, generator: np.random.Generator
) -> list[Member]:
    """The best of three drawn from the pool survives and leaves it; again until `count` did.

    The literature calls this tournament selection. A draw has no member twice.
    """
    pool = sorted(members, key=rank_key)
    survivors: list[Member] = []
    while pool and len(survivors) < count:
        drawn = generator.choice(len(pool), size=min(DRAWN, len(pool)), replace=False)
        survivors.append(pool.pop(int(drawn.min())))
    return sorted(survivors, key=rank_key)


@SELECTION.register("pareto")
def pareto(members: Sequence[Member], count: int, generator: np.random.Generator) -> list[Member]:
    """NSGA-II (Deb et al. 2002) on validation error and active parameters, front by front.

    Of a front that does not fit whole, those furthest from their neighbours; ties by `rank_key`.
    """
    ranked = sorted(members, key=rank_key)
    points = [objectives(member.result) for member in ranked]
    survivors: list[Member] = []
    for front in fronts(points):
        distances = crowding([points[place] for place in front])
        by_room = sorted(zip(distances, front, strict=True), key=lambda one: (-one[0], one[1]))
        survivors += [ranked[place] for _, place in by_room]
        if len(survivors) >= count:
            break
    return survivors[:count]


def survivors_of(
    name: str, ranking: Sequence[Member], count: int, generator: np.random.Generator
) -> tuple[Member, ...]:
    """The survivors among a ranking (best first) by the selection of that name.

    The best of the ranking always survives, so that the best fitness never falls from one
    generation to the next: where the selection left it out, its last choice gives way.
    RunFailedError where it gave back what a selection must not.
    """
    chosen = SELECTION.get(name)(list(ranking), count, generator)
    known = {id(member) for member in ranking}
    if not isinstance(chosen, list | tuple) or not all(id(one) in known for one in chosen):
        raise RunFailedError(
            f"The selection {name!r} returned {str(chosen)[:80]}; a list of the members that it "
            f"was given was expected."
        )
    if not 1 <= len(chosen) <= count or len({id(one) for one in chosen}) < len(chosen):
        raise RunFailedError(
            f"The selection {name!r} returned {len(chosen)} members, "
            f"{len({id(one) for one in chosen})} of them different, of {len(ranking)}; from 1 to "
            f"{count} different ones were expected."
        )
    if all(one is not ranking[0] for one in chosen):
        return (ranking[0], *chosen[:-1])
    return tuple(chosen)
