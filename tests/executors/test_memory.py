"""What each worker may use on machines of any size, and cohorts cut to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from structure_net.engine import Setting, cohort_bytes
from structure_net.engine.layerwise import LayerwiseEngine
from structure_net.environment import memory_bytes, memory_kills
from structure_net.errors import UsageError
from structure_net.evolution import Evolution, World, largest_founders
from structure_net.executors import (
    Allowance,
    Machine,
    SerialExecutor,
    Slot,
    allowance,
    deal,
    run_bytes,
    slots_of,
    slots_that_fit,
)
from structure_net.executors.executor import refused
from structure_net.genome import Genome
from structure_net.schema import (
    Config,
    Trial,
    TrialFailed,
    TrialFinished,
    canonical,
    resolve,
)
from tests.executors.test_desk import trial
from tests.networks.reference import genome
from tests.training.cohorts import plan, trials

GB, MB = 10**9, 10**6
CIFAR10_BYTES = 60_000 * 3072
PROGRAM = 260 * MB


def fitting(config: Config, memory: int, engine: str = "native") -> tuple[list[Slot], Allowance]:
    machine = Machine(memory, PROGRAM, {})

    def allowed(slots: Sequence[Slot]) -> Allowance:
        return allowance(config, slots, machine, 256, CIFAR10_BYTES)

    founders = largest_founders(World.of(config, 3072, 10))
    slots = slots_that_fit(config, slots_of(config), allowed, founders, lambda _: engine)
    return slots, allowed(slots)


@pytest.mark.parametrize("engine", ["native", "csr", "dense"])
@pytest.mark.parametrize("cores", [2, 4, 16])
def test_a_default_run_on_cifar10_fits_8_gb(
    cores: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parent, dataset and workers, each with its largest cohort; with as many workers as fit."""
    monkeypatch.setattr("structure_net.executors.devices.usable_cores", lambda: cores)
    config = resolve(device="cpu", epochs_per_generation=20).config
    slots, allowed = fitting(config, 8 * GB, engine)
    assert min(cores, 5) <= len(slots) <= cores
    cohorts = deal(Evolution(config, 3072, 10).ask(), lambda _: engine, len(slots), allowed)
    assert sum(len(cohort.trials) for cohort in cohorts) == config.tournament_size
    assert all(cohort.micro_batch is None for cohort in cohorts)
    assert allowed.room is not None
    largest = allowed.room  # no cohort is larger
    assert run_bytes(Machine(0, PROGRAM, {}), len(slots), largest, CIFAR10_BYTES) <= 0.8 * 8 * GB


