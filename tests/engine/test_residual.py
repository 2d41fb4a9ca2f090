"""Networks with residual blocks, on every engine: the gradients of torch's own autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.engine import (
    ENGINES,
    AdamW,
    Batch,
    CsrEngine,
    DenseEngine,
    Engine,
    Learner,
    StackedEngine,
    make_engine,
)
from structure_net.engine.passes import segments
from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    BlockKind,
    Genome,
    Normalisation,
)
from structure_net.networks import Network
from tests.networks.reference import genome
from tests.networks.residual import awake, logits, with_blocks

LIMITS = (1e-6, 1e-2)
BLOCKS: dict[str, list[tuple[int, BlockKind]]] = {
    "one": [(0, "two_layer")],
    "at the end": [(2, "three_layer")],
    "stacked": [(1, "two_layer"), (1, "three_layer"), (1, "two_layer")],
    "everywhere": [
        (0, "three_layer"),
        (1, "two_layer"),
        (2, "two_layer"),
        (0, "two_layer"),
        (2, "three_layer"),
    ],
}


@pytest.fixture(params=[*ENGINES, "stacked"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine; `dense` also as it is on a GPU."""
    return StackedEngine() if request.param == "stacked" else make_engine(request.param)


def shape(
    blocks: str = "everywhere",
    activation: Activation = "relu",
    normalisation: Normalisation = "none",
    density: float = 0.3,
) -> Genome:
    plain = genome(30, [20, 12, 16], 5, density, activation, normalisation=normalisation)
    return with_blocks(plain, BLOCKS[blocks])


def data(count: int, seed: int = 0, inputs: int = 30) -> Batch:
    generator = np.random.default_rng(seed)
    drawn = torch.from_numpy(generator.standard_normal((count, inputs))).float()
    return Batch.of(drawn, torch.from_numpy(generator.integers(0, 5, count)))


def truth(network: Network, batch: Batch) -> tuple[float, np.ndarray]:
    """Loss and gradient by torch's autograd through `Network.forward`, float64."""
    twin = Network(
        network.genome, [network.layer(i).connections for i in range(len(network.layers))]
    )
    twin.double()
    with torch.no_grad():
        twin.values.copy_(network.values)
    loss = functional.cross_entropy(twin(batch.inputs.double()), batch.targets)
    loss.backward()
    assert twin.values.grad is not None
    return loss.item(), twin.values.grad.numpy()


def step(engine: Engine, network: Network, batch: Batch) -> tuple[float, np.ndarray]:
    """The loss of one step, and the gradient it took: ten times the first moment after it."""
    one = Learner(network, AdamW(network, 0.0, LIMITS))
    (loss,) = engine.train_steps([one], [batch], torch.full((1, 1), 0.001)).flatten().tolist()
    return loss, 10.0 * one.optimizer.first_moment.double().numpy()


def error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(found - true) / np.linalg.norm(true))


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_autograd(
    engine: Engine, blocks: str, activation: Activation, normalisation: Normalisation
) -> None:
    network, batch = awake(shape(blocks, activation, normalisation), 1), data(40)
    true_loss, true = truth(network, batch)
    loss, found = step(engine, network, batch)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    assert error(found, true) < 3e-6


@pytest.mark.parametrize("density", [1e-9, 1.0])
def test_the_sparsest_and_the_densest_block(engine: Engine, density: float) -> None:
    network, batch = awake(shape(density=density), 2), data(300)
    true_loss, true = truth(network, batch)
    loss, found = step(engine, network, batch)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    assert error(found, true) < 3e-6


def test_a_layer_wider_than_its_block(engine: Engine) -> None:
    """With fewer connections in its last matrix than units that it could reach."""
    wide = with_blocks(genome(300, [600, 600], 5, 1e-9), [(0, "two_layer"), (0, "three_layer")])
    assert wide.counts[2] < wide.plans[2].units
    network, batch = awake(wide, 3), data(20, inputs=300)
    true_loss, true = truth(network, batch)
    loss, found = step(engine, network, batch)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    assert error(found, true) < 3e-6


def test_evaluation_is_that_of_the_definition(engine: Engine) -> None:
    for normalisation in NORMALISATIONS:
        network, batch = awake(shape("everywhere", "gelu", normalisation), 4), data(50)
        output = logits(network, batch.inputs.numpy())
        labels = batch.targets.numpy()
        expected = np.log(np.exp(output).sum(1)) - output[range(50), labels]
        accuracy, loss, count = engine.evaluate(network, [batch])
        assert (accuracy, count) == ((output.argmax(1) == labels).mean(), 50)
        assert loss == pytest.approx(expected.mean(), rel=1e-6)


