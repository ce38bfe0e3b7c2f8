"""Which bundles a hospital SuperNode believes: the pinned bytes under a trusted signature."""

from __future__ import annotations

import json

import pytest
from flwr.supercore.fab import Fab
from flwr.supernode import start_client_internal

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.signing.keys import NOTE, SigningKey
from hub.federation.bundle import openssh_text, verification
from site_node.federation import pinned_supernode
from site_node.federation.pinned_supernode import QUESTION, pinned

CONTENT = b"PK the one bundle"
SIGNER = SigningKey.generate("hub.example/signer", NOTE)
STRANGER = SigningKey.generate("hub.example/stranger", NOTE)
TRUSTED = {SIGNER.name: openssh_text(SIGNER.verifier.public)}


def fab(content: bytes, signer: SigningKey | None) -> Fab:
    """A bundle as Flower hands it to the question."""
    told = {"valid_license": "yes"}
    if signer is not None:
        proof = verification(content, signer, 1_700_000_000)
        told[signer.name] = json.dumps(proof)
    return Fab(sha256_id(content).removeprefix("sha256:"), content, told)


def believes(bundle: Fab) -> bool:
    """What the hospital's SuperNode answers, with Flower's own question behind ours."""
    original = getattr(start_client_internal, QUESTION)
    return pinned(original, sha256_id(CONTENT))(bundle, TRUSTED)


def test_the_pinned_bytes_under_a_trusted_signature_are_believed() -> None:
    """The one good case."""
    assert believes(fab(CONTENT, SIGNER))


@pytest.mark.parametrize("place", range(len(CONTENT)))
def test_one_other_byte_is_not_believed_whoever_signed_it(place: int) -> None:
    """The trusted signer signed it, and it is still not the bundle of the charter."""
    changed = bytearray(CONTENT)
    changed[place] ^= 1

    assert not believes(fab(bytes(changed), SIGNER))


def test_a_bundle_without_a_signature_is_not_believed() -> None:
    """The right bytes, and nobody vouches for them."""
    assert not believes(fab(CONTENT, None))


def test_a_strangers_signature_is_not_believed() -> None:
    """The right bytes, vouched for by nobody the hospital knows."""
    assert not believes(fab(CONTENT, STRANGER))


def test_a_claimed_hash_is_not_believed() -> None:
    """The bytes are hashed here; what the hub calls them counts for nothing."""
    lie = Fab(sha256_id(CONTENT).removeprefix("sha256:"), CONTENT + b"!", {})
    lie.verifications = fab(CONTENT + b"!", SIGNER).verifications

    assert not believes(lie)


def test_another_flower_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that asks its question elsewhere would not ask ours: it is refused at the start."""
    monkeypatch.delattr(start_client_internal, QUESTION)

    with pytest.raises(NotReady, match="another place"):
        pinned_supernode.main([sha256_id(CONTENT), "--help"])
