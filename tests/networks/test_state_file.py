"""What an optimizer remembers survives the disk to the bit, and nothing else passes for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.errors import ModelFileError
from structure_net.networks import STATE_HASH, load_alive, save_network, save_state, state_file
from tests.networks.living import living
from tests.networks.reference import description, genome


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "5.safetensors"
    network, state = living(genome(12, [9, 6], 4, 0.4))
    told = description(network)
    told["training"][STATE_HASH] = save_state(state, path)
    save_network(network, path, **told)
    return path


def test_it_comes_back_to_the_bit(saved: Path) -> None:
    network, state = living(genome(12, [9, 6], 4, 0.4))
    again, remembered = load_alive(saved)
    assert torch.equal(again.values, network.values)
    assert remembered.steps == state.steps
    for name in ("first_moment", "second_moment", "age"):
        one, other = getattr(remembered, name), getattr(state, name)
        assert one.tobytes() == other.tobytes()
        assert one.flags.writeable


def test_any_changed_byte_is_refused(saved: Path) -> None:
    path = state_file(saved)
    assert path.name == "5.state"
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ModelFileError, match="is damaged"):
            load_alive(saved)
    path.write_bytes(content[:-1])
    with pytest.raises(ModelFileError, match="is damaged"):
        load_alive(saved)


def test_a_missing_state_and_a_network_saved_without_one_are_told(
    saved: Path, tmp_path: Path
) -> None:
    state_file(saved).unlink()
    with pytest.raises(ModelFileError, match=r"5\.state cannot be read"):
        load_alive(saved)
    network, _ = living(genome(12, [9, 6], 4, 0.4))
    save_network(network, tmp_path / "6.safetensors", **description(network))
    with pytest.raises(ModelFileError, match="inherit = weights"):
        load_alive(tmp_path / "6.safetensors")


@pytest.mark.parametrize("spoiled", ["short", "infinite", "double"])
def test_a_state_that_does_not_fit_its_network_is_refused(tmp_path: Path, spoiled: str) -> None:
    path = tmp_path / "5.safetensors"
    network, state = living(genome(12, [9, 6], 4, 0.4))
    moment = state.first_moment.copy()
    moment[3] = np.inf if spoiled == "infinite" else moment[3]
    moment = moment[:-1] if spoiled == "short" else moment
    wrong = moment.astype(np.float64) if spoiled == "double" else moment
    object.__setattr__(state, "first_moment", wrong)
    told = description(network)
    told["training"][STATE_HASH] = save_state(state, path)
    save_network(network, path, **told)
    with pytest.raises(ModelFileError, match="is not the state of an optimizer"):
        load_alive(path)
