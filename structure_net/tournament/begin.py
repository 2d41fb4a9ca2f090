"""A run made, or taken up again: all checks, the directory, the lock."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from structure_net.datasets import Dataset, load
from structure_net.engine import choose_engine, load_library
from structure_net.environment import DECIDES_BITS, facts
from structure_net.errors import DataError, UsageError
from structure_net.evolution import Evolution
from structure_net.executors import slots_of
from structure_net.files import atomic_write
from structure_net.genome import Genome
from structure_net.schema import (
    FREE_OF_RESULTS,
    Config,
    Given,
    Resolved,
    config_toml,
    flat_values,
    resolve,
    validated,
)
from structure_net.store import (
    History,
    acquire,
    existing_directory,
    new_directory,
    open_history,
    read_about,
    sweep,
    write_owner,
)
from structure_net.tournament.data_facts import batch_size_of, dataset_facts
from structure_net.tournament.extensions import keep, load_copies, load_extensions
from structure_net.tournament.price import most_cost
from structure_net.tournament.tournament import Tournament
from structure_net.tournament.workers import workers_of


def start(resolved: Resolved) -> Tournament:
    """A new run in a directory of its own; what can be wrong is found before that exists."""
    config = resolved.config
    plugins = load_extensions(config)
    _check_engine(config)
    dataset = load(config.dataset, config.data_dir, limit_train=config.limit_train)
    data = dataset_facts(dataset, config)
    batch_size = batch_size_of(config, data)
    growth, fitted = config.growth_plan(dataset.inputs), config.initialisation == "lsuv"
    price = partial(most_cost, data, batch_size, growth, fitted=fitted)
    evolution = Evolution(config, dataset.inputs, len(dataset.classes), price)
    if config.max_cost is not None:
        evolution.ask()  # refuses a limit below the first epoch
    workers_of(config, dataset, batch_size, partial(_engine_of, config))
    directory = new_directory(config.out, config.name, config.preset)
    with ExitStack() as until_it_stands:
        lock = acquire(directory)
        until_it_stands.callback(lock.release)
        write_owner(directory)
        stamp = time.strftime("%Y%m%d_%H%M%S")
        atomic_write(directory / "config.toml", config_toml(resolved).encode())
        kept = keep(plugins, directory)
        history = History(stored_config=resolved)
        tournament = Tournament(resolved, dataset, directory, lock, history, stamp, plugins=kept)
        tournament.store.describe(
            run_id=uuid.uuid4().hex,
            stamp=stamp,
            config=resolved.model_dump(mode="json"),
            plugins=[file.model_dump() for file in kept],
            **facts(),
        )
        until_it_stands.pop_all()
    return tournament


def _engine_of(config: Config, genome: Genome, kind: str) -> str:
    return choose_engine(genome, config.engine, kind)


def _check_engine(config: Config) -> None:
    """UsageError where the devices, or the engine on them, cannot be had."""
    if slots_of(config)[0].device != "cpu" and config.engine == "native":
        raise UsageError(
            "engine native trains on processors, and this run would use a CUDA device. Take "
            "--device cpu, or --engine auto."
        )
    if config.engine == "native":
        load_library()


def resume(run: Path, changes: Given | None = None) -> Tournament:
    """A stored run, ready to go on. `changes` may touch only what cannot change a result."""
    directory = existing_directory(run)
    with ExitStack() as until_it_stands:
        lock = acquire(directory)
        until_it_stands.callback(lock.release)
        write_owner(directory)
        history, about = open_history(directory), read_about(directory)
        resolved = _changed(history.config, changes or Given(), history)
        config, kept = resolved.config, load_copies(directory, about.get("plugins", ()))
        dataset = load(config.dataset, config.data_dir, limit_train=config.limit_train)
        _check_data(dataset, history, directory)
        sweep(directory)
        stamp, warnings = about["stamp"], _differences(about)
        tournament = Tournament(resolved, dataset, directory, lock, history, stamp, warnings, kept)
        history.stored_config = resolved
        tournament.store.describe(config=resolved.model_dump(mode="json"))
        until_it_stands.pop_all()
    return tournament


def _changed(stored: Resolved, changes: Given, history: History) -> Resolved:
    """The stored configuration with the changes a resumed run may have."""
    flat = flat_values(stored.config)
    for name, value in changes.values.items():
        if name == "generations" and history.retraining is not None and value != flat[name]:
            raise UsageError(
                f"The champion of this run is chosen and being trained again, so the run cannot "
                f"get other than {flat[name]} generations. Start a new run."
            )
        free = name in FREE_OF_RESULTS
        more = name == "generations" and isinstance(value, int) and value >= flat[name]
        if more and history.finished is not None and value > flat[name]:
            raise UsageError(
                f"This run is finished and its test part was read, so it cannot get more than "
                f"{flat[name]} generations. Start a new run."
            )
        if not (free or more) and value != flat.get(name):
            raise UsageError(
                f"{name} is {flat.get(name)!r} in this run and cannot become {value!r}: it would "
                f"change the results. Start a new run for that."
            )
    origins = {**stored.origins, **changes.origins}
    known = {name: value for name, value in flat.items() if value is not None}
    merged = {**known, **changes.values}
    resolve(changes)  # raises where a change is not built or out of range
    return Resolved(config=validated(merged, origins), origins=origins)


def _check_data(dataset: Dataset, history: History, directory: Path) -> None:
    before = history.started.dataset.train_hash if history.started else dataset.train_hash
    if dataset.train_hash != before:
        raise DataError(
            f"{directory} was begun on data with hash {before[:12]}, and {dataset.name} now has "
            f"{dataset.train_hash[:12]}. Provide the same data (--data-dir), or start a new run."
        )


def _differences(about: dict[str, Any]) -> tuple[str, ...]:
    """What is no longer as it was when the run began, and may change last bits."""
    now = facts()
    return tuple(
        f"{name} was {about[name]} and is {now[name]}: the last bits may differ"
        for name in DECIDES_BITS
        if name in about and about[name] != now[name]
    )
