"""A list of schedules as text: `warm_up:share=0.1+cosine+sparsity_awareness`.

One form for command line, environment, file and genome, so that a genome says all that its training
needs. What the names mean is known one floor up, in `learning_rates`.
"""

from __future__ import annotations

import math
import re

from structure_net.registry import normal

Part = tuple[str, dict[str, float]]

NAME = r"[A-Za-z][\w-]*"
FORM = re.compile(rf"\s*({NAME})((?:\s*:\s*{NAME}\s*=\s*[^\s:+=]+)*)\s*")
NUMBER = re.compile(rf":\s*({NAME})\s*=\s*([^\s:+=]+)")
LARGEST = 1e9  # of a schedule's number: beyond any count of epochs or steps


def is_list(text: str) -> bool:
    """Whether it is a list of schedules, and no strategy's name."""
    return "+" in text or ":" in text


def schedule_parts(text: str) -> list[Part]:
    """(schedule, its own numbers) of each entry; ValueError where the text has another form."""
    parts = []
    for entry in text.split("+"):
        match = FORM.fullmatch(entry)
        if match is None:
            raise ValueError(
                f"{text!r} is no list of schedules: expected names joined by +, each with numbers "
                f"of its own after colons, as in warm_up:share=0.1+cosine; {entry!r} is neither"
            )
        parts.append((normal(match[1]), _numbers(match[1], match[2])))
    names = [name for name, _ in parts]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{text!r} names the schedule {name} twice")
    return parts


def strategy_text(text: str) -> str:
    """The one spelling of a list of schedules; a strategy's name comes back as it is."""
    if not is_list(text):
        return text
    entries = []
    for name, numbers in schedule_parts(text):
        entries.append(":".join([name, *(f"{key}={value!r}" for key, value in numbers.items())]))
    return "+".join(entries)


def _numbers(name: str, text: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for key, value in NUMBER.findall(text):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= LARGEST:
            raise ValueError(f"{key} of the schedule {name} cannot be {value}: a number from 0 on")
        if normal(key) in numbers:
            raise ValueError(f"the schedule {name} has {key} twice")
        numbers[normal(key)] = number
    return numbers
