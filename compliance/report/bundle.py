"""Build an evidence bundle: the same log prefix and attachments always give the same bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compliance.canonical import sha256_id
from compliance.errors import NotProven
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.report import bag
from compliance.report.derived import derive, tags
from compliance.report.log import Log
from compliance.rules.fold import replay
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal

VERSION = "0.1.0"
SOFTWARE = f"consilium {VERSION}"
MANIFEST_DOMAIN = "consilium/manifest/v1"


@dataclass(frozen=True)
class Material:
    """What a bundle is made of.

    Args:
        entries: the whole study log up to the checkpoint's size.
        checkpoint_note: the checkpoint with its cosignatures.
        exporter: key that signs the manifest (`H/events`, or `S/node` at a site).
        attachments: further files below `data/`, by path.
        software: who made it; part of the bytes.
    """

    entries: Sequence[bytes]
    checkpoint_note: bytes
    exporter: SigningKey
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    software: str = SOFTWARE


def read_log(entries: Sequence[bytes], checkpoint_note: bytes) -> Log:
    """Fold a log and read its checkpoint; the charter's own policy tells the cosignature times.

    Raises:
        Refused: an entry breaks a rule.
        NotProven: the checkpoint lacks its quorum.
        Malformed: an entry or the checkpoint cannot be read.
    """
    state = replay(entries)
    policy = Policy.parse(policy_of_charter(state.charter))
    quorum = policy.judge(checkpoint_note)
    log = Log(entries, checkpoint_note, quorum.checkpoint, quorum.times, state)
    if (log.tree.size, log.tree.root()) != (quorum.checkpoint.size, quorum.checkpoint.root):
        raise NotProven("entries", "they do not lead to the root of the checkpoint")
    return log


def build(material: Material) -> dict[str, bytes]:
    """Make every file of the bundle, by path below the top folder.

    Raises:
        Refused, NotProven, Malformed: the log does not hold; nothing is handed out.
    """
    log = read_log(material.entries, material.checkpoint_note)
    attached = {f"data/{path}": data for path, data in material.attachments.items()}
    payload = derive(log, attached) | {"data/log/checkpoint": material.checkpoint_note} | attached
    files = tags(log, payload, material.software) | {"bagit.txt": bag.BAGIT}
    files[bag.MANIFEST] = bag.manifest(payload)
    files["manifest.note"] = seal(manifest_text(log, files[bag.MANIFEST]), material.exporter)
    files[bag.TAG_MANIFEST] = bag.manifest(files)
    return payload | files


def manifest_text(log: Log, manifest: bytes) -> bytes:
    """What the exporter signs: origin, size, root and hash of the manifest."""
    root = base64.b64encode(log.checkpoint.root).decode()
    lines = (MANIFEST_DOMAIN, log.checkpoint.origin, str(log.checkpoint.size), root)
    return ("\n".join((*lines, sha256_id(manifest))) + "\n").encode()


def top_folder(files: Mapping[str, bytes]) -> str:
    """Name of the top folder: `consilium-<16 hex>-<size>`."""
    checkpoint = parse_text(parse(files["data/log/checkpoint"]).text)
    return f"consilium-{checkpoint.origin.rsplit('/', 1)[-1]}-{checkpoint.size}"


def write_zip(files: Mapping[str, bytes]) -> bytes:
    """The bundle as one zip file."""
    return bag.write_zip(top_folder(files), files)


def fingerprint(data: bytes) -> str:
    """SHA-512 of a whole bundle, to be compared by eye or by machine."""
    return hashlib.sha512(data).hexdigest()
