"""A copied checkout whose `python3` is a short shell script, on a PATH that holds nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [
    "bash",
    "cat",
    "cut",
    "dirname",
    "flock",
    "grep",
    "id",
    "ln",
    "mkdir",
    "mv",
    "nproc",
    "paste",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "tail",
    "touch",
    "tr",
]

# Logs each call; `venv` makes a link to itself; `pip` behaves as the file `pip_does` says.
PYTHON = """#!/bin/sh
echo "$*" >>"$STUB/calls"
case "$1 ${2-}" in
"-c "*) exit "$(cat "$STUB/too_old" 2>/dev/null || echo 0)" ;;
"-m venv")
    mkdir -p "$3/bin"
    if [ -e "$STUB/no_ensurepip" ]; then echo "ensurepip is not available"; exit 1; fi
    ln -s "$(readlink -f "$0")" "$3/bin/python" ;;
"-m pip")
    echo start >>"$STUB/installs"
    sh -c "$(cat "$STUB/pip_does" 2>/dev/null)" || exit
    echo end >>"$STUB/installs" ;;
*) echo "$*"; exit "$(cat "$STUB/job_exit" 2>/dev/null || echo 0)" ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    """The scripts in a folder of their own, and the folder through which the stub is steered."""

    root: Path
    stub: Path

    def start(self, *command: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """The script started in a process group of its own, so that a test can kill all of it."""
        return subprocess.Popen(
            [str(self.root / command[0]), *command[1:]],
            cwd=cwd or self.root,
            env={"PATH": str(self.stub / "bin"), "STUB": str(self.stub)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The script run to its end."""
        with self.start(*command, cwd=cwd) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def write(self, name: str, text: str) -> None:
        """Steers the stub: `pip_does`, `too_old`, `no_ensurepip`, `job_exit`."""
        (self.stub / name).write_text(text)

    def lines(self, name: str) -> list[str]:
        """What the stub wrote: `calls` of Python, `installs` begun and ended."""
        path = self.stub / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the set-up scripts need {', '.join(missing)}")
    made = Checkout(tmp_path / "a checkout", tmp_path / "stub")
    (made.root / ".ci").mkdir(parents=True)
    (made.stub / "bin").mkdir(parents=True)
    for name in ("run", "test", ".ci/run", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, made.root / name)
    for tool in TOOLS:
        os.symlink(str(shutil.which(tool)), made.stub / "bin" / tool)
    os.symlink("/bin/true", made.stub / "bin" / "c++")
    python = made.stub / "bin" / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return made
