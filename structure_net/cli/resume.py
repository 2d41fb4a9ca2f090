"""`structure-net resume RUN`: continue a run where it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import BaseModel

from structure_net.cli.fields import Layer, merged
from structure_net.cli.messages import command, say
from structure_net.cli.options import from_command_line, option_model
from structure_net.cli.sources import from_environment
from structure_net.cli.tournament import AsJson, Quiet, check_output, run_to_end
from structure_net.errors import DONE, UsageError
from structure_net.schema import FREE_OF_RESULTS, Config, Given, resolve

# What may differ from the run's beginning: what cannot change a result, and more generations. The
# directory is the run itself.
CHANGEABLE = (FREE_OF_RESULTS - {"preset", "out", "name"}) | {"generations"}

if TYPE_CHECKING:
    from structure_net.tournament import Tournament

    ResumeOptions = BaseModel
else:
    ResumeOptions = option_model("ResumeOptions", CHANGEABLE)

Run = Annotated[Path, Parameter(name="RUN", help="directory of the run, or its run.db")]


def resume(
    run: Run,
    /,
    *,
    options: Annotated[ResumeOptions, Parameter(name="*")] = ResumeOptions(),  # noqa: B008
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Continue an interrupted tournament; it ends as it would have without the interruption.

    Only what cannot change a result may be given anew, and a higher number of generations.
    """
    from structure_net.store import open_history, read_events

    check_output(json, quiet)
    changes = _changes(options)
    directory = run_directory(run)
    history = open_history(directory)
    if history.finished is not None and "generations" not in changes.values:
        say(f"{directory} is finished; nothing is left to resume. See {command('show', directory)}")
        return DONE
    config = _with(history.config.config, changes)

    def begin() -> Tournament:
        from structure_net.tournament import resume as take_up

        return take_up(directory, changes)

    earlier = (event for _, event in read_events(directory))
    return run_to_end(begin, config, json=json, quiet=quiet, earlier=earlier)


def run_directory(run: Path) -> Path:
    """The directory of a stored run; UsageError for any path that holds none."""
    from structure_net.store import existing_directory

    try:
        return existing_directory(run)
    except OSError as problem:
        raise UsageError(f"{run} holds no run: {problem.strerror}.") from problem


def _changes(options: BaseModel) -> Given:
    """Command line over environment; a variable for something else is for other commands."""
    around, kept = from_environment(os.environ), Layer()
    for field in CHANGEABLE & around.values.keys():
        kept.put(field, around.values[field], around.origins[field])
    changes = merged([from_command_line(options), kept])
    resolve(changes)  # refuses a value out of range or not built before the run is touched
    return changes


def _with(config: Config, changes: Given) -> Config:
    """For the display only: the run itself decides what a change does."""
    return config.model_copy(
        update={"generations": changes.values.get("generations", config.generations)}
    )
