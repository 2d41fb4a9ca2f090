"""Runs with a plug-in: its members at work, in worker processes, and after an interruption."""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path

import pytest

from structure_net import resolve, resume, start
from structure_net.cli import main
from structure_net.errors import DataError
from structure_net.plugins import MODULE
from structure_net.schema import EpochFinished, TrialFinished
from structure_net.store import open_history, read_events
from structure_net.tournament.extensions import FAMILIES

from .runs import SMALL, dump, networks, results, run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin.py"
OWN = [
    *("--fitness", "cheap", "--selection", "elite-and-luck", "--mutation-rate", "1"),
    *("--learning-rate-strategies", "STEPS,COSINE", "--tournament-size", "10", "--survivors", "4"),
]


def forget_plugins() -> None:
    """As in a process that has loaded none."""
    for family in FAMILIES:
        for name in ("cheap", "elite-and-luck", "thin_out", "STEPS", "confidence"):
            if name in family:
                family.forget(name)
    for name in [name for name in sys.modules if name.startswith(MODULE)]:
        del sys.modules[name]


@pytest.fixture
def plugin(tmp_path: Path, registries: None) -> Path:
    """A copy of the example that a test may change or delete."""
    path = tmp_path / "mine.py"
    path.write_bytes(EXAMPLE.read_bytes())
    return path


def test_every_member_of_the_example_takes_part(plugin: Path, tmp_path: Path) -> None:
    directory = run(tmp_path / "run", "--workers", "2", "--plugin", str(plugin), *OWN)
    history = open_history(directory)
    assert len(history.failures) == 0
    operators = {name for one in history.results.values() for name in one.trial.operators}
    assert "thin_out" in operators
    stepped = [one.number for one in history.results.values() if one.genome.strategy == "STEPS"]
    assert stepped
    rates: dict[int, list[float]] = {number: [] for number in stepped}
    for _, event in read_events(directory):
        if isinstance(event, EpochFinished) and event.trial in rates:
            rates[event.trial].append(event.learning_rate)
    for number, (first, last) in rates.items():  # two epochs end in the second and third third
        base = history.results[number].genome.base_learning_rate
        assert first / base == pytest.approx(0.5)
        assert last / base == pytest.approx(0.25)
    for best in results(directory)["generations"][-1]["top_performers"]:
        digits = math.log10(best["active_parameters"])
        assert best["fitness"] == pytest.approx(best["validation_accuracy"] - 0.02 * digits)
    confident = results(directory)["final_best"]["metrics"]["confidence"]["total"]
    assert 0.1 < confident < 1


def test_the_run_keeps_what_it_ran(plugin: Path, tmp_path: Path) -> None:
    directory = run(tmp_path / "run", "--executor", "serial", "--plugin", str(plugin), *OWN)
    sha256 = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert (directory / "plugins" / "mine.py").read_bytes() == EXAMPLE.read_bytes()
    assert results(directory)["plugins"] == [{"name": "mine.py", "sha256": sha256}]
    started = open_history(directory).started
    assert started is not None
    assert [file.sha256 for file in started.plugins] == [sha256]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = plugin.rename(elsewhere / "mine.py")
    again = run(tmp_path / "again", "--workers", "2", "--plugin", str(moved), *OWN)
    assert dump(again) == dump(directory)  # the content decides, not where the file lay


def begun(directory: Path, plugin: Path, trials: int) -> None:
    """A run that ends after so many trials."""
    resolved = resolve(
        preset="quick",
        limit_train=300,
        generations=3,
        epochs_per_generation=2,
        executor="serial",
        plugin=(str(plugin),),
        fitness="cheap",
        selection="elite-and-luck",
        mutation_rate=1.0,
        learning_rate_strategies=("STEPS", "COSINE"),
        tournament_size=10,
        survivors_per_generation=4,
        out=directory,
    )
    events = start(resolved).run()
    finished = 0
    while finished < trials:
        finished += isinstance(next(events), TrialFinished)
    events.close()


