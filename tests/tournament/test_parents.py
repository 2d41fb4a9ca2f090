"""A network that children need and that is not as it was stops the run before anything trains."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from structure_net.errors import DataError
from structure_net.schema import Inheritance, Trial
from structure_net.tournament.parents import check_parents, network_path
from tests.networks.reference import genome

ENDS = (".safetensors", ".json", ".state")
OWN = genome(8, [6], 3, 0.5)


def trial(number: int, *parents: int) -> Trial:
    inherits = None
    if parents:
        other = parents[1] if parents[1:] else None
        inherits = Inheritance(primary=parents[0], other=other, crossed=OWN)
    return Trial(number=number, generation=1, genome=OWN, seed=1, epochs=1, inherits=inherits)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "networks").mkdir()
    for number in (1, 2):
        for end in ENDS:
            (tmp_path / "networks" / f"{number}{end}").write_bytes(f"{number}{end}".encode())
    return tmp_path


def hashes(*numbers: int) -> dict[str, str]:
    content = {number: f"{number}.safetensors".encode() for number in numbers}
    return {network_path(one): hashlib.sha256(text).hexdigest() for one, text in content.items()}


def refusal(directory: Path, *trials: Trial) -> str:
    with pytest.raises(DataError) as told:
        check_parents(trials, directory, hashes(1, 2))
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_is_there_and_as_recorded_passes(directory: Path) -> None:
    assert network_path(7) == "networks/7.safetensors"
    passed = [trial(3), trial(4, 1), trial(5, 1, 2)]
    check_parents(passed, directory, hashes(1, 2))
    assert all(one.exists() for one in (directory / "networks").iterdir())


@pytest.mark.parametrize("end", ENDS)
def test_each_of_the_three_files_is_needed(directory: Path, end: str) -> None:
    (directory / "networks" / f"2{end}").unlink()
    check_parents([trial(4, 1)], directory, hashes(1, 2))
    said = refusal(directory, trial(4, 1), trial(5, 1, 2))
    assert "trial 2" in said
    assert f"lacks 2{end}." in said


def test_another_content_than_the_recorded_is_refused(directory: Path) -> None:
    (directory / "networks" / "1.safetensors").write_bytes(b"something else")
    assert "its SHA-256 is another" in refusal(directory, trial(4, 1))
    (directory / "networks" / "1.safetensors").write_bytes(b"1.safetensors")
    with pytest.raises(DataError, match="is not what this run recorded"):
        check_parents([trial(4, 1)], directory, hashes(2))
