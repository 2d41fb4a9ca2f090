"""`structure-net doctor`: is everything here that a run needs?"""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from structure_net.errors import DONE, RUN_FAILED


def doctor(
    *,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="as JSON")] = False,
) -> int:
    """Check the system requirements: Python, torch, devices, memory, disk, optional parts.

    Exit code 0, or 1 when something that is required is missing or a problem.
    """
    from structure_net.cli.requirements import all_checks

    checks = all_checks()
    if json:
        print(json_text.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            advice = f"; {check.advice}" if check.advice else ""
            print(f"{check.state:<8} {check.name:<{width}}  {check.figure}{advice}")
    bad = any(check.required and check.state != "ok" for check in checks)
    return RUN_FAILED if bad else DONE