def test_resume_runs_the_copy_whatever_became_of_the_file(plugin: Path, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "--executor", "serial", "--plugin", str(plugin), *OWN)
    begun(tmp_path / "run", plugin, 13)
    forget_plugins()
    plugin.unlink()
    assert main(["resume", str(tmp_path / "run"), "--workers", "2", "--quiet"]) == 0
    assert dump(tmp_path / "run") == dump(whole)
    assert networks(tmp_path / "run") == networks(whole)


def test_resume_refuses_a_copy_that_is_gone_or_another(plugin: Path, tmp_path: Path) -> None:
    begun(tmp_path / "run", plugin, 1)
    forget_plugins()
    copy = tmp_path / "run" / "plugins" / "mine.py"
    content = copy.read_text()
    copy.write_text(content.replace("0.02", "0.03"))
    with pytest.raises(DataError, match="is not the file that this run was begun with"):
        resume(tmp_path / "run")
    copy.unlink()
    with pytest.raises(DataError, match="is gone: it is the copy of the plug-in"):
        resume(tmp_path / "run")
    copy.write_text(content)
    resume(tmp_path / "run").close()
    assert "cheap" in FAMILIES[0]


def test_show_runs_no_code_of_a_run(plugin: Path, tmp_path: Path) -> None:
    begun(tmp_path / "run", plugin, 11)
    forget_plugins()
    (tmp_path / "run" / "plugins" / "mine.py").write_text("raise SystemExit('run')\n")
    assert main(["show", str(tmp_path / "run")]) == 0
    assert main(["show", str(tmp_path / "run"), "--config"]) == 0
    assert not any(name.startswith(MODULE) for name in sys.modules)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("return 1 / 0", 1, "ZeroDivisionError: division by zero. It arose in the plug-in"),
        ("return None", 1, "The fitness 'odd' gave None, a NoneType, for trial"),
        ("return float('nan')", 1, "The fitness 'odd' gave nan"),
    ],
)
def test_a_mistake_in_the_midst_ends_the_run_in_a_sentence(
    text: str,
    code: int,
    words: str,
    tmp_path: Path,
    registries: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugin = tmp_path / "odd.py"
    head = "from structure_net import FITNESS\n@FITNESS.register('odd')\ndef odd(result):\n    "
    plugin.write_text(head + text + "\n")
    options = ["--plugin", str(plugin), "--fitness", "odd", "--executor", "serial"]
    assert main(["tournament", *SMALL, "--out", str(tmp_path / "run"), *options]) == code
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert "defect" not in told


def test_names_of_a_plug_in_that_it_does_not_have_are_refused(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, name, words in (
        ("--fitness", "cheep", "did you mean 'cheap'"),
        ("--selection", "elite", "known are"),
        ("--learning-rate-strategies", "STEP", "did you mean 'STEPS'"),
    ):
        arguments = [*SMALL, "--out", str(tmp_path / "run"), "--plugin", str(plugin)]
        assert main(["tournament", *arguments, option, name]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_the_results_file_lists_the_front_with_its_networks(tmp_path: Path) -> None:
    options = ["--executor", "serial", "--selection", "best-of-k", "--survivors", "1"]
    directory = run(tmp_path / "run", *options)
    content = results(directory)
    history = open_history(directory)
    assert [one["id"] for one in content["front"]] == content["generations"][-1]["front_ids"]
    shares = [one["hypervolume"] for one in content["generations"]]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] < 1
    figures = [
        (one.validation_accuracy, -one.active_parameters) for one in history.results.values()
    ]
    for entry in content["front"]:
        own = (entry["validation_accuracy"], -entry["active_parameters"])
        beaten = [one for one in figures if one != own and one[0] >= own[0] and one[1] >= own[1]]
        assert beaten == []
        assert (directory / entry["network_file"]).is_file()
