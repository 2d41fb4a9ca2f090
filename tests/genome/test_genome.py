"""What a genome is: its identity, its stored form, and what is refused."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from structure_net.errors import InvalidGenomeError
from structure_net.genome import Genome, genome_of
from tests.genome.draws import random_genome

GENOME = genome_of(64, [12, 8], 10, [100, 40, 30], base_learning_rate=0.004)
FIELDS = json.loads(GENOME.model_dump_json())


def test_the_id_is_of_the_content_alone() -> None:
    named = json.loads(json.dumps(FIELDS))
    for layer in named["hidden"]:
        layer["innovation"] = "elsewhere"
    turned = {
        name: FIELDS[name]
        if name != "hidden"
        else [dict(reversed(layer.items())) for layer in FIELDS["hidden"]]
        for name in reversed(FIELDS)
    }
    assert Genome.model_validate(named).id == Genome.model_validate(turned).id == GENOME.id
    assert Genome.model_validate(named) != GENOME  # history is stored, and takes part in equality


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "tanh"),
        ("normalisation", "rms"),
        ("strategy", "CONSTANT"),
        ("base_learning_rate", 0.0040000001),
        ("inputs", 128),
        ("output_density", 31 / 80),
        ("hidden", [dict(FIELDS["hidden"][0], density=101 / 768), FIELDS["hidden"][1]]),
    ],
)
def test_every_gene_takes_part_in_the_id(name: str, value: Any) -> None:
    changed = {**FIELDS, name: value}
    if name == "inputs":  # the same count of connections from twice the inputs
        changed["hidden"] = [dict(FIELDS["hidden"][0], density=100 / 1536), FIELDS["hidden"][1]]
    assert Genome.model_validate(changed).id != GENOME.id


def test_equal_content_has_one_id_in_every_process() -> None:
    code = (
        "import sys; from structure_net.genome import Genome; "
        "print(Genome.model_validate_json(sys.stdin.read()).id)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=GENOME.model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }
    assert told == {GENOME.id}


def test_a_thousand_genomes_survive_their_json_and_differ_in_id() -> None:
    draw = random.Random(2)
    genomes = [random_genome(draw) for _ in range(1000)]
    for genome in genomes:
        read = Genome.model_validate_json(genome.model_dump_json())
        assert read == genome
        assert read.id == genome.id
    assert len({genome.id for genome in genomes}) == 1000


def test_a_genome_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        GENOME.inputs = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        GENOME.hidden[0].width = 3  # type: ignore[misc]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
LAYER_FIELDS = st.sampled_from(["width", "density", "innovation", "depth"])


@settings(max_examples=300)
@given(name=st.sampled_from([*FIELDS, "weights"]), value=JSON, layer=LAYER_FIELDS)
def test_fuzzed_fields_are_refused_or_valid_never_a_crash(
    name: str, value: Any, layer: str
) -> None:
    for fields in (
        {**FIELDS, name: value},
        {**FIELDS, "hidden": [{**FIELDS["hidden"][0], layer: value}, FIELDS["hidden"][1]]},
        {key: kept for key, kept in FIELDS.items() if key != name},
    ):
        for read in (Genome.model_validate, lambda one: Genome.model_validate_json(dumps(one))):
            try:
                genome = read(fields)
            except ValidationError:
                continue
            assert Genome.model_validate_json(genome.model_dump_json()) == genome


def dumps(fields: dict[str, Any]) -> str:
    return json.dumps(fields)  # NaN and infinity as Python spells them, surrogates escaped


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_text_that_is_no_genome_is_a_validation_error(text: str | bytes) -> None:
    with pytest.raises(ValidationError):
        Genome.model_validate_json(
            text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"inputs": 1, "inputs": 2}', "Field required"),
        ("[" * 10_000, "recursion"),
        (json.dumps({**FIELDS, "classes": 1}), "greater than or equal to 2"),
        (json.dumps({**FIELDS, "output_density": 0.4}), None),
        (json.dumps({**FIELDS, "output_density": 0.401}), "whole number of connections"),
        (json.dumps({**FIELDS, "output_density": 9 / 80}), "units cut off"),
        (json.dumps({**FIELDS, "hidden": [FIELDS["hidden"][0]] * 1001}), "at most 1000"),
        (json.dumps({**FIELDS, "inputs": 10**30}), "less than or equal"),
    ],
)
def test_known_damage_is_named(text: str, said: str | None) -> None:
    if said is None:
        assert Genome.model_validate_json(text).counts[-1] == 32
        return
    with pytest.raises(ValidationError, match=said):
        Genome.model_validate_json(text)


def test_one_network_has_one_density_to_the_last_bit() -> None:
    """Two spellings of one count would be two ids of one network."""
    for neighbour in (math.nextafter(30 / 80, 0), math.nextafter(30 / 80, 1)):
        with pytest.raises(ValidationError, match="nearest is 30/80"):
            Genome.model_validate({**FIELDS, "output_density": neighbour})


def test_a_layer_with_fewer_connections_than_units_is_no_genome() -> None:
    for counts in ([11, 40, 30], [100, 11, 30], [100, 40, 9], [769, 40, 30]):
        with pytest.raises(InvalidGenomeError, match=r"\[64, 12, 8, 10\]"):
            genome_of(64, [12, 8], 10, counts, base_learning_rate=0.004)
    for widths in ([0, 8], [12, -8], [12, 65_537]):
        with pytest.raises(InvalidGenomeError):
            genome_of(64, widths, 10, [100, 40, 30], base_learning_rate=0.004)
