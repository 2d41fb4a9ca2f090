"""The page on extensions: its file is the example, and its commands and checks run as shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from structure_net.cli import main
from tests.docs.blocks import ROOT, blocks, commands

PAGE = ROOT / "docs" / "extending.md"
SMALL = [
    *("--limit-train", "200", "--tournament-size", "6", "--generations", "2", "--epochs", "1"),
    *("--executor", "serial", "--quiet"),
]


def test_the_page_shows_the_example() -> None:
    example, _ = (block.text for block in blocks(PAGE) if block.language == "python")
    assert example == (ROOT / "examples" / "plugin.py").read_text()


def test_the_command_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None
) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = commands(PAGE)
    assert main([*(command.arguments or []), *SMALL, "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "plugins" / "plugin.py").is_file()


def test_the_checks_of_the_page_run() -> None:
    _, checks = (block.text for block in blocks(PAGE) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", checks],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all contracts hold\n"
