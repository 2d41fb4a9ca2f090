"""A Python function as a dataset: `module:function`, named by the user, who trusts it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np

from structure_net.datasets.arrays import arrays_source
from structure_net.datasets.source import Array, Source, printable
from structure_net.errors import DataError

NAMES = {
    2: ("x", "y"),
    4: ("x_train", "y_train", "x_test", "y_test"),
}


def is_function(source: str) -> bool:
    """Whether the text has the form module:function."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", source) is not None


def _module(name: str) -> ModuleType:
    """The module, importable or a file in the current folder (which console scripts leave out)."""
    file = Path(name.replace(".", "/") + ".py")
    try:
        if importlib.util.find_spec(name) is None and file.is_file():
            specification = importlib.util.spec_from_file_location(name, file)
            if specification is not None and specification.loader is not None:
                module = importlib.util.module_from_spec(specification)
                sys.modules[name] = module
                specification.loader.exec_module(module)
                return module
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:  # ValueError: a module without a specification
        raise DataError(
            f"The module {name!r} of the dataset cannot be imported: {error}. It must be "
            f"installed, on PYTHONPATH, or the file {file} in the current folder."
        ) from error


def _named(result: object, where: str) -> Mapping[str, object]:
    if isinstance(result, Mapping):
        return {str(key): value for key, value in result.items()}
    if isinstance(result, tuple) and len(result) in NAMES:
        return dict(zip(NAMES[len(result)], result, strict=True))
    raise DataError(
        f"{where}: the function must return a dictionary with x_train, y_train, x_test, y_test "
        f"(or x, y), or a tuple of these arrays in this order; it returned {type(result).__name__}."
    )


def _checksum(arrays: Mapping[str, Array]) -> str:
    """The key of the cache: the function may read anything, so its result is what identifies it."""
    checksum = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        checksum.update(f"{name} {array.dtype.str} {array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).data)
    return checksum.hexdigest()


def function_source(source: str) -> Source:
    """What `module:function` returns; it is called once for each load, never in a worker."""
    module_name, _, function_name = source.partition(":")
    function = getattr(_module(module_name), function_name, None)
    if not callable(function):
        raise DataError(f"The module {module_name!r} has no function {function_name!r}.")
    arrays: dict[str, Array] = {}
    for name, value in _named(function(), source).items():
        try:
            arrays[name] = np.asarray(value)
        except ValueError as error:
            raise DataError(f"{source}: {name} is not an array: {error}.") from error
        if arrays[name].dtype.hasobject:
            raise DataError(f"{source}: {name} holds Python objects, numbers were expected.")
    loads: dict[str, Callable[[], Array]] = {
        name: partial(arrays.__getitem__, name) for name in arrays
    }
    name = printable(function_name)[:40]
    return arrays_source(name, loads, _checksum(arrays), f"function {source}")
