"""Plug-ins: Python files of the user that register members of the extension families.

A plug-in is code. It runs with all the rights of the program, and only because the user named it.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from structure_net.errors import StructureNetError, UsageError
from structure_net.registry import Registry

MODULE = "structure_net_plugin_"  # and the beginning of the content's hash: the module's name
LARGEST = 1_000_000  # bytes; a plug-in is a page of code, and its copy goes into every run

# What a mistake in a file raises when it is run.
MISTAKES = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, StructureNetError, SyntaxError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Plugin:
    """A file that was loaded: where from, and exactly what was run."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def module(self) -> str:
        """Its name among the loaded modules: one for each content, wherever the file lies."""
        return MODULE + self.sha256[:16]


Entry = tuple[Registry[Any], str, Any, float | None]
ENTRIES = "__registered__"  # of the module of a plug-in: what it entered, to take out and in again


def load_plugins(
    paths: Iterable[str | Path], families: Sequence[Registry[Any]] = ()
) -> tuple[Plugin, ...]:
    """Run each file once in this process; UsageError, and nothing registered, where one is bad.

    With `families` given, a file that registers in none of them is an error, and afterwards they
    hold nothing of plug-ins that were loaded before and are not among these: a run in the same
    process draws no mutation of another run.
    """
    plugins = {plugin.sha256: plugin for plugin in map(_read, paths)}
    names = [plugin.path.name for plugin in plugins.values()]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"Two plug-ins are named {name} and differ. A run keeps its plug-ins by name: "
                f"rename one of the two."
            )
    wanted = {plugin.module for plugin in plugins.values()}
    for name, module in list(sys.modules.items()):
        if name.startswith(MODULE) and name not in wanted:
            _withdraw(module, families)
    for plugin in plugins.values():
        if plugin.module in sys.modules:
            _enter_again(sys.modules[plugin.module])
        else:
            _run(plugin, families)
    return tuple(plugins.values())


def place_in_plugin(problem: BaseException) -> str | None:
    """`bonus.py, line 7` where an exception passed through a plug-in, else None."""
    place = None
    for frame, line in traceback.walk_tb(problem.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(MODULE):
            place = f"{frame.f_code.co_filename}, line {line}"
    return place


def _read(path: str | Path) -> Plugin:
    path = Path(path)
    if not path.is_file():
        found = "is no file" if path.exists() else "does not exist"
        raise UsageError(f"The plug-in {path} {found}. Give a Python file to --plugin.")
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"The plug-in {path} cannot be read: {problem.strerror}.") from problem
    if len(content) > LARGEST:
        raise UsageError(
            f"The plug-in {path} has {len(content)} bytes, and at most {LARGEST} are read. Is it "
            f"the right file?"
        )
    return Plugin(path, content)


def _run(plugin: Plugin, families: Sequence[Registry[Any]]) -> None:
    module = ModuleType(plugin.module)
    module.__file__ = str(plugin.path)
    before = [set(family) for family in families]
    sys.modules[plugin.module] = module  # dataclasses look up the module they are made in
    try:
        exec(_compiled(plugin), module.__dict__)
        if families and [set(family) for family in families] == before:
            raise UsageError(
                f"The plug-in {plugin.path} registers nothing. It wants, say, "
                f'@FITNESS.register("mine") above a function, with FITNESS from structure_net; '
                f"the families are {', '.join(family.family for family in families)}."
            )
    except MISTAKES as problem:
        _undo(plugin, families, before)
        place = place_in_plugin(problem)
        if place is None:
            raise
        told = str(problem) if isinstance(problem, StructureNetError) else _said(problem)
        raise UsageError(f"The plug-in cannot be loaded ({place}): {told}") from problem
    except BaseException:
        _undo(plugin, families, before)
        raise
    setattr(module, ENTRIES, _entries(families, before))


def _entries(families: Sequence[Registry[Any]], before: Sequence[set[str]]) -> list[Entry]:
    """What the families hold beyond what they had."""
    return [
        (family, name, family.get(name), family.weights.get(name))
        for family, had in zip(families, before, strict=True)
        for name in family
        if name not in had
    ]


def _withdraw(module: ModuleType, families: Sequence[Registry[Any]]) -> None:
    for family, name, *_ in getattr(module, ENTRIES, ()):
        if name in family and any(family is one for one in families):
            family.forget(name)


def _enter_again(module: ModuleType) -> None:
    for family, name, member, weight in getattr(module, ENTRIES, ()):
        if name not in family:
            family.register(name, weight)(member)


def _compiled(plugin: Plugin) -> Any:
    try:
        return compile(plugin.content, str(plugin.path), "exec", dont_inherit=True)
    except SyntaxError as problem:
        raise UsageError(
            f"The plug-in {plugin.path} is not valid Python, line {problem.lineno}: {problem.msg}."
        ) from problem
    except ValueError as problem:  # NUL bytes
        raise UsageError(f"The plug-in {plugin.path} is not valid Python: {problem}.") from problem


def _undo(plugin: Plugin, families: Sequence[Registry[Any]], before: Sequence[set[str]]) -> None:
    del sys.modules[plugin.module]
    for family, had in zip(families, before, strict=True):
        for name in set(family) - had:
            family.forget(name)


def _said(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}."
