"""Edits of one attempt made one after the other, each within the limits or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from structure_net.errors import InvalidGenomeError
from structure_net.genome import Edit, Genome, apply_edit
from structure_net.networks import Body, edited


@dataclass(frozen=True)
class Applied:
    """The network after the edits that were `made`, and why others were `refused`."""

    body: Body
    made: tuple[Edit, ...]
    refused: tuple[str, ...]


def applied(
    body: Body,
    edits: Iterable[Edit],
    refusal: Callable[[Genome], str],
    draw: Callable[[Edit], np.random.Generator],
    usable: Bool[np.ndarray, " inputs"],
) -> Applied:
    """`body` after the edits, each with the generator that `draw` gives for it. One that does not
    fit, or whose genome `refusal` has a word against, is left out and the others go on."""
    made: list[Edit] = []
    refused: list[str] = []
    for edit in edits:
        try:
            reason = refusal(apply_edit(body.genome, edit))
            if not reason:
                body = edited(body, edit, draw(edit), usable)
                made.append(edit)
        except InvalidGenomeError as problem:
            reason = str(problem)
        if reason:
            refused.append(f"{edit.kind}: {reason}")
    return Applied(body, tuple(made), tuple(refused))
