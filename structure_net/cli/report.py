"""`structure-net report RUN`: the page of a run, made again from what it stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from structure_net.cli.resume import Run, run_directory
from structure_net.errors import DONE, UsageError


def report(
    run: Run,
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="the file to write; without it report.html in the run's directory"),
    ] = None,
) -> int:
    """Write the report of a run, finished or not, as one HTML file; prints its path."""
    from structure_net.reporting import write_report
    from structure_net.store import open_history

    directory = run_directory(run)
    history = open_history(directory)
    try:
        written = write_report(history, directory, out)
    except OSError as problem:
        raise UsageError(
            f"The report cannot be written: {problem.filename}: {problem.strerror}. Choose another "
            f"place with --out FILE."
        ) from problem
    print(written)
    return DONE
