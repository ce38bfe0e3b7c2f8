"""Fetching from the hospital's own PACS into the inbox: what is here already is not fetched again.

Where to ask stands in the settings alone. Running the same query again goes on where it stopped.

Source: design/imaging.md §3.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.facts import RECEIVED
from site_node.imaging.inbox import Fetched, Inbox
from site_node.imaging.keys import SiteKeys, open_keys
from site_node.imaging.query import Instance, Query, query_of
from site_node.imaging.sources import PACS, Fetch, Progress
from site_node.settings import Settings

FETCHING = "fetching"


class Pacs(Protocol):
    """Either way to a PACS."""

    def echo(self) -> None:
        """Ask whether it hears us; about no patient."""

    def instances(self, query: Query) -> Iterator[Instance]:
        """Every object that the PACS holds for a query."""

    def fetch(
        self, wanted: list[Instance], whole: set[str], keep: Callable[[Path, str], None]
    ) -> Iterator[tuple[Instance, str]]:
        """Fetch objects; each with an empty word or why it did not come."""

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Hand over results; each with an empty word or why it was not taken."""

    def close(self) -> None:
        """Close what is open."""


def fetch_of(
    source: Path | str, words: Sequence[str], settings: Settings, random: Callable[[int], bytes]
) -> Fetch | None:
    """What brings files before they are read; None when the source is not the PACS.

    Raises:
        NotReady: the query is not usable, or the settings name no PACS.
    """
    if source != PACS:
        if words:
            raise NotReady("--query goes with the source `pacs` only.", "Leave it out.")
        return None
    query = query_of(words)
    check_named(settings)

    def fetch(progress: Progress) -> Fetched:
        home = settings.home
        work = home / "work" / FETCHING
        inbox = Inbox(home)
        inbox.ready(work)
        pacs = open_pacs(settings, work)
        try:
            return pull(pacs, query, Keeper(inbox, open_keys(home, random), settings), progress)
        finally:
            pacs.close()

    return fetch


def check_named(settings: Settings) -> None:
    """Refuse to ask or send where the settings name no PACS.

    Raises:
        NotReady: they name none.
    """
    if not settings.pacs_url and not (settings.pacs_host and settings.pacs_aet):
        raise NotReady(
            "the settings name no PACS.",
            "Set pacs_url for DICOMweb, or pacs_host, pacs_port and pacs_aet.",
        )


def open_pacs(settings: Settings, work: Path) -> Pacs:
    """The way to the PACS that the settings name; DICOMweb where both are named."""
    if settings.pacs_url:
        from site_node.imaging.pacs_web import WebPacs

        return WebPacs(settings, work)
    from site_node.imaging.pacs_dimse import DicomPacs

    return DicomPacs(settings, work)


class Keeper:
    """Keeps what comes, while the disk has room, and knows what is here.

    Args:
        inbox: where it is kept.
        keys: for the stand-ins of instance numbers.
        settings: home and floor of the disk.
    """

    def __init__(self, inbox: Inbox, keys: SiteKeys, settings: Settings) -> None:
        self._inbox, self._keys, self._settings = inbox, keys, settings

    def __call__(self, path: Path, instance: str) -> None:
        """Keep one file.

        Raises:
            NotReady: the disk has no room above its floor.
        """
        floor = self._settings.scp_disk_floor_gb
        if shutil.disk_usage(self._settings.home).free <= floor << 30:
            raise NotReady(
                f"the disk has less than {floor} GB left; what came is kept.",
                "Free space, or lower scp_disk_floor_gb, then run the same import again.",
            )
        self._inbox.take(path, self.key(instance))

    def key(self, instance: str) -> str:
        """The keyed stand-in of an instance number."""
        return self._keys.match("instance", instance)

    def here(self) -> dict[str, set[str]]:
        """Contents by keyed instance number."""
        return self._inbox.arrived()


def pull(
    pacs: Pacs,
    query: Query,
    keep: Keeper,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Bring everything that a query names into the inbox.

    Every object is counted once: here before, received, or missing with a word. Objects of
    different series may share one instance number (31 of pydicom's do): it is known only when as
    many contents came under it as the PACS names.
    """
    named = list(dict.fromkeys(pacs.instances(query)))
    copies = Counter(one.instance for one in named)
    before = keep.here()
    told = Fetched(named=len(named))
    wanted: list[Instance] = []
    for one in named:
        if len(before.get(keep.key(one.instance), ())) >= copies[one.instance]:
            told.here_before += 1
        elif why := _cannot_come(one):
            told.missing[why] += 1
        else:
            wanted.append(one)
    wanted.sort(key=lambda one: (one.study, one.series, one.instance))
    lost = dict(_fetched(pacs, wanted, _whole(named, wanted), keep, progress, clock))
    here = keep.here()
    for instance, n in Counter(one.instance for one in wanted).items():
        came = min(n, len(here.get(keep.key(instance), ())))
        told.received += came
        told.missing[lost.get(instance) or "not_sent"] += n - came
    told.missing = +told.missing
    for instance in copies:
        told.hashes |= here.get(keep.key(instance), set())
    return told


def _cannot_come(one: Instance) -> str:
    if not one.named_well:
        return Quarantine.BAD_UID.value
    if one.kind and one.kind not in RECEIVED:
        return Quarantine.CLASS_NOT_SUPPORTED.value
    return ""


def _whole(named: list[Instance], wanted: list[Instance]) -> set[str]:
    """Series of which everything is wanted."""
    there = Counter(one.series for one in named)
    asked = Counter(one.series for one in wanted)
    return {series for series, n in asked.items() if there[series] == n}


def _fetched(
    pacs: Pacs,
    wanted: list[Instance],
    whole: set[str],
    keep: Keeper,
    progress: Progress,
    clock: Callable[[], float],
) -> Iterator[tuple[str, str]]:
    began = clock()
    for done, (one, why) in enumerate(pacs.fetch(wanted, whole, keep), start=1):
        rate = done / max(clock() - began, 1e-3)
        left = (len(wanted) - done) / rate
        words = f"fetched {done} of {len(wanted)}, {rate:.0f}/s, {left:.0f} s left"
        progress(words, done / len(wanted))
        if why:
            yield one.instance, why