def test_workers_asked_for_that_do_not_fit_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="take --workers 3") as raised:
        fitting(resolve(device="cpu", workers=64).config, 5 * GB)
    assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match="smaller --batch-size"):
        fitting(resolve(device="cpu").config, GB // 2)


def test_processes_share_a_device() -> None:
    machine = Machine(64 * GB, PROGRAM, {"0": 16 * GB, "1": 8 * GB})
    config = resolve().config
    both = [Slot(f"{number}{process}", "cuda:0", number) for process in "ab" for number in "01"]
    one = allowance(config, both[:1], machine, 256, CIFAR10_BYTES)
    shared = allowance(config, [both[0], both[2]], machine, 256, CIFAR10_BYTES)
    mixed = allowance(config, both, machine, 256, CIFAR10_BYTES)
    own = 700 * MB + CIFAR10_BYTES
    assert one.room == int(0.8 * 16 * GB) - own
    assert shared.room == int(0.4 * 16 * GB) - own
    assert mixed.room == int(0.4 * 8 * GB) - own
    assert one.on_device
    assert one.setting("dense").stacked


def founders(count: int) -> list[Trial]:
    return Evolution(resolve(tournament_size=count).config, 3072, 10).ask()


def test_a_device_takes_its_part_of_the_generation_at_once() -> None:
    wide = Allowance(20 * GB, 256, on_device=True, checkpointing=False)
    assert [len(cohort.trials) for cohort in deal(founders(64), lambda _: "dense", 2, wide)] == [
        32,
        32,
    ]
    narrow = Allowance(GB, 256, on_device=True, checkpointing=False)
    split = deal(founders(64), lambda _: "dense", 1, narrow)
    assert len(split) > 1
    assert sum(len(cohort.trials) for cohort in split) == 64
    assert {cohort.micro_batch for cohort in split} == {None}


LARGE = genome(3072, [512], 10, 0.5)


def with_genome(number: int, own: Genome) -> Trial:
    return Trial(number=number, generation=0, genome=own, seed=number, epochs=1)


@pytest.mark.parametrize("size", [512, 64, 1])
def test_a_network_that_fits_only_in_parts_begins_with_a_smaller_micro_batch(size: int) -> None:
    own = genome(64, [4096] * 2, 10, 0.001)
    room = cohort_bytes([own], Setting("csr", 1024), size)
    given = Allowance(room, 1024, on_device=False, checkpointing=False)
    small = [trial(number) for number in range(4)]
    cohorts = deal([*small, with_genome(9, own)], lambda _: "csr", 1, given)
    sizes = {cohort.trials[0].number: cohort.micro_batch for cohort in cohorts}
    assert sizes.pop(9) == size
    assert set(sizes.values()) == {None}


def test_a_network_that_fits_nowhere_fails_alone_and_is_told_why() -> None:
    given = Allowance(30 * MB, 256, on_device=False, checkpointing=False)
    asked = [trial(0), with_genome(1, LARGE), trial(2)]
    cohorts = deal(asked, lambda _: "dense", 1, given)
    assert sorted(one.number for cohort in cohorts for one in cohort.trials) == [0, 2]
    (failed,) = refused(asked, cohorts, {1: 2}, lambda _: "dense", given)
    assert (failed.trial, failed.failure, failed.attempt) == (1, "out_of_memory", 3)
    assert "30 MB is what a worker may use" in failed.reason


def scarce_for(genome: Genome, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of that genome's network ever finds memory."""
    plain = LayerwiseEngine._gradient

    def gradient(self: LayerwiseEngine, learner: object, *rest: object) -> object:
        if learner.network.genome == genome:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, learner, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LayerwiseEngine, "_gradient", gradient)


def test_a_trial_without_room_for_one_sample_fails_and_its_neighbours_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = trials()
    alone = [
        event
        for event in SerialExecutor(plan(tmp_path), "cpu", lambda _: "csr").run(asked)
        if event is not None and event.trial != 1
    ]
    scarce_for(asked[1].genome, monkeypatch)
    executor = SerialExecutor(plan(tmp_path), "cpu", lambda _: "csr")
    events = [event for event in executor.run(asked) if event is not None]
    (failed,) = [event for event in events if isinstance(event, TrialFailed)]
    assert (failed.trial, failed.failure) == (1, "out_of_memory")
    assert "Tried to allocate 2.00 GiB" in failed.reason
    assert {one.trial for one in events if isinstance(one, TrialFinished)} == {0, 2}
    assert canonical(event for event in events if event.trial != 1) == canonical(alone)


# The machine


def tree(root: Path, files: dict[str, str]) -> Callable[[], int]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return lambda: memory_bytes(root)


def test_the_lowest_limit_of_the_groups_around_counts(tmp_path: Path) -> None:
    two = tree(
        tmp_path / "v2",
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/inner/memory.max": "max\n",
            "sys/fs/cgroup/outer/memory.max": "300000000\n",
            "sys/fs/cgroup/outer/inner/memory.events": "low 0\noom 3\noom_kill 2\n",
        },
    )
    assert two() == 300_000_000
    assert memory_kills(tmp_path / "v2") == 2
    one = tree(
        tmp_path / "v1",
        {
            "proc/self/cgroup": "4:memory:/job\n1:cpu:/\n0::/\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "200000000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/job/memory.oom_control": "under_oom 0\noom_kill 1\n",
        },
    )
    assert one() == 200_000_000
    assert memory_kills(tmp_path / "v1") == 1


def test_a_container_sees_its_limit_at_the_root_and_nothing_is_no_limit(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "100000000\n", "proc/self/cgroup": "0::/../elsewhere\n"}
    assert tree(tmp_path / "container", files)() == 100_000_000
    assert memory_bytes(tmp_path / "nothing") > 200_000_000
    assert memory_kills(tmp_path / "nothing") == 0
