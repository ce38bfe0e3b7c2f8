"""Build an evidence bundle: the same log prefix and attachments always give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compliance.errors import NotProven
from compliance.ledger.checkpoint import parse_text
from compliance.report import bag
from compliance.report.attached import sound_files
from compliance.report.derived import derive, tags
from compliance.report.kinds import CONTROLS, kind_of
from compliance.report.log import Log
from compliance.report.manifest import manifest_text
from compliance.report.reading import read_log
from compliance.report.version import SOFTWARE
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal

__all__ = ["Material", "build", "read_log", "top_folder", "write_zip"]


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


def build(material: Material, log: Log | None = None) -> dict[str, bytes]:
    """Make every file of the bundle, by path below the top folder.

    Args:
        material: what it is made of.
        log: the same entries, if they were read already.

    Raises:
        Refused, NotProven, Malformed: the log does not hold, or a file may not be attached;
            nothing is handed out.
    """
    log = log or read_log(material.entries, material.checkpoint_note)
    given = {f"data/{path}": data for path, data in material.attachments.items()}
    for path in given:
        if kind_of(path) is None and path != CONTROLS:
            raise NotProven("attached", f"{path} is of no kind that a bundle may hold")
    payload = (
        given
        | derive(log, sound_files(log, given))
        | {"data/log/checkpoint": material.checkpoint_note}
    )
    files = tags(log, payload, material.software) | {"bagit.txt": bag.BAGIT}
    files[bag.MANIFEST] = bag.manifest(payload)
    files["manifest.note"] = seal(
        manifest_text(log.checkpoint, files[bag.MANIFEST]), material.exporter
    )
    files[bag.TAG_MANIFEST] = bag.manifest(files)
    return payload | files


def top_folder(files: Mapping[str, bytes]) -> str:
    """Name of the top folder: `consilium-<16 hex>-<size>`."""
    checkpoint = parse_text(parse(files["data/log/checkpoint"]).text)
    return f"consilium-{checkpoint.origin.rsplit('/', 1)[-1]}-{checkpoint.size}"


def write_zip(files: Mapping[str, bytes]) -> bytes:
    """The bundle as one zip file."""
    return bag.write_zip(top_folder(files), files)
