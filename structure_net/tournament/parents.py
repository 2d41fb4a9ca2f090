"""The saved networks that new trials go on from: there, and as they were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from structure_net.errors import DataError
from structure_net.schema import Trial


def network_path(number: int) -> str:
    """Where a trial's network lies in the run's directory."""
    return f"networks/{number}.safetensors"


def check_parents(trials: Iterable[Trial], directory: Path, hashes: Mapping[str, str]) -> None:
    """DataError, before anything is trained, where a network that a trial inherits is missing or
    not the one of this run. `hashes` are those recorded, by path. A child whose parent is lost must
    not become a failed trial: the search would go on as another search."""
    needed = {one for trial in trials if trial.inherits for one in trial.inherits.trials}
    for number in sorted(needed):
        path = directory / network_path(number)
        beside = [path.with_suffix(end) for end in (".json", ".state")]
        if lost := [one.name for one in (path, *beside) if not one.is_file()]:
            raise DataError(
                f"Trials of this generation go on from the weights of trial {number}, and "
                f"{path.parent} lacks {', '.join(lost)}. Restore that from a copy of the run, or "
                f"start a new run."
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != hashes.get(network_path(number)):
            raise DataError(
                f"Trials of this generation go on from the weights of trial {number}, and {path} "
                f"is not what this run recorded: its SHA-256 is another. Restore it from a copy of "
                f"the run, or start a new run."
            )
