"""Edits on a live network: weights and optimizer state go on, each with its connection.

What an edit does to the function that is computed:

| edit | function |
|---|---|
| `SetLearningRate`, `SetStrategy`, `SetGrowthRule` | the same |
| `SetDensity`, `ScaleDensity` | the same as far as connections are added; removed ones count as 0 |
| `ResizeLayer`, wider | the same without normalisation: a new unit's outgoing weights are 0 |
| `ResizeLayer`, narrower | without normalisation that with the removed units' activations at 0 |
| `InsertLayer` | the same with `relu` and without normalisation, see `_with_layer` |
| `RemoveLayer`, `SetActivation`, `SetNormalisation` | another |

Edits of single connections and units are those of `networks.growing`.

Where a layer has room for fewer connections than are needed to leave no unit cut off, weights are
removed and connections of weight 0 moved in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from structure_net.errors import InvalidGenomeError
from structure_net.genome import Edit, Genome, GrowthEdit, InsertLayer, RemoveLayer, apply_edit
from structure_net.networks.connectivity import constant_fan_in
from structure_net.networks.fitting import Usable, fitted
from structure_net.networks.growing import grown
from structure_net.networks.initialise import GAIN_SQUARED, he_weights
from structure_net.networks.network import Network
from structure_net.networks.parts import (
    VALUE,
    OptimizerState,
    Part,
    assembled,
    taken_apart,
    unknown,
)


@dataclass(frozen=True)
class Body:
    """A live network taken apart: `parts` are the sparse layers of `genome`, `steps` what its
    optimizer made."""

    genome: Genome
    parts: tuple[Part, ...]
    steps: int

    @classmethod
    def of(cls, network: Network, state: OptimizerState) -> Body:
        """A copy: the network itself stays as it is."""
        return cls(network.genome, tuple(taken_apart(network, state)), state.steps)

    def network(self) -> tuple[Network, OptimizerState]:
        """The network of this body, with its optimizer's state."""
        return assembled(self.genome, list(self.parts), self.steps)


def edited(body: Body, edit: Edit, generator: np.random.Generator, usable: Usable = None) -> Body:
    """The body after an edit; its genome is `apply_edit(body.genome, edit)`.

    `usable` marks inputs that vary over the training data. InvalidGenomeError where the edit does
    not fit.
    """
    genome = apply_edit(body.genome, edit)
    if isinstance(edit, GrowthEdit):
        parts = grown(body.parts, edit, genome, generator, usable)
        return replace(body, genome=genome, parts=parts)
    if isinstance(edit, InsertLayer):
        body = _with_layer(body, edit.place, edit.width)
    elif isinstance(edit, RemoveLayer):
        body = _without_layer(body, edit.layer, genome, generator, usable)
    return reshaped(body, genome, generator, usable)


def reshaped(
    body: Body, genome: Genome, generator: np.random.Generator, usable: Usable = None
) -> Body:
    """The body with the widths and counts of `genome`, which has as many layers.

    A layer that gets narrower loses its units of least utility, one that gets wider gets units with
    drawn incoming weights and outgoing weights 0; then connections come and go (see `fitted`).
    """
    if len(genome.shapes) != len(body.parts):
        raise InvalidGenomeError(
            f"A network of {len(body.parts)} sparse layers cannot get the shape of "
            f"{list(genome.architecture)} without layers inserted or removed."
        )
    moves = [_stay(genome.inputs)]
    for gene, incoming, outgoing in zip(genome.hidden, body.parts, body.parts[1:], strict=False):
        moves.append(_moves_to(_kept(incoming, outgoing, gene.width), incoming.units))
    moves.append(_stay(genome.classes))
    parts = []
    for layer, (sources, units) in enumerate(genome.shapes):
        part = body.parts[layer].moved(moves[layer + 1], moves[layer], units, sources)
        fresh_units = np.setdiff1d(np.arange(units), moves[layer + 1])
        fresh_sources = np.setdiff1d(np.arange(sources), moves[layer])
        count = genome.counts[layer]
        part = _with_units(part, fresh_units, fresh_sources, count, generator)
        varying = usable if layer == 0 else None
        part = fitted(part, count, generator, first=layer == 0, usable=varying)
        parts.append(_drawn(part, fresh_units, _gain(genome, layer), generator))
    return replace(body, genome=genome, parts=tuple(parts))


def utility(incoming: Part, outgoing: Part) -> Float[np.ndarray, " units"]:
    """How much each unit matters, from weights alone: the norm of its incoming weights and bias,
    which its activations scale with, times the sum of its outgoing magnitudes."""
    squares = np.bincount(
        incoming.rows, weights=incoming.numbers[VALUE] ** 2.0, minlength=incoming.units
    )
    scale = np.sqrt(squares + incoming.biases[VALUE] ** 2.0)
    outward = np.bincount(
        outgoing.columns, weights=np.abs(outgoing.numbers[VALUE]), minlength=outgoing.sources
    )
    product: np.ndarray = scale * outward
    return product


