"""Steps 1 to 3: the zip file, its manifests, and who signed them."""

from __future__ import annotations

from collections.abc import Mapping

from compliance.errors import NotProven
from compliance.report import bag
from compliance.report.bag import MANIFEST, TAG_MANIFEST
from compliance.report.manifest import manifest_text
from compliance.report.steps.work import CannotTellError, Work
from compliance.rules.state import StudyState
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse

SHOWN = 5
TAGS = ("bag-info.txt", "bagit.txt", "manifest.note", MANIFEST)


def container(work: Work) -> str:
    """One top folder, plain files, no tricks."""
    work.top, work.files = bag.read_zip(work.asked.data)
    return f"{len(work.files)} files below {work.top}/"


def manifests(work: Work) -> str:
    """Every file is named in a manifest, with its hash; none is missing, none is extra."""
    payload = {path: data for path, data in work.files.items() if path.startswith("data/")}
    tags = {path: data for path, data in work.files.items() if path not in payload}
    tags.pop(TAG_MANIFEST, None)
    for name, covered in ((MANIFEST, payload), (TAG_MANIFEST, tags)):
        _compare(name, work.file(name), covered)
    if extra := sorted(set(tags) - set(TAGS)):
        raise NotProven("manifests", f"{extra[0]} is no tag file of a bundle")
    if work.file("bagit.txt") != bag.BAGIT:
        raise NotProven("manifests", "bagit.txt is not BagIt 1.0")
    return f"{len(payload)} payload files, {len(tags)} tag files"


def _compare(name: str, found: bytes, covered: Mapping[str, bytes]) -> None:
    made = bag.manifest(covered)
    if found == made:
        return
    before, after = (
        set(found.decode(errors="replace").splitlines()),
        set(made.decode().splitlines()),
    )
    paths = sorted({line.split("  ", 1)[-1] for line in before ^ after})
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    named = ", ".join(path[:120] for path in paths[:SHOWN]) or "its form"
    raise NotProven("manifests", f"{name} does not fit: {named}{more}")


def exporter(work: Work) -> str:
    """The manifest is signed by the hub or a hospital's node, with a key of the log."""
    note = parse(work.file("manifest.note"))
    if note.text != manifest_text(work.checkpoint, work.file(MANIFEST)):
        raise NotProven("exporter", "manifest.note is about another manifest, size or root")
    state = work.reading.state
    if state is None:
        raise CannotTellError("the log names no keys, see step 8")
    for line in note.lines:
        key = exporter_key(state, line.name)
        if key is None or key.key_id != line.key_id:
            raise NotProven("exporter", f"{line.name} is no hub or hospital of this log")
        if not key.verifies(note.text, line.signature):
            raise NotProven("exporter", f"the signature of {line.name} does not verify")
    return f"signed by {', '.join(line.name for line in note.lines)}"


def exporter_key(state: StudyState, name: str) -> VerifierKey | None:
    """The key in force of one who may export: the hub, or a hospital's node."""
    holder = state.keys.holders.get(name)
    return state.keys.current.get(name) if holder and holder.role in ("H", "N") else None
