"""One order of the hidden units for all networks that differ by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from structure_net.networks.parts import VALUE, Part
from structure_net.networks.surgery import Body

# Where each unit goes; of any number of units.
Moves = Int[np.ndarray, " _"]


def canonical_order(body: Body) -> Body:
    """The body with the units of each hidden layer by descending norm of their incoming weights;
    ties by their first source, then as they stood. What it computes stays, and what its optimizer
    remembers moves with each connection.

    Layers that a residual block's sum joins share the order of the first. Where a layer is
    normalised its members stay in front. Doing it again changes nothing.
    """
    genome, junction = body.genome, np.zeros(0, dtype=np.int64)
    parts: list[Part] = []
    sources = np.arange(genome.inputs)
    for layer, (plan, part) in enumerate(zip(genome.plans, body.parts, strict=True)):
        stay = np.arange(plan.units)
        part = part.moved(stay, sources, plan.units, plan.sources)
        if plan.skip:
            units = junction
        elif layer == len(genome.plans) - 1:
            units = stay
        else:
            members = plan.members if genome.normalisation == "rms" else plan.units
            units = _moves(part, members)
        if layer in genome.trunk:
            junction = units
        parts.append(part.moved(units, np.arange(plan.sources), plan.units, plan.sources))
        sources = units
    return replace(body, parts=tuple(parts))


def _moves(part: Part, members: int) -> Moves:
    squares = np.bincount(part.rows, weights=part.numbers[VALUE] ** 2.0, minlength=part.units)
    first = np.full(part.units, part.sources)
    np.minimum.at(first, part.rows, part.columns)
    came_later = np.arange(part.units) >= members
    order = np.lexsort((np.arange(part.units), first, -squares, came_later))
    moves = np.empty_like(order)
    moves[order] = np.arange(part.units)
    return moves
