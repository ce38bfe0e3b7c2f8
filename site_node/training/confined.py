"""Starts the warm worker where no network is: an own network namespace, else a filter of calls.

Run as `python -m site_node.training.confined SOCKET MEMORY_MB CORES`; nothing heavy is imported
before the walls stand, for a process with threads may not enter a namespace of users. The door is
open before torch is loaded: whoever comes first waits, and does not load a torch of its own.
It is a Unix socket in a folder that only the site's user may enter.

Source: design/federation.md §12; Linux unshare(2), user_namespaces(7), seccomp(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from site_node.training.frames import listen

NEW_USER, NEW_NET = 0x10000000, 0x40000000
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
NONE, FILTERED, OPEN = "none", "filtered", "open"
"""How the worker is cut off: no network at all, calls refused, or not at all."""
STATE = "worker.network"

SOCKET_CALL = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Audit word of the architecture and number of `socket`, by machine."""
IO_URING_SETUP = 425
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def main(words: list[str]) -> int:
    """Build the walls, write down which, and serve jobs."""
    path, megabytes, cores = Path(words[0]), int(words[1]), int(words[2])
    state = leave_the_network()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path.parent / STATE).write_text(state, encoding="ascii")
    keep_to(cores, zlib.crc32(str(path).encode()))
    if megabytes:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))
    door = listen(path)
    from site_node.training import worker

    return worker.serve(door)


def leave_the_network() -> str:
    """Cut this process off, for good; returns `none`, `filtered` or `open`."""
    if _survives(_enter_namespace):
        _enter_namespace()
        return NONE
    with contextlib.suppress(OSError, KeyError):
        _refuse_sockets()
        return FILTERED
    return OPEN


def _survives(step: Callable[[], None]) -> bool:
    """Whether a step goes well in a child: half of it cannot be taken back."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            step()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _enter_namespace() -> None:
    """Enter a network namespace that holds nothing; without rights, by way of an own user's.

    Raises:
        OSError: the kernel does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NET) == 0:
        return
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_USER | NEW_NET) != 0:
        raise OSError(ctypes.get_errno(), "no namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _refuse_sockets() -> None:
    """Let the kernel refuse every socket that is not a Unix one, here and in all children.

    Raises:
        OSError: the kernel does not filter.
        KeyError: an architecture whose numbers are not known here.
    """
    word, number = SOCKET_CALL[platform.machine()]
    load, equal, back = 0x20, 0x15, 0x06
    rows = [
        (load, 0, 0, 4),  # 0: the architecture of the call
        (equal, 0, 6, word),  # 1: another one is refused (8)
        (load, 0, 0, 0),  # 2: the number of the call
        (equal, 4, 0, IO_URING_SETUP),  # 3: a way around `socket` (8)
        (equal, 0, 2, number),  # 4: every other call is allowed (7)
        (load, 0, 0, 16),  # 5: the family that is asked for
        (equal, 0, 1, socket.AF_UNIX),  # 6: another one is refused (8)
        (back, 0, 0, ALLOW),  # 7
        (back, 0, 0, REFUSE),  # 8
    ]
    program = b"".join(struct.pack("HBBI", *row) for row in rows)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(rows), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter")


def keep_to(cores: int, place: int) -> None:
    """Stay on so many of this machine's cores: those that the fewest other processes are bound to.

    `place` decides between equals, so that two that begin at once do not always meet.
    """
    known = sorted(os.sched_getaffinity(0))
    if not 0 < cores < len(known):
        return
    taken = dict.fromkeys(known, 0)
    for core in (core for others in bound(len(known)) for core in others & set(known)):
        taken[core] += 1
    turned = known[place % len(known) :] + known[: place % len(known)]
    os.sched_setaffinity(0, sorted(turned, key=taken.__getitem__)[:cores])


def bound(all_cores: int) -> Iterator[set[int]]:
    """The cores of each process of this machine that may not use all of them."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            cores = os.sched_getaffinity(int(entry.name))
            if len(cores) < all_cores and (entry / "cmdline").read_bytes():
                yield cores  # a thread of the kernel has no command line


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
