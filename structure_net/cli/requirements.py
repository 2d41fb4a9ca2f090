"""The system requirements, each checked: its state, a figure, and what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from structure_net.environment import memory_bytes
from structure_net.errors import DataError, UsageError

State = Literal["ok", "missing", "problem"]
GB = 10**9
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 6)  # earlier ones run code from weight files (CVE-2025-32434)
OLDEST_SQLITE = (3, 37)  # the first with STRICT tables

# The least and the recommended, from the project's description.
MEMORY = (8 * GB, 32 * GB)
GPU_MEMORY = (4 * GB, 16 * GB)
DISK = (2 * GB, 10 * GB)

# module -> (extra that brings it, what it is for)
OPTIONAL_PARTS = {
    "pyarrow": ("data", "datasets in parquet"),
    "PIL": ("data", "datasets of images"),
    "matplotlib": ("plots", "figures for papers"),
    "onnx": ("onnx", "export"),
    "wandb": ("wandb", "tracking"),
    "mlflow": ("mlflow", "tracking"),
    "tensorboard": ("tensorboard", "tracking"),
    "optuna": ("optuna", "export"),
    "ray": ("ray", "several machines"),
    "submitit": ("slurm", "several machines"),
}


@dataclass(frozen=True)
class Check:
    """One requirement. `advice` is empty where nothing needs to be done."""

    name: str
    state: State
    figure: str
    advice: str = ""
    required: bool = True


def all_checks(run_folder: Path = Path("runs")) -> list[Check]:
    """Every check; takes seconds, because torch is imported to see whether it can be."""
    from structure_net.cli.estimate import memory_check

    return [
        check_python(sys.version_info[:3]),
        check_torch(),
        check_cores(),
        check_memory(memory_bytes()),
        *check_gpus(),
        check_disk(run_folder),
        check_sqlite(sqlite3.sqlite_version_info),
        check_compiler(),
        check_engine_table(),
        *(check_part(module) for module in OPTIONAL_PARTS),
        check_dataset("digits"),
        check_dataset("cifar10"),
        memory_check(),
    ]


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def check_python(numbers: tuple[int, ...]) -> Check:
    if numbers < OLDEST_PYTHON:
        advice = f"install Python {_dotted(OLDEST_PYTHON)} or later"
        return Check("Python", "problem", _dotted(numbers), advice)
    return Check("Python", "ok", _dotted(numbers))


def check_torch() -> Check:
    advice = "install it again: pip install -c constraints.txt -e ."
    try:
        import torch
    except ImportError as problem:
        state: State = "problem" if find_spec("torch") else "missing"
        return Check("torch", state, str(problem), advice)
    numbers = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if numbers < OLDEST_TORCH:
        return Check("torch", "problem", torch.__version__, f"needs {_dotted(OLDEST_TORCH)}")
    return Check("torch", "ok", str(torch.__version__))


def check_cores() -> Check:
    from structure_net.executors import usable_cores

    figure = f"{usable_cores()} usable of {os.cpu_count()}"
    return Check("processor cores", "ok", figure)


def _size(amount: int) -> str:
    return f"{amount / GB:.1f} GB"


def _amount(name: str, amount: int, bounds: tuple[int, int], why: str, advice: str) -> Check:
    """A check of bytes against the least and the recommended."""
    least, recommended = bounds
    if amount < least:
        return Check(
            name, "problem", f"{_size(amount)} ({why})", f"{_size(least)} needed; {advice}"
        )
    note = "" if amount >= recommended else f"{_size(recommended)} recommended"
    return Check(name, "ok", f"{_size(amount)} ({why})", note)


def check_memory(amount: int) -> Check:
    """Memory in bytes that a run may use: the machine's, or the limit of a container."""
    return _amount("memory", amount, MEMORY, "usable", "use --quick, fewer --workers")


