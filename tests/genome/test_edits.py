"""Every edit: counts by hand, only the intended layers changed, refusals that change nothing."""

from __future__ import annotations

import hashlib
import random

import pytest
from pydantic import TypeAdapter, ValidationError

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Edit,
    Genome,
    InsertLayer,
    RemoveLayer,
    ResizeLayer,
    ScaleDensity,
    SetActivation,
    SetDensity,
    SetLearningRate,
    SetNormalisation,
    SetStrategy,
    apply_edit,
    genome_of,
)
from tests.genome.draws import random_genome

# 20 to 10 to 8 to 4: possible 200, 80, 32.
START = genome_of(20, [10, 8], 4, [100, 40, 16], base_learning_rate=0.004)
GENES = ("activation", "normalisation", "base_learning_rate", "strategy")


def test_resize_keeps_the_densities_on_both_sides() -> None:
    wider = apply_edit(START, ResizeLayer(layer=0, width=12))
    assert wider.architecture == (20, 12, 8, 4)
    assert wider.counts == (120, 48, 16)  # half of 240, half of 96, untouched
    narrower = apply_edit(START, ResizeLayer(layer=1, width=3))
    assert narrower.counts == (100, 15, 6)
    odd = apply_edit(START, ResizeLayer(layer=1, width=5))
    assert odd.counts == (100, 25, 10)


def test_resize_lifts_counts_to_the_floor() -> None:
    sparse = genome_of(20, [10, 8], 4, [10, 10, 8], base_learning_rate=0.004)
    wider = apply_edit(sparse, ResizeLayer(layer=1, width=16))
    # 160 possible at density 1/8 are 20, above the floor of 16; 64 at 1/4 are 16, the floor itself
    assert wider.counts == (10, 20, 16)
    narrow = apply_edit(sparse, ResizeLayer(layer=1, width=2))
    assert narrow.counts == (10, 10, 4)  # 20/8 rounds to 3, ten sources want ten


def test_insert_gives_the_new_layer_the_density_of_the_one_it_splits() -> None:
    start = genome_of(20, [10, 8], 4, [50, 40, 24], base_learning_rate=0.004)  # 1/4, 1/2, 3/4
    first = apply_edit(start, InsertLayer(place=0, width=6))
    assert first.architecture == (20, 6, 10, 8, 4)
    assert first.counts == (30, 15, 40, 24)
    middle = apply_edit(start, InsertLayer(place=1, width=12))
    assert middle.architecture == (20, 10, 12, 8, 4)
    assert middle.counts == (50, 60, 48, 24)
    last = apply_edit(start, InsertLayer(place=2, width=6))
    assert last.architecture == (20, 10, 8, 6, 4)
    assert last.counts == (50, 40, 36, 18)


def test_equal_insertions_have_equal_names_made_of_their_neighbours() -> None:
    def name(left: str, right: str) -> str:
        return hashlib.sha256(f"{left}|{right}|insert_layer".encode()).hexdigest()[:16]

    places = [("input", "founder-0"), ("founder-0", "founder-1"), ("founder-1", "output")]
    for place, ends in enumerate(places):
        child = apply_edit(START, InsertLayer(place=place, width=9))
        other = apply_edit(START, InsertLayer(place=place, width=7))
        assert child.hidden[place].innovation == other.hidden[place].innovation == name(*ends)
        rest = [gene for index, gene in enumerate(child.hidden) if index != place]
        assert [gene.innovation for gene in rest] == ["founder-0", "founder-1"]


def test_remove_bridges_the_gap_at_the_density_of_the_next_layer() -> None:
    first = apply_edit(START, RemoveLayer(layer=0))
    assert first.architecture == (20, 8, 4)
    assert first.counts == (80, 16)
    last = apply_edit(START, RemoveLayer(layer=1))
    assert last.architecture == (20, 10, 4)
    assert last.counts == (100, 20)
    dense_output = genome_of(20, [10, 8], 4, [100, 40, 32], base_learning_rate=0.004)
    assert apply_edit(dense_output, RemoveLayer(layer=1)).counts == (100, 40)


def test_one_density_changes_one_count() -> None:
    for layer in range(3):
        edited = apply_edit(START, SetDensity(layer=layer, density=0.75))
        wanted = list(START.counts)
        wanted[layer] = (150, 60, 24)[layer]
        assert list(edited.counts) == wanted
        assert edited.architecture == START.architecture
    assert apply_edit(START, SetDensity(layer=1, density=0.001)).counts == (100, 10, 16)
    assert apply_edit(START, SetDensity(layer=1, density=7.0)).counts == (100, 80, 16)


def test_scaling_keeps_the_proportions_until_a_bound() -> None:
    half = apply_edit(START, ScaleDensity(overall_density=78 / 312))
    assert half.counts == (50, 20, 8)
    # Twice 100, 40, 16 would fill every layer exactly.
    assert apply_edit(START, ScaleDensity(overall_density=1.0)).counts == (200, 80, 32)
    assert apply_edit(START, ScaleDensity(overall_density=1e-6)).counts == (10, 10, 8)


