"""Each claim of speed has a script that runs, says its claim and names its own command."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from structure_net.bench import Contest, Scale

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
CLAIMS = ("fallback", "generation", "memory", "metrics", "single_shapes", "tournament", "workers")
SCRIPTS = [FOLDER / f"{name}.py" for name in CLAIMS]
TINY = Scale(1, 2, 1, 9, 1, Contest(2, 1, 1, 200, 1), 1)


@pytest.fixture(autouse=True)
def _scripts_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def loaded(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_its_claim_and_its_command(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = loaded(path)
    assert module.__doc__ is not None
    assert module.__doc__.startswith("Claim: ")
    assert f"python benchmarks/{path.name}" in module.__doc__
    with pytest.raises(SystemExit) as ended:
        module.main(["--fast"])
    assert ended.value.code == 2
    assert "--quick" in capsys.readouterr().err


@pytest.mark.slow
def test_ratios_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded(FOLDER / "generation.py").main([], TINY) == 0
    assert "generation: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fallback", "single_shapes", "tournament", "workers"])
def test_the_other_scripts_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded(FOLDER / f"{name}.py").main([], TINY) == 0
    assert "times" in capsys.readouterr().out


@pytest.mark.slow
def test_the_script_for_memory_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded(FOLDER / "memory.py").main([], (1, 2)) == 0
    assert "2 generations: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_script_for_metrics_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded(FOLDER / "metrics.py").main(["--quick"]) == 0
    told = capsys.readouterr().out
    assert "full: " in told
    assert "label_information: " in told


@pytest.mark.slow
def test_the_script_for_engines_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits are few: whether the interval is narrow enough is not asked here."""
    options = ["--data", "digits", "--seeds", "2", "--epochs", "2"]
    assert loaded(FOLDER / "engines_agree.py").main(options) in (0, 1)
    assert "native - dense: " in capsys.readouterr().out


def test_an_interval_is_that_of_student() -> None:
    """Mean 0, deviation 2, four values: 2.353 x 2 / 2 either way."""
    script = loaded(FOLDER / "engines_agree.py")
    low = script.interval([-1.7320508, -1.7320508, 1.7320508, 1.7320508])[1]
    assert low == pytest.approx(-2.353, abs=1e-3)


@pytest.mark.slow
def test_an_interrupt_ends_the_benchmark_and_its_processes() -> None:
    """Told to every process of the group at once, as a terminal does."""
    child = subprocess.Popen(
        [sys.executable, "-m", "structure_net", "bench", "--quick"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert child.stderr is not None
    assert any(line.startswith("generation: round") for line in child.stderr)
    workers = psutil.Process(child.pid).children(recursive=True)
    assert workers
    os.killpg(child.pid, signal.SIGINT)
    words = child.stderr.read()
    assert child.wait(30) == 130
    child.stderr.close()
    assert words.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in words
    _, alive = psutil.wait_procs(workers, 10)
    assert alive == []
