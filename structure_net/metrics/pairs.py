"""Pairs of a unit and a source, connected or not, and means of products at them.

A gradient or a curvature of a layer is a matrix [units, sources] of which a few per cent are
wanted. Two ways to get them: at the pairs alone, or the whole matrix and then the pairs.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.networks import Connections

# A product at one pair costs as much as this many of a whole matrix: measured 32 to 47 on two
# cores, 2,048 samples, layers of 3072 x 4000 and 4000 x 1000.
PAIR_COST = 40
# Entries of a whole matrix held at a time: 64 MB.
ENTRIES_AT_ONCE = 1 << 24
# Absent pairs looked at for each connection of a layer (Heddes et al. 2024): the cost stays that
# of the connections.
CANDIDATES_PER_CONNECTION = 2

Candidates = Literal["sample", "all"]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a layer from `sources` to `units`; `places` are row-major, unit * sources + source,
    ascending and distinct."""

    sources: int
    units: int
    places: Int[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rows(self) -> Int[np.ndarray, " pairs"]:
        """The unit of each pair."""
        return self.places // self.sources

    @property
    def columns(self) -> Int[np.ndarray, " pairs"]:
        """The source of each pair."""
        return self.places % self.sources

    def only(self, chosen: Int[np.ndarray, " chosen"]) -> Pairs:
        """The pairs with these numbers, in ascending order of place."""
        return Pairs(self.sources, self.units, self.places[np.sort(chosen)])


def live_pairs(connections: Connections) -> Pairs:
    """The connected pairs, in the stored order."""
    places = connections.rows * connections.sources + connections.columns.astype(np.int64)
    return Pairs(connections.sources, connections.units, places)


def candidate_pairs(
    connections: Connections, generator: np.random.Generator, candidates: Candidates = "sample"
) -> Pairs:
    """Absent pairs: `sample` draws min(absent, 2 a connection) of them uniformly, without
    replacement (Heddes et al. 2024); `all` gives every one (Evci et al. 2020)."""
    live = live_pairs(connections).places
    absent = connections.sources * connections.units - len(live)
    wanted = min(absent, CANDIDATES_PER_CONNECTION * len(live))
    if candidates == "all" or wanted == absent:
        numbers = np.arange(absent)
    else:
        numbers = np.sort(generator.choice(absent, wanted, replace=False, shuffle=False))
    # The n-th absent pair stands behind as many live ones as have fewer than n + 1 absent before.
    places = numbers + np.searchsorted(live - np.arange(len(live)), numbers, side="right")
    return Pairs(connections.sources, connections.units, places)


def group_sizes(samples: int, groups: int) -> Int[np.ndarray, " groups"]:
    """Samples of each group when sample s belongs to group s mod `groups`."""
    return np.asarray((samples + groups - 1 - np.arange(groups)) // groups)


def mean_products(
    left: Float[Tensor, "samples units"],
    right: Float[Tensor, "samples sources"],
    pairs: Pairs,
    groups: int = 1,
) -> Float[np.ndarray, "groups pairs"]:
    """Means over a group's samples of left_i right_j at each pair (i, j), float32.

    Sample s belongs to group s mod `groups`: a sample sorted by class still gives like groups.
    Every group needs one sample at least.
    """
    found = np.empty((groups, len(pairs)), dtype=np.float32)
    whole = len(pairs) * PAIR_COST >= pairs.units * pairs.sources
    at = _from_matrix if whole else _at_pairs
    ends = np.cumsum([0, *group_sizes(len(left), groups)]).tolist()
    with torch.no_grad():
        lefts, rights = _grouped(left, groups), _grouped(right, groups)
        for group, (start, end) in enumerate(pairwise(ends)):
            sums = at(lefts[:, start:end], rights[:, start:end], pairs)
            found[group] = (sums / (end - start)).numpy()
    return found


def _grouped(signal: Float[Tensor, "samples n"], groups: int) -> Float[Tensor, "n samples"]:
    """A unit's samples side by side, those of one group together."""
    if groups == 1:
        return signal.t()
    order = torch.cat([torch.arange(group, len(signal), groups) for group in range(groups)])
    return signal.t().index_select(1, order)


def _from_matrix(
    left: Float[Tensor, "units samples"], right: Float[Tensor, "sources samples"], pairs: Pairs
) -> Float[Tensor, " pairs"]:
    rows_at_once = max(1, ENTRIES_AT_ONCE // pairs.sources)
    taken = []
    for first in range(0, pairs.units, rows_at_once):
        products = left[first : first + rows_at_once] @ right.t()
        start = first * pairs.sources
        ends = np.searchsorted(pairs.places, [start, start + products.numel()])
        places = torch.from_numpy(pairs.places[ends[0] : ends[1]] - start)
        taken.append(products.reshape(-1).index_select(0, places))
    return torch.cat(taken)


def _at_pairs(
    left: Float[Tensor, "units samples"], right: Float[Tensor, "sources samples"], pairs: Pairs
) -> Float[Tensor, " pairs"]:
    ends = np.concatenate([[0], np.cumsum(np.bincount(pairs.rows, minlength=pairs.units))])
    with warnings.catch_warnings():
        # torch says once per process that its sparse matrices are in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
        pattern = torch.sparse_csr_tensor(
            torch.from_numpy(ends),
            torch.from_numpy(pairs.columns),
            left.new_zeros(len(pairs)),
            size=(pairs.units, pairs.sources),
            check_invariants=False,
        )
    found: Tensor = torch.sparse.sampled_addmm(pattern, left, right.t(), beta=0.0).values()
    return found
