"""Edits of single connections and units on the sparse layers of a live network.

What stays, stays to the bit, with what its optimizer remembers of it; what comes is as new. What an
edit does to the function that is computed:

| edit | function |
|---|---|
| `AddConnections`, `Widen`, `SplitUnit` | the same |
| `Rewire`, `Prune`, `PruneUnits` | that with the removed connections or activations at 0 |
| `Revive` | the same where the unit's activation was constant and nothing is normalised |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    AddConnections,
    Genome,
    GrowthEdit,
    NewUnit,
    Prune,
    PruneUnits,
    Revive,
    Rewire,
    SplitUnit,
    Widen,
)
from structure_net.networks.fitting import Usable, fitted, whole
from structure_net.networks.parts import VALUE, Part, unknown

Parts = tuple[Part, ...]


def grown(
    parts: Parts, edit: GrowthEdit, genome: Genome, generator: np.random.Generator, usable: Usable
) -> Parts:
    """The sparse layers after an edit; `genome` is the edited one. InvalidGenomeError where the
    edit does not fit the connections there are."""
    if isinstance(edit, AddConnections | Rewire | Prune):
        layer = edit.layer
        part = _reconnected(parts[layer], edit, genome, generator, usable)
        return (*parts[:layer], part, *parts[layer + 1 :])
    layer = genome.trunk[edit.layer]  # no block stands behind it, so the next one reads it
    match edit:
        case Widen():
            pair = _widened(parts[layer], parts[layer + 1], edit.units)
        case SplitUnit():
            pair = _split(parts[layer], parts[layer + 1], edit)
        case Revive():
            pair = _revived(parts[layer], parts[layer + 1], edit)
        case PruneUnits():
            first, second = _without_units(parts[layer], parts[layer + 1], edit)
            pair = (
                _fitted(first, layer, genome, generator, usable),
                _fitted(second, layer + 1, genome, generator, usable),
            )
    for own, place in zip(pair, (layer, layer + 1), strict=True):
        _check_whole(own, place, genome, usable)
    return (*parts[:layer], *pair, *parts[layer + 2 :])


def _reconnected(
    part: Part,
    edit: AddConnections | Rewire | Prune,
    genome: Genome,
    generator: np.random.Generator,
    usable: Usable,
) -> Part:
    match edit:
        case AddConnections():
            return _plus(part, edit.places, edit.layer)
        case Rewire():
            added = _plus(part, edit.added, edit.layer)
            part = _minus(added, edit.dropped, edit.layer)
            _check_whole(part, edit.layer, genome, usable)
            return part
        case Prune():
            part = _minus(part, edit.places, edit.layer)
            return _fitted(part, edit.layer, genome, generator, usable)


def _widened(incoming: Part, outgoing: Part, units: Sequence[NewUnit]) -> tuple[Part, Part]:
    before, after = incoming.units, incoming.units + len(units)
    first = incoming.moved(np.arange(before), np.arange(incoming.sources), after, incoming.sources)
    second = outgoing.moved(np.arange(outgoing.units), np.arange(before), outgoing.units, after)
    for place, unit in enumerate(units, before):
        first = first.plus(place * first.sources + np.array(unit.sources), np.array(unit.weights))
        first.biases[VALUE, place] = unit.bias  # an array of its own since `moved`
        second = second.plus(np.array(unit.targets) * after + place, np.array(unit.outgoing))
    return first, second


def _split(incoming: Part, outgoing: Part, edit: SplitUnit) -> tuple[Part, Part]:
    """The copy takes every second outgoing connection over, with what is remembered of it."""
    own, going = incoming.rows == edit.unit, np.flatnonzero(outgoing.columns == edit.unit)
    if len(going) < 2 or int(own.sum()) != edit.fan_in:
        raise InvalidGenomeError(
            f"Unit {edit.unit} of hidden layer {edit.layer} has {int(own.sum())} connections in "
            f"and {len(going)} out; a split wants {edit.fan_in} in, as the edit says, and two out."
        )
    copy = NewUnit(
        sources=tuple(incoming.columns[own].tolist()),
        weights=tuple(incoming.numbers[VALUE, own].tolist()),
        bias=float(incoming.biases[VALUE, edit.unit]),
        targets=tuple(outgoing.rows[going[1::2]].tolist()),
        outgoing=(0.0,) * len(going[1::2]),
    )
    first, second = _widened(incoming, outgoing, [copy])
    places, moved = second.places, outgoing.rows[going[1::2]] * second.sources
    old, new = (np.searchsorted(places, moved + unit) for unit in (edit.unit, incoming.units))
    numbers = second.numbers.copy()
    numbers[:, new] = numbers[:, old]
    return first, replace(second, numbers=numbers).only(~_among(second, places[old]))


def _revived(incoming: Part, outgoing: Part, edit: Revive) -> tuple[Part, Part]:
    units = np.array([one.unit for one in edit.units])
    first = incoming.only(~np.isin(incoming.rows, units))
    biases = first.biases.copy()
    biases[:, units] = unknown(len(units))
    biases[VALUE, units] = [one.bias for one in edit.units]
    first = replace(first, biases=biases)
    for one in edit.units:
        places = one.unit * first.sources + np.array(one.sources)
        first = first.plus(places, np.array(one.weights))
    expected = len(incoming.places) + sum(one.added for one in edit.units)
    if len(first.places) != expected:
        raise InvalidGenomeError(
            f"Revived units of hidden layer {edit.layer} make {len(first.places)} connections of "
            f"the layer's {len(incoming.places)}, not {expected} as the edit says."
        )
    means = np.zeros(incoming.units)
    means[units] = [one.mean for one in edit.units]
    told = np.bincount(
        outgoing.rows,
        weights=outgoing.numbers[VALUE].astype(np.float64) * means[outgoing.columns],
        minlength=outgoing.units,
    )
    reset = np.isin(outgoing.columns, units)
    numbers, biases = outgoing.numbers.copy(), outgoing.biases.copy()
    numbers[:, reset] = unknown(int(reset.sum()))
    biases[VALUE] += told.astype(np.float32)
    return first, replace(outgoing, numbers=numbers, biases=biases)


def _without_units(incoming: Part, outgoing: Part, edit: PruneUnits) -> tuple[Part, Part]:
    kept = np.setdiff1d(np.arange(incoming.units), edit.units)
    moves = np.full(incoming.units, -1)
    moves[kept] = np.arange(len(kept))
    first = incoming.moved(moves, np.arange(incoming.sources), len(kept), incoming.sources)
    second = outgoing.moved(np.arange(outgoing.units), moves, outgoing.units, len(kept))
    gone = (len(incoming.places) - len(first.places), len(outgoing.places) - len(second.places))
    if gone != (edit.fan_in, edit.fan_out):
        raise InvalidGenomeError(
            f"The pruned units of hidden layer {edit.layer} have {gone[0]} connections in and "
            f"{gone[1]} out, not {edit.fan_in} and {edit.fan_out} as the edit says."
        )
    return first, second


def _plus(part: Part, places: Sequence[int], layer: int) -> Part:
    wanted = np.array(places, dtype=np.int64)
    if np.isin(wanted, part.places).any():
        raise InvalidGenomeError(f"A place of sparse layer {layer} to be connected is so already.")
    return part.plus(wanted)


def _minus(part: Part, places: Sequence[int], layer: int) -> Part:
    gone = _among(part, np.array(places, dtype=np.int64))
    if int(gone.sum()) != len(places):
        raise InvalidGenomeError(f"A place of sparse layer {layer} to be freed has no connection.")
    return part.only(~gone)


def _among(part: Part, places: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " connections"]:
    return np.isin(part.places, places)


def _fitted(
    part: Part, layer: int, genome: Genome, generator: np.random.Generator, usable: Usable
) -> Part:
    plan, varying = genome.plans[layer], usable if layer == 0 else None
    return fitted(
        part,
        genome.counts[layer],
        generator,
        first=not plan.every_source,
        every_unit=plan.every_unit,
        usable=varying,
    )


def _check_whole(part: Part, layer: int, genome: Genome, usable: Usable) -> None:
    plan, varying = genome.plans[layer], usable if layer == 0 else None
    if not whole(part, first=not plan.every_source, every_unit=plan.every_unit, usable=varying):
        raise InvalidGenomeError(
            f"The edit would leave a unit or a source of sparse layer {layer} cut off."
        )
