"""Crossover with weights: layers of one network transplanted into another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from structure_net.networks.alignment import Order, aligned, source_order
from structure_net.networks.initialise import GAIN_SQUARED, he_weights
from structure_net.networks.parts import VALUE, Part, unknown
from structure_net.networks.surgery import Body
from structure_net.seeding import derive

# Ash & Adams 2020: weights that others trained are made smaller and disturbed, so that training
# does not stay where they were.
SHRINK, PERTURB = 0.6, 0.1


def merged(
    primary: Body,
    other: Body,
    matched: Sequence[tuple[int, int]],
    taken: Sequence[int],
    seed: int,
    *,
    shrink: float = SHRINK,
    perturb: float = PERTURB,
) -> Body:
    """`primary` with the sparse layers `taken` from `other`, where widths and sources correspond.

    `matched` pairs hidden layers of the two. `taken` are numbered without the layers of residual
    blocks, which stay the primary's. The units of `other` are put in the order of their
    counterparts; weights become shrink * w + perturb * w_fresh, biases are shrunk; nothing is
    remembered of them. A taken layer of another width, or fed by another, stays the primary's.
    """
    ours, theirs = _outside_blocks(primary), _outside_blocks(other)
    orders = aligned(ours, theirs, matched)
    places = dict(matched)
    last = len(ours) - 1
    places[last] = len(theirs) - 1
    orders[last] = np.arange(primary.genome.classes)
    parts = list(primary.parts)
    for layer in taken:
        sources = source_order(layer, places[layer], ours, theirs, places, orders)
        if layer in orders and sources is not None:
            gain = 1.0 if layer in (0, last) else GAIN_SQUARED[primary.genome.activation]
            part = _reordered(theirs[places[layer]], orders[layer], sources)
            fresh = he_weights(part.connections, gain, derive(seed, "perturb", layer))
            parts[primary.genome.trunk[layer]] = _shrunk(part, fresh, shrink, perturb)
    return replace(primary, parts=tuple(parts))


def _outside_blocks(body: Body) -> list[Part]:
    return [body.parts[layer] for layer in body.genome.trunk]


def _reordered(part: Part, units: Order, sources: Order) -> Part:
    """Unit `units[i]` at place i, source `sources[j]` at place j."""
    return part.moved(np.argsort(units), np.argsort(sources), part.units, part.sources)


def _shrunk(part: Part, fresh: np.ndarray, shrink: float, perturb: float) -> Part:
    numbers, biases = unknown(len(part.places)), unknown(part.units)
    numbers[VALUE] = shrink * part.numbers[VALUE] + perturb * fresh
    biases[VALUE] = shrink * part.biases[VALUE]
    return replace(part, numbers=numbers, biases=biases)
