"""`show` and `resume` on a stored run, and what they do not touch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from structure_net.cli import main
from structure_net.genome import allocate, dense_parameters, genome_of, shapes_of
from structure_net.schema import (
    ChampionEvaluated,
    DatasetFacts,
    Event,
    GenerationFinished,
    Performer,
    Resolved,
    Results,
    TournamentFinished,
    TournamentStarted,
    Trial,
    TrialFailed,
    TrialFinished,
    TrialResult,
    TrialStarted,
    deciding_values,
    resolve,
)
from structure_net.store import Store

GENOME = genome_of(64, [16], 10, allocate(shapes_of(64, [16], 10), 0.2), base_learning_rate=0.003)
TRIED = {"genome": GENOME, "seed": 0, "parents": ()}


def started(resolved: Resolved) -> TournamentStarted:
    return TournamentStarted(
        config=deciding_values(resolved.config),
        dataset=DatasetFacts(
            name="digits",
            train_hash="0" * 64,
            shape=(1, 8, 8),
            classes=tuple("0123456789"),
            verified="verified",
            train_samples=1290,
            validation_samples=147,
            augmentation="none",
        ),
        batch_size=32,
        engine="csr",
        without=("growth",),
        package_version="0",
        execution={},
        environment={},
    )


def trial_events(number: int) -> list[Event]:
    trial = Trial(number=number, generation=0, genome=GENOME, seed=number, epochs=2)
    place = {"generation": 0, "trial": number, "attempt": 1}
    begun = TrialStarted(
        **place,
        genome=GENOME,
        seed=number,
        parents=(),
        operators=(),
        architecture=GENOME.architecture,
        strategy="COSINE",
        active_parameters=230,
        batch_size=32,
        epochs=2,
        engine="csr",
        worker="0",
        device="cpu",
    )
    result = TrialResult(
        trial=trial,
        validation_accuracy=0.5 + number / 100,
        validation_loss=1.0,
        train_loss=1.0,
        active_parameters=230,
        dense_parameters=dense_parameters(GENOME),
        connections=204,
        batch_size=32,
        engine="csr",
        cost=10,
        network_sha256="a" * 64,
    )
    if number == 2:
        reason = "loss is not finite\x1b[31m"
        return [begun, TrialFailed(**place, **TRIED, failure="diverged", reason=reason)]
    return [begun, TrialFinished(**place, result=result, worker="0")]


def performer(number: int) -> Performer:
    return Performer(
        id=number,
        genome_id=GENOME.id,
        genome=GENOME,
        generation=0,
        architecture=GENOME.architecture,
        fitness=0.6123,
        validation_accuracy=0.51,
        validation_loss=1.0,
        active_parameters=230,
        dense_parameters=dense_parameters(GENOME),
        connections=204,
        strategy="COSINE",
        activation="relu",
        base_learning_rate=0.003,
        batch_size=32,
        parents=(),
        operators=(),
        lineage=(),
        cost=10,
        network_sha256="a" * 64,
    )


def generation_finished() -> GenerationFinished:
    return GenerationFinished(
        generation=0,
        population_size=3,
        survivors=(1,),
        best_fitness=0.6123,
        avg_fitness=0.5,
        finished=2,
        failed=1,
        lost=False,
        cost=20,
        top_performers=(performer(1),),
        duration=1.5,
        busy_seconds=1.0,
        capacity=1,
    )


def stored_run(directory: Path, *, finished: bool) -> Path:
    """One generation of three trials, the last one failed."""
    directory.mkdir(parents=True)
    resolved = resolve(preset="quick", generations=1)
    store = Store(directory)
    store.describe(config=resolved.model_dump(mode="json"))
    events: list[Event] = [started(resolved)]
    for number in range(3):
        events += trial_events(number)
    events.append(generation_finished())
    if finished:
        champion = ChampionEvaluated(
            trial=1,
            test_accuracy=0.49,
            test_samples=360,
            test_hash="b" * 64,
            validation_accuracy=0.51,
        )
        end = TournamentFinished(
            champion=1,
            trials=3,
            failed=1,
            cost=20,
            criteria=(),
            seconds=2.0,
            experiments_per_second=1.0,
        )
        events += [champion, end]
    for event in events:
        store.append(event)
    store.close()
    return directory


def test_show_tells_the_state_and_leaves_the_run_alone(tmp_path, capsys):
    run = stored_run(tmp_path / "run", finished=True)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for given in (run, run / "run.db"):
        assert main(["show", str(given)]) == 0
        printed = capsys.readouterr()
        for words in (
            "finished in 2.0 s",
            "generation 1/1",
            "2 networks trained",
            "0.6123",
            "64-16-10",
            "trial 2 failed, diverged: loss is not finite",
            "test accuracy 0.4900",
            "run.db",
        ):
            assert words in printed.out
        assert "\x1b" not in printed.out
        assert printed.err == ""
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_show_of_an_unfinished_run_says_how_to_go_on(tmp_path, capsys):
    run = stored_run(tmp_path / "run", finished=False)
    assert main(["show", str(run)]) == 0
    assert "structure-net resume" in capsys.readouterr().out
    from structure_net.store import acquire

    lock = acquire(run)
    try:
        assert main(["show", str(run)]) == 0
    finally:
        lock.release()
    assert "running" in capsys.readouterr().out.splitlines()[0]


def test_show_config_has_every_value_with_its_origin(tmp_path, capsys):
    run = stored_run(tmp_path / "run", finished=True)
    assert main(["show", str(run), "--config", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows["generations"] == {"value": 1, "origin": "argument"}
    assert rows["dataset"] == {"value": "digits", "origin": "preset:quick"}
    assert main(["show", str(run), "--config"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(rows)


@pytest.mark.parametrize("finished", [False, True])
def test_show_json_is_the_results_file(finished, tmp_path, capsys):
    run = stored_run(tmp_path / "run", finished=finished)
    assert main(["show", str(run), "--json"]) == 0
    results = Results.model_validate_json(capsys.readouterr().out)
    assert results.state == ("finished" if finished else "running")
    assert [row.best_fitness for row in results.generations] == [0.6123]


def test_resume_hands_on_the_changes_with_their_origins(tmp_path, fake, monkeypatch):
    run = stored_run(tmp_path / "run", finished=False)
    monkeypatch.setenv("STRUCTURE_NET_EXECUTOR", "serial")
    monkeypatch.setenv("STRUCTURE_NET_EPOCHS", "99")  # the run has its own
    assert main(["resume", str(run), "--workers", "2", "--generations", "4", "--quiet"]) == 0
    ((directory, changes),) = fake.resumed
    assert directory == run
    assert changes.values == {"workers": 2, "generations": 4, "executor": "serial"}
    assert changes.origins["workers"] == "command line"
    assert changes.origins["executor"] == "environment STRUCTURE_NET_EXECUTOR"


@pytest.mark.parametrize("option", ["--seed", "--epochs", "--device", "--engine", "--out"])
def test_resume_takes_no_option_that_changes_results(option, tmp_path, fake, capsys):
    run = stored_run(tmp_path / "run", finished=False)
    assert main(["resume", str(run), option, "3"]) == 2
    assert option in capsys.readouterr().err
    assert fake.resumed == []


def test_resume_refuses_what_is_not_built_before_it_touches_the_run(tmp_path, fake, capsys):
    run = stored_run(tmp_path / "run", finished=False)
    assert main(["resume", str(run), "--executor", "ray"]) == 2
    assert "not built yet" in capsys.readouterr().err
    assert fake.resumed == []


def test_resume_of_a_finished_run_is_done(tmp_path, fake, capsys):
    run = stored_run(tmp_path / "run", finished=True)
    assert main(["resume", str(run)]) == 0
    assert "is finished" in capsys.readouterr().err
    assert fake.resumed == []
    assert main(["resume", str(run), "--generations", "2", "--quiet"]) == 0
    assert len(fake.resumed) == 1
