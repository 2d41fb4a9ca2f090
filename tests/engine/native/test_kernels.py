"""The compiled kernels: every path, every shape, exact inputs, no access out of bounds."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.datasets import Dataset, Split, load, split
from structure_net.engine import AdamW, Batch, Batches, BatchPlan, DenseEngine, Learner
from structure_net.engine.native import PATHS, NativeEngine, best_path
from structure_net.engine.native.memory import Arena, Blocks
from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    Genome,
    Normalisation,
)
from structure_net.networks import build_network
from tests.networks.reference import genome

ROOT = Path(__file__).resolve().parents[3]
USABLE = list(PATHS)[list(PATHS).index(best_path()) :]
LIMITS = (1e-6, 1e-2)
# One unit, one source, one sample, partial groups, more than a block, many layers.
ODD = [
    (genome(1, [1], 2, 1.0), 1),
    (genome(3, [1, 1, 1], 2, 1.0), 33),
    (genome(17, [5], 3, 0.3), 31),
    (genome(40, [30, 20], 10, 0.1), 257),
    (genome(64, [8] * 12, 10, 0.5), 300),
]


@pytest.fixture(params=USABLE)
def engine(request: pytest.FixtureRequest) -> NativeEngine:
    return NativeEngine(request.param)


def drawn(shape: Genome, count: int, seed: int = 0) -> Batch:
    generator = np.random.default_rng(seed)
    inputs = torch.from_numpy(generator.standard_normal((count, shape.inputs))).float()
    return Batch.of(inputs, torch.from_numpy(generator.integers(0, shape.classes, count)))


def trained(shape: Genome, batch: Batch, engine: object, steps: int) -> tuple[list[float], Learner]:
    network = build_network(shape, 1)
    one = Learner(network, AdamW(network, 1e-4, LIMITS))
    generator = np.random.default_rng(4)
    multiplier = torch.from_numpy(generator.uniform(0.25, 2.0, len(network.values))).float()
    one.optimizer.multiplier.copy_(multiplier)
    rates = torch.full((steps, 1), 0.003)
    losses = engine.train_steps([one], [batch] * steps, rates)  # type: ignore[attr-defined]
    return losses[:, 0].tolist(), one


@pytest.mark.parametrize(("shape", "count"), ODD)
def test_odd_shapes_train_as_dense_ones_do(engine: NativeEngine, shape: Genome, count: int) -> None:
    batch = drawn(shape, count)
    found, one = trained(shape, batch, engine, 8)
    expected, other = trained(shape, batch, DenseEngine(), 8)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(one.network.values, other.network.values, rtol=0, atol=3e-5)
    assert engine.evaluate(one.network, [batch])[2] == count


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fifty_steps_stay_within_rounding_of_dense_training(
    engine: NativeEngine, activation: Activation, normalisation: Normalisation
) -> None:
    shape = genome(100, [64, 32], 10, 0.15, activation, normalisation=normalisation)
    batch = drawn(shape, 96)
    found, _ = trained(shape, batch, engine, 50)
    expected, _ = trained(shape, batch, DenseEngine(), 50)
    assert np.abs(np.subtract(found, expected)).max() < 1e-5


def test_gradients_of_8_bit_inputs_are_as_exact_as_float_ones(engine: NativeEngine) -> None:
    """Against 64-bit: no further away than 4 times what dense 32-bit products are."""
    dataset = load("synthetic-400")
    batches = Batches(dataset, split(dataset, 0.1, 0), BatchPlan(0, 256, "none"), "cpu")
    batch = next(batches.epoch(0, 0))
    assert batch.raw is not None
    found, expected, exact = (
        _first_moment(way, batch) for way in (engine, torch.float32, torch.float64)
    )
    error, dense_error = (np.abs(one - exact).max() for one in (found, expected))
    assert error <= 4 * dense_error


def _first_moment(way: object, batch: Batch) -> np.ndarray:
    """A tenth of the first step's gradient: what the optimizer keeps of it."""
    shape = genome(3072, [96, 32], 10, 0.05)
    if isinstance(way, torch.dtype):
        network = build_network(shape, 1).to(way)
        loss = functional.cross_entropy(network(batch.inputs.to(way)), batch.targets)
        (gradient,) = torch.autograd.grad(loss, network.values)
        return gradient.numpy() / 10
    _, one = trained(shape, batch, way, 1)
    return one.optimizer.first_moment.numpy().astype(np.float64)