def _intended(edit: Edit, before: Genome, after: Genome) -> None:
    """What an edit may not touch is equal, by the two genomes' own fields."""
    changed = {"set_activation": {"activation"}, "set_strategy": {"strategy"}}
    changed["set_learning_rate"] = {"base_learning_rate"}
    changed["set_normalisation"] = {"normalisation"}
    for gene in GENES:
        if gene not in changed.get(edit.kind, set()):
            assert getattr(after, gene) == getattr(before, gene)
    assert (after.inputs, after.classes) == (before.inputs, before.classes)
    old, new = list(before.counts), list(after.counts)
    widths, kept = list(before.architecture[1:-1]), list(after.architecture[1:-1])
    match edit:
        case SetActivation() | SetNormalisation() | SetStrategy() | SetLearningRate():
            assert (old, widths) == (new, kept)
        case SetDensity(layer=layer):
            assert widths == kept
            assert old[:layer] + old[layer + 1 :] == new[:layer] + new[layer + 1 :]
        case ResizeLayer(layer=layer):
            assert widths[:layer] + widths[layer + 1 :] == kept[:layer] + kept[layer + 1 :]
            assert kept[layer] == edit.width
            assert (old[:layer], old[layer + 2 :]) == (new[:layer], new[layer + 2 :])
        case InsertLayer(place=place):
            assert kept == [*widths[:place], edit.width, *widths[place:]]
            assert (old[:place], old[place + 1 :]) == (new[:place], new[place + 2 :])
        case RemoveLayer(layer=layer):
            assert kept == widths[:layer] + widths[layer + 1 :]
            assert (old[:layer], old[layer + 2 :]) == (new[:layer], new[layer + 1 :])
        case _:
            assert widths == kept


def _random_edit(draw: random.Random, genome: Genome) -> Edit:
    """Any edit, a third of them with a place, width or density that cannot be."""
    layer, width = (
        draw.randint(-1, len(genome.hidden) + 1),
        draw.choice([-3, 0, 1, 40, 300, 70_000]),
    )
    return draw.choice(
        [
            ResizeLayer(layer=layer, width=width),
            SetDensity(layer=layer, density=draw.uniform(-0.1, 1.2)),
            ScaleDensity(overall_density=draw.uniform(-0.1, 1.2)),
            InsertLayer(place=layer, width=width),
            RemoveLayer(layer=layer),
            SetActivation(activation=draw.choice(ACTIVATIONS)),
            SetNormalisation(normalisation=draw.choice(NORMALISATIONS)),
            SetLearningRate(base_learning_rate=draw.choice([-1.0, 0.0, 1e-3, 1.0, 2.0])),
            SetStrategy(strategy="CONSTANT"),
        ]
    )


def test_random_edits_give_valid_genomes_or_are_refused_and_touch_nothing_else() -> None:
    draw, kinds = random.Random(3), {"done": set(), "refused": set()}
    for _ in range(3000):
        genome = random_genome(draw)
        before, edit = genome.model_dump_json(), _random_edit(draw, genome)
        try:
            after = apply_edit(genome, edit)
        except InvalidGenomeError:
            kinds["refused"].add(edit.kind)
        else:
            kinds["done"].add(edit.kind)
            assert Genome.model_validate_json(after.model_dump_json()) == after
            _intended(edit, genome, after)
        assert genome.model_dump_json() == before
        assert genome.id == Genome.model_validate_json(before).id
    assert len(kinds["done"]) == 9
    assert kinds["refused"] == {
        "resize_layer",
        "set_density",
        "insert_layer",
        "remove_layer",
        "set_learning_rate",
    }


def test_the_id_follows_an_edit_even_where_the_old_one_was_read() -> None:
    assert START.id
    edited = apply_edit(START, SetStrategy(strategy="CONSTANT"))
    assert edited.id != START.id
    assert apply_edit(edited, SetStrategy(strategy="COSINE")).id == START.id


@pytest.mark.parametrize(
    "edit",
    [
        ResizeLayer(layer=2, width=5),
        SetDensity(layer=3, density=0.5),
        InsertLayer(place=3, width=5),
        RemoveLayer(layer=-1),
        ResizeLayer(layer=0, width=0),
        SetLearningRate(base_learning_rate=1.5),
    ],
)
def test_a_place_or_value_that_is_not_there_is_refused(edit: Edit) -> None:
    with pytest.raises(InvalidGenomeError):
        apply_edit(START, edit)


def test_the_only_hidden_layer_stays() -> None:
    one = genome_of(20, [10], 4, [100, 20], base_learning_rate=0.004)
    with pytest.raises(InvalidGenomeError, match="only hidden layer"):
        apply_edit(one, RemoveLayer(layer=0))


def test_edits_are_data_that_survive_json_and_refuse_what_is_not_a_number() -> None:
    adapter: TypeAdapter[Edit] = TypeAdapter(Edit)
    draw = random.Random(4)
    for _ in range(200):
        edit = _random_edit(draw, START)
        assert adapter.validate_json(edit.model_dump_json()) == edit
    for text in ('{"kind": "widen"}', '{"layer": 1}', "[]", '{"kind":"set_density","layer":0}'):
        with pytest.raises(ValidationError):
            adapter.validate_json(text)
    with pytest.raises(ValidationError):
        ScaleDensity(overall_density=float("nan"))
