"""An export: build a bundle, verify it as an auditor would, and hand it out whole or not at all.

Hub and hospital run the same file; what differs is where the log lies and who signs.

Source: design/compliance.md §1.3.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven, NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import Policy
from compliance.records.charter import CharterBody
from compliance.records.decisions import ExportCreated
from compliance.records.envelope import parse_event
from compliance.report import bag
from compliance.report.attached import documents_of
from compliance.report.bundle import Material, build, top_folder, write_zip
from compliance.report.log import Log
from compliance.report.manifest import root_text
from compliance.report.receipt import write_receipt
from compliance.report.verify import verify
from compliance.signing.note import parse

PURPOSES = ("audit", "regulator", "ethics", "partner", "internal")
RECEIPT = ".receipt"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A verified bundle that nobody has yet.

    Args:
        name: file name, `consilium-<16 hex>-<size>.zip`.
        data: the zip.
        size: entries of the log in it.
        root: of the log, base64.
        manifest_sha256: hash of its manifest.
    """

    name: str
    data: bytes
    size: int
    root: str
    manifest_sha256: str

    def said(self, purpose: str) -> dict[str, Any]:
        """Body of `export.created`."""
        return {
            "size": self.size,
            "root": self.root,
            "manifest_sha256": self.manifest_sha256,
            "purpose": purpose,
            "on_behalf": None,
        }


def silent(_: str) -> None:
    """Tell nobody how far an export is."""


def check_purpose(purpose: str) -> None:
    """Refuse a purpose outside the closed list.

    Raises:
        NotReady: it is none.
    """
    if purpose not in PURPOSES:
        raise NotReady(f"{purpose!r} is no purpose.", f"Choose: {', '.join(PURPOSES)}.")


def make(
    material: Material, policy: str, charter_id: str, *, log: Log | None = None, tell: Tell = silent
) -> Made:
    """Build a bundle and verify it with our own verifier.

    Raises:
        NotProven: it does not verify; the failing step is named, and nothing is handed out.
    """
    tell(f"building a bundle of {len(material.entries)} entries")
    files = build(material, log)
    data = write_zip(files)
    tell(f"verifying {len(files)} files, {len(data)} bytes")
    agreed = material.attachments.get("consortium/policy.txt", b"").decode() or None
    report = verify(data, policy, charter_id, consortium_policy=agreed)
    if report.exit_code:
        step = next(step for step in report.steps if step.result in ("fail", "cannot_tell"))
        words = f"the new bundle does not verify, so it was not kept: {step.detail}"
        raise NotProven(f"{step.number} ({step.subject})", words)
    checkpoint = parse_text(parse(material.checkpoint_note).text)
    manifest = sha256_id(files[bag.MANIFEST])
    name = f"{top_folder(files)}.zip"
    return Made(name, data, checkpoint.size, root_text(checkpoint), manifest)


def not_witnessed(policy: str, note: bytes | None) -> NotReady:
    """The sentence for a log whose newest entries too few hospitals have cosigned."""
    judged = Policy.parse(policy)
    needed, of = judged.groups.get(judged.quorum, (1, ()))
    anybody = replace(judged, quorum="none")
    count = len(anybody.judge(note).times) if note else 0
    return NotReady(
        f"not witnessed yet: {count} of the {needed} cosignatures that are needed "
        f"(witnesses: {', '.join(of) or judged.quorum}).",
        "Let the hospitals' nodes run (`consilium site serve`) and try again.",
    )


def documents_in(folder: Path, charter: CharterBody) -> dict[str, bytes]:
    """Files of a folder that the charter names by hash, as attachments.

    Raises:
        NotReady: the folder cannot be read, or holds a file that the charter does not name.
    """
    try:
        found = {
            path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()
        }
    except OSError as error:
        words = f"{folder} cannot be read ({error.strerror})."
        raise NotReady(words, "Name a folder with the charter's documents.") from None
    known = documents_of(charter)
    for name, data in found.items():
        if sha256_id(data) not in known:
            raise NotReady(
                f"the charter names no document {name} with {sha256_id(data)}.",
                f"Take it out of {folder}, or find the version that was signed.",
            )
    return {f"documents/{_plain(name)}": data for name, data in found.items()}


def put(path: Path, data: bytes, record: Callable[[], Any] | None = None) -> None:
    """Write a file beside its place, record it, then put it there; a part never stays.

    Raises:
        NotReady: the folder cannot be written or the disk is full; nothing was kept.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if record is not None:
            record()
        part.replace(path)
    except OSError as error:
        raise NotReady(
            f"{path.parent} cannot be written ({error.strerror}); nothing was kept.",
            "Free space, give write access, or name another folder with --out.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def find_receipt(entries: Sequence[bytes], checkpoint: bytes, manifest_sha256: str) -> bytes | None:
    """The receipt of an export, if a cosigned checkpoint covers its entry already.

    Args:
        entries: the log, at least up to the checkpoint's size.
        checkpoint: the newest one with quorum.
        manifest_sha256: of the bundle.
    """
    size = parse_text(parse(checkpoint).text).size
    tree = Tree()
    for entry in entries[:size]:
        tree.append(leaf_hash(entry))
    for index in reversed(range(size)):
        body = parse_event(parse(entries[index]).text).body
        if isinstance(body, ExportCreated) and body.manifest_sha256 == manifest_sha256:
            return write_receipt(entries[index], index, tree.inclusion(index), checkpoint)
    return None


def complete_receipts(folder: Path, entries: Sequence[bytes], checkpoint: bytes) -> list[Path]:
    """Write the receipts of earlier exports that became possible since.

    Args:
        folder: where bundles of this study lie.
        entries: the log, at least up to the checkpoint's size.
        checkpoint: the newest one with quorum.
    """
    study = parse_text(parse(checkpoint).text).origin.rpartition("/")[2]
    written = []
    for bundle in sorted(folder.glob(f"consilium-{study}-*.zip")):
        path = bundle.with_name(bundle.name + RECEIPT)
        manifest = None if path.exists() else _manifest_of(bundle)
        receipt = find_receipt(entries, checkpoint, manifest) if manifest else None
        if receipt is not None:
            put(path, receipt)
            written.append(path)
    return written


def others_left_out(files: Mapping[str, bytes], site: str | None) -> dict[str, bytes]:
    """Attachments without what another hospital wrote about its data (`--site NAME`)."""
    about = ("data/", "privacy/deid/")
    return {
        path: data
        for path, data in files.items()
        if site is None
        or not path.startswith(about)
        or path.rpartition("/")[2].startswith(f"{site}-")
    }


def _manifest_of(bundle: Path) -> str | None:
    try:
        _, files = bag.read_zip(bundle.read_bytes())
        return sha256_id(files[bag.MANIFEST])
    except (ConsiliumError, KeyError, OSError):
        return None


def _plain(name: str) -> str:
    """A file name as a bundle may hold it."""
    plain = "".join(mark if mark.isascii() and (mark.isalnum() or mark in "._-") else "_"
                    for mark in name)  # fmt: skip
    return plain if plain[:1].isalnum() else f"x{plain}"
