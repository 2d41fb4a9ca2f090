"""What ran: the command to repeat it, seed, data, engine, time, machine."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from structure_net.reporting import words
from structure_net.reporting.markup import Cell, code, element, facts, heading, paragraph, text
from structure_net.schema import FREE_OF_RESULTS, Results, TrialResult
from structure_net.store import History

MOST_SHOWN = 12  # names of classes and the like; the results file has all


@dataclass(frozen=True)
class View:
    """A run as the sections of the page see it."""

    history: History
    results: Results
    name: str

    @cached_property
    def fitness(self) -> dict[int, float]:
        """Fitness by trial, of every member of every generation that kept it."""
        return {
            number: value
            for event in self.history.generations
            for number, value in event.member_fitness or ()
        }

    @cached_property
    def searched(self) -> list[TrialResult]:
        """Every result of the search; the champion's retrainings are no part of it."""
        again = self.history.retrained
        return [one for number, one in self.history.results.items() if number not in again]


def cell(shown: str, value: Any, field: str, kind: str = "") -> Cell:
    """A value of the results file; one that is null says that it was not measured."""
    return Cell(shown if value is not None else "not measured", value, field, kind)


def figure(value: float | None, field: str = "") -> Cell:
    """Fitness and the like, four digits after the point."""
    return Cell("none" if value is None else f"{value:.4f}", value, field)


def count(value: int, field: str = "") -> Cell:
    return Cell(f"{value:,}", value, field)


def accuracy(value: float, field: str = "") -> Cell:
    """An accuracy as the share of samples it is."""
    return Cell(words.accuracy(value), value, field)


def shown_some(names: Sequence[object], most: int = MOST_SHOWN) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(words.brief(one, 60) for one in names[:most]) + more


def what_ran(view: View) -> str:
    """The section."""
    given = _given(view.results)
    config = shlex.join(["structure-net", "tournament", "--config", f"{view.name}/config.toml"])
    again = f"{config} \\\n  {shlex.join(['--out', view.name + '-again'])}"
    return "\n".join(
        [
            heading("What ran"),
            facts([*_settings(view), *_pace(view), *_machine(view.results)]),
            _settings_given(given) if given else paragraph("Every setting is a default."),
            paragraph(
                "To repeat it, in the folder that holds the run" + _paths(view.results) + ":"
            ),
            code(again),
        ]
    )


def _paths(results: Results) -> str:
    """What must be said of a run whose data or plug-ins are files of the user."""
    own = results.plugins or {"/", "."} & set(results.config["dataset"])
    return " (relative paths of data and plug-ins are from where it was begun)" if own else ""


def _settings(view: View) -> list[tuple[str, Cell | str]]:
    results, data = view.results, view.results.dataset
    config = results.config
    used = Counter(one.engine for one in view.history.results.values())
    engines = ", ".join(f"{name} for {number:,}" for name, number in sorted(used.items()))
    samples = f"{data.train_samples:,} training and {data.validation_samples:,} validation samples"
    return [
        ("seed", cell(str(config["seed"]), config["seed"], "config.seed")),
        ("dataset", Cell(words.clean(data.name), data.name, "dataset.name")),
        ("samples", f"{samples}, {words.clean(data.verified)}, augmentation {data.augmentation}"),
        ("classes", f"{len(data.classes)}: {shown_some(data.classes)}"),
        ("hash of training data", Cell(data.train_hash, data.train_hash, "dataset.train_hash")),
        (
            "size of the search",
            f"{config['tournament_size']} competitors, {config['generations']} generations, "
            f"{config['epochs_per_generation']} epochs each, batches of {results.batch_size} "
            "samples",
        ),
        (
            "selection, fitness",
            f"{words.clean(config['selection'])}, {words.clean(config['fitness'])}",
        ),
        ("engine", f"{results.engine}" + (f" ({engines} trainings)" if engines else "")),
    ]


def _pace(view: View) -> list[tuple[str, Cell | str]]:
    results, stats = view.results, view.results.system_stats
    seconds = sum(one.duration for one in results.generations)
    busy, again = stats.worker_utilization, stats.total_experiments - len(view.searched)
    gpu = ", ".join(f"{name} {share:.0%}" for name, share in stats.gpu_utilization.items())
    rate = stats.experiments_per_second if results.generations else None
    return [
        ("wall time of the search", words.duration(seconds) if seconds else "not measured"),
        (
            "experiments",
            cell(
                f"{stats.total_experiments:,} trainings finished"
                + (f", of them {again:,} of the champion again" if again else ""),
                stats.total_experiments,
                "system_stats.total_experiments",
            ),
        ),
        (
            "pace of the search",
            cell(f"{rate:.3g} experiments a second", rate, "system_stats.experiments_per_second")
            if rate is not None
            else "not measured",
        ),
        (
            "cost",
            cell(
                f"{results.ledger.total / 1e9:,.4g} GFLOP, of it "
                f"{results.ledger.retraining / 1e9:,.4g} for retraining",
                results.ledger.total,
                "ledger.total",
            ),
        ),
        (
            "workers busy",
            cell(
                f"{busy or 0:.0%} of the time of the search",
                busy,
                "system_stats.worker_utilization",
            ),
        ),
        ("GPUs busy", gpu or "not measured"),
        (
            "memory of the workers",
            f"{stats.peak_bytes / 1e6:,.0f} MB at most" if stats.peak_bytes else "not measured",
        ),
    ]


def _machine(results: Results) -> list[tuple[str, Cell | str]]:
    around = results.environment
    memory = around.get("memory_bytes")
    size = f", {memory / 2**30:.1f} GiB of memory" if isinstance(memory, int) else ""
    known = ("version", "python", "torch", "numpy", "system")
    names = {"version": "structure_net"}
    program = [f"{names.get(name, name)} {around[name]}" for name in known if name in around]
    return [
        (
            "machine",
            f"{words.clean(around.get('processor', 'processor not known'))}, "
            f"{around.get('cores', 'unknown')} cores{size}",
        ),
        ("programs", words.clean(", ".join(program)) or "not known"),
    ]


def _given(results: Results) -> list[tuple[str, str]]:
    """Settings that somebody gave, with where: not those of this machine or of no effect."""
    own = ("default", "preset:", "not built")
    return [
        (name, f"{words.brief(results.config.get(name), 200)} ({words.brief(origin, 100)})")
        for name, origin in results.origins.items()
        if not origin.startswith(own) and name not in FREE_OF_RESULTS and name != "plugin"
    ]


def _settings_given(given: list[tuple[str, str]]) -> str:
    rows = "".join(element("li", text(f"{name} = {value}")) for name, value in given)
    return paragraph("Settings that were given:") + element("ul", rows)
