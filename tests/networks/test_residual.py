"""Residual blocks in live networks: inserted without a change, counted, saved, and gone again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.genome import (
    ACTIVATIONS,
    BLOCK_LAYERS,
    NORMALISATIONS,
    Activation,
    BlockKind,
    Edit,
    Genome,
    InsertLayer,
    InsertResidualBlock,
    Normalisation,
    RemoveLayer,
    RemoveResidualBlock,
    ResizeLayer,
    ScaleDensity,
    SetDensity,
    active_parameters,
    apply_edit,
    connection_count,
    dense_parameters,
)
from structure_net.networks import (
    Body,
    build_network,
    edited,
    load_alive,
    load_network,
    merged,
    reshaped,
    save_network,
    save_state,
)
from structure_net.networks.state_file import STATE_HASH
from structure_net.seeding import derive
from tests.networks.living import body_of, guaranteed, living, numbers_at
from tests.networks.reference import description, genome, pairs
from tests.networks.residual import awake, logits, with_blocks

INPUTS = np.random.default_rng(9).normal(size=(1000, 30)).astype(np.float32)
PLAIN = genome(30, [16, 12, 8], 5, 0.3)
MANY = with_blocks(PLAIN, [(0, "two_layer"), (1, "three_layer"), (1, "two_layer")])


def after(body: Body, edit: Edit, seed: int = 3) -> Body:
    return edited(body, edit, derive(seed, "edit"))


def outputs(body: Body) -> np.ndarray:
    return logits(body.network()[0], INPUTS)


def alive(start: Genome, seed: int = 0) -> Body:
    """A trained network, no block of which is still at 0."""
    _, state = living(start, seed)
    return Body.of(awake(start, seed), state)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_is_the_definition(activation: Activation, normalisation: Normalisation) -> None:
    plain = genome(30, [16, 12, 8], 5, 0.3, activation, normalisation=normalisation)
    network = awake(with_blocks(plain, [(0, "two_layer"), (2, "three_layer")] * 2), 1)
    found = network(torch.from_numpy(INPUTS)).detach().double().numpy()
    expected = logits(network, INPUTS)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert (expected < 0).any()


@pytest.mark.parametrize("kind", BLOCK_LAYERS)
@pytest.mark.parametrize("junction", range(3))
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_insertion_changes_no_logit(
    activation: Activation, normalisation: Normalisation, junction: int, kind: BlockKind
) -> None:
    start = genome(30, [16, 12, 8], 5, 0.3, activation, normalisation=normalisation)
    body = body_of(with_blocks(start, [(1, "two_layer")]))
    grown = after(body, InsertResidualBlock(junction=junction, block=kind))
    before, now = (
        one.network()[0](torch.from_numpy(INPUTS)).detach().numpy() for one in (body, grown)
    )
    assert np.abs(before - now).max() <= 1e-5 * max(1.0, np.abs(before).max())


@pytest.mark.parametrize("kind", BLOCK_LAYERS)
def test_what_was_there_stays_to_the_bit(kind: BlockKind) -> None:
    body = alive(MANY)
    grown = after(body, InsertResidualBlock(junction=1, block=kind))
    new = range(9, 9 + BLOCK_LAYERS[kind])  # behind the two blocks of that junction
    assert len(grown.parts) == len(body.parts) + len(new)
    old = [part for layer, part in enumerate(grown.parts) if layer not in new]
    for was, part in zip(body.parts, old, strict=True):
        assert numbers_at(was) == numbers_at(part)
        assert was.biases.tobytes() == part.biases.tobytes()
    _, state = grown.network()
    _, before = body.network()
    assert state.steps == before.steps
    sizes = [*grown.genome.counts, *grown.genome.bias_counts]
    kept = np.concatenate(
        [np.full(size, i % len(grown.parts) not in new) for i, size in enumerate(sizes)]
    )
    for name in ("first_moment", "second_moment", "age"):
        assert getattr(state, name)[kept].tobytes() == getattr(before, name).tobytes()
    assert (state.second_moment[kept] > 0).all()
    assert not state.second_moment[~kept].any()  # Adam's law from the first step on


def test_only_the_last_matrix_starts_at_zero_and_moves_first() -> None:
    """Its gradient is not 0 at the first step, that before it from the second step on."""
    network = build_network(MANY, 1)
    batch, labels = torch.from_numpy(INPUTS[:64]), torch.arange(64) % 5
    ends = [index for index, plan in enumerate(MANY.plans) if plan.skip]
    inside = [index for index in range(len(MANY.plans)) if index not in (*MANY.trunk, *ends)]
    assert len(ends) == 3
    assert len(inside) == 4
    for step in range(2):
        network.zero_grad()
        torch.nn.functional.cross_entropy(network(batch), labels).backward()
        assert network.values.grad is not None
        gradients = network.split(network.values.grad)
        for index in range(len(MANY.plans)):
            weights = network.weights(index)
            assert bool((weights == 0).all()) == (index in ends and step == 0)
            assert bool((gradients[index] == 0).all()) == (index in inside and step == 0)
        with torch.no_grad():
            network.values -= 0.1 * network.values.grad


def test_as_many_blocks_as_insertions_and_exact_counts(tmp_path: Path) -> None:
    draw = derive(0, "blocks")
    body = body_of(PLAIN)
    for count in range(1, 7):
        kind: BlockKind = "two_layer" if draw.integers(2) else "three_layer"
        edit = InsertResidualBlock(junction=int(draw.integers(3)), block=kind)
        expected = apply_edit(body.genome, edit)
        body = after(body, edit)
        own = body.genome
        assert own == expected
        assert sum(map(len, own.blocks)) == count
        network, state = body.network()
        live = sum(len(pairs(network, index)) for index in range(len(network.layers)))
        biases = sum(own.architecture[1:])
        biases += sum(b.width * (len(b.densities) - 1) for behind in own.blocks for b in behind)
        assert connection_count(own) == live
        assert active_parameters(own) == live + biases == len(network.values)
        possible = sum(part.sources * part.units for part in body.parts)
        assert dense_parameters(own) == possible + biases
        assert guaranteed(body)
    path = tmp_path / "grown.safetensors"
    sha = save_state(state, path)
    given = description(network)
    save_network(network, path, **{**given, "training": {STATE_HASH: sha}})
    read, described = load_network(path)
    assert described.genome == read.genome == own
    assert read.values.detach().numpy().tobytes() == network.values.detach().numpy().tobytes()
    again, remembered = load_alive(path)
    assert torch.equal(again(torch.from_numpy(INPUTS)), network(torch.from_numpy(INPUTS)))
    assert remembered.second_moment.tobytes() == state.second_moment.tobytes()


@pytest.mark.parametrize(
    "edit",
    [
        InsertLayer(place=2, width=12),
        InsertLayer(place=0, width=29),
        *(ResizeLayer(layer=layer, width=width) for layer in range(3) for width in (17, 40)),
        *(SetDensity(layer=layer, density=1.0) for layer in range(9)),
        ScaleDensity(overall_density=0.6),
    ],
    ids=str,
)
def test_exact_edits_are_exact_beside_blocks(edit: Edit) -> None:
    body = alive(MANY)
    changed = after(body, edit)
    before, now = outputs(body), outputs(changed)
    assert changed.genome == apply_edit(MANY, edit)
    assert np.abs(before - now).max() <= 1e-9 * max(1.0, np.abs(before).max())
    assert guaranteed(changed)


@pytest.mark.parametrize(
    "edit",
    [
        *(RemoveLayer(layer=layer) for layer in range(3)),
        *(ResizeLayer(layer=layer, width=3) for layer in range(3)),
        InsertLayer(place=1, width=4),
        SetDensity(layer=2, density=0.01),
        ScaleDensity(overall_density=0.01),
    ],
    ids=str,
)
def test_other_edits_give_the_edited_genome(edit: Edit) -> None:
    changed = after(alive(MANY), edit)
    assert changed.network()[0].genome == apply_edit(MANY, edit)
    assert guaranteed(changed)


def test_removal_is_the_last_matrix_at_zero() -> None:
    body = alive(MANY)
    without = after(body, RemoveResidualBlock(junction=1, place=0))
    silent = list(body.parts)
    numbers = silent[6].numbers.copy()
    numbers[0] = 0.0
    silent[6] = replace(silent[6], numbers=numbers)
    expected = outputs(replace(body, parts=tuple(silent)))
    assert np.abs(outputs(without) - expected).max() <= 1e-9 * np.abs(expected).max()
    assert not np.allclose(outputs(body), expected)
    for was, part in zip((*body.parts[:4], *body.parts[7:]), without.parts, strict=True):
        assert numbers_at(was) == numbers_at(part)


def test_another_genome_keeps_the_blocks_that_it_shares() -> None:
    """As after crossover: one block goes, one stays with its weights, one is new and silent."""
    body = alive(MANY)
    wanted = apply_edit(MANY, RemoveResidualBlock(junction=1, place=0))
    less = reshaped(body, wanted, derive(1, "less"))
    wanted = apply_edit(wanted, InsertResidualBlock(junction=2, block="three_layer"))
    found = reshaped(body, wanted, derive(1, "both"))
    assert found.genome == wanted
    assert np.array_equal(outputs(less), outputs(found))
    assert numbers_at(found.parts[4]) == numbers_at(body.parts[7])


def test_crossover_leaves_the_blocks_of_the_primary() -> None:
    first, second = alive(MANY, 1), alive(with_blocks(PLAIN, [(0, "three_layer")]), 2)
    matched = [(0, 0), (1, 1), (2, 2)]
    child = merged(first, second, matched, [1, 3], seed=5)
    assert child.genome == first.genome
    taken = {MANY.trunk[1], MANY.trunk[3]}
    for layer, (was, part) in enumerate(zip(first.parts, child.parts, strict=True)):
        assert (numbers_at(was) != numbers_at(part)) == (layer in taken)
    # A network merged with itself, nothing shrunk: units stay in their order, so nothing moves.
    same = merged(first, first, matched, [0, 1, 2, 3], 5, shrink=1.0, perturb=0.0)
    assert np.allclose(outputs(same), outputs(first))
