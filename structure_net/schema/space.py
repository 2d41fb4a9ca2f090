"""The search space: what evolution may build. No operator leaves it."""

from __future__ import annotations

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    LARGEST_WIDTH,
    Activation,
    Allocation,
    Genome,
    Normalisation,
    active_parameters,
    overall_density,
    possible_connections,
)

# The seed's five named hidden lists, for inputs of 3 x 32 x 32.
REFERENCE_ARCHITECTURES: tuple[tuple[int, ...], ...] = (
    (512, 256, 128),
    (1024, 512, 256, 128),
    (256, 512, 256),
    (800, 400, 200, 100),
    (1536, 768, 384, 192),
)
REFERENCE_INPUTS = 3072
SMALLEST_SCALED_WIDTH = 8
# Below it a block is as large as what it stands beside, and adds more than it repairs.
NARROWEST_JUNCTION = 32  # units, of 3,072 inputs


class Space(BaseModel):
    """Bounds of the search. Widths are for 3,072 inputs and shrink with the root of fewer ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    initial_architectures: tuple[tuple[int, ...], ...] = Field(
        default=REFERENCE_ARCHITECTURES,
        description="hidden widths of the first members of the population, scaled to the inputs",
    )
    initial_min_hidden_layers: int = Field(
        default=1, ge=1, le=1000, description="fewest hidden layers of a random first member"
    )
    initial_max_hidden_layers: int = Field(
        default=5, ge=1, le=1000, description="most hidden layers of a random first member"
    )
    initial_min_width: int = Field(
        default=64, ge=1, le=LARGEST_WIDTH, description="narrowest layer of a random first member"
    )
    initial_max_width: int = Field(
        default=1024, ge=1, le=LARGEST_WIDTH, description="widest layer of a random first member"
    )
    initial_min_density: float = Field(
        default=0.01, gt=0, le=1, description="lowest overall density of a first member"
    )
    initial_max_density: float = Field(
        default=0.1, gt=0, le=1, description="highest overall density of a first member"
    )
    initial_min_learning_rate: float = Field(
        default=1e-3, ge=1e-6, le=1e-1, description="lowest base learning rate of a first member"
    )
    initial_max_learning_rate: float = Field(
        default=1e-2, ge=1e-6, le=1e-1, description="highest base learning rate of a first member"
    )
    min_width: int = Field(
        default=32, ge=1, le=LARGEST_WIDTH, description="narrowest hidden layer of any member"
    )
    max_width: int = Field(
        default=8192, ge=1, le=LARGEST_WIDTH, description="widest hidden layer of any member"
    )
    min_density: float = Field(
        default=0.005, gt=0, le=1, description="lowest overall density of any member"
    )
    max_density: float = Field(
        default=0.2, gt=0, le=1, description="highest overall density of any member"
    )
    activations: tuple[Activation, ...] = Field(
        default=("silu", "relu", "leaky_relu", "gelu", "tanh"),
        min_length=1,
        description="activation functions to choose from; the first starts",
    )
    normalisations: tuple[Normalisation, ...] = Field(
        default=("none",),
        min_length=1,
        description="normalisations of hidden layers to choose from; the first starts",
    )
    min_learning_rate: float = Field(
        default=1e-4, ge=1e-6, le=1e-1, description="lowest base learning rate of any member"
    )
    max_learning_rate: float = Field(
        default=1e-2, ge=1e-6, le=1e-1, description="highest base learning rate of any member"
    )
    allocation: Allocation = Field(
        default="erdos_renyi", description="how an overall density is shared among layers"
    )
    max_parameters: int | None = Field(
        default=None, ge=1, description="most active parameters of any member; unset: no limit"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        pairs = (
            ("initial_min_hidden_layers", "initial_max_hidden_layers"),
            ("initial_min_width", "initial_max_width"),
            ("initial_min_density", "initial_max_density"),
            ("min_width", "max_width"),
            ("min_density", "max_density"),
            ("min_learning_rate", "max_learning_rate"),
            ("initial_min_learning_rate", "initial_max_learning_rate"),
            ("min_learning_rate", "initial_min_learning_rate"),
            ("initial_max_learning_rate", "max_learning_rate"),
            ("min_width", "initial_min_width"),
            ("initial_max_width", "max_width"),
            ("min_density", "initial_min_density"),
            ("initial_max_density", "max_density"),
        )
        for low, high in pairs:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"space.{low} is {getattr(self, low)}, above space.{high} which is "
                    f"{getattr(self, high)}; lower the first or raise the second"
                )
        for widths in self.initial_architectures:
            if not widths or any(not 1 <= width <= LARGEST_WIDTH for width in widths):
                raise ValueError(
                    f"space.initial_architectures holds {list(widths)}; each wants one width or "
                    f"more, each from 1 to {LARGEST_WIDTH}"
                )
        return self

    def scaled(self, width: int, inputs: int) -> int:
        """A width meant for 3,072 inputs, for a dataset with `inputs` of them."""
        if inputs >= REFERENCE_INPUTS:
            return width
        smallest = min(width, SMALLEST_SCALED_WIDTH)
        return max(smallest, round(width * math.sqrt(inputs / REFERENCE_INPUTS)))

    def width_range(self, inputs: int) -> tuple[int, int]:
        """Narrowest and widest hidden layer allowed for `inputs` inputs, both included."""
        return self.scaled(self.min_width, inputs), self.scaled(self.max_width, inputs)

    def narrowest_junction(self, inputs: int) -> int:
        """The narrowest hidden layer that may have a residual block behind it."""
        return self.scaled(NARROWEST_JUNCTION, inputs)

    def check(self, genome: Genome, max_layers: int) -> None:
        """InvalidGenomeError where the genome lies outside; `max_layers` counts sparse layers,
        those in residual blocks too."""
        if len(genome.shapes) > max_layers:
            raise InvalidGenomeError(f"{len(genome.shapes)} sparse layers, at most {max_layers}.")
        low, high = self.width_range(genome.inputs)
        for gene in genome.hidden:
            if not low <= gene.width <= high:
                raise InvalidGenomeError(f"Hidden width {gene.width} is not in [{low}, {high}].")
        self._check_density(genome)
        if genome.activation not in self.activations:
            raise InvalidGenomeError(f"Activation {genome.activation} is not in the space.")
        if genome.normalisation not in self.normalisations:
            raise InvalidGenomeError(f"Normalisation {genome.normalisation} is not in the space.")
        if not self.min_learning_rate <= genome.base_learning_rate <= self.max_learning_rate:
            raise InvalidGenomeError(f"Learning rate {genome.base_learning_rate} is outside.")
        if self.max_parameters is not None and active_parameters(genome) > self.max_parameters:
            raise InvalidGenomeError(
                f"{active_parameters(genome)} parameters, at most {self.max_parameters}."
            )

    def _check_density(self, genome: Genome) -> None:
        """A density may exceed the highest where fewer connections would cut units off, and lie
        below the lowest by the rounding of whole connections."""
        density, floors = overall_density(genome), [plan.fewest for plan in genome.plans]
        possible = possible_connections(genome)
        if density > self.max_density + 0.5 / possible and sum(genome.counts) > sum(floors):
            raise InvalidGenomeError(f"Overall density {density} exceeds {self.max_density}.")
        if density < self.min_density - 0.5 / possible:
            raise InvalidGenomeError(f"Overall density {density} is below {self.min_density}.")