def test_batches_in_parts_are_one_step(engine: Engine) -> None:
    network, batch = awake(shape("stacked", "tanh", "rms"), 5), data(50)
    _, true = truth(network, batch)
    engine.micro_batches.first = 17
    assert error(step(engine, network, batch)[1], true) < 3e-6


@pytest.mark.parametrize("kind", [DenseEngine, CsrEngine])
def test_checkpointing_gives_the_same_bits(kind: type[Engine]) -> None:
    found = []
    for checkpointing in (False, True):
        engine: Engine = kind(checkpointing=checkpointing)  # type: ignore[call-arg]
        found.append(step(engine, awake(shape("everywhere", "silu", "rms"), 6), data(32)))
    assert found[0][0] == found[1][0]
    assert found[0][1].tobytes() == found[1][1].tobytes()


def test_checkpointing_of_a_stack() -> None:
    network, batch = awake(shape("everywhere", "silu", "rms"), 6), data(32)
    _, true = truth(network, batch)
    assert error(step(StackedEngine(checkpointing=True), network, batch)[1], true) < 3e-6


def test_segments_end_outside_blocks() -> None:
    for blocks in BLOCKS:
        skips = [plan.skip for plan in shape(blocks).plans]
        runs = segments(skips)
        assert [index for first, end in runs for index in range(first, end)] == [*range(len(skips))]
        for last, skip in enumerate(skips):
            assert not skip or all(not last - skip + 1 < first <= last for first, _ in runs)


def test_a_stack_of_networks_with_and_without_blocks() -> None:
    """Networks of one cohort whose levels hold blocks at other places, several of one shape."""
    genomes = [
        shape("one"),
        shape("everywhere", "gelu", "rms"),
        genome(30, [20, 12, 16], 5, 0.3),
        shape("one"),
        shape("stacked", "silu"),
        genome(30, [], 5, 0.3),
        shape("one", "tanh"),
    ]
    networks = [awake(one, seed) for seed, one in enumerate(genomes)]
    batch = data(40)
    learners = [Learner(one, AdamW(one, 0.0, LIMITS)) for one in networks]
    true = [truth(one, batch) for one in networks]
    losses = StackedEngine(granule=8).train_steps(learners, [batch], torch.full((1, 7), 0.001))
    for place, (loss, gradient) in enumerate(true):
        assert losses[0, place].item() == pytest.approx(loss, rel=1e-6)
        assert error(10.0 * learners[place].optimizer.first_moment.numpy(), gradient) < 3e-6


def grown(normalisation: Normalisation, activation: Activation, members: int) -> Genome:
    """Hidden layers whose last units came later; a block behind the second."""
    plain = shape("one", activation, normalisation)
    content = plain.model_dump()
    for gene in content["hidden"]:
        gene["members"] = members
    return Genome.model_validate(content)


def test_units_that_came_later_move_no_scale(engine: Engine) -> None:
    """Alone, and in a cohort with another number of them and with none."""
    batch = data(40)
    genomes = [grown("rms", "gelu", 9), grown("rms", "relu", 1), shape("one", "tanh", "rms")]
    networks = [awake(one, seed) for seed, one in enumerate(genomes)]
    learners = [Learner(one, AdamW(one, 0.0, LIMITS)) for one in networks]
    true = [truth(one, batch) for one in networks]
    losses = engine.train_steps(learners, [batch], torch.full((1, 3), 0.001))
    for place, (loss, gradient) in enumerate(true):
        assert losses[0, place].item() == pytest.approx(loss, rel=1e-6)
        assert error(10.0 * learners[place].optimizer.first_moment.numpy(), gradient) < 3e-6


def test_engines_agree_over_a_hundred_steps() -> None:
    ends = {}
    batches = [data(16, seed) for seed in range(100)]
    for name in ENGINES:
        network = awake(shape("everywhere", "gelu", "rms"), 7)
        one = Learner(network, AdamW(network, 1e-4, LIMITS))
        losses = make_engine(name).train_steps([one], batches, torch.full((100, 1), 0.001))
        ends[name] = (losses, network.values.detach())
    first = ends.pop("dense")
    for losses, values in ends.values():
        torch.testing.assert_close(losses, first[0], rtol=1e-4, atol=0)
        torch.testing.assert_close(values, first[1], rtol=0, atol=1e-4)
