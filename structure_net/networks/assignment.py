"""Which row goes with which column: the linear assignment, exact up to a size."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from structure_net.seeding import derive

# Rows of unrelated networks are hard cases, with many near ties: one core takes 0.1 s for 512 of
# them, 4.4 s for 1,536, each time a layer is matched. Beyond this size the best pairs come first.
LARGEST_EXACT = 512


def matching(similarity: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """A column for each row, each used once: of greatest sum up to 512 rows; beyond that the most
    similar pair first, then the most similar of those left, and so on, which reaches at least half
    of the greatest sum of similarities that are not negative."""
    if len(similarity) <= LARGEST_EXACT:
        return assignment(similarity)
    column_of = np.full(len(similarity), -1)
    rows, columns = np.arange(len(similarity)), np.arange(len(similarity))
    # Equal numbers, as of rows that share nothing, are told apart, or one pair comes at a time.
    order = derive(0, "ties").random(similarity.shape)
    left = similarity + 1e-9 * np.abs(similarity).max() * order + 1e-300 * order
    while len(rows):
        # Pairs that are each other's best are taken all at once: nothing can come between them.
        best_column, best_row = left.argmax(1), left.argmax(0)
        mutual = best_row[best_column] == np.arange(len(rows))
        column_of[rows[mutual]] = columns[best_column[mutual]]
        free = np.ones(len(columns), dtype=bool)
        free[best_column[mutual]] = False
        left = left[~mutual][:, free]
        rows, columns = rows[~mutual], columns[free]
    return column_of


def assignment(similarity: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """The column of each row that makes the sum of the similarities largest, each used once.

    Shortest augmenting paths (Jonker & Volgenant 1987) after the free matches of the column and row
    minima; O(n^3) at worst.
    """
    cost = similarity.max(initial=0.0) - similarity.astype(np.float64)
    column_price = cost.min(0)
    reduced = cost - column_price
    row_price, nearest = reduced.min(1), reduced.argmin(1)
    row_of, column_of = np.full(len(cost), -1), np.full(len(cost), -1)
    for row, column in enumerate(nearest):
        if row_of[column] < 0:
            row_of[column], column_of[row] = row, column
    for free in np.flatnonzero(column_of < 0):
        _augment(int(free), cost, row_price, column_price, row_of, column_of)
    return column_of


def _augment(
    free: int,
    cost: Float[np.ndarray, "n n"],
    row_price: Float[np.ndarray, " n"],
    column_price: Float[np.ndarray, " n"],
    row_of: Int[np.ndarray, " n"],
    column_of: Int[np.ndarray, " n"],
) -> None:
    """Dijkstra from a row without column to a column without row, then a swap along the path."""
    distance = cost[free] - row_price[free] - column_price
    before = np.full(len(cost), free)
    lengths, scanned = [], []
    done = np.zeros(len(cost), dtype=bool)
    while True:
        column = int(distance.argmin())
        length = distance[column]
        distance[column], done[column] = np.inf, True
        row = row_of[column]
        if row < 0:
            break
        lengths.append(length)
        scanned.append(column)
        through = length + cost[row] - row_price[row] - column_price
        better = (through < distance) & ~done
        distance[better], before[better] = through[better], row
    gain = length - np.array(lengths)
    row_price[row_of[scanned]] += gain
    column_price[scanned] -= gain
    row_price[free] += length
    while True:
        row = int(before[column])
        row_of[column] = row
        column, column_of[row] = int(column_of[row]), column
        if row == free:
            return
