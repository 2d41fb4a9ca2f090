"""Small tournaments through the command line, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from structure_net.cli import main
from structure_net.schema import canonical
from structure_net.store import read_events

SMALL = [
    *("--quick", "--quiet", "--dataset", "digits", "--limit-train", "300"),
    *("--tournament-size", "6", "--generations", "3", "--epochs", "2"),
]


def run(directory: Path, *options: str) -> Path:
    """A finished small tournament in `directory`, run in this process's coordinator."""
    assert main(["tournament", *SMALL, "--out", str(directory), *options]) == 0
    return directory


def begin(directory: Path, *options: str) -> subprocess.Popen[str]:
    """The same in a process group of its own, still running."""
    command = [sys.executable, "-m", "structure_net", "tournament", *SMALL]
    return subprocess.Popen(
        [*command, "--out", str(directory), *options],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ},
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """A test run in the background inherits that Ctrl-C is ignored; a user at a shell does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def dump(directory: Path) -> list[str]:
    """The canonical dump of a run."""
    return canonical(event for _, event in read_events(directory))


def results(directory: Path) -> dict[str, Any]:
    """The results file."""
    (path,) = directory.glob("stress_test_results_*.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def networks(directory: Path) -> dict[str, bytes]:
    """Every saved network, byte for byte."""
    return {path.name: path.read_bytes() for path in (directory / "networks").iterdir()}
