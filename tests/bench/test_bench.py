"""The benchmark times equal work, and publishes what it measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.testing import assert_close

from structure_net.bench import (
    PEERS,
    PHASES,
    WORKLOAD,
    Breakdown,
    Contest,
    Crew,
    Machine,
    MaskedNetwork,
    ReferenceTrainer,
    Scale,
    Stack,
    Timing,
    Workload,
    generation,
    measure,
    parent_peak_bytes,
    report,
    single,
    stack,
)
from structure_net.bench.data import Parts, tensors_of
from structure_net.bench.end_to_end import hold, train_alike
from structure_net.bench.machine import machine
from structure_net.cli import main
from structure_net.errors import RunFailedError
from structure_net.genome import overall_density
from tests.networks.residual import awake, with_blocks

ALL = ["native", "csr", "dense"]
CONTEST = Contest(competitors=2, generations=2, epochs=2, images=400, reference_epochs=1)
TINY = Scale(2, 2, 2, 9, 1, CONTEST, 1)


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """Two processes for all tests here: they take seconds to start."""
    crew = Crew(2)
    yield crew
    crew.close()


def test_both_sides_do_the_same_work(crew: Crew) -> None:
    """After the same steps from the same weights both stand at the same loss; dense products may
    be 16-bit ones."""
    genomes = generation(3, 3).genomes
    workload = Workload("small", genomes, steps=3, batch_size=64, validation=100)
    training, validation = Parts.draw().tensors(workload)
    assert (len(training), len(validation[0][1])) == (3, 100)
    trainer = ReferenceTrainer(workload, strong=False, threads=1)
    _, reference = trainer.train(training, validation)
    for engines in (ALL, ["csr", "dense"], ["dense"]):
        seconds, losses = crew.train(workload, engines)
        assert losses == pytest.approx(reference, rel=2e-4 if engines is ALL else 5e-3)
        assert seconds > 0


@pytest.mark.slow
def test_a_process_that_dies_ends_the_benchmark() -> None:
    doomed = Crew(2)
    try:
        doomed._members[0][1].kill()
        with pytest.raises(RunFailedError, match="ended while it trained"):
            doomed.train(generation(2, 1), ALL)
    finally:
        doomed.close()


@pytest.mark.parametrize("normalisation", ["none", "rms"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("blocks", [False, True])
def test_the_reference_computes_what_our_network_does(
    normalisation: str, activation: str, blocks: bool
) -> None:
    genome = (
        generation(1, 1)
        .genomes[0]
        .model_copy(update={"normalisation": normalisation, "activation": activation})
    )
    if blocks:
        genome = with_blocks(genome, [(0, "two_layer"), (1, "three_layer")])
    network = awake(genome, 0)
    ((inputs, _),) = tensors_of(Parts.draw().validation(16))
    assert_close(MaskedNetwork(network)(inputs), network(inputs), rtol=1e-4, atol=1e-5)


def test_the_generation_is_mixed_and_fixed() -> None:
    first = generation(64, 8)
    assert first == generation(64, 8)
    assert len({genome.id for genome in first.genomes}) == 64
    densities = [overall_density(genome) for genome in first.genomes]
    assert min(densities) < 0.02 < 0.08 < max(densities)
    assert first.genomes[0].architecture == (3072, 512, 256, 128, 10)


def test_single_shapes_have_the_density_they_are_named_for() -> None:
    workload = single("A", 0.05, 2, 36)
    assert workload.name == "A@0.05"
    assert overall_density(workload.genomes[0]) == pytest.approx(0.05, abs=1e-5)
    assert workload.validation * 9 == workload.steps * workload.batch_size


def test_ratios_are_medians_over_the_rounds() -> None:
    told = list(measure(TINY, 1, ALL, only=("generation", "A@0.05")))
    timings = [one for one in told if isinstance(one, Timing)]
    (phases,) = [one for one in told if isinstance(one, Breakdown)]
    assert "A@0.05: round 2 of 2" in told
    result = json.loads(json.dumps(report([*timings, phases], TINY, 1, ALL, CEILINGS)))
    assert result["workload"] == WORKLOAD
    assert set(result["ratios"]["single"]) == {"A@0.05"}
    for timing in timings:
        rounds = result["workloads"][timing.workload.name]["rounds"]
        assert {len(values) for values in rounds.values()} == {2}
        pairs = [theirs / own for theirs, own in zip(rounds["plain"], rounds["ours"], strict=True)]
        assert timing.ratio("plain") == pytest.approx(sum(pairs) / 2)
        assert timing.difference < 1e-3
    assert result["ratios"]["generation"]["plain"] == timings[0].ratio("plain")
    assert "torch-prune" in timings[1].seconds
    assert set(result["phases"]["A@0.05"]) == {"ours", "plain", "strong"}
    for side in result["phases"]["A@0.05"].values():
        assert tuple(side) == PHASES
        assert min(side.values()) >= 0 < side["forward"]


CEILINGS = Machine(100.0, 200.0, 10.0, 64.0, 2)


def test_the_floor_is_the_reading_of_every_connections_row_twice() -> None:
    """1000 connections x 256 samples x 2 bytes x 2 passes over 2 cores of 64 GB/s."""
    workload = single("A", 0.05, 3, 9)
    connections = sum(workload.genomes[0].counts)
    assert CEILINGS.floor(workload) == pytest.approx(connections * 256 * 2 * 2 / 128e9)


def test_the_machines_rates_are_positive() -> None:
    assert min(machine(1).as_json().values()) > 0


def test_a_tournament_and_the_same_trials_by_a_reference() -> None:
    """Same weights, batches and rates: the same accuracy on the validation part, but for a
    sample near the border."""
    held = hold(CONTEST, 1, ALL, learning_rate_strategies=("COSINE",))
    assert [result.trial.generation for result in held.results] == [0, 0, 1]
    assert 0 < held.start_seconds < held.seconds
    workload = held.workload
    assert (workload.steps, workload.validation) == (2 * held.room.batches.steps, 40)
    seconds, accuracies = train_alike(held, CONTEST.reference_epochs, strong=False, threads=1)
    assert seconds > 0
    own = [first for first, _ in held.accuracies]
    assert accuracies == pytest.approx(own, abs=1.5 / 40)


@pytest.mark.slow
def test_a_tournament_without_the_native_engine() -> None:
    held = hold(Contest(2, 1, 1, 200, 1), 1, ["csr", "dense"])
    assert {result.engine for result in held.results} <= {"csr", "dense"}


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.installed], ids=lambda p: p.name)
def test_a_peer_learns(peer) -> None:
    workload = single("A", 0.05, 1, 4)
    training, _ = Parts.draw().tensors(workload)
    apprentice = peer.apprentice(workload.genomes[0], 0)
    losses = [apprentice.step(*training[0]) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_experiments_a_second_follow_from_the_step() -> None:
    done = stack(Stack("cpu", networks=2, batch_size=64, steps=2))
    told = done.as_json()
    steps = 20 * 50_000 / 64
    assert told["experiments_per_second"] == pytest.approx(2 / (steps * done.seconds_per_step))
    assert told["extrapolated_from_steps"] == 2


@pytest.mark.slow
def test_the_parents_memory_is_measured() -> None:
    assert parent_peak_bytes(2, 1) > 10_000_000


def test_an_unknown_engine_or_device_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--engines", "natve"]) == 2
    assert "'natve'" in capsys.readouterr().err
    assert main(["bench", "--device", "tpu"]) == 2
    assert "'tpu'" in capsys.readouterr().err


def test_one_thing_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--scaling", "--calibrate"]) == 2
    assert "one at a time" in capsys.readouterr().err


def result_file(folder: Path, name: str, **changes: object) -> Path:
    """A published result with two ratios."""
    figures = {"ratio": {"plain": 10.0, "strong": 4.0}}
    result = {
        "workload": WORKLOAD,
        "workloads": {"generation": figures, "A@0.05": figures},
        "environment": {"processor": "X"},
        "cores": 2,
        **changes,
    }
    path = folder / name
    path.write_text(json.dumps(result))
    return path


def test_two_results_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = result_file(tmp_path, "a.json")
    faster = {"generation": {"ratio": {"plain": 15.0, "strong": 3.0}}}
    second = result_file(tmp_path, "b.json", workloads=faster, environment={"processor": "Y"})
    assert main(["bench", "--compare", str(first), str(second)]) == 0
    shown = capsys.readouterr()
    assert "processor was X and is Y" in shown.err
    rows = [line.split() for line in shown.out.splitlines()[1:]]
    assert rows == [
        ["generation", "plain", "10.0x", "15.0x", "+50.0%"],
        ["generation", "strong", "4.0x", "3.0x", "-25.0%"],
    ]
    assert main(["bench", "--compare", str(first), str(first), "--json"]) == 0
    assert [row["percent"] for row in json.loads(capsys.readouterr().out)["changes"]] == [0.0] * 4


def test_results_of_different_work_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = result_file(tmp_path, "a.json")
    other = result_file(tmp_path, "b.json", workload="1")
    assert main(["bench", "--compare", str(first), str(other)]) == 2
    assert "different work" in capsys.readouterr().err
    (tmp_path / "c.json").write_text("[1]")
    assert main(["bench", "--compare", str(first), str(tmp_path / "c.json")]) == 2
    assert main(["bench", "--compare", str(first), str(tmp_path / "none.json")]) == 2
