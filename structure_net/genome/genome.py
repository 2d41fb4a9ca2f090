"""The heritable description of a network: widths, densities, activation, rate. No weights.

A sparse layer maps `n_src` sources to `n_dst` units; `possible` = n_src * n_dst. A stored density
is always `connections / possible`, so that the count comes back without building anything.

Sparse layers count from the input side, those inside residual blocks included: what feeds a hidden
layer, then its blocks, then what feeds the next. Each reads the output of the one before it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from structure_net.errors import InvalidGenomeError

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh"]
Normalisation = Literal["none", "rms"]
Density = Annotated[float, Field(gt=0, le=1)]
NORMALISATIONS: tuple[Normalisation, ...] = ("none", "rms")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky_relu", "gelu", "silu", "tanh")

# Bounds of what is accepted from outside, far above what trains here: a typing error in a file
# must not ask for a terabyte.
LARGEST_WIDTH = 65_536
MOST_LAYERS = 1_000


class BlockGene(BaseModel):
    """A residual block behind a hidden layer: h + V phi(norm(U h) + b), or with another sparse
    layer of units between U and V. `width` is that of the units inside.

    The sum is read by what comes behind it. V has no bias, and starts at 0 (see `networks`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, le=LARGEST_WIDTH)
    densities: tuple[Density, ...] = Field(min_length=2, max_length=3)
    innovation: str


