"""Edits of single connections and units: the function, what stays to the bit, exact counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    NORMALISATIONS,
    Activation,
    AddConnections,
    GrowthEdit,
    NewUnit,
    Normalisation,
    Prune,
    PruneUnits,
    ResizeLayer,
    Revive,
    RevivedUnit,
    Rewire,
    SetGrowthRule,
    SetNormalisation,
    SplitUnit,
    Widen,
    active_parameters,
    apply_edit,
)
from structure_net.networks import Body, edited, load_network, save_network
from structure_net.networks.parts import SECOND, VALUE, Part
from structure_net.seeding import derive
from tests.networks.living import body_of, guaranteed, numbers_at
from tests.networks.reference import PHI, description, genome, logits, matrices

START = genome(30, [16, 12, 8], 5, 0.3)
INPUTS = np.random.default_rng(9).normal(size=(1000, 30)).astype(np.float32)
ACTIVATIONS = ("relu", "leaky_relu", "gelu", "silu", "tanh")


def after(body: Body, edit: GrowthEdit) -> Body:
    return edited(body, edit, derive(3, "edit"))


def outputs(body: Body) -> np.ndarray:
    own, layers = body.genome, matrices(body.network()[0])
    members = [plan.members for plan in own.plans]
    return logits(layers, own.activation, INPUTS, own.normalisation, members)


def assert_exact(one: Body, other: Body) -> None:
    """The two compute one function: in float64 sums, and by the network itself in floats."""
    before, now = outputs(one), outputs(other)
    assert np.abs(before - now).max() <= 1e-6 * max(1.0, np.abs(before).max())
    with torch.no_grad():
        first, second = (body.network()[0](torch.from_numpy(INPUTS)) for body in (one, other))
    assert float((first - second).abs().max()) <= 1e-5 * max(1.0, float(first.abs().max()))


def absent(part: Part, count: int) -> tuple[int, ...]:
    free = np.setdiff1d(np.arange(part.units * part.sources), part.places)
    count = min(count, len(free))
    chosen: list[int] = np.random.default_rng(4).choice(free, count, replace=False).tolist()
    return tuple(chosen)


def spare(part: Part, count: int) -> tuple[int, ...]:
    """Places whose connections can go together: no unit and no source loses its last one."""
    fan_in = np.bincount(part.rows, minlength=part.units)
    fan_out = np.bincount(part.columns, minlength=part.sources)
    chosen: list[int] = []
    for place in part.places.tolist():
        unit, source = divmod(place, part.sources)
        if len(chosen) < count and fan_in[unit] > 1 and fan_out[source] > 1:
            fan_in[unit] -= 1
            fan_out[source] -= 1
            chosen.append(place)
    assert len(chosen) == count
    return tuple(chosen)


def new_unit(outgoing: tuple[float, ...] = (0.0, 0.0), bias: float = 0.2) -> NewUnit:
    return NewUnit(
        sources=(1, 4, 7), weights=(0.5, -1.0, 0.8), bias=bias, targets=(0, 3), outgoing=outgoing
    )


def pair() -> Widen:
    units = (new_unit((0.7, -0.7)), new_unit((-0.7, 0.7)))
    return Widen(layer=1, mode="pair", units=units)


def split_of(body: Body, layer: int) -> SplitUnit:
    fan_out = np.bincount(body.parts[layer + 1].columns, minlength=body.parts[layer].units)
    unit = int(fan_out.argmax())
    fan_in = int((body.parts[layer].rows == unit).sum())
    return SplitUnit(layer=layer, unit=unit, fan_in=fan_in)


def preserving(body: Body) -> list[GrowthEdit]:
    layers = range(len(body.parts))
    return [
        *(AddConnections(layer=n, places=absent(body.parts[n], 7)) for n in layers),
        Widen(layer=1, mode="zero_out", units=(new_unit(),)),
        Widen(layer=0, mode="knot", units=(new_unit(),)),
        pair(),
        *(split_of(body, layer) for layer in range(3)),
    ]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_edits_that_add_change_no_logit(
    activation: Activation, normalisation: Normalisation
) -> None:
    body = body_of(genome(30, [16, 12, 8], 5, 0.3, activation, normalisation=normalisation))
    for edit in preserving(body):
        assert_exact(body, after(body, edit))


def test_units_that_came_later_move_no_scale() -> None:
    """A layer is normalised by the units that it was built with; only the others can go again."""
    start = genome(30, [16, 12, 8], 5, 0.3, normalisation="rms")
    wider = after(body_of(start), pair())
    assert [gene.members for gene in wider.genome.hidden] == [None, 12, None]
    assert wider.genome.id != start.id
    into, out = np.bincount(wider.parts[1].rows), np.bincount(wider.parts[2].columns)
    narrow = PruneUnits(layer=1, units=(13,), fan_in=int(into[13]), fan_out=int(out[13]))
    narrower = after(wider, narrow)
    layers = matrices(wider.network()[0])
    weights = layers[2][0].copy()
    weights[:, 13] = 0.0
    silent = [*layers[:2], (weights, layers[2][1]), layers[3]]
    members = [plan.members for plan in wider.genome.plans]
    assert outputs(narrower) == pytest.approx(
        logits(silent, "relu", INPUTS, "rms", members), abs=1e-9
    )
    with pytest.raises(InvalidGenomeError, match="normalised by its first 12 units"):
        after(wider, narrow.model_copy(update={"units": (3,)}))
    plain = apply_edit(wider.genome, SetNormalisation(normalisation="none"))
    assert plain.hidden[1].members is None
    resized = apply_edit(wider.genome, ResizeLayer(layer=1, width=11))
    assert resized.hidden[1].members is None


def test_what_was_there_keeps_value_and_moments_to_the_bit() -> None:
    body = body_of(START)
    for edit in (*preserving(body), Rewire(layer=1, dropped=(), added=())):
        changed = after(body, edit)
        for layer, (old, new) in enumerate(zip(body.parts, changed.parts, strict=True)):
            before, now = numbers_at(old), numbers_at(new)
            moved = isinstance(edit, SplitUnit) and layer == edit.layer + 1
            if moved:  # half of the unit's outgoing connections are now its copy's
                assert sorted(before.values()) == sorted(now.values())
            else:
                assert all(now[place] == numbers for place, numbers in before.items())
            assert (new.biases[:, : old.units] == old.biases).all()


def test_counts_and_parameters_are_those_of_the_edit() -> None:
    body = body_of(START)
    counts = START.counts
    wider = after(body, pair()).genome
    assert wider.architecture == (30, 16, 14, 8, 5)
    assert wider.counts == (counts[0], counts[1] + 6, counts[2] + 4, counts[3])
    assert active_parameters(wider) == active_parameters(START) + 10 + 2
    split = split_of(body, 1)
    own = after(body, split).genome
    assert own.counts == (counts[0], counts[1] + split.fan_in, *counts[2:])
    for edit in preserving(body):
        changed = after(body, edit)
        network, state = changed.network()
        assert changed.genome == network.genome == apply_edit(START, edit)
        assert len(state.first_moment) == len(network.values)
        assert guaranteed(changed)


def test_new_connections_remember_nothing_and_move_within_one_step() -> None:
    body = body_of(START)
    places = absent(body.parts[1], 9)
    changed = after(body, AddConnections(layer=1, places=places))
    network, state = changed.network()
    fresh = np.flatnonzero(np.isin(changed.parts[1].places, places)) + START.counts[0]
    assert (network.values.detach().numpy()[fresh] == 0).all()
    assert (state.first_moment[fresh] == 0).all()
    network(torch.from_numpy(INPUTS)).square().sum().backward()
    assert network.values.grad is not None
    assert (network.values.grad.numpy()[fresh] != 0).mean() > 0.7  # the others enter silent units


def test_the_twins_of_a_pair_are_pulled_apart_from_the_first_step() -> None:
    network, _ = after(body_of(START), pair()).network()
    logits_now = network(torch.from_numpy(INPUTS))
    torch.nn.functional.cross_entropy(logits_now, torch.arange(1000) % 5).backward()
    gradient = network.values.grad
    assert gradient is not None
    incoming = network.split(gradient)[1][-6:]  # three connections into each of the two new units
    assert (incoming[:3] != 0).all()
    assert torch.allclose(incoming[:3], -incoming[3:], rtol=1e-3)


def test_rewiring_is_the_network_with_those_weights_at_zero() -> None:
    for normalisation in ("none", "rms"):
        body = body_of(START.model_copy(update={"normalisation": normalisation}))
        dropped = spare(body.parts[1], 10)
        added = absent(body.parts[1], 10)
        changed = after(body, Rewire(layer=1, dropped=dropped, added=added))
        assert changed.genome == body.genome
        assert guaranteed(changed)
        silent = body_of(body.genome)
        silent.parts[1].numbers[VALUE, np.isin(silent.parts[1].places, dropped)] = 0.0
        assert np.abs(outputs(silent) - outputs(changed)).max() < 1e-9
        assert set(changed.parts[1].places) == (set(body.parts[1].places) - set(dropped)) | set(
            added
        )


def test_pruning_connections_is_zeroing_and_cuts_nothing_off() -> None:
    body = body_of(START)
    gone = spare(body.parts[2], 8)
    changed = after(body, Prune(layer=2, places=gone))
    silent = body_of(START)
    silent.parts[2].numbers[VALUE, np.isin(silent.parts[2].places, gone)] = 0.0
    assert np.abs(outputs(silent) - outputs(changed)).max() < 1e-9
    assert changed.genome.counts[2] == START.counts[2] - 8
    unit = tuple(body.parts[2].places[body.parts[2].rows == 3].tolist())
    cut = after(body, Prune(layer=2, places=unit))  # one comes back, at weight 0
    assert guaranteed(cut)
    assert cut.genome.counts[2] == START.counts[2] - len(unit)


def test_pruning_units_is_silencing_them() -> None:
    body = body_of(genome(30, [16, 12, 8], 5, 0.6))
    units = (2, 5)
    into = int(np.isin(body.parts[1].rows, units).sum())
    out = int(np.isin(body.parts[2].columns, units).sum())
    changed = after(body, PruneUnits(layer=1, units=units, fan_in=into, fan_out=out))
    layers = list(matrices(body.network()[0]))
    weights = layers[2][0].copy()
    weights[:, units] = 0.0
    layers[2] = (weights, layers[2][1])
    assert outputs(changed) == pytest.approx(logits(layers, "relu", INPUTS), abs=1e-9)
    assert changed.genome.architecture == (30, 16, 10, 8, 5)
    with pytest.raises(InvalidGenomeError, match="as the edit says"):
        after(body, PruneUnits(layer=1, units=units, fan_in=into + 1, fan_out=out))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_unit_that_is_constant_is_revived_without_a_change(activation: str) -> None:
    """Its activation is its bias's, since its sources weigh 0; that goes on in its targets."""
    body = body_of(START.model_copy(update={"activation": activation}))
    part = body.parts[1]
    own = part.rows == 4
    part.numbers[VALUE, own] = 0.0
    mean = float(PHI[activation](np.float64(part.biases[VALUE, 4])))
    count = int(own.sum())
    revived = RevivedUnit(
        unit=4, sources=tuple(range(count)), weights=(0.5,) * count, bias=0.1, mean=mean
    )
    changed = after(body, Revive(layer=1, units=(revived,)))
    assert_exact(body, changed)
    assert changed.genome == body.genome
    again = changed.parts[1]
    assert (again.numbers[VALUE, again.rows == 4] == 0.5).all()
    assert (changed.parts[2].numbers[VALUE, changed.parts[2].columns == 4] == 0.0).all()
    assert np.isnan(again.numbers[SECOND, again.rows == 4]).all()  # settled when assembled
    others = again.rows != 4
    before = numbers_at(part)
    assert all(
        before[divmod(int(place), part.sources)] == tuple(numbers)
        for place, numbers in zip(
            again.places[others], again.numbers[:, others].T.tolist(), strict=True
        )
    )


