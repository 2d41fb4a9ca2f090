"""The controls of a rule: edits of the same kinds and sizes at other places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    AddConnections,
    Edit,
    InsertLayer,
    InsertResidualBlock,
    NewUnit,
    Widen,
)
from structure_net.growth.additions import exact_insertion, knot
from structure_net.growth.situation import Proposal, Situation
from structure_net.growth.units import row_along, unit_layers
from structure_net.metrics import candidate_gradient, firing_rates, layer_candidates
from structure_net.networks import Body, absent_places, edited

Move = Callable[[Situation, Body, Edit, np.random.Generator], Edit]


def uniform(situation: Situation, proposal: Proposal) -> Proposal:
    """Every edit at a place drawn uniformly."""
    return _moved(situation, proposal, _anywhere)


def healthiest(situation: Situation, proposal: Proposal) -> Proposal:
    """Every edit where least is wrong: smallest gradients, firing rates nearest 1/2."""
    return _moved(situation, proposal, _where_least_is_wrong)


def _moved(situation: Situation, proposal: Proposal, move: Move) -> Proposal:
    body, edits = situation.body, []
    for number, edit in enumerate(proposal.edits):
        draw = situation.draw("control", number)
        edits.append(move(situation, body, edit, draw))
        if isinstance(edit, AddConnections):  # later ones must not take the same places
            body = edited(body, edits[-1], draw)
    return replace(proposal, edits=tuple(edits), gain=None, gain_error=None)


def _anywhere(situation: Situation, body: Body, edit: Edit, generator: np.random.Generator) -> Edit:
    match edit:
        case AddConnections():
            count = len(edit.places)
            layer = int(generator.choice(_with_absent(body, count)))
            places = absent_places(body.parts[layer], count, generator)
            return AddConnections(layer=layer, places=tuple(places.tolist()))
        case Widen():
            layer = int(generator.choice(list(unit_layers(situation.probe))))
            order = generator.permutation(situation.genome.shapes[layer][1])
            return _widen(situation, edit, layer, order, generator)
        case InsertLayer():
            layer = int(generator.choice(list(unit_layers(situation.probe))))
            return _insertion(situation, layer)
        case InsertResidualBlock():
            junction = int(generator.choice(situation.junctions))
            return edit.model_copy(update={"junction": junction})
        case _:
            return edit


def _where_least_is_wrong(
    situation: Situation, body: Body, edit: Edit, generator: np.random.Generator
) -> Edit:
    probe = situation.probe
    rates = zip(probe.hidden_places, firing_rates(probe), strict=True)
    distances = {place: np.abs(own - 0.5) for place, own in rates}
    every = {place: float(own.mean()) for place, own in distances.items()}
    calmest = min(unit_layers(probe), key=lambda place: every[place], default=-1)
    match edit:
        case AddConnections():
            return _calmest_connections(situation, body, len(edit.places), generator)
        case Widen():
            order = np.argsort(distances[calmest], kind="stable")
            return _widen(situation, edit, calmest, order, generator)
        case InsertLayer():
            return _insertion(situation, calmest)
        case InsertResidualBlock():
            ends = {at: situation.genome.trunk[at] for at in situation.junctions}
            means = {at: every[place] for at, place in ends.items()}
            return edit.model_copy(update={"junction": min(means, key=lambda at: means[at])})
        case _:
            return edit


def _calmest_connections(
    situation: Situation, body: Body, count: int, generator: np.random.Generator
) -> AddConnections:
    """The smallest gradients of the layer whose candidates have the smallest; anywhere in it where
    too few candidates are left."""
    probe, layers = situation.probe, _with_absent(body, count)
    sizes = [float(np.square(candidate_gradient(probe, layer)).mean()) for layer in layers]
    layer = layers[int(np.argmin(sizes))]
    order = np.argsort(np.abs(candidate_gradient(probe, layer)), kind="stable")
    places = layer_candidates(probe, layer).places[order]
    places = places[~np.isin(places, body.parts[layer].places)][:count]
    if len(places) < count:
        places = absent_places(body.parts[layer], count, generator)
    return AddConnections(layer=layer, places=tuple(np.sort(places).tolist()))


def _with_absent(body: Body, count: int) -> list[int]:
    absent = [part.sources * part.units - len(part.places) for part in body.parts]
    return [layer for layer, free in enumerate(absent) if free >= count]


def _widen(
    situation: Situation,
    edit: Widen,
    layer: int,
    order: Int[np.ndarray, " units"],
    generator: np.random.Generator,
) -> Widen:
    """The edit's units in sparse layer `layer`: hinges at the first units of `order`, others with
    sources and targets drawn uniformly."""
    probe = situation.probe
    if edit.mode == "knot":
        hinges = [knot(probe, layer, unit) for unit in order[: len(edit.units)].tolist()]
        units = [unit for unit in hinges if unit is not None]
    else:
        first = edit.units[0]
        twin = _drawn(situation, layer, len(first.sources), len(first.targets), generator)
        units = [
            twin.model_copy(update={"outgoing": (unit.outgoing[0],) * len(twin.targets)})
            for unit in edit.units
        ]
    if not units:
        raise InvalidGenomeError(f"No unit of sparse layer {layer} varies on the probe samples.")
    return Widen(layer=unit_layers(probe)[layer], mode=edit.mode, units=tuple(units))


def _drawn(
    situation: Situation, layer: int, into: int, out: int, generator: np.random.Generator
) -> NewUnit:
    own = situation.probe.layers[layer]
    lists, after = own.connections, situation.probe.layers[layer + 1].connections
    sources = generator.choice(lists.sources, min(into, lists.sources), replace=False)
    direction: Float[np.ndarray, " sources"] = generator.standard_normal(len(sources))
    targets = np.sort(generator.choice(after.units, min(out, after.units), replace=False))
    row = row_along(situation.probe, own, sources, direction)
    if row is None:
        raise InvalidGenomeError(f"Sources drawn for sparse layer {layer} do not vary.")
    return NewUnit(
        sources=tuple(row.sources.tolist()),
        weights=tuple(row.weights.tolist()),
        bias=row.bias,
        targets=tuple(targets.tolist()),
        outgoing=(0.0,) * len(targets),
    )


def _insertion(situation: Situation, layer: int) -> InsertLayer:
    found = exact_insertion(situation.genome, unit_layers(situation.probe)[layer])
    if found is None:
        raise InvalidGenomeError("No layer can be inserted without a change.")
    return found
