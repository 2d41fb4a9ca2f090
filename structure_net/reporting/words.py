"""Numbers, names and architectures as short plain words. Names from outside become inert here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from structure_net.genome import Genome
from structure_net.schema import ChampionEvaluated

LONGEST_REASON = 400  # five lines of 80 columns; the whole reason stands in the results file


def clean(text: object) -> str:
    """One line of printable characters: white space becomes one space, controls disappear.

    `isprintable` is false for controls (the escape byte too), direction marks and lone surrogates.
    """
    words = " ".join(str(text).split())
    return "".join(letter for letter in words if letter.isprintable())


def brief(text: object, room: int) -> str:
    """`clean`, cut to at most `room` characters with `..` at the end."""
    line = clean(text)
    return line if len(line) <= room else line[: max(room - 2, 0)] + ".."


def counted(number: int, noun: str) -> str:
    """`1 trial`, `1,234 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def blocks_text(genome: Genome) -> str:
    """How many sparse layers each residual block has and how many units inside, by the hidden layer
    that it stands behind."""
    told = [
        f"{len(block.densities)} layers of {block.width} units behind hidden layer {place}"
        for place, behind in enumerate(genome.blocks, start=1)
        for block in behind
    ]
    return "; ".join(told) or "none"


def accuracy(share: float) -> str:
    """Three digits: the third is one sample in a thousand."""
    return f"{share:.3f}"


def fitness(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def loss(nats: float) -> str:
    return f"{nats:.4f}"


def retraining_text(event: ChampionEvaluated) -> str:
    """Mean test accuracy of the champion's retrainings, their range, the champion's lead."""
    found = [one.test_accuracy for one in event.retraining]
    mean = fmean(found)
    lead = event.test_accuracy - mean
    side = "above" if lead >= 0 else "below"
    return (
        f"mean test accuracy {accuracy(mean)} over {counted(len(found), 'fresh seed')} "
        f"({accuracy(min(found))} to {accuracy(max(found))}), the champion's is "
        f"{accuracy(abs(lead))} {side}"
    )


def duration(seconds: float) -> str:
    """A measured time: `3.2 s`, `4 min 05 s`, `2 h 07 min`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def rough(seconds: float) -> str:
    """An estimated time, in one unit: `8 s`, `2 min`, `1.5 h`, `3 days`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{round(seconds / 86400):,} days"


def architecture(widths: Sequence[int], room: int | None = None) -> str:
    """`[64, 74, 37, 10]`; past `room` characters the middle gives way: `[64, 74, .., 10]`."""
    whole = _bracketed(widths)
    if room is None or len(whole) <= room:
        return whole
    for kept in range(len(widths) - 1, 2, -1):
        head = (kept + 1) // 2
        text = _bracketed([*widths[:head], "..", *widths[head - kept :]])
        if len(text) <= room:
            return text
    return _bracketed([widths[0], "..", widths[-1]])


def _bracketed(parts: Iterable[object]) -> str:
    return "[" + ", ".join(str(part) for part in parts) + "]"
