"""Verify a bundle offline, step by numbered step; it fails in one way only per step.

Exit codes: 0 verified, 1 refuted, 2 cannot tell. Never 0 with a step left out.

Source: design/ledger.md §13; RFC 6962 §2.1, RFC 8493 §3, C2SP tlog-checkpoint, tlog-policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven
from compliance.ledger.checkpoint import Checkpoint, parse_text
from compliance.ledger.merkle import leaf_hash, root
from compliance.ledger.policy import Policy, Quorum, policy_of_charter
from compliance.ledger.tiles import parse_entry_bundle, tile_files
from compliance.records.envelope import parse_event
from compliance.records.types import seconds_of
from compliance.report import bag
from compliance.report.bundle import SOFTWARE, manifest_text
from compliance.report.card import check_card
from compliance.report.derived import derive, tags
from compliance.report.log import Log
from compliance.report.models import check_model
from compliance.rules.fold import replay
from compliance.rules.state import StudyState
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse

Result = Literal["pass", "fail", "cannot_tell", "not_applicable"]
LATE_SECONDS = 600
ENTRIES = "data/log/tile/entries/"
CARD = "/card.json"


@dataclass(frozen=True)
class Step:
    """One step: what was compared, by which clause, and how it ended."""

    number: int
    clause: str
    subject: str
    result: Result
    detail: str


@dataclass
class Report:
    """Every step of a verification; the exit code follows."""

    steps: list[Step] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 2 cannot tell."""
        results = {step.result for step in self.steps}
        return 1 if "fail" in results else 2 if "cannot_tell" in results else 0

    def plain(self) -> dict[str, Any]:
        """The report as plain data."""
        words = {0: "verified", 1: "refuted", 2: "cannot tell"}[self.exit_code]
        return {"verdict": words, "steps": [asdict(step) for step in self.steps]}


class CannotTellError(Exception):
    """A step lacks what it needs; this is neither a yes nor a no."""


@dataclass
class Work:
    """What the steps learn and hand on."""

    data: bytes
    policy_text: str | None
    charter_id: str | None
    top: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[bytes] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    quorum: Quorum | None = None
    state: StudyState | None = None

    def file(self, path: str) -> bytes:
        """A file of the bundle.

        Raises:
            NotProven: it is not there.
        """
        if path not in self.files:
            raise NotProven("file", f"{path} is missing")
        return self.files[path]


def verify(data: bytes, policy_text: str | None, charter_id: str | None = None) -> Report:
    """Verify a bundle.

    Args:
        data: the zip file.
        policy_text: whose signatures count, obtained outside the bundle; None: cannot tell.
        charter_id: the charter that is expected, if known.
    """
    work, report = Work(data, policy_text, charter_id), Report()
    for number, (clause, subject, check) in enumerate(STEPS, 1):
        result, detail = _run(check, work)
        report.steps.append(Step(number, clause, subject, result, detail))
        if number == 1 and result == "fail":
            break
    return report


def _run(check: Callable[[Work], str | None], work: Work) -> tuple[Result, str]:
    try:
        detail = check(work)
    except CannotTellError as error:
        return "cannot_tell", str(error)
    except ConsiliumError as error:
        return "fail", str(error)
    return (
        ("not_applicable", "nothing of the kind in this bundle")
        if detail is None
        else ("pass", detail)
    )


def _need(value: Any, what: str) -> Any:
    if value is None or value == []:
        raise CannotTellError(f"an earlier step did not yield {what}")
    return value


def container(work: Work) -> str:
    """One top folder, plain files, no tricks."""
    work.top, work.files = bag.read_zip(work.data)
    return f"{len(work.files)} files below {work.top}/"


def manifests(work: Work) -> str:
    """Every file is named in a manifest, with its hash; none is missing, none is extra."""
    payload = {path: data for path, data in work.files.items() if path.startswith("data/")}
    tag_files = {path: data for path, data in work.files.items() if path not in payload}
    tag_files.pop(bag.TAG_MANIFEST, None)
    for name, covered in ((bag.MANIFEST, payload), (bag.TAG_MANIFEST, tag_files)):
        _compare_manifest(name, work.file(name), bag.manifest(covered))
    if work.file("bagit.txt") != bag.BAGIT:
        raise NotProven("manifests", "bagit.txt is not BagIt 1.0")
    return f"{len(payload)} payload files, {len(tag_files)} tag files"


