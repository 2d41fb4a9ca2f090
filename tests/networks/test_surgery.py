"""Edits on live networks: counts, what stays to the bit, and the function where it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    Edit,
    Genome,
    InsertLayer,
    RemoveLayer,
    ResizeLayer,
    ScaleDensity,
    SetActivation,
    SetDensity,
    SetLearningRate,
    SetNormalisation,
    SetStrategy,
    apply_edit,
    overall_density,
)
from structure_net.networks import Body, edited, load_network, reshaped, save_network
from structure_net.networks.fitting import absent_places, fitted
from structure_net.networks.parts import AGE, VALUE, Part, unknown
from structure_net.networks.surgery import utility
from structure_net.seeding import derive
from tests.networks.living import STEPS, body_of, guaranteed, living, numbers_at
from tests.networks.reference import description, genome, logits, matrices

START = genome(30, [16, 12, 8], 5, 0.3)
INPUTS = np.random.default_rng(9).normal(size=(1000, 30)).astype(np.float32)

NOTHING_CHANGES: tuple[Edit, ...] = (
    SetLearningRate(base_learning_rate=0.02),
    SetStrategy(strategy="COSINE"),
)
EXACT: tuple[Edit, ...] = (
    *NOTHING_CHANGES,
    SetDensity(layer=1, density=0.9),
    SetDensity(layer=3, density=1.0),
    ScaleDensity(overall_density=0.55),
    *(ResizeLayer(layer=layer, width=width) for layer in range(3) for width in (17, 40)),
    *(InsertLayer(place=place, width=16) for place in range(4)),
    InsertLayer(place=1, width=12),
    InsertLayer(place=3, width=25),
    InsertLayer(place=0, width=29),
)
INEXACT: tuple[Edit, ...] = (
    SetDensity(layer=0, density=0.05),
    SetDensity(layer=1, density=0.01),
    ScaleDensity(overall_density=0.1),
    *(ResizeLayer(layer=layer, width=width) for layer in range(3) for width in (1, 5)),
    *(RemoveLayer(layer=layer) for layer in range(3)),
    InsertLayer(place=2, width=4),
    InsertLayer(place=3, width=2),
    InsertLayer(place=0, width=3),
    SetActivation(activation="tanh"),
    SetNormalisation(normalisation="rms"),
)


def after(body: Body, edit: Edit, seed: int = 3, **more: Any) -> Body:
    return edited(body, edit, derive(seed, "edit"), **more)


def outputs(body: Body) -> np.ndarray:
    """By loops over the connections, in float64."""
    network, _ = body.network()
    own, members = body.genome, [plan.members for plan in body.genome.plans]
    return logits(matrices(network), own.activation, INPUTS, own.normalisation, members)


def named(edit: Edit) -> str:
    return "-".join(str(value) for value in edit.model_dump().values())


def assert_same_function(one: Body, other: Body) -> None:
    """Exact as the design has it: 1e-5 of the largest logit; here from float64 sums, so closer."""
    before, now = outputs(one), outputs(other)
    assert np.abs(before - now).max() <= 1e-9 * max(1.0, np.abs(before).max())


@pytest.mark.parametrize("edit", [*EXACT, *INEXACT], ids=named)
@pytest.mark.parametrize("start", [START, genome(30, [16, 12, 8], 5, 1e-9)], ids=["30 %", "least"])
def test_the_network_is_that_of_the_edited_genome(start: Genome, edit: Edit) -> None:
    body = after(body_of(start), edit)
    expected = apply_edit(start, edit)
    network, state = body.network()
    assert body.genome == network.genome == expected
    assert (
        tuple(len(network.layer(index)) for index in range(len(network.layers))) == expected.counts
    )
    assert guaranteed(body)
    assert state.steps == STEPS
    for vector in (network.values.detach().numpy(), state.first_moment, state.second_moment):
        assert vector.shape == (sum(expected.counts) + sum(expected.architecture[1:]),)
        assert np.isfinite(vector).all()
    assert ((state.second_moment > 0) == (state.age > 0)).all()
    assert (state.age >= 0).all()


@pytest.mark.parametrize("edit", EXACT, ids=named)
def test_edits_that_keep_the_function_keep_it(edit: Edit) -> None:
    body = body_of(START)
    assert_same_function(body, after(body, edit))


@pytest.mark.parametrize("edit", NOTHING_CHANGES, ids=named)
def test_edits_of_training_alone_change_no_number(edit: Edit) -> None:
    before = living(START)
    network, state = after(Body.of(*before), edit).network()
    assert torch.equal(network.values, before[0].values)
    assert (state.first_moment == before[1].first_moment).all()
    assert (state.second_moment == before[1].second_moment).all()
    assert (state.age == before[1].age).all()


@pytest.mark.parametrize(
    "edit",
    [
        SetDensity(layer=1, density=0.9),
        SetDensity(layer=0, density=0.05),
        ScaleDensity(overall_density=0.12),
        ScaleDensity(overall_density=0.6),
        ResizeLayer(layer=1, width=30),
    ],
    ids=named,
)
def test_what_stays_keeps_value_moments_and_rate_to_the_bit(edit: Edit) -> None:
    body = body_of(START)
    changed = after(body, edit)
    for old, new in zip(body.parts, changed.parts, strict=True):
        before, now = numbers_at(old), numbers_at(new)
        stayed = before.keys() & now.keys()
        assert len(stayed) == min(len(before), len(now))
        assert all(before[place] == now[place] for place in stayed)
        for place in now.keys() - stayed:
            value, first, _, age = now[place]
            widened = place[0] >= old.units  # a new unit's incoming weights are drawn
            assert (first, age) == (0.0, 0.0)
            assert (value == 0.0) != widened
        assert (new.biases[:, : old.units] == old.biases).all()


def test_nothing_is_remembered_of_new_values() -> None:
    """Their moments are 0, as an optimizer begins: the steps that correct their bias are their
    own."""
    network, state = after(body_of(START), SetDensity(layer=1, density=0.9)).network()
    counts = apply_edit(START, SetDensity(layer=1, density=0.9)).counts
    own = slice(counts[0], counts[0] + counts[1])
    fresh = network.weights(1).detach().numpy() == 0
    assert fresh.sum() == counts[1] - START.counts[1]
    for vector in (state.first_moment, state.second_moment, state.age):
        assert (vector[own][fresh] == 0).all()


def test_a_new_unit_learns_from_the_first_step() -> None:
    """Outgoing weights 0 get a gradient at once; they must not all be 0 on both sides."""
    body = after(body_of(START), ResizeLayer(layer=1, width=20))
    network, _ = body.network()
    network(torch.from_numpy(INPUTS)).square().sum().backward()
    gradient = network.values.grad
    assert gradient is not None
    start = sum(body.genome.counts[:2])
    outgoing = gradient[start : start + body.genome.counts[2]].numpy()
    fresh = body.parts[2].columns >= 12
    assert (np.abs(outgoing[fresh]) > 0).mean() > 0.5
    squares = np.bincount(body.parts[1].rows, body.parts[1].numbers[VALUE] ** 2.0)[12:]
    assert squares == pytest.approx(2.0, rel=1e-5)  # as he_weights draws them behind relu


@pytest.mark.parametrize(
    "edit", [SetDensity(layer=0, density=0.1), SetDensity(layer=2, density=0.2)]
)
def test_the_smallest_weights_go_unless_a_unit_would_be_cut_off(edit: SetDensity) -> None:
    body = body_of(START)
    old, new = body.parts[edit.layer], after(body, edit).parts[edit.layer]
    gone = np.setdiff1d(old.places, new.places)
    smallest = np.abs(new.numbers[VALUE]).min()
    weight = dict(zip(old.places.tolist(), np.abs(old.numbers[VALUE]), strict=True))
    # Every one that went is smaller than every one that stayed and was not the largest of an end.
    rows, columns = new.rows, new.columns
    magnitude = np.abs(new.numbers[VALUE])
    for place, size in zip(range(len(magnitude)), magnitude, strict=True):
        largest = size == magnitude[rows == rows[place]].max()
        largest = largest or (edit.layer > 0 and size == magnitude[columns == columns[place]].max())
        assert largest or all(weight[one] <= size for one in gone.tolist())
    assert smallest > 0


def test_narrowing_keeps_the_units_of_greatest_utility() -> None:
    body = body_of(START)
    ranking = np.argsort(-utility(body.parts[1], body.parts[2]))
    narrow = after(body, ResizeLayer(layer=1, width=7))
    kept = np.sort(ranking[:7])
    assert (narrow.parts[1].biases == body.parts[1].biases[:, kept]).all()
    incoming, outgoing = matrices(body.network()[0])[1:3]
    by_hand = np.sqrt((incoming[0] ** 2).sum(1) + incoming[1] ** 2) * np.abs(outgoing[0]).sum(0)
    assert utility(body.parts[1], body.parts[2]) == pytest.approx(by_hand, rel=1e-6)


def test_narrowing_is_the_same_network_with_units_silent() -> None:
    """All connections of the units that stay have room: only the removed units are missing."""
    body = body_of(genome(30, [16, 12, 8], 5, 1.0))
    narrow = after(body, ResizeLayer(layer=1, width=7))
    silent = list(matrices(body.network()[0]))
    ranking = np.argsort(-utility(body.parts[1], body.parts[2]))
    weights, biases = silent[2][0].copy(), silent[2][1]
    weights[:, ranking[7:]] = 0.0
    silent[2] = (weights, biases)
    assert outputs(narrow) == pytest.approx(logits(silent, "relu", INPUTS), abs=1e-9)


def test_removing_a_layer_leaves_the_others_as_they_are() -> None:
    body = body_of(START)
    less = after(body, RemoveLayer(layer=1))
    assert numbers_at(less.parts[0]) == numbers_at(body.parts[0])
    assert numbers_at(less.parts[2]) == numbers_at(body.parts[3])
    assert (less.parts[1].biases == body.parts[2].biases).all()


def test_a_layer_is_inserted_into_a_network_without_hidden_layers() -> None:
    linear = genome(30, [], 5, 0.5)
    body = after(body_of(linear), InsertLayer(place=0, width=6))
    assert body.genome == apply_edit(linear, InsertLayer(place=0, width=6))
    assert guaranteed(body)
    assert (body.parts[1].numbers[VALUE] == 0).all()
    assert np.abs(body.parts[0].numbers[VALUE]).min() > 0


def test_one_seed_one_network_and_another_seed_another() -> None:
    body = body_of(START)
    for edit in (SetDensity(layer=1, density=0.9), RemoveLayer(layer=1)):
        one, same, other = (after(body, edit, seed).network()[0] for seed in (3, 3, 4))
        assert torch.equal(one.values, same.values)
        lists = [network.layer(1).columns for network in (one, same, other)]
        assert torch.equal(lists[0], lists[1])
        assert not torch.equal(lists[0], lists[2])


def test_the_network_that_is_edited_stays_as_it_was() -> None:
    network, state = living(START)
    before, moments = network.values.detach().clone(), state.first_moment.copy()
    body = Body.of(network, state)
    for edit in (*EXACT, *INEXACT):
        after(body, edit)
    assert torch.equal(network.values, before)
    assert (state.first_moment == moments).all()


def test_each_first_unit_keeps_an_input_that_varies() -> None:
    usable = np.zeros(30, dtype=bool)
    usable[:6] = True
    body = body_of(START)
    for edit in (*EXACT, *INEXACT):
        part = after(body, edit, usable=usable).parts[0]
        varying = usable[part.columns]
        assert set(part.rows[varying].tolist()) == set(range(part.units)), edit


@pytest.mark.parametrize("seed", range(12))
def test_chains_of_random_edits_stay_sound(seed: int, tmp_path: Any) -> None:
    draw = np.random.default_rng(seed)
    body = body_of(START, seed)
    choices = [*EXACT, *INEXACT]
    for step in range(12):
        edit = choices[int(draw.integers(len(choices)))]
        try:
            expected = apply_edit(body.genome, edit)
        except InvalidGenomeError:
            continue
        body = edited(body, edit, derive(seed, "chain", step))
        assert body.genome == expected
        assert guaranteed(body)
    network, _ = body.network()
    save_network(network, tmp_path / "n.safetensors", **description(network))
    assert torch.equal(load_network(tmp_path / "n.safetensors")[0].values, network.values)


def test_a_genome_of_another_depth_is_refused() -> None:
    with pytest.raises(InvalidGenomeError, match="without layers inserted or removed"):
        reshaped(body_of(START), genome(30, [16, 12], 5, 0.3), derive(0, "x"))


def test_widening_under_rms_changes_no_scale() -> None:
    body = body_of(genome(30, [16, 12, 8], 5, 0.3, normalisation="rms"))
    for edit in (ResizeLayer(layer=1, width=13), SetDensity(layer=1, density=1.0)):
        assert_same_function(body, after(body, edit))


def part_of(units: int, sources: int, places: list[int]) -> Part:
    empty = Part(sources, units, np.zeros(0, dtype=np.int64), unknown(0), unknown(units))
    return empty.plus(np.array(places, dtype=np.int64), np.arange(1.0, len(places) + 1))


def test_the_tightest_room_moves_connections_rather_than_cutting_a_unit_off() -> None:
    """A star and its mirror: four largest ends would need seven connections, and four must do."""
    star = part_of(4, 4, [0, 1, 2, 3, 4, 8, 12])
    tight = fitted(star, 4, derive(1, "tight"), first=False)
    body = replace(body_of(START), parts=(star, tight))
    assert len(tight.places) == 4
    assert guaranteed(body)
    assert (tight.numbers[VALUE] == 0).sum() >= 2
    assert (tight.numbers[AGE] == 0).all()


def test_absent_places_are_all_equally_likely() -> None:
    part = part_of(3, 4, [1, 2, 7, 11])
    counts = np.zeros(12)
    for draw in range(4000):
        places = absent_places(part, 3, derive(draw, "absent"))
        assert len(set(places.tolist())) == 3
        counts[places] += 1
    assert (counts[part.places] == 0).all()
    assert np.abs(counts[np.setdiff1d(np.arange(12), part.places)] - 1500).max() < 150


def test_overall_density_follows() -> None:
    body = after(body_of(START), ScaleDensity(overall_density=0.4))
    assert overall_density(body.genome) == pytest.approx(0.4, abs=1e-3)
