"""What a rule of growth looks at, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from structure_net.genome import MOST_LAYERS, Edit, Genome, apply_edit
from structure_net.growth.findings import Findings
from structure_net.metrics import Probe, Undetermined
from structure_net.networks import Body
from structure_net.seeding import PathPart, derive


@dataclass(frozen=True)
class Situation:
    """A network at an attempt, after its repair. `findings` are those before it, by the rule's own
    definitions; `revived` the units of each hidden layer of the probe that it
    revived. `room` is the number of connections that may come, `layers_left` that of sparse layers;
    `junctions` are the hidden layers that may have another residual block behind them."""

    body: Body
    probe: Probe
    findings: Findings | Undetermined
    revived: tuple[Int[np.ndarray, " _"], ...]
    room: int
    junctions: tuple[int, ...] = ()
    layers_left: int = MOST_LAYERS

    @property
    def genome(self) -> Genome:
        return self.body.genome

    def draw(self, *purpose: str | int) -> np.random.Generator:
        """A generator for the purpose named, the same for the same attempt of the same trial."""
        return self.probe.draw("growth", *purpose)

    def draw_of(self, edit: Edit) -> np.random.Generator:
        """The generator with which the edit is made: what it draws can be known before."""
        return draw_of(self.probe.seed, self.probe.path, edit)

    def cost(self, edit: Edit) -> int:
        """Connections that the edit adds."""
        return sum(apply_edit(self.genome, edit).counts) - sum(self.genome.counts)


def draw_of(seed: int, path: tuple[PathPart, ...], edit: Edit) -> np.random.Generator:
    """The generator of an edit in the attempt of that path, the same for edits of one kind at one
    place."""
    names = ("layer", "place", "junction")
    place = next((getattr(edit, name) for name in names if hasattr(edit, name)), 0)
    return derive(seed, *path, "growth", edit.kind, place)


@dataclass(frozen=True)
class Proposal:
    """Edits in the order in which they are to be made, and what decided. `trigger` holds the
    numbers; `reason` says why nothing is proposed. The gain is in nats, where one was predicted."""

    edits: tuple[Edit, ...] = ()
    trigger: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    gain: float | None = None
    gain_error: float | None = None
