"""The benchmark times equal work, and publishes what it measured."""

from __future__ import annotations

import json

import pytest

from structure_net.bench import (
    Crew,
    ReferenceTrainer,
    Scale,
    Workload,
    generation,
    images,
    measure,
    report,
    single,
)
from structure_net.bench.data import tensors_of
from structure_net.cli import main
from structure_net.genome import overall_density

TINY = Scale(rounds=2, networks=2, steps=2, single_steps=2)


def test_both_sides_do_the_same_work() -> None:
    """After the same steps from the same weights both stand at the same loss."""
    workload = Workload("small", generation(3, 3).genomes, steps=3, batch_size=64)
    batches = tensors_of(*images(128), 64)
    _, reference = ReferenceTrainer(workload, strong=False, threads=1).train(batches)
    crew = Crew(2, 128)
    try:
        for engines in (["native", "csr", "dense"], ["csr", "dense"], ["dense"]):
            seconds, losses = crew.train(workload, engines)
            assert losses == pytest.approx(reference, rel=2e-4)
            assert seconds > 0
    finally:
        crew.close()


def test_the_generation_is_mixed_and_fixed() -> None:
    first = generation(64, 8)
    assert first == generation(64, 8)
    assert len({genome.id for genome in first.genomes}) == 64
    densities = [overall_density(genome) for genome in first.genomes]
    assert min(densities) < 0.02 < 0.08 < max(densities)
    assert first.genomes[0].architecture == (3072, 512, 256, 128, 10)


def test_single_shapes_have_the_density_they_are_named_for() -> None:
    workload = single("A", 0.05, 2, 4)
    assert workload.name == "A@0.05"
    assert overall_density(workload.genomes[0]) == pytest.approx(0.05, abs=1e-5)


def test_ratios_are_medians_over_the_rounds() -> None:
    timings = list(measure(TINY, 1, ["native", "csr", "dense"]))
    told = json.loads(json.dumps(report(timings, TINY, 1, ["native"])))
    assert set(told["ratios"]["single"]) == {
        f"{shape}@{density:g}" for shape in "AB" for density in (0.01, 0.05, 0.1)
    }
    for timing in timings:
        rounds = told["workloads"][timing.workload.name]["rounds"]
        assert {len(values) for values in rounds.values()} == {2}
        pairs = [theirs / own for theirs, own in zip(rounds["plain"], rounds["ours"], strict=True)]
        assert timing.ratio("plain") == pytest.approx(sum(pairs) / 2)
        assert timing.loss_difference < 1e-3
    assert told["ratios"]["generation"]["plain"] == timings[0].ratio("plain")


def test_an_unknown_engine_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--engines", "natve"]) == 2
    assert "'natve'" in capsys.readouterr().err
