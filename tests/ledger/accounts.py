"""A second, simple-minded reading of a study's log, to hold the rules against.

It shares no line with `compliance.rules`: it walks over the entries as they were accepted and
counts for itself who signed, who left, what was spent. What must never happen is asserted here.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from compliance.canonical import sha256_id
from compliance.signing.keys import VerifierKey
from compliance.signing.note import Note, parse

Pair = tuple[str, str]


class Account:
    """What follows from a log's entries for everybody's rights.

    Args:
        entry0: the signed charter.
    """

    def __init__(self, entry0: bytes) -> None:
        note = parse(entry0)
        self.log = sha256_id(note.text)
        self.charter: dict[str, Any] = told(note)["body"]
        self.keys = keys_of(self.charter)
        self.signed: set[str] = set()
        self.left: set[str] = set()
        self.gone: set[Pair] = set()
        self.caps: dict[Pair, Decimal] = {}
        self.spent: dict[Pair, Decimal] = {}
        self.stopped = False
        self.closed = False
        self.time = ""
        self.round: dict[str, Any] | None = None
        self.sent: dict[str, dict[str, Any]] = {}
        self.nonces: set[Pair] = set()
        self._begin(note)

    def _begin(self, note: Note) -> None:
        signers = self._verified(note, self.keys)
        self.signed = hospitals(self.charter, signers)
        assert len(self.signed) >= self.charter["signatures_required"], "too few signed"
        assert VerifierKey.parse(self.charter["researcher"]).name in signers, "not proposed"
        self.caps = caps_of(self.charter)

    def _verified(self, note: Note, keys: dict[str, VerifierKey]) -> set[str]:
        for line in note.lines:
            assert keys[line.name].key_id == line.key_id, f"a key of {line.name} not in force"
            assert keys[line.name].verifies(note.text, line.signature), "a forged line"
        return {line.name for line in note.lines}

    @property
    def active(self) -> set[str]:
        """Hospitals that signed the charter in force and have not left."""
        return self.signed - self.left

    def take(self, entry: bytes) -> None:
        """Read one accepted entry; fails if it should never have been accepted."""
        note = parse(entry)
        fields = told(note)
        keys = self.keys
        if fields["type"] == "charter.amended":
            keys = keys_of(fields["body"]["charter"]) | self.keys
        signers = self._verified(note, keys)
        assert fields["actor"] in signers, "nobody speaks for another"
        assert fields["log"] == self.log, "made for another log"
        pair = fields["actor"], fields["nonce"]
        assert pair not in self.nonces, "counted twice"
        self.nonces.add(pair)
        act = getattr(self, "_" + fields["type"].replace(".", "_"), None)
        if act is not None:
            self.time = fields["time"]
            act(fields["body"], fields["actor"], signers)

    def _round_opened(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        assert actor.endswith("/events"), "only the hub opens rounds"
        assert not self.stopped, "opened although it was stopped"
        assert not self.closed, "opened although it was closed"
        assert set(body["sites"]) <= self.active, "a hospital without its signature"
        assert len(body["sites"]) >= self.charter["min_sites"]
        self._in_term()
        assert body["bundle_sha256"] == self.charter["bundle_sha256"]
        assert self.round is None
        self.round, self.sent = body, {}

    def _in_term(self) -> None:
        assert self.charter["starts"] <= self.time, "before the charter starts"
        assert self.time <= self.charter["expires"], "after the charter expired"

    def _update_submitted(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        site = actor.removesuffix("/node")
        pair = site, body["dataset"]
        assert signers == {f"{site}/node"}
        assert self.round is not None
        assert not self.stopped
        self._in_term()
        assert self.time <= self.round["deadline"], "after the deadline"
        assert site in set(self.round["sites"]) & self.active, "not asked, or it left"
        assert pair not in self.gone, "sent of withdrawn data"
        assert body["n"] >= self.charter["min_examples"]
        epsilon = Decimal(body["dp"]["epsilon"])
        assert epsilon >= 0, "a negative cost"
        self.spent[pair] = self.spent.get(pair, Decimal(0)) + epsilon
        assert self.spent[pair] <= self.caps[pair], "more than was signed"
        self.sent[site] = body

    def _round_closed(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        assert actor.endswith("/events")
        assert self.round is not None
        assert set(body["used"]) <= self.active, "an update of one who left is used"
        for site, used in body["used"].items():
            assert self.sent[site]["update_sha256"] == used, "another update than was sent"
            assert (site, self.sent[site]["dataset"]) not in self.gone, "withdrawn data is used"
        named = [*body["used"], *body["excluded"], *body["missing"]]
        assert sorted(named) == self.round["sites"], "dropped in silence"
        self.round = None

    def _round_aborted(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        assert self.round is not None
        self.round = None

    def _site_joined(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        site = actor.removesuffix("/institution")
        assert signers == {f"{site}/institution"}, "a promise needs the institution's key"
        self.signed.add(site)
        self.left.discard(site)

    def _site_withdrawn(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        self.left.add(actor.partition("/")[0])

    def _site_limited(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        pair = actor.partition("/")[0], body["dataset"]
        assert Decimal(body["epsilon"]) <= self.caps[pair], "a limit was raised"
        self.caps[pair] = Decimal(body["epsilon"])

    def _dataset_withdrawn(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        self.gone.add((actor.partition("/")[0], body["dataset"]))

    def _study_stopped(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        self.stopped, self.round = True, None

    def _study_resumed(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        assert signers == {f"{site}/institution" for site in self.active}, "not all resumed it"
        self.stopped = False

    def _study_closed(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        assert self.round is None
        self.closed = True

    def _charter_amended(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        new = body["charter"]
        signed = hospitals(new, signers)
        assert len(signed) >= new["signatures_required"], "an amendment by too few"
        assert self.round is None
        assert not self.closed
        caps = caps_of(new)
        for pair, cap in caps.items():
            if pair[0] not in signed and pair in self.caps:
                caps[pair] = min(cap, self.caps[pair])
        self.caps, self.charter, self.signed = caps, new, signed
        self.left = (self.left & {site["name"] for site in new["sites"]}) - signed
        fresh = keys_of(new)
        assert all(self.keys.get(name, key) == key for name, key in fresh.items())
        self.keys = fresh

    def _key_rotated(self, body: dict[str, Any], actor: str, signers: set[str]) -> None:
        name, key = body["name"], VerifierKey.parse(body["vkey"])
        site, _, role = name.rpartition("/")
        if role in ("node", "witness"):
            assert signers in ({f"{site}/institution"}, {name}), "only the hospital itself"
        elif role == "institution" and signers != {name}:
            assert len(signers) >= 2, "one alone replaces nobody's key"
            assert f"{site}/institution" not in signers
            assert all(hand.endswith("/institution") for hand in signers)
        assert key.name == name
        self.keys[name] = key


def told(note: Note) -> dict[str, Any]:
    """The statement in a note, as plain values."""
    found: dict[str, Any] = json.loads(note.text.split(b"\n")[1])
    return found


def keys_of(charter: dict[str, Any]) -> dict[str, VerifierKey]:
    """Every key of a charter by its name."""
    texts = [charter["log_key"], charter["hub_key"], charter["researcher"]]
    for site in charter["sites"]:
        texts += [site["institution"], site["node"], site["witness"]]
    return {key.name: key for key in map(VerifierKey.parse, texts)}


def hospitals(charter: dict[str, Any], signers: set[str]) -> set[str]:
    """The hospitals of a charter whose institution key is among the signers."""
    names = {site["name"] for site in charter["sites"]}
    return {name for name in names if f"{name}/institution" in signers}


def caps_of(charter: dict[str, Any]) -> dict[Pair, Decimal]:
    """The privacy cap of every dataset."""
    rows = charter["datasets"]
    return {(row["site"], row["id"]): Decimal(row["epsilon"]) for row in rows}
