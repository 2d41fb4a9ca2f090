"""A live network taken apart: for each sparse layer its places, and what stands at each of them.

Surgery and merging work on these; `assembled` makes a network of them again. A number that is not
known yet (the second moment of a new connection) is NaN in between and filled by `settled`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from structure_net.genome import Genome
from structure_net.networks.connectivity import Connections
from structure_net.networks.network import Network

VALUE, FIRST, SECOND, AGE = range(4)  # rows of `numbers` and `biases`
# Steps after which a value is no longer newborn: its moments are then those of the shared count.
MATURITY = 100


@dataclass(frozen=True)
class OptimizerState:
    """What an optimizer remembers of each value (connections layer by layer, then biases), float32,
    the steps that each value lived, and those that it has made."""

    first_moment: Float[np.ndarray, " values"]
    second_moment: Float[np.ndarray, " values"]
    age: Float[np.ndarray, " values"]
    steps: int


@dataclass(frozen=True)
class Part:
    """One sparse layer. `places` are row-major, unit * sources + source, ascending; `numbers` and
    `biases` hold value, first moment, second moment and age of each. One that ends a block has no
    biases."""

    sources: int
    units: int
    places: Int[np.ndarray, " connections"]
    numbers: Float[np.ndarray, "4 connections"]
    biases: Float[np.ndarray, "4 biases"]

    @property
    def rows(self) -> Int[np.ndarray, " connections"]:
        """The unit of each connection."""
        return self.places // self.sources

    @property
    def columns(self) -> Int[np.ndarray, " connections"]:
        """The source of each connection."""
        return self.places % self.sources

    @property
    def has_biases(self) -> bool:
        """Whether each unit has one; else none has."""
        return bool(self.biases.shape[1] > 0)

    @property
    def connections(self) -> Connections:
        """The places as compressed rows."""
        fan_in = np.bincount(self.rows, minlength=self.units)
        pointers = np.concatenate([[0], np.cumsum(fan_in)]).astype(np.int32)
        return Connections(self.sources, self.units, pointers, self.columns.astype(np.int32))

    def only(self, kept: Bool[np.ndarray, " connections"] | Int[np.ndarray, " kept"]) -> Part:
        """With these connections alone."""
        return replace(self, places=self.places[kept], numbers=self.numbers[:, kept])

    def plus(
        self, places: Int[np.ndarray, " added"], weights: Float[np.ndarray, " added"] | float = 0.0
    ) -> Part:
        """With further connections, which nothing is remembered of."""
        numbers = unknown(len(places))
        numbers[VALUE] = weights
        joined = np.concatenate([self.places, places])
        order = np.argsort(joined, kind="stable")
        together = np.concatenate([self.numbers, numbers], axis=1)
        return replace(self, places=joined[order], numbers=together[:, order])

    def moved(
        self,
        rows: Int[np.ndarray, " units"],
        columns: Int[np.ndarray, " sources"],
        units: int,
        sources: int,
    ) -> Part:
        """Unit i at place `rows[i]` of `units`, source j at `columns[j]` of `sources`; those at -1
        are gone with their connections. Units that nobody moved to start with bias 0."""
        row, column = rows[self.rows], columns[self.columns]
        kept = (row >= 0) & (column >= 0)
        places = row[kept] * sources + column[kept]
        order = np.argsort(places, kind="stable")
        biases = unknown(units if self.has_biases else 0)
        stays = rows >= 0
        if self.has_biases:
            biases[:, rows[stays]] = self.biases[:, stays]
        numbers = self.numbers[:, kept][:, order]
        return Part(sources, units, places[order], numbers, biases)


def unknown(count: int) -> Float[np.ndarray, "4 count"]:
    """The numbers of new values: all 0, also their age; second moment not known yet."""
    numbers = np.zeros((4, count), dtype=np.float32)
    numbers[SECOND] = np.nan
    return numbers


def taken_apart(network: Network, state: OptimizerState) -> list[Part]:
    """The sparse layers of a network with its optimizer's state, input side first."""
    moments = (state.first_moment, state.second_moment, state.age)
    numbers = np.stack([network.values.detach().cpu().numpy(), *moments]).astype(np.float32)
    split = np.cumsum([*network.genome.counts, *network.genome.bias_counts])[:-1]
    pieces = np.split(numbers, split, axis=1)
    count = len(network.layers)
    parts = []
    for index in range(count):
        lists = network.layer(index).connections
        places = lists.rows * lists.sources + lists.columns
        biases = pieces[count + index].copy()
        parts.append(Part(lists.sources, lists.units, places, pieces[index].copy(), biases))
    return parts


def assembled(genome: Genome, parts: list[Part], steps: int) -> tuple[Network, OptimizerState]:
    """The network of these parts, with its optimizer's state; InvalidGenomeError where the counts
    are not those of `genome`."""
    network = Network(genome, [part.connections for part in parts])
    known = settled(parts)
    pieces = [part.numbers for part in known] + [part.biases for part in known]
    values, first, second, age = np.concatenate(pieces, axis=1)
    with torch.no_grad():
        network.values.copy_(torch.from_numpy(values))
    return network, OptimizerState(first, second, age, steps)


def settled(parts: list[Part]) -> list[Part]:
    """Second moments that are not known are 0, as those of a new optimizer: until a value is 100
    steps old, its own count corrects its bias."""
    return [
        replace(part, numbers=np.nan_to_num(part.numbers), biases=np.nan_to_num(part.biases))
        for part in parts
    ]
