"""Layers of one network in another: units find their counterparts, and what is taken is theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from structure_net.genome import Genome
from structure_net.networks import Body, merged
from structure_net.networks.alignment import aligned
from structure_net.networks.parts import FIRST, SECOND, VALUE
from tests.networks.living import body_of, numbers_at
from tests.networks.reference import genome

START = genome(30, [24, 16, 12], 5, 0.3)
EVERY = ((0, 0), (1, 1), (2, 2))


def permuted(body: Body, seed: int = 1) -> tuple[Body, list[np.ndarray]]:
    """The same function with the hidden units in another order: unit i goes to place order[i]."""
    draw = np.random.default_rng(seed)
    inner = [draw.permutation(gene.width) for gene in body.genome.hidden]
    orders = [np.arange(body.genome.inputs), *inner, np.arange(body.genome.classes)]
    parts = tuple(
        part.moved(orders[layer + 1], orders[layer], part.units, part.sources)
        for layer, part in enumerate(body.parts)
    )
    return replace(body, parts=parts), inner


def logits(body: Body) -> torch.Tensor:
    inputs = np.random.default_rng(5).normal(size=(1000, body.genome.inputs)).astype(np.float32)
    with torch.no_grad():
        return body.network()[0](torch.from_numpy(inputs))


@pytest.mark.parametrize("taken", [(0,), (1,), (2,), (3,), (0, 2), (1, 2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_network_crossed_with_its_permuted_copy_keeps_its_function(
    taken: tuple[int, ...], activation: str
) -> None:
    body = body_of(genome(30, [24, 16, 12], 5, 0.3, activation))  # type: ignore[arg-type]
    other, _ = permuted(body)
    assert not torch.equal(body.network()[0].values, other.network()[0].values)
    child = merged(body, other, EVERY, taken, 7, shrink=1.0, perturb=0.0)
    # The connections come back to where they were, so every bit does.
    assert torch.equal(logits(child), logits(body))
    for own, before in zip(child.parts, body.parts, strict=True):
        assert (own.places == before.places).all()


def test_planted_permutations_are_recovered_completely() -> None:
    for seed in range(10):
        body = body_of(START, seed)
        other, inner = permuted(body, seed)
        found = aligned(body.parts, other.parts, EVERY)
        assert all((found[layer] == order).all() for layer, order in enumerate(inner))


def test_they_are_recovered_under_noise_of_a_fifth_of_the_weights() -> None:
    body = body_of(START)
    other, inner = permuted(body)
    draw, parts = np.random.default_rng(2), []
    for part in other.parts:
        numbers = part.numbers.copy()
        numbers[VALUE] += draw.normal(0, 0.2 * numbers[VALUE].std(), numbers.shape[1])
        parts.append(replace(part, numbers=numbers))
    found = aligned(body.parts, tuple(parts), EVERY)
    assert all((found[layer] == order).mean() > 0.9 for layer, order in enumerate(inner))


def test_weights_are_shrunk_and_disturbed_and_nothing_is_remembered_of_them() -> None:
    body = body_of(START)
    other, _ = permuted(body)
    child = merged(body, other, EVERY, (1,), 7)
    shrunk = merged(body, other, EVERY, (1,), 7, shrink=0.6, perturb=0.0).parts[1]
    fresh = merged(body, other, EVERY, (1,), 7, shrink=0.0, perturb=1.0).parts[1]
    own = child.parts[1]
    assert shrunk.numbers[VALUE] == pytest.approx(0.6 * body.parts[1].numbers[VALUE], rel=1e-6)
    together = shrunk.numbers[VALUE] + 0.1 * fresh.numbers[VALUE]
    assert own.numbers[VALUE] == pytest.approx(together, rel=1e-5)
    squares = np.bincount(fresh.rows, fresh.numbers[VALUE] ** 2.0)
    assert squares == pytest.approx(2.0, rel=1e-5)  # drawn as a new network's behind relu
    assert own.biases[VALUE] == pytest.approx(0.6 * body.parts[1].biases[VALUE], rel=1e-6)
    assert (own.numbers[FIRST] == 0).all()
    assert np.isnan(own.numbers[SECOND]).all()
    for layer in (0, 2, 3):
        assert numbers_at(child.parts[layer]) == numbers_at(body.parts[layer])
    assert torch.equal(logits(merged(body, other, EVERY, (1,), 7)), logits(child))
    assert not torch.equal(logits(merged(body, other, EVERY, (1,), 8)), logits(child))


def test_layers_of_other_widths_or_sources_stay_the_primary_parents() -> None:
    """Layer 1 differs in width, so neither it nor layer 2, whose sources it is, can be taken."""
    body, other = body_of(START), body_of(genome(30, [24, 15, 12], 5, 0.3), 4)
    child = merged(body, other, EVERY, (0, 1, 2, 3), 7)
    assert child.genome == START
    assert [child.parts[layer] is body.parts[layer] for layer in range(4)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_deeper_parent_gives_the_layers_whose_sources_correspond() -> None:
    deep: Genome = genome(30, [24, 20, 16, 12], 5, 0.3)
    child = merged(body_of(START), body_of(deep, 4), ((0, 0), (1, 2), (2, 3)), (0, 1, 2, 3), 7)
    taken = [child.parts[layer] is not body_of(START).parts[layer] for layer in range(4)]
    assert taken[0]
    before = body_of(START)
    assert numbers_at(child.parts[1]) == numbers_at(before.parts[1])  # fed by an unmatched layer
    assert numbers_at(child.parts[2]) != numbers_at(before.parts[2])
    assert numbers_at(child.parts[3]) != numbers_at(before.parts[3])