def _kept(incoming: Part, outgoing: Part, width: int) -> Int[np.ndarray, " kept"]:
    """The units of a layer that stay when it may have `width`: those of greatest utility, in order;
    ties by lower index."""
    order = np.argsort(-utility(incoming, outgoing), kind="stable")
    return np.sort(order[:width])


def _moves_to(kept: Int[np.ndarray, " kept"], count: int) -> Int[np.ndarray, " count"]:
    """Where each of `count` units goes when only those of `kept` stay: -1 for the others."""
    moves = np.full(count, -1)
    moves[kept] = np.arange(len(kept))
    return moves


def _stay(count: int) -> Int[np.ndarray, " count"]:
    """Each unit where it is."""
    return np.arange(count)


def _with_units(
    part: Part,
    fresh_units: Int[np.ndarray, " new_units"],
    fresh_sources: Int[np.ndarray, " new_sources"],
    count: int,
    generator: np.random.Generator,
) -> Part:
    """Connections of weight 0 into new units and out of new sources, as many as `count` leaves:
    the same number for each of them to within one, and at least one."""
    room = count - len(part.places)
    settled_units = np.setdiff1d(np.arange(part.units), fresh_units)
    into = len(fresh_units) * part.sources
    out_of = len(fresh_sources) * len(settled_units)
    if into:
        share = round(room * into / (into + out_of))
        wanted = min(max(share, len(fresh_units)), into)
        rows = constant_fan_in(
            part.sources, len(fresh_units), wanted, generator, feed_every_source=False
        )
        part = part.plus(fresh_units[rows.rows] * part.sources + rows.columns)
        room -= wanted
    if out_of:
        wanted = min(max(room, len(fresh_sources)), out_of)
        rows = constant_fan_in(
            len(settled_units), len(fresh_sources), wanted, generator, feed_every_source=False
        )
        units = settled_units[rows.columns]
        part = part.plus(units * part.sources + fresh_sources[rows.rows])
    return part


def _drawn(
    part: Part,
    fresh_units: Int[np.ndarray, " new_units"],
    gain_squared: float,
    generator: np.random.Generator,
) -> Part:
    """The incoming weights of new units drawn as those of a new network."""
    if len(fresh_units) == 0:
        return part
    weights = he_weights(part.connections, gain_squared, generator)
    into = np.isin(part.rows, fresh_units)
    numbers = part.numbers.copy()
    numbers[VALUE, into] = weights[into]
    return replace(part, numbers=numbers)


def _gain(genome: Genome, layer: int) -> float:
    """As `build_network` has it: logits and standardised inputs 1."""
    inner = 0 < layer < len(genome.hidden)
    return GAIN_SQUARED[genome.activation] if inner else 1.0


def _with_layer(body: Body, place: int, width: int) -> Body:
    """A plain layer inserted so that it changes as little as it can (Chen et al. 2016): it computes
    the units after it, which then repeat it, or it repeats the units before it. With `relu` a unit
    that repeats another over a connection of weight 1 is equal to it. Nothing is lost where it is
    as wide as the hidden layer after it, or the one before it.

    It gets at most as many units as it repeats or computes; `reshaped` gives it the others.
    """
    part, hidden = body.parts[place], len(body.parts) - 1
    if place < hidden and (place == 0 or width >= part.units):
        kept = _kept(part, body.parts[place + 1], width)
        moves = _moves_to(kept, part.units)
        first = part.moved(moves, _stay(part.sources), len(kept), part.sources)
        second = _repeating(kept, _stay(len(kept)), part.units, len(kept))
    else:
        kept = _kept(body.parts[place - 1], part, width) if place else _stay(0)
        first = _repeating(_stay(len(kept)), kept, len(kept), part.sources)
        second = part.moved(_stay(part.units), _moves_to(kept, part.sources), part.units, len(kept))
    parts = (*body.parts[:place], first, second, *body.parts[place + 1 :])
    return replace(body, parts=parts)


def _repeating(
    rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"], units: int, sources: int
) -> Part:
    """Units that take one source each, with weight 1."""
    empty = Part(sources, units, np.zeros(0, dtype=np.int64), unknown(0), unknown(units))
    return empty.plus(rows * sources + columns, 1.0)


def _without_layer(
    body: Body, layer: int, genome: Genome, generator: np.random.Generator, usable: Usable
) -> Body:
    """A hidden layer gone; the next sparse layer is drawn anew over the gap, its biases stay."""
    sources, units = genome.shapes[layer]
    drawn = constant_fan_in(
        sources,
        units,
        genome.counts[layer],
        generator,
        feed_every_source=layer > 0,
        usable=usable if layer == 0 else None,
    )
    empty = Part(
        sources, units, np.zeros(0, dtype=np.int64), unknown(0), body.parts[layer + 1].biases
    )
    weights = he_weights(drawn, _gain(genome, layer), generator)
    bridge = empty.plus(drawn.rows * sources + drawn.columns, weights)
    return replace(body, parts=(*body.parts[:layer], bridge, *body.parts[layer + 2 :]))
