"""The program as a process: how long help takes, what it imports, pipes that close."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "pyarrow", "PIL", "tomlkit", "uvicorn")


def program(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "structure_net", *arguments]
    return subprocess.run(command, env=around, capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["tournament", "--help"], ["--version"], ["tournament", "--epochz"]]
)
def test_help_and_errors_take_less_than_half_a_second(arguments):
    """Processor time of the process, the least of five: what else runs can only add to it."""
    seconds = []
    for _ in range(5):
        before = os.times()
        program(*arguments)
        after = os.times()
        seconds.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert min(seconds) < 0.5


@pytest.mark.parametrize("arguments", [["--help"], ["tournament", "--help"], ["config", "show"]])
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from structure_net.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=around, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_version_and_help_go_to_stdout():
    for arguments, words in ((["--version"], "structure-net "), (["--help"], "tournament")):
        done = program(*arguments)
        assert done.returncode == 0
        assert words in done.stdout
        assert done.stderr == ""


def test_an_error_is_one_line_on_stderr_and_exit_code_2():
    done = program("tournament", "--tournament-size", "1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["config", "show", "--json"]])
def test_a_reader_that_leaves_early_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "structure_net", *arguments]
    done = subprocess.run(command, env=around, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""


def test_completion_scripts_know_the_options():
    from structure_net.cli.app import application

    for shell in ("bash", "zsh", "fish"):
        script = application().generate_completion(shell=shell)
        for word in ("tournament", "tournament-size", "doctor"):
            assert word in script


def test_help_tells_the_defaults_of_the_presets():
    lines = " ".join(program("tournament", "--help").stdout.replace("│", " ").split())
    assert "competing networks in a generation [default: 32; quick 16, full 64]" in lines
    for group in ("Tournament", "Training", "Growth", "Data", "Where it runs", "Search space"):
        assert f"─ {group} ─" in lines
    assert "─ Other ─" not in lines
