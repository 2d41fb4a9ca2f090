"""Every registered member passes the public checks, and the checks notice what they are for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from structure_net.errors import UsageError
from structure_net.evolution import FITNESS, MUTATIONS, SELECTION
from structure_net.genome import Genome, ResizeLayer, ScaleDensity
from structure_net.metrics import METRICS, Measurement, Metric, Probe, Undetermined, metric
from structure_net.plugins import load_plugins
from structure_net.testing import check_fitness, check_metric, check_mutation, check_selection

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin.py"
GENOMES = 100_000  # over all operators together


@pytest.mark.parametrize("name", [*SELECTION])
def test_every_selection_keeps_its_contract(name: str) -> None:
    check_selection(SELECTION.get(name))
    check_selection(SELECTION.get(name), seed=1)
    assert name in SELECTION


@pytest.mark.parametrize("name", [*FITNESS])
def test_every_fitness_keeps_its_contract(name: str) -> None:
    check_fitness(FITNESS.get(name))
    assert name in FITNESS


@pytest.mark.parametrize("name", [*MUTATIONS])
def test_every_mutation_keeps_its_contract(name: str) -> None:
    cases = GENOMES // len(list(MUTATIONS))
    # Most drawn genomes have no residual block to remove.
    fewest = cases / 4 if name == "remove_block" else cases / 2
    assert check_mutation(MUTATIONS.get(name), cases=cases) > fewest


@pytest.mark.parametrize("name", [*METRICS])
def test_every_metric_keeps_its_contract(name: str) -> None:
    check_metric(METRICS.get(name))
    assert name in METRICS


def test_the_example_keeps_its_contracts(registries: None) -> None:
    load_plugins([EXAMPLE])
    check_fitness(FITNESS.get("cheap"))
    check_selection(SELECTION.get("elite-and-luck"))
    assert check_mutation(MUTATIONS.get("thin_out")) > 300
    check_metric(METRICS.get("confidence"))


def drawing(part: Any) -> Any:
    """A selection that draws from somewhere else."""

    def select(members: Any, count: int, generator: np.random.Generator) -> Any:
        part()
        return list(members)[:count]

    return select


def shrinking(members: Any, count: int, generator: np.random.Generator) -> Any:
    return [members.pop(0) for _ in range(count)]


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (drawing(random.random), "global generator of Python"),
        (drawing(np.random.rand), "global generator of numpy"),
        (lambda members, count, _: list(members), "from one to as many"),
        (lambda members, count, _: [], "from one to as many"),
        (lambda members, count, _: [members[0]] * count, "twice"),
        (lambda members, count, _: members[0], "a list of the members"),
        (lambda members, count, _: [one.result for one in members], "a list of the members"),
        (
            lambda members, count, _: [members[np.random.default_rng().integers(len(members))]],
            "chose differently",
        ),
        (shrinking, "changed the list|a list of the members"),
    ],
)
def test_a_selection_that_breaks_its_contract_is_noticed(selection: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_selection(selection)


def test_a_draw_from_torch_is_noticed() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(AssertionError, match="global generator of torch"):
        check_selection(drawing(lambda: torch.rand(1)))


@pytest.mark.parametrize(
    ("fitness", "words"),
    [
        (lambda result: 1 / (result.validation_accuracy - 2) ** 2 * float("inf"), "finite"),
        (lambda result: "0.5", "finite number"),
        (lambda result: None, "finite number"),
        (lambda result: np.random.default_rng().random(), "for one result"),
        (lambda result: random.random() * 0, "global generator of Python"),
        (
            lambda result: result.__dict__.update(connections=result.connections + 1) or 0.5,
            "changed the result",
        ),
    ],
)
def test_a_fitness_that_breaks_its_contract_is_noticed(fitness: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_fitness(fitness)


def widened(genome: Genome, world: Any, generator: np.random.Generator) -> Any:
    genome.__dict__["activation"] = "gelu" if genome.activation == "relu" else "relu"
    return ScaleDensity(overall_density=0.05)


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (lambda genome, world, draw: genome, "an edit was expected"),
        (lambda genome, world, draw: [ScaleDensity(overall_density=0.1)], "an edit was expected"),
        (lambda genome, world, draw: ResizeLayer(layer=0, width=10**6), "No edit of"),
        (
            lambda genome, world, draw: ScaleDensity(
                overall_density=0.01 + 0.1 * np.random.default_rng().random()
            ),
            "for the same genome and draws",
        ),
        (widened, "changed the genome"),
        (
            lambda genome, world, draw: ScaleDensity(overall_density=0.1 + 0 * random.random()),
            "global generator of Python",
        ),
    ],
)
def test_a_mutation_that_breaks_its_contract_is_noticed(mutation: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_mutation(mutation, cases=20)


def spoiling(probe: Probe) -> Measurement:
    probe.layers[0].weights[:] = 0
    return Measurement(0.5)


def wanting_gradients(probe: Probe) -> Measurement:
    probe.layers[0].z.requires_grad_()
    return Measurement(0.5)


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (lambda probe: 0.5, "is no Measurement"),
        (lambda probe: Measurement(float("nan")), "Where there is no number"),
        (lambda probe: Measurement(0.5, (0.1, float("inf"))), "Where there is no number"),
        (lambda probe: Measurement(1.5), "outside 0 to 1"),
        (lambda probe: Measurement(0.5, (-0.1,)), "outside 0 to 1"),
        (lambda probe: Measurement(Undetermined(" ")), "without a reason"),
        (lambda probe: Measurement(np.random.default_rng().random()), "two measurements"),
        (lambda probe: Measurement(random.random()), "two measurements"),
        (lambda probe: Measurement(np.random.rand() * 0), "global generator of numpy"),
        (spoiling, "the probe was changed"),
        (wanting_gradients, "to want gradients"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_noticed(measure: Any, words: str) -> None:
    declared = Metric("odd", "Odd.", "share", 0, 1, None, "light", measure)
    with pytest.raises(AssertionError, match=words):
        check_metric(declared)


def test_a_metric_says_what_it_measures(registries: None) -> None:
    with pytest.raises(UsageError, match="wants a docstring"):
        metric("silent", unit="share", low=0, high=1, better=None)(lambda probe: Measurement(0.0))
