"""Crossover: two genomes of any depths -> one, their layers aligned by innovation."""

from __future__ import annotations

import numpy as np

from structure_net.genome import Genome, with_layers


def crossover(fitter: Genome, other: Genome, generator: np.random.Generator) -> Genome:
    """A child of two parents.

    Hidden layers that share an innovation are matched (longest common subsequence); width and
    density of each come together from either parent by a fair coin. Unmatched layers come from the
    fitter parent. Activation, normalisation, base learning rate and strategy: a fair coin each.
    """
    partner = dict(_matches(fitter, other))
    widths, names, densities = [], [], []
    for place, gene in enumerate(fitter.hidden):
        match = partner.get(place)
        take_other = match is not None and bool(generator.integers(2))
        chosen = other.hidden[match] if match is not None and take_other else gene
        widths.append(chosen.width)
        names.append(gene.innovation)
        densities.append(chosen.density)
    densities.append((fitter, other)[int(generator.integers(2))].output_density)
    genes = {
        name: getattr((fitter, other)[int(generator.integers(2))], name)
        for name in ("activation", "normalisation", "base_learning_rate", "strategy")
    }
    base = Genome.model_validate(
        {**{name: getattr(fitter, name) for name in Genome.model_fields}, **genes}
    )
    return with_layers(base, widths, names, densities)


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
