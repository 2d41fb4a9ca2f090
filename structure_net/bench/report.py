"""The published JSON: ratios first, then everything behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from structure_net.bench.machine import Machine
from structure_net.bench.measure import REFERENCES, Scale, Timing
from structure_net.bench.peers import PEERS
from structure_net.bench.phases import Breakdown
from structure_net.bench.workloads import WORKLOAD
from structure_net.environment import facts


def report(
    told: Sequence[Timing | Breakdown],
    scale: Scale,
    cores: int,
    engines: Sequence[str],
    ceilings: Machine,
) -> dict[str, Any]:
    """Everything that was measured, as JSON values."""
    timings = [one for one in told if isinstance(one, Timing)]
    ratios: dict[str, Any] = {"single": {}}
    for timing in timings:
        both = {side: timing.ratio(side) for side in REFERENCES}
        name = timing.workload.name
        (ratios["single"] if "@" in name else ratios)[name] = both
    workloads = {}
    for timing in timings:
        floor = 1e3 * ceilings.floor(timing.workload)
        workloads[timing.workload.name] = {**timing.as_json(), "floor_milliseconds": floor}
    return {
        "workload": WORKLOAD,
        "ratios": ratios,
        "engines": list(engines),
        "cores": cores,
        "scale": asdict(scale),
        "workloads": workloads,
        "phases": {one.name: one.sides for one in told if isinstance(one, Breakdown)},
        "machine": ceilings.as_json(),
        "peers_not_installed": [peer.name for peer in PEERS if not peer.installed],
        "environment": facts(),
    }
