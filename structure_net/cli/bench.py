"""`structure-net bench`: how fast this machine trains, against the usual way."""

from __future__ import annotations

import json as json_text
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from structure_net.cli.bench_lines import HEAD, machine_lines, phase_lines, timing_line
from structure_net.cli.messages import say
from structure_net.errors import DONE, UsageError
from structure_net.registry import nearest

if TYPE_CHECKING:
    from structure_net.bench import Breakdown, Comparison, Curve, Timing

Flag = Parameter(negative="", show_default=False)
T = TypeVar("T")
BUSY = 0.5  # of the cores: less than that is what the system itself does


def bench(
    *,
    quick: Annotated[bool, Flag, Parameter(help="less of everything, below a minute")] = False,
    json: Annotated[bool, Flag, Parameter(help="the result as JSON on stdout")] = False,
    engines: Annotated[
        str, Parameter(help="engines to use, separated by commas")
    ] = "native,csr,dense",
    device: Annotated[
        str, Parameter(help="cpu: the processors; cuda, cuda:K: a generation stacked there; auto")
    ] = "auto",
    compare: Annotated[
        tuple[Path, Path] | None, Parameter(negative="", help="two results of --json, side by side")
    ] = None,
    scaling: Annotated[
        bool, Flag, Parameter(help="cost against population, density, workers, devices")
    ] = False,
    calibrate: Annotated[
        bool, Flag, Parameter(help="measure the table of --engine auto on this machine, keep it")
    ] = False,
) -> int:
    """Train fixed sparse networks here and by dense layers with masks, in turn; print the ratios.

    `plain` is the masked-dense way as it is usually written, `strong` the same with a fused
    optimizer and 16-bit products. Above 1 means that this package is faster. About 14 minutes on
    two cores, --quick less than one; other work on the machine falsifies it.
    """
    if sum([compare is not None, scaling, calibrate]) > 1:
        raise UsageError("--compare, --scaling and --calibrate exclude each other: one at a time.")
    chosen = _engines(engines)
    if compare is not None:
        return _compare(*compare, json=json)
    numbers = _devices(device)
    if calibrate:
        return _calibrate(json=json)
    if scaling:
        return _scaling(chosen, len(numbers), quick=quick, json=json)
    return _measure(chosen, device, numbers, quick=quick, json=json)


def _engines(text: str) -> list[str]:
    from structure_net.engine import ENGINES

    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen or [text]:
        if name not in ENGINES:
            raise UsageError(f"No engine is named {name!r}: {nearest(name, list(ENGINES))}")
    return chosen


def _devices(device: str) -> list[str]:
    """Numbers of the CUDA devices that are meant; UsageError for anything that is not there."""
    from structure_net.executors import resolve_device
    from structure_net.schema import resolve

    return resolve_device(resolve(device=device).config.device)


def _shown(told: Iterable[T | str]) -> Iterator[T]:
    """What was measured; the words in between go to stderr, over each other on a terminal."""
    terminal = sys.stderr.isatty()
    for one in told:
        if not isinstance(one, str):
            if terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            yield one
        elif terminal:
            print(f"\r\x1b[K{one} ", end="", file=sys.stderr, flush=True)
        else:
            print(one, file=sys.stderr, flush=True)


def _put(line: str, *, json: bool) -> None:
    if not json:
        print(line, flush=True)


