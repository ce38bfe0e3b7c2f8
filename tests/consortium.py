"""A consortium in memory, at the level of the fold: found it, say things, cheat.

`say` returns the verdict and appends only what was allowed, as a hub and every witness would;
`must` is for the honest part of a story.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.cosign import cosign
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.records.envelope import write_event
from compliance.records.kinds import CONSORTIUM
from compliance.rules.consortium.fold import advance, judge
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.verdict import Allowed, Denied, Verdict
from compliance.signing.keys import COSIGNATURE, SigningKey
from compliance.signing.note import parse, seal
from tests import factories as make

HUB = make.EVENTS
EAST, NORTH, SOUTH, WEST = make.NAMES


def institutions(*sites: str) -> tuple[str, ...]:
    """Key names of these hospitals' institutions."""
    return tuple(f"{site}/institution" for site in sites)


class Consortium:
    """One consortium, its log and its clock; every statement takes a minute.

    Args:
        sites: founders of the agreement.
        signed: founders that sign it; all, if not said.
        agreement: fields of the agreement to replace.
    """

    def __init__(
        self,
        *,
        sites: tuple[str, ...] = make.NAMES[:3],
        signed: tuple[str, ...] | None = None,
        **agreement: Any,
    ) -> None:
        self.sites = sites
        self.time = make.BEGINS
        self.keys: dict[str, SigningKey] = {}
        self.bodies = make.consortium_bodies()
        self._nonce = 0
        names = institutions(*(sites if signed is None else signed))
        note = make.agreement0(make.agreement(sites, **agreement), *names)
        verdict = judge(None, note)
        assert not isinstance(verdict, Denied), verdict
        self.state: ConsortiumState = advance(None, note, 0)
        self.entries: list[bytes] = [note]

    def key(self, name: str) -> SigningKey:
        """The key that this name uses now."""
        return self.keys.setdefault(name, make.key(name))

    def draft(
        self,
        kind: str,
        actor: str,
        /,
        *,
        signers: tuple[str, ...] | None = None,
        keys: tuple[SigningKey, ...] | None = None,
        body: dict[str, Any] | None = None,
        envelope: dict[str, Any] | None = None,
        **changes: Any,
    ) -> bytes:
        """A signed note a minute later, from the usual body of its kind with changes."""
        self._nonce += 1
        self.time = make.later(self.time, minutes=1)
        fields = {
            "log": self.state.agreement_id,
            "nonce": f"{self._nonce:032x}",
            "time": self.time,
            "actor": actor,
            "kinds": CONSORTIUM,
        } | (envelope or {})
        said = (self.bodies.get(kind, {}) if body is None else body) | changes
        text = write_event(kind, said, **fields)
        return seal(text, *(keys or [self.key(name) for name in signers or (actor,)]))

    def push(self, note: bytes, now: str | None = None) -> Verdict:
        """Offer a note; it is appended if every rule allows it."""
        verdict = judge(self.state, note, now=now)
        if not isinstance(verdict, Denied):
            self.state = advance(self.state, note, len(self.entries))
            self.entries.append(note)
        return verdict

    def say(self, kind: str, actor: str, /, **how: Any) -> Verdict:
        """Say something; the answer is the verdict."""
        return self.push(self.draft(kind, actor, **how))

    def must(self, kind: str, actor: str, /, **how: Any) -> Consortium:
        """Say something that is allowed."""
        verdict = self.say(kind, actor, **how)
        assert isinstance(verdict, Allowed), verdict
        return self

    # --- what stories say often ---

    def admit(self, site: str, *members: str, **how: Any) -> Verdict:
        """These members and the hospital itself admit it."""
        names = institutions(*members, site)
        return self.say(
            "member.admitted", names[0], signers=names, body=make.admission(site), **how
        )

    def suspend(self, site: str, *members: str, **how: Any) -> Verdict:
        """These members suspend a hospital."""
        names = institutions(*members)
        return self.say("member.suspended", names[0], signers=names, site=site, **how)

    def amend(self, *members: str, **changes: Any) -> Verdict:
        """These members amend the agreement in force."""
        body = self.state.agreement.plain() | changes
        names = institutions(*members)
        said = {"agreement": body, "previous": self.state.version_id}
        return self.say("agreement.amended", names[0], signers=names, body=said)

    def rotate(self, name: str, *signers: str, kind: int = 1, **changes: Any) -> Verdict:
        """A key is replaced by its next generation, and used from then on."""
        body = {"name": name, "vkey": make.vkey(name, kind, 1), "reason": "planned"} | changes
        verdict = self.say("key.rotated", signers[0], signers=signers, body=body)
        if isinstance(verdict, Allowed):
            self.keys[name] = make.key(name, kind, 1)
        return verdict

    def exporting(self, **changes: Any) -> dict[str, Any]:
        """What an honest hub says about an export of everything so far."""
        size = len(self.entries)
        body = {
            "size": size,
            "root": base64.b64encode(self.state.root(size)).decode(),
            "manifest_sha256": make.sha("manifest"),
            "purpose": "audit",
            "on_behalf": make.WHO,
        }
        return body | changes


def whole_life() -> Consortium:
    """Everything that can be said, said once, in an order that a consortium could live."""
    world = Consortium()
    assert isinstance(world.admit(WEST, EAST, NORTH), Allowed)
    body = {"members": [make.member(name) for name in make.NAMES], "amend_k": 3, "admit_k": 3}
    assert isinstance(world.amend(EAST, NORTH, **body), Allowed)
    world.must("researcher.admitted", HUB, on_behalf=make.WHO)
    world.must("recipe.registered", HUB)
    world.must("dataset.registered", f"{NORTH}/node")
    world.must("offer.made", f"{NORTH}/node")
    world.must("request.made", make.RESEARCHER)
    asked = len(world.entries) - 1
    world.must("request.answered", f"{NORTH}/institution", request=asked)
    world.must("offer.withdrawn", f"{NORTH}/node")
    world.must("study.proposed", make.RESEARCHER)
    world.must("study.refused", f"{SOUTH}/institution")
    world.must("study.opened", HUB)
    assert isinstance(world.rotate(f"{NORTH}/node", f"{NORTH}/institution"), Allowed)
    world.must("dataset.withdrawn", f"{NORTH}/node")
    denial = {"action": "study.proposed", "who": make.RESEARCHER, "rule": "charter.floors",
              "round": None, "suppressed": 0}  # fmt: skip
    world.must("decision.denied", f"{EAST}/node", body=denial)
    world.must("export.created", HUB, body=world.exporting())
    review = {"from": 0, "to": 5, "result": "nothing_found", "on_behalf": None}
    world.must("review.noted", f"{EAST}/node", body=review)
    world.must("erasure.done", HUB, body={"what": "directory", "commitment": None})
    world.must("study.closed", HUB)
    world.must("recipe.retired", f"{EAST}/institution")
    world.must("researcher.left", HUB)
    assert isinstance(world.suspend(SOUTH, EAST, NORTH, WEST), Allowed)
    world.must("member.left", f"{WEST}/node", site=WEST)
    return world


def cosigned(
    entries: Sequence[bytes], *sites: str, key: SigningKey | None = None, at: int = 1_900_000_000
) -> bytes:
    """A checkpoint over any entries of this log, signed by its key, cosigned by these hospitals."""
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    checkpoint = Checkpoint(make.CONSORTIUM, len(entries), tree.root())
    note = sign(checkpoint, key or make.key(make.CONSORTIUM))
    lines = [
        cosign(parse(note).text, make.key(f"{site}/witness", COSIGNATURE), at) for site in sites
    ]
    return note + "".join(lines).encode()
