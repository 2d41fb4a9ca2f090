"""What the program says on stderr: one paragraph, whatever it quotes."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

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


def leave_stdout() -> None:
    """Nobody reads stdout any more: what is left in its buffer must not raise at exit."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
