"""The heritable description of a network: widths, densities, activation, rate. No weights.

A sparse layer maps `n_src` sources to `n_dst` units; `possible` = n_src * n_dst. A stored density
is always `connections / possible`, so that the count comes back without building anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from structure_net.errors import InvalidGenomeError

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh"]
Normalisation = Literal["none", "rms"]
NORMALISATIONS: tuple[Normalisation, ...] = ("none", "rms")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky_relu", "gelu", "silu", "tanh")

# Bounds of what is accepted from outside, far above what trains here: a typing error in a file
# must not ask for a terabyte.
LARGEST_WIDTH = 65_536
MOST_LAYERS = 1_000


class LayerGene(BaseModel):
    """One hidden layer: its width and the density of the sparse layer that feeds it.

    `innovation` names the event that made the layer; crossover aligns equal names. It is history,
    not content, and takes no part in the genome's id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, le=LARGEST_WIDTH)
    density: float = Field(gt=0, le=1)
    innovation: str


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
        for layer, (shape, density) in enumerate(zip(self.shapes, self.densities, strict=True)):
            possible = shape[0] * shape[1]
            count = connections_of(density, possible)
            if density != count / possible:
                raise ValueError(
                    f"density {density} of sparse layer {layer} ({shape[0]} to {shape[1]}) is not "
                    f"a whole number of connections; the nearest is {count}/{possible}"
                )
            if count < fewest_connections(shape, first=layer == 0):
                raise ValueError(f"sparse layer {layer} has {count} connections: units cut off")
        return self

    @cached_property
    def architecture(self) -> tuple[int, ...]:
        """[inputs, hidden widths, classes]."""
        return (self.inputs, *(gene.width for gene in self.hidden), self.classes)

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_src, n_dst) of every sparse layer, input side first."""
        return tuple(zip(self.architecture[:-1], self.architecture[1:], strict=True))

    @cached_property
    def densities(self) -> tuple[float, ...]:
        """Density of every sparse layer, the output layer last."""
        return (*(gene.density for gene in self.hidden), self.output_density)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Connections of every sparse layer."""
        return tuple(
            connections_of(density, shape[0] * shape[1])
            for density, shape in zip(self.densities, self.shapes, strict=True)
        )

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of SHA-256 over the content; equal for equal networks to be."""
        content = self.model_dump(mode="json")
        for gene in content["hidden"]:
            del gene["innovation"]
        if self.growth_rule == "none":
            del content["growth_rule"]  # ids of networks that do not grow stay what they were
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def connections_of(density: float, possible: int) -> int:
    """The whole number of connections that a density stands for (halves round up)."""
    return math.floor(density * possible + 0.5)


def fewest_connections(shape: tuple[int, int], *, first: bool) -> int:
    """The fewest connections that leave no unit of the layer, nor hidden source, cut off."""
    sources, units = shape
    return units if first else max(units, sources)


def floors_of(shapes: Sequence[tuple[int, int]]) -> list[int]:
    """`fewest_connections` of every sparse layer, input side first."""
    return [fewest_connections(shape, first=layer == 0) for layer, shape in enumerate(shapes)]


def shapes_of(inputs: int, widths: Sequence[int], classes: int) -> list[tuple[int, int]]:
    """(n_src, n_dst) of the sparse layers of an architecture."""
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
) -> Genome:
    """A genome from connection counts; raises InvalidGenomeError where a bound is broken."""
    if min([inputs, *widths, classes]) < 1:
        raise InvalidGenomeError(f"Architecture {[inputs, *widths, classes]} has a width below 1.")
    shapes = shapes_of(inputs, widths, classes)
    names = innovations or [f"founder-{place}" for place in range(len(widths))]
    densities = [
        count / (source * unit) for count, (source, unit) in zip(counts, shapes, strict=True)
    ]
    try:
        return Genome(
            inputs=inputs,
            classes=classes,
            hidden=tuple(
                LayerGene(width=width, density=density, innovation=name)
                for width, density, name in zip(widths, densities[:-1], names, strict=True)
            ),
            output_density=densities[-1],
            activation=activation,
            normalisation=normalisation,
            base_learning_rate=base_learning_rate,
            strategy=strategy,
            growth_rule=growth_rule,
        )
    except ValueError as problem:
        raise InvalidGenomeError(f"Genome {[inputs, *widths, classes]}: {problem}") from problem
