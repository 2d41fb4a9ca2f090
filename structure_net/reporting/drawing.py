"""Lines and tables as rich draws them. Every text is cleaned here and never read as markup."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from structure_net.reporting import words
from structure_net.reporting.lines import Line, Ranking, Shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from structure_net.schema import Performer

STYLES = {
    "heading": "bold",
    "text": "",
    "good": "green",
    "progress": "",
    "warning": "yellow",
    "failure": "bold red",
}
Cell = str | tuple[int, ...]  # a tuple is an architecture, cut to the room that is left
NARROWEST_TABLE = 72  # eight columns side by side need that much; below, an entry takes two lines
SHORTEST_ARCHITECTURE = 12  # [3072, .., 10] is 14, [64, .., 10] is 12


def drawn(shown: Shown, width: int | None, table_width: int) -> RenderableType:
    """A line wrapped at `width` (None: not at all), or the ranking at `table_width`."""
    if isinstance(shown, Line):
        return drawn_line(shown, width)
    if table_width < NARROWEST_TABLE:
        return _ranking_in_lines(shown, table_width)
    return _ranking_table(shown, table_width)


def drawn_line(line: Line, width: int | None) -> Text:
    """Wrapped at spaces, continued two columns further in; words are broken only when too long."""
    from rich.text import Text

    indent = " " * line.indent
    text = indent + clean_keeping_columns(line.text)
    if width is not None and not line.whole and len(text) > width:
        text = _wrapped(text, width, indent + "  ")
    return Text(text, style=STYLES[line.role])


def _wrapped(text: str, width: int, indent: str) -> str:
    """An architecture that fits on a line stays on one: its spaces do not break (U+00A0, which
    no clean text contains)."""

    def glued(found: re.Match[str]) -> str:
        fits = len(found[0]) <= width - len(indent) - 1
        return found[0].replace(" ", "\u00a0") if fits else found[0]

    glued_text = re.sub(r"\[[\d, .]+\]", glued, text)
    lines = textwrap.fill(glued_text, width, subsequent_indent=indent, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def clean_keeping_columns(text: str) -> str:
    """`clean`, but runs of spaces stay: they align what follows them."""
    return " ".join(words.clean(part) for part in text.split(" "))


def table(
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[Sequence[Cell]],
    width: int,
    gap: int = 2,
) -> Table:
    """A table no wider than `width`; a column is its heading and whether it is aligned right.

    `gap` is the number of spaces between two columns.
    """
    from rich.table import Table
    from rich.text import Text

    drawn_table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for heading, right in columns:
        drawn_table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    free = width - gap * (len(columns) - 1)
    room = _room_for_architecture([heading for heading, _ in columns], rows, free)
    for row in rows:
        drawn_table.add_row(*(Text(_cell(cell, room)) for cell in row))
    return drawn_table


def _cell(cell: Cell, room: int) -> str:
    return words.clean(cell) if isinstance(cell, str) else words.architecture(cell, room)


def _room_for_architecture(
    headings: Sequence[str], rows: Sequence[Sequence[Cell]], free: int
) -> int:
    taken = 0
    for index, heading in enumerate(headings):
        cells = [row[index] for row in rows]
        if all(isinstance(cell, str) for cell in cells):
            taken += max([len(heading), *(len(words.clean(cell)) for cell in cells)])
    return max(free - taken, SHORTEST_ARCHITECTURE)


def _ranking_table(ranking: Ranking, width: int) -> Table:
    columns = [
        ("#", True),
        ("trial", True),
        ("architecture", False),
        ("params", True),
        ("accuracy", True),
        ("fitness", True),
        ("strategy", False),
        ("activation", False),
    ]
    rows: list[list[Cell]] = [
        [
            str(rank),
            str(one.id),
            one.architecture,
            f"{one.active_parameters:,}",
            words.accuracy(one.validation_accuracy),
            words.fitness(one.fitness),
            words.brief(one.strategy, 13),
            _functions(one),
        ]
        for rank, one in enumerate(ranking.performers, start=1)
    ]
    return table(columns, rows, width)


def _functions(one: Performer) -> str:
    """The activation behind the normalisation where there is one: `rms relu`."""
    before = "" if one.normalisation == "none" else f"{one.normalisation} "
    return before + one.activation


def _ranking_in_lines(ranking: Ranking, width: int) -> Text:
    from rich.text import Text

    entries = []
    for rank, one in enumerate(ranking.performers, start=1):
        entries += [
            Line(
                f"{rank}. trial {one.id}: fitness {words.fitness(one.fitness)}, "
                f"accuracy {words.accuracy(one.validation_accuracy)}"
            ),
            Line(words.architecture(one.architecture, width - 3), indent=3),
            Line(f"{one.active_parameters:,} params, {one.strategy}, {_functions(one)}", indent=3),
        ]
    return Text("\n").join(drawn_line(entry, width) for entry in entries)
