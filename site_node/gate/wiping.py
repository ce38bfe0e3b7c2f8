"""The end at a hospital: curated images, pseudonyms and, if asked, its keys are destroyed.

Only after the consortium's log says that this hospital has left: a member without data would be
asked for rounds it cannot take part in. Journal and mirrored logs stay: they are its evidence.
What a file system keeps of deleted files is not in our hands; without `secret.key` nobody can
link a pseudonym to a patient any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import NotReady
from compliance.rules.consortium.state import ConsortiumState
from site_node.gate.journal import Journal

NAMES = (
    *("datasets", "inbox", "quarantine", "quarantine.csv", "work", "replies", "models", "flower"),
    *("deidentified", "site.before.sqlite", "site.sqlite.new", "secret.key"),
)
"""All below a home that comes from images; databases of before an upgrade hold pseudonyms too."""

KEYS = "keys"
LEFT = "left"


@dataclass(frozen=True)
class Wiped:
    """What was destroyed: objects of the catalogue, and names below the home."""

    objects: int
    names: list[str]


def check_left(site: str | None, state: ConsortiumState | None) -> None:
    """Make sure that this hospital is no member any more, by its own copy of the log.

    Raises:
        NotReady: it is one, or the log does not say yet that it left.
    """
    mine = state.members.get(site or "") if state is not None else None
    if mine is not None and mine.standing != LEFT:
        raise NotReady(
            f"by the consortium's log {site} is a member ({mine.standing}).",
            "Run `consilium site leave` first; when the hub was away, run it again.",
        )


def wipe(home: Path, forget: Callable[[], int], journal: Journal, *, keys: bool) -> Wiped:
    """Destroy data, pseudonyms and, with `keys`, every key; repeat it after a power cut.

    Args:
        home: of this site; nobody serves it now.
        forget: deletes the rows about single objects and returns how many there were.
        journal: is told first.
        keys: whether the keys go too: afterwards nobody can sign for this hospital.
    """
    wanted = [*NAMES, *([KEYS] if keys else [])]
    names = [name for name in wanted if (home / name).exists()]
    journal.write("data.wiped", names=names)
    objects = forget()
    for name in names:
        _remove(home / name)
    return Wiped(objects, names)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
