"""The network of a child made from the saved networks of its parents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structure_net.errors import InvalidGenomeError
from structure_net.networks import (
    Body,
    Network,
    OptimizerState,
    edited,
    load_alive,
    merged,
    reshaped,
)
from structure_net.schema import Inheritance, Trial
from structure_net.seeding import derive


def inherited(
    trial: Trial, inherits: Inheritance, folder: Path, usable_inputs: np.ndarray
) -> tuple[Network, OptimizerState]:
    """The network that a trial goes on from, with its optimizer's state: the same for the same
    parents and seed, whoever makes it. ModelFileError where a parent's file is missing or damaged.
    """
    body = _body(folder, inherits.primary)
    if inherits.other is not None:
        other = _body(folder, inherits.other)
        body = merged(body, other, inherits.matched, inherits.taken, trial.seed)
    draw = derive(trial.seed, "inherit", "crossed")
    body = reshaped(body, inherits.crossed, draw, usable_inputs)
    for place, edit in enumerate(inherits.edits):
        body = edited(body, edit, derive(trial.seed, "inherit", place), usable_inputs)
    if body.genome != trial.genome:
        raise InvalidGenomeError(
            f"Trial {trial.number} is genome {trial.genome.id}, and its inheritance from trials "
            f"{inherits.trials} gives {body.genome.id}."
        )
    return body.network()


def _body(folder: Path, number: int) -> Body:
    return Body.of(*load_alive(folder / f"{number}.safetensors"))
