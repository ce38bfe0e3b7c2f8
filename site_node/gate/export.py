"""The site's own export: a bundle made from the mirror, for which a hospital needs nobody."""

from __future__ import annotations

from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.records.charter import CharterBody
from compliance.report.bundle import Material
from compliance.report.controls import recorded
from compliance.report.export import (
    Made,
    Tell,
    check_purpose,
    complete_receipts,
    documents_in,
    make,
    not_witnessed,
    put,
    silent,
)
from compliance.report.reading import read_log
from compliance.report.request import Request
from compliance.rules.policies import policy_in_force
from compliance.signing.note import parse
from site_node.gate.keys import Keys
from site_node.gate.mirror import Mirror, find_mirrored
from site_node.gate.statements import Statements
from site_node.store import outbox
from site_node.store import studies as documents
from site_node.store.journal import Sessions


def export(
    mirror: Mirror,
    keys: Keys,
    asked: Request,
    *,
    record: Recorder,
    tell: Tell = silent,
) -> dict[str, Any]:
    """Build, verify and write the bundle of one study; queue `export.created`.

    The hub is not asked. The receipt of this export follows with the next one into the same folder,
    after the hospitals have cosigned the entry.

    Raises:
        NotReady: unknown purpose, nothing mirrored, no quorum yet, or the folder is not writable.
        NotProven: the bundle does not verify; it is not handed out.
    """
    check_purpose(asked.purpose)
    full = find_mirrored(mirror, asked.study)
    note = _checkpoint(mirror, full, asked.as_of)
    size = parse_text(parse(note).text).size
    log = read_log(mirror.entries(full, 0, size), note)
    charter = log.state.charter
    files = record.descriptions(charter) | recorded(asked.profiles)
    files |= documents_in(asked.documents, charter) if asked.documents else {}
    policy = policy_in_force(log.state)
    material = Material(log.entries, note, keys.node, files)
    made = make(material, policy, log.state.charter_id, log=log, tell=tell)
    path = asked.out / made.name
    put(path, made.data, lambda: record.say(full, made, asked.purpose))
    tell(f"{path} written; the export is said to the hub with the next heartbeat")
    receipts = complete_receipts(asked.out, log.entries, note)
    return {
        "bundle": str(path),
        "study": full,
        "size": size,
        "root": made.root,
        "sha256": sha256_id(made.data),
        "policy": policy,
        "receipts": [str(item) for item in receipts],
    }


def _checkpoint(mirror: Mirror, study: str, as_of: int | None) -> bytes:
    """The newest checkpoint with quorum that this site keeps.

    Raises:
        NotReady: none, or not the one that is asked for.
    """
    known = mirror.quorum(study)
    if known is None:
        raise not_witnessed(policy_in_force(mirror.state(study)), None)
    size, note = known
    if as_of not in (None, size):
        raise NotReady(
            f"this site keeps the cosigned checkpoint of {size} entries, not of {as_of}.",
            "Leave out --as-of, or export at the hub.",
        )
    return note


class Recorder:
    """Puts `export.created` of this site into the outbox, and knows what it described.

    Args:
        mirror: names the charter.
        keys: the node key signs.
        statements: seals and keeps notes.
        sessions: the site's database.
    """

    def __init__(
        self, *, mirror: Mirror, keys: Keys, statements: Statements, sessions: Sessions
    ) -> None:
        self._mirror, self._keys = mirror, keys
        self._statements, self._sessions = statements, sessions

    def descriptions(self, charter: CharterBody) -> dict[str, bytes]:
        """This hospital's own descriptions of its datasets in a charter, as attachments."""
        site = self._keys.node.name.rpartition("/")[0]
        files: dict[str, bytes] = {}
        with self._sessions() as session:
            for row in charter.datasets_of(site):
                data = documents.find_document(session, row.description_sha256)
                if data is not None and sha256_id(data) == row.description_sha256:
                    files[f"data/{site}-{row.id}.croissant.json"] = data
        return files

    def say(self, study: str, made: Made, purpose: str) -> None:
        """Sign and queue the statement."""
        log = self._mirror.state(study).charter_id
        body = made.said(purpose)
        note = self._statements.seal("export.created", body, log=log, key=self._keys.node)
        with self._sessions.begin() as session:
            self._statements.keep(session, note, study=study, way=outbox.ENTRIES)
