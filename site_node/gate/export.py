"""The site's own export: a bundle made from the mirror, for which a hospital needs nobody."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotProven, NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.policy import policy_of_charter
from compliance.report.bundle import Material, build, top_folder, write_zip
from compliance.report.verify import verify
from compliance.signing.note import parse
from site_node.gate.keys import Keys
from site_node.gate.mirror import Mirror
from site_node.gate.statements import Statements
from site_node.store import outbox
from site_node.store.journal import Sessions

PURPOSES = ("audit", "regulator", "ethics", "partner", "internal")


def export(
    mirror: Mirror, keys: Keys, study: str, out: Path, purpose: str, *, record: Recorder
) -> dict[str, Any]:
    """Build, verify and write the bundle of one study; queue `export.created`.

    Raises:
        NotReady: unknown purpose, nothing mirrored, no quorum yet, or the folder is not writable.
        NotProven: the bundle does not verify; it is not handed out.
    """
    if purpose not in PURPOSES:
        raise NotReady(f"{purpose!r} is no purpose.", f"Choose: {', '.join(PURPOSES)}.")
    full = find_mirrored(mirror, study)
    known = mirror.quorum(full)
    if known is None:
        raise NotReady(
            "this study's log is not witnessed by a quorum yet.",
            "Let the hospitals' nodes run (`consilium site serve`) and try again.",
        )
    size, note = known
    files = build(Material(mirror.entries(full, 0, size), note, keys.node))
    bundle = write_zip(files)
    charter = mirror.state(full).charter
    report = verify(bundle, policy_of_charter(charter), mirror.state(full).charter_id)
    if report.exit_code == 1:
        failed = next(step for step in report.steps if step.result == "fail")
        raise NotProven(str(failed.number), f"the new bundle does not verify: {failed.detail}")
    path = _write(out, f"{top_folder(files)}.zip", bundle)
    root = base64.b64encode(parse_text(parse(note).text).root).decode()
    manifest = sha256_id(files["manifest-sha512.txt"])
    record.say(full, size=size, root=root, manifest=manifest, purpose=purpose)
    return {
        "bundle": str(path),
        "study": full,
        "size": size,
        "root": root,
        "sha256": sha256_id(bundle),
        "policy": policy_of_charter(charter),
    }


class Recorder:
    """Puts `export.created` of this site into the outbox.

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

    def say(self, study: str, *, size: int, root: str, manifest: str, purpose: str) -> None:
        """Sign and queue the statement."""
        body = {
            "size": size,
            "root": root,
            "manifest_sha256": manifest,
            "purpose": purpose,
            "on_behalf": None,
        }
        log = self._mirror.state(study).charter_id
        note = self._statements.seal("export.created", body, log=log, key=self._keys.node)
        with self._sessions.begin() as session:
            self._statements.keep(session, note, study=study, way=outbox.ENTRIES)


def find_mirrored(mirror: Mirror, study: str) -> str:
    """The full id of a mirrored study from its first characters.

    Raises:
        NotReady: none or several fit.
    """
    wanted = study.removeprefix("sha256:").lower()
    found = [
        head.study
        for head in mirror.heads()
        if wanted
        and (
            head.study.startswith(wanted)
            or head.charter_id.removeprefix("sha256:").startswith(wanted)
        )
    ]
    if len(found) != 1:
        raise NotReady(
            f"{len(found)} mirrored studies fit {study!r}.", "List them: `consilium site studies`."
        )
    return found[0]


def _write(out: Path, name: str, data: bytes) -> Path:
    path, partial = out / name, out / f".{name}.partial"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise NotReady(
            f"the bundle cannot be written to {out} ({error.strerror}); nothing was kept.",
            "Free space, or name another folder with --out.",
        ) from error
    return path
