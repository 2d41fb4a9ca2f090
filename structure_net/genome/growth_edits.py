"""Edits that name single connections and units: what growth proposes, as data.

A place is row-major, unit * sources + source, as in a connection list. Connections are edited in a
*sparse* layer, those inside residual blocks too. Units are edited in a *hidden* layer without a
residual block behind it: sparse layer `trunk[i]` of the genome feeds hidden layer i, and the next
one alone reads it. What a block reads is read again as part of its sum, so there, and inside
blocks, no edit changes units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from structure_net.errors import InvalidGenomeError

if TYPE_CHECKING:
    from structure_net.genome.genome import Genome


class Frozen(BaseModel):
    """Base of all edits: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AddConnections(Frozen):
    """New connections of weight 0 at absent places of a sparse layer."""

    kind: Literal["add_connections"] = "add_connections"
    layer: int
    places: tuple[int, ...]


class Rewire(Frozen):
    """Connections of a sparse layer go, and as many come at other places, with weight 0."""

    kind: Literal["rewire"] = "rewire"
    layer: int
    dropped: tuple[int, ...]
    added: tuple[int, ...]


class Prune(Frozen):
    """Connections of a sparse layer go. Where that would cut something off, one is moved there."""

    kind: Literal["prune"] = "prune"
    layer: int
    places: tuple[int, ...]


class PruneUnits(Frozen):
    """Hidden units go with their connections: `fan_in` of them into these units, `fan_out` out."""

    kind: Literal["prune_units"] = "prune_units"
    layer: int
    units: tuple[int, ...]
    fan_in: int = Field(ge=1)
    fan_out: int = Field(ge=1)


class NewUnit(Frozen):
    """A unit to come: a weight for each of its sources, its bias, a weight into each target."""

    sources: tuple[int, ...] = Field(min_length=1)
    weights: tuple[float, ...]
    bias: float
    targets: tuple[int, ...] = Field(min_length=1)
    outgoing: tuple[float, ...]


class Widen(Frozen):
    """A hidden layer gets units. Of a `pair` both have one incoming side and opposite outgoing
    weights (Yuan et al. 2023); those of `zero_out` and `knot` begin with outgoing weights 0."""

    kind: Literal["widen"] = "widen"
    layer: int
    mode: Literal["pair", "zero_out", "knot"]
    units: tuple[NewUnit, ...] = Field(min_length=1)


class SplitUnit(Frozen):
    """A hidden unit becomes two of its kind, which take its outgoing connections in turn.
    `fan_in` is the number of its sources."""

    kind: Literal["split_unit"] = "split_unit"
    layer: int
    unit: int
    fan_in: int = Field(ge=1)


class RevivedUnit(Frozen):
    """A unit's new incoming side, with `added` connections more than it had, and `mean`, its mean
    activation so far, which goes into the biases of its targets."""

    unit: int
    sources: tuple[int, ...] = Field(min_length=1)
    weights: tuple[float, ...]
    bias: float
    mean: float
    added: int = Field(default=0, ge=0)


class Revive(Frozen):
    """Hidden units begin anew: other sources, outgoing weights 0, nothing remembered."""

    kind: Literal["revive"] = "revive"
    layer: int
    units: tuple[RevivedUnit, ...] = Field(min_length=1)


GrowthEdit = AddConnections | Rewire | Prune | PruneUnits | Widen | SplitUnit | Revive


def resized(genome: Genome, edit: GrowthEdit) -> tuple[list[int], list[int]]:
    """(hidden widths, connection counts) of the genome after an edit; InvalidGenomeError where the
    edit does not fit its layers."""
    widths, counts = [gene.width for gene in genome.hidden], list(genome.counts)
    layer = edit.layer
    if isinstance(edit, AddConnections | Rewire | Prune):
        if not 0 <= layer < len(counts):
            raise InvalidGenomeError(f"No sparse layer {layer} in {list(genome.architecture)}.")
        counts[layer] += _connections_added(genome, edit)
        return widths, counts
    if not 0 <= layer < len(widths):
        raise InvalidGenomeError(f"No hidden layer {layer}: there are {len(widths)}.")
    if genome.blocks[layer]:
        raise InvalidGenomeError(
            f"Hidden layer {layer} has a residual block behind it, whose sum reads its units too; "
            f"units are edited in hidden layers without one."
        )
    units, into, out_of = _units_added(genome, edit)
    widths[layer] += units
    counts[genome.trunk[layer]] += into
    counts[genome.trunk[layer] + 1] += out_of
    return widths, counts


def _connections_added(genome: Genome, edit: AddConnections | Rewire | Prune) -> int:
    sources, units = genome.shapes[edit.layer]
    what = f"sparse layer {edit.layer}"
    if isinstance(edit, Rewire):
        _distinct([*edit.dropped, *edit.added], sources * units, what)
        if len(edit.dropped) != len(edit.added):
            raise InvalidGenomeError(
                f"Rewiring drops {len(edit.dropped)} connections of {what} and adds "
                f"{len(edit.added)}; it must be as many."
            )
        return 0
    _distinct(edit.places, sources * units, what)
    return len(edit.places) if isinstance(edit, AddConnections) else -len(edit.places)


def _units_added(
    genome: Genome, edit: PruneUnits | Widen | SplitUnit | Revive
) -> tuple[int, int, int]:
    """Units of a hidden layer, connections into them and out of them that an edit adds."""
    layer, what = genome.trunk[edit.layer], f"hidden layer {edit.layer}"
    sources, units = genome.shapes[layer]
    if isinstance(edit, PruneUnits):
        _distinct(edit.units, units, what)
        members = genome.plans[layer].members
        if genome.normalisation == "rms" and min(edit.units, default=members) < members:
            raise InvalidGenomeError(
                f"{what.capitalize()} is normalised by its first {members} units; without one of "
                f"them all others would change. Only units that came later can be pruned there."
            )
        return -len(edit.units), -edit.fan_in, -edit.fan_out
    if isinstance(edit, SplitUnit):
        _distinct([edit.unit], units, what)
        return 1, edit.fan_in, 0
    for unit in edit.units:
        _distinct(unit.sources, sources, f"the sources of {what}")
        _same_length(unit.sources, unit.weights, what)
        if isinstance(unit, NewUnit):
            _distinct(unit.targets, genome.shapes[layer + 1][1], f"the targets of {what}")
            _same_length(unit.targets, unit.outgoing, what)
    if isinstance(edit, Revive):
        _distinct([unit.unit for unit in edit.units], units, what)
        return 0, sum(unit.added for unit in edit.units), 0
    into = sum(len(unit.sources) for unit in edit.units)
    return len(edit.units), into, sum(len(unit.targets) for unit in edit.units)


def _distinct(numbers: Sequence[int], end: int, what: str) -> None:
    if len(set(numbers)) != len(numbers) or any(not 0 <= one < end for one in numbers):
        raise InvalidGenomeError(
            f"An edit names {len(numbers)} numbers in {what}; different ones from 0 to {end - 1} "
            f"were expected."
        )


def _same_length(places: Sequence[int], weights: Sequence[float], what: str) -> None:
    if len(places) != len(weights):
        raise InvalidGenomeError(f"{len(weights)} weights for {len(places)} places in {what}.")
