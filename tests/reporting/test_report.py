"""The report of a run: its numbers are those of the results file; any text in it is inert."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structure_net.reporting import report_page, results_of
from structure_net.reporting.markup import SORTING
from structure_net.reporting.words import clean
from structure_net.schema import (
    Event,
    GenerationFinished,
    MetricsMeasured,
    TournamentStarted,
    TrialFinished,
    resolve,
)
from structure_net.store import History, replay
from tests.reporting import stream
from tests.reporting.pages import Element, Read, read

HOSTILE = "\"'><script>alert(1)</script><img src=http://a.example/b onerror=c>&amp;\x1b[31m</svg>"
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "script",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
    ),
    *("dl", "dt", "dd", "div", "section", "table", "thead", "tbody", "tr", "th", "td", "strong"),
    *("pre", "code", "figure", "svg", "path", "polyline", "polygon", "circle", "text", "details"),
    *("summary", "sup", "figcaption"),
}


def trained(number: int, accuracy: float, size: int, **trial: Any) -> TrialFinished:
    event = stream.trial_finished(number, trial.get("generation", 0))
    result = event.result
    return event.model_copy(
        update={
            "result": result.model_copy(
                update={
                    "trial": result.trial.model_copy(update=trial),
                    "validation_accuracy": accuracy,
                    "active_parameters": size,
                }
            )
        }
    )


def story() -> list[Event]:
    """The scripted run with results that differ, a front and a lineage."""
    made = {
        0: trained(0, 0.75, 100, parents=(1, 2), operators=("crossover", "width"), generation=1),
        1: trained(1, 0.5, 10),
        2: trained(2, 0.25, 1000),
        4: trained(4, 0.5, 500, generation=1, parents=(1,), operators=("continue",)),
    }
    events: list[Event] = []
    for event in stream.whole_run():
        if isinstance(event, TrialFinished):
            events.append(made.get(event.trial or 0, event))
        elif isinstance(event, GenerationFinished):
            more: dict[str, Any] = {"front": (0, 1), "hypervolume": 0.375}
            top = [one.model_copy(update={"lineage": (1, 2)} if one.id == 0 else {})
                   for one in event.top_performers]  # fmt: skip
            events.append(event.model_copy(update={**more, "top_performers": tuple(top)}))
        else:
            events.append(event)
    return events


def told(events: Iterable[Event]) -> History:
    history = replay(events)
    history.stored_config = resolve(preset="quick", seed=5)
    return history


def page_of(events: Iterable[Event], name: str = "first") -> Read:
    return read(report_page(told(events), name))


def in_results(history: History, field: str) -> Any:
    """What the results file has at a place like `generations.0.best_fitness`."""
    content = json.loads(results_of(history).model_dump_json())
    steps = [int(part) if part.isdecimal() else part for part in field.split(".")]
    return reduce(lambda inner, step: inner[step], steps, content)


IN_OTHER_UNITS = {"ledger.total": 1e-9, "system_stats.worker_utilization": 100.0}


def assert_shown(one: Element) -> None:
    """The first number of the text is the value, rounded in its last digit."""
    found = re.match(r"(-?[\d,]+(?:\.(\d+))?(?:e[-+]\d+)?)", one.text)
    if isinstance(one.value, str | list):
        return
    if isinstance(one.value, dict):
        assert one.text == f"undetermined: {one.value['undetermined']}"
        return
    assert found is not None, one.text
    shown, place = float(found[1].replace(",", "")), one.attributes["data-field"]
    counted = place.endswith((".generation", ".epoch"))  # from 1 on screens
    exact = one.value * IN_OTHER_UNITS.get(place, 1) + counted
    last_digit = 10.0 ** -len(found[2] or "")
    assert abs(shown - exact) <= 0.51 * last_digit or math.isclose(shown, exact, rel_tol=1e-3)


def test_the_numbers_of_the_page_are_those_of_the_results_file() -> None:
    history = told(story())
    fields = {}
    for one in page_of(story()).valued():
        place = one.attributes["data-field"]
        exact = in_results(history, place)
        fields[place] = exact
        if "data-value" in one.attributes:
            assert one.value == exact, place
            assert_shown(one)
        else:
            assert exact is None, place
    wanted = {
        *("config.seed", "dataset.train_hash", "ledger.total", "final_best.test_accuracy"),
        *("final_best.validation_accuracy", "final_best.active_parameters", "final_best.fitness"),
        *("final_best.retraining.0.test_accuracy", "generations.1.hypervolume", "operators.0.name"),
        *("generations.1.best_fitness", "generations.0.fitness_quartiles.1", "failures.0.trial"),
        *("front.1.active_parameters", "success_criteria.5.figure", "operators.0.survived"),
        *("system_stats.experiments_per_second", "system_stats.total_experiments"),
    }
    assert wanted <= fields.keys()
    assert len(fields) > 60


def test_quartiles_are_those_of_another_program() -> None:
    best = [stream.performer(number, fitness=0.1 * number) for number in range(7)]
    history = told([*stream.whole_run()[:2], stream.generation_finished(0, *reversed(best))])
    (generation,) = results_of(history).generations
    values = [one.fitness for one in best]
    assert generation.fitness_quartiles == pytest.approx(np.percentile(values, [25, 50, 75]))


def test_the_front_is_drawn_where_a_hand_puts_it() -> None:
    """Sizes 10 to 8,409 and errors 0.088 to 0.75, with 4 % room at both ends of each axis."""
    page = page_of(story())
    rings = [one for one in page.page.all("circle") if one.attributes["r"] == "5"]
    drawn = [(float(one.attributes["cx"]), float(one.attributes["cy"])) for one in rings]
    room = (8409 / 10) ** 0.04
    low, high = math.log(10 / room), math.log(8409 * room)
    bottom, top = 0.088 - 0.04 * 0.662, 0.75 + 0.04 * 0.662

    def by_hand(size: int, error: float) -> tuple[float, float]:
        x = 62 + (math.log(size) - low) / (high - low) * (480 - 62 - 22)
        y = 320 - 48 - (error - bottom) / (top - bottom) * (320 - 48 - 12)
        return (round(x, 1), round(y, 1))

    assert drawn[:2] == [by_hand(100, 0.25), by_hand(10, 0.5)]
    assert len(drawn) == 3  # the front and the fittest
    (dots,) = [one for one in page.page.all("path") if one.attributes.get("class") == "dots"
               and "M" + "{} {}".format(*by_hand(1000, 0.75)) in one.attributes["d"]]  # fmt: skip
    assert dots.attributes["d"].count("M") == 5  # trials 0 to 2, 4, 5; not the retraining


def test_population_lineage_failures_and_operators_have_their_rows() -> None:
    page = page_of(story())
    (width,) = page.table("operators")
    assert [cell.text for cell in width[:4]] == ["width", "6", "2", "0"]
    members = page.table("population")
    assert [(row[0].text, row[1].text) for row in members] == [
        ("0", "0.9000"), ("5", "0.8123"), ("2", "0.8123"),
    ]  # fmt: skip
    assert [cell.text for cell in members[0][8:10]] == ["1, 2", "crossover, width"]
    assert [row[0].text for row in page.table("lineage")] == ["2", "1", "0"]
    (failed,) = page.table("failures")
    assert [cell.text for cell in failed] == ["3", "1", "4", "diverged", "the loss is not finite"]
    nodes = [one for one in page.page.all("circle") if one.attributes["r"] == "15"]
    assert len(nodes) == 3


def test_what_was_measured_on_what_is_said() -> None:
    text = page_of(story()).page.text
    assert "The test part was read once" in text
    assert "GPUs busynot measured" in text
    assert "structure-net tournament --config first/config.toml" in text
    assert "load_network(Path('first/networks/0.safetensors'))" in text
    assert "seed = 5 (argument)" in text
    before = page_of(story()[:-4]).page.text
    assert "Not finished" in before
    assert "no figure here is one of the test" in before
    assert "test accuracynot read" in before
    assert "0.943" not in before


@pytest.mark.parametrize("events", range(1, len(stream.whole_run()) + 1, 3))
def test_every_state_of_a_run_has_a_sound_page(events: int) -> None:
    page = page_of(story()[:events])
    assert page.fetched == []
    assert page.tags <= TAGS
    started = any(event.kind == "TrialFinished" for event in story()[:events])
    assert ("No trial has finished" in page.page.text) == (not started)


def test_a_run_that_ended_before_it_began_has_a_page_that_says_so() -> None:
    assert "ended before it began" in page_of([]).page.text


def test_an_older_run_without_the_fitness_of_members_says_so() -> None:
    bare: dict[str, Any] = {"member_fitness": None, "front": (), "hypervolume": None}
    events = [
        event.model_copy(update=bare) if isinstance(event, GenerationFinished) else event
        for event in story()
    ]
    text = page_of(events).page.text
    assert "Median and quartiles were not kept" in text
    assert "hypervolume were not kept" in text
    assert "the best alone" in text


def hostile_story() -> list[Event]:
    bad = stream.genome(7, strategy=HOSTILE)
    trial: dict[str, Any] = {"operators": (HOSTILE,), "genome": bad}
    events: list[Event] = []
    for event in story():
        more: dict[str, Any] = {}
        if event.kind == "TournamentStarted":
            event = stream.tournament_started(HOSTILE, processor=HOSTILE, version=HOSTILE)
            more["dataset"] = event.dataset.model_copy(
                update={"classes": (HOSTILE,) * 20, "verified": HOSTILE}
            )
            more["without"], more["engine"] = (HOSTILE,), HOSTILE
            plugin = event.plugins[0].model_copy(update={"name": HOSTILE})
            more["plugins"] = (plugin,)
        elif isinstance(event, TrialFinished):
            changed = event.result.trial.model_copy(update=trial)
            more["result"] = event.result.model_copy(update={"trial": changed, "engine": HOSTILE})
        elif event.kind == "TrialFailed":
            more["reason"] = HOSTILE
        elif isinstance(event, GenerationFinished):
            more["operators"] = (event.operators[0].model_copy(update={"name": HOSTILE}),)
        events.append(event.model_copy(update=more))
    return events


def test_hostile_names_are_inert() -> None:
    history = told(hostile_story())
    assert history.stored_config is not None
    config = history.stored_config.config.model_copy(
        update={"fitness": HOSTILE, "selection": HOSTILE, "dataset": HOSTILE}
    )
    origins = {**history.stored_config.origins, "fitness": HOSTILE, "selection": HOSTILE}
    history.stored_config = history.stored_config.model_copy(
        update={"config": config, "origins": origins}
    )
    text = report_page(history, HOSTILE)
    page = read(text)
    assert page.fetched == []
    assert page.tags <= TAGS
    assert [one.text for one in page.page.all("script")] == [SORTING]
    assert text.count("&lt;script&gt;") > 15
    assert "\x1b" not in text
    assert page.page.all("h1")[0].text == clean(HOSTILE)


@settings(max_examples=30)
@given(st.text(max_size=30))
def test_any_name_is_shown_as_it_is(name: str) -> None:
    page = page_of(story()[:4], name)
    assert page.page.all("h1")[0].text == clean(name)


def test_the_page_asks_for_nothing_from_outside() -> None:
    text = report_page(told(story()), "first")
    assert re.findall(r"url\(|@import|https?:|//|\bfetch\b|XMLHttp|import\(", text) == []
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_ten_thousand_trials_fit_and_what_is_left_out_is_said() -> None:
    draw = np.random.default_rng(3)
    events: list[Event] = [stream.tournament_started(), stream.generation_started()]
    sample = stream.generation_finished(0, stream.performer(0)).model_copy(update={"front": (0,)})
    for generation in range(500):
        numbers = range(20 * generation, 20 * generation + 20)
        for number in numbers:
            accuracy, size = draw.random(), int(10 ** draw.uniform(1, 6))
            events.append(trained(number, float(accuracy), size, generation=generation))
        fitness = tuple((number, float(draw.random())) for number in numbers)
        changed: dict[str, Any] = {"generation": generation, "member_fitness": fitness}
        top = (stream.performer(0, fitness=0.9).model_copy(update={"lineage": (*range(1, 9000),)}),)
        changed["top_performers"] = top
        events.append(sample.model_copy(update=changed))
    events += [stream.trial_failed(10_000 + number, "x" * 1000) for number in range(1000)]
    text = report_page(told(events), "large")
    page = read(text)
    assert len(text) < 500_000
    dots = [one for one in page.page.all("path") if one.attributes.get("class") == "dots"]
    drawn = max(one.attributes["d"].count("M") for one in dots)
    assert 3000 < drawn <= 5000
    assert (
        f"10,000 trials of the search; sizes on a logarithmic scale. {10_000 - drawn:,} are left"
        in (page.page.text)
    )
    assert "of 500 generations are drawn" in page.page.text
    assert "the latest 60 are shown, 8,940 are left out" in page.page.text
    assert "The first 100 are shown, the results file has all." in page.page.text
    assert len(page.table("generations")) == 200


def test_the_champions_metrics_are_in_the_page_by_group() -> None:
    page = page_of(stream.whole_run())
    rows = {row[0].text: row for row in page.table("metrics-activity")}
    assert rows.keys() == {"firing_rate", "saturated_fraction"}
    rate, flat = rows["firing_rate"], rows["saturated_fraction"]
    meanings = [one.meaning for one in stream.METRICS.values()]
    assert [one.text for one in rate] == [
        "firing_rate",
        "0.4",
        "share",
        "0.5 0.3",
        "-",
        meanings[0],
    ]
    assert rate[1].value == 0.4
    assert flat[1].text == "undetermined: only units with tanh saturate"
    assert [flat[4].text, flat[5].text] == ["lower", meanings[1]]
    labels = [one.attributes.get("aria-label", "") for one in page.page.all("svg")]
    assert sum("by the share of samples on which they fire" in label for label in labels) == 2


def test_without_metrics_or_declarations_the_page_says_what_it_can() -> None:
    events = stream.whole_run()
    bare = [event for event in events if not isinstance(event, MetricsMeasured)]
    assert "Inside the champion" not in page_of(bare).page.text
    undeclared = [
        event.model_copy(update={"metrics": {}}) if isinstance(event, TournamentStarted) else event
        for event in events
    ]
    names = {row[0].text for row in page_of(undeclared).table("metrics-other")}
    assert names == {"firing_rate", "saturated_fraction"}
