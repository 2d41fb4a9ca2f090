"""Tar archives read by member name and size, never extracted, and bounded when decompressed."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

from structure_net.datasets.source import UNREADABLE
from structure_net.errors import DataError


class Readable(Protocol):
    """Anything that gives up to `size` bytes."""

    def read(self, size: int, /) -> bytes: ...


class _Bounded(io.RawIOBase):
    def __init__(self, stream: Readable, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("it decompresses to more than can be right")
        buffer[: len(data)] = data
        return len(data)


def bounded(stream: Readable, limit: int) -> IO[bytes]:
    """A stream that fails once more than `limit` bytes came out of it."""
    return io.BufferedReader(_Bounded(stream, limit))


def read_members(path: Path, sizes: Mapping[str, int], total: int) -> dict[str, bytes]:
    """The named regular members of a .tar.gz, each at most its size; all must be there.

    `total` bounds what the archive decompresses to.
    """
    found: dict[str, bytes] = {}
    try:
        with (
            gzip.open(path, "rb") as packed,
            tarfile.open(fileobj=bounded(packed, total), mode="r|") as archive,
        ):
            for member in archive:
                name = member.name.removeprefix("./")
                if name not in sizes or not member.isreg():
                    continue
                if member.size > sizes[name] or name in found:
                    raise ValueError(f"{name} is too large or there twice")
                stream = archive.extractfile(member)
                found[name] = stream.read() if stream else b""
                if len(found) == len(sizes):
                    break
    except (*UNREADABLE, tarfile.TarError) as error:
        raise DataError(
            f"{path} is damaged or not the archive it is named after: {error}. Fetch it again."
        ) from error
    if missing := sorted(set(sizes) - set(found)):
        raise DataError(
            f"{path}: the archive lacks {', '.join(missing)}; it may be cut short. Fetch it again."
        )
    return found
