"""The reader of events that owns the terminal. People read stderr; stdout carries data only."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Literal, Self, TextIO

from structure_net.reporting.drawing import drawn
from structure_net.reporting.ending import ending, last_line
from structure_net.reporting.lines import Line, Shown, lines
from structure_net.reporting.live import NARROWEST, LiveScreen
from structure_net.reporting.progress import Progress
from structure_net.schema import (
    Event,
    GenerationStarted,
    TournamentFinished,
    TrialStarted,
    event_line,
)

Mode = Literal["interactive", "plain", "json", "quiet"]
WIDTH_OF_A_LOG = 100  # of tables where no width is known; lines are not wrapped there


def choose_mode(
    *, json: bool, quiet: bool, err_is_terminal: bool, environ: Mapping[str, str]
) -> Mode:
    """What was asked for; else interactive on a terminal that can redraw and is not a CI log."""
    if json:
        return "json"
    if quiet:
        return "quiet"
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    cannot_redraw = environ.get("TERM", "").lower() in ("dumb", "unknown")
    return "interactive" if err_is_terminal and not in_ci and not cannot_redraw else "plain"


def columns_of(environ: Mapping[str, str]) -> int | None:
    """`COLUMNS`, where it is a number above 0."""
    given = environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else None


class Console:
    """Shows events in one of four modes; a context manager that gives the terminal back.

    `width` None means COLUMNS, else the terminal's own; `color` None means yes unless NO_COLOR.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        out: TextIO,
        err: TextIO,
        generations: int,
        epochs: int,
        width: int | None = None,
        color: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mode = mode
        self._out = out
        self._err = err
        self._progress = Progress(generations, epochs, clock)
        self._lock = RLock()
        wanted = width if width is not None else columns_of(os.environ)
        self._width = None if wanted is None else max(wanted, NARROWEST)
        self._screen: LiveScreen | None = None
        if mode == "interactive":
            self._screen = LiveScreen(err, self._progress, self._lock, self._width, color)

    def show(self, event: Event) -> None:
        """Read one event and say what this mode says of it."""
        if self._mode == "json":
            self._out.write(event_line(event) + "\n")
            self._out.flush()
            return
        with self._lock:
            self._progress.read(event)
            shown = lines(event, self._progress)
        if self._screen is not None:
            if isinstance(event, GenerationStarted | TrialStarted):
                self._screen.start()
            elif isinstance(event, TournamentFinished):
                self._screen.stop()
        self._write(one for one in shown if self._wants(one))

    def recall(self, event: Event) -> None:
        """Take in an event of an earlier start of the run, without a word."""
        with self._lock:
            self._progress.read(event)

    def end(self, directory: Path, files: Sequence[Path], next_command: str) -> None:
        """The last block. A path inside `directory` is shown relative to it."""
        self.close()
        if self._mode == "quiet":
            self._write([last_line(self._progress, directory)])
        elif self._mode != "json":
            self._write(ending(self._progress, directory, files, next_command))

    def close(self) -> None:
        """Stop redrawing and give the cursor back. Twice is once."""
        if self._screen is not None:
            self._screen.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wants(self, shown: Shown) -> bool:
        role = shown.role if isinstance(shown, Line) else "text"
        if self._mode == "quiet":
            return role == "failure"
        return role != "progress" or self._mode == "plain"

    def _write(self, shown: Iterable[Shown]) -> None:
        for one in shown:
            if self._screen is not None:
                self._screen.print(one)
            else:
                self._err.write(plain_text(one, self._width))
                self._err.flush()


def plain_text(shown: Shown, width: int | None) -> str:
    """Text with a line end and without any escape byte, whatever the environment asks for."""
    from rich.console import Console as RichConsole

    table_width = width or WIDTH_OF_A_LOG
    page = io.StringIO()
    console = RichConsole(
        file=page,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        width=table_width,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(drawn(shown, width, table_width), soft_wrap=isinstance(shown, Line))
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())
