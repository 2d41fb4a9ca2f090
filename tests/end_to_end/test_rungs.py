"""Rungs and retraining in whole runs: one result for any workers, after kills; a sealed test."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from structure_net.cli import main
from structure_net.datasets import load, open_test
from structure_net.errors import UsageError
from structure_net.schema import Given, resolve
from structure_net.tournament import resume, start

from .runs import begin, dump, networks, results, run
from .test_sealed_test import archive

OPTIONS = ("--rungs", "2", "--retrain", "2", "--epochs", "8", "--generations", "2")
LONG = ("--rungs", "2", "--retrain", "2", "--epochs", "16", "--generations", "2")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run") / "serial", "--executor", "serial", *OPTIONS)


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run") / "long", "--executor", "serial", *LONG)


def kinds(directory: Path, trial_generation: int | None = None) -> list[str]:
    rows = [json.loads(line) for line in dump(directory)]
    return [
        kind
        for kind, body in rows
        if trial_generation is None or body.get("generation") == trial_generation
    ]


def test_each_rung_stops_the_weaker_half(serial: Path) -> None:
    """6 founders: 3 stop after 2 epochs, 1 of 3 after 4; then 5 children: 2 and 1."""
    rows = [json.loads(line) for line in dump(serial)]
    stopped = [
        (body["generation"], body["result"]["stopped_after"])
        for kind, body in rows
        if kind == "TrialStopped"
    ]
    assert stopped == sorted(stopped, key=lambda one: one[0])
    assert sorted(stopped) == [(0, 2), (0, 2), (0, 2), (0, 4), (1, 2), (1, 2), (1, 4)]
    epochs = {}
    for kind, body in rows:
        if kind == "EpochFinished":
            epochs.setdefault(body["trial"], []).append(body["epoch"])
    ends = {
        body["trial"]: body["result"]["stopped_after"] or body["result"]["trial"]["epochs"]
        for kind, body in rows
        if kind in ("TrialStopped", "TrialFinished")
    }
    assert epochs == {trial: list(range(end)) for trial, end in ends.items()}


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_serial_result(
    serial: Path, workers: int, tmp_path: Path
) -> None:
    other = run(tmp_path / "run", "--workers", str(workers), *OPTIONS)
    assert dump(other) == dump(serial)
    assert networks(other) == networks(serial)


def test_the_results_file_tells_retrainings_ledger_and_operators(serial: Path) -> None:
    content = results(serial)
    rows = [json.loads(line) for line in dump(serial)]
    best = content["final_best"]
    retrained = [
        body["result"]
        for kind, body in rows
        if kind == "TrialFinished" and body["result"]["trial"]["operators"] == ["retrain"]
    ]
    final = {**best["genome"], "growth_rule": "none"}
    assert [one["trial"]["genome"] for one in retrained] == [final] * 2
    lineage = 8 * (1 + len(best["lineage"]))  # as many epochs as the champion and its forebears
    assert [one["trial"]["epochs"] for one in retrained] == [lineage, lineage]
    told = best["retraining"]
    assert [one["seed"] for one in told] == [one["trial"]["seed"] for one in retrained]
    assert len({best["network_sha256"], *(one["network_sha256"] for one in retrained)}) == 3
    assert [one["validation_accuracy"] for one in told] == [
        one["validation_accuracy"] for one in retrained
    ]
    costs = {
        body["trial"]: body["result"]["cost"]
        for kind, body in rows
        if kind in ("TrialFinished", "TrialStopped")
    }
    assert content["ledger"]["total"] == sum(costs.values())
    assert content["ledger"]["retraining"] == sum(one["cost"] for one in retrained)
    assert best["lineage_cost"] == sum(costs[one] for one in [best["id"], *best["lineage"]])
    for count in content["operators"]:
        assert count["proposed"] == count["refused"] + count["evaluated"] + count["failed"]
    evaluated = {one["name"]: one["evaluated"] for one in content["operators"]}
    assert evaluated["crossover"] + evaluated["continue"] == 5  # one survivor is trained on
    assert [row["stopped"] for row in content["generations"]] == [4, 3]


def test_show_tells_the_mean_of_the_retrainings(
    serial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(serial)]) == 0
    best = results(serial)["final_best"]
    mean = np.mean([one["test_accuracy"] for one in best["retraining"]])
    shown = capsys.readouterr().out
    assert f"retrained: mean test accuracy {mean:.3f} over 2 fresh seeds" in shown
    assert f"the champion's is {abs(best['test_accuracy'] - mean):.3f}" in shown


def counted(directory: Path, kind: str) -> int:
    """Acknowledged events of a kind so far."""
    if not (directory / "run.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{directory}/run.db?mode=ro", uri=True)) as connection:
        try:
            query = "SELECT count(*) FROM events WHERE kind = ?"
            return int(connection.execute(query, (kind,)).fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not there yet
            return 0


# 6 founders pause at the first rung, 3 at the second: 8 pauses are in the middle of that segment.
@pytest.mark.parametrize(("kind", "count"), [("TrialPaused", 8), ("RetrainingStarted", 1)])
def test_kill_then_resume_gives_the_undisturbed_result(
    kind: str, count: int, tmp_path: Path, long_run: Path
) -> None:
    directory = tmp_path / "run"
    process = begin(directory, "--workers", "2", *LONG)
    try:
        deadline = time.monotonic() + 60
        while counted(directory, kind) < count:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert counted(directory, "TournamentFinished") == 0
    assert main(["resume", str(directory), "--workers", "1", "--quiet"]) == 0
    assert dump(directory) == dump(long_run)
    assert networks(directory) == networks(long_run)


def test_noise_in_place_of_test_labels_changes_only_what_is_reported_of_the_test(
    tmp_path: Path,
) -> None:
    source = archive(tmp_path / "data.npz")
    options = ("--dataset", str(source), "--executor", "serial", *OPTIONS)
    honest = run(tmp_path / "honest", *options)
    labels = np.asarray(open_test(load(str(source))).labels)
    archive(source, np.random.default_rng(0).permutation(labels))
    noisy = run(tmp_path / "noisy", *options)
    differing = [
        (json.loads(one), json.loads(other))
        for one, other in zip(dump(honest), dump(noisy), strict=True)
        if one != other
    ]
    assert [one[0] for one, _ in differing] == ["ChampionEvaluated"]
    ((_, before), (_, after)) = differing[0]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"test_accuracy", "test_hash", "retraining"}
    for one, other in zip(before["retraining"], after["retraining"], strict=True):
        assert {name for name in one if one[name] != other[name]} == {"test_accuracy"}


def test_once_the_champion_is_trained_again_there_are_no_more_generations(
    serial: Path, tmp_path: Path
) -> None:
    values = {"limit_train": 300, "tournament_size": 6, "generations": 2, "retrain": 2}
    resolved = resolve(
        preset="quick",
        epochs_per_generation=8,
        rungs=2,
        executor="serial",
        out=tmp_path / "run",
        **values,
    )
    tournament = start(resolved)
    events = tournament.run()
    assert any(event.kind == "RetrainingStarted" for event in events)
    events.close()
    with pytest.raises(UsageError, match="being trained again"):
        resume(tmp_path / "run", Given({"generations": 3}))
    list(resume(tmp_path / "run").run())
    assert dump(tmp_path / "run") == dump(serial)
