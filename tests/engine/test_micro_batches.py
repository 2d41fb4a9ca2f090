"""Out of memory anywhere in a step: the same update in smaller parts, or no change at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from structure_net.engine import (
    AdamW,
    Batch,
    CsrEngine,
    DenseEngine,
    Learner,
    free_unused,
    is_out_of_memory,
)
from structure_net.engine.layerwise import LayerwiseEngine
from structure_net.engine.micro_batches import MicroBatches, wanted_bytes
from structure_net.networks import build_network
from tests.networks.reference import genome

STEPS, BATCH = 3, 24
SHAPE = genome(20, [16, 12, 12, 8], 5, 0.4, "gelu")

ENGINES: dict[str, Callable[[], LayerwiseEngine]] = {
    "csr": CsrEngine,
    "dense": DenseEngine,
    "dense, checkpointing": partial(DenseEngine, checkpointing=True),
}
ERRORS: tuple[Exception, ...] = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ..."),
    MemoryError("no words"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                 "4096 bytes. Error code 12 (Cannot allocate memory)"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 96 bytes."),
)  # fmt: skip


class Scarce(TorchDispatchMode):
    """Raises at allocations of the given numbers: operations whose result is a new tensor."""

    def __init__(self, failing: frozenset[int], problem: Exception) -> None:
        super().__init__()
        self.failing, self.problem, self.allocations = failing, problem, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        returns = function._schema.returns
        if any(one.alias_info is None and str(one.type) == "Tensor" for one in returns):
            self.allocations += 1
            if self.allocations in self.failing:
                raise type(self.problem)(*self.problem.args)
        return function(*args, **(kwargs or {}))


@contextmanager
def guarded(engine: LayerwiseEngine, mode: Scarce) -> Iterator[None]:
    """Memory is scarce inside every attempt that the engine may repeat, and nowhere else."""
    fitting = engine.micro_batches.fitting

    def scarce(networks: Any, samples: int, attempt: Callable[[list[slice]], Any]) -> Any:
        def within(parts: list[slice]) -> Any:
            with mode:
                return attempt(parts)

        return fitting(networks, samples, within)

    engine.micro_batches.fitting = scarce  # type: ignore[method-assign]
    yield


def learner(seed: int = 0) -> Learner:
    network = build_network(SHAPE, seed)
    return Learner(network, AdamW(network, 1e-4, (1e-6, 1e-2)))


def batches(count: int = STEPS, size: int = BATCH) -> list[Batch]:
    drawn = torch.Generator().manual_seed(3)
    return [
        Batch.of(torch.randn(size, 20, generator=drawn), torch.randint(5, (size,), generator=drawn))
        for _ in range(count)
    ]


RATES = torch.full((STEPS, 1), 0.003)


def state(one: Learner) -> list[torch.Tensor]:
    parts = (one.network.values, one.optimizer.first_moment, one.optimizer.second_moment)
    return [part.detach().clone() for part in parts]


def run(name: str, mode: Scarce | None = None) -> tuple[torch.Tensor, Learner, LayerwiseEngine]:
    engine, one = ENGINES[name](), learner()
    if mode is not None:
        with guarded(engine, mode):
            return engine.train_steps([one], batches(), RATES), one, engine
    return engine.train_steps([one], batches(), RATES), one, engine


def allocations_of(name: str) -> int:
    mode = Scarce(frozenset(), ERRORS[0])
    run(name, mode)
    return mode.allocations


UNDISTURBED = {name: run(name)[:2] for name in ENGINES}
ALLOCATIONS = {name: allocations_of(name) for name in ENGINES}


@pytest.mark.parametrize("name", ENGINES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_out_of_memory_at_any_allocation_changes_no_number(name: str, data: st.DataObject) -> None:
    """Forward, backward, the way to multiply, the optimizer's scratch: all are allocations."""
    places = st.integers(1, ALLOCATIONS[name])
    failing = data.draw(st.frozensets(places, min_size=1, max_size=3))
    mode = Scarce(failing, data.draw(st.sampled_from(ERRORS)))
    losses, trained, engine = run(name, mode)
    expected, undisturbed = UNDISTURBED[name]
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=0)
    for found, own in zip(state(trained), state(undisturbed), strict=True):
        torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-5)
    reductions = engine.micro_batches.take_reductions()
    sizes = [BATCH, *(reduction.after for reduction in reductions)]
    assert 1 <= len(reductions) <= len(failing)
    assert sizes == [BATCH // 2**times for times in range(len(sizes))]
    assert engine.micro_batches.take_reductions() == []
    assert trained.optimizer.steps == STEPS


@pytest.mark.parametrize("name", ENGINES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_evaluation_counts_the_same_in_any_parts(name: str, data: st.DataObject) -> None:
    """The last batch is smaller than the others, and so is the last part of each."""
    one, parts = learner(), [*batches(2, 23), *batches(1, 7)]
    accuracy, loss, count = ENGINES[name]().evaluate(one.network, parts)
    failing = data.draw(st.frozensets(st.integers(1, 40), max_size=4))
    engine = ENGINES[name]()
    with guarded(engine, Scarce(failing, ERRORS[0])):
        found = engine.evaluate(one.network, parts)
    assert (found[0], found[2]) == (accuracy, count) == (accuracy, 53)
    assert found[1] == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("name", ENGINES)
def test_nothing_is_allocated_where_it_could_not_be_tried_again(name: str) -> None:
    """Beside the table of losses, every allocation of training lies inside an attempt."""
    engine, one = ENGINES[name](), learner()
    inside, outside = Scarce(frozenset(), ERRORS[0]), Scarce(frozenset(), ERRORS[0])
    given_batches = batches()
    with guarded(engine, inside), outside:
        engine.train_steps([one], given_batches, RATES)
    # The inner mode hands its operations on to the outer one.
    assert outside.allocations - inside.allocations == 1


@pytest.mark.parametrize("name", ENGINES)
def test_without_room_for_one_sample_the_error_goes_on_and_nothing_has_changed(name: str) -> None:
    engine, one = ENGINES[name](), learner()
    before = state(one)
    with (
        guarded(engine, Scarce(frozenset(range(1, 10_000)), ERRORS[2])),
        pytest.raises(RuntimeError, match="DefaultCPUAllocator"),
    ):
        engine.train_steps([one], batches(), RATES)
    assert all(map(torch.equal, state(one), before))
    assert one.optimizer.steps == 0
    sizes = [reduction.after for reduction in engine.micro_batches.take_reductions()]
    assert sizes == [12, 6, 3, 1]


def test_a_reduced_network_leaves_the_bits_of_its_neighbours() -> None:
    def cohort() -> list[Learner]:
        return [learner(seed) for seed in range(3)]

    rates = torch.full((STEPS, 3), 0.003)
    sound, struck, engine = cohort(), cohort(), CsrEngine()
    CsrEngine().train_steps(sound, batches(), rates)
    first = Scarce(frozenset(), ERRORS[1])
    counted = CsrEngine()
    with guarded(counted, first):
        counted.train_steps([learner()], batches(1), RATES[:1])
    # The second network runs out of memory in its first step.
    with guarded(engine, Scarce(frozenset({first.allocations + 5}), ERRORS[1])):
        engine.train_steps(struck, batches(), rates)
    (reduction,) = engine.micro_batches.take_reductions()
    assert reduction.network is struck[1].network
    for place in (0, 2):
        assert all(map(torch.equal, state(struck[place]), state(sound[place])))
    assert engine.micro_batches.size(struck[0].network) is None
    assert engine.micro_batches.size(struck[1].network) == BATCH // 2


def test_a_whole_batch_is_one_part_and_a_planned_start_is_kept() -> None:
    sizes = MicroBatches()
    network = build_network(SHAPE, 0)
    assert sizes.fitting([network], 10, lambda parts: parts) == [slice(0, 10)]
    sizes.first = 4
    parts = sizes.fitting([network], 10, lambda parts: parts)
    assert parts == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert sizes.fitting([network], 3, lambda parts: parts) == [slice(0, 3)]


def test_other_errors_are_not_swallowed() -> None:
    def attempt(parts: list[slice]) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        MicroBatches().fitting([build_network(SHAPE, 0)], 8, attempt)


def test_a_failed_attempt_is_freed_before_the_next() -> None:
    """The error holds the frames, and the frames the tensors, as long as it is being handled."""
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def attempt(parts: list[slice]) -> bool:
        if held:
            return held[0]() is None
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise MemoryError

    assert MicroBatches().fitting([build_network(SHAPE, 0)], 8, attempt)


def test_a_real_failure_of_the_allocator_is_known() -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert wanted_bytes(raised.value) in (2**60, None)


def test_what_an_allocation_wanted() -> None:
    assert [wanted_bytes(problem) for problem in ERRORS] == [20 * 2**20, None, 4096, 96]
    assert all(map(is_out_of_memory, ERRORS))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


# The optimizer's step


def test_a_step_allocates_nothing() -> None:
    """Witness: torch's profiler, which sees its allocator."""
    one = learner()
    gradient = torch.randn(one.network.values.shape)
    one.optimizer.reserve()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        one.optimizer.step(gradient, 0.003)
    events = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
    assert any("fused_adam" in event.name() for event in events)
    allocated = [event.nbytes() for event in events if event.name() == "[memory]"]
    # A number such as the rate becomes a tensor without dimensions on its way.
    assert sum(size for size in allocated if size > 16) == 0


def test_a_step_that_finds_no_scratch_changes_nothing() -> None:
    one = learner()
    before, gradient = state(one), torch.randn(one.network.values.shape)
    with Scarce(frozenset(range(1, 100)), ERRORS[0]), pytest.raises(torch.OutOfMemoryError):
        one.optimizer.step(gradient, 0.003)
    assert all(map(torch.equal, state(one), before))
    assert one.optimizer.steps == 0


def test_freeing_returns_memory_to_the_system() -> None:
    import psutil

    held = [bytearray(50_000) for _ in range(2_000)]  # below the size that malloc maps alone
    full = psutil.Process().memory_info().rss
    held.clear()
    free_unused()
    assert psutil.Process().memory_info().rss < full - 50_000_000
