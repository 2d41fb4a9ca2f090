"""What a rule of growth looks at, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from structure_net.genome import Edit, Genome
from structure_net.growth.findings import Findings
from structure_net.metrics import Probe, Undetermined
from structure_net.networks import Body


@dataclass(frozen=True)
class Situation:
    """A network at an attempt, after its repair. `findings` are those before it, by the rule's own
    definitions; `revived` the units of each hidden layer of the probe that it
    revived. `room` is the number of connections that may come."""

    body: Body
    probe: Probe
    findings: Findings | Undetermined
    revived: tuple[Int[np.ndarray, " _"], ...]
    room: int

    @property
    def genome(self) -> Genome:
        return self.body.genome

    def draw(self, *purpose: str | int) -> np.random.Generator:
        """A generator for the purpose named, the same for the same attempt of the same trial."""
        return self.probe.draw("growth", *purpose)


@dataclass(frozen=True)
class Proposal:
    """Edits in the order in which they are to be made, and what decided. `trigger` holds the
    numbers; `reason` says why nothing is proposed. The gain is in nats, where one was predicted."""

    edits: tuple[Edit, ...] = ()
    trigger: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    gain: float | None = None
    gain_error: float | None = None
