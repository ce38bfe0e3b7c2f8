"""Files that a bundle holds besides what follows from its log; each has its hash there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.records.charter import CharterBody
from compliance.report.account import inputs_files
from compliance.report.attached import check_attached
from compliance.report.consortium import consortium_files
from compliance.report.controls import recorded
from compliance.report.export import documents_in, others_left_out
from compliance.report.log import Log
from compliance.report.made import files_of
from compliance.report.people import write_people
from compliance.report.request import Request
from compliance.signing.note import parse
from hub.services.ledger import LedgerService
from hub.services.releases import ReleaseService
from hub.storage import sealed
from hub.storage import studies as rows
from hub.storage.database import Database

CONSORTIUM = "consortium"
Names = Callable[[Sequence[bytes]], Mapping[str, str]]


def nobody(_: Sequence[bytes]) -> Mapping[str, str]:
    """Printed names where no directory is kept."""
    return {}


class Attachments:
    """Gathers attached files, and refuses one whose hash is not the log's.

    Args:
        database: keeps descriptions of datasets.
        ledger: keeps the consortium's own log.
        releases: cards and models that may be handed out.
        home: where the Flower bundle is found.
        names: printed name by key or directory id, for the persons in these entries of a study.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: LedgerService,
        releases: ReleaseService,
        home: Path,
        names: Names = nobody,
    ) -> None:
        self._database, self._ledger, self._releases = database, ledger, releases
        self._home, self._names = home, names

    def of(self, study: str, log: Log, asked: Request) -> dict[str, bytes]:
        """Every attachment, by path below `data/`.

        Raises:
            NotReady, NotProven: a file is missing or has another hash; it is named.
        """
        charter = log.state.charter
        files = self._program(charter) | self._descriptions(charter)
        files |= self._model(study, log) | self._made(study, log)
        inputs = inputs_files(log.state, log.events)
        files |= {path.removeprefix("data/"): data for path, data in inputs.items()}
        if asked.documents is not None:
            files |= documents_in(asked.documents, charter)
        files = others_left_out(files, asked.site)
        agreed = self._agreed(log)
        for path, data in files.items():
            if not path.endswith(".safetensors"):
                check_attached(log, f"data/{path}", data, {})
        names = self.people(log) if asked.names else {}
        files |= agreed | recorded(asked.profiles)
        return files | ({"people.csv": write_people(names)} if names else {})

    def people(self, log: Log) -> dict[str, str]:
        """Printed names of the persons in a log by key or directory id, but the erased ones."""
        return dict(self._names(log.entries))

    def _model(self, study: str, log: Log) -> dict[str, bytes]:
        """Cards and model that were released within this prefix of the log."""
        files = self._releases.attachments(study)
        bodies = [event.body for _, event in log.of_kind("model.released")]
        named = {getattr(body, "card_sha256", "") for body in bodies}
        cards = {path: data for path, data in files.items() if path.endswith("card.json")}
        here = {path.rpartition("/")[0] for path in cards if sha256_id(cards[path]) in named}
        return {path: data for path, data in files.items() if path.rpartition("/")[0] in here}

    def _made(self, study: str, log: Log) -> dict[str, bytes]:
        """How each model was made, as far as it was not erased."""
        with self._database.reading() as session:
            known = sealed.sealed_of(session, study)

        def kept(commitment: str) -> tuple[bytes, bytes] | None:
            row = known.get(commitment)
            return (row.salt, row.payload) if row and row.salt and row.payload else None

        return {path.removeprefix("data/"): data for path, data in files_of(log, kept).items()}

    def _agreed(self, log: Log) -> dict[str, bytes]:
        """Proofs against the consortium's log, when it is founded and witnessed."""
        try:
            note = self._ledger.checkpoint(CONSORTIUM)
        except NotReady:
            return {}
        entries = self._ledger.entries(CONSORTIUM, 0, parse_text(parse(note).text).size)
        if sha256_id(parse(entries[0]).text) != log.state.charter.consortium:
            return {}
        return consortium_files(log, entries, note, self._ledger.policy(CONSORTIUM))

    def _program(self, charter: CharterBody) -> dict[str, bytes]:
        name = charter.bundle_sha256.removeprefix("sha256:")
        path = self._home / "bundle" / f"{name}.fab"
        if not path.is_file():
            return {}
        data = path.read_bytes()
        if sha256_id(data) != charter.bundle_sha256:
            raise NotReady(
                f"the Flower bundle {path.name} has another hash than the charter names.",
                "Restore it from a backup; what the hospitals run has its own copy.",
            )
        return {"workflow/study-app.fab": data}

    def _descriptions(self, charter: CharterBody) -> dict[str, bytes]:
        files = {}
        with self._database.reading() as session:
            for row in charter.datasets:
                found = rows.find_dataset(session, row.site, row.id, row.version)
                if found is not None and found.description is not None:
                    path = f"data/{row.site}-{row.id}.croissant.json"
                    files[path] = found.description
        return {
            path: data
            for path, data in files.items()
            if sha256_id(data) in {row.description_sha256 for row in charter.datasets}
        }
