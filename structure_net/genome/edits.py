"""One change of structure as data, and the one function that applies it to a genome.

Mutation proposes edits; the bounds of the search space are checked on the result by the caller.
Sparse layers count from the input side, as in `Genome`; hidden layers for themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from structure_net.errors import InvalidGenomeError
from structure_net.genome.genome import (
    Activation,
    BlockGene,
    Genome,
    Normalisation,
    connections_of,
    genome_of,
    plans_of,
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

BlockKind = Literal["two_layer", "three_layer"]
BLOCK_LAYERS: dict[BlockKind, int] = {"two_layer": 2, "three_layer": 3}

# Units inside a new block: as many as a bottleneck block has outside of it, and few enough that the
# block stays smaller than the wide layers that it stands behind.
WIDEST_INSIDE = 256


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


class InsertResidualBlock(_Frozen):
    """A residual block behind hidden layer `junction`, behind the blocks that it has already.

    Inside it has min(2 w, 256) units for a layer of width w, and densities that are the mean of
    those before and behind the junction.
    """

    kind: Literal["insert_residual_block"] = "insert_residual_block"
    junction: int
    block: BlockKind = "two_layer"


class RemoveResidualBlock(_Frozen):
    """A residual block goes: number `place` of those behind hidden layer `junction`."""

    kind: Literal["remove_residual_block"] = "remove_residual_block"
    junction: int
    place: int


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
    | InsertResidualBlock
    | RemoveResidualBlock
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
            floors = [plan.fewest for plan in genome.plans]
            counts = allocate(
                genome.shapes, edit.overall_density, weights=genome.counts, floors=floors
            )
            return _with_counts(genome, counts)
        case InsertLayer():
            return _inserted(genome, edit)
        case RemoveLayer():
            return _removed(genome, edit)
        case InsertResidualBlock():
            return _with_block(genome, edit)
        case RemoveResidualBlock():
            return _without_block(genome, edit)
        case SetActivation():
            return _with(genome, activation=edit.activation)
        case SetNormalisation():
            every = [gene.model_copy(update={"members": None}) for gene in genome.hidden]
            return _with(genome, normalisation=edit.normalisation, hidden=tuple(every))
        case SetLearningRate():
            return _with(genome, base_learning_rate=edit.base_learning_rate)
        case SetStrategy():
            return _with(genome, strategy=edit.strategy)
        case SetGrowthRule():
            return _with(genome, growth_rule=edit.growth_rule)
        case _:
            widths, counts = resized(genome, edit)
            names = _innovations(genome)
            members = [gene.members or gene.width for gene in genome.hidden]
            return _rebuilt(genome, widths, names, counts, genome.blocks, members)


def inserted_innovation(left: str, right: str) -> str:
    """The name of a layer inserted between two others: equal insertions get equal names."""
    return _innovation(left, right, "insert_layer")


def _innovation(left: str, right: str, edit: str) -> str:
    text = f"{left}|{right}|{edit}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_layers(
    genome: Genome,
    widths: list[int],
    innovations: list[str],
    densities: list[float],
    blocks: Sequence[Sequence[BlockGene]] | None = None,
) -> Genome:
    """`genome` with other layers: each density rounded to a count within its layer's bounds.

    `densities` are those of the sparse layers outside blocks. Without `blocks` a hidden layer
    keeps those that the genome has behind the layer of that innovation.
    """
    if blocks is None:
        present = {gene.innovation: gene.blocks for gene in genome.hidden}
        blocks = [present.get(name, ()) for name in innovations]
    plans = plans_of(genome.inputs, widths, genome.classes, blocks)
    inside = [[one for block in behind for one in block.densities] for behind in [*blocks, ()]]
    every = [one for own, behind in zip(densities, inside, strict=True) for one in (own, *behind)]
    counts = [
        min(max(connections_of(density, plan.possible), plan.fewest), plan.possible)
        for density, plan in zip(every, plans, strict=True)
    ]
    return _rebuilt(
        genome, widths, innovations, counts, blocks, _members(genome, widths, innovations)
    )


def _members(genome: Genome, widths: Sequence[int], innovations: Sequence[str]) -> list[int | None]:
    """Members of the layers that are not narrower than those of their innovation were."""
    present = {gene.innovation: gene for gene in genome.hidden}
    found: list[int | None] = []
    for width, name in zip(widths, innovations, strict=True):
        gene = present.get(name)
        kept = gene is not None and width >= gene.width
        found.append((gene.members or gene.width) if gene is not None and kept else None)
    return found


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


def _trunk_densities(genome: Genome) -> list[float]:
    """The densities of the sparse layers outside blocks."""
    return [genome.densities[layer] for layer in genome.trunk]


def _rebuilt(
    genome: Genome,
    widths: list[int],
    innovations: list[str],
    counts: list[int],
    blocks: Sequence[Sequence[BlockGene]],
    members: Sequence[int | None],
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
        blocks=blocks,
        members=members,
    )


def _with_counts(genome: Genome, counts: list[int]) -> Genome:
    members = [gene.members for gene in genome.hidden]
    names = _innovations(genome)
    return _rebuilt(genome, _widths(genome), names, counts, genome.blocks, members)


def _hidden_layer(genome: Genome, layer: int) -> int:
    if not 0 <= layer < len(genome.hidden):
        raise InvalidGenomeError(f"No hidden layer {layer}: there are {len(genome.hidden)}.")
    return layer


def _resized(genome: Genome, edit: ResizeLayer) -> Genome:
    widths = _widths(genome)
    widths[_hidden_layer(genome, edit.layer)] = edit.width
    return with_layers(genome, widths, _innovations(genome), _trunk_densities(genome))


def _with_density(genome: Genome, edit: SetDensity) -> Genome:
    if not 0 <= edit.layer < len(genome.densities):
        raise InvalidGenomeError(f"No sparse layer {edit.layer} in {genome.architecture}.")
    counts, plan = list(genome.counts), genome.plans[edit.layer]
    wanted = connections_of(edit.density, plan.possible)
    counts[edit.layer] = min(max(wanted, plan.fewest), plan.possible)
    return _with_counts(genome, counts)


def _inserted(genome: Genome, edit: InsertLayer) -> Genome:
    if not 0 <= edit.place <= len(genome.hidden):
        raise InvalidGenomeError(f"No place {edit.place} in {genome.architecture}.")
    widths, names, densities = _widths(genome), _innovations(genome), _trunk_densities(genome)
    ends = ["input", *names, "output"]
    widths.insert(edit.place, edit.width)
    names.insert(edit.place, inserted_innovation(ends[edit.place], ends[edit.place + 1]))
    densities.insert(edit.place, densities[edit.place])
    return with_layers(genome, widths, names, densities)


def _removed(genome: Genome, edit: RemoveLayer) -> Genome:
    layer = _hidden_layer(genome, edit.layer)
    if len(genome.hidden) == 1:
        raise InvalidGenomeError("The only hidden layer cannot be removed.")
    widths, names, densities = _widths(genome), _innovations(genome), _trunk_densities(genome)
    del widths[layer], names[layer], densities[layer]
    return with_layers(genome, widths, names, densities)


def _with_block(genome: Genome, edit: InsertResidualBlock) -> Genome:
    junction, names = _hidden_layer(genome, edit.junction), [*_innovations(genome), "output"]
    behind = genome.blocks[junction]
    left = behind[-1].innovation if behind else names[junction]
    width = min(2 * genome.hidden[junction].width, WIDEST_INSIDE)
    around = _trunk_densities(genome)[junction : junction + 2]
    block = BlockGene(
        width=width,
        densities=(sum(around) / 2,) * BLOCK_LAYERS[edit.block],
        innovation=_innovation(left, names[junction + 1], f"insert_{edit.block}_block"),
    )
    return _with_blocks_behind(genome, junction, [*behind, block])


def _without_block(genome: Genome, edit: RemoveResidualBlock) -> Genome:
    behind = list(genome.blocks[_hidden_layer(genome, edit.junction)])
    if not 0 <= edit.place < len(behind):
        raise InvalidGenomeError(
            f"No residual block {edit.place} behind hidden layer {edit.junction}: there are "
            f"{len(behind)}."
        )
    del behind[edit.place]
    return _with_blocks_behind(genome, edit.junction, behind)


def _with_blocks_behind(genome: Genome, junction: int, behind: Sequence[BlockGene]) -> Genome:
    blocks = [*genome.blocks[:junction], behind, *genome.blocks[junction + 1 :]]
    densities = _trunk_densities(genome)
    return with_layers(genome, _widths(genome), _innovations(genome), densities, blocks)
