"""Canonical order: the function, the optimizer and the way training goes on do not see it."""

from __future__ import annotations

import numpy as np
import torch

from structure_net.engine import AdamW, Batch, DenseEngine, Learner
from structure_net.genome import Genome, Normalisation, ResizeLayer, apply_edit
from structure_net.networks import Body, canonical_order
from structure_net.networks.parts import VALUE
from tests.networks.living import body_of
from tests.networks.reference import genome
from tests.networks.residual import with_blocks

DRAW = np.random.default_rng(5)
INPUTS = torch.from_numpy(DRAW.normal(size=(500, 30)).astype(np.float32))


def shape(normalisation: Normalisation = "rms") -> Genome:
    """Blocks behind two layers, two behind one; the last layer has units that came later."""
    plain = genome(30, [16, 12, 8], 5, 0.3, "gelu", normalisation=normalisation)
    wider = apply_edit(plain, ResizeLayer(layer=2, width=11))
    return with_blocks(wider, [(0, "three_layer"), (0, "two_layer"), (1, "two_layer")])


def living_body() -> Body:
    draw = np.random.default_rng(6)
    body = body_of(shape(), 2)
    for plan, part in zip(body.genome.plans, body.parts, strict=True):
        part.numbers[VALUE] *= draw.uniform(0.5, 1.5, len(part.places))
        if plan.skip:
            part.numbers[VALUE] = draw.normal(0, 0.4, len(part.places))
    return body


def logits(body: Body) -> torch.Tensor:
    with torch.no_grad():
        return body.network()[0](INPUTS)


def test_the_function_stays_and_norms_descend_members_first() -> None:
    body = living_body()
    ordered = canonical_order(body)
    assert ordered.genome == body.genome
    assert torch.allclose(logits(ordered), logits(body), rtol=0, atol=1e-5)
    moved = 0
    for layer, (plan, part, old) in enumerate(
        zip(body.genome.plans, ordered.parts, body.parts, strict=True)
    ):
        assert sorted(part.numbers.T.tolist()) == sorted(old.numbers.T.tolist())
        moved += int(not np.array_equal(part.places, old.places))
        if plan.skip or layer == len(body.genome.plans) - 1:
            continue
        norms = [
            float(np.square(part.numbers[VALUE, part.rows == u]).sum()) for u in range(plan.units)
        ]
        for own in (norms[: plan.members], norms[plan.members :]):
            assert own == sorted(own, reverse=True)
    assert moved == len(body.parts)
    again = canonical_order(ordered)
    for one, other in zip(again.parts, ordered.parts, strict=True):
        assert np.array_equal(one.places, other.places)
        assert np.array_equal(one.numbers, other.numbers)
        assert np.array_equal(one.biases, other.biases)


def test_equal_norms_stand_by_their_first_source() -> None:
    body = body_of(genome(30, [6], 5, 0.3))
    part = body.parts[0]
    for unit in range(6):
        own = part.rows == unit
        part.numbers[VALUE, own] = 1.0 / np.sqrt(own.sum())
    ordered = canonical_order(body).parts[0]
    first = [int(ordered.columns[ordered.rows == unit].min()) for unit in range(6)]
    norms = [float(np.square(ordered.numbers[VALUE, ordered.rows == u]).sum()) for u in range(6)]
    assert sorted(zip([-one for one in norms], first, strict=True)) == [
        (-one, source) for one, source in zip(norms, first, strict=True)
    ]


def test_training_goes_on_alike() -> None:
    """Ten steps of each; the connection that was moved ends where it would have ended."""
    batches = [
        Batch.of(
            torch.from_numpy(DRAW.normal(size=(40, 30)).astype(np.float32)),
            torch.from_numpy(DRAW.integers(0, 5, 40)),
        )
        for _ in range(10)
    ]
    found = []
    for body in (living_body(), canonical_order(living_body())):
        network, state = body.network()
        optimizer = AdamW(network, 1e-4, (1e-6, 1e-2))
        optimizer.restore(state)
        learner = Learner(network, optimizer)
        DenseEngine().train_steps([learner], batches, torch.full((10, 1), 0.001))
        with torch.no_grad():
            found.append((network(INPUTS), network.values.sort().values))
    assert torch.allclose(found[0][0], found[1][0], rtol=0, atol=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=0, atol=1e-5)
