"""What single edits promise, in nats: the honest gain of the connections that begin at weight 0.

Chosen on one half of the probe samples and found on the other, where something is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from structure_net.genome import (
    BLOCK_LAYERS,
    AddConnections,
    Edit,
    InsertLayer,
    InsertResidualBlock,
    NewUnit,
    Widen,
)
from structure_net.growth.additions import exact_insertion, outgoing_size, pair_of
from structure_net.growth.situation import Situation
from structure_net.growth.structures import Gain, block_gain, gain_at, insertion_gain
from structure_net.growth.units import unit_layers
from structure_net.metrics import (
    LEAST_GAIN,
    Pairs,
    added_count,
    honest_gain,
    in_sample_gain,
    largest_gains,
    layer_candidates,
    layer_signals,
    pair_signals,
)
from structure_net.networks import ACTIVATION_FUNCTIONS

ONE_SIDED = 1.645  # 95 % quantile of the normal distribution
FEWEST_SAMPLES = 4  # two halves, and a standard error in each


@dataclass(frozen=True)
class Offer:
    """An edit with what it costs in connections and promises in nats."""

    edit: Edit
    connections: int
    nats: float
    error: float

    @property
    def proven(self) -> bool:
        """Whether it is above 0 at the one-sided 95 % level, and worth an edit."""
        return self.nats - ONE_SIDED * self.error > 0 and self.nats >= LEAST_GAIN

    @property
    def each(self) -> float:
        """Nats for each connection."""
        return self.nats / self.connections


def connection_offers(situation: Situation) -> list[Offer]:
    """Of each sparse layer the best absent connections, a tenth of those it has."""
    layers = range(len(situation.probe.layers))
    counts = [added_count(situation.probe.layers[index]) for index in layers]
    found = [
        connections_of(situation, index, count) for index, count in zip(layers, counts, strict=True)
    ]
    return [offer for offer in found if offer is not None]


def connections_of(situation: Situation, index: int, count: int) -> Offer | None:
    """The `count` best absent connections of a sparse layer, fewer where the room is less; None
    where there is none."""
    pairs, layer = layer_candidates(situation.probe, index), situation.probe.layers[index]
    count = min(count, situation.room, len(pairs))
    if count == 0:
        return None
    signals, choose = layer_signals(situation.probe, index), largest_gains(count)
    gain = honest_gain(signals, layer.derivatives, layer.inputs, choose)
    places = pairs.only(choose(in_sample_gain(signals))).places
    edit = AddConnections(layer=index, places=tuple(places.tolist()))
    return Offer(edit, count, gain.nats, gain.standard_error)


def pair_offers(situation: Situation) -> list[Offer]:
    """Of each hidden layer that may get units, the best pair."""
    offers = []
    for index in unit_layers(situation.probe):
        pair = pair_of(situation, index)
        if pair is not None and pair.connections <= situation.room:
            edit = pair.edit(outgoing_size(situation.genome, index))
            half = pair.gain.halves[0]
            offers.append(Offer(edit, pair.connections, half.found, half.standard_error))
    return offers


def structure_offers(situation: Situation) -> list[Offer]:
    """A residual block behind each hidden layer that may have one, and the inserted layers that
    change nothing, where they fit."""
    edits: list[Edit] = [InsertResidualBlock(junction=at) for at in situation.junctions]
    if situation.layers_left:
        hidden = range(len(situation.genome.hidden))
        insertions = [exact_insertion(situation.genome, at) for at in hidden]
        edits += [edit for edit in insertions if edit is not None]
    return [offer_of(situation, edit) for edit in fitting(situation, edits)]


def fitting(situation: Situation, edits: Iterable[Edit]) -> list[Edit]:
    """Those for which there are connections and layers enough."""
    kept = []
    for edit in edits:
        layers = _layers(edit)
        if layers <= situation.layers_left and 0 < situation.cost(edit) <= situation.room:
            kept.append(edit)
    return kept


def offer_of(situation: Situation, edit: Edit) -> Offer:
    """An edit made elsewhere, with what it promises."""
    gain: Gain = (0.0, 0.0)
    match edit:
        case AddConnections():
            gain = _gain_near(situation, edit)
        case Widen():
            gain = _gain_of_units(situation, edit)
        case InsertLayer():
            gain = insertion_gain(situation, edit)
        case InsertResidualBlock():
            gain = block_gain(situation, edit)
    return Offer(edit, situation.cost(edit), *gain)


def _layers(edit: Edit) -> int:
    match edit:
        case InsertLayer():
            return 1
        case InsertResidualBlock():
            return BLOCK_LAYERS[edit.block]
    return 0


def _gain_near(situation: Situation, edit: AddConnections) -> Gain:
    """Of as many best candidates into the units that the edit feeds, or out of its sources where
    those are fewer. Its own places were chosen by all samples: theirs would be noise taken for
    signal."""
    probe, layer = situation.probe, situation.probe.layers[edit.layer]
    pairs = layer_candidates(probe, edit.layer)
    rows, columns = (np.unique(ends) for ends in np.divmod(np.array(edit.places), pairs.sources))
    into = len(rows) <= len(columns)
    near = np.isin(pairs.rows, rows) if into else np.isin(pairs.columns, columns)
    if not near.any():
        return 0.0, 0.0
    chosen = pairs.only(np.flatnonzero(near))
    signals = pair_signals(layer.derivatives, layer.sampled_derivatives, layer.inputs, chosen)
    choose = largest_gains(len(edit.places))
    found = honest_gain(signals, layer.derivatives, layer.inputs, choose)
    return found.nats, found.standard_error


def _gain_of_units(situation: Situation, edit: Widen) -> Gain:
    """Of the outgoing connections of new units, which begin at 0 or cancel."""
    probe, index = situation.probe, situation.genome.trunk[edit.layer]
    layer, after = probe.layers[index], probe.layers[index + 1]
    targets = after.connections.units
    units = edit.units[:1] if edit.mode == "pair" else edit.units
    z = torch.stack([_sums(unit, layer.inputs) for unit in units], 1)
    features = ACTIVATION_FUNCTIONS[probe.activation](z)
    places = [target * len(units) + at for at, unit in enumerate(units) for target in unit.targets]
    pairs = Pairs(len(units), targets, np.sort(np.array(places, dtype=np.int64)))
    return gain_at(after.derivatives, after.sampled_derivatives, features, pairs)


def _sums(unit: NewUnit, inputs: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor(unit.weights, dtype=torch.float32)
    return inputs[:, list(unit.sources)] @ weights + unit.bias
