"""Which unit of one network does what a unit of another does.

The hidden units of a network can be put in any order without changing what it computes, so the
weights of two networks can be compared only after their units are matched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from structure_net.networks.assignment import matching
from structure_net.networks.parts import VALUE, Part

SWEEPS = 2  # the first knows only the layers before a layer, the second those after it too

Order = Int[np.ndarray, " _"]  # of any number of units


def aligned(
    ours: Sequence[Part], theirs: Sequence[Part], matched: Sequence[tuple[int, int]]
) -> dict[int, Order]:
    """For hidden layers of ours that are matched with one of theirs of equal width: `order`, their
    unit `order[i]` is the counterpart of our unit i.

    Units are matched so that the inner product of their incoming weights, biases and outgoing
    weights is largest in sum (Ainsworth et al. 2023), layer by layer from the inputs, each seen in
    the order found for those beside it. A layer with nothing to compare by is left out.
    """
    places = {own: their for own, their in matched if ours[own].units == theirs[their].units}
    orders: dict[int, Order] = {}
    for _ in range(SWEEPS):
        for layer, their in places.items():
            score = _score(ours, theirs, layer, their, places, orders)
            if score is not None:
                orders[layer] = matching(score)
    return orders


def source_order(
    layer: int,
    their: int,
    ours: Sequence[Part],
    theirs: Sequence[Part],
    places: dict[int, int],
    orders: dict[int, Order],
) -> Order | None:
    """The order of what feeds two sparse layers; None where their sources do not correspond."""
    if layer == 0 and their == 0:
        return np.arange(ours[0].sources)
    if layer > 0 and places.get(layer - 1) == their - 1:
        return orders.get(layer - 1)
    return None


def _score(
    ours: Sequence[Part],
    theirs: Sequence[Part],
    layer: int,
    their: int,
    places: dict[int, int],
    orders: dict[int, Order],
) -> Float[np.ndarray, "units units"] | None:
    """Similarity of each of our units to each of theirs, by what can be compared."""
    found = []
    sources = source_order(layer, their, ours, theirs, places, orders)
    if sources is not None:
        mine, other = _dense(ours[layer]), _dense(theirs[their])[:, sources]
        biases = torch.from_numpy(np.outer(ours[layer].biases[VALUE], theirs[their].biases[VALUE]))
        found.append(mine @ other.T + biases)
    targets = _target_order(layer, their, ours, theirs, places, orders)
    if targets is not None:
        mine, other = _dense(ours[layer + 1]), _dense(theirs[their + 1])[targets]
        found.append(mine.T @ other)
    if not found:
        return None
    total: np.ndarray = sum(found[1:], found[0]).numpy()
    return total


def _target_order(
    layer: int,
    their: int,
    ours: Sequence[Part],
    theirs: Sequence[Part],
    places: dict[int, int],
    orders: dict[int, Order],
) -> Order | None:
    """The order of the units that two hidden layers feed; None where they do not correspond."""
    if layer + 1 == len(ours) - 1 and their + 1 == len(theirs) - 1:
        return np.arange(ours[-1].units)
    return orders.get(layer + 1) if places.get(layer + 1) == their + 1 else None


def _dense(part: Part) -> torch.Tensor:
    """The weights as a matrix [units, sources]: multiplied by torch, whose one thread makes the
    same bits in every worker."""
    matrix = np.zeros(part.units * part.sources, dtype=np.float32)
    matrix[part.places] = part.numbers[VALUE]
    return torch.from_numpy(matrix.reshape(part.units, part.sources))