class LayerGene(BaseModel):
    """One hidden layer: its width, the density of the sparse layer that feeds it, and the residual
    blocks behind it, the first of them nearest to it.

    `innovation` names the event that made the layer; crossover aligns equal names. It is history,
    not content, and takes no part in the genome's id. `members` are the units, the first so many,
    that move the scale of a normalised layer: those that it was built with. Units that came later
    are divided by the same scale, so that a layer may get wider without a change. None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, le=LARGEST_WIDTH)
    density: Density
    innovation: str
    blocks: tuple[BlockGene, ...] = Field(default=(), max_length=MOST_LAYERS)
    members: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _some_are_not_members(self) -> LayerGene:
        if self.members is not None and self.members >= self.width:
            raise ValueError(f"{self.members} members of {self.width} units; unset means all")
        return self


@dataclass(frozen=True)
class LayerPlan:
    """One sparse layer. `gene` is the number of the hidden layer that it feeds or stands behind,
    that of the hidden layers for the one that gives the logits.

    `skip` above 0: it ends a block. The output of the layer that many places before it is added to
    its products, and it has no bias, normalisation or activation. `every_unit` and `every_source`:
    none of them may be without a connection; others have the skip. `grown` units, the last ones,
    came later and do not move the scale where the layer is normalised.
    """

    sources: int
    units: int
    gene: int
    skip: int = 0
    every_unit: bool = True
    every_source: bool = True
    grown: int = 0

    @property
    def members(self) -> int:
        """The units, the first so many, that move the scale where the layer is normalised."""
        return self.units - self.grown

    @property
    def possible(self) -> int:
        """Places for a connection."""
        return self.sources * self.units

    @property
    def biases(self) -> int:
        """How many biases it has."""
        return 0 if self.skip else self.units

    @property
    def fewest(self) -> int:
        """The fewest connections that leave no unit cut off, nor a source."""
        return max(self.units * self.every_unit, self.sources * self.every_source)


class Genome(BaseModel):
    """A network without weights. `architecture` includes both ends, `hidden` only what evolves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: int = Field(ge=1, le=10_000_000)
    classes: int = Field(ge=2, le=LARGEST_WIDTH)
    hidden: tuple[LayerGene, ...] = Field(max_length=MOST_LAYERS)
    output_density: float = Field(gt=0, le=1)
    activation: Activation = "relu"
    normalisation: Normalisation = "none"
    base_learning_rate: float = Field(gt=0, le=1)
    strategy: str = "COSINE"
    growth_rule: str = "none"

    @model_validator(mode="after")
    def _counts_are_whole(self) -> Genome:
        if len(self.plans) > MOST_LAYERS + 1:  # as many as of the largest without blocks
            raise ValueError(f"{len(self.plans)} sparse layers, at most {MOST_LAYERS + 1}")
        for layer, (plan, density) in enumerate(zip(self.plans, self.densities, strict=True)):
            count = connections_of(density, plan.possible)
            if density != count / plan.possible:
                raise ValueError(
                    f"density {density} of sparse layer {layer} ({plan.sources} to {plan.units}) "
                    f"is not a whole number of connections; the nearest is {count}/{plan.possible}"
                )
            if count < plan.fewest:
                raise ValueError(f"sparse layer {layer} has {count} connections: units cut off")
        return self

    @cached_property
    def architecture(self) -> tuple[int, ...]:
        """[inputs, hidden widths, classes]; blocks, which change no width, are not in it."""
        return (self.inputs, *(gene.width for gene in self.hidden), self.classes)

    @cached_property
    def hidden_widths(self) -> tuple[int, ...]:
        """Widths of all layers of hidden units, those inside blocks too."""
        return tuple(plan.units for plan in self.plans[:-1] if not plan.skip)

    @cached_property
    def blocks(self) -> tuple[tuple[BlockGene, ...], ...]:
        """The residual blocks behind each hidden layer."""
        return tuple(gene.blocks for gene in self.hidden)

    @cached_property
    def plans(self) -> tuple[LayerPlan, ...]:
        """Every sparse layer, input side first."""
        widths = [gene.width for gene in self.hidden]
        plans = plans_of(self.inputs, widths, self.classes, self.blocks)
        for gene, layer in enumerate(_trunk_of(plans)[:-1]):
            if (members := self.hidden[gene].members) is not None:
                plans[layer] = replace(plans[layer], grown=plans[layer].units - members)
        return tuple(plans)

    @cached_property
    def trunk(self) -> tuple[int, ...]:
        """Places, among all sparse layers, of those outside blocks; the last is the output
        layer."""
        return tuple(_trunk_of(self.plans))

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_src, n_dst) of every sparse layer, input side first."""
        return tuple((plan.sources, plan.units) for plan in self.plans)

    @cached_property
    def densities(self) -> tuple[float, ...]:
        """Density of every sparse layer, the output layer last."""
        hidden = [
            density
            for gene in self.hidden
            for density in (
                gene.density,
                *(one for block in gene.blocks for one in block.densities),
            )
        ]
        return (*hidden, self.output_density)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Connections of every sparse layer."""
        return tuple(
            connections_of(density, plan.possible)
            for density, plan in zip(self.densities, self.plans, strict=True)
        )

    @cached_property
    def bias_counts(self) -> tuple[int, ...]:
        """Biases of every sparse layer: none of one that ends a block."""
        return tuple(plan.biases for plan in self.plans)

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of SHA-256 over the content; equal for equal networks to be."""
        content = self.model_dump(mode="json")
        for gene in content["hidden"]:
            # Without blocks the content is that of a time before there were any.
            blocks = [
                {name: block[name] for name in ("width", "densities")}
                for block in gene.pop("blocks")
            ]
            del gene["innovation"]
            if blocks:
                gene["blocks"] = blocks
            if gene["members"] is None:
                del gene["members"]
        if self.growth_rule == "none":
            del content["growth_rule"]  # ids of networks that do not grow stay what they were
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def connections_of(density: float, possible: int) -> int:
    """The whole number of connections that a density stands for (halves round up)."""
    return math.floor(density * possible + 0.5)


def plans_of(
    inputs: int,
    widths: Sequence[int],
    classes: int,
    blocks: Sequence[Sequence[BlockGene]] = (),
) -> list[LayerPlan]:
    """The sparse layers of an architecture; `blocks` are those behind each hidden layer."""
    plans: list[LayerPlan] = []
    for gene, (sources, units) in enumerate(shapes_of(inputs, widths, classes)):
        plans.append(LayerPlan(sources, units, gene, every_source=gene > 0))
        for block in blocks[gene] if gene < len(blocks) else ():
            plans.append(LayerPlan(units, block.width, gene, every_source=False))
            if len(block.densities) == 3:
                plans.append(LayerPlan(block.width, block.width, gene))
            skip = len(block.densities)
            plans.append(LayerPlan(block.width, units, gene, skip=skip, every_unit=False))
    return plans


def _trunk_of(plans: Sequence[LayerPlan]) -> list[int]:
    trunk: list[int] = []
    for layer, plan in enumerate(plans):
        if plan.gene == len(trunk):
            trunk.append(layer)
    return trunk


def fewest_connections(shape: tuple[int, int], *, first: bool) -> int:
    """The fewest connections that leave no unit of the layer, nor hidden source, cut off."""
    sources, units = shape
    return units if first else max(units, sources)


def floors_of(shapes: Sequence[tuple[int, int]]) -> list[int]:
    """`fewest_connections` of the sparse layers of a network without blocks, input side first."""
    return [fewest_connections(shape, first=layer == 0) for layer, shape in enumerate(shapes)]


def shapes_of(inputs: int, widths: Sequence[int], classes: int) -> list[tuple[int, int]]:
    """(n_src, n_dst) of the sparse layers of an architecture without blocks."""
    ends = [inputs, *widths, classes]
    return list(pairwise(ends))


def genome_of(
    inputs: int,
    widths: Sequence[int],
    classes: int,
    counts: Sequence[int],
    *,
    base_learning_rate: float,
    activation: Activation = "relu",
    normalisation: Normalisation = "none",
    strategy: str = "COSINE",
    growth_rule: str = "none",
    innovations: Sequence[str] | None = None,
    blocks: Sequence[Sequence[BlockGene]] | None = None,
    members: Sequence[int | None] | None = None,
) -> Genome:
    """A genome from the connection counts of all sparse layers; raises InvalidGenomeError where a
    bound is broken. The densities of `blocks`, those behind each hidden layer, come from `counts`.
    `members` of each hidden layer, all of its units without, are kept where it is normalised.
    """
    if min([inputs, *widths, classes]) < 1:
        raise InvalidGenomeError(f"Architecture {[inputs, *widths, classes]} has a width below 1.")
    forms = [()] * len(widths) if blocks is None else blocks
    plans = plans_of(inputs, widths, classes, forms)
    names = innovations or [f"founder-{place}" for place in range(len(widths))]
    scaled = [None] * len(widths) if members is None or normalisation == "none" else members
    densities = iter([count / plan.possible for count, plan in zip(counts, plans, strict=True)])
    try:
        return Genome(
            inputs=inputs,
            classes=classes,
            hidden=tuple(
                LayerGene(
                    width=width,
                    density=next(densities),
                    innovation=name,
                    blocks=tuple(_with_densities(block, densities) for block in behind),
                    members=own if own is not None and own < width else None,
                )
                for width, name, behind, own in zip(widths, names, forms, scaled, strict=True)
            ),
            output_density=next(densities),
            activation=activation,
            normalisation=normalisation,
            base_learning_rate=base_learning_rate,
            strategy=strategy,
            growth_rule=growth_rule,
        )
    except ValueError as problem:
        raise InvalidGenomeError(f"Genome {[inputs, *widths, classes]}: {problem}") from problem


def _with_densities(block: BlockGene, densities: Iterator[float]) -> BlockGene:
    """The block with as many of the next densities as it has sparse layers."""
    own = tuple(next(densities) for _ in block.densities)
    return BlockGene(width=block.width, densities=own, innovation=block.innovation)