def _measure(
    engines: list[str], device: str, numbers: list[str], *, quick: bool, json: bool
) -> int:
    from structure_net.bench import (
        FULL,
        PEERS,
        QUICK,
        Breakdown,
        Timing,
        machine,
        measure,
        names,
        report,
    )
    from structure_net.executors import usable_cores

    scale, cores, load = (QUICK if quick else FULL), usable_cores(), os.getloadavg()[0]
    if load > BUSY * cores:
        say(f"Other work runs on this machine (load {load:.1f}): the ratios will not be true.")
    result: dict[str, Any] = {}
    if not device.startswith("cuda"):
        ceilings = machine(cores)
        for line in (*machine_lines(ceilings), "", *HEAD):
            _put(line, json=json)
        told: list[Timing | Breakdown] = []
        # A tournament that fits the quick run would show how long processes take to start.
        wanted = [name for name in names() if not (quick and name == "tournament")]
        measured: Iterator[Timing | Breakdown] = _shown(measure(scale, cores, engines, wanted))
        for one in measured:
            told.append(one)
            if isinstance(one, Timing):
                _put(timing_line(one, 1e3 * ceilings.floor(one.workload)), json=json)
        for line in ("", *phase_lines([one for one in told if isinstance(one, Breakdown)])):
            _put(line, json=json)
        absent = [peer.name for peer in PEERS if not peer.installed]
        if absent:
            _put(f"\nnot installed, so not timed: {', '.join(absent)}", json=json)
        result = {**report(told, scale, cores, engines, ceilings), "load_before": load}
    if numbers:
        result["device"] = _stacked(numbers[0], quick=quick, json=json)
    if json:
        print(json_text.dumps(result, indent=2))
    return DONE


def _stacked(number: str, *, quick: bool, json: bool) -> list[dict[str, Any]]:
    """A generation in lockstep on a CUDA device, at each batch size."""
    from structure_net.bench import BATCH_SIZES, Stack, stack

    told = []
    for batch_size in BATCH_SIZES:
        wanted = Stack(f"cuda:{number}", batch_size=batch_size, steps=20 if quick else 200)
        done = stack(wanted)
        told.append(done.as_json())
        _put(
            f"{wanted.device}: {wanted.networks} networks at batch {batch_size}: "
            f"{1e3 * done.seconds_per_step:.2f} ms a step, {done.experiments_per_second:.1f} "
            f"experiments a second (extrapolated from {wanted.steps} steps)",
            json=json,
        )
    return told


def _compare(first: Path, second: Path, *, json: bool) -> int:
    from structure_net.bench import compare

    comparison: Comparison = compare(first, second)
    for warning in comparison.warnings:
        say(f"Not the same: {warning}.")
    if json:
        rows = [
            {"workload": one.name, "side": one.side, "first": one.first, "second": one.second,
             "percent": one.percent}
            for one in comparison.changes
        ]  # fmt: skip
        print(json_text.dumps({"changes": rows, "warnings": comparison.warnings}, indent=2))
        return DONE
    print(f"{'workload':<12} {'against':<12} {'first':>8} {'second':>8} {'change':>8}")
    for one in comparison.changes:
        print(
            f"{one.name:<12} {one.side:<12} {one.first:>7.1f}x {one.second:>7.1f}x "
            f"{one.percent:>+7.1f}%"
        )
    return DONE


def _calibrate(*, json: bool) -> int:
    from structure_net.bench import calibrate
    from structure_net.engine import write_table

    for table in _shown(calibrate()):
        path = write_table(table)
        if json:
            print(table.model_dump_json(indent=2))
            continue
        print("up to this density a sparse engine is chosen:")
        print(f"{'possible connections':>20} {'dense products':>15} {'native':>8} {'csr':>8}")
        for row in table.crossovers:
            bits = "16-bit" if row.mixed_precision else "32-bit"
            print(f"{row.possible:>20,} {bits:>15} {row.native:>7.1%} {row.csr:>7.1%}")
        print(f"kept in {path}: runs that begin from now on use it")
    return DONE


def _scaling(engines: list[str], devices: int, *, quick: bool, json: bool) -> int:
    from structure_net.bench import FULL_SWEEP, QUICK_SWEEP, scaling
    from structure_net.executors import usable_cores

    curves: list[Curve] = []
    sweep = QUICK_SWEEP if quick else FULL_SWEEP
    for curve in _shown(scaling(sweep, usable_cores(), engines, devices)):
        curves.append(curve)
        for value, seconds in zip(curve.values, curve.seconds, strict=True):
            _put(f"{curve.axis:<12} {value:>8g} {1e3 * seconds:>10.2f} ms a network", json=json)
        if curve.exponent is not None:
            _put(f"{curve.axis:<12} {'exponent':>8} {curve.exponent:>10.2f}", json=json)
    if json:
        print(json_text.dumps([curve.as_json() for curve in curves], indent=2))
    return DONE
