"""The live view: what every worker trains at this moment, redrawn in place."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TextIO

from structure_net.reporting import words
from structure_net.reporting.drawing import drawn, drawn_line
from structure_net.reporting.lines import Line, Shown
from structure_net.reporting.progress import Progress
from structure_net.reporting.workers import workers_table

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table

# Four at most. A redraw with all rows takes 9 ms: twice a second is 2 % of one processor core.
REFRESHES_PER_SECOND = 2.0
MOST_ROWS = 16
LINES_BESIDE_ROWS = 4  # the bar, the headings, "and n more", the cursor's own line
NARROWEST = 10  # columns; below that nothing is legible, but nothing breaks either


def view(progress: Progress, width: int, height: int) -> Group:
    """The whole live view for a terminal of `width` columns and `height` lines."""
    from rich.console import Group

    texts = [drawn_line(Line(text), width) for text in _counts(progress)]
    taken = LINES_BESIDE_ROWS + sum(text.plain.count("\n") + 1 for text in texts)
    most_rows = max(1, min(MOST_ROWS, height - taken))
    return Group(_bar(progress), *texts, *workers_table(progress, width, most_rows))


def _bar(progress: Progress) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    total = progress.planned or 1
    row.add_row(
        Text(progress.stage, style="bold"),
        ProgressBar(total=total, completed=min(progress.ended + progress.shares(), total)),
        Text(f"{progress.done_label} trials"),
    )
    return row


def _counts(progress: Progress) -> list[str]:
    counts = [f"{len(progress.running)} running"]
    if progress.waiting is not None:
        counts.append(f"{progress.waiting} waiting")
    counts.append(f"{progress.failed} failed")
    left = progress.time_left()
    shown = [", ".join(counts) + (f"; {left}" if left else "")]
    if progress.last_result is not None:
        last = progress.last_result
        shown.append(
            f"last finished: trial {last.number}, "
            f"accuracy {words.accuracy(last.validation_accuracy)}, "
            f"loss {words.loss(last.validation_loss)}"
        )
    if progress.summary is not None:
        shown.append(
            f"last generation: best fitness {words.fitness(progress.summary.best_fitness)}, "
            f"mean {words.fitness(progress.summary.avg_fitness)}"
        )
    return shown


class LiveScreen:
    """The terminal with the live view at its foot; lines scroll above it.

    `lock` guards `progress`, which rich's refreshing thread reads. It must not be held while
    something is printed: that thread holds rich's own lock when it asks for `lock`.
    """

    def __init__(
        self,
        err: TextIO,
        progress: Progress,
        lock: AbstractContextManager[object],
        width: int | None,
        color: bool | None,
    ) -> None:
        from rich.console import Console

        self._progress, self._lock = progress, lock
        self._err = err
        self._console: RichConsole = Console(
            file=err,
            force_terminal=True,
            force_jupyter=False,
            no_color=None if color is None else not color,
            width=width,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._live: Live | None = None

    def print(self, shown: Shown) -> None:
        width = self._width
        self._console.print(drawn(shown, width, width), soft_wrap=isinstance(shown, Line))

    def start(self) -> None:
        """Begin to redraw. Twice is once."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,  # stdout is data, never drawn on the terminal's foot
                redirect_stderr=self._err is sys.stderr,
            )
            self._live.start(refresh=True)

    def stop(self) -> None:
        """Wipe the view and give the cursor back."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()  # draws once more without minding the height: `_view` is empty by now

    @property
    def _width(self) -> int:
        return max(self._console.size.width, NARROWEST)

    def _view(self) -> Group:
        from rich.console import Group

        if self._live is None:
            return Group()
        with self._lock:
            return view(self._progress, self._width, self._console.size.height)
