"""Attached files: each has its hash in an entry, and one way to look for it.

Source: design/compliance.md §1.2, kind A.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven
from compliance.records.charter import CharterBody
from compliance.records.decisions import ContributionMeasured
from compliance.report.card import check_card
from compliance.report.kinds import (
    CARD,
    CONTRIBUTION,
    DEID,
    DESCRIPTIONS,
    DOCUMENTS,
    MODEL,
    ROUNDS,
    WORKFLOW,
    given_files,
    kind_of,
    names_of,
)
from compliance.report.log import Log
from compliance.report.made import open_details
from compliance.report.registered import reports_of


class File(NamedTuple):
    """An attached file in its bundle."""

    path: str
    data: bytes
    beside: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def refuse(self, reason: str) -> NotProven:
        """The finding, with the path."""
        return NotProven("attached", f"{self.path} {reason}")


def judge_attached(log: Log, files: Mapping[str, bytes]) -> dict[str, bool | ConsiliumError]:
    """Say of each attached file whether its hash stands in the log; model files apart.

    Returns:
        By path: True it does, False another log must be asked, an error it does not.
    """
    judged: dict[str, bool | ConsiliumError] = {}
    for path, data in sorted(files.items()):
        if kind_of(path) == "attached" and not path.endswith(MODEL):
            try:
                judged[path] = check_attached(log, path, data, files)
            except ConsiliumError as error:
                judged[path] = error
    return judged


def sound_files(log: Log, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What derived files may be made from: nothing that the log does not name.

    A liar's file is not even parsed; whoever makes the derived files again leaves it out too.
    """
    given = given_files(files)
    judged = judge_attached(log, given)
    return {p: d for p, d in given.items() if not isinstance(judged.get(p), ConsiliumError)}


def check_attached(log: Log, path: str, data: bytes, beside: Mapping[str, bytes]) -> bool:
    """Compare one attached file with the hash in the log; False: that needs another log.

    Args:
        log: the study's log.
        path: below the top folder.
        data: content of the file.
        beside: the other files of the bundle; those of the consortium's log may name the hash.

    Raises:
        NotProven: no entry names this file, or it holds something else.
    """
    file = File(path, data, beside)
    if path.endswith(CARD):
        check_card(path, data, log.entries)
        return True
    check = next(check for folder, check in CHECKS.items() if path.startswith(folder))
    return check(log, file)


def _workflow(log: Log, file: File) -> bool:
    if sha256_id(file.data) not in {body.bundle_sha256 for _, body in log.charters()}:
        raise file.refuse("is not the Flower bundle that the charter names")
    return True


def _description(log: Log, file: File) -> bool:
    name, digest = file.name.removesuffix(".croissant.json"), sha256_id(file.data)
    hashes = {
        row.description_sha256
        for _, body in log.charters()
        for row in body.datasets
        if f"{row.site}-{row.id}" == name
    }
    if digest not in hashes:
        raise file.refuse("is not the description of a dataset that the charter names")
    return True


def _document(log: Log, file: File) -> bool:
    if sha256_id(file.data) not in document_hashes(log):
        raise file.refuse("is no document of the charter")
    return True


def document_hashes(log: Log) -> dict[str, str]:
    """Every document that a version of the charter names: hash to reference."""
    found: dict[str, str] = {}
    for _, body in log.charters():
        found |= documents_of(body)
    return found


def documents_of(body: CharterBody) -> dict[str, str]:
    """Every document that one charter names: hash to reference."""
    found = {item.sha256: item.ref for item in body.documents}
    if body.legal.processing_agreement:
        found[body.legal.processing_agreement.sha256] = body.legal.processing_agreement.ref
    for row in body.legal.sites:
        found[row.ethics.sha256], found[row.dua.sha256] = row.ethics.ref, row.dua.ref
        if row.dpia.sha256:
            found[row.dpia.sha256] = row.dpia.ref or ""
        if row.permit:
            found[row.permit.sha256] = row.permit.ref
    return found | {row.dac.sha256: row.dac.ref for row in body.datasets if row.dac}


def _contribution(log: Log, file: File) -> bool:
    wanted = file.name.removesuffix(".json")
    bodies = [event.body for _, event in log.of_kind("contribution.measured")]
    found = {
        body.inputs_sha256
        for body in bodies
        if isinstance(body, ContributionMeasured) and f"{body.from_round}-{body.to_round}" == wanted
    }
    if sha256_id(file.data) not in found:
        raise file.refuse("is not the file of inputs that the log names")
    return True


def _deid(log: Log, file: File) -> bool:
    """The hash stands in the consortium's log: whose entry proves it, if its policy is given."""
    pairs = names_of(
        {(row.site, row.id): None for _, body in log.charters() for row in body.datasets}
    )
    known = pairs.get(file.name.removesuffix(".json"))
    if not known:
        raise file.refuse("is about a dataset that the charter does not name")
    reports = reports_of(file.beside)
    named = {digest for pair in known for digest in reports.get(pair, set())}
    if not named:
        return False
    if sha256_id(file.data) not in named:
        raise file.refuse("is not the report that was registered")
    return True


def _round(log: Log, file: File) -> bool:
    open_details(log, file.path, file.data)
    return True


CHECKS: dict[str, Callable[[Log, File], bool]] = {
    WORKFLOW: _workflow,
    DESCRIPTIONS: _description,
    DOCUMENTS: _document,
    CONTRIBUTION: _contribution,
    DEID: _deid,
    ROUNDS: _round,
}
