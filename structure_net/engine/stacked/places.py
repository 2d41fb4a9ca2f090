"""Where each value of a stack's flat vectors stands in its operands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from structure_net.engine.stacked.layout import Layout
from structure_net.networks import Network


def cell_places(
    networks: Sequence[Network], layout: Layout, starts: Sequence[int], length: int
) -> Int[Tensor, " {length}"]:
    """The cell of every value: in a matrix for a connection, among the biases behind the matrices
    for a bias, and one of its own behind those for a value that only fills a block.

    Biases have two places for each row: those within the product, then those behind a
    normalisation. One of the two stays zero.
    """
    pieces, spare = [], layout.cells + 2 * layout.rows
    ends = [*starts[1:], length]
    for network, seats, start, end in zip(networks, layout.seats, starts, ends, strict=True):
        for index, seat in enumerate(seats):
            layer = network.layer(index)
            pieces.append(seat.corner + layer.rows.cpu() * seat.stride + layer.columns.cpu())
        for seat in seats:
            first = layout.cells + seat.row + (layout.rows if seat.normalised else 0)
            pieces.append(torch.arange(first, first + seat.biases))
        padding = end - start - network.values.numel()
        pieces.append(torch.arange(spare, spare + padding))
        spare += padding
    return torch.cat(pieces)


def bias_places(
    networks: Sequence[Network], layout: Layout, starts: Sequence[int]
) -> tuple[Int[Tensor, " biases"], Int[Tensor, " biases"]]:
    """Every bias's position in the flat vectors, and its row among those of all levels."""
    positions, rows = [], []
    for network, seats, start in zip(networks, layout.seats, starts, strict=True):
        first = start + network.connection_count
        positions.append(torch.arange(first, start + network.values.numel()))
        for seat in seats:
            rows.append(seat.row + torch.arange(seat.biases))
    return torch.cat(positions), torch.cat(rows)
