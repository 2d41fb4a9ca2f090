"""`structure-net tournament`: the main job, and the loop that `resume` shares."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import BaseModel

from structure_net.cli.fields import merged
from structure_net.cli.messages import command, leave_stdout, say
from structure_net.cli.options import ORDER, from_command_line, option_model
from structure_net.cli.sources import from_environment, from_file
from structure_net.errors import INTERRUPTED, RUN_FAILED, TERMINATED, UsageError
from structure_net.schema import Config, Event, Given, resolve

if TYPE_CHECKING:
    from structure_net.tournament import Tournament

    TournamentOptions = BaseModel
else:
    TournamentOptions = option_model("TournamentOptions")

OUTPUT = ORDER["Output"]
AsJson = Annotated[
    bool,
    Parameter(group=OUTPUT, negative="", show_default=False, help="one event a line on stdout"),
]
Quiet = Annotated[
    bool,
    Parameter(group=OUTPUT, negative="", show_default=False, help="failures and a last line only"),
]


def given(options: BaseModel) -> Given:
    """Command line over environment over file."""
    layers = [from_command_line(options), from_environment(os.environ)]
    file = getattr(options, "config_file", None)
    if file is not None:
        layers.append(from_file(Path(file)))
    return merged(layers)


def tournament(
    *,
    options: Annotated[TournamentOptions, Parameter(name="*")] = TournamentOptions(),  # noqa: B008
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Run a tournament: evolve, train and select sparse networks.

    Without options: the balanced preset on CIFAR-10. Start with --quick.
    """
    check_output(json, quiet)
    resolved = resolve(given(options))

    def begin() -> Tournament:
        from structure_net.tournament import start

        return start(resolved)

    return run_to_end(begin, resolved.config, json=json, quiet=quiet)


def check_output(json: bool, quiet: bool) -> None:
    """The two modes exclude each other."""
    if json and quiet:
        raise UsageError("--json and --quiet exclude each other: the first writes every event.")


def run_to_end(
    begin: Callable[[], Tournament],
    config: Config,
    *,
    json: bool,
    quiet: bool,
    earlier: Iterable[Event] = (),
) -> int:
    """Show the events of a tournament until it ends or is told to; returns the exit code.

    `earlier` events, of a run taken up again, count for its progress and are not shown.
    Closing the generator of events ends the workers and commits; closing the tournament does so
    even where the generator never began.
    """
    from structure_net.reporting import Console, choose_mode

    running: Tournament | None = None
    try:
        with termination_raises():
            running = begin()
            mode = choose_mode(
                json=json, quiet=quiet, err_is_terminal=sys.stderr.isatty(), environ=os.environ
            )
            with (
                closing(running),
                Console(
                    mode,
                    out=sys.stdout,
                    err=sys.stderr,
                    generations=config.generations,
                    epochs=config.epochs_per_generation,
                ) as console,
                closing(running.run()) as events,
            ):
                for event in earlier:
                    console.recall(event)
                for event in events:
                    console.show(event)
                shown = command("show", running.directory)
                console.end(running.directory, running.files(), shown)
        return int(running.exit_code)
    except KeyboardInterrupt:
        return _stopped("Interrupted.", running, INTERRUPTED)
    except Terminated as ended:
        return _stopped(f"Ended by {ended}.", running, TERMINATED)
    except BrokenPipeError:
        leave_stdout()
        return _stopped("Nobody reads the output any more.", running, RUN_FAILED)


def _stopped(why: str, running: Tournament | None, code: int) -> int:
    if running is None:
        say(f"{why} Nothing was begun.")
    else:
        say(f"{why} Continue with: {command('resume', running.directory)}")
    return code


class Terminated(BaseException):
    """SIGTERM or SIGHUP came; like KeyboardInterrupt it is no error that anyone should catch."""


@contextmanager
def termination_raises() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise Terminated in the main thread, once.

    A signal that is ignored from outside (nohup) stays ignored. The default action is back before
    the exception is raised, so a second signal always works.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = {number: action for number, action in before.items() if action is signal.SIG_DFL}
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, action in taken.items():
            signal.signal(number, action)
