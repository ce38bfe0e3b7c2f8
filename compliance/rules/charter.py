"""Whether a text can be a charter, and what it means once it is entry 0.

Source: design/ledger.md §4 and §5, design/compliance.md §6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

from compliance.canonical import sha256_id
from compliance.records.charter import CharterBody
from compliance.records.legal import LegalPurpose
from compliance.records.types import seconds_of
from compliance.rules.arrival import Opened, check_signatures, open_note
from compliance.rules.duo import check_duo
from compliance.rules.keyring import KeyRing, holders_of
from compliance.rules.methods import check_methods
from compliance.rules.state import StudyState
from compliance.rules.terms import check_quorum, check_terms
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey


def check_keys(body: CharterBody) -> Iterator[Denied]:
    """Name every key whose name or type does not fit its place, and every key that stands twice."""
    host = body.origin.partition("/")[0]
    wanted: list[tuple[str, str, int, str | None]] = [
        (body.log_key, body.origin, NOTE, None),
        (body.hub_key, f"{host}/events", NOTE, None),
    ]
    for site in body.sites:
        wanted.append((site.institution, f"{site.name}/institution", NOTE, site.name))
        wanted.append((site.node, f"{site.name}/node", NOTE, site.name))
        wanted.append((site.witness, f"{site.name}/witness", COSIGNATURE, site.name))
    for text, name, kind, whose in wanted:
        key = VerifierKey.parse(text)
        if (key.name, key.kind) != (name, kind):
            found = f"{key.name} type {key.kind}"
            yield Denied("charter.keys", found, f"{name} type {kind}", whose)
    researcher = VerifierKey.parse(body.researcher)
    number = researcher.name.rpartition("/r-")[2]
    if "/r-" not in researcher.name or not number.isdecimal() or researcher.kind != NOTE:
        yield Denied("charter.keys", researcher.name, "a name that ends in /r- and a number")
    yield from _key_twice(body)


def _key_twice(body: CharterBody) -> Iterator[Denied]:
    outside = [VerifierKey.parse(witness.vkey) for witness in body.quorum.external]
    for key in outside:
        if key.kind != COSIGNATURE:
            yield Denied("charter.keys", f"{key.name} type {key.kind}", f"type {COSIGNATURE}")
    keys = [key for key, _ in holders_of(body)] + outside
    for public, times in Counter(key.public for key in keys).items():
        if times > 1:
            names = ", ".join(key.name for key in keys if key.public == public)
            yield Denied("charter.keys", f"one public key for {names}", "a key for each")


def check_legal(body: CharterBody) -> Iterator[Denied]:
    """Name what the legal block lacks; it must have one complete row for each hospital."""
    legal = body.legal
    rows = [row.site for row in legal.sites]
    if sorted(rows) != body.site_names():
        yield Denied("charter.legal", f"rows for {', '.join(sorted(rows))}", "one per hospital")
    if legal.processor is not None and legal.processing_agreement is None:
        yield Denied("charter.legal", "a processor without an agreement", "its hash")
    if LegalPurpose.PRODUCT_DEVELOPMENT in legal.purposes and not body.purpose.commercial:
        yield Denied("charter.legal", "product development", "purpose.commercial is true")
    for row in legal.sites:
        if row.dpia.required and (row.dpia.ref is None or row.dpia.sha256 is None):
            yield Denied("charter.legal", f"{row.site}: dpia", "reference and hash", row.site)


TEXT_RULES: tuple[Callable[[CharterBody], Iterator[Denied]], ...] = (
    check_keys,
    check_terms,
    check_methods,
    check_quorum,
    check_legal,
    check_duo,
)
"""Every rule that needs nothing but the text."""


def check_text(body: CharterBody) -> Denied | None:
    """Return the first thing that keeps this text from being a charter."""
    return next((found for rule in TEXT_RULES for found in rule(body)), None)


def check_signed(
    body: CharterBody, signers: frozenset[str], proposer: str | None = None
) -> Denied | None:
    """Refuse a text that too few institutions signed, or the researcher did not sign.

    Args:
        body: the text.
        signers: key names under it.
        proposer: who proposes an amendment; may be the researcher before.
    """
    researcher = VerifierKey.parse(body.researcher).name
    institutions = {f"{site.name}/institution" for site in body.sites}
    if researcher not in signers:
        return Denied("charter.signatures", "no signature by the researcher", researcher)
    if signers - institutions - {researcher, proposer}:
        return Denied("note.form", "a signature by a key that does not sign charters")
    signed = len(signers & institutions)
    if signed < body.signatures_required:
        return Denied("charter.signatures", signed, body.signatures_required)
    return None


def judge_entry0(data: bytes) -> Verdict:
    """Say whether this note can begin a study."""
    opened = open_note(data)
    if isinstance(opened, Denied):
        return opened
    if not isinstance(opened.event.body, CharterBody):
        return Denied("event.type", opened.event.type, "charter")
    body = opened.event.body
    ring = KeyRing()
    ring.adopt(holders_of(body), 0)
    wrong = check_text(body) or check_signatures(opened.note, ring)
    return wrong or check_signed(body, _signers(opened)) or ALLOWED


def begin(data: bytes) -> StudyState:
    """Make the state of a study of its entry 0, which was judged before."""
    opened = open_note(data)
    if isinstance(opened, Denied):
        raise opened.refusal()
    body = opened.event.body
    if not isinstance(body, CharterBody):
        raise Denied("event.type", opened.event.type).refusal()
    state = StudyState(
        charter=body,
        charter_id=sha256_id(opened.note.text),
        version_id=body.digest(),
        newest_time=opened.event.time,
        newest=seconds_of(opened.event.time),
        model_sha256=body.initial_model_sha256,
        models={body.initial_model_sha256},
    )
    state.keys.adopt(holders_of(body), 0)
    state.signed = sites_of(body, _signers(opened))
    for row in body.datasets:
        state.dataset_versions[row.site, row.id] = row.version
        if row.epsilon is not None:
            state.epsilon_cap[row.site, row.id] = Decimal(row.epsilon)
    return state


def sites_of(body: CharterBody, signers: frozenset[str]) -> set[str]:
    """The hospitals of a charter whose institution key is among the signers."""
    return {name for name in body.site_names() if f"{name}/institution" in signers}


def _signers(opened: Opened) -> frozenset[str]:
    return frozenset(line.name for line in opened.note.lines)
