"""Estimates of memory against what is really allocated; cohorts that fit what there is."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from structure_net.engine import (
    ENGINES,
    AdamW,
    Batch,
    CsrEngine,
    DenseEngine,
    Learner,
    RawSamples,
    Setting,
    budget,
    cohort_bytes,
    make_engine,
    portions,
)
from structure_net.engine.memory import kept_bytes, probe_bytes, working_bytes
from structure_net.engine.passes import Kept, Passage, segments
from structure_net.evolution import Evolution
from structure_net.genome import Genome
from structure_net.metrics import measure, probe
from structure_net.networks import build_network
from structure_net.schema import resolve
from tests.networks.reference import genome

FACTOR = 2.0  # the estimate is at least what is measured, and less than this many times that
GB = 10**9

MEASURED: dict[str, tuple[Genome, int]] = {
    "ordinary": (genome(3072, [512, 256, 128], 10, 0.05), 256),
    "large batch, gelu": (genome(3072, [512, 256, 128], 10, 0.05, "gelu"), 1024),
    "deep": (genome(3072, [512] * 8, 10, 0.02, "silu"), 512),
    "narrow": (genome(3072, [32] * 8, 10, 0.5, "tanh"), 1024),
    "normalised": (
        genome(3072, [512] * 4, 10, 0.02, "gelu").model_copy(update={"normalisation": "rms"}),
        512,
    ),
    "full": (genome(3072, [1024], 10, 1.0), 64),
}


def batch_of(inputs: int, size: int, *, packed: bool) -> Batch:
    pixels = np.random.default_rng(0).integers(0, 256, (size, 3, inputs // 3, 1), dtype=np.uint8)
    ones = np.ones(inputs, np.float32)
    raw = RawSamples(pixels, np.arange(size), ones, ones) if packed else None
    floats = torch.from_numpy(pixels).flatten(1)
    labels = np.zeros(size, dtype=np.int64)
    return Batch(labels, lambda: floats.to(torch.float32).div_(255.0), raw)


def peak_of(call: Callable[[], Any]) -> int:
    """Most bytes at a time in torch's allocator and Python's (numpy's arrays are in the latter)."""
    tracemalloc.start()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            call()
        python = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    held = peak = 0
    for event in seen.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak + python


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_estimate_is_near_what_is_allocated(engine: str, name: str) -> None:
    shape, size = MEASURED[name]
    network = build_network(shape, 0)
    one = Learner(network, AdamW(network, 1e-4, (1e-6, 1e-2)))
    warm = genome(12, [4], 2, 0.5)
    small = build_network(warm, 0)
    other = Learner(small, AdamW(small, 0.0, (1e-6, 1e-2)))
    trainer = make_engine(engine)
    # What the first call imports and compiles is part of the program.
    data = Batch.of(torch.zeros(4, 12), torch.zeros(4, dtype=torch.int64))
    peak_of(lambda: trainer.train_steps([other], [data], torch.ones(1, 1)))

    shared = batch_of(3072, size, packed=engine == "native")

    def train() -> None:
        trainer.train_steps([one], [shared] * 2, torch.full((2, 1), 0.001))

    before = sum(part.nbytes for part in (*network.parameters(), *network.buffers()))
    before += 3 * network.values.nbytes
    measured = before + peak_of(train)
    # Packed, with the raw rows of one block; or floats by input, and given by sample as well.
    batch = 3072 * (2 * size + 256 if engine == "native" else 2 * 4 * size)
    setting = Setting(engine, size)
    estimate = kept_bytes(shape, setting) + working_bytes(shape, setting, size) + batch
    assert measured <= estimate <= FACTOR * measured


@pytest.mark.parametrize(
    ("shape", "samples"),
    [(genome(3072, [512, 256], 10, 0.02), 2048), (genome(64, [224, 111, 30], 10, 0.2), 1294)],
    ids=["wide inputs", "narrow"],
)
def test_the_estimate_of_looking_is_near_what_is_allocated(shape: Genome, samples: int) -> None:
    def look(genome: Genome, samples: int) -> None:
        inputs, labels = torch.randn(samples, genome.inputs), torch.arange(samples) % genome.classes
        seen = probe(build_network(genome, 0), inputs, labels, genome.classes, path=("test",))
        measure(seen, "full")

    look(genome(12, [6, 4], 2, 0.5), 200)
    measured = peak_of(lambda: look(shape, samples)) - 4 * samples * shape.inputs
    assert measured / 1.2 <= probe_bytes(shape, samples) <= FACTOR * measured


@pytest.mark.parametrize("make", [CsrEngine, DenseEngine], ids=["csr", "dense"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_checkpointing_keeps_less_and_computes_the_same_bits(
    make: Any, activation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, size = genome(24, [40] * 11, 4, 0.3, activation), 32
    network = build_network(shape, 0)
    inputs, targets = torch.randn(size, 24), torch.zeros(size, dtype=torch.int64)

    def step(checkpointing: bool) -> tuple[int, torch.Tensor]:
        """The most activations that were alive at a time; loss and gradient."""
        engine, most = make(checkpointing=checkpointing), 0
        alive: list[weakref.ref[torch.Tensor]] = []
        layer = Passage._layer

        def watched(self: Passage, index: int, *given: torch.Tensor) -> Kept:
            nonlocal most
            kept = layer(self, index, *given)
            alive.append(weakref.ref(kept.h))
            most = max(most, sum(one() is not None for one in alive))
            return kept

        learner = Learner(network, AdamW(network, 0.0, (1e-6, 1e-2)))
        batch = Batch.of(inputs, targets)
        with monkeypatch.context() as patch:
            patch.setattr(Passage, "_layer", watched)
            operands = engine._operands_of(network)
            loss, gradient = engine._gradient(learner, lambda: operands, batch, [slice(0, size)])
        return most, torch.cat([loss.reshape(1), gradient])

    (plain, own), (fewer, same) = step(False), step(True)
    assert torch.equal(own, same)
    assert fewer <= plain / 2


@given(st.integers(1, 60))
def test_segments_cover_every_layer_once(layers: int) -> None:
    found = segments([0] * layers)
    assert [layer for first, end in found for layer in range(first, end)] == list(range(layers))
    assert max(end - first for first, end in found) * len(found) <= layers + 2 * layers**0.5 + 1


def test_checkpointing_lowers_the_estimate_of_deep_networks_only() -> None:
    deep, shallow = genome(64, [256] * 12, 10, 0.1), genome(64, [256], 10, 0.1)
    for shape, less in ((deep, True), (shallow, False)):
        plain, kept = (
            working_bytes(shape, Setting("dense", 512, checkpointing=on), 512)
            for on in (False, True)
        )
        assert (kept < plain) == less
        assert kept <= plain


def test_the_budget_is_a_share_divided() -> None:
    assert budget(10 * GB, 0.8, 2) == 4 * GB
    assert budget(10 * GB, 0.8, 4, shared=2 * GB, own=GB // 2) == GB
    assert budget(GB, 0.5, 4, own=GB) < 0


def competitors(count: int, **values: Any) -> list[Genome]:
    config = resolve(tournament_size=count, **values).config
    return [trial.genome for trial in Evolution(config, 3072, 10).ask()]


@pytest.mark.parametrize("batch_size", [256, 1024])
def test_64_competitors_on_cifar10_fit_4_gb_of_a_device(batch_size: int) -> None:
    """The least GPU that the requirements name: it may take several cohorts, but whole batches."""
    genomes = competitors(64, preset="full")
    setting = Setting("dense", batch_size, stacked=True)
    room = budget(4 * GB, 0.8, 1, own=700_000_000 + 60_000 * 3080)
    made = portions(genomes, setting, room, 64)
    assert [place for part in made for place in part.members] == list(range(64))
    assert {part.micro_batch for part in made} == {batch_size}
    for part in made:
        chosen = [genomes[place] for place in part.members]
        assert cohort_bytes(chosen, setting, batch_size) <= room
    assert len(made) <= 4


def test_on_a_large_device_a_generation_is_one_cohort() -> None:
    setting = Setting("dense", 1024, stacked=True)
    (made,) = portions(competitors(64), setting, budget(80 * GB, 0.8, 2), 64)
    assert made.members == tuple(range(64))


@settings(max_examples=60, deadline=None)
@given(
    room=st.integers(0, 60_000_000),
    engine=st.sampled_from(list(ENGINES)),
    stacked=st.booleans(),
    largest=st.integers(1, 6),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8),
)
def test_whatever_is_planned_fits(
    room: int, engine: str, stacked: bool, largest: int, sizes: list[int]
) -> None:
    genomes = [genome(300, [size], 10, 0.3) for size in sizes]
    setting = Setting(engine, 512, stacked)
    made = portions(genomes, setting, room, largest)
    assert [place for part in made for place in part.members] == list(range(len(genomes)))
    for part in made:
        chosen = [genomes[place] for place in part.members]
        assert len(chosen) <= largest
        if part.micro_batch == 512:
            assert cohort_bytes(chosen, setting, 512) <= room
            continue
        # The batch stays: only a network alone takes fewer samples at a time, as many as fit.
        assert len(chosen) == 1
        assert cohort_bytes(chosen, setting, max(1, 2 * part.micro_batch)) > room
        if part.micro_batch:
            assert cohort_bytes(chosen, setting, part.micro_batch) <= room
            assert 512 % part.micro_batch == 0


def test_without_a_limit_cohorts_are_as_large_as_allowed() -> None:
    genomes = competitors(10)
    made = portions(genomes, Setting("csr", 256), None, 4)
    assert [len(part.members) for part in made] == [4, 4, 2]


def test_metrics_change_how_many_train_together_and_never_how_they_train() -> None:
    """A room for eight networks in training, but not for looking at one of them beside the rest."""
    shapes = [genome(64, [200, 100], 10, 0.2)] * 8
    bare, seen = (Setting("native", 256, probe_samples=samples) for samples in (0, 2048))
    room = cohort_bytes(shapes, bare, 256)
    assert [part.micro_batch for part in portions(shapes, bare, room, 8)] == [256]
    assert [part.micro_batch for part in portions(shapes, seen, room, 8)] == [256] * 8
