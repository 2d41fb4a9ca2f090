"""Which products are of 16 bits, and the dense engine with them."""

from __future__ import annotations

import pytest
import torch

from structure_net.engine import DenseEngine, StackedEngine, dense, make_engine, precision
from structure_net.engine.precision import product_dtype
from tests.engine.test_engines import batches, learner
from tests.networks.reference import genome

SHAPE = genome(64, [48, 32], 10, 0.2)
PROCESSOR, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("fast", [False, True])
def test_only_hardware_that_is_fast_at_it_multiplies_in_16_bits(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = frozenset({"avx512_bf16", *(["amx_bf16"] if fast else [])})
    monkeypatch.setattr(precision, "processor_flags", lambda: flags)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: fast)
    for device in (PROCESSOR, GPU):
        expected = torch.bfloat16 if fast else torch.float32
        assert product_dtype(device, mixed_precision=True) == expected
        assert product_dtype(device, mixed_precision=False) == torch.float32


@pytest.mark.parametrize("checkpointing", [False, True])
def test_dense_in_16_bits_stays_near_32(
    checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "product_dtype", lambda *_: torch.bfloat16)
    ours, theirs = learner(SHAPE), learner(SHAPE)
    rates, shared = torch.full((50, 1), 0.001), batches(SHAPE, 50, 64)
    engine = DenseEngine(mixed_precision=True, checkpointing=checkpointing)
    found = engine.train_steps([ours], shared, rates)
    monkeypatch.undo()
    expected = DenseEngine().train_steps([theirs], shared, rates)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
    state = [ours.network.values, ours.optimizer.first_moment, ours.optimizer.second_moment]
    assert {tensor.dtype for tensor in state} == {torch.float32}
    own = engine.evaluate(ours.network, batches(SHAPE, 4, 64))
    assert own[1] == pytest.approx(
        DenseEngine().evaluate(theirs.network, batches(SHAPE, 4, 64))[1], abs=5e-3
    )


def test_dense_is_stacked_on_a_gpu_and_alone_on_a_processor() -> None:
    assert isinstance(make_engine("dense", device="cuda:1"), StackedEngine)
    assert not isinstance(make_engine("dense", device="cpu"), StackedEngine)
    assert not isinstance(make_engine("csr", device="cuda"), StackedEngine)
