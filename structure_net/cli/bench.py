"""`structure-net bench`: how fast this machine trains, against the usual way."""

from __future__ import annotations

import json as json_text
import sys
from typing import Annotated

from cyclopts import Parameter

from structure_net.errors import DONE, UsageError
from structure_net.registry import nearest

Flag = Parameter(negative="", show_default=False)


def bench(
    *,
    quick: Annotated[bool, Flag, Parameter(help="fewer networks, steps and rounds")] = False,
    json: Annotated[bool, Flag, Parameter(help="the result as JSON on stdout")] = False,
    engines: Annotated[
        str, Parameter(help="engines to use, separated by commas")
    ] = "native,csr,dense",
) -> int:
    """Train fixed sparse networks here and by dense layers with masks, in turn; print the ratios.

    `plain` is the masked-dense way as it is usually written, `strong` the same with a fused
    optimizer and 16-bit products. Above 1 means that this package is faster. About 6 minutes on
    two cores, --quick less than one; other work on the machine falsifies it.
    """
    from structure_net.bench import FULL, QUICK, measure, report
    from structure_net.engine import ENGINES
    from structure_net.executors import usable_cores

    chosen = [name.strip() for name in engines.split(",") if name.strip()]
    for name in chosen or [engines]:
        if name not in ENGINES:
            raise UsageError(f"No engine is named {name!r}: {nearest(name, list(ENGINES))}")
    scale, cores, timings = (QUICK if quick else FULL), usable_cores(), []
    if not json:
        print(f"{'workload':<12} {'ours':>10} {'plain':>10} {'strong':>10}   times faster than")
        print(f"{'':<12} {'ms a step':>10} {'ms a step':>10} {'ms a step':>10}   plain  strong")
    for timing in measure(scale, cores, chosen):
        timings.append(timing)
        row = timing.as_json()
        steps, ratio = row["milliseconds_per_step"], row["ratio"]
        if not json:
            times = " ".join(f"{steps[side]:>10.2f}" for side in ("ours", "plain", "strong"))
            name = timing.workload.name
            print(f"{name:<12} {times}  {ratio['plain']:>5.1f}x {ratio['strong']:>5.1f}x")
            sys.stdout.flush()
    if json:
        print(json_text.dumps(report(timings, scale, cores, chosen), indent=2))
    return DONE
