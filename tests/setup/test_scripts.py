"""`./run`, `./test` and `.ci/run`, with a stub in place of Python and pip."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import ROOT, Checkout

EXTRAS_OF_RUN = "data,plots"
EXTRAS_OF_TEST = "data,plots,test"


def stamp(checkout: Checkout) -> list[str]:
    return (checkout.root / ".venv" / "stamp").read_text().split()


def wait_for(path: Path) -> None:
    for _ in range(500):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear within 5 s")


@pytest.mark.parametrize(("shell", "script"), [("sh", "run"), ("sh", "test"), ("bash", ".ci/run")])
def test_script_parses_and_is_executable(shell: str, script: str) -> None:
    assert subprocess.run([shell, "-n", ROOT / script], check=False).returncode == 0
    assert os.access(ROOT / script, os.X_OK)


def test_first_call_installs_and_hands_the_options_over(checkout: Checkout) -> None:
    done = checkout.run("run", "--quick", "--name", "two words")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{checkout.root}/run_stress_test.py --quick --name two words\n"
    (install,) = [call for call in checkout.lines("calls") if call.startswith("-m pip")]
    assert f"-c {checkout.root}/constraints.txt" in install
    assert install.endswith(f"-e {checkout.root}[{EXTRAS_OF_RUN}]")
    assert stamp(checkout)[1] == EXTRAS_OF_RUN


def test_second_call_starts_no_python_and_is_quick(checkout: Checkout) -> None:
    checkout.run("run", "--set-up")
    before = checkout.lines("calls")
    begun = time.perf_counter()
    done = checkout.run("run", "--set-up")
    assert time.perf_counter() - begun < 0.3
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert checkout.lines("calls") == before


def test_job_runs_in_the_callers_folder_and_its_exit_code_is_kept(checkout: Checkout) -> None:
    checkout.run("run", "--set-up")
    os.symlink(checkout.root / "run", checkout.stub / "linked")
    checkout.write("job_exit", "3")
    with_link = Checkout(checkout.stub, checkout.stub).run("linked", "--quick", cwd=checkout.stub)
    assert with_link.returncode == 3
    assert with_link.stdout == f"{checkout.root}/run_stress_test.py --quick\n"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(checkout: Checkout, name: str) -> None:
    checkout.run("run", "--set-up")
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    assert checkout.run("run", "--set-up").returncode == 0
    assert checkout.lines("installs") == ["start", "end"] * 2
    assert checkout.run("run", "--set-up").stderr == ""


def test_moved_checkout_is_installed_again(checkout: Checkout) -> None:
    checkout.run("run", "--set-up")
    moved = Checkout(checkout.root.rename(checkout.stub / "moved"), checkout.stub)
    assert moved.run("run", "--set-up").returncode == 0
    assert checkout.lines("installs") == ["start", "end"] * 2


@pytest.mark.parametrize("order", [["run", "test", "run"], ["test", "run", "test"]])
def test_run_and_test_do_not_undo_each_other(checkout: Checkout, order: list[str]) -> None:
    for script in order:
        assert checkout.run(script).returncode == 0
    assert stamp(checkout)[1] == EXTRAS_OF_TEST
    installs = [call for call in checkout.lines("calls") if call.startswith("-m pip")]
    assert len(installs) == (2 if order[0] == "run" else 1)
    assert installs[-1].endswith(f"[{EXTRAS_OF_TEST}]")


def test_two_at_once_install_once(checkout: Checkout) -> None:
    checkout.write("pip_does", "sleep 0.5")
    first, second = checkout.start("run", "--set-up"), checkout.start("run", "--set-up")
    messages = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), messages
    assert checkout.lines("installs") == ["start", "end"]
    assert sum("Waiting for another set-up" in message for message in messages) == 1


def test_killed_install_begins_anew(checkout: Checkout) -> None:
    checkout.write("pip_does", 'touch "$STUB/in_pip"; sleep 30')
    with checkout.start("run", "--set-up") as process:
        wait_for(checkout.stub / "in_pip")
        os.killpg(process.pid, signal.SIGKILL)
    leftover = checkout.root / ".venv" / "half_a_package"
    leftover.touch()
    checkout.write("pip_does", "true")
    done = checkout.run("run", "--set-up")
    assert done.returncode == 0, done.stderr
    assert not leftover.exists()
    assert checkout.run("run", "--set-up").stderr == ""


def test_refused_install_is_repeated_and_says_so(checkout: Checkout) -> None:
    checkout.write("pip_does", "echo no network >&2; exit 1")
    failed = checkout.run("run", "--quick")
    assert failed.returncode == 75
    assert "no network" in failed.stderr
    assert "give the same command again" in failed.stderr
    assert failed.stdout == ""
    checkout.write("pip_does", "true")
    assert checkout.run("run", "--set-up").returncode == 0
    assert checkout.lines("installs") == ["start", "start", "end"]


def test_refused_extra_leaves_what_was_installed_usable(checkout: Checkout) -> None:
    checkout.run("run", "--set-up")
    checkout.write("pip_does", "exit 1")
    assert checkout.run("test").returncode == 75
    again = checkout.run("run", "--quick")
    assert (again.returncode, again.stderr) == (0, "")


def test_unknown_extra_is_named(checkout: Checkout) -> None:
    done = checkout.run("run", "--set-up", "tests")
    assert done.returncode == 2
    assert "'tests'" in done.stderr
    assert checkout.lines("installs") == []


def test_no_recent_python_is_one_paragraph(checkout: Checkout) -> None:
    checkout.write("too_old", "1")
    done = checkout.run("run", "--quick")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Python 3.11" in done.stderr
    assert "apt-get install" in done.stderr


def test_missing_ensurepip_leaves_no_half_made_folder(checkout: Checkout) -> None:
    checkout.write("no_ensurepip", "")
    done = checkout.run("run", "--quick")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("apt-get install -y python3-venv")
    assert not (checkout.root / ".venv").exists()


def test_root_installs_the_missing_ensurepip(checkout: Checkout) -> None:
    checkout.write("no_ensurepip", "")
    apt = checkout.stub / "bin" / "apt-get"
    apt.write_text('#!/bin/sh\necho "apt-get $*" >>"$STUB/calls"\nrm -f "$STUB/no_ensurepip"\n')
    apt.chmod(0o755)
    identity = checkout.stub / "bin" / "id"
    identity.unlink()
    identity.write_text("#!/bin/sh\necho 0\n")
    identity.chmod(0o755)
    done = checkout.run("run", "--set-up")
    assert done.returncode == 0, done.stderr
    assert "apt-get install -qq -y python3-venv" in checkout.lines("calls")


def test_vanished_interpreter_is_replaced(checkout: Checkout) -> None:
    checkout.run("run", "--set-up")
    (checkout.root / ".venv" / "bin" / "python").unlink()
    os.symlink("/nowhere/python3.11", checkout.root / ".venv" / "bin" / "python")
    assert checkout.run("run", "--set-up").returncode == 0
    assert checkout.lines("installs") == ["start", "end"] * 2


def test_every_check_runs_in_order_and_pytest_gets_the_arguments(checkout: Checkout) -> None:
    done = checkout.run("test", "-k", "one thing")
    assert done.returncode == 0, done.stderr
    steps = [line.split()[1] for line in done.stdout.splitlines()]
    assert steps == ["ruff", "ruff", "mypy", "pytest"]
    assert done.stdout.splitlines()[-1].endswith("-k one thing")


def test_first_failing_check_stops_and_is_named(checkout: Checkout) -> None:
    checkout.write("job_exit", "4")
    done = checkout.run("test")
    assert done.returncode == 4
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["ruff"]
    assert '"ruff check' in done.stderr.splitlines()[-1]


def test_ci_tells_the_tests_that_absent_tools_are_failures(checkout: Checkout) -> None:
    python = checkout.stub / "bin" / "python3"
    python.write_text(
        python.read_text().replace('*) echo "$*"', '*) echo "$* ${STRUCTURE_NET_CI-}"')
    )
    asked = checkout.run(".ci/run", cwd=checkout.stub)
    assert asked.returncode == 0, asked.stderr
    last = asked.stdout.splitlines()[-1]
    assert last.startswith("-m pytest")
    assert last.endswith(" 1")
    assert "--ci" not in last
    assert checkout.run("test").stdout.splitlines()[-1].split()[-1] != "1"


def test_a_machine_without_a_compiler_gets_one_from_pip(checkout: Checkout) -> None:
    (checkout.stub / "bin" / "c++").unlink()
    assert checkout.run("run", "--set-up").returncode == 0
    assert stamp(checkout)[1] == "compiler,data,plots"
