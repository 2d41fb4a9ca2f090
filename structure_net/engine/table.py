"""The table behind `--engine auto`: shipped, or measured here by `structure-net bench --calibrate`.

It lies in the cache, for this machine alone: one that was measured elsewhere is not used.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from pydantic import ValidationError

from structure_net.engine.native import NoCompilerError, best_path, load_library
from structure_net.engine.precision import product_dtype
from structure_net.environment import facts
from structure_net.errors import UsageError
from structure_net.files import atomic_write, cache_root
from structure_net.schema import Crossover, EngineTable

FILE = "engine-table.json"

# One core with AVX-512 at batch 256. A step of 3072-512-256-128-10, 1.7 million possible
# connections, takes at 1, 5, 10 % in milliseconds: native 0.5, 2.1, 4.2; csr 4.5, 7.9, 12.8; dense
# 14.5 always. 16-bit products by AMX halve dense, and native stays faster up to more than 30 %.
SHIPPED = (
    Crossover(possible=1_738_000, mixed_precision=False, native=0.30, csr=0.12),
    Crossover(possible=1_738_000, mixed_precision=True, native=0.30, csr=0.03),
)


def this_machine() -> str:
    """What decides how fast the engines are here: processor, kernels, torch."""
    known = facts()
    return f"{known['processor']} ({known['machine']}), {best_path()}, torch {known['torch']}"


def table_file() -> Path:
    """Where a calibrated table is kept."""
    return cache_root() / FILE


def table_in_force(*, mixed_precision: bool) -> EngineTable:
    """The calibrated table of this machine if there is one, else the shipped one; of its rows
    those for the precision that dense products have on this processor then."""
    stored = stored_table()
    if stored is not None and stored.machine == this_machine():
        origin, machine, rows = stored.origin, stored.machine, stored.crossovers
    else:
        origin, machine, rows = "shipped", "", SHIPPED
    half = product_dtype(torch.device("cpu"), mixed_precision) == torch.bfloat16
    fitting = tuple(row for row in rows if row.mixed_precision == half)
    return EngineTable(
        origin=origin, machine=machine, kernels=native_is_there(), crossovers=fitting
    )


def stored_table() -> EngineTable | None:
    """The table in the cache, of whichever machine; UsageError where it cannot be trusted."""
    path = table_file()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, str(problem.strerror)) from problem
    try:
        return EngineTable.model_validate_json(content)
    except ValidationError as problem:
        error = problem.errors(include_url=False)[0]
        place = ".".join(map(str, error["loc"]))
        raise _unusable(path, f"{place or 'the file'}: {error['msg']}") from problem


def write_table(table: EngineTable) -> Path:
    """Keep a calibrated table for the runs that begin from now on."""
    path = table_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, (table.model_dump_json(indent=1) + "\n").encode())
    return path


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} should hold the table by which engines are chosen ({why}). Delete it to use the "
        f"shipped one, or measure it again: structure-net bench --calibrate."
    )


@cache
def native_is_there() -> bool:
    """Whether the kernels are compiled or can be compiled here."""
    try:
        load_library()
    except NoCompilerError:
        return False
    return True
