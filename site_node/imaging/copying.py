"""`site deidentify`: from a source of files to a folder of copies that name nobody.

Files are listed by content and copied by child processes. A copy is durable under another name
before it gets its own, and is on record only then; a second run goes on with what is not on record.
Of two files with the same UID the one with the smaller content hash stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.deid.ledger import CopyLedger
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import Profile, find_profile
from site_node.imaging.deid.sums import total
from site_node.imaging.deid.target import Target
from site_node.imaging.deid.text_reader import jobs_for, need_reader
from site_node.imaging.importing import LISTING, cores, free_bytes, silent
from site_node.imaging.intake import Found, Walk
from site_node.imaging.keys import SiteKeys, open_keys
from site_node.imaging.reading import FULL, NOT_KEPT
from site_node.imaging.shards import sync_folder
from site_node.imaging.sources import Fetch, Progress, Source, working
from site_node.imaging.tally import only_one_import, write_list
from site_node.imaging.workers import Answer, Crew, Job, Pool

BATCH, BATCH_BYTES = 64, 256 << 20
MODULE = "site_node.imaging.copy_child"
DUPLICATE_BYTES, DUPLICATE_IMAGE = "duplicate_bytes", "duplicate_image"


@dataclass(frozen=True)
class Request:
    """What a technician asked for."""

    source: Path | str
    out: Path
    profile: str = "training"
    accept_burned_in: bool = False
    list_files: bool = False
    find_text: bool = False
    fetch: Fetch | None = None


class Copier:
    """Writes de-identified copies.

    Args:
        home: folder of the site.
        random: that many bytes nobody can guess, for the site's secret.
        jobs: child processes.
        free: free bytes on the disk of a folder.
    """

    def __init__(
        self,
        *,
        home: Path,
        random: Callable[[int], bytes],
        jobs: int | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._home, self._random, self._jobs = home, random, jobs or cores()
        self._free = free

    def run(self, request: Request, progress: Progress = silent) -> dict[str, Any]:
        """Copy a source; running it again goes on, and changes nothing when all is done.

        Raises:
            NotReady: a word of the request is wrong, the disk is full, nothing could be copied.
        """
        profile = find_profile(request.profile)
        order = Order(profile, request.accept_burned_in, request.find_text)
        need_reader(find_text=request.find_text)
        with only_one_import(self._home), working(self._home) as work:
            keys = open_keys(self._home, self._random)
            source = Source(request.source, request.fetch)
            target = Target(request.out, order, keys.match("copies", "site")[:8])
            target.check(source.place(self._home))
            walk, fetched = source.walk(self._home, work=work, free=self._free, progress=progress)
            target.open()
            where = f"{request.out.resolve()}\0{profile.sha256}\0{request.accept_burned_in}"
            where += "\0text" if request.find_text else ""
            ledger = CopyLedger(self._home, keys.match("copies", where)[:16])
            run = _Run(target, ledger, keys, walk)
            run.copy(order, jobs_for(order, self._jobs), progress)
            told = run.told(profile)
            target.report({"complete": True, "copies": told["written"], "actions": told["actions"]})
            target.close()
        if request.list_files:
            write_list(self._home / LISTING, run.listed())
        if not told["written"]:
            raise _nothing(told)
        pacs = {"pacs": fetched.plain()} if fetched else {}
        return told | pacs | {"out": str(request.out)}


class _Run:
    """One run over one source."""

    def __init__(self, target: Target, ledger: CopyLedger, keys: SiteKeys, walk: Walk) -> None:
        self._target, self._ledger, self._keys, self._walk = target, ledger, keys, walk
        self._names = ledger.names()
        self._gone: dict[str, str] = {}
        self._first = {file.sha256: file for file in reversed(walk.files)}

    def copy(self, order: Order, jobs: int, progress: Progress) -> None:
        """Copy what is not on record yet, batch by batch."""
        crew = Crew(MODULE, "copies", order.line(self._keys), order.more_seconds)
        fresh = [file for sha256, file in sorted(self._first.items()) if not self._done(sha256)]
        with Pool(work=self._target.work, crew=crew, jobs=jobs) as pool:
            done = 0
            for batch in _batches(fresh):
                answers: list[tuple[Answer, Path | None]] = []
                for answer in pool.run(_jobs(batch)):
                    answers.append((answer, self._take(answer)))
                    done += 1
                    progress(f"{done} of {len(fresh)} {order.doing}", done / len(fresh))
                self._commit(batch, answers)

    def _take(self, answer: Answer) -> Path | None:
        if answer.told.get("skipped") == FULL:
            raise NotReady(
                "the disk with the copies is full; what was copied before is kept.",
                "Free space, then run the same command again: it goes on where it stopped.",
            )
        if "name" not in answer.told:
            return None
        return self._target.take(answer.scratch, answer.job.number)

    def _commit(self, batch: Sequence[Found], answers: list[tuple[Answer, Path | None]]) -> None:
        """Give the copies of a batch their names, then put them on record."""
        lines = []
        for answer, waiting in sorted(answers, key=lambda pair: pair[0].job.number):
            file = batch[answer.job.number]
            if answer.told.get("skipped") in NOT_KEPT:
                self._gone[file.sha256] = answer.told["skipped"]
                continue
            told = self._judge(answer.told) if waiting else answer.told
            if waiting is not None and "name" in told:
                waiting.replace(self._target.folder / told["name"])
            elif waiting is not None:
                waiting.unlink()
            lines.append({"file": self._keyed(file.sha256)} | told)
        sync_folder(self._target.folder)
        self._ledger.add(lines)

    def _judge(self, told: dict[str, Any]) -> dict[str, Any]:
        """The first copy of a UID stays; the same bytes again are a double, others a conflict."""
        name = told["name"]
        before = self._names.get(name)
        if before is None or not self._there(name):
            self._names[name] = told["sha256"]
            return told
        if before == told["sha256"]:
            return {"skipped": DUPLICATE_IMAGE}
        return {"reason": Quarantine.UID_CONFLICT.value}

    def _keyed(self, sha256: str) -> str:
        return self._keys.leaf(bytes.fromhex(sha256)).hex()[:32]

    def _done(self, sha256: str) -> bool:
        """Whether a file is on record, and its copy still there."""
        line = self._ledger.lines.get(self._keyed(sha256))
        return line is not None and ("name" not in line or self._there(line["name"]))

    def _there(self, name: str) -> bool:
        return (self._target.folder / name).is_file()

    def _outcomes(self) -> Iterator[tuple[Found, dict[str, Any]]]:
        """Every file with what it came to."""
        for file in self._walk.files:
            if self._first[file.sha256] is not file:
                yield file, {"skipped": DUPLICATE_BYTES}
                continue
            line = self._ledger.lines.get(self._keyed(file.sha256))
            yield file, line or {"skipped": self._gone.get(file.sha256, "vanished")}

    def listed(self) -> list[tuple[bytes, str]]:
        """Relative path and reason of every file in quarantine."""
        return [
            (file.relative, line["reason"]) for file, line in self._outcomes() if "reason" in line
        ]

    def told(self, profile: Profile) -> dict[str, Any]:
        """What the run came to: counts, and the sum of what was done."""
        lines = [line for _, line in self._outcomes()]
        reasons = Counter(line["reason"] for line in lines if "reason" in line)
        skipped = Counter(line["skipped"] for line in lines if "skipped" in line)
        skipped.update(self._walk.skipped)
        copies = {line["file"] for line in lines if "name" in line}
        return {
            "profile": f"{profile.name} {profile.digits}",
            "files": self._walk.seen,
            "written": len(copies),
            "quarantined": reasons.total(),
            "skipped": skipped.total(),
            "reasons": dict(sorted(reasons.items())),
            "skipped_because": dict(sorted(skipped.items())),
            "actions": total(self._ledger.actions(copies)),
        }


def _batches(files: Sequence[Found]) -> Iterator[list[Found]]:
    """So many files, or so many bytes, as one may lose to a power cut."""
    batch: list[Found] = []
    for file in files:
        batch.append(file)
        if len(batch) == BATCH or sum(one.size for one in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _jobs(batch: Sequence[Found]) -> list[Job]:
    return [Job(number, file.path, file.size, file.sha256) for number, file in enumerate(batch)]


def _nothing(told: dict[str, Any]) -> NotReady:
    found = told["reasons"] | told["skipped_because"]
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(found.items()))
    return NotReady(
        f"none of {told['files']} files could be copied ({why or 'the folder is empty'}).",
        "Look up each reason in the guide for hospital IT; --list-files writes which file it was.",
    )
