"""`structure-net analyse MODEL`: the metrics of a saved network."""

from __future__ import annotations

import json as json_text
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from pydantic import BaseModel

from structure_net.cli.fields import Layer, merged
from structure_net.cli.messages import say
from structure_net.cli.options import from_command_line, option_model
from structure_net.cli.sources import from_environment
from structure_net.errors import DONE, UsageError
from structure_net.schema import resolve

if TYPE_CHECKING:
    from structure_net.analysis import Analysis

    WhereOptions = BaseModel
else:
    WhereOptions = option_model("WhereOptions", frozenset({"dataset", "data_dir", "plugin"}))

# Variables that are read: where data lie. Which data, the model says.
AROUND = ("data_dir",)
WIDTH_OF_A_PIPE = 160  # columns, as for the tables of a run
ROOM_FOR_MEANING = 130  # columns of a terminal from which on each row says what it means


def analyse(
    model: Annotated[Path, Parameter(name="MODEL", help="a saved network, or a run: its champion")],
    /,
    *,
    options: Annotated[WhereOptions, Parameter(name="*")] = WhereOptions(),  # noqa: B008
    level: Annotated[
        Literal["light", "full"], Parameter(help="the metrics of a training trial, or all")
    ] = "full",
    html: Annotated[
        Path | None, Parameter(help="a file to write: one page with tables and pictures")
    ] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="as JSON")] = False,
) -> int:
    """Measure a saved network on samples of the training part that it was made for.

    Its file says which data and which split; --dataset and --data-dir say where they lie.
    """
    from structure_net.analysis import analyse as measured
    from structure_net.analysis import find_saved, write_page
    from structure_net.plugins import load_plugins

    around, kept = from_environment(os.environ), Layer()
    for field in AROUND:
        if field in around.values:
            kept.put(field, around.values[field], around.origins[field])
    wanted = merged([from_command_line(options), kept])
    config = resolve(wanted).config
    load_plugins(config.plugin)

    source = config.dataset if "dataset" in wanted.values else None
    found = measured(find_saved(model), level, source=source, data_dir=config.data_dir)
    if json:
        print(json_text.dumps(found.as_json(), indent=2))
    else:
        _print(found)
    if html is not None:
        try:
            say(f"written: {write_page(found, html)}")
        except OSError as problem:
            raise UsageError(
                f"The page cannot be written to {html}: {problem.strerror}. Choose another place "
                f"with --html FILE."
            ) from problem
    return DONE


def _print(found: Analysis) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from structure_net.reporting import METRIC_HEAD, by_group

    about = found.saved.description
    architecture = "-".join(map(str, about.genome.architecture))
    print(_plain(f"{found.saved.path}: {architecture}, {about.genome.activation}"))
    print(
        _plain(
            f"{found.level} metrics on {found.samples} training samples of {about.data.name}, "
            f"{found.seconds:.2f} s"
        )
    )
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    head = METRIC_HEAD if console.width >= ROOM_FOR_MEANING else METRIC_HEAD[:-1]
    for group, rows in by_group(found.values, found.facts).items():
        table = Table(box=None, pad_edge=False)
        for name in (group, *head[1:]):
            table.add_column(name, overflow="fold")
        for row in rows:
            cells = (row.name, row.total, row.facts.unit, row.layers, row.better, row.facts.meaning)
            table.add_row(*(Text(_plain(cell)) for cell in cells[: len(head)]))
        print()
        console.print(table)


def _plain(text: str) -> str:
    """Names and reasons come from files: no control characters reach the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
