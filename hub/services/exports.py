"""Evidence bundles and models as files: built, verified, and handed out by a one-time ticket."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.report.bundle import Material, build, top_folder, write_zip
from compliance.report.verify import verify
from compliance.signing.note import parse
from hub.services.clock import Clock, Random, text_of
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService, Receipt
from hub.services.registry import ModelRegistry
from hub.services.releases import ReleaseService
from hub.storage import intents as rows
from hub.storage.database import Database

TICKET_SECONDS = 60
PATIENCE_SECONDS = 60.0


class ExportService:
    """Exports.

    Args:
        database: keeps tickets.
        ledger: the logs.
        registry: the models.
        releases: which of them may be handed out.
        keys: the hub's events key signs the manifest.
        home: where finished files lie and the Flower bundle is found.
        clock: the time now.
        random: source of tickets.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        database: Database,
        ledger: LedgerService,
        registry: ModelRegistry,
        releases: ReleaseService,
        keys: KeyStore,
        home: Path,
        clock: Clock,
        random: Random,
    ) -> None:
        self._database, self._ledger, self._registry = database, ledger, registry
        self._releases, self._keys, self._home = releases, keys, home
        self._clock, self._random = clock, random

    def bundle(
        self, study: str, out: Path, *, purpose: str = "audit", wait: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """Build a study's bundle, verify it, put the export on record, and only then hand it out.

        Args:
            study: whose log.
            out: folder for the bundle; made if it is not there.
            purpose: `audit`, `regulator`, `ethics`, `partner` or `internal`.
            wait: seconds to wait for the witnesses.

        Raises:
            NotReady: the newest entries are not witnessed yet, or the folder cannot be written.
            Refused: the bundle does not verify; nothing is written, nothing is recorded.
        """
        note = self._witnessed(study, wait)
        size = parse_text(parse(note).text).size
        entries = self._ledger.entries(study, 0, size)
        material = Material(entries, note, self._keys.events, self._attachments(study))
        files = build(material)
        data = write_zip(files)
        report = verify(data, self._ledger.policy(study))
        if report.exit_code:
            raise Refused("export.verify", sentence="The bundle does not verify; it was not kept.")
        root = parse_text(parse(note).text).root
        said = {
            "size": size,
            "root": base64.b64encode(root).decode(),
            "manifest_sha256": sha256_id(files["manifest-sha512.txt"]),
            "purpose": purpose,
            "on_behalf": None,
        }
        path = out / f"{top_folder(files)}.zip"
        index = self._hand_out(path, data, lambda: self._ledger.say(study, "export.created", said))
        return {
            "bundle": str(path),
            "size": size,
            "root": root.hex(),
            "sha512": hashlib.sha512(data).hexdigest(),
            "manifest_sha256": said["manifest_sha256"],
            "index": index,
        }

    def _hand_out(self, path: Path, data: bytes, record: Callable[[], Receipt]) -> int:
        """Write the file beside its place, record the export, then put it there."""
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_bytes(data)
            index = record().index
            part.replace(path)
        except OSError as error:
            raise NotReady(
                f"{path.parent} cannot be written ({error.strerror}).",
                "Name another folder with --out, give write access, or free space.",
            ) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return index

    def ticket(self, path: Path, name: str) -> str:
        """A link that hands out a file once, within a minute."""
        number = self._random(32).hex()
        row = rows.TicketRow(
            id_hash=hashlib.sha256(number.encode()).hexdigest(),
            path=str(path),
            name=name,
            expires=text_of(self._clock, timedelta(seconds=TICKET_SECONDS)),
        )
        with self._database.transaction() as session:
            rows.add(session, row)
        return number

    def redeem(self, number: str) -> tuple[Path, str]:
        """The file of a ticket, once.

        Raises:
            Refused: unknown, used or expired.
        """
        now = text_of(self._clock)
        with self._database.transaction("tickets") as session:
            row = rows.find_ticket(session, hashlib.sha256(number.encode()).hexdigest())
            if row is None or row.used_at or row.expires <= now:
                raise Refused(
                    "ticket.used", sentence="This link is used or expired. Ask for it again."
                )
            row.used_at = now
            return Path(row.path), row.name

    def model_file(self, study: str, model: str | None = None) -> tuple[bytes, str]:
        """A released model as safetensors: the one named, else the newest that was released.

        Raises:
            NotReady: no round is closed yet, or the model only waits for its release.
            Refused: the hospitals have not agreed, or the model was called back.
        """
        name = self._releases.released(study, model)
        return self._registry.safetensors(study, name), f"{study}-{name[7:23]}.safetensors"

    def _witnessed(self, study: str, wait: float) -> bytes:
        deadline = time.monotonic() + wait
        size = self._ledger.state(study).size
        self._ledger.issue_checkpoint(study)
        while True:
            try:
                note = self._ledger.checkpoint(study)
                if parse_text(parse(note).text).size >= size:
                    return note
            except NotReady:
                note = b""
            if time.monotonic() >= deadline:
                if note:
                    return note
                raise NotReady(
                    "the log is not witnessed by enough hospitals yet.",
                    "Check that their nodes run: `consilium hub status`.",
                )
            time.sleep(0.5)

    def _attachments(self, study: str) -> dict[str, bytes]:
        state = self._ledger.state(study)
        files: dict[str, bytes] = {}
        fab = self._home / "bundle" / f"{state.charter.bundle_sha256.removeprefix('sha256:')}.fab"
        if fab.is_file():
            files["workflow/study-app.fab"] = fab.read_bytes()
        return files | self._releases.attachments(study)
