"""One change of structure as data, and the one function that applies it to a genome.

Mutation proposes edits; the bounds of the search space are checked on the result by the caller.
Sparse layers count from the input side; layer i < H feeds hidden layer i, layer H the logits.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from structure_net.errors import InvalidGenomeError
from structure_net.genome.genome import (
    Activation,
    Genome,
    Normalisation,
    connections_of,
    floors_of,
    genome_of,
    shapes_of,
)
from structure_net.genome.growth_edits import (
    AddConnections,
    Prune,
    PruneUnits,
    Revive,
    Rewire,
    SplitUnit,
    Widen,
    resized,
)
from structure_net.genome.growth_edits import Frozen as _Frozen
from structure_net.genome.size import allocate


class ResizeLayer(_Frozen):
    """A hidden layer gets another width; the densities before and after it stay."""

    kind: Literal["resize_layer"] = "resize_layer"
    layer: int
    width: int


class SetDensity(_Frozen):
    """One sparse layer gets another density."""

    kind: Literal["set_density"] = "set_density"
    layer: int
    density: float


class ScaleDensity(_Frozen):
    """All sparse layers together get another overall density, in their present proportions."""

    kind: Literal["scale_density"] = "scale_density"
    overall_density: float


class InsertLayer(_Frozen):
    """A plain hidden layer before hidden layer `place` (place = H: before the logits)."""

    kind: Literal["insert_layer"] = "insert_layer"
    place: int
    width: int


class RemoveLayer(_Frozen):
    """A hidden layer goes; the next sparse layer bridges the gap at its own density."""

    kind: Literal["remove_layer"] = "remove_layer"
    layer: int


class SetActivation(_Frozen):
    """Another activation function for all hidden units."""

    kind: Literal["set_activation"] = "set_activation"
    activation: Activation


class SetNormalisation(_Frozen):
    """Another normalisation of all hidden layers."""

    kind: Literal["set_normalisation"] = "set_normalisation"
    normalisation: Normalisation


class SetLearningRate(_Frozen):
    """Another base learning rate."""

    kind: Literal["set_learning_rate"] = "set_learning_rate"
    base_learning_rate: float


class SetStrategy(_Frozen):
    """Another learning-rate strategy."""

    kind: Literal["set_strategy"] = "set_strategy"
    strategy: str


class SetGrowthRule(_Frozen):
    """Another rule of growth."""

    kind: Literal["set_growth_rule"] = "set_growth_rule"
    growth_rule: str


Edit = Annotated[
    ResizeLayer
    | SetDensity
    | ScaleDensity
    | InsertLayer
    | RemoveLayer
    | SetActivation
    | SetNormalisation
    | SetLearningRate
    | SetStrategy
    | SetGrowthRule
    | AddConnections
    | Rewire
    | Prune
    | PruneUnits
    | Widen
    | SplitUnit
    | Revive,
    Field(discriminator="kind"),
]


def apply_edit(genome: Genome, edit: Edit) -> Genome:
    """The edited genome; InvalidGenomeError when the edit does not fit."""
    match edit:
        case ResizeLayer():
            return _resized(genome, edit)
        case SetDensity():
            return _with_density(genome, edit)
        case ScaleDensity():
            counts = allocate(genome.shapes, edit.overall_density, weights=genome.counts)
            return _rebuilt(genome, _widths(genome), _innovations(genome), counts)
        case InsertLayer():
            return _inserted(genome, edit)
        case RemoveLayer():
            return _removed(genome, edit)
        case SetActivation():
            return _with(genome, activation=edit.activation)
        case SetNormalisation():
            return _with(genome, normalisation=edit.normalisation)
        case SetLearningRate():
            return _with(genome, base_learning_rate=edit.base_learning_rate)
        case SetStrategy():
            return _with(genome, strategy=edit.strategy)
        case SetGrowthRule():
            return _with(genome, growth_rule=edit.growth_rule)
        case _:
            widths, counts = resized(genome, edit)
            return _rebuilt(genome, widths, _innovations(genome), counts)


def inserted_innovation(left: str, right: str) -> str:
    """The name of a layer inserted between two others: equal insertions get equal names."""
    text = f"{left}|{right}|insert_layer"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_layers(
    genome: Genome, widths: list[int], innovations: list[str], densities: list[float]
) -> Genome:
    """`genome` with other layers: each density rounded to a count within its layer's bounds."""
    shapes = shapes_of(genome.inputs, widths, genome.classes)
    counts = [
        min(max(connections_of(density, source * unit), low), source * unit)
        for density, (source, unit), low in zip(densities, shapes, floors_of(shapes), strict=True)
    ]
    return _rebuilt(genome, widths, innovations, counts)


def _with(genome: Genome, **genes: object) -> Genome:
    """Validated anew: a copy would carry the cached id of the old content along."""
    fields = {name: getattr(genome, name) for name in Genome.model_fields}
    try:
        return Genome.model_validate({**fields, **genes})
    except ValueError as problem:
        raise InvalidGenomeError(f"Genome {list(genome.architecture)}: {problem}") from problem


def _widths(genome: Genome) -> list[int]:
    return [gene.width for gene in genome.hidden]


def _innovations(genome: Genome) -> list[str]:
    return [gene.innovation for gene in genome.hidden]


def _rebuilt(
    genome: Genome, widths: list[int], innovations: list[str], counts: list[int]
) -> Genome:
    return genome_of(
        genome.inputs,
        widths,
        genome.classes,
        counts,
        base_learning_rate=genome.base_learning_rate,
        activation=genome.activation,
        normalisation=genome.normalisation,
        strategy=genome.strategy,
        growth_rule=genome.growth_rule,
        innovations=innovations,
    )


def _hidden_layer(genome: Genome, layer: int) -> int:
    if not 0 <= layer < len(genome.hidden):
        raise InvalidGenomeError(f"No hidden layer {layer}: there are {len(genome.hidden)}.")
    return layer


def _resized(genome: Genome, edit: ResizeLayer) -> Genome:
    widths = _widths(genome)
    widths[_hidden_layer(genome, edit.layer)] = edit.width
    return with_layers(genome, widths, _innovations(genome), list(genome.densities))


def _with_density(genome: Genome, edit: SetDensity) -> Genome:
    if not 0 <= edit.layer < len(genome.densities):
        raise InvalidGenomeError(f"No sparse layer {edit.layer} in {genome.architecture}.")
    densities = list(genome.densities)
    densities[edit.layer] = edit.density
    return with_layers(genome, _widths(genome), _innovations(genome), densities)


def _inserted(genome: Genome, edit: InsertLayer) -> Genome:
    if not 0 <= edit.place <= len(genome.hidden):
        raise InvalidGenomeError(f"No place {edit.place} in {genome.architecture}.")
    widths, names, densities = _widths(genome), _innovations(genome), list(genome.densities)
    ends = ["input", *names, "output"]
    widths.insert(edit.place, edit.width)
    names.insert(edit.place, inserted_innovation(ends[edit.place], ends[edit.place + 1]))
    densities.insert(edit.place, densities[edit.place])
    return with_layers(genome, widths, names, densities)


def _removed(genome: Genome, edit: RemoveLayer) -> Genome:
    layer = _hidden_layer(genome, edit.layer)
    if len(genome.hidden) == 1:
        raise InvalidGenomeError("The only hidden layer cannot be removed.")
    widths, names, densities = _widths(genome), _innovations(genome), list(genome.densities)
    del widths[layer], names[layer], densities[layer]
    return with_layers(genome, widths, names, densities)