def test_an_edit_that_does_not_fit_is_refused_and_nothing_is_changed() -> None:
    body = body_of(START)
    live = tuple(body.parts[1].places[:2].tolist())
    free = absent(body.parts[1], 2)
    row = tuple(body.parts[1].places[body.parts[1].rows == 0].tolist())
    wrong: tuple[GrowthEdit, ...] = (
        AddConnections(layer=1, places=live),
        AddConnections(layer=1, places=(free[0], free[0])),
        AddConnections(layer=4, places=(0,)),
        AddConnections(layer=1, places=(16 * 12,)),
        Rewire(layer=1, dropped=live, added=free[:1]),
        Rewire(layer=1, dropped=free, added=live),
        Rewire(layer=1, dropped=row, added=absent(body.parts[1], len(row))),
        Prune(layer=1, places=free),
        Prune(layer=1, places=tuple(body.parts[1].places.tolist())),
        Widen(layer=3, mode="zero_out", units=(new_unit(),)),
        SplitUnit(layer=1, unit=12, fan_in=1),
        SplitUnit(layer=1, unit=0, fan_in=99),
    )
    values = body.network()[0].values.detach().clone()
    for edit in wrong:
        with pytest.raises(InvalidGenomeError):
            after(body, edit)
    assert torch.equal(body.network()[0].values, values)


@pytest.mark.parametrize("seed", range(4))
def test_fifty_edits_keep_the_function_and_the_file_keeps_the_network(
    seed: int, tmp_path: Path
) -> None:
    draw = np.random.default_rng(seed)
    body = start = body_of(START, seed)
    for _ in range(50):
        choices = preserving(body)
        edit = choices[int(draw.integers(len(choices)))]
        expected = apply_edit(body.genome, edit)
        body = edited(body, edit, derive(seed, "chain"))
        assert body.genome == expected
        assert guaranteed(body)
    assert_exact(start, body)
    network, _ = body.network()
    save_network(network, tmp_path / "n.safetensors", **description(network))
    again, described = load_network(tmp_path / "n.safetensors")
    assert described.genome == body.genome
    assert torch.equal(again(torch.from_numpy(INPUTS)), network(torch.from_numpy(INPUTS)))


def test_a_rule_of_growth_is_a_gene_and_none_leaves_the_id_as_it_was() -> None:
    ruled = apply_edit(START, SetGrowthRule(growth_rule="extrema"))
    assert ruled.growth_rule == "extrema"
    assert ruled.id != START.id
    assert apply_edit(ruled, SetGrowthRule(growth_rule="none")).id == START.id
