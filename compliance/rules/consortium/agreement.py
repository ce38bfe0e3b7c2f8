"""Whether a text can be an agreement, what it means as entry 0, and how it is changed.

Source: design/ledger.md §2.3, §6.1 and §7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from compliance.canonical import sha256_id
from compliance.records.agreement import Agreement, AgreementAmended
from compliance.records.kinds import CONSORTIUM
from compliance.records.types import seconds_of
from compliance.rules.arrival import check_signatures, open_note, signers_of
from compliance.rules.consortium.state import ConsortiumState, Member, Standing
from compliance.rules.keyring import Holder, KeyRing
from compliance.rules.said import Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey

ROLES = ("institution", "node", "witness")
MEMBERS = (2, 32)
"""A consortium of more hospitals does not fit into one entry."""


def holders_of(body: Agreement) -> list[tuple[VerifierKey, Holder]]:
    """Name every key of an agreement with its holder."""
    found = [
        (VerifierKey.parse(body.log_key), Holder("L")),
        (VerifierKey.parse(body.hub), Holder("H")),
    ]
    for member in body.members:
        found.append((VerifierKey.parse(member.institution), Holder("I", member.name)))
        found.append((VerifierKey.parse(member.node), Holder("N", member.name)))
        found.append((VerifierKey.parse(member.witness), Holder("W", member.name)))
    return found


def check_text(body: Agreement) -> Denied | None:
    """Return the first thing that keeps this text from being an agreement."""
    problems = (*_keys(body), *_members(body), *_numbers(body), *_quorum(body))
    return next((Denied("agreement.form", *problem) for problem in problems), None)


def judge_entry0(data: bytes) -> Verdict:
    """Say whether this note can begin a consortium: a sound text that enough founders signed."""
    opened = open_note(data, CONSORTIUM)
    if isinstance(opened, Denied):
        return opened
    body = opened.event.body
    if not isinstance(body, Agreement):
        return Denied("event.type", opened.event.type, "agreement")
    ring = KeyRing()
    ring.adopt(holders_of(body), 0)
    wrong = check_text(body) or check_signatures(opened.note, ring)
    return wrong or _founded(body, signers_of(opened.note)) or ALLOWED


def begin(data: bytes) -> ConsortiumState:
    """Make the state of a consortium of its entry 0, which was judged before.

    A founder that did not sign is no member yet: nobody is bound by a text he did not sign.
    """
    opened = open_note(data, CONSORTIUM)
    if isinstance(opened, Denied):
        raise opened.refusal()
    body = opened.event.body
    if not isinstance(body, Agreement):
        raise Denied("event.type", opened.event.type, "agreement").refusal()
    state = ConsortiumState(
        agreement=body,
        charter_id=sha256_id(opened.note.text),
        version_id=body.digest(),
        newest_time=opened.event.time,
        newest=seconds_of(opened.event.time),
    )
    state.keys.adopt(holders_of(body), 0)
    signers = signers_of(opened.note)
    for row in body.members:
        if f"{row.name}/institution" in signers:
            state.members[row.name] = Member(row.name, row.country, Standing.ACTIVE, 0)
    return state


def may_amend(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this text may take the place of the agreement in force.

    It changes numbers, quorum, floors and documents. Members come and go, and keys change, by
    their own statements only; the text names them as they stand.
    """
    amended = said.as_(AgreementAmended)
    if amended.previous != state.version_id:
        return Denied("amend.previous", amended.previous, state.version_id)
    return (
        _fixed(state, amended.agreement)
        or check_text(amended.agreement)
        or _as_they_stand(state, amended.agreement)
        or check_decided(state, said, state.agreement.amend_k, "agreement.signatures")
        or ALLOWED
    )


def amend(state: ConsortiumState, said: Said) -> None:
    """Put the new agreement in force."""
    state.agreement = said.as_(AgreementAmended).agreement
    state.version_id = state.agreement.digest()


def check_decided(
    state: ConsortiumState, said: Said, k: int, rule: str, *, besides: str | None = None
) -> Denied | None:
    """Refuse what fewer than k institutions of active members signed, or what a stranger signed.

    Args:
        state: the consortium.
        said: the statement.
        k: how many must have signed.
        rule: id of the refusal.
        besides: the hospital that is spoken of; its signature does not count.
    """
    own = frozenset({f"{besides}/institution"} if besides else ())
    deciding = state.institutions() - own
    strangers = said.signers - deciding - own
    if strangers:
        return Denied("note.form", f"a signature of {min(strangers)}", "active members only")
    signed = len(said.signers & deciding)
    return Denied(rule, signed, k) if signed < k else None


