"""Evidence bundles and models as files: built, verified, and handed out by a one-time ticket."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.report import controls
from compliance.report.bundle import Material
from compliance.report.export import (
    Made,
    Tell,
    check_purpose,
    complete_receipts,
    find_receipt,
    make,
    not_witnessed,
    put,
    silent,
)
from compliance.report.kinds import CONTROLS
from compliance.report.reading import read_log
from compliance.report.request import PATIENCE_SECONDS, Request
from compliance.rules.policies import policy_in_force
from compliance.signing.note import parse
from hub.services import checkpoints, report_pdf
from hub.services.attachments import Attachments, Names, nobody
from hub.services.clock import Clock, Random, text_of
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.registry import ModelRegistry
from hub.services.releases import ReleaseService
from hub.storage import intents as rows
from hub.storage import ledger as logs
from hub.storage.database import Database

TICKET_SECONDS = 60


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
        names: printed names for `people.csv`, of the persons in these entries.
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
        names: Names = nobody,
    ) -> None:
        self._database, self._ledger, self._registry = database, ledger, registry
        self._releases, self._keys = releases, keys
        self._clock, self._random, self._home = clock, random, home
        self._attachments = Attachments(
            database=database, ledger=ledger, releases=releases, home=home, names=names
        )

    def bundle(
        self,
        study: str,
        out: Path,
        *,
        purpose: str = "audit",
        names: bool = True,
        wait: float = PATIENCE_SECONDS,
        on_behalf: dict[str, Any] | None = None,
        tell: Tell = silent,
    ) -> dict[str, Any]:
        """Build a study's bundle as usual, without waiting for its receipt: see `export`."""
        asked = Request(study=study, out=out, purpose=purpose, names=names, wait=wait)
        return self.export(asked, on_behalf=on_behalf, tell=tell, patient=False)

    def export(
        self,
        asked: Request,
        *,
        on_behalf: dict[str, Any] | None = None,
        tell: Tell = silent,
        patient: bool = True,
    ) -> dict[str, Any]:
        """Build a study's bundle, verify it, put the export on record, and only then hand it out.

        Args:
            asked: which study, where to, how.
            on_behalf: the person who asked, if it was one of the dashboard.
            tell: hears how far it is.
            patient: whether to wait for the witnesses of the export itself, for the receipt.

        Raises:
            NotReady: the newest entries are not witnessed yet, or the folder cannot be written.
            NotProven, Refused: the bundle does not verify; nothing is written or recorded.
        """
        check_purpose(asked.purpose)
        study = asked.study
        note = self._checkpoint(asked, tell)
        size = parse_text(parse(note).text).size
        log = read_log(self._ledger.entries(study, 0, size), note)
        files = self._attachments.of(study, log, asked)
        tell("drawing the report")
        given = {f"data/{name}": data for name, data in files.items()}
        drawn = report_pdf.render(log, given, controls.files(log, given)[CONTROLS])
        files |= {"report.pdf": drawn} if drawn is not None else {}
        material = Material(log.entries, note, self._keys.events, files)
        policy = policy_in_force(log.state)
        made = make(material, policy, log.state.charter_id, log=log, tell=tell)
        path = asked.out / made.name
        index = self._hand_out(study, path, made, made.said(asked.purpose), on_behalf)
        tell(f"{path} written, on record as entry {index}")
        receipts = self._receipts(asked, index, wait=asked.wait if patient else 0.0)
        return {
            "bundle": str(path),
            "receipt": next((str(item) for item in receipts if item.stem == path.name), None),
            "size": size,
            "root": log.checkpoint.root.hex(),
            "sha512": hashlib.sha512(made.data).hexdigest(),
            "manifest_sha256": made.manifest_sha256,
            "index": index,
        }

    def material(self, study: str) -> dict[str, Any]:
        """What a bundle of now would hold besides what is made from the log; nothing is written.

        Returns:
            `files`: path, bytes and sha256 of each; `people`: printed name by key or directory id;
            `pdf`: whether the report is drawn as PDF.

        Raises:
            NotReady, NotProven: no quorum yet, or a file is missing or has another hash.
        """
        note = self._ledger.checkpoint(study)
        size = parse_text(parse(note).text).size
        log = read_log(self._ledger.entries(study, 0, size), note)
        asked = Request(study=study, out=self._home, names=False)
        files = self._attachments.of(study, log, asked)
        rows = [
            {"path": f"data/{path}", "bytes": len(data), "sha256": sha256_id(data)}
            for path, data in sorted(files.items())
        ]
        people = self._attachments.people(log)
        return {"files": rows, "people": people, "pdf": report_pdf.available()}

    def receipt(self, study: str, manifest_sha256: str) -> bytes:
        """The receipt of an export: the log itself says that this bundle was handed out.

        Raises:
            NotReady: the entry is not witnessed by enough hospitals yet.
        """
        note = self._ledger.checkpoint(study)
        size = parse_text(parse(note).text).size
        found = find_receipt(self._ledger.entries(study, 0, size), note, manifest_sha256)
        if found is None:
            raise NotReady(
                "the export is not witnessed by enough hospitals yet.", "Ask again in a minute."
            )
        return found

    def _hand_out(
        self,
        study: str,
        path: Path,
        made: Made,
        said: dict[str, Any],
        on_behalf: dict[str, Any] | None,
    ) -> int:
        places: list[int] = []

        def record() -> None:
            receipt = self._ledger.say(study, "export.created", said, on_behalf=on_behalf)
            places.append(receipt.index)

        put(path, made.data, record)
        return places[0]

    def _receipts(self, asked: Request, index: int, *, wait: float) -> list[Path]:
        """Wait for the witnesses of the export itself; write every receipt that is possible."""
        deadline = time.monotonic() + wait
        while True:
            note = self._ledger.checkpoint(asked.study)
            size = parse_text(parse(note).text).size
            if size > index or time.monotonic() >= deadline:
                entries = self._ledger.entries(asked.study, 0, size)
                return complete_receipts(asked.out, entries, note)
            time.sleep(0.5)

    def destroy(self, study: str) -> None:
        """Delete every bundle, receipt and model file of a study that lies in the hub's home."""
        for path in (self._home / "exports").glob(f"*{study}*"):
            path.unlink(missing_ok=True)

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

    def _checkpoint(self, asked: Request, tell: Tell) -> bytes:
        """The checkpoint that is asked for, with its quorum."""
        if asked.as_of is None:
            return self._witnessed(asked.study, asked.wait, tell)
        with self._database.transaction(asked.study) as session:
            row = logs.find_checkpoint(session, asked.study, asked.as_of)
            if row is not None and row.quorum:
                return checkpoints.assembled(session, row)
        raise NotReady(
            f"no checkpoint of {asked.as_of} entries was cosigned by a quorum.",
            "Name a size that stands on a receipt or an earlier bundle, or leave out --as-of.",
        )

    def _witnessed(self, study: str, wait: float, tell: Tell) -> bytes:
        deadline = time.monotonic() + wait
        size = self._ledger.state(study).size
        self._ledger.issue_checkpoint(study)
        while True:
            note = self._with_quorum(study)
            if note is not None and parse_text(parse(note).text).size >= size:
                return note
            if time.monotonic() >= deadline:
                if note is not None:
                    return note
                latest = self._ledger.checkpoint(study, latest=True)
                raise not_witnessed(policy_in_force(self._ledger.state(study)), latest)
            tell("waiting for the witnesses")
            time.sleep(0.5)

    def _with_quorum(self, study: str) -> bytes | None:
        try:
            return self._ledger.checkpoint(study)
        except NotReady:
            return None
