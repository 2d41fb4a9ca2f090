"""Generated images of CIFAR-10's shape, for speed tests only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from structure_net.datasets.source import Chunk, Places, Source, register, rows
from structure_net.errors import DataError
from structure_net.seeding import derive

CLASSES = 10
NOISE = 96  # grey levels to either side: far above the pattern, so that learning takes epochs
PATTERN = 40  # grey levels
LARGEST = 1_000_000  # 3 GB


def _patterns() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """One pattern a class, [10, 3, 32, 32]: 4x4 random blocks, as smooth as photographs."""
    coarse = derive(0, "synthetic", "patterns").integers(-PATTERN, PATTERN + 1, (CLASSES, 3, 4, 4))
    return coarse.repeat(8, axis=2).repeat(8, axis=3).astype(np.int16)


def _chunks(part: str, count: int) -> Callable[[], Iterator[Chunk]]:
    def read() -> Iterator[Chunk]:
        patterns = _patterns()
        labels = derive(0, "synthetic", part, "labels").permutation(count) % CLASSES
        for number, piece in enumerate(rows(count)):
            generator = derive(0, "synthetic", part, number)
            own = labels[piece]
            noise = generator.integers(-NOISE, NOISE, (len(own), 3, 32, 32), dtype=np.int16)
            images = np.clip(128 + patterns[own] + noise, 0, 255)
            yield images.astype(np.uint8), own.astype(np.int64)

    return read


def generated(name: str, train: int, test: int) -> Source:
    """A source of so many samples; the same for everyone at any time."""
    return Source(
        name=name,
        identity=f"generated {train} {test}",
        description=f"{name} (generated, for speed tests only)",
        train=_chunks("train", train),
        test=_chunks("test", test),
        classes=tuple(f"pattern {number}" for number in range(CLASSES)),
        verify=lambda: "synthetic",
    )


@register("synthetic-cifar")
def synthetic_cifar(places: Places) -> Source:
    """As many samples as CIFAR-10 has."""
    del places
    return generated("synthetic-cifar", 50_000, 10_000)


def sized(name: str) -> Source | None:
    """The source named `synthetic-N`: N training samples and a fifth as many for the test."""
    found = re.fullmatch(r"synthetic[-_]([0-9]{1,12})", name.strip().lower())
    if not found:
        return None
    count = int(found[1])
    if not 2 * CLASSES <= count <= LARGEST:
        raise DataError(
            f"{name}: between {2 * CLASSES} and {LARGEST} generated samples are possible."
        )
    return generated(f"synthetic-{count}", count, max(count // 5, CLASSES))
