"""Children that go on from weights: one result for one seed, and nothing seen of the test part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from structure_net.cli import main
from structure_net.datasets import load, open_test
from structure_net.store import open_history

from .runs import dump, networks, results, run
from .test_reproducible import finished_trials, kill_at
from .test_sealed_test import CHANGED, archive

WEIGHTS = ("--inherit", "weights", "--epochs", "10")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed witness: 6 + 5 + 5 trials of 10 epochs."""
    directory = tmp_path_factory.mktemp("run") / "serial"
    return run(directory, *WEIGHTS, "--executor", "serial")


def test_two_workers_give_the_serial_result(serial: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "run", *WEIGHTS, "--workers", "2")
    assert dump(other) == dump(serial)
    assert networks(other) == networks(serial)


def test_kill_then_resume_gives_the_undisturbed_result(tmp_path: Path, serial: Path) -> None:
    directory = tmp_path / "run"
    kill_at(directory, 8, *WEIGHTS, "--workers", "2")
    assert 8 <= finished_trials(directory) < 16, "the kill was to come in mid-run"
    assert main(["resume", str(directory), "--workers", "1", "--quiet"]) == 0
    assert dump(directory) == dump(serial)
    assert networks(directory) == networks(serial)


def test_children_inherit_and_states_lie_beside_the_networks_kept(serial: Path) -> None:
    history = open_history(serial)
    later = [result for result in history.results.values() if result.trial.generation > 0]
    assert len(later) == 10
    assert all(result.trial.inherits is not None for result in later)
    assert any(result.trial.operators == ("continue",) for result in later)
    kept = {name for name in networks(serial) if name.endswith(".state")}
    described = {name for name in networks(serial) if name.endswith(".json")}
    assert {name.split(".")[0] for name in kept} == {name.split(".")[0] for name in described}
    number = results(serial)["final_best"]["id"]
    assert f"{number}.state" in kept


def test_the_cost_of_a_continuation_counts(serial: Path) -> None:
    """Every training of the run is in the ledger, those that went on from weights too."""
    costs = [result.cost for result in open_history(serial).results.values()]
    assert min(costs) > 0
    assert results(serial)["ledger"]["total"] == sum(costs)


def test_a_parent_that_is_gone_stops_the_run_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    kill_at(directory, 7, *WEIGHTS, "--workers", "1")
    before = finished_trials(directory)
    for path in (directory / "networks").glob("*.state"):
        path.unlink()
    assert main(["resume", str(directory), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "go on from the weights of trial" in told
    assert "Traceback" not in told
    assert finished_trials(directory) == before


def test_noise_in_place_of_test_labels_leaves_the_search_as_it_was(tmp_path: Path) -> None:
    source = archive(tmp_path / "data.npz")
    honest = run(tmp_path / "honest", *WEIGHTS, "--executor", "serial", "--dataset", str(source))
    labels = np.asarray(open_test(load(str(source))).labels)
    archive(source, np.random.default_rng(0).permutation(labels))
    noisy = run(tmp_path / "noisy", *WEIGHTS, "--executor", "serial", "--dataset", str(source))
    differing = [
        (json.loads(one), json.loads(other))
        for one, other in zip(dump(honest), dump(noisy), strict=True)
        if one != other
    ]
    assert [one[0] for one, _ in differing] == ["ChampionEvaluated"]
    ((_, before), (_, after)) = differing[0]
    assert {name for name in before if before[name] != after[name]} == CHANGED
