"""The pages, their code blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is where its fence stands."""

    page: Path
    line: int
    language: str
    text: str


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page in order."""
    found: list[Block] = []
    language, start, lines = None, 0, []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = re.match(r"```(\w*)$", line)
        if fence and language is None:
            language, start, lines = fence[1], number, []
        elif fence:
            found.append(Block(page, start, language or "", "\n".join(lines) + "\n"))
            language = None
        elif language is not None:
            lines.append(line)
    assert language is None, f"{page.name}: the block of line {start} has no end"
    return tuple(found)


@dataclass(frozen=True)
class Command:
    """A line of a shell block as words; `variables` stand before it, output may be redirected."""

    page: Path
    line: int
    variables: dict[str, str]
    words: tuple[str, ...]

    @property
    def arguments(self) -> list[str] | None:
        """The arguments of `structure-net` that it stands for; None where it is another program."""
        words = list(self.words)
        if words[:1] in (["./run"], ["run_stress_test.py"]):
            return None if "--set-up" in words else ["tournament", *words[1:]]
        if words[:2] in (
            ["python", "run_stress_test.py"],
            ["python", "experiments/ultimate_stress_test.py"],
        ):
            return ["tournament", *words[2:]]
        if words[:1] == ["structure-net"]:
            return words[1:]
        return None

    @property
    def starts_a_tournament(self) -> bool:
        arguments = self.arguments or []
        return arguments[:1] == ["tournament"] and "--help" not in arguments

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}: {shlex.join(self.words)}"


def commands_of(block: Block) -> list[Command]:
    """The commands of a shell block, continued lines joined."""
    found, pending = [], ""
    for offset, line in enumerate(block.text.splitlines(), start=1):
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        words, pending = shlex.split(pending, comments=True), ""
        if ">" in words:
            words = words[: words.index(">")]
        variables = {}
        while words and re.match(r"[A-Z_]+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words:
            found.append(Command(block.page, block.line + offset, variables, tuple(words)))
    return found


@cache
def commands(page: Path) -> tuple[Command, ...]:
    """Every command of a page's shell blocks, in order."""
    return tuple(
        command
        for block in blocks(page)
        if block.language in ("sh", "bash")
        for command in commands_of(block)
    )
