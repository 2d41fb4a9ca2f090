"""Saved networks: the same after a round trip, and refused when a single byte is not as written."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from structure_net.errors import ModelFileError
from structure_net.networks import (
    Network,
    build_network,
    load_network,
    network_tensors,
    save_network,
    tensors_sha256,
)
from tests.networks.reference import description, genome, random_genome

ROOT = Path(__file__).resolve().parents[2]
Tensors = dict[str, np.ndarray]
Fields = dict[str, Any]


@pytest.fixture
def network() -> Network:
    built = build_network(genome(6, [4, 3], 2, 0.6), 1)
    with torch.no_grad():
        built.values += torch.arange(len(built.values)) / 100
    return built


@pytest.fixture
def saved(tmp_path: Path, network: Network) -> Path:
    path = tmp_path / "7.safetensors"
    save_network(network, path, **description(network))
    return path


def refusal(path: Path) -> str:
    """The one paragraph with which a file is refused; it names the file and deletes nothing."""
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(ModelFileError) as refused:
        load_network(path)
    message = str(refused.value)
    assert path.stem in message
    assert "\n" not in message
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    return message


# Round trips


def test_what_comes_back_is_what_was_saved(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0)
    for seed in range(50):
        network = build_network(random_genome(np.random.default_rng([4, seed])), seed)
        path = tmp_path / f"{seed}.safetensors"
        written = save_network(network, path, **description(network))
        found, described = load_network(path)
        assert described == written
        assert found.genome == network.genome
        assert network_tensors(found) == network_tensors(network)
        drawn = torch.from_numpy(inputs.standard_normal((9, network.genome.inputs))).float()
        assert torch.equal(found(drawn), network(drawn))
    assert len(list(tmp_path.iterdir())) == 100  # no temporary file stays


def test_either_file_names_the_network(saved: Path, network: Network) -> None:
    for name in (saved, saved.with_suffix(".json"), saved.with_suffix("")):
        for path in (name, str(name)):
            assert network_tensors(load_network(path)[0]) == network_tensors(network)


def test_a_fresh_process_computes_identical_logits(saved: Path, network: Network) -> None:
    inputs = np.random.default_rng(0).standard_normal((32, 6)).astype(np.float32)
    np.save(saved.parent / "inputs.npy", inputs)
    script = (
        "import sys, numpy, torch; from pathlib import Path\n"
        "from structure_net.networks import load_network\n"
        "folder = Path(sys.argv[1])\n"
        "network, _ = load_network(folder / '7.safetensors')\n"
        "inputs = torch.from_numpy(numpy.load(folder / 'inputs.npy'))\n"
        "numpy.save(folder / 'logits.npy', network(inputs).detach().numpy())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(saved.parent)], cwd=ROOT, check=True)
    expected = network(torch.from_numpy(inputs)).detach().numpy()
    assert np.load(saved.parent / "logits.npy").tobytes() == expected.tobytes()


def test_equal_networks_give_equal_files(saved: Path, network: Network, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "7.safetensors"
    other.parent.mkdir()
    save_network(load_network(saved)[0], other, **description(network))
    assert other.read_bytes() == saved.read_bytes() == network_tensors(network)
    assert other.with_suffix(".json").read_bytes() == saved.with_suffix(".json").read_bytes()


def test_both_hashes_are_those_of_the_files(saved: Path) -> None:
    text = saved.with_suffix(".json").read_text(encoding="utf-8")
    fields = json.loads(text)
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert fields["tensors_sha256"] == tensors_sha256(saved.read_bytes()) == digest
    unsealed = text.replace(fields["description_sha256"], "0" * 64)
    assert fields["description_sha256"] == hashlib.sha256(unsealed.encode()).hexdigest()


def test_loading_moves_no_generator(saved: Path) -> None:
    """In a process of its own: beartype draws from `random` to choose which items it checks."""
    script = (
        "import random, sys, numpy, torch; from pathlib import Path\n"
        "from structure_net.networks import load_network\n"
        "def states():\n"
        "    numpys = str(numpy.random.get_state())\n"
        "    return random.getstate(), numpys, torch.get_rng_state().tolist()\n"
        "before = states()\n"
        "load_network(Path(sys.argv[1]))\n"
        "assert states() == before\n"
    )
    subprocess.run([sys.executable, "-c", script, str(saved)], cwd=ROOT, check=True)


# Damage


def test_any_changed_byte_is_refused(saved: Path) -> None:
    generator = np.random.default_rng(0)
    for path in (saved, saved.with_suffix(".json")):
        whole = path.read_bytes()
        # Bit 5 turns `e` of a number into `E` and lower case into upper case: JSON that still says
        # the same, and must be refused all the same. The others are drawn.
        for place in range(len(whole)):
            for mask in (0x20, int(generator.integers(1, 256))):
                damaged = bytearray(whole)
                damaged[place] ^= mask
                path.write_bytes(damaged)
                with pytest.raises(ModelFileError):
                    load_network(saved)
        path.write_bytes(whole)
    load_network(saved)


def test_any_cut_is_refused(saved: Path) -> None:
    for path in (saved, saved.with_suffix(".json")):
        whole = path.read_bytes()
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(ModelFileError):
                load_network(saved)
        path.write_bytes(whole + b"\n")
        refusal(saved)
        path.write_bytes(whole)


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_missing_half_and_a_folder_in_its_place_are_refused(saved: Path, ending: str) -> None:
    half = saved.with_suffix(ending)
    half.unlink()
    assert str(half) in refusal(saved)
    half.mkdir()
    with pytest.raises(ModelFileError, match=f"7{ending} cannot be read"):
        load_network(saved)


def test_the_files_of_two_networks_do_not_mix(saved: Path, network: Network) -> None:
    saved.write_bytes(network_tensors(build_network(network.genome, 2)))
    assert "SHA-256" in refusal(saved)


# Forgery: hashes that agree with a content that makes no sense


def forge(path: Path, tensors: bytes | Tensors, fields: Fields) -> None:
    """Write both files with right hashes, by an independent way of computing them."""
    content = tensors if isinstance(tensors, bytes) else save(tensors)
    fields = {
        **fields,
        "tensors_sha256": hashlib.sha256(content).hexdigest(),
        "description_sha256": "0" * 64,
    }
    text = json.dumps(fields)
    seal = hashlib.sha256(text.encode()).hexdigest()
    path.write_bytes(content)
    path.with_suffix(".json").write_text(text.replace("0" * 64, seal), encoding="utf-8")


def contents(saved: Path) -> tuple[Tensors, Fields]:
    tensors = {name: array.copy() for name, array in load(saved.read_bytes()).items()}
    return tensors, json.loads(saved.with_suffix(".json").read_text(encoding="utf-8"))


def test_a_forgery_of_the_truth_is_accepted(saved: Path, network: Network) -> None:
    forge(saved, *contents(saved))
    assert network_tensors(load_network(saved)[0]) == network_tensors(network)


def set_at(name: str, place: int, value: float) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name][place] = value

    return change


def replaced(name: str, by: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name] = np.ascontiguousarray(by(tensors[name]))

    return change


def without(name: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        del tensors[name]

    return change


def swapped_in_row(columns: np.ndarray) -> np.ndarray:
    return np.concatenate([columns[1::-1], columns[2:]])


def doubled_in_row(columns: np.ndarray) -> np.ndarray:
    return np.concatenate([columns[:1], columns[:1], columns[2:]])


def source_left_out(columns: np.ndarray) -> np.ndarray:
    """Hidden unit 0 has no consumer any more; each row stays sorted and free of duplicates."""
    return np.where(columns == 0, 1, columns)


BAD_TENSORS: dict[str, tuple[Callable[[Tensors], None], str]] = {
    "no values": (without("values"), "no tensor 'values'"),
    "no columns": (without("layer1.columns"), "layer1.columns"),
    "no row pointers": (without("layer2.row_pointers"), "layer2.row_pointers"),
    "a tensor too many": (
        lambda tensors: tensors.update({"layer9.columns": tensors["layer0.columns"]}),
        "layer9.columns",
    ),
    "unsorted": (replaced("layer0.columns", swapped_in_row), "layer 0"),
    "duplicate": (replaced("layer0.columns", doubled_in_row), "layer 0"),
    "source too high": (set_at("layer0.columns", -1, 6), "layer 0"),
    "source negative": (set_at("layer0.columns", 0, -1), "layer 0"),
    "first pointer": (set_at("layer1.row_pointers", 0, 1), "layer 1"),
    "last pointer": (set_at("layer1.row_pointers", -1, 4), "layer 1"),
    "pointers fall": (set_at("layer1.row_pointers", 1, 99), "layer 1"),
    "empty row": (lambda t: t["layer0.row_pointers"].__setitem__(1, 0), "layer 0"),
    "a row too many": (replaced("layer0.row_pointers", lambda r: np.append(r, r[-1:])), "layer 0"),
    "columns in two dimensions": (replaced("layer0.columns", lambda c: c[None]), "layer 0"),
    "no pointers at all": (replaced("layer0.row_pointers", lambda r: r[:0]), "layer 0"),
    "int64 columns": (replaced("layer0.columns", lambda c: c.astype(np.int64)), "layer 0"),
    "float pointers": (replaced("layer0.row_pointers", lambda c: c.astype(np.float32)), "layer 0"),
    "source cut off": (replaced("layer2.columns", source_left_out), "layer 2"),
    "float64 values": (replaced("values", lambda v: v.astype(np.float64)), "float64"),
    "a value too few": (replaced("values", lambda v: v[:-1]), "do not fit"),
    "values in two dimensions": (replaced("values", lambda v: v[None]), "do not fit"),
    "not a number": (set_at("values", 3, np.nan), "not finite"),
    "infinite": (set_at("values", -1, -np.inf), "not finite"),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_tensors_that_make_no_network_are_refused(saved: Path, name: str) -> None:
    change, said = BAD_TENSORS[name]
    tensors, fields = contents(saved)
    change(tensors)
    forge(saved, tensors, fields)
    assert said in refusal(saved)


def test_counts_of_another_genome_are_refused(saved: Path, network: Network) -> None:
    other = build_network(genome(6, [4, 3], 2, 0.9), 1)
    _, fields = contents(saved)
    forge(saved, network_tensors(other), fields)
    assert "do not fit" in refusal(saved)


def header(text: bytes, size: int | None = None) -> bytes:
    """The head of a safetensors file: its length, then JSON."""
    return struct.pack("<Q", size or len(text)) + text


TERABYTES = b'{"values":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
TOO_LARGE = b'{"values":{"dtype":"F32","shape":[99999999999,99999999999],"data_offsets":[0,4]}}'
LYING = {
    "empty": b"",
    "zeros": b"\0" * 8,
    "huge header": header(b"{}", 1 << 60),
    "terabytes": header(TERABYTES),
    "product beyond 64 bits": header(TOO_LARGE) + b"\0" * 4,
    "deep": header(b"[" * 4000),
}


@pytest.mark.parametrize("content", LYING.values(), ids=LYING.keys())
def test_headers_that_lie_are_refused_before_memory_is_asked_for(
    saved: Path, content: bytes
) -> None:
    _, fields = contents(saved)
    forge(saved, content, fields)
    assert "is not a safetensors file" in refusal(saved)


def test_a_genome_of_terabytes_is_refused_before_memory_is_asked_for(saved: Path) -> None:
    tensors, fields = contents(saved)
    fields["genome"] |= {"inputs": 10_000_000, "output_density": 1.0}
    fields["genome"]["hidden"] = [
        {"width": 65_536, "density": 1.0, "innovation": f"founder-{place}"} for place in range(500)
    ]
    forge(saved, tensors, fields)
    assert "layer 0" in refusal(saved)


BAD_FIELDS: dict[str, tuple[Fields, str]] = {
    "newer format": ({"format_version": 2}, "format version 2"),
    "no format": ({"format_version": None}, "format version None"),
    "a field too many": ({"extra": 1}, "extra"),
    "metrics that are words": ({"metrics": {"validation.accuracy": "high"}}, "metrics"),
    "not a number": ({"metrics": {"validation.accuracy": float("nan")}}, "metrics"),
    "genome of another kind": ({"genome": [1, 2]}, "genome"),
    "no genome": ({"genome": None}, "genome"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_descriptions_that_make_no_sense_are_refused(saved: Path, name: str) -> None:
    changes, said = BAD_FIELDS[name]
    tensors, fields = contents(saved)
    forge(saved, tensors, fields | changes)
    assert said in refusal(saved)


@pytest.mark.parametrize("density", [0.51, 1e-6, 1.5])
def test_a_density_that_is_no_count_is_refused(saved: Path, density: float) -> None:
    tensors, fields = contents(saved)
    fields["genome"]["hidden"][1]["density"] = density
    forge(saved, tensors, fields)
    assert "genome" in refusal(saved)


OTHER_JSON = {
    "empty": "",
    "null": "null",
    "list": "[]",
    "number": "7",
    "deep": "[" * 100_000,
    "long number": '{"format_version": ' + "9" * 5000 + "}",
    "surrogate": '"\\ud800"',
    "surrogate inside": '{"format_version": 1, "genome": "\\ud800"}',
    "cut": '{"format_version": 1',
}


@pytest.mark.parametrize("text", OTHER_JSON.values(), ids=OTHER_JSON.keys())
def test_other_json_is_refused(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_text(text, encoding="utf-8")
    refusal(saved)
