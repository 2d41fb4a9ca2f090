"""The stacked engine: witnesses are csr, float64 autograd, and the same learners trained alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from structure_net.engine import Batch, CsrEngine, Engine, Learner, Mixing, StackedEngine
from structure_net.engine.stacked import stack as stacked_parts
from structure_net.engine.stacked.layout import lay_out
from structure_net.engine.stacked.operands import Operands
from structure_net.engine.stacked.state import StackedState
from structure_net.engine.stacked.step import Step
from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from structure_net.networks import Network, build_network
from tests.engine.test_engines import (
    batches,
    bits,
    data,
    dense_loss_and_gradient,
    learner,
    relative_error,
)
from tests.networks.reference import genome

INPUTS, CLASSES = 24, 5
SHAPES: list[tuple[list[int], float, Activation, Normalisation]] = [
    ([16, 8], 0.3, "relu", "none"),
    ([32], 0.1, "gelu", "rms"),
    ([9, 7, 11], 0.8, "tanh", "none"),
    ([16, 8], 0.5, "silu", "rms"),
    ([], 0.5, "relu", "rms"),
    ([17, 8, 7, 11], 0.4, "leaky_relu", "none"),
    ([16, 8], 0.2, "relu", "rms"),
    ([13, 7, 8], 0.4, "relu", "rms"),
    ([16, 8], 0.4, "relu", "rms"),
]


def cohort(chosen: Sequence[int] = range(len(SHAPES))) -> list[Learner]:
    """Learners of mixed shapes, each with multipliers of its own and a different past."""
    made = []
    for seed in chosen:
        widths, density, activation, normalisation = SHAPES[seed]
        shape = genome(INPUTS, widths, CLASSES, density, activation, normalisation=normalisation)
        one = learner(shape, seed)
        drawn = torch.Generator().manual_seed(seed)
        one.optimizer.multiplier.uniform_(0.3, 3.0, generator=drawn)
        one.optimizer.weight_decay = 0.01 * seed
        past = batches(one.network.genome, 2 * seed)
        CsrEngine().train_steps([one], past, torch.full((2 * seed, 1), 0.002))
        made.append(one)
    return made


def shared(count: int, size: int = 16) -> list[Batch]:
    return batches(genome(INPUTS, [], CLASSES, 1.0), count, size)


def rates(steps: int, learners: int) -> torch.Tensor:
    """Different for every step and learner; the largest meet the upper limit of 0.01."""
    return torch.linspace(0.0005, 0.006, steps * learners).reshape(steps, learners)


def moments(one: Learner) -> list[torch.Tensor]:
    return [one.optimizer.first_moment, one.optimizer.second_moment]


def assert_close(ours: Sequence[Learner], theirs: Sequence[Learner]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.optimizer.steps == other.optimizer.steps
        torch.testing.assert_close(one.network.values, other.network.values, rtol=0, atol=1e-5)
        torch.testing.assert_close(moments(one), moments(other), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("granule", [1, 8, 64])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_mixed_cohort_trains_as_by_compressed_rows(granule: int, checkpointing: bool) -> None:
    ours, theirs = cohort(), cohort()
    engine = StackedEngine(granule=granule, checkpointing=checkpointing)
    found = engine.train_steps(ours, shared(40), rates(40, len(ours)))
    expected = CsrEngine().train_steps(theirs, shared(40), rates(40, len(ours)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert_close(ours, theirs)


@pytest.mark.parametrize("granule", [1, 16])
def test_gradients_are_those_of_dense_matrices_in_float64(granule: int) -> None:
    learners = [
        learner(genome(30, widths, 4, 0.3, activation, normalisation=normalisation), seed)
        for seed, (activation, normalisation, widths) in enumerate(
            product(ACTIVATIONS, NORMALISATIONS, ([20, 16], [12, 16, 9]))
        )
    ]
    batch = data(30, 4, 32)
    truth = [dense_loss_and_gradient(one.network, batch, torch.float64) for one in learners]
    losses = StackedEngine(granule=granule).train_steps(
        learners, [batch], torch.full((1, len(learners)), 0.001)
    )
    for place, (one, (loss, gradient)) in enumerate(zip(learners, truth, strict=True)):
        assert float(losses[0, place]) == pytest.approx(loss, rel=1e-6)
        ten_times = 10.0 * one.optimizer.first_moment.double().numpy()
        assert relative_error(ten_times, gradient) < 2e-6


def test_mixed_batches_count_both_classes() -> None:
    batch, partner = data(INPUTS, CLASSES, 16, 0), data(INPUTS, CLASSES, 16, 1)
    batch.mixing = Mixing(partner.targets, 0.3)
    ours = learner(genome(INPUTS, [16], CLASSES, 0.5), 0)
    truth = [
        dense_loss_and_gradient(ours.network, Batch.of(batch.inputs, targets), torch.float64)
        for targets in (batch.targets, partner.targets)
    ]
    (loss,) = StackedEngine().train_steps([ours], [batch], torch.full((1, 1), 0.001)).flatten()
    assert float(loss) == pytest.approx(0.3 * truth[0][0] + 0.7 * truth[1][0], rel=1e-6)
    found = 10.0 * ours.optimizer.first_moment.double().numpy()
    assert relative_error(found, 0.3 * truth[0][1] + 0.7 * truth[1][1]) < 2e-6


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_what_is_not_a_number_reaches_no_neighbour(value: float, place: int) -> None:
    sound, struck = cohort(), cohort()
    with torch.no_grad():
        struck[place].network.values[::3] = value
    engines = StackedEngine(), StackedEngine()
    expected, losses = (
        engine.train_steps(learners, shared(10), rates(10, len(SHAPES)))
        for engine, learners in zip(engines, (sound, struck), strict=True)
    )
    assert not losses[:, place].isfinite().any()
    del sound[place], struck[place]
    kept = [other for other in range(len(SHAPES)) if other != place]
    assert torch.equal(losses[:, kept], expected[:, kept])
    assert bits(struck) == bits(sound)


def test_learners_leave_and_join_between_calls() -> None:
    ours, theirs = cohort(), cohort()
    engine, witness = StackedEngine(), CsrEngine()
    for chosen in ([0, 1, 2, 3], [0, 2, 3], [0, 2, 3, 4, 5, 6], [6, 0], [6, 0]):
        for one, learners in ((engine, ours), (witness, theirs)):
            own = [learners[place] for place in chosen]
            one.train_steps(own, shared(5), rates(5, len(own)))
    assert_close(ours, theirs)


def test_training_happens_in_place_and_a_learner_takes_its_state_along() -> None:
    ours, theirs = cohort(), cohort()
    values = [one.network.values for one in ours]
    engine = StackedEngine()
    engine.train_steps(ours, shared(5), rates(5, len(ours)))
    CsrEngine().train_steps(theirs, shared(5), rates(5, len(ours)))
    for one, held in zip(ours, values, strict=True):
        assert one.network.values is held
        assert one.optimizer.values is held
    # Alone under csr, then stacked again: nothing is copied, nothing is lost.
    before = [one.network.values.data_ptr() for one in ours]
    for learners in (ours, theirs):
        CsrEngine().train_steps(learners[1:3], shared(5), rates(5, 2))
    engine.train_steps(ours, shared(5), rates(5, len(ours)))
    CsrEngine().train_steps(theirs, shared(5), rates(5, len(ours)))
    assert [one.network.values.data_ptr() for one in ours] == before
    assert_close(ours, theirs)


def test_new_tensors_settings_and_connections_between_calls_count() -> None:
    ours, theirs = cohort(), cohort()
    engine = StackedEngine()
    engine.train_steps(ours, shared(5), rates(5, len(ours)))
    CsrEngine().train_steps(theirs, shared(5), rates(5, len(ours)))
    for learners in (ours, theirs):
        learners[0].optimizer.multiplier = learners[0].optimizer.multiplier * 2.0
        learners[1].optimizer.weight_decay = 0.3
        learners[2].optimizer.limits = (0.002, 0.003)
        _rewire(learners[3].network)
    engine.train_steps(ours, shared(5), rates(5, len(ours)))
    CsrEngine().train_steps(theirs, shared(5), rates(5, len(ours)))
    assert_close(ours, theirs)


def _rewire(network: Network) -> None:
    """The connections of another network of the same genome."""
    other = build_network(network.genome, 77)
    for index in range(len(network.layers)):
        network.layer(index).columns = other.layer(index).columns
        network.layer(index).row_pointers = other.layer(index).row_pointers


@pytest.mark.parametrize("size", [16, 5])
def test_a_cohort_is_measured_at_once_and_afresh_when_something_changed(size: int) -> None:
    learners = cohort()
    engine, witness = StackedEngine(), CsrEngine()
    parts = [*shared(2, 30), *shared(1, 7)]
    for steps in (3, 4):
        engine.micro_batches.first = size
        engine.train_steps(learners, shared(steps), rates(steps, len(learners)))
        _assert_same_measures(engine, witness, learners[0].network, parts)
        with Products() as products:
            found = [engine.evaluate(one.network, parts) for one in learners]
        assert not products.counts
        assert len(set(found)) == len(learners)
        for one in learners:
            _assert_same_measures(engine, witness, one.network, parts)
    with torch.no_grad():
        learners[2].network.values.mul_(1.3)
    _rewire(learners[3].network)
    for one in learners:
        _assert_same_measures(engine, witness, one.network, parts)
        _assert_same_measures(engine, witness, one.network, parts[:2])
    _assert_same_measures(engine, witness, cohort()[1].network, parts)


def _assert_same_measures(
    ours: Engine, theirs: Engine, network: Network, parts: list[Batch]
) -> None:
    found, expected = ours.evaluate(network, parts), theirs.evaluate(network, parts)
    assert found[0] == pytest.approx(expected[0], abs=1e-12)
    assert found[1] == pytest.approx(expected[1], rel=1e-5)
    assert found[2] == expected[2] == sum(map(len, parts))


def test_batches_may_change_their_size() -> None:
    ours, theirs = cohort(), cohort()
    mixed = [*shared(3, 16), *shared(3, 7), *shared(2, 16)]
    found = StackedEngine().train_steps(ours, mixed, rates(8, len(ours)))
    expected = CsrEngine().train_steps(theirs, mixed, rates(8, len(ours)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert_close(ours, theirs)


def test_parts_of_a_batch_give_the_step_of_the_whole() -> None:
    ours, theirs = cohort(), cohort()
    engine = StackedEngine()
    engine.micro_batches.first = 5
    found = engine.train_steps(ours, shared(10), rates(10, len(ours)))
    expected = CsrEngine().train_steps(theirs, shared(10), rates(10, len(ours)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert_close(ours, theirs)


def test_out_of_memory_halves_the_parts_and_loses_no_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory runs out where all parts are done and the update is about to begin."""
    update, calls = StackedState.update, []

    def scarce(state: StackedState, scalars: torch.Tensor) -> None:
        calls.append(scalars)
        if len(calls) <= 2:
            raise torch.OutOfMemoryError("no room")
        update(state, scalars)

    ours, theirs = cohort(), cohort()
    engine = StackedEngine()
    monkeypatch.setattr(StackedState, "update", scarce)
    found = engine.train_steps(ours, shared(4), rates(4, len(ours)))
    assert len(calls) == 6
    expected = CsrEngine().train_steps(theirs, shared(4), rates(4, len(ours)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert_close(ours, theirs)
    reduced = engine.micro_batches.take_reductions()
    assert {(one.before, one.after) for one in reduced} == {(16, 8), (8, 4)}


class Products(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm", "baddbmm"):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def test_products_do_not_grow_with_networks_of_one_shape() -> None:
    counts = []
    for networks in (1, 7):
        shape = genome(INPUTS, [16, 12, 8], CLASSES, 0.4)
        learners = [learner(shape, seed) for seed in range(networks)]
        with Products() as products:
            StackedEngine().train_steps(learners, shared(1), rates(1, networks))
        counts.append(products.counts)
    # Four layers: each once forward and once for its gradient, three once for what is below.
    assert counts[0] == counts[1] == {"baddbmm": 4, "bmm": 7}


def test_near_widths_share_products_where_widths_are_rounded() -> None:
    learners = [
        learner(genome(INPUTS, [width, width + 20], CLASSES, 0.4), width) for width in (33, 40, 44)
    ]
    with Products() as products:
        StackedEngine(granule=64).train_steps(learners, shared(1), rates(1, 3))
    assert products.counts == {"baddbmm": 3, "bmm": 5}


@pytest.fixture
def sixteen_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 products whatever this processor is fast at."""
    monkeypatch.setattr(stacked_parts, "product_dtype", lambda *_: torch.bfloat16)


@pytest.mark.usefixtures("sixteen_bits")
def test_products_of_16_bits_stay_near_those_of_32() -> None:
    ours, theirs = cohort(), cohort()
    slow = torch.full((50, len(ours)), 0.001)
    engine = StackedEngine(granule=8)
    found = engine.train_steps(ours, shared(50, 64), slow)
    expected = CsrEngine().train_steps(theirs, shared(50, 64), slow)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
    for one in ours:
        state = [one.network.values, *moments(one), one.optimizer.multiplier]
        assert {tensor.dtype for tensor in state} == {torch.float32}


class Devices(TorchDispatchMode):
    """Where the tensors of all operations lie."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, out)):
            if isinstance(one, torch.Tensor):
                self.found.add(one.device.type)
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_can_be_recorded(dtype: torch.dtype, checkpointing: bool) -> None:
    """On tensors without numbers: nothing is read back, nothing comes from the host."""
    state = StackedState(cohort())
    layout = lay_out([one.network.genome for one in state.learners], 8)
    operands = Operands(state, layout, dtype, checkpointing=checkpointing)
    step = Step(state, operands, 16, graphs=False)
    for part in (state, operands, step):
        for name, value in list(vars(part).items()):
            if isinstance(value, torch.Tensor):
                setattr(part, name, value.to("meta"))
    with torch.no_grad(), Devices() as devices:
        step.run([slice(0, 10), slice(10, 16)])
    assert devices.found == {"meta"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_a_recorded_graph_gives_the_bits_of_single_operations(mixed_precision: bool) -> None:
    ends = []
    for graphs in (False, True):
        learners = cohort()
        for one in learners:
            _move(one, "cuda")
        there = [Batch.of(batch.inputs.cuda(), batch.targets.cuda()) for batch in shared(12)]
        engine = StackedEngine(mixed_precision=mixed_precision, graphs=graphs)
        losses = engine.train_steps(learners, there, rates(12, len(learners)))
        losses = torch.cat([losses, engine.train_steps(learners, there, losses * 0 + 0.002)])
        del learners[2]
        engine.train_steps(learners, there, rates(12, len(learners)))
        ends.append((losses, [one.network.values.detach().cpu() for one in learners]))
    assert torch.equal(ends[0][0], ends[1][0])
    for plain, replayed in zip(ends[0][1], ends[1][1], strict=True):
        assert torch.equal(plain, replayed)


def _move(one: Learner, device: str) -> None:
    one.network.to(device)
    for name in ("first_moment", "second_moment", "multiplier"):
        setattr(one.optimizer, name, getattr(one.optimizer, name).to(device))
