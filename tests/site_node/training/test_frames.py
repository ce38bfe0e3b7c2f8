"""A frame is all there is: whoever has read it may hang up."""

from __future__ import annotations

import socket
import threading

from site_node.training.frames import receive_frame, send_frame


class Hasty:
    """A line whose other side reads one frame's header and closes at once."""

    def __init__(self, line: socket.socket, other: socket.socket) -> None:
        self.line = line
        self.other = other

    def sendall(self, raw: bytes | memoryview) -> None:
        """Send it; then the other side has read enough."""
        self.line.sendall(raw)
        receive_frame(self.other)
        self.other.close()


def test_a_frame_without_bytes_needs_nobody_after_its_header() -> None:
    """Seen once in a long run: the reader had closed before the nothing after it was sent."""
    line, other = socket.socketpair()
    with line:
        send_frame(Hasty(line, other), {"kind": "done"})  # type: ignore[arg-type]


def test_a_frame_brings_its_bytes() -> None:
    """More of them than a socket holds."""
    line, other = socket.socketpair()
    raw = bytes(range(256)) * 4096
    with line, other:
        sender = threading.Thread(target=send_frame, args=(line, {"kind": "job"}, raw))
        sender.start()
        assert receive_frame(other) == ({"kind": "job"}, raw)
        sender.join()
