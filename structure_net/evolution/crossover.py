"""Crossover: two genomes of any depths -> one, their layers aligned by innovation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structure_net.genome import Genome, with_layers


@dataclass(frozen=True)
class Crossed:
    """A child, and where its layers came from: `matched` pairs hidden layers of the fitter parent
    and the other, `taken` are the sparse layers, those in blocks not counted, whose gene is the
    other's."""

    genome: Genome
    matched: tuple[tuple[int, int], ...]
    taken: tuple[int, ...]


def crossover(fitter: Genome, other: Genome, generator: np.random.Generator) -> Genome:
    """The child of `crossed`."""
    return crossed(fitter, other, generator).genome


def crossed(fitter: Genome, other: Genome, generator: np.random.Generator) -> Crossed:
    """A child of two parents.

    Hidden layers that share an innovation are matched (longest common subsequence); width, density
    and residual blocks of each come together from either parent by a fair coin. Unmatched layers
    come from the fitter parent. Activation, normalisation, base learning rate, strategy and growth
    rule: a fair coin each.
    """
    matched = _matches(fitter, other)
    partner = dict(matched)
    widths, names, densities, blocks, taken = [], [], [], [], []
    for place, gene in enumerate(fitter.hidden):
        match = partner.get(place)
        take_other = match is not None and bool(generator.integers(2))
        chosen = other.hidden[match] if match is not None and take_other else gene
        widths.append(chosen.width)
        names.append(gene.innovation)
        densities.append(chosen.density)
        blocks.append(chosen.blocks)
        taken += [place] * take_other
    take_output = int(generator.integers(2))
    densities.append((fitter, other)[take_output].output_density)
    taken += [len(fitter.hidden)] * take_output
    genes = {
        name: getattr((fitter, other)[int(generator.integers(2))], name)
        for name in (
            *("activation", "normalisation", "base_learning_rate", "strategy", "growth_rule"),
        )
    }
    base = Genome.model_validate(
        {**{name: getattr(fitter, name) for name in Genome.model_fields}, **genes}
    )
    child = with_layers(base, widths, names, densities, blocks)
    return Crossed(child, tuple(matched), tuple(taken))


def _matches(first: Genome, second: Genome) -> list[tuple[int, int]]:
    """Places of equal innovations in a longest common subsequence of the two hidden lists."""
    left = [gene.innovation for gene in first.hidden]
    right = [gene.innovation for gene in second.hidden]
    length = np.zeros((len(left) + 1, len(right) + 1), dtype=np.int64)
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            same = left[i] == right[j]
            skipped = max(length[i + 1, j], length[i, j + 1])
            length[i, j] = length[i + 1, j + 1] + 1 if same else skipped
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif length[i + 1, j] >= length[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs
