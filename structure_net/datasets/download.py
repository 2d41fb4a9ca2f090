"""Fetching one file over TLS, resumed where it was cut off, trusted only with its checksums."""

from __future__ import annotations

import http.client
import os
import queue
import ssl
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from structure_net.datasets.source import digest
from structure_net.errors import DataError, TemporaryError

CONNECT_SECONDS = 10.0  # no answer by then means no network; also each read's patience
BLOCK = 2**20
LOCK_SECONDS = 7200.0  # 170 MB at 25 kB/s


@dataclass(frozen=True)
class Remote:
    """A file on the network, and what it must be."""

    url: str
    size: int
    md5: str
    sha256: str


def _answer(request: urllib.request.Request) -> Any:
    """The open response; OSError when none comes in time (looking up a name has no time-out)."""
    box: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            context = ssl.create_default_context()
            box.put(urllib.request.urlopen(request, timeout=CONNECT_SECONDS, context=context))
        except (OSError, http.client.HTTPException) as error:
            box.put(error)

    threading.Thread(target=ask, daemon=True, name="download").start()
    try:
        answer = box.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer in {CONNECT_SECONDS:g} s") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _receive(remote: Remote, part: Path) -> None:
    """Append to `part` what is missing; start over when the server does not resume."""
    have = part.stat().st_size if part.exists() else 0
    if have >= remote.size:
        return
    request = urllib.request.Request(remote.url, headers={"User-Agent": "structure_net"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _answer(request) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as stream:
            _copy(answer, stream, remote.size - (have if resumed else 0))
            stream.flush()
            os.fsync(stream.fileno())


def _copy(answer: Any, stream: IO[bytes], left: int) -> None:
    """At most one byte more than expected, so that a wrong file is noticed, not stored."""
    while left >= 0 and (block := answer.read(min(BLOCK, left + 1))):
        stream.write(block)
        left -= len(block)


def _check(remote: Remote, part: Path) -> None:
    size = part.stat().st_size
    if size < remote.size:
        raise ConnectionError(f"the connection ended after {size} of {remote.size} bytes")
    if (digest(part, "md5"), digest(part, "sha256")) != (remote.md5, remote.sha256):
        part.unlink()
        raise ConnectionError("what arrived has another checksum than the official file")


def fetch(remote: Remote, target: Path) -> Path:
    """The file at `target`, fetched if it is not there; OSError says what went wrong.

    Two processes that fetch at once wait for each other.
    """
    from filelock import FileLock, Timeout

    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock"), timeout=LOCK_SECONDS):
            if not target.exists():
                _receive(remote, part)
                _check(remote, part)
                part.rename(target)
    except Timeout as error:
        raise TemporaryError(f"Another process has been fetching {target} for hours.") from error
    except http.client.HTTPException as error:
        raise ConnectionError(f"the connection broke off: {error!r}") from error
    except ValueError as error:
        raise DataError(f"{remote.url} cannot be fetched: {error}.") from error
    return target
