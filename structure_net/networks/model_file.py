"""A saved network: `NAME.safetensors` (numbers) beside `NAME.json` (everything else).

Reading one runs no code and touches no random state. The JSON carries the SHA-256 of the tensor
file and, as its last field, of itself: any byte of either file that is not as written is refused.
The structure is checked against the genome before anything is built.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from structure_net.errors import InvalidGenomeError, ModelFileError
from structure_net.files import atomic_write
from structure_net.genome import Genome, LayerPlan
from structure_net.networks.connectivity import Connections
from structure_net.networks.network import Network

FORMAT_VERSION = 1
UNSEALED = "0" * 64  # stands where the description's own hash goes while that is computed
LISTS = ("row_pointers", "columns")  # of each sparse layer, as `layer0.row_pointers`, …
LARGEST_FILE = 8 << 30  # bytes; a header that claims more is not one of ours


class DataSpecification(BaseModel):
    """The data a network was made for, and how its inputs must be prepared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    train_hash: str
    shape: tuple[int, ...]
    order: str
    classes: tuple[str, ...]
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augmentation: str


class ModelDescription(BaseModel):
    """The JSON beside the tensors. `metrics` are keyed by split: `validation.accuracy`, …

    `description_sha256` is of the JSON file with 64 zeros in that field's place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = FORMAT_VERSION
    genome: Genome
    data: DataSpecification
    training: dict[str, Any]
    metrics: dict[str, float]
    lineage: dict[str, Any]
    versions: dict[str, str]
    tensors_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    description_sha256: str = Field(default=UNSEALED, pattern=r"^[0-9a-f]{64}$")


def network_tensors(network: Network) -> bytes:
    """The tensor file's content: equal networks give equal bytes."""
    from safetensors.numpy import save

    tensors = {"values": network.values.detach().cpu().numpy()}
    for index in range(len(network.layers)):
        layer = network.layer(index)
        tensors[f"layer{index}.row_pointers"] = layer.row_pointers.cpu().numpy()
        tensors[f"layer{index}.columns"] = layer.columns.cpu().numpy()
    return bytes(save(tensors))


def tensors_sha256(content: bytes) -> str:
    """SHA-256 of a tensor file, in hex."""
    return hashlib.sha256(content).hexdigest()


def save_network(network: Network, path: Path, **description: Any) -> ModelDescription:
    """Write `path` (.safetensors) and the JSON beside it; each appears whole or not at all."""
    content = network_tensors(network)
    described = ModelDescription(
        genome=network.genome, tensors_sha256=tensors_sha256(content), **description
    )
    unsealed = described.model_dump_json(indent=1).encode()
    seal = hashlib.sha256(unsealed).hexdigest()
    atomic_write(path, content)
    atomic_write(path.with_suffix(".json"), _with_seal(unsealed, UNSEALED, seal))
    return described.model_copy(update={"description_sha256": seal})


def load_network(path: str | Path) -> tuple[Network, ModelDescription]:
    """A saved network and its description; ModelFileError says what is wrong with the file."""
    path = Path(path).with_suffix(".safetensors")
    described = _description(path.with_suffix(".json"))
    tensors = sealed_tensors(path, described.tensors_sha256, path.with_suffix(".json"))
    connections = [
        _connections(path, tensors, index, plan)
        for index, plan in enumerate(described.genome.plans)
    ]
    _no_others(path, tensors, len(connections))
    try:
        network = Network(described.genome, connections)
    except InvalidGenomeError as problem:
        raise ModelFileError(f"{path}: {problem}") from problem
    values = _tensor(path, tensors, "values")
    if values.shape != tuple(network.values.shape) or values.dtype != np.float32:
        raise ModelFileError(f"{path}: {values.shape} values of {values.dtype} do not fit.")
    if not np.isfinite(values).all():
        raise ModelFileError(f"{path} holds values that are not finite.")
    with torch.no_grad():
        network.values.copy_(torch.from_numpy(values.copy()))
    return network, described


def sealed_tensors(path: Path, sha256: str, description: Path) -> dict[str, np.ndarray]:
    """The tensors of a file whose hash stands in `description`; ModelFileError when it differs."""
    content = _read(path)
    if tensors_sha256(content) != sha256:
        raise ModelFileError(
            f"{path} is damaged: its SHA-256 is not the one in {description.name}. Use another "
            f"copy of both files."
        )
    return _tensors(path, content)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelFileError(f"{path} is larger than any network of ours.")
        return path.read_bytes()
    except OSError as problem:
        raise ModelFileError(
            f"{path} cannot be read: {problem.strerror}. A saved network is two files of one name, "
            f".safetensors and .json."
        ) from problem


def _with_seal(content: bytes, old: str, new: str) -> bytes:
    """A description with another `description_sha256`: its last field, so the last occurrence."""
    head, _, tail = content.rpartition(old.encode())
    return head + new.encode() + tail


def _description(path: Path) -> ModelDescription:
    content = _read(path)
    try:
        raw = json.loads(content)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            raise ModelFileError(
                f"{path} has format version {version}; this program reads {FORMAT_VERSION}."
            )
        described = ModelDescription.model_validate(raw)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelFileError(f"{path}: {place}: {first['msg']}.") from problem
    except (ValueError, RecursionError) as problem:
        raise ModelFileError(f"{path} is not the JSON of a saved network: {problem}.") from problem
    seal = described.description_sha256
    if hashlib.sha256(_with_seal(content, seal, UNSEALED)).hexdigest() != seal:
        raise ModelFileError(
            f"{path} is not as it was written: its SHA-256 is not the one in its last field. "
            f"Use another copy of both files."
        )
    return described


def _tensors(path: Path, content: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise ModelFileError(f"{path} is not a safetensors file: {problem}.") from problem
    return dict(tensors)


def _tensor(path: Path, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in tensors:
        raise ModelFileError(f"{path} holds no tensor {name!r}.")
    return tensors[name]


def _no_others(path: Path, tensors: dict[str, np.ndarray], layers: int) -> None:
    """A tensor that nobody reads would make this another network than the file's author saved."""
    lists = [f"layer{index}.{kind}" for index in range(layers) for kind in LISTS]
    if unknown := sorted(tensors.keys() - {"values", *lists}):
        raise ModelFileError(f"{path} holds a tensor that is not of its network: {unknown[0]!r}.")


def _connections(
    path: Path, tensors: dict[str, np.ndarray], index: int, plan: LayerPlan
) -> Connections:
    """One layer's list, checked: ranges, order, no duplicates, no unit cut off."""
    sources, units = plan.sources, plan.units
    rows, columns = (_tensor(path, tensors, f"layer{index}.{kind}") for kind in LISTS)
    sound = (
        rows.dtype == columns.dtype == np.int32
        and rows.shape == (units + 1,)
        and columns.ndim == 1
        and rows[0] == 0
        and rows[-1] == len(columns)
        and bool((np.diff(rows) >= int(plan.every_unit)).all())
        and len(columns) >= plan.fewest
        and bool(((columns >= 0) & (columns < sources)).all())
    )
    if sound:
        keys = np.repeat(np.arange(units), np.diff(rows)) * sources + columns
        sound = bool((np.diff(keys) > 0).all())
        if plan.every_source:
            sound = sound and len(np.unique(columns)) == sources
    if not sound:
        raise ModelFileError(
            f"{path}: the connection list of layer {index} is not one from {sources} sources to "
            f"{units} units with sorted, distinct places and no unit cut off."
        )
    return Connections(sources, units, rows.copy(), columns.copy())