def test_a_number_that_is_not_finite_shows(engine: NativeEngine) -> None:
    """Whole numbers know no infinity: it must not be lost on the way through them."""
    dataset = load("digits")
    batches = Batches(dataset, split(dataset, 0.1, 0), BatchPlan(0, 70, "none"), "cpu")
    batch = next(batches.epoch(0, 0))
    shape = genome(64, [48, 24], 10, 0.2)
    for wrong in (float("nan"), float("inf")):
        for index in (0, len(build_network(shape, 1).values) - 1):
            network = build_network(shape, 1)
            with torch.no_grad():
                network.values[index] = wrong
            one = Learner(network, AdamW(network, 1e-4, LIMITS))
            losses = engine.train_steps([one], [batch, batch], torch.full((2, 1), 0.003))
            assert not losses.isfinite().all()


def test_a_million_connections(engine: NativeEngine) -> None:
    shape = genome(3072, [2048], 10, 0.16)
    assert sum(shape.counts) > 1_000_000
    found, _ = trained(shape, drawn(shape, 32), engine, 1)
    expected, _ = trained(shape, drawn(shape, 32), DenseEngine(), 1)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def digits() -> tuple[Dataset, Split]:
    dataset = load("digits")
    return dataset, split(dataset, 0.1, 0)


@pytest.fixture(scope="module")
def colours() -> tuple[Dataset, Split]:
    dataset = load("synthetic-400")
    return dataset, split(dataset, 0.1, 0)


UNMIXED = ["none", "flip", "crop", "cutout", "flip+crop", "flip+cutout", "crop+cutout"]


@pytest.mark.parametrize("augmentation", [*UNMIXED, "flip+crop+cutout"])
@pytest.mark.parametrize("data", ["digits", "colours"])
def test_packing_alters_images_as_tensor_operations_do(
    request: pytest.FixtureRequest, engine: NativeEngine, data: str, augmentation: str
) -> None:
    """Bit for bit: unpacked and standardised, a block is the batch's float inputs."""
    batches = Batches(*request.getfixturevalue(data), BatchPlan(3, 70, augmentation), "cpu")
    for batch in itertools.islice(batches.epoch(0, 0), 2):
        raw = batch.raw
        assert raw is not None
        blocks = Blocks(batch, engine._library, Arena())
        packed = blocks._kept[0].reshape(len(raw.factor), -1)
        samples = torch.from_numpy(packed.astype(np.float32))
        factor, shift = (torch.from_numpy(v)[:, None] for v in (raw.factor, raw.shift))
        assert torch.equal((samples[:, :70] * factor + shift).t(), batch.inputs)
        assert not samples[:, 70:].any()


@pytest.mark.parametrize("augmentation", ["none", "flip", "flip+crop+cutout"])
def test_packed_images_are_the_standardised_ones(
    engine: NativeEngine, digits: tuple[Dataset, Split], augmentation: str
) -> None:
    """8-bit values lose nothing: the same losses as from float inputs."""
    batches = Batches(*digits, BatchPlan(0, 70, augmentation), "cpu")
    shape = genome(64, [48, 24], 10, 0.2)
    for batch in list(batches.epoch(0, 0))[:3]:
        assert batch.raw is not None
        as_floats = Batch.of(batch.inputs, batch.targets)
        packed, one = trained(shape, batch, engine, 5)
        plain, other = trained(shape, as_floats, engine, 5)
        assert packed == pytest.approx(plain, rel=2e-6)
        torch.testing.assert_close(one.network.values, other.network.values, rtol=0, atol=2e-5)


def test_mixed_batches_train_as_dense_ones_do(
    engine: NativeEngine, digits: tuple[Dataset, Split]
) -> None:
    shape = genome(64, [48, 24], 10, 0.2)
    batches = Batches(*digits, BatchPlan(0, 300, "flip+mixup"), "cpu")
    for batch in list(batches.epoch(0, 0))[:3]:
        assert batch.mixing is not None
        found, one = trained(shape, batch, engine, 5)
        expected, other = trained(shape, batch, DenseEngine(), 5)
        assert found == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(one.network.values, other.network.values, rtol=0, atol=3e-5)


def test_evaluation_of_packed_images(engine: NativeEngine, digits: tuple[Dataset, Split]) -> None:
    batches = Batches(*digits, BatchPlan(0, 70, "none"), "cpu")
    network = build_network(genome(64, [48, 24], 10, 0.2), 2)
    accuracy, loss, count = engine.evaluate(network, batches.validation())
    with torch.no_grad():
        parts = [(network(batch.inputs), batch.targets) for batch in batches.validation()]
    logits = torch.cat([part[0] for part in parts])
    targets = torch.cat([part[1] for part in parts])
    assert count == len(targets) == 144
    assert accuracy == (logits.argmax(1) == targets).double().mean().item()
    assert loss == pytest.approx(functional.cross_entropy(logits, targets).item(), rel=1e-6)


def test_equal_logits_choose_the_first_class_as_torch_does(engine: NativeEngine) -> None:
    network = build_network(genome(4, [3], 5, 1.0), 0)
    with torch.no_grad():
        network.values.zero_()
    inputs = torch.zeros(6, 4)
    batch = Batch.of(inputs, torch.tensor([0, 0, 1, 2, 3, 4]))
    accuracy, loss, _ = engine.evaluate(network, [batch])
    assert accuracy == pytest.approx(2 / 6)
    assert loss == pytest.approx(np.log(5), rel=1e-6)


