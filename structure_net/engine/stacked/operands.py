"""The products of a stack: dense operands filled from the connections, gradients read back there.

Outputs stand as [units, samples]: a network's are consecutive rows, and no product needs a copy of
a transposed matrix. The backward pass is written out, so that a step is a fixed list of operations
that a CUDA graph can record.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.engine.slopes import SLOPES, losses_and_slopes, wanted_of
from structure_net.engine.stacked.layout import Group, Layout, Level
from structure_net.engine.stacked.normal import normalise, shares_of, slopes_before
from structure_net.engine.stacked.places import bias_places, cell_places
from structure_net.engine.stacked.state import StackedState
from structure_net.networks import ACTIVATION_FUNCTIONS


class Operands:
    """Matrices of all networks in one storage, in `dtype`; cells off the connections stay zero.

    With `checkpointing` activations are computed again in the backward pass instead of kept.
    """

    def __init__(
        self, state: StackedState, layout: Layout, dtype: torch.dtype, *, checkpointing: bool
    ) -> None:
        self._state = state
        self._levels = layout.levels
        self._checkpointing = checkpointing
        self._skipping = any(level.skips for level in layout.levels)
        device = state.values.device
        networks = [one.network for one in state.learners]
        self._places = cell_places(networks, layout, state.starts, state.length).to(device)
        positions, rows = bias_places(networks, layout, state.starts)
        self._bias_positions, self._bias_rows = positions.to(device), rows.to(device)
        # Behind the matrices: biases within products, biases behind normalisations, then a cell for
        # each value that only fills a block.
        padding = state.length - sum(state.lengths)
        size = layout.cells + 2 * layout.rows + padding
        self._operand = torch.zeros(size, dtype=dtype, device=device)
        self._gradient = torch.zeros_like(self._operand)
        self._biases = self._operand[layout.cells :][: 2 * layout.rows].view(2, -1, 1)
        self._shares = shares_of(layout).to(device)
        self._bias_gradient = torch.zeros(layout.rows, device=device)
        self._classes = torch.arange(networks[0].genome.classes, device=device)

    @property
    def dtype(self) -> torch.dtype:
        """Of operands, activations and products."""
        return self._operand.dtype

    def fill(self) -> None:
        """Write the present values to their cells."""
        # index_copy_, not scatter_: ten times faster on a processor.
        self._operand.index_copy_(0, self._places, self._state.values.to(self.dtype))

    def add_gradient(
        self,
        inputs: Float[Tensor, "samples inputs"],
        targets: Int[Tensor, "2 samples"],
        shares: Float[Tensor, " 2"],
        scale: float,
        *,
        first: bool,
    ) -> Float[Tensor, " networks"]:
        """Adds `scale` times the gradient of these samples' summed losses to the flat gradient of
        the state, or puts it there if this is the first part of a batch.

        Returns `scale` times the summed losses, networks in the layout's order. `targets` are two
        classes a sample whose losses count in `shares`.
        """
        arguments, values, factors = self._forward(inputs)
        logits = self._logits(arguments)
        wanted = wanted_of(targets, shares, self._classes)
        losses, slopes = losses_and_slopes(logits, wanted, scale)
        self._backward(inputs, arguments, values, factors, slopes.to(self.dtype))
        gathered = self._gradient.index_select(0, self._places)
        flat = self._state.gradient
        # The biases' cells are never written and hold 0: their own gradients are added in fp32.
        if first:
            flat.copy_(gathered)
        else:
            flat.add_(gathered)
        own = self._bias_gradient.index_select(0, self._bias_rows)
        flat.index_add_(0, self._bias_positions, own)
        return losses

    def measure(
        self, inputs: Float[Tensor, "samples inputs"], targets: Int[Tensor, " samples"]
    ) -> Float[Tensor, "2 networks"]:
        """Right answers and summed cross-entropies in nats, networks in the layout's order."""
        logits = self._logits(self._forward(inputs)[0])
        own = targets.expand(len(logits), 1, len(inputs))
        losses = -torch.log_softmax(logits, 1).gather(1, own).sum((1, 2))
        return torch.stack([(logits.argmax(1) == targets).sum(1).float(), losses])

    def _logits(self, arguments: list[Tensor]) -> Float[Tensor, "networks classes samples"]:
        shape = (-1, len(self._classes), arguments[0].shape[1])
        ended = [
            z[level.hidden :].view(shape)
            for level, z in zip(self._levels, arguments, strict=True)
            if level.rows > level.hidden
        ]
        return torch.cat(ended).float()

    def _forward(
        self, inputs: Tensor
    ) -> tuple[list[Tensor], list[Tensor | None], list[list[Tensor]]]:
        """Each level's z [rows, samples], its activations unless they are computed again, and the
        factors of its normalisations."""
        arguments: list[Tensor] = []
        values, factors = [], []
        h: Tensor = inputs.t()
        outputs = [h] if self._skipping else []  # of each level so far, where some are read again
        for level in self._levels:
            z = inputs.new_empty(level.rows, len(inputs))
            for group, own in zip(level.groups, self._taken(level, h), strict=True):
                biases = _part(self._of(level, self._biases[0]), group)
                torch.baddbmm(biases, _matrices(self._operand, group), own, out=_part(z, group))
            for skip in level.skips:
                entered = outputs[-skip.back][skip.source : skip.source + skip.count]
                z[skip.start : skip.start + skip.count].add_(entered)
            factors.append(normalise(level, z, self._of(level, self._biases[1]), self._shares))
            h = _activated(level, z)
            if self._skipping:
                outputs.append(h)
            arguments.append(z)
            values.append(None if self._checkpointing else h)
        return arguments, values, factors

    def _backward(
        self,
        inputs: Tensor,
        arguments: list[Tensor],
        values: list[Tensor | None],
        factors: list[list[Tensor]],
        logits: Tensor,
    ) -> None:
        """Fills the gradients of all matrices and biases, last level first."""
        end = len(logits)
        above = h = logits.new_empty(0, len(inputs))
        # What comes back by skips to the outputs of earlier levels: level, row, slopes.
        around: list[tuple[int, int, Tensor]] = []
        for index in reversed(range(len(self._levels))):
            level, z = self._levels[index], arguments.pop()
            values.pop()
            for target, row, sent in around:
                if target == index:
                    above[row : row + len(sent)].add_(sent)
            ended = (level.rows - level.hidden) // len(self._classes)
            own_logits, end = logits[end - ended : end], end - ended
            slopes = list(_slopes(level, above, z, h))
            slope = _joined([*slopes, own_logits.reshape(-1, len(inputs))])
            torch.sum(slope, 1, dtype=torch.float32, out=self._of(level, self._bias_gradient))
            around += [
                (index - skip.back, skip.source, slope[skip.start : skip.start + skip.count])
                for skip in level.skips
            ]
            biases = self._of(level, self._biases[1])
            slopes_before(level, slope, z, biases, factors.pop(), self._shares)
            if index:
                kept = values[index - 1]
                h = _activated(self._levels[index - 1], arguments[-1]) if kept is None else kept
            else:
                h = inputs.t()
            for group, own in zip(level.groups, self._taken(level, h), strict=True):
                out = _matrices(self._gradient, group)
                torch.bmm(_part(slope, group), own.transpose(1, 2), out=out)
            if index:
                above = self._sent_down(level, slope, torch.empty_like(h))

    def _sent_down(self, level: Level, slope: Tensor, below: Tensor) -> Tensor:
        """The gradients of the activations that the level's groups read, in `below`."""
        for group in level.groups:
            matrices, own = _matrices(self._operand, group), _part(slope, group)
            shape = (group.count, group.sources, slope.shape[1])
            if len(group.inputs) == 1:
                ((first, end),) = group.inputs
                torch.bmm(matrices.transpose(1, 2), own, out=below[first:end].view(shape))
                continue
            product = torch.bmm(matrices.transpose(1, 2), own).view(-1, slope.shape[1])
            done = 0
            for first, end in group.inputs:
                below[first:end].copy_(product[done : done + end - first])
                done += end - first
        return below

    @staticmethod
    def _of(level: Level, rows: Tensor) -> Tensor:
        """What belongs to a level of what is there for each row of all levels."""
        return rows[level.row : level.row + level.rows]

    @staticmethod
    def _taken(level: Level, below: Tensor) -> Iterator[Float[Tensor, "count sources samples"]]:
        """What each group reads of the level below: a view where its rows are neighbours."""
        for group in level.groups:
            parts = [below[first:end] for first, end in group.inputs]
            yield _joined(parts).view(group.count, group.sources, below.shape[1])


def _matrices(storage: Tensor, group: Group) -> Float[Tensor, "count units sources"]:
    end = group.corner + group.count * group.units * group.sources
    return storage[group.corner : end].view(group.count, group.units, group.sources)


def _part(rows: Tensor, group: Group) -> Float[Tensor, "count units samples"]:
    own = rows[group.start : group.start + group.count * group.units]
    return own.view(group.count, group.units, rows.shape[1])


def _activated(level: Level, z: Tensor) -> Float[Tensor, "hidden samples"]:
    parts = [
        z[first:end] if name is None else ACTIVATION_FUNCTIONS[name](z[first:end])
        for name, first, end in level.runs
    ]
    return _joined([*parts, z[:0]])


def _joined(parts: list[Tensor]) -> Float[Tensor, "rows samples"]:
    """Rows below each other, without a copy where only one part has any."""
    filled = [part for part in parts if len(part)] or parts[:1]
    return filled[0] if len(filled) == 1 else torch.cat(filled)


def _slopes(level: Level, above: Tensor, z: Tensor, h: Tensor) -> Iterator[Tensor]:
    for name, first, end in level.runs:
        rows = slice(first, end)
        own = above[rows]
        yield own if name is None else SLOPES[name](own, z[rows], h[rows])
