"""The handwritten digits that come with the package: 1,797 images of 8x8, values 0 to 16."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib import resources

import numpy as np

from structure_net.datasets.source import Chunk, Places, Source, register

SIZE = 8
BRIGHTEST = 16.0  # each value counts the dark points of a 4x4 field of the scan


def _chunks() -> Iterator[Chunk]:
    packed = resources.files("structure_net.datasets").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode("ascii").splitlines(), delimiter=",")
    yield table[:, :-1].astype(np.uint8).reshape(-1, 1, SIZE, SIZE), table[:, -1].astype(np.int64)


@register("digits")
def digits(places: Places) -> Source:
    """The embedded digits; `places` are not looked at. A fixed fifth is the test part."""
    del places
    return Source(
        name="digits",
        identity="embedded",
        description="digits (UCI handwritten digits, embedded)",
        train=_chunks,
        classes=tuple(str(digit) for digit in range(10)),
        scale=BRIGHTEST,
        verify=lambda: "embedded",
    )
