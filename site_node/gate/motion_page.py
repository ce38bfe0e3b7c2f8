"""What a person reads before a signature: a text that waits, in words, with what to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.records.agreement import Agreement, AgreementAmended
from compliance.records.decisions import CharterAmended, StudyResumed
from compliance.records.keys import KeyRotated
from compliance.records.members import MemberAdmitted, MemberSuspended
from compliance.records.types import Record
from compliance.rules.differences import differences
from compliance.rules.quorum import words
from compliance.signing.keys import fingerprint
from site_node.gate.motions import Motion


def motion_lines(motion: Motion, before: Record | None = None) -> list[str]:
    """The page of one text.

    Args:
        motion: the text.
        before: the agreement or charter in force that it would replace; the page says what changes.
    """
    body = motion.event.body
    tell = _PAGES.get(type(body))
    lines = tell(body) if tell else [str(body.plain())]
    if isinstance(body, AgreementAmended | CharterAmended) and before is not None:
        after = body.agreement if isinstance(body, AgreementAmended) else body.charter
        lines += ["", "What changes against the text in force:"]
        changed = differences(before.plain(), after.plain())
        lines += [f"  {place}: {_short(old)}  ->  {_short(new)}" for place, old, new in changed]
        lines += [] if changed else ["  nothing"]
    return [
        *lines,
        "",
        f"Id of this text, to compare by telephone: {motion.motion}",
        f"Signed so far: {', '.join(motion.signed) or 'nobody'}",
        f"Could still sign: {', '.join(motion.wanting) or 'nobody'}",
    ]


def _short(value: Any) -> str:
    return "none" if value is None else str(value)


def list_lines(rows: list[Motion]) -> list[str]:
    """One line for each text, those that wait first."""
    if not rows:
        return ["No text waits for signatures."]
    return [
        f"{row.motion.removeprefix('sha256:')[:12]}  {row.state:<8}  {row.event.type:<18} "
        f"{len(row.signed)} signed  {_about(row.event.body)}"
        for row in sorted(rows, key=lambda row: row.state != "open")
    ]


def agreement_lines(agreement: Agreement, standing: dict[str, str]) -> list[str]:
    """The agreement in force, and where each hospital stands."""
    members = [f"  {site:<28} {where}" for site, where in sorted(standing.items())]
    return [*_terms(agreement), "Members:", *members]


def _about(body: Record) -> str:
    plain = body.plain()
    return str(plain.get("site") or plain.get("name") or plain.get("title") or "")


def _agreement(body: Any) -> list[str]:
    return [
        "AGREEMENT between the hospitals. With enough signatures the consortium begins.",
        *_terms(body),
        "Members, with the fingerprints of their institution keys:",
        *(
            f"  {row.name:<28} {row.country}  {fingerprint(row.institution)}"
            for row in body.members
        ),
    ]


def _terms(body: Agreement) -> list[str]:
    floors = body.floors
    papers = ", ".join(f"{row.kind} ({row.ref})" for row in body.documents)
    return [
        f"Title: {body.title}",
        f"Hub and log: {body.origin}",
        (
            f"No study below: {floors.min_examples} examples, {floors.min_cell} cases in a count, "
            f"{floors.min_sites} hospitals"
        ),
        (
            f"To begin: {body.signatures_required} signatures; to admit or suspend a hospital: "
            f"{body.admit_k}; to change this text: {body.amend_k}"
        ),
        f"Witnesses: {words(len(body.quorum.witnesses), body.quorum.k)}",
        f"Papers: {papers or 'none'}",
        f"Laws that reports answer to: {', '.join(body.profiles) or 'none'}",
        f"Kept until {body.retention_until}",
    ]


def _agreement_amended(body: Any) -> list[str]:
    return ["CHANGE OF THE AGREEMENT. The complete new text:", *_terms(body.agreement)]


def _admission(body: Any) -> list[str]:
    return [
        f"ADMISSION of {body.site} ({body.country}). Compare with the hospital by telephone:",
        f"  institution key {fingerprint(body.institution)}",
        f"  node key        {fingerprint(body.node)}",
        f"  witness key     {fingerprint(body.witness)}",
    ]


def _suspension(body: Any) -> list[str]:
    return [
        f"SUSPENSION of {body.site}: {body.reason}.",
        (
            "From then on it says nothing, trains nothing and is in no round, until it is admitted "
            "again."
        ),
    ]


def _resume(body: Any) -> list[str]:
    return [f"RESUME the study: lifts the stop of entry {body.stopped}. All active hospitals sign."]


def _rotation(body: Any) -> list[str]:
    return [
        f"NEW KEY for {body.name} ({body.reason}): {fingerprint(body.vkey)}. The old one is over."
    ]


def _amendment(body: Any) -> list[str]:
    charter = body.charter
    return [
        f"AMENDMENT of “{charter.title}”: a complete new charter takes the place of the old one.",
        f"  hospitals: {', '.join(charter.site_names())}",
        (
            f"  rounds: {charter.max_rounds}; smallest cohort {charter.min_examples}; "
            f"expires {charter.expires}"
        ),
        f"  witnesses: {words(len(charter.quorum.witnesses), charter.quorum.k)}",
        "Who does not sign is outside from then on.",
    ]


_PAGES: dict[type[Record], Callable[[Any], list[str]]] = {
    Agreement: _agreement,
    AgreementAmended: _agreement_amended,
    MemberAdmitted: _admission,
    MemberSuspended: _suspension,
    StudyResumed: _resume,
    KeyRotated: _rotation,
    CharterAmended: _amendment,
}
