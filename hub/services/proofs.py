"""What a hospital brings when it joins: three keys of its own, each proven, and nobody else's."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compliance.errors import Malformed, Refused
from compliance.records.types import Country
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey
from compliance.signing.note import parse_line
from hub.storage import members as rows

PROOF_DOMAIN = "consilium/join/v1"
_COUNTRY: TypeAdapter[str] = TypeAdapter(Country)


def proven_keys(site: str, token: str, body: dict[str, Any]) -> dict[str, VerifierKey]:
    """The three keys that a hospital brings, if it holds their private halves.

    Raises:
        Refused: a name, type or proof is wrong, or one key stands for two roles.
        Malformed: a key has another form.
    """
    keys = {}
    for role, kind in (("institution", NOTE), ("node", NOTE), ("witness", COSIGNATURE)):
        key = VerifierKey.parse(str(body.get(role, "")))
        if key.name != f"{site}/{role}" or key.kind != kind:
            raise Refused(
                "join.key", key.name, f"{site}/{role}", "A key has another name or type than asked."
            )
        keys[role] = key
    if len({key.public for key in keys.values()}) != len(keys):
        raise Refused("join.key", sentence="One public key stands for two roles.")
    text = f"{PROOF_DOMAIN}\n{hash_of(token)}\n".encode()
    lines = body.get("proof")
    if not isinstance(lines, list):
        raise Malformed("proof", "it is not a list of signature lines")
    proofs = [parse_line(str(line)) for line in lines]
    for role in ("institution", "node"):
        key = keys[role]
        signed = [p for p in proofs if (p.name, p.key_id) == (key.name, key.key_id)]
        if not any(key.verifies(text, proof.signature) for proof in signed):
            raise Refused("join.proof", sentence=f"The proof of the {role} key does not hold.")
    return keys


def nobody_elses(members: list[rows.MemberRow], keys: dict[str, VerifierKey], flower: str) -> None:
    """Refuse keys that another hospital has: the two could speak for each other.

    Raises:
        Refused: one of these keys is taken.
    """
    taken = {
        VerifierKey.parse(text).public
        for row in members
        for text in (row.institution, row.node, row.witness)
    }
    if taken & {key.public for key in keys.values()} or _bare(flower) in {
        _bare(row.flower_public) for row in members
    }:
        raise Refused("join.key", sentence="A key belongs to another hospital already.")


def flower_of(body: dict[str, Any]) -> str:
    """The public key of the hospital's Flower node, OpenSSH text.

    Raises:
        Malformed: it has another form.
    """
    text = str(body.get("flower_public", "")).strip()
    if not text.startswith("ecdsa-sha2-nistp384 ") or len(text) > 1000:  # noqa: PLR2004 - longest key line
        raise Malformed("flower key", "it is not an EC P-384 key in OpenSSH form")
    return text


def country_of(body: dict[str, Any]) -> str | None:
    """The country that a hospital tells, if it does.

    Raises:
        Malformed: it is not two capital letters.
    """
    told = body.get("country")
    if told is None:
        return None
    try:
        return _COUNTRY.validate_python(told)
    except ValidationError:
        raise Malformed("country", "it is not two capital letters (ISO 3166-1)") from None


def _bare(key: str) -> tuple[str, ...]:
    return tuple(key.strip().split(" ")[:2])


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
