"""Metrics by name: pure functions of a probe, with unit, range and sense declared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Literal

import torch
from threadpoolctl import ThreadpoolController

from structure_net.errors import StructureNetError, UsageError
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.probe import Probe
from structure_net.registry import Registry

Level = Literal["light", "full"]
Group = Literal["information", "activity", "sensitivity", "graph", "other"]
Better = Literal["higher", "lower"]
Measure = Callable[[Probe], Measurement]


@dataclass(frozen=True)
class Metric:
    """A function of a probe and what is declared of its numbers. `low` and `high` bound the total
    and each layer, None where there is no bound; `better` says which way a network improves, None
    where that depends; `level` is the smallest set that it belongs to; tables are by `group`."""

    name: str
    title: str
    unit: str
    low: float | int | None
    high: float | int | None
    better: Better | None
    level: Level
    measure: Measure
    group: Group = "other"


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str,
    *,
    unit: str,
    low: float | int | None,
    high: float | int | None,
    better: Better | None,
    level: Level = "full",
    group: Group = "other",
) -> Callable[[Measure], Measure]:
    """Decorator that registers a function as a metric; the function itself stays as it is.

    The first paragraph of its docstring is the metric's title. UsageError where there is none.
    """

    def enter(function: Measure) -> Measure:
        title = " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
        if not title:
            raise UsageError(f"The metric {name!r} wants a docstring that says what it measures.")
        made = Metric(name, title, unit, low, high, better, level, function, group)
        METRICS.register(name)(made)
        return function

    return enter


def chosen(level: Level) -> list[Metric]:
    """The metrics of a level: `light` the cheap ones, `full` all, in the order of registration."""
    metrics = [METRICS.get(name) for name in METRICS]
    return [one for one in metrics if level == "full" or one.level == "light"]


def measure(probe: Probe, level: Level) -> dict[str, Measurement]:
    """All metrics of that level and below, by name. What a metric raises passes through, with a
    note that names the metric; a number that is not finite is an error.

    Inside, torch and the linear algebra of numpy and scipy keep to one thread: bits must not depend
    on the machine's cores, and threads that wait for each other on a busy machine take many times
    as long as one alone.
    """
    if not bool(probe.layers[-1].activations.isfinite().all()):
        lost = Undetermined("the logits are not finite")
        return {one.name: Measurement(lost) for one in chosen(level)}
    found = {}
    with _one_thread(level):
        for one in chosen(level):
            with _Naming(one.name):
                found[one.name] = _sound(one.measure(probe), one.name)
    return found


@contextmanager
def _one_thread(level: Level) -> Iterator[None]:
    """One thread inside, the caller's numbers afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries(level).limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _libraries(level: Level) -> ThreadpoolController:
    """The libraries of linear algebra of this process; looking for them takes milliseconds. Those
    of scipy, which light metrics do without, are loaded before."""
    if level == "full":
        import scipy.linalg  # noqa: F401
    return ThreadpoolController()


class _Naming:
    """Whatever is raised inside gets a note with the metric's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if problem is not None:
            problem.add_note(f"This was raised by the metric {self._name!r}.")


def _sound(found: object, name: str) -> Measurement:
    """As it came; StructureNetError where it is no measurement or a number is not finite."""
    if not isinstance(found, Measurement):
        raise StructureNetError(
            f"The metric {name!r} gave {type(found).__name__}, and a Measurement was expected."
        )
    for value in (found.total, *found.layers):
        if not _finite(value):
            raise StructureNetError(
                f"The metric {name!r} gave {value!r}. A number must be finite; where there is "
                f"none, give Undetermined with the reason."
            )
    try:
        json.dumps(dict(found.detail), allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise StructureNetError(
            f"The metric {name!r} gave a detail that is no plain JSON: {problem}. Give lists, "
            f"dicts by name, texts, None, and numbers that are finite."
        ) from problem
    return found


def _finite(value: Value) -> bool:
    return isinstance(value, Undetermined) or math.isfinite(value)
