"""A saved network and the training samples that it is to be looked at on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.datasets import Dataset, load, split
from structure_net.errors import DataError, ModelFileError, UsageError
from structure_net.networks import DataSpecification, ModelDescription, Network, load_network
from structure_net.reporting import champion_of
from structure_net.schema import Config
from structure_net.store import DATABASE, existing_directory, open_history
from structure_net.training import probe_rows

SUFFIXES = (".safetensors", ".json")
FOLDER = "networks"  # of a run's directory


@dataclass(frozen=True)
class Saved:
    """A network's file, what it holds, and the configuration of the run that it lies in, None where
    it lies in none."""

    path: Path
    network: Network
    description: ModelDescription
    config: Config | None

    @property
    def run_seed(self) -> int:
        """Of the run that trained the network; 0 where the file names none."""
        return _whole(self.description.training.get("run_seed")) or 0

    @property
    def generation(self) -> int:
        return _whole(self.description.lineage.get("generation")) or 0

    def dataset(self, source: str | None, data_dir: Path | None) -> Dataset:
        """The training part that the network was trained on: `source`, else what its run was given,
        else what the file names. DataError where it is absent or has other content."""
        known, run = self.description.data, self.config
        source = source or (run.dataset if run is not None else known.name)
        data_dir = data_dir or (run.data_dir if run is not None else None)
        try:
            found = load(
                source, data_dir, limit_train=_whole(self.description.training.get("limit_train"))
            )
        except DataError as problem:
            raise DataError(
                f"The network was trained on {known.name!r}, which is wanted to look at it: "
                f"{problem} Name the data with --dataset, or where they lie with --data-dir."
            ) from problem
        if found.train_hash != known.train_hash:
            raise DataError(
                f"The network was trained on {known.name} with hash {known.train_hash[:12]}, and "
                f"{found.name} has {found.train_hash[:12]}. Give the same data with --dataset or "
                f"--data-dir: numbers from other data would say nothing of it."
            )
        return found

    def samples(
        self, dataset: Dataset
    ) -> tuple[Float[Tensor, "samples inputs"], Int[Tensor, " samples"]]:
        """Inputs and labels of the probe set of the network's generation, as its trial saw them.
        Of a file that does not say how its data were split: 2,048 of all samples."""
        fraction = self.description.training.get("validation_fraction")
        rows: Int[np.ndarray, " n"] = np.arange(len(dataset))
        if isinstance(fraction, float):
            rows = split(dataset, fraction, self.run_seed).train
        rows = probe_rows(rows, self.run_seed, self.generation)
        inputs = standardised(np.array(dataset.images[rows]), self.description.data)
        return inputs, torch.from_numpy(np.array(dataset.labels[rows], dtype=np.int64))


def find_saved(path: Path) -> Saved:
    """The network of a file, or the champion of a run's directory; ModelFileError or UsageError
    where there is none."""
    if path.is_dir() or path.name == DATABASE:
        path = _champion_file(path)
    elif path.suffix not in SUFFIXES:
        raise ModelFileError(
            f"{path} is no saved network: a file NAME.safetensors with NAME.json beside it was "
            f"expected, or the directory of a run."
        )
    network, description = load_network(path)
    run = path.parent.parent
    within = path.parent.name == FOLDER and (run / DATABASE).is_file()
    config = open_history(run).config.config if within else None
    return Saved(path.with_suffix(SUFFIXES[0]), network, description, config)


def _champion_file(path: Path) -> Path:
    try:
        directory = existing_directory(path)
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}.") from problem
    best = champion_of(open_history(directory))
    if best is None:
        raise UsageError(
            f"{directory} has no champion yet: no generation has ended. Name one of the files in "
            f"{directory / FOLDER}."
        )
    return directory / FOLDER / f"{best.id}.safetensors"


def standardised(images: np.ndarray, data: DataSpecification) -> Float[Tensor, "samples inputs"]:
    """Raw samples as the network takes them: (raw / scale - mean) / deviation, as training does it,
    by one product and one sum in float32. Features down in memory, as products want them."""
    mean, deviation = np.array(data.mean), np.array(data.deviation)
    each = math.prod(data.shape) // len(mean)
    factor, shift = (
        np.repeat(values, each).astype(np.float32)
        for values in (1.0 / (data.scale * deviation), -mean / deviation)
    )
    rows = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32))
    inputs = rows.mul_(torch.from_numpy(factor)).add_(torch.from_numpy(shift))
    return inputs.t().contiguous().t()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
