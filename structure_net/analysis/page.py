"""The analysis of a network as one HTML file: no script, no font, no request of anything else."""

from __future__ import annotations

from pathlib import Path

from structure_net.analysis.analysis import Analysis
from structure_net.files import atomic_write
from structure_net.genome import active_parameters, connection_count, overall_density
from structure_net.reporting import (
    connection_pictures,
    document,
    element,
    facts,
    heading,
    metric_pictures,
    metric_tables,
    paragraph,
    text,
)


def write_page(found: Analysis, path: Path) -> Path:
    """The page, written whole."""
    atomic_write(path, page(found).encode())
    return path


def page(found: Analysis) -> str:
    """The whole file. Every name in it is escaped."""
    name = f"{found.saved.path.parent.parent.name}/{found.saved.path.name}"
    architecture = found.saved.network.genome.architecture
    blocks = [block.tolist() for block in found.blocks]
    parts = [
        element("h1", text(f"Metrics of {found.saved.path.name}")),
        _facts(found),
        heading("Pictures"),
        metric_pictures(found.values, architecture),
        heading("Connections"),
        paragraph(
            "Each sparse layer's matrix, cut into blocks: the stronger the colour, the larger the "
            "share of a block's places that hold a connection. Units go up, sources to the right; "
            "images are channel by channel, row by row."
        ),
        connection_pictures(blocks, architecture),
        heading("All metrics"),
        paragraph(
            "Layers stand with the input side first. Undetermined is what cannot be computed, with "
            "the reason; a dash under better stands where the direction depends on the network."
        ),
        metric_tables(found.values, found.facts),
    ]
    return document(f"Metrics of {name}", parts)


def _facts(found: Analysis) -> str:
    about, genome = found.saved.description, found.saved.network.genome
    shown = [
        ("file", str(found.saved.path)),
        ("genome", genome.id),
        ("architecture", "-".join(map(str, genome.architecture))),
        ("activation, normalisation", f"{genome.activation}, {genome.normalisation}"),
        (
            "connections",
            f"{connection_count(genome):,}, {overall_density(genome):.4f} of all possible",
        ),
        ("active parameters", f"{active_parameters(genome):,}"),
        ("looked at", f"{found.samples:,} training samples of {about.data.name}"),
        ("level, time", f"{found.level}, {found.seconds:.2f} s"),
    ]
    shown += [(name, f"{value:.4f}") for name, value in about.metrics.items()]
    return facts(shown)