def _places(body: Agreement) -> list[tuple[str, str, int]]:
    """The keys of an agreement with the name and type that each must have."""
    hub = body.origin.partition("/")[0]
    wanted = [(body.log_key, body.origin, NOTE), (body.hub, f"{hub}/events", NOTE)]
    for row in body.members:
        wanted += key_places(row.name, row.institution, row.node, row.witness)
    return wanted


def key_places(site: str, institution: str, node: str, witness: str) -> list[tuple[str, str, int]]:
    """The three keys of a hospital with the name and type that each must have."""
    return [
        (institution, f"{site}/institution", NOTE),
        (node, f"{site}/node", NOTE),
        (witness, f"{site}/witness", COSIGNATURE),
    ]


Problem = tuple[str, str]


def _keys(body: Agreement) -> Iterator[Problem]:
    for text, name, kind in _places(body):
        key = VerifierKey.parse(text)
        if (key.name, key.kind) != (name, kind):
            yield f"{key.name} type {key.kind}", f"{name} type {kind}"
    keys = [key for key, _ in holders_of(body)]
    for public, times in Counter(key.public for key in keys).items():
        if times > 1:
            names = ", ".join(key.name for key in keys if key.public == public)
            yield f"one public key for {names}", "a key for each"


def _members(body: Agreement) -> Iterator[Problem]:
    names = body.site_names()
    if not MEMBERS[0] <= len(names) <= MEMBERS[1]:
        yield f"{len(names)} members", f"{MEMBERS[0]} to {MEMBERS[1]}"
    if names != sorted(set(names)):
        yield "members are not sorted, or one stands twice", "sorted by name"
    if len(set(body.profiles)) != len(body.profiles):
        yield "profiles names something twice", "once"


def _numbers(body: Agreement) -> Iterator[Problem]:
    members = len(body.members)
    most = members // 2 + 1
    bounds = {
        "signatures_required": (body.signatures_required, 2, members),
        "admit_k": (body.admit_k, most, members),
        "amend_k": (body.amend_k, most, members),
        "floors.min_examples": (body.floors.min_examples, 1, None),
        "floors.min_cell": (body.floors.min_cell, 1, None),
        "floors.min_sites": (body.floors.min_sites, 2, None),
    }
    for name, (value, low, high) in bounds.items():
        if value < low or (high is not None and value > high):
            yield f"{name} = {value}", f"{low} to {high}" if high is not None else f"≥ {low}"


def _quorum(body: Agreement) -> Iterator[Problem]:
    names = body.quorum.witnesses
    strangers = sorted(set(names) - set(body.site_names()))
    if strangers:
        yield f"witness {strangers[0]}", "a hospital of the agreement"
    if len(set(names)) != len(names):
        yield "a witness stands twice", "once"
    if not 1 <= body.quorum.k <= len(names):
        yield f"quorum.k = {body.quorum.k}", f"1 to {len(names)}"


def _founded(body: Agreement, signers: frozenset[str]) -> Denied | None:
    founders = {f"{name}/institution" for name in body.site_names()}
    strangers = signers - founders
    if strangers:
        return Denied("note.form", f"a signature of {min(strangers)}", "founders only")
    if len(signers) < body.signatures_required:
        return Denied("agreement.signatures", len(signers), body.signatures_required)
    return None


def _fixed(state: ConsortiumState, body: Agreement) -> Denied | None:
    hub = f"{state.origin.partition('/')[0]}/events"
    if body.origin != state.origin:
        return Denied("amend.fixed", body.origin, state.origin)
    if body.log_key != str(state.keys.current[state.origin]):
        return Denied("amend.fixed", "log_key", "the key in force")
    if body.hub != str(state.keys.current[hub]):
        return Denied("amend.fixed", "hub", "the key in force")
    return None


def _as_they_stand(state: ConsortiumState, body: Agreement) -> Denied | None:
    if body.site_names() != state.bound():
        found = ", ".join(body.site_names())
        return Denied("agreement.form", f"members {found}", ", ".join(state.bound()))
    for row in body.members:
        held = [str(state.keys.current[f"{row.name}/{role}"]) for role in ROLES]
        if [row.institution, row.node, row.witness] != held:
            return Denied("agreement.form", f"another key for {row.name}", "the keys in force")
        if row.country != state.members[row.name].country:
            return Denied("agreement.form", f"another country for {row.name}")
    return None
