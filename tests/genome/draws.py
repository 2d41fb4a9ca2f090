"""Genomes drawn without the package's own operators: widths, counts and genes by plain draws."""

from __future__ import annotations

import random

from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Genome, LayerGene

STRATEGIES = ("COSINE", "CONSTANT")


def random_genome(draw: random.Random) -> Genome:
    """Between 1 and 8 hidden layers of 1 to 200 units; each count between floor and full."""
    ends = [draw.randint(1, 400), *(draw.randint(1, 200) for _ in range(draw.randint(1, 8)))]
    ends.append(draw.randint(2, 30))
    densities = []
    for layer in range(len(ends) - 1):
        sources, units = ends[layer], ends[layer + 1]
        fewest = units if layer == 0 else max(units, sources)
        densities.append(draw.randint(fewest, sources * units) / (sources * units))
    return Genome(
        inputs=ends[0],
        classes=ends[-1],
        hidden=tuple(
            LayerGene(width=width, density=density, innovation=f"g{place}")
            for place, (width, density) in enumerate(zip(ends[1:-1], densities[:-1], strict=True))
        ),
        output_density=densities[-1],
        activation=draw.choice(ACTIVATIONS),
        normalisation=draw.choice(NORMALISATIONS),
        base_learning_rate=draw.uniform(1e-4, 1e-2),
        strategy=draw.choice(STRATEGIES),
    )
