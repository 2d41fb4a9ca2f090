"""Every usage line of the project's description, as it is written there, asks for that run."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from structure_net.cli import main
from structure_net.errors import RunFailedError, TemporaryError

ADVANCED = "--tournament-size 128 --generations 15 --epochs 25 --no-profiling"
MINIMAL = "--quick --tournament-size 8 --generations 2 --epochs 5 --no-metrics --no-profiling"

LINES = [
    ("", {"tournament_size": 32, "generations": 5, "epochs_per_generation": 15}),
    ("--quick", {"tournament_size": 16, "generations": 3, "dataset": "digits"}),
    ("--full", {"tournament_size": 64, "generations": 10, "epochs_per_generation": 20}),
    (
        ADVANCED,
        {
            "tournament_size": 128,
            "generations": 15,
            "epochs_per_generation": 25,
            "enable_profiling": False,
            "dataset": "cifar10",
        },
    ),
    (
        MINIMAL,
        {
            "preset": "quick",
            "tournament_size": 8,
            "generations": 2,
            "epochs_per_generation": 5,
            "enable_comprehensive_metrics": False,
            "enable_profiling": False,
            "dataset": "digits",
        },
    ),
    ("--tournament-size 16 --quick", {"tournament_size": 16, "generations": 3}),
    (
        "--no-metrics --no-profiling --no-growth",
        {
            "enable_comprehensive_metrics": False,
            "enable_profiling": False,
            "enable_growth": False,
            "generations": 5,
        },
    ),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_each_usage_line_starts_that_run(fake, line, expected):
    assert main(["tournament", *line.split()]) == 0
    (resolved,) = fake.resolved
    for field, value in expected.items():
        assert getattr(resolved.config, field) == value
    for field in ("generations", "tournament_size"):
        option = "--" + field.replace("_", "-")
        preset = f"preset:{resolved.config.preset}"
        assert resolved.origins[field] == ("command line" if option in line else preset)


@pytest.mark.parametrize("line", [line for line, _ in LINES])
def test_python_m_arguments_default_to_sys_argv(fake, line, monkeypatch):
    monkeypatch.setattr("sys.argv", ["structure-net", "tournament", *line.split()])
    assert main() == 0
    assert len(fake.resolved) == 1


@pytest.mark.parametrize("code", [0, 1, 3])
def test_exit_code_of_a_run_is_the_programs(fake, code):
    fake.exit_code = code
    assert main(["tournament", "--quick"]) == code


def raising(problem: BaseException):
    def body() -> None:
        raise problem

    return body


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (TemporaryError("The lock is held."), 75, "The lock is held."),
        (RunFailedError("All failed."), 1, "All failed."),
        (KeyboardInterrupt(), 130, "structure-net resume runs/one"),
        (BrokenPipeError(), 1, "structure-net resume runs/one"),
        (ZeroDivisionError("division"), 1, "ZeroDivisionError"),
    ],
)
def test_how_a_run_can_end(fake, capsys, problem, code, said):
    fake.body = raising(problem)
    assert main(["tournament", "--quick"]) == code
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed
    assert fake.closed == 2


def test_debug_shows_where_an_error_arose(fake, capsys):
    fake.body = raising(ZeroDivisionError("division"))
    assert main(["tournament", "--quick", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    fake.body = raising(TemporaryError("The lock is held."))
    assert main(["tournament", "--quick", "--debug"]) == 75
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_before_the_run_began(fake, capsys):
    fake.begin = raising(KeyboardInterrupt())
    assert main(["tournament", "--quick"]) == 130
    assert "Nothing was begun" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_signal_ends_the_run_like_ctrl_c(fake, capsys, number):
    def body() -> None:
        os.kill(os.getpid(), number)
        threading.Event().wait(5)

    fake.body = body
    before = signal.getsignal(number)
    assert main(["tournament", "--quick"]) == 143
    assert "structure-net resume runs/one" in capsys.readouterr().err
    assert fake.closed == 2
    assert signal.getsignal(number) is before


def test_an_ignored_signal_stays_ignored(fake):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        fake.body = lambda: os.kill(os.getpid(), signal.SIGHUP)
        assert main(["tournament", "--quick"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_json_and_quiet_exclude_each_other(fake, capsys):
    assert main(["tournament", "--quick", "--json", "--quiet"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert fake.resolved == []
