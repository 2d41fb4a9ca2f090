"""The table by which `--engine auto` chooses: a fact of a run, recorded at its start."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from structure_net.schema.trial import Frozen


class Crossover(Frozen):
    """For networks of about `possible` connections: up to these densities the sparse engines are
    faster than dense products of this precision on one core."""

    possible: int = Field(ge=1)
    mixed_precision: bool
    native: float = Field(ge=0, le=1)
    csr: float = Field(ge=0, le=1)


class EngineTable(Frozen):
    """`machine` is empty for the shipped table, else describes where it was measured; `kernels`
    says whether the native engine was there."""

    origin: Literal["shipped", "calibrated"]
    machine: str = ""
    kernels: bool
    crossovers: tuple[Crossover, ...] = Field(min_length=1)
