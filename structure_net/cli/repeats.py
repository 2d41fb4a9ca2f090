"""An option given twice: the last word counts, so that a line can be extended at its end."""

from __future__ import annotations

from functools import cache
from typing import get_origin

from structure_net.cli.fields import bare_type, fields, option_names


@cache
def _single_options() -> dict[str, tuple[str, bool]]:
    """`--name` -> (field, whether a value follows), of all fields that hold one value."""
    known = {}
    for field in fields():
        kind = bare_type(field)
        if get_origin(kind) is tuple:
            continue
        for name in option_names(field):
            known["--" + name] = (field, kind is not bool)
        if kind is bool:
            known["--no-" + option_names(field)[0].removeprefix("enable-")] = (field, False)
    return known


def last_words(arguments: list[str]) -> list[str]:
    """The arguments without those options that a later one of the same field replaces."""
    last: dict[str, int] = {}
    spans: list[tuple[str | None, list[str]]] = []
    rest = list(arguments)
    while rest:
        token = rest.pop(0)
        if token == "--":
            spans.append((None, [token, *rest]))
            break
        name, equals, _ = token.partition("=")
        field, wants_value = _single_options().get(name, (None, False))
        span = [token]
        if wants_value and not equals and rest and not rest[0].startswith("--"):
            span.append(rest.pop(0))
        if field is not None:
            last[field] = len(spans)
        spans.append((field, span))
    return [
        token
        for place, (field, span) in enumerate(spans)
        if field is None or last[field] == place
        for token in span
    ]
