"""Every usage line of the user's own document: resolved as written, and run to the end in small."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from structure_net.schema import results_schema

from .runs import results

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    "python run_stress_test.py",
    "python run_stress_test.py --quick",
    "python run_stress_test.py --full",
    "python run_stress_test.py --tournament-size 128 --generations 15 --epochs 25 --no-profiling",
    "python run_stress_test.py --quick --tournament-size 8 --generations 2 --epochs 5 "
    "--no-metrics --no-profiling",
    "python experiments/ultimate_stress_test.py",
    "python run_stress_test.py --tournament-size 16 --quick",
    "python run_stress_test.py --no-metrics --no-profiling --no-growth",
]
CAPS = "--limit-train 300 --tournament-size 4 --generations 2 --epochs 1 --executor serial"


@pytest.fixture(scope="module")
def data_options() -> list[str]:
    """Real images where they lie beside the repository, else the embedded digits."""
    folder = ROOT.parent / "shared" / "data" / "cifar10"
    return ["--data-dir", str(folder)] if folder.is_dir() else ["--dataset", "digits"]


@pytest.mark.parametrize("line", LINES)
def test_usage_line_runs_to_the_end(line: str, tmp_path: Path, data_options: list[str]) -> None:
    words = shlex.split(line)[1:]
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / words[0]), *words[1:], *shlex.split(CAPS)]
    finished = subprocess.run(
        [*command, *data_options, "--out", str(run)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "GENERATION 2/2" in finished.stderr
    assert "Traceback" not in finished.stderr
    content = results(run)
    assert content["state"] == "finished"
    again = content["config"]["retrain"]
    assert content["system_stats"]["total_experiments"] == 4 + 3 + again
    assert content["config"]["limit_train"] == 300


def test_results_file_has_the_seeds_structure_and_fits_the_published_schema(
    tmp_path: Path,
) -> None:
    from jsonschema import Draft202012Validator

    from .runs import run

    content = results(run(tmp_path / "run", "--executor", "serial"))
    Draft202012Validator(results_schema()).validate(content)
    assert {"config", "generations", "final_best", "system_stats"} <= set(content)
    generation = content["generations"][0]
    assert generation["population_size"] == 6
    assert generation["survivors"] == 1
    assert len(generation["top_performers"]) == 5
    assert generation["best_fitness"] == generation["top_performers"][0]["fitness"]
    for name in ("duration", "avg_fitness", "generation"):
        assert name in generation
    for name in ("total_experiments", "experiments_per_second", "gpu_utilization", "memory_usage"):
        assert name in content["system_stats"]
    best = max(entry["best_fitness"] for entry in content["generations"])
    assert content["final_best"]["fitness"] == best
    assert content["final_best"]["test_accuracy"] is not None
    assert len(content["success_criteria"]) == 6
    assert content["origins"]["tournament_size"] == "command line"


def test_json_mode_writes_the_stored_events_and_nothing_else(tmp_path: Path) -> None:
    from structure_net.schema import event_line
    from structure_net.store import read_events

    from .runs import SMALL

    command = [sys.executable, "-m", "structure_net", "tournament"]
    options = [word for word in SMALL if word != "--quiet"]
    finished = subprocess.run(
        [*command, *options, "--json", "--out", str(tmp_path / "run"), "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    lines = finished.stdout.splitlines()
    assert lines == [event_line(event) for _, event in read_events(tmp_path / "run")]
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[0] == "TournamentStarted"
    assert kinds[-1] == "TournamentFinished"
    assert kinds.count("EpochFinished") == 16 * 2
