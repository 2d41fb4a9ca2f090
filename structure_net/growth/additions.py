"""Edits that add, made from signals: connections, hinges, pairs of units, a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from structure_net.genome import AddConnections, Genome, InsertLayer, NewUnit, Widen
from structure_net.growth.situation import Situation
from structure_net.growth.units import (
    Row,
    half_firing_bias,
    leading_directions,
    row_along,
    unit_layers,
)
from structure_net.metrics import (
    HonestGain,
    Pairs,
    Probe,
    candidate_gradient,
    honest_gain,
    largest_gains,
    layer_candidates,
    pair_signals,
)
from structure_net.networks import ACTIVATION_FUNCTIONS, GAIN_SQUARED


def connections_at(
    probe: Probe,
    index: int,
    ends: Int[np.ndarray, " wanted"],
    each: int,
    *,
    into: bool,
    generator: np.random.Generator,
) -> Int[np.ndarray, " places"]:
    """Up to `each` absent places of sparse layer `index` into each unit of `ends` (or out of each
    source): those of largest gradient among the candidates, else any."""
    lists, candidates = probe.layers[index].connections, layer_candidates(probe, index)
    taken = np.zeros((lists.units, lists.sources), dtype=bool)
    taken[lists.rows, lists.columns] = True
    score = np.abs(candidate_gradient(probe, index))
    own = candidates.rows if into else candidates.columns
    chosen: list[int] = []
    for end in ends.tolist():
        here = np.flatnonzero((own == end) & (score > 0))
        best = candidates.places[here[np.argsort(-score[here], kind="stable")[:each]]]
        taken.reshape(-1)[best] = True
        line = np.flatnonzero(~(taken[end] if into else taken[:, end]))
        more = generator.permutation(line)[: each - len(best)]
        more = end * lists.sources + more if into else more * lists.sources + end
        taken.reshape(-1)[more] = True
        chosen += [*best.tolist(), *more.tolist()]
    return np.array(sorted(chosen), dtype=np.int64)


def added(index: int, places: Int[np.ndarray, " places"], room: int) -> list[AddConnections]:
    """One edit for these places, cut to `room`; none without any."""
    kept = tuple(places[: max(0, room)].tolist())
    return [AddConnections(layer=index, places=kept)] if kept else []


def knot(probe: Probe, index: int, unit: int) -> NewUnit | None:
    """A unit with this one's incoming weights and targets that fires on half of the samples: a
    hinge where the network was affine. Its outgoing weights are 0. `index` is a sparse layer, one
    of `unit_layers`."""
    layer, after = probe.layers[index], probe.layers[index + 1].connections
    own = layer.connections.rows == unit
    sums = layer.z[:, unit].double().numpy() - float(layer.biases[unit])
    targets = after.rows[after.columns == unit]
    if len(np.unique(sums)) == 1:
        return None
    return NewUnit(
        sources=tuple(layer.connections.columns[own].tolist()),
        weights=tuple(layer.weights[own].astype(float).tolist()),
        bias=half_firing_bias(sums),
        targets=tuple(targets.tolist()),
        outgoing=(0.0,) * len(targets),
    )


@dataclass(frozen=True)
class Pair:
    """Two units of one incoming side for hidden layer `hidden`, and what they promise."""

    hidden: int
    row: Row
    targets: Int[np.ndarray, " targets"]
    gain: HonestGain

    @property
    def connections(self) -> int:
        return 2 * (len(self.row.sources) + len(self.targets))

    def edit(self, outgoing: float) -> Widen:
        """The two as an edit, with outgoing weights of this size and opposite signs."""
        both = []
        for sign in (1.0, -1.0):
            unit = NewUnit(
                sources=tuple(self.row.sources.tolist()),
                weights=tuple(self.row.weights.tolist()),
                bias=self.row.bias,
                targets=tuple(self.targets.tolist()),
                outgoing=(sign * outgoing,) * len(self.targets),
            )
            both.append(unit)
        return Widen(layer=self.hidden, mode="pair", units=tuple(both))


def pair_of(situation: Situation, index: int) -> Pair | None:
    """The pair along the leading direction between what comes into the units of sparse layer
    `index`, one of `unit_layers`, and what their targets want. The direction is of one half of the
    samples, the gain found on the other."""
    probe = situation.probe
    layer, after = probe.layers[index], probe.layers[index + 1]
    u, v = leading_directions(
        after.derivatives[::2], layer.inputs[::2], situation.draw("pair", index)
    )
    usable = ~probe.constant_inputs if index == 0 else np.ones(len(v), dtype=bool)
    into, out = fan_in_and_out(situation, index)
    sources = _largest(np.where(usable, np.abs(v), -1.0), into)
    targets = _largest(np.abs(u), out)
    row = row_along(probe, layer, sources, v[sources])
    if row is None:
        return None
    return Pair(unit_layers(probe)[index], row, targets, _gain_of(probe, index, row, targets))


def fan_in_and_out(situation: Situation, index: int) -> tuple[int, int]:
    """Mean connections into and out of the units of sparse layer `index`, rounded."""
    genome, width = situation.genome, situation.genome.shapes[index][1]
    into, out = genome.counts[index] / width, genome.counts[index + 1] / width
    return max(1, round(into)), max(1, round(out))


def outgoing_size(genome: Genome, index: int) -> float:
    """The size of a fresh weight out of sparse layer `index`: gain over the root of the fan-in."""
    fan_in = genome.counts[index + 1] / genome.shapes[index + 1][1]
    return float(np.sqrt(GAIN_SQUARED[genome.activation] / fan_in))


def _largest(sizes: Float[np.ndarray, " n"], count: int) -> Int[np.ndarray, " count"]:
    return np.sort(np.argsort(-sizes, kind="stable")[:count])


def _gain_of(
    probe: Probe, index: int, row: Row, targets: Int[np.ndarray, " targets"]
) -> HonestGain:
    after = probe.layers[index + 1]
    z = torch.from_numpy(row.z.astype(np.float32))
    features = ACTIVATION_FUNCTIONS[probe.activation](z)[:, None]
    pairs = Pairs(1, after.connections.units, targets.astype(np.int64))
    signals = pair_signals(after.derivatives, after.sampled_derivatives, features, pairs)
    return honest_gain(signals, after.derivatives, features, largest_gains(len(targets)))


def exact_insertion(genome: Genome, index: int) -> InsertLayer | None:
    """A layer behind hidden layer `index` that computes what is there now; None where a plain
    layer cannot: it repeats units over weights of 1, which `relu` leaves as they are, but
    not the sums of a residual block."""
    if genome.activation != "relu" or genome.normalisation != "none" or genome.blocks[index]:
        return None
    return InsertLayer(place=index + 1, width=genome.hidden[index].width)