def _compare_manifest(name: str, found: bytes, made: bytes) -> None:
    if found == made:
        return
    differing = set(found.decode(errors="replace").splitlines()) ^ set(made.decode().splitlines())
    paths = sorted({line.split("  ", 1)[-1] for line in differing})
    raise NotProven("manifests", f"{name} does not fit: {', '.join(paths[:5]) or 'its form'}")


def entries_and_root(work: Work) -> str:
    """The entries lead to the root (RFC 6962)."""
    note = parse(work.file("data/log/checkpoint"))
    work.checkpoint = parse_text(note.text)
    paths = sorted(path for path in work.files if path.startswith(ENTRIES))
    found = [entry for path in paths for entry in parse_entry_bundle(work.files[path])]
    if len(found) != work.checkpoint.size:
        raise NotProven(
            "entries", f"{len(found)} entries, the checkpoint says {work.checkpoint.size}"
        )
    work.entries = found
    if root(leaf_hash(entry) for entry in found) != work.checkpoint.root:
        raise NotProven("entries", "the entries do not lead to the signed root")
    return f"{len(found)} entries lead to root {work.checkpoint.root.hex()[:16]}…"


def log_signature(work: Work) -> str:
    """The checkpoint is signed by the log that the policy names."""
    policy = _policy(work)
    checkpoint = parse_text(parse(work.file("data/log/checkpoint")).text)
    if policy.log is None or checkpoint.origin != policy.log.name:
        raise CannotTellError(f"the policy is about another log than {checkpoint.origin}")
    key, note = policy.log, parse(work.file("data/log/checkpoint"))
    for line in note.lines:
        if line.name == key.name and line.key_id == key.key_id:
            if not key.verifies(note.text, line.signature):
                raise NotProven("checkpoint.key", "the signature of the log does not verify")
            return f"signed by {key.name}"
    raise NotProven("checkpoint.key", "the log that the policy names has not signed it")


def quorum(work: Work) -> str:
    """Enough witnesses have cosigned."""
    policy = _policy(work)
    work.quorum = policy.judge(work.file("data/log/checkpoint"))
    return f"cosigned by {', '.join(sorted(work.quorum.times))}; asked for {policy.words()}"


def _policy(work: Work) -> Policy:
    if work.policy_text is None:
        raise CannotTellError(
            "no policy file given; get it from a member you trust, then --policy FILE"
        )
    return Policy.parse(work.policy_text)


def tiles(work: Work) -> str:
    """The tiles are those of the tree."""
    _need(work.entries, "the entries")
    made = tile_files([leaf_hash(entry) for entry in work.entries], work.entries)
    found = {
        path.removeprefix("data/log/"): data
        for path, data in work.files.items()
        if path.startswith("data/log/tile/")
    }
    for path in sorted(set(made) | set(found)):
        if made.get(path) != found.get(path):
            raise NotProven("tiles", f"data/log/{path} differs from the tree")
    return f"{len(made)} tiles"


def charter(work: Work) -> str:
    """Entry 0 is the charter that is expected."""
    _need(work.entries, "the entries")
    found = sha256_id(parse(work.entries[0]).text)
    if work.charter_id is not None and found != work.charter_id:
        raise NotProven("charter", f"it is {found}, expected was {work.charter_id}")
    return f"charter id {found}" + ("" if work.charter_id else " (compare it by eye)")


def notes(work: Work) -> str:
    """Every entry is a note in its one form."""
    _need(work.entries, "the entries")
    for index, entry in enumerate(work.entries):
        try:
            note = parse(entry)
            parse_event(note.text)
        except ConsiliumError as error:
            raise NotProven("notes", f"entry {index}: {error}") from None
        if note.encode() != entry:
            raise NotProven("notes", f"entry {index} is not in its one form")
    return f"{len(work.entries)} notes"


def rules(work: Work) -> str:
    """Every rule is replayed; the first refusal is named."""
    _need(work.entries, "the entries")
    work.state = replay(work.entries)
    policy = work.policy_text
    if policy is not None and Policy.parse(policy) != Policy.parse(
        policy_of_charter(work.state.charter)
    ):
        raise CannotTellError("the policy given is not the one that follows from the charter")
    return f"{work.state.size} entries obey; {len(work.state.rounds_closed)} rounds closed"


def not_after_witnesses(work: Work) -> str:
    """The newest entry is not younger than the newest cosignature."""
    state, witnessed = _need(work.state, "the fold"), _need(work.quorum, "the quorum")
    newest = seconds_of(state.newest_time).timestamp()
    if newest > max(witnessed.times.values()) + LATE_SECONDS:
        raise NotProven("cosign.older", "the newest entry is younger than every cosignature")
    return f"newest entry {state.newest_time}"