def check_gpus() -> list[Check]:
    """One line a CUDA device, or one that says there is none. Never required."""
    missing = Check("GPU", "missing", "no CUDA device", "none needed: runs on processors", False)
    if find_spec("torch") is None:
        return [missing]
    try:
        import torch
    except ImportError:
        return [missing]
    if not torch.cuda.is_available():
        return [missing]
    checks = []
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        check = _amount(
            f"GPU {number}", int(facts.total_memory), GPU_MEMORY, facts.name, "use --device cpu"
        )
        checks.append(Check(check.name, check.state, check.figure, check.advice, required=False))
    return checks


def check_disk(folder: Path) -> Check:
    """Room where runs are written: the folder, or the nearest one above that exists."""
    place = folder.absolute()
    while not place.is_dir():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Check("disk", "problem", f"{place} cannot be written", "use --out DIR")
    free = shutil.disk_usage(place).free
    return _amount("disk", free, DISK, f"free at {place}", "make room or use --out DIR elsewhere")


def check_sqlite(numbers: tuple[int, ...]) -> Check:
    if numbers < OLDEST_SQLITE:
        advice = f"needs {_dotted(OLDEST_SQLITE)}: use a newer Python"
        return Check("SQLite", "problem", _dotted(numbers), advice)
    return Check("SQLite", "ok", _dotted(numbers))


def check_compiler() -> Check:
    """The native engine: which kernels this processor gets, and who compiles them."""
    from structure_net.engine import best_path, compilers

    found = compilers()
    if found:
        figure = f"{best_path()} kernels, compiled by {' '.join(found[0])}"
        return Check("native engine", "ok", figure, required=False)
    advice = (
        "optional, trains several times faster: sudo apt-get install g++, or pip install ziglang"
    )
    return Check("native engine", "missing", "no C++ compiler", advice, required=False)


def check_engine_table() -> Check:
    """The table behind `--engine auto`: shipped, or measured on this machine."""
    name = "engine table"
    if find_spec("torch") is None:
        return Check(name, "missing", "no torch", "install torch first", required=False)
    from structure_net.engine import stored_table, table_file, this_machine

    try:
        stored = stored_table()
    except UsageError as problem:
        return Check(name, "problem", str(problem), f"delete {table_file()}")
    if stored is None:
        return Check(name, "ok", "shipped", required=False)
    if stored.machine != this_machine():
        advice = "structure-net bench --calibrate measures one for this machine"
        figure = f"shipped; {table_file()} is of another machine, {stored.machine}"
        return Check(name, "ok", figure, advice, required=False)
    rows = ", ".join(
        f"native to {row.native:.0%} and csr to {row.csr:.0%} of {row.possible:,}"
        for row in stored.crossovers
        if not row.mixed_precision
    )
    return Check(name, "ok", f"calibrated, {table_file()}: {rows}", required=False)


def check_part(module: str) -> Check:
    extra, purpose = OPTIONAL_PARTS[module]
    distribution = {"PIL": "Pillow", "mlflow": "mlflow-skinny"}.get(module, module)
    if find_spec(module) is None:
        advice = f"optional, for {purpose}: pip install 'structure-net[{extra}]'"
        return Check(distribution, "missing", "not installed", advice, required=False)
    try:
        figure = version(distribution)
    except PackageNotFoundError:
        figure = "installed"
    return Check(distribution, "ok", figure, required=False)


def check_dataset(name: str) -> Check:
    """Whether a dataset can be had without the network. Only digits must be there."""
    from structure_net.datasets import Places, datasets
    from structure_net.files import cache_root

    cache = cache_root()
    named = os.environ.get("STRUCTURE_NET_DATA")
    folders = [Path(named)] if named else []
    if name == "digits":
        places = [Places(None, cache)]
    else:
        places = [Places(folder, cache) for folder in (*folders, cache / "downloads")]
    for place in places:
        try:
            datasets.get(name)(place)
        except (DataError, OSError):
            continue
        where = f"found in {place.data_dir}" if place.data_dir else "found in the package"
        return Check(f"data {name}", "ok", where, required=name == "digits")
    advice = "will be downloaded when needed; or name its folder by STRUCTURE_NET_DATA, --data-dir"
    if name == "digits":
        advice = "install structure_net again: its data file is gone"
    return Check(f"data {name}", "missing", "not found", advice, required=name == "digits")
