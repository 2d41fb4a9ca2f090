"""Edits on a live network: weights and optimizer state go on, each with its connection.

What an edit does to the function that is computed:

| edit | function |
|---|---|
| `SetLearningRate`, `SetStrategy`, `SetGrowthRule` | the same |
| `SetDensity`, `ScaleDensity` | the same as far as connections are added; removed ones count as 0 |
| `ResizeLayer`, wider | the same: a new unit's outgoing weights are 0, and it moves no scale |
| `ResizeLayer`, narrower | without normalisation that with the removed units' activations at 0 |
| `InsertLayer` | the same with `relu` and without normalisation, see `_with_layer` |
| `InsertResidualBlock` | the same: its last matrix is 0 |
| `RemoveResidualBlock` | that with its last matrix at 0 |
| `RemoveLayer`, `SetActivation`, `SetNormalisation` | another |

Edits of single connections and units are those of `networks.growing`.

Where a layer has room for fewer connections than are needed to leave no unit cut off, weights are
removed and connections of weight 0 moved in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    BlockGene,
    Edit,
    Genome,
    GrowthEdit,
    InsertLayer,
    RemoveLayer,
    apply_edit,
)
from structure_net.networks.connectivity import constant_fan_in
from structure_net.networks.fitting import Usable, fitted
from structure_net.networks.growing import grown
from structure_net.networks.initialise import he_weights
from structure_net.networks.network import Network, drawn_connections, gain_of
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
        body = _with_layer(body, edit.place, edit.width, genome)
    elif isinstance(edit, RemoveLayer):
        body = _without_layer(body, edit.layer, genome, generator, usable)
    return reshaped(body, genome, generator, usable)


def reshaped(
    body: Body, genome: Genome, generator: np.random.Generator, usable: Usable = None
) -> Body:
    """The body with the widths, counts and residual blocks of `genome`, which has as many hidden
    layers.

    A layer that gets narrower loses its units of least utility, one that gets wider gets units with
    drawn incoming weights and outgoing weights 0; then connections come and go (see `fitted`). A
    block stays where `genome` has one of its innovation and size behind the same layer; others
    begin as in a new network.
    """
    present = _present(body, genome)
    moves = _moves(body, genome)
    parts = []
    for layer, (plan, count, part) in enumerate(
        zip(genome.plans, genome.counts, present, strict=True)
    ):
        if part is None:
            parts.append(_fresh(genome, layer, generator))
            continue
        rows, columns = moves[layer + 1], moves[layer]
        part = part.moved(rows, columns, plan.units, plan.sources)
        fresh_units = np.setdiff1d(np.arange(plan.units), rows)
        fresh_sources = np.setdiff1d(np.arange(plan.sources), columns)
        part = _with_units(part, fresh_units, fresh_sources, count, generator)
        varying = usable if layer == 0 else None
        first = not plan.every_source
        part = fitted(
            part, count, generator, first=first, every_unit=plan.every_unit, usable=varying
        )
        # What a block adds to a new unit begins at 0.
        drawn = fresh_units[:0] if plan.skip else fresh_units
        parts.append(_drawn(part, drawn, gain_of(genome, layer), generator))
    return replace(body, genome=genome, parts=tuple(parts))


def _present(body: Body, genome: Genome) -> list[Part | None]:
    """For each sparse layer of `genome` the part that it goes on from; None in a new block."""
    own = body.genome
    if len(genome.hidden) != len(own.hidden):
        raise InvalidGenomeError(
            f"A network of {len(own.shapes)} sparse layers cannot get the shape of "
            f"{list(genome.architecture)} without layers inserted or removed."
        )
    present: list[Part | None] = []
    for place, behind in enumerate((*genome.blocks, ())):
        first = own.trunk[place]
        present.append(body.parts[first])
        known: dict[tuple[str, int, int], tuple[Part, ...]] = {}
        first += 1
        for block in own.blocks[place] if place < len(own.blocks) else ():
            end = first + len(block.densities)
            known[_form(block)] = body.parts[first:end]
            first = end
        for block in behind:
            present += known.get(_form(block), (None,) * len(block.densities))
    return present


def _form(block: BlockGene) -> tuple[str, int, int]:
    return block.innovation, block.width, len(block.densities)


def _moves(body: Body, genome: Genome) -> list[Int[np.ndarray, " _"]]:
    """Where each unit goes: of the inputs, then of what each sparse layer of `genome` gives."""
    own, moves = body.genome, [_stay(genome.inputs)]
    junctions = []
    for place, gene in enumerate(genome.hidden):
        incoming = body.parts[own.trunk[place]]
        kept = _kept(incoming, _read_by(body, place), gene.width)
        junctions.append(_moves_to(kept, incoming.units))
    junctions.append(_stay(genome.classes))
    for layer, plan in enumerate(genome.plans):
        outside = layer in genome.trunk or plan.skip
        moves.append(junctions[plan.gene] if outside else _stay(plan.units))
    return moves


def _read_by(body: Body, place: int) -> list[Part]:
    """The parts that read what hidden layer `place` gives, and sums with it."""
    own = body.genome
    behind = range(own.trunk[place] + 1, own.trunk[place + 1])
    readers = [layer for layer in behind if layer == behind.start or own.plans[layer - 1].skip]
    return [body.parts[layer] for layer in (*readers, own.trunk[place + 1])]


def _fresh(genome: Genome, layer: int, generator: np.random.Generator) -> Part:
    """A sparse layer of a new block, as in a new network: the last one of a block at 0."""
    plan = genome.plans[layer]
    lists = drawn_connections(plan, genome.counts[layer], generator)
    weights = 0.0 if plan.skip else he_weights(lists, gain_of(genome, layer), generator)
    nothing = np.zeros(0, dtype=np.int64)
    empty = Part(plan.sources, plan.units, nothing, unknown(0), unknown(plan.biases))
    return empty.plus(lists.rows.astype(np.int64) * plan.sources + lists.columns, weights)


def utility(incoming: Part, *outgoing: Part) -> Float[np.ndarray, " units"]:
    """How much each unit matters, from weights alone: the norm of its incoming weights and bias,
    which its activations scale with, times the sum of its outgoing magnitudes."""
    squares = np.bincount(
        incoming.rows, weights=incoming.numbers[VALUE] ** 2.0, minlength=incoming.units
    )
    scale = np.sqrt(squares + incoming.biases[VALUE] ** 2.0)
    outward = [
        np.bincount(one.columns, weights=np.abs(one.numbers[VALUE]), minlength=one.sources)
        for one in outgoing
    ]
    product: np.ndarray = scale * sum(outward)
    return product


def _kept(incoming: Part, outgoing: Sequence[Part], width: int) -> Int[np.ndarray, " kept"]:
    """The units of a layer that stay when it may have `width`: those of greatest utility, in order;
    ties by lower index."""
    order = np.argsort(-utility(incoming, *outgoing), kind="stable")
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


def _with_layer(body: Body, place: int, width: int, genome: Genome) -> Body:
    """A plain layer inserted so that it changes as little as it can (Chen et al. 2016): it computes
    the units after it, which then repeat it, or it repeats the units before it. With `relu` a unit
    that repeats another over a connection of weight 1 is equal to it. Nothing is lost where it is
    as wide as the hidden layer after it, or, where no residual block stands behind that, the one
    before it.

    It gets at most as many units as it repeats or computes; `reshaped` gives it the others.
    """
    own, hidden = body.genome, len(body.genome.hidden)
    index = own.trunk[place]
    part = body.parts[index]
    if place < hidden and (place == 0 or width >= part.units):
        kept = _kept(part, _read_by(body, place), width)
        moves = _moves_to(kept, part.units)
        first = part.moved(moves, _stay(part.sources), len(kept), part.sources)
        second = _repeating(kept, _stay(len(kept)), part.units, len(kept))
    else:
        kept = _stay(0)
        if place:
            before = body.parts[own.trunk[place - 1]]
            kept = _kept(before, _read_by(body, place - 1), width)
        first = _repeating(_stay(len(kept)), kept, len(kept), part.sources)
        second = part.moved(_stay(part.units), _moves_to(kept, part.sources), part.units, len(kept))
    parts = (*body.parts[:index], first, second, *body.parts[index + 1 :])
    return replace(body, genome=genome, parts=parts)


def _repeating(
    rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"], units: int, sources: int
) -> Part:
    """Units that take one source each, with weight 1."""
    empty = Part(sources, units, np.zeros(0, dtype=np.int64), unknown(0), unknown(units))
    return empty.plus(rows * sources + columns, 1.0)


def _without_layer(
    body: Body, layer: int, genome: Genome, generator: np.random.Generator, usable: Usable
) -> Body:
    """A hidden layer gone, and the blocks behind it; the next sparse layer is drawn anew over the
    gap, its biases stay."""
    own = body.genome
    gap, following = own.trunk[layer], own.trunk[layer + 1]
    plan = genome.plans[gap]
    drawn = drawn_connections(
        plan, genome.counts[gap], generator, usable=usable if gap == 0 else None
    )
    nothing, biases = np.zeros(0, dtype=np.int64), body.parts[following].biases
    empty = Part(plan.sources, plan.units, nothing, unknown(0), biases)
    weights = he_weights(drawn, gain_of(genome, gap), generator)
    bridge = empty.plus(drawn.rows * plan.sources + drawn.columns, weights)
    parts = (*body.parts[:gap], bridge, *body.parts[following + 1 :])
    return replace(body, genome=genome, parts=parts)
