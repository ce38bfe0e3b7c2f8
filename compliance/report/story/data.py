"""Which data, under which terms and legal basis? From the charter, and from registrations.

Source: design/compliance.md §6.1; terms after GA4GH DUO.
"""

from __future__ import annotations

from compliance.errors import ConsiliumError
from compliance.records.charter import CharterBody, CharterDataset
from compliance.records.consortium import DatasetRegistered
from compliance.records.envelope import body_of
from compliance.records.kinds import CONSORTIUM
from compliance.records.legal import Ethics, LegalSite
from compliance.report.log import Files, Log
from compliance.report.registered import registered
from compliance.report.story.pieces import (
    BREAK,
    Block,
    Code,
    Entry,
    Facts,
    Heading,
    Inline,
    Section,
    Table,
    Text,
    paragraph,
    short,
    text,
)
from compliance.report.story.words import BASES, DUO, MECHANISMS, USES, day, moment

Registration = tuple[int, DatasetRegistered]
Registrations = dict[tuple[str, str], Registration]


def section(log: Log, attached: Files) -> Section:
    """Purpose, data sets, legal basis of each hospital."""
    charter = log.state.charter
    known = _registrations(attached)
    blocks: list[Block] = [
        _purpose(charter, _in_force(log)),
        Heading("Data sets"),
        paragraph(
            "No image and no record is in this log or in this bundle: a data set is named by the "
            "hash of its version and described in buckets, never in exact counts.",
        ),
        Table(
            "Data sets of the charter and their terms",
            ("Hospital", "Data set", "Version in force", "Data use terms", "Description",
             "Data access decision"),
            (20, 9, 15, 26, 18, 12),
            tuple(_dataset(log, row, known) for row in charter.datasets),
        ),
        Heading("Legal basis, as each hospital stated it"),
        Table(
            "Legal basis of each hospital",
            ("Hospital", "Lawful basis", "Basis for health data", "Ethics",
             "Agreement", "Impact assessment", "Permit and other"),
            (18, 14, 14, 15, 14, 12, 13),
            tuple(_legal(row) for row in charter.legal.sites),
        ),
        paragraph(
            "These documents stay at the hospitals; the ", Entry(_in_force(log), "charter"),
            " carries their references and hashes. A hospital whose document has expired cannot be "
            "in a new round (rule ", Code("legal.expired"), ").",
        ),
    ]  # fmt: skip
    return Section("data", "Which data, under which terms and legal basis?", tuple(blocks))


def _in_force(log: Log) -> int:
    return max(index for index, _ in log.charters())


def _purpose(charter: CharterBody, entry: int) -> Facts:
    purpose, legal = charter.purpose, charter.legal
    gain = [word for word, is_so in (("for profit", purpose.for_profit),
                                     ("commercial", purpose.commercial)) if is_so]  # fmt: skip
    moved = [f"{row.country} ({MECHANISMS[row.mechanism]})" for row in legal.transfers]
    roles = "joint controllers" if legal.joint_controllers else "each its own controller"
    disease = f"; {', '.join(purpose.disease)}" if purpose.disease else ""
    return Facts(
        (
            ("Purpose", text(f"{USES[purpose.use]}{disease}; ",
                             " and ".join(gain) or "not for profit and not commercial")),
            ("Processing is for", text(", ".join(str(p).replace("_", " ")
                                                 for p in legal.purposes))),
            ("Roles", text(f"hospitals: {roles}; processor: {legal.processor or 'none named'}")),
            ("Transfers abroad", text(", ".join(moved) or "none named")),
            ("Documents", _documents(charter)),
            ("Stated in", text(Entry(entry, f"charter, entry {entry}"))),
        )
    )  # fmt: skip


def _documents(charter: CharterBody) -> Text:
    """What everybody agreed on, by reference and hash; the documents stay where they are."""
    parts: list[Inline] = []
    for row in charter.documents:
        parts += ["; " if parts else "", f"{row.kind.replace('_', ' ')}: {row.ref} "]
        parts.append(short(row.sha256))
    return text(*parts) if parts else text("none named")


def _dataset(log: Log, row: CharterDataset, known: Registrations) -> tuple[Text, ...]:
    pair = (row.site, row.id)
    gone = " withdrawn" if pair in log.state.datasets_withdrawn else ""
    terms = "; ".join(f"{DUO[term]} ({term})" for term in row.duo)
    disease = f"; {', '.join(row.disease)}" if row.disease else ""
    version = short(log.state.dataset_versions.get(pair, row.version))
    decision = text(row.dac.ref) if row.dac else text("not needed by its terms")
    return (
        text(row.site), text(Code(row.id), gone), text(version), text(terms + disease),
        _described(known.get(pair), row), decision,
    )  # fmt: skip


def _described(said: Registration | None, row: CharterDataset) -> Text:
    if said is None:
        return ("hash ", short(row.description_sha256))
    index, body = said
    what = " ".join([*body.modality, *body.body_part])
    return text(
        f"{what}: {body.examples} cases, {body.patients} patients; de-identified with profile ",
        f"{body.deid.profile} (registered in entry {index} of the consortium's log)",
    )


def _registrations(attached: Files) -> Registrations:
    """What the consortium's log says about each data set, if its entries came along."""
    found: Registrations = {}
    try:
        for entry in registered(attached):
            if entry.said.get("type") == "dataset.registered":
                body = body_of("dataset.registered", dict(entry.body), kinds=CONSORTIUM)
                if isinstance(body, DatasetRegistered):
                    found[entry.site, body.dataset] = (entry.index, body)
    except ConsiliumError:  # who verifies these entries says what is wrong with them
        return {}
    return found


def _legal(row: LegalSite) -> tuple[Text, ...]:
    impact = (row.dpia.ref or "required") if row.dpia.required else "stated as not required"
    return (
        text(row.controller, BREAK, Code(row.site)), text(BASES[row.lawful_basis]),
        text(BASES[row.special_category_basis]),
        text(_ethics(row.ethics)),
        text(f"{row.dua.ref}{_until(row.dua.expires)}"), text(impact), text(_other(row)),
    )  # fmt: skip


def _ethics(vote: Ethics) -> str:
    return f"{vote.status.replace('_', ' ')}: {vote.ref}{_until(vote.expires)}"


def _until(expires: str | None) -> str:
    return f", until {day(expires)}" if expires else ", no end named"


def _other(row: LegalSite) -> str:
    parts = []
    if row.permit:
        parts.append(f"permit {row.permit.ref}, until {day(row.permit.expires)}")
    if row.objections_checked:
        parts.append(f"objections applied {moment(row.objections_checked)}")
    if row.us_basis:
        parts.append(f"US: {row.us_basis.replace('_', ' ')}")
    return "; ".join(parts) or "none named"
