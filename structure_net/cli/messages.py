"""What the program says on stderr: one paragraph, whatever it quotes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

LONGEST_PARAGRAPH = 1500  # characters; what was typed may be megabytes


def paragraph(text: str) -> str:
    """One line without control characters, whatever names it quotes."""
    plain = re.sub(r"\s+", " ", text).strip()
    safe = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return safe if len(safe) <= LONGEST_PARAGRAPH else safe[:LONGEST_PARAGRAPH] + " …"


def say(text: str) -> None:
    """A paragraph on stderr; nobody may be there to read it."""
    with suppress(OSError):
        print(paragraph(text), file=sys.stderr, flush=True)


def command(verb: str, directory: Path) -> str:
    """A command about a run, to be copied: by path where the program is not on the PATH, as after
    `./run` in a shell that never activated .venv."""
    own = Path(sys.executable).with_name("structure-net")
    by_name = shutil.which("structure-net") is not None or not own.is_file()
    program = "structure-net" if by_name else os.path.relpath(own)
    return shlex.join([program, verb, str(directory)])


def leave_stdout() -> None:
    """Nobody reads stdout any more: what is left in its buffer must not raise at exit."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
