"""What processes listen on and speak to, as the kernel tells it (what `ss -ltnp` reads)."""

from __future__ import annotations

from pathlib import Path

LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1 as the kernel writes them."""
ESTABLISHED, LISTENING = "01", "0A"

Socket = tuple[str, int]
"""Address as the kernel writes it, and port."""


def family(pid: int) -> set[int]:
    """A process and everything it started."""
    from hub.federation.keeper import descendants

    return {pid} | descendants(pid)


def listening(pids: set[int]) -> list[Socket]:
    """Address and port of every listening socket of these processes."""
    return [mine for mine, _, state in _sockets(pids) if state == LISTENING]


def spoken_to(pids: set[int]) -> set[int]:
    """Ports to which these processes hold a connection, but for those among themselves."""
    found = _sockets(pids)
    own = {mine[1] for mine, _, _ in found}
    return {peer[1] for _, peer, state in found if state == ESTABLISHED} - own


def _sockets(pids: set[int]) -> list[tuple[Socket, Socket, str]]:
    inodes = {inode for pid in pids for inode in _inodes(pid)}
    rows = []
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        rows += [line.split() for line in lines]
    return [(_socket(row[1]), _socket(row[2]), row[3]) for row in rows if row[9] in inodes]


def _inodes(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append(target[8:-1])
    return found


def _socket(text: str) -> Socket:
    address, port = text.split(":")
    return address, int(port, 16)