def test_storage_that_moved_is_found_again(engine: NativeEngine) -> None:
    """`values` may be replaced under a network that the engine has seen before."""
    network = build_network(genome(4, [3], 2, 1.0), 0)
    batch = drawn(network.genome, 5)
    before = engine.evaluate(network, [batch])[1]
    network.values.data = network.values.data.clone() * 2.0
    with torch.no_grad():
        expected = functional.cross_entropy(network(batch.inputs), batch.targets).item()
    assert engine.evaluate(network, [batch])[1] == pytest.approx(expected, rel=1e-6) != before


SANITIZED = """
import ctypes, sys
from structure_net.engine.native import engine as native, library
library.load_library = lambda path=None: ctypes.CDLL(sys.argv[1])
native.load_library = library.load_library
from tests.engine.native.test_kernels import ODD, drawn, trained
from structure_net.datasets import load, split
import numpy as np
from structure_net.engine import Batch, Batches, BatchPlan, RawSamples
from structure_net.engine.augmentation import EpochDraws
from structure_net.genome import ACTIVATIONS, NORMALISATIONS
from tests.networks.reference import genome
engine = native.NativeEngine()
for shape, count in ODD:
    trained(shape, drawn(shape, count), engine, 2)
for activation in ACTIVATIONS:
    for norm in NORMALISATIONS:
        shape = genome(20, [9, 5], 3, 0.4, activation, normalisation=norm)
        trained(shape, drawn(shape, 40), engine, 2)
digits = load("digits", limit_train=200)
for augmentation in ("flip", "crop", "flip+crop+cutout", "mixup"):
    batches = Batches(digits, split(digits, 0.2, 0), BatchPlan(0, 50, augmentation), "cpu")
    for batch in batches.epoch(0, 0):
        _, one = trained(genome(64, [20], 10, 0.3), batch, engine, 2)
        engine.evaluate(one.network, batches.validation())
for shape in ((1, 1, 1), (2, 1, 3), (1, 9, 2), (3, 16, 17)):
    images = np.random.default_rng(0).integers(0, 256, (90, *shape), dtype=np.uint8)
    rows, labels = np.arange(90, dtype=np.int64), np.zeros(90, dtype=np.int64)
    drawn = EpochDraws(0, "flip+crop+cutout", shape, 90)(90, 1, 0, 0)
    numbers = np.ones(images[0].size, dtype=np.float32)
    fill = np.full(shape[0], 9, dtype=np.uint8)
    raw = RawSamples(images, rows, numbers, numbers, *drawn.arrays(), fill=fill)
    trained(genome(images[0].size, [3], 2, 1.0), Batch(labels, None, raw), engine, 1)
print("no complaint")
"""


def test_no_access_out_of_bounds_and_no_undefined_behaviour(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ with its sanitizers")
    library = tmp_path / "kernels.so"
    source = ROOT / "structure_net" / "engine" / "native" / "kernels.cpp"
    flags = ["-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-Wno-psabi"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        [compiler, *flags, *checks, *PATHS[best_path()][1], str(source), "-o", str(library)],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0 and "cannot find" in built.stderr:
        pytest.skip("this g++ comes without sanitizers")
    assert built.returncode == 0, built.stderr
    runtime = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SANITIZED, str(library)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONPATH": str(ROOT),
        },
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "no complaint" in finished.stdout


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_first_products_are_those_of_dense_algebra(
    engine: NativeEngine, normalisation: Normalisation
) -> None:
    """1,438 samples of digits: one batch of 1,024, and one with a partial block; in order."""
    data = load("digits")
    parts = split(data, 0.1, 3)
    batches = Batches(data, parts, BatchPlan(3, 29, "none"), "cpu")
    labels = np.array(data.labels, dtype=np.int64)
    every = list(batches.of_part(data.images, labels, np.arange(len(labels))))
    shape = genome(64, [40, 12], 10, 0.2).model_copy(update={"normalisation": normalisation})
    network = build_network(shape, 2)
    with torch.no_grad():
        network.values += 0.1
    inputs = torch.cat([batch.inputs for batch in every])
    expected = network.layer(0).dense(network.weights(0).detach()) @ inputs.t()
    found = engine.first_products(network, every)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    accuracy = engine.evaluate(network, every)  # the network is bound as before
    assert accuracy[:2] == pytest.approx(DenseEngine().evaluate(network, every)[:2], abs=1e-4)
    assert engine.first_products(network, [Batch.of(inputs, torch.from_numpy(labels))]) is None
    assert DenseEngine().first_products(network, every) is None
