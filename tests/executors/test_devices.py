"""Which workers run where."""

from __future__ import annotations

import os

import pytest

from structure_net.errors import UsageError
from structure_net.executors import resolve_device, slots_of, usable_cores
from structure_net.schema import resolve


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_two_processes_on_each_of_two_gpus_as_in_the_seed(two_gpus: None) -> None:
    slots = slots_of(resolve(device="cuda").config)
    assert [(slot.device, slot.visible) for slot in slots] == [
        ("cuda:0", "0"),
        ("cuda:0", "1"),
        ("cuda:0", "0"),
        ("cuda:0", "1"),
    ]
    assert len({slot.name for slot in slots}) == 4


def test_one_chosen_gpu(two_gpus: None) -> None:
    slots = slots_of(resolve(device="cuda:1", processes_per_gpu=3).config)
    assert [slot.visible for slot in slots] == ["1", "1", "1"]
    with pytest.raises(UsageError, match="0 to 1"):
        resolve_device("cuda:2")


def test_devices_already_renumbered_from_outside(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    slots = slots_of(resolve(device="auto", processes_per_gpu=1).config)
    assert [slot.visible for slot in slots] == ["5", "7"]


def test_cuda_without_cuda_is_one_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no CUDA device") as raised:
        resolve_device("cuda")
    assert "\n" not in str(raised.value)
    assert resolve_device("auto") == []


def test_workers_of_a_processor() -> None:
    assert len(slots_of(resolve(device="cpu", workers=3).config)) == 3
    assert len(slots_of(resolve(device="cpu").config)) == usable_cores()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_usable_cores_respect_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_native_engine_is_for_processors(two_gpus: None) -> None:
    from structure_net import start

    with pytest.raises(UsageError, match="native trains on processors"):
        start(resolve(preset="quick", device="cuda", engine="native"))
