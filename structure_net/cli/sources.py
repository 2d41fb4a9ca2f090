"""Values from the environment and from a TOML file, each with its origin."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structure_net.cli.fields import SPACE, Layer, bare_type, keys
from structure_net.errors import UsageError
from structure_net.registry import nearest

PREFIX = "STRUCTURE_NET_"
# Variables that are no options: data folder, cache folder, fault injection and CI in the tests.
OTHER_VARIABLES = ("DATA", "CACHE", "FAULT", "CI")
LARGEST_FILE = 1_000_000  # bytes; a configuration with every field is about 8,000
LONGEST_KEY = 80  # characters of a wrong name that are compared and shown
LARGEST_INTEGER = 2**63  # the range of integers in TOML


def from_environment(environment: Mapping[str, str]) -> Layer:
    """Options in `STRUCTURE_NET_…`, by option name or field name; an unknown one is an error."""
    layer = Layer()
    known = {key.upper().replace(".", "_"): field for key, field in keys().items()}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        key, value = variable.removeprefix(PREFIX), environment[variable]
        if key in OTHER_VARIABLES:
            continue
        if key not in known:
            close = nearest(key[:LONGEST_KEY], [*known, *OTHER_VARIABLES])
            raise UsageError(
                f"The environment variable {variable[:LONGEST_KEY]} is no option of structure-net: "
                f"{_few(close)} Unset it or correct its name."
            )
        check_text(value, f"The environment variable {variable}")
        layer.put(known[key], value, f"environment {variable}")
    return layer


def check_text(text: str, what: str) -> None:
    """UsageError for bytes that are not UTF-8 and for NUL, which nothing here can hold."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError(f"{what} is not UTF-8 text. Write it in UTF-8, without NUL.")


def _few(sentence: str) -> str:
    """Suggestions, but not the list of all names."""
    return sentence if sentence.startswith("did") else "see structure-net tournament --help."


def from_file(path: Path) -> Layer:
    """The options of a TOML file; UsageError names file, line or key, and what is wrong."""
    layer = Layer()
    known = keys()
    for key, value in _entries(_read(path), path):
        name = key.replace("-", "_")
        if name not in known:
            close = _few(nearest(key[:LONGEST_KEY], list(known)))
            raise UsageError(f"{path} has the key {key[:LONGEST_KEY]!r}, which is unknown: {close}")
        field = known[name]
        _check_value(field, value, path)
        layer.put(field, value, f"file {path}")
    return layer


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.is_dir() or not path.is_file():
            found = "is no file" if path.exists() else "does not exist"
            raise UsageError(
                f"The configuration file {path} {found}. Give a TOML file to --config."
            )
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(
                f"The configuration file {path} has {path.stat().st_size} bytes and at most "
                f"{LARGEST_FILE} are read. Is it the right file?"
            )
        text = path.read_bytes().decode()
    except OSError as problem:
        raise UsageError(
            f"The configuration file {path} cannot be read: {problem.strerror}."
        ) from problem
    except UnicodeDecodeError as problem:
        raise UsageError(
            f"The configuration file {path} is not UTF-8 text (byte {problem.start})."
        ) from problem
    try:
        return tomllib.loads(text)
    except RecursionError as problem:
        raise UsageError(f"The configuration file {path} is nested too deeply.") from problem
    except ValueError as problem:  # TOMLDecodeError, and integers too long to read
        raise UsageError(
            f"The configuration file {path} is not valid TOML: {problem}."
        ) from problem


def _entries(table: Mapping[str, Any], path: Path) -> list[tuple[str, Any]]:
    """(key, value) of the file; the keys of `[space]` begin with `space.`."""
    space = table.get("space", {})
    if not isinstance(space, Mapping):
        raise UsageError(f"{path}: space is a table, written [space], not a single value.")
    own = [(key, value) for key, value in table.items() if key != "space"]
    dotted = [key for key, _ in own if "." in key]
    if dotted:
        raise UsageError(f"{path} has the key {dotted[0][:LONGEST_KEY]!r}, which is unknown.")
    return own + [(SPACE + key, value) for key, value in space.items()]


def _check_value(field: str, value: Any, path: Path) -> None:
    """What the lenient reading of text would let pass in a file that has types."""
    if isinstance(value, bool) and bare_type(field) is not bool:
        raise UsageError(f"{path}: {field} cannot be {str(value).lower()}; it is no truth value.")
    if isinstance(value, dict):
        raise UsageError(f"{path}: {field} cannot be a table.")
    if isinstance(value, str):
        check_text(value, f"{path}: the value of {field}")
    if isinstance(value, list):
        for item in value:
            _check_value(field, item, path)
    if isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        raise UsageError(f"{path}: {field} is an integer beyond 64 bits.")
