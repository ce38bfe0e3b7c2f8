"""How a job reaches the warm worker and its result comes back: frames over a Unix socket.

A frame is a header of JSON (at most 64 KiB, its length in four bytes before it) and the raw bytes
that the header announces. No torch here: the ClientApp speaks this from a thin process.

Source: design/federation.md §12.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compliance.errors import Malformed, Refused

MOST_HEADER = 64 << 10
MOST_BYTES = 1 << 30
_LENGTH = 4
LONGEST_NAME = 107
RAW = "bytes"
"""Header field that announces how many raw bytes follow."""


def listen(path: Path) -> socket.socket:
    """Open the socket in a folder that is closed to others.

    Raises:
        Refused: the folder is open to others.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_mode & 0o077:
        raise Refused("site.policy", sentence=f"{path.parent} is open to others: chmod 700 it.")
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short(path) as name:
        door.bind(name)
    door.listen(4)
    return door


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for a socket's path that the kernel takes: it has room for 107 bytes (unix(7)).

    Raises:
        OSError: the folder is not there.
    """
    if len(os.fsencode(path)) <= LONGEST_NAME:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def send_frame(
    line: socket.socket, header: Mapping[str, Any], raw: bytes | memoryview = b""
) -> None:
    """Send one frame.

    Raises:
        Malformed: the header is too long.
        OSError: the other side is gone.
    """
    text = json.dumps({**header, RAW: len(raw)}).encode()
    if len(text) > MOST_HEADER:
        raise Malformed("frame", f"its header is longer than {MOST_HEADER} bytes")
    line.sendall(len(text).to_bytes(_LENGTH, "big") + text)
    if raw:  # The other side has the whole frame already and may have gone: nothing is owed to it.
        line.sendall(raw)


def receive_frame(line: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Receive one frame.

    Raises:
        EOFError: the other side closed.
        Malformed: it is no frame.
    """
    length = int.from_bytes(_exactly(line, _LENGTH), "big")
    if length > MOST_HEADER:
        raise Malformed("frame", f"its header is longer than {MOST_HEADER} bytes")
    try:
        header = json.loads(_exactly(line, length))
        count = header.pop(RAW)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise Malformed("frame", "its header cannot be read") from None
    if not isinstance(count, int) or not 0 <= count <= MOST_BYTES:
        raise Malformed("frame", "it announces an impossible number of bytes")
    return header, _exactly(line, count)


def _exactly(line: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        got = line.recv_into(view[done:])
        if got == 0:
            raise EOFError
        done += got
    return bytes(data)
