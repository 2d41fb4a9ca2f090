"""The plug-ins of a run: loaded before any name is looked up, kept beside what they decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from structure_net.errors import DataError
from structure_net.evolution import FITNESS, MUTATIONS, SELECTION
from structure_net.files import atomic_write
from structure_net.growth import GROWTH_RULES
from structure_net.learning_rates import SCHEDULES, STRATEGIES, strategy_of
from structure_net.metrics import METRICS
from structure_net.plugins import Plugin, load_plugins
from structure_net.schema import Config, PluginFile

FAMILIES = (FITNESS, SELECTION, MUTATIONS, STRATEGIES, SCHEDULES, METRICS, GROWTH_RULES)
FOLDER = "plugins"


def load_extensions(config: Config) -> tuple[Plugin, ...]:
    """The plug-ins of a new run, and every name of its configuration looked up."""
    plugins = load_plugins(config.plugin, FAMILIES)
    FITNESS.get(config.fitness)
    SELECTION.get(config.selection)
    for name in config.learning_rate_strategies:
        strategy_of(name)
    for name in config.growth_rules:
        GROWTH_RULES.get(name)
    return plugins


def keep(plugins: Iterable[Plugin], directory: Path) -> list[PluginFile]:
    """Copy what was loaded into the run's directory: from there `resume` and workers run it."""
    kept = []
    for plugin in plugins:
        (directory / FOLDER).mkdir(exist_ok=True)
        atomic_write(directory / FOLDER / plugin.path.name, plugin.content)
        kept.append(PluginFile(name=plugin.path.name, sha256=plugin.sha256))
    return kept


def copies(directory: Path, kept: Iterable[PluginFile]) -> tuple[str, ...]:
    """Where the copies of a run's plug-ins lie."""
    return tuple(str((directory / FOLDER / file.name).resolve()) for file in kept)


def load_copies(directory: Path, stored: Iterable[Mapping[str, str]]) -> list[PluginFile]:
    """The plug-ins of a stored run, from their copies; DataError where one is not what it was."""
    kept = [PluginFile.model_validate(file) for file in stored]
    for file, path in zip(kept, copies(directory, kept), strict=True):
        there = Path(path).is_file()
        if not there or Plugin(Path(path), Path(path).read_bytes()).sha256 != file.sha256:
            raise DataError(
                f"{path} {'is not the file' if there else 'is gone: it is the copy of the plug-in'}"
                f" that this run was begun with (SHA-256 {file.sha256[:12]}). Its results hold for "
                f"that code alone: put it back there, or start a new run."
            )
    load_plugins(copies(directory, kept), FAMILIES)
    return kept
