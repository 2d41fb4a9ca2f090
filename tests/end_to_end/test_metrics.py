"""Metrics of whole runs: the same for every executor, in every file, no trace in the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from structure_net.cli import main
from structure_net.metrics import METRICS
from structure_net.schema import MetricsMeasured, TrialFailed
from structure_net.store import open_history, read_events

from .runs import dump, networks, results, run

BROKEN = """
from structure_net.metrics import Measurement, metric

@metric("odd", unit="share", low=0, high=1, better=None, level="light")
def odd(probe):
    \"\"\"Breaks on networks with more than two hidden layers.\"\"\"
    return Measurement(1.0 / (len(probe.layers) <= 3))
"""


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run") / "serial", "--executor", "serial", "--rungs", "1")


def telling(directory: Path) -> list[dict[str, Any]]:
    """The canonical dump but for the metrics and the settings that ask for them."""
    rows = []
    for line in dump(directory):
        kind, body = json.loads(line)
        if kind == "TournamentStarted":
            for name in ("enable_comprehensive_metrics", "metrics_frequency", "metrics_level"):
                del body["config"][name]
        if kind != "MetricsMeasured":
            rows.append({"kind": kind, **body})
    return rows


def measured(directory: Path) -> list[MetricsMeasured]:
    events = (event for _, event in read_events(directory))
    return [event for event in events if isinstance(event, MetricsMeasured)]


def test_a_run_with_metrics_is_one_without(serial: Path, tmp_path: Path) -> None:
    bare = run(tmp_path / "run", "--executor", "serial", "--rungs", "1", "--no-metrics")
    assert measured(bare) == []
    assert measured(serial)
    assert telling(bare) == telling(serial)
    assert networks(bare) == networks(serial)
    assert results(bare)["system_stats"]["metrics_shares"] is None


def test_workers_measure_what_one_process_measures(serial: Path, tmp_path: Path) -> None:
    assert dump(run(tmp_path / "run", "--workers", "2", "--rungs", "1")) == dump(serial)


def test_every_finished_trial_has_all_metrics(serial: Path) -> None:
    history = open_history(serial)
    whole = {number for number, one in history.results.items() if one.stopped_after is None}
    full = {event.trial for event in measured(serial) if event.level == "full"}
    assert full == whole
    for event in measured(serial):
        if event.level == "full":
            assert event.values.keys() == set(METRICS)


def test_the_results_file_has_the_champions(serial: Path) -> None:
    content = results(serial)
    best = content["final_best"]
    (last,) = [
        event for event in measured(serial) if event.trial == best["id"] and event.level == "full"
    ]
    assert best["metrics"] == json.loads(last.model_dump_json())["values"]
    shares = content["system_stats"]["metrics_shares"]
    assert 0 < shares["full"] < 1
    assert "undetermined" in json.dumps(best["metrics"]["saturated_fraction"]["total"])


def test_show_has_a_table_of_one_trial(serial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = results(serial)["final_best"]["id"]
    assert main(["show", str(serial), "--trial", str(number)]) == 0
    shown = capsys.readouterr().out
    assert f"trial {number} of generation" in shown
    assert "metrics after epoch 2 of 2 (full)" in shown
    for name in METRICS:
        assert name in shown
    assert "undetermined: only units with tanh saturate" in shown
    assert main(["show", str(serial), "--trial", "999"]) == 2
    assert "has no trial 999" in capsys.readouterr().err


def test_the_end_of_a_run_says_what_observing_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--quick", "--limit-train", "200", "--tournament-size", "3", "--epochs", "3"]
    arguments += ["--generations", "1", "--executor", "serial", "--metrics-frequency", "1"]
    assert main(["tournament", *arguments, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().err
    assert "Metrics took of the workers' wall time: light " in told
    assert "%, full " in told
    assert main(["tournament", *arguments, "--no-metrics", "--out", str(tmp_path / "bare")]) == 0
    assert "Metrics took" not in capsys.readouterr().err


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_metric_that_raises_fails_its_trials_alone(
    executor: str, tmp_path: Path, registries: None
) -> None:
    plugin = tmp_path / "odd.py"
    plugin.write_text(BROKEN)
    options = ["--quick", "--quiet", "--limit-train", "300", "--tournament-size", "8"]
    options += ["--generations", "1", "--epochs", "2", "--max-failed-fraction", "1"]
    options += ["--plugin", str(plugin), "--executor", executor, "--out", str(tmp_path / "run")]
    assert main(["tournament", *options]) == 0
    events = [event for _, event in read_events(tmp_path / "run")]
    failed = [event for event in events if isinstance(event, TrialFailed)]
    history = open_history(tmp_path / "run")
    assert failed
    assert all(len(event.genome.hidden) > 2 for event in failed)
    assert all(len(one.genome.hidden) <= 2 for one in history.results.values())
    for event in failed:
        assert event.failure == "error"
        assert "ZeroDivisionError" in event.reason
        assert "by the metric 'odd'" in event.reason
        assert 'odd.py", line' in event.details
        assert "by the metric 'odd'" in event.details
    shown = {event.trial: event.values["odd"].total for event in measured(tmp_path / "run")}
    assert set(shown.values()) == {1.0}