def derived(work: Work) -> str:
    """Files made from the log are made again and compared byte for byte."""
    _need(work.state, "the fold")
    info = work.file("bag-info.txt").decode(errors="replace")
    software = info.partition("Bag-Software-Agent: ")[2].partition("\n")[0]
    if software != SOFTWARE:
        raise CannotTellError(f"made by {software!r}; install that version, this is {SOFTWARE}")
    log = _log(work)
    made = derive(log, work.files)
    payload = {path: data for path, data in work.files.items() if path.startswith("data/")}
    made |= tags(log, payload, software)
    for path in sorted(made):
        if work.file(path) != made[path]:
            raise NotProven("derived", f"{path} is not what the log says")
    proofs = {path for path in work.files if path.startswith("data/log/proofs/")}
    if extra := sorted(proofs - set(made)):
        raise NotProven("derived", f"{extra[0]} does not follow from the log")
    return f"{len(made)} files made again, equal"


def _log(work: Work) -> Log:
    state, checkpoint = _need(work.state, "the fold"), _need(work.checkpoint, "the checkpoint")
    note = work.file("data/log/checkpoint")
    times = Policy.parse(policy_of_charter(state.charter)).judge(note).times
    return Log(work.entries, note, checkpoint, times, state)


def exporter(work: Work) -> str:
    """The manifest is signed by the hub, or by a site's node, with the keys of the log."""
    state = _need(work.state, "the fold")
    note = parse(work.file("manifest.note"))
    if note.text != manifest_text(_log(work), work.file(bag.MANIFEST)):
        raise NotProven("exporter", "manifest.note is about another manifest, size or root")
    known = [state.charter.hub_key, *(site.node for site in state.charter.sites)]
    keys = {(key.name, key.key_id): key for key in map(VerifierKey.parse, known)}
    for line in note.lines:
        key = keys.get((line.name, line.key_id))
        if key is None or not key.verifies(note.text, line.signature):
            raise NotProven("exporter", f"the signature of {line.name} does not verify")
    return f"signed by {', '.join(line.name for line in note.lines)}"


def attached(work: Work) -> str | None:
    """Attached files have the hashes that stand in the log."""
    state = _need(work.state, "the fold")
    found = {p: d for p, d in work.files.items() if p.startswith("data/workflow/")}
    for path, data in found.items():
        if sha256_id(data) != state.charter.bundle_sha256:
            raise NotProven("attached", f"{path} is not the Flower bundle that the charter names")
    cards = {p: d for p, d in work.files.items() if p.endswith(CARD)}
    for path, data in cards.items():
        check_card(path, data, work.entries)
    count = len(found) + len(cards)
    return f"{count} files" if count else None


def models(work: Work) -> str | None:
    """Model files hold the numbers that the log names."""
    state = _need(work.state, "the fold")
    known = {closed.model_sha256 for closed in state.rounds_closed}
    known.add(state.charter.initial_model_sha256)
    found = {p: d for p, d in work.files.items() if p.endswith(".safetensors")}
    for path, data in found.items():
        check_model(path, data, known)
    return f"{len(found)} models" if found else None


def unattested(work: Work) -> str:
    """What only the manifest covers, and what this run does not check."""
    state = _need(work.state, "the fold")
    known = set(derive(_log(work), work.files)) | {"data/log/checkpoint"}
    loose = [
        path
        for path in sorted(work.files)
        if path.startswith("data/")
        and path not in known
        and not path.startswith("data/workflow/")
        and not path.endswith((".safetensors", CARD))
    ]
    words = f"by manifest only: {', '.join(loose)}. " if loose else ""
    return words + f"Outside: see LIMITS.md. Hospitals named: {len(state.charter.sites)}"


STEPS: tuple[tuple[str, str, Callable[[Work], str | None]], ...] = (
    ("container", "one folder, plain files", container),
    ("RFC 8493 §3", "manifests", manifests),
    ("RFC 6962 §2.1", "entries and root", entries_and_root),
    ("tlog-checkpoint", "signature of the log", log_signature),
    ("tlog-policy", "quorum of witnesses", quorum),
    ("tlog-tiles", "tiles", tiles),
    ("charter", "charter id", charter),
    ("signed-note, RFC 8785", "form of every entry", notes),
    ("rules", "every rule replayed", rules),
    ("tlog-cosignature", "time of the witnesses", not_after_witnesses),
    ("derived files", "made again and compared", derived),
    ("manifest.note", "who exported", exporter),
    ("attached files", "hashes in the log", attached),
    ("model files", "hashes in the log", models),
    ("limits", "what is not attested", unattested),
)
