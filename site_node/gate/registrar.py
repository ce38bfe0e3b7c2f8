"""The registrar: tells the consortium that a dataset exists, in buckets, words and hashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from compliance.canonical import encode, sha256_id
from compliance.errors import Refused
from compliance.records.consortium import DatasetRegistered, bucket_of
from compliance.records.envelope import parse_event
from compliance.signing.note import parse
from site_node.gate.keys import Keys
from site_node.gate.statements import Statements
from site_node.gate.terms import cases
from site_node.settings import Settings
from site_node.store import outbox
from site_node.store import studies as documents
from site_node.store.journal import Sessions

AGAIN = ("time.order", "event.log")
"""Refusals that a new statement with the time of now, under the agreement in force, escapes."""


class AllDatasets(Protocol):
    """A catalogue that lists what is here."""

    def datasets(self) -> Any:
        """Summaries of every dataset, newest version of each."""


class Registrar:
    """Signs and queues `dataset.registered`; works without the hub, which gets it later.

    Args:
        settings: terms of use and floors of this site.
        keys: the node key signs.
        statements: seals and keeps notes.
        sessions: the site's database.
        catalogue: the site's curated datasets.
        consortium: returns the id of the agreement; empty while nothing can be registered.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        keys: Keys,
        statements: Statements,
        sessions: Sessions,
        catalogue: AllDatasets,
        consortium: Callable[[], str],
    ) -> None:
        self._settings, self._keys, self._statements = settings, keys, statements
        self._sessions, self._catalogue = sessions, catalogue
        self._consortium = consortium

    def register_new(self) -> int:
        """Queue a registration for every dataset version that has none; returns how many."""
        if not self._settings.joined or not self._consortium():
            return 0
        known = self._known()
        fresh = [row for row in self._catalogue.datasets() if (row.name, row.version) not in known]
        for summary in fresh:
            self._queue(summary)
        return len(fresh)

    def _known(self) -> set[tuple[str, str]]:
        with self._sessions() as session:
            rows = outbox.of_way(session, outbox.DATASETS)
        notes = [row.note for row in rows if row.refused not in AGAIN]
        bodies = (parse_event(parse(note).text).body for note in notes)
        return {
            (body.dataset, body.version) for body in bodies if isinstance(body, DatasetRegistered)
        }

    def _queue(self, summary: Any) -> None:
        description = encode(summary.croissant)
        if sha256_id(description) != summary.description_sha256:
            raise Refused("dataset.description", sha256_id(description), summary.description_sha256)
        note = self._statements.seal(
            "dataset.registered",
            self._body(summary),
            log=self._consortium(),
            key=self._keys.node,
        )
        with self._sessions.begin() as session:
            documents.keep_document(session, summary.description_sha256, description)
            self._statements.keep(session, note, study=None, way=outbox.DATASETS)

    def _body(self, summary: Any) -> dict[str, Any]:
        floor = max(self._settings.min_cell, self._settings.min_examples)
        examples = sum(cases(summary.n_by_split, split) for split in summary.n_by_split)
        return {
            "dataset": summary.name,
            "version": summary.version,
            "modality": sorted({str(word).lower() for word in summary.modality}),
            "body_part": sorted({str(word).lower() for word in summary.body_part}),
            "duo": list(self._settings.duo),
            "disease": list(self._settings.disease),
            "examples": bucket_of(examples, floor),
            "patients": bucket_of(int(summary.patients), floor),
            "description_sha256": summary.description_sha256,
            "deid": dict(summary.deid),
            "quality_sha256": summary.quality_sha256,
        }
