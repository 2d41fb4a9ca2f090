"""The repository as the house tests see it: its files, their syntax trees, the floors."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "structure_net"

# Imports go down. Members of one floor do not know each other, but for the first floor, whose
# members are single files: there an import must not make a circle.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "registry", "seeding", "files", "environment", "plugins"),
    ("genome",),
    ("schema",),
    ("store", "evolution", "datasets", "networks"),
    ("engine", "learning_rates", "metrics", "reporting"),
    ("growth",),
    ("training",),
    ("executors",),
    ("tournament",),
    ("analysis", "bench", "studies"),
    ("cli", "testing"),
)


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the package."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def modules_of_tests() -> tuple[Path, ...]:
    return tuple(sorted((ROOT / "tests").rglob("test_*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@cache
def kept_files() -> tuple[Path, ...]:
    """The files of the repository: tracked ones, and new ones that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = listed.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # a copy without git
        found = [*PACKAGE.rglob("*"), *(ROOT / "tests").rglob("*"), *(ROOT / "docs").rglob("*")]
        names = [str(path.relative_to(ROOT)) for path in [*found, *ROOT.glob("*")]]
    paths = [ROOT / name for name in names if "__pycache__" not in name]
    return tuple(path for path in paths if path.is_file())


def member_of(path: Path) -> str:
    """The member of a floor that a file of the package belongs to; empty for the package's own."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first in ("__init__.py", "__main__.py") else first.removesuffix(".py")


def floor_of(member: str) -> int:
    return next(number for number, members in enumerate(FLOORS) if member in members)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything of this package that a file imports."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module or ""]
            if node.module == "structure_net":
                names = [f"structure_net.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "structure_net":
                yield node.lineno, name


def code_lines(path: Path) -> int:
    """Lines that are neither empty, nor comment, nor docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    told: set[int] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            text = node.body[0]
            told |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    lines = enumerate(path.read_text().splitlines(), start=1)
    return sum(
        bool(line.strip()) and not re.match(r"\s*#", line) and number not in told
        for number, line in lines
    )
