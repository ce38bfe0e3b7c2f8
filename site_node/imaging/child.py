"""The child process: the only place where untrusted bytes meet pydicom or a codec.

It reads one job per line, answers one line, and lays images into one scratch file. It has no
network to use, no core file, few descriptors, and per file a limit of memory and processor time;
what it breaks is itself, and the parent puts the file it held into quarantine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from compliance.records.reasons import Quarantine
from site_node.imaging.intake import open_regular
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.recipe import ImportRecipe

Act: TypeAlias = Callable[[memoryview], dict[str, Any]]

MEMORY = 768 << 20
MOST_OPEN = 64
MOST_WRITTEN = 8 << 30
MOST_FILE = 2048 << 20
SECONDS = 8
BYTES_PER_SECOND = 20 << 20


def serve(ready: Callable[[], Act], more_memory: int = 0) -> None:
    """Answer jobs until the parent closes the pipe.

    Args:
        ready: loads what is needed, within the limits, and returns what is done with each file.
        more_memory: bytes it may use besides what every child may.
    """
    answers = _own_output()
    warnings.simplefilter("ignore")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, MOST_OPEN)
    _limit(resource.RLIMIT_FSIZE, MOST_WRITTEN)
    act = ready()
    _say(answers, {"ready": True})
    for line in sys.stdin.buffer:
        job = json.loads(line)
        _say(answers, _answer(job["path"], job["sha256"], act, MEMORY + more_memory))


def examining(scratch: Path, recipe: ImportRecipe, line: bytes) -> Act:
    """What an import does with a file: facts to the parent, images into the scratch file."""
    from pydicom.dataelem import DataElement

    from site_node.imaging.deid.deidentify import Deidentifier
    from site_node.imaging.deid.order import read_order
    from site_node.imaging.deid.read_pixels import Sight
    from site_node.imaging.deid.sums import Sums
    from site_node.imaging.deid.text_reader import reader_for
    from site_node.imaging.examine import examine
    from site_node.imaging.memo import Memo

    order, keys = read_order(line)
    clean = Deidentifier(order.profile, keys, Memo()).run
    seen, sums = Memo[DataElement](), Sums()
    sight = Sight(reader_for(order), allow)

    def act(view: memoryview) -> dict[str, Any]:
        found = examine(view, recipe, clean, seen, sight, allow)
        with scratch.open("wb") as out:
            for image in found.images:
                out.write(image.tobytes())
        return {
            "identity": asdict(found.identity),
            "facts": found.facts,
            "findings": found.findings,
            "pixels": found.pixels,
            "images": len(found.images),
            "place": found.place,
            **sums.tell(found.actions),
        }

    return act


def more_memory(line: bytes) -> int:
    """Bytes that an order needs besides what every child may use."""
    from site_node.imaging.deid.order import read_order

    return read_order(line)[0].more_memory


def _own_output() -> BinaryIO:
    """Keep the pipe for answers and send whatever a codec prints nowhere."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _say(answers: BinaryIO, told: dict[str, Any]) -> None:
    answers.write(json.dumps(told).encode() + b"\n")


def _answer(path: str, sha256: str, act: Act, memory: int) -> dict[str, Any]:
    try:
        return _look(os.fsencode(path), sha256, act, memory)
    except Quarantined as out:
        return {"reason": out.reason.value}
    except Skipped as out:
        return {"skipped": out.word}
    except MemoryError:
        return {"reason": Quarantine.PARSE_MEMORY.value}
    except RecursionError:
        return {"reason": Quarantine.TOO_DEEP.value}
    except OSError as error:
        return _of_this_machine(error)


def _of_this_machine(error: OSError) -> dict[str, Any]:
    """A fault of disk, memory or network share is no fault of the file: it is not remembered."""
    if isinstance(error, FileNotFoundError):
        return {"skipped": "vanished"}
    if error.errno == errno.ENOMEM:
        return {"reason": Quarantine.PARSE_MEMORY.value}
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return {"skipped": "disk_full" if full else "unreadable"}


def _look(path: bytes, sha256: str, act: Act, memory: int) -> dict[str, Any]:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_FILE:
            raise Quarantined(Quarantine.TOO_LARGE)
        if size == 0:
            raise Quarantined(Quarantine.NOT_DICOM)
        _limit_file(size, memory)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            if hashlib.sha256(mapped).hexdigest() != sha256:
                raise Skipped("changed")
            view = memoryview(mapped)
            try:
                return act(view)
            finally:
                _release(view)


def _release(view: memoryview) -> None:
    """Let go of the mapping, also when an error still holds a slice of it."""
    error = sys.exc_info()[1]
    if error is not None:
        error.__traceback__ = None
        error.__context__ = None
    view.release()


def _limit_file(size: int, memory: int) -> None:
    """Set memory and processor time for this one file: what is used so far, plus its share."""
    _limit(resource.RLIMIT_AS, memory + size)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime + SECONDS + size / BYTES_PER_SECOND
    _limit(resource.RLIMIT_CPU, int(seconds) + 1)


def allow(decoded: int) -> None:
    """Give this one file more processor time: a share for everything that will be decoded."""
    soft, _ = resource.getrlimit(resource.RLIMIT_CPU)
    _limit(resource.RLIMIT_CPU, soft + decoded // BYTES_PER_SECOND)


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = ImportRecipe.model_validate_json(sys.argv[2])
    told = sys.stdin.buffer.readline()
    serve(lambda: examining(Path(sys.argv[1]), asked, told), more_memory(told))
