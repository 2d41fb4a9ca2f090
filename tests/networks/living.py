"""Networks as training leaves them: every value and moment of its own, drawn for tests."""

from __future__ import annotations

import numpy as np
import torch

from structure_net.genome import Genome
from structure_net.networks import Body, Network, OptimizerState, build_network
from structure_net.networks.parts import Part

STEPS = 321


def living(genome: Genome, seed: int = 0) -> tuple[Network, OptimizerState]:
    """A network with drawn biases, and an optimizer's state no two numbers of which are alike."""
    draw = np.random.default_rng(seed)
    network = build_network(genome, seed)
    count = len(network.values)
    biases = draw.normal(0, 0.3, count - network.connection_count).astype(np.float32)
    with torch.no_grad():
        network.values[network.connection_count :] = torch.from_numpy(biases)
    moments = draw.normal(0, 1, count), draw.uniform(0.1, 2, count), draw.uniform(1, STEPS, count)
    first, second, age = (vector.astype(np.float32) for vector in moments)
    return network, OptimizerState(first, second, age, STEPS)


def body_of(genome: Genome, seed: int = 0) -> Body:
    return Body.of(*living(genome, seed))


def numbers_at(part: Part) -> dict[tuple[int, int], tuple[float, ...]]:
    """(unit, source) -> value, first moment, second moment, age; by plain loops."""
    told = {}
    for place, numbers in zip(part.places.tolist(), part.numbers.T.tolist(), strict=True):
        told[divmod(place, part.sources)] = tuple(numbers)
    assert len(told) == len(part.places)
    return told


def guaranteed(body: Body) -> bool:
    """No unit without source, no hidden source without unit, no place twice, in order; what a skip
    feeds, or leads on from, needs nothing else."""
    plans = body.genome.plans
    for layer, part in enumerate(body.parts):
        pairs = [divmod(place, part.sources) for place in part.places.tolist()]
        into, out_of = {unit for unit, _ in pairs}, {source for _, source in pairs}
        opens = any(plan.skip and layer == last - plan.skip + 1 for last, plan in enumerate(plans))
        if sorted(set(pairs)) != pairs:
            return False
        if into != set(range(part.units)) and not plans[layer].skip:
            return False
        if layer > 0 and not opens and out_of != set(range(part.sources)):
            return False
    return True
