"""What must answer at once does not import torch: config, history, results, help."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

NO_TORCH = ("genome", "schema", "store", "evolution", "datasets", "reporting")
HEAVY = ("torch", "pyarrow", "PIL", "matplotlib")


def fresh(program: str) -> str:
    """What a program prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_and_its_light_folders_import_nothing_heavy() -> None:
    loads = "; ".join(f"import structure_net.{name}" for name in NO_TORCH)
    printed = fresh(f"import sys, structure_net; {loads}; print([*sys.modules])")
    assert "'structure_net.reporting'" in printed  # the witness sees what was imported
    assert [name for name in HEAVY if f"'{name}'" in printed] == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["tournament", "--help"], ["config", "show"], ["tournament", "--no"]]
)
def test_help_and_errors_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        f"import sys; from structure_net.cli import main; code = main({arguments!r}); "
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    printed = fresh(program).splitlines()[-1]
    assert printed == f"loaded [] {2 if '--no' in arguments else 0}"
