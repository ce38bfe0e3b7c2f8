"""The Flower bundle of all studies: built and signed once per release, handed out unchanged.

It lies in `<home>/bundle`: `<hex>.fab` and `signed.json`, which `hub.services.trust` reads.

It holds settings only, so its hash is the same for every study of a release. What a site trusts is
the hash (in the charter and in its own settings) and the signer (in its `signers.yaml`).

Source: design/federation.md §2.3, §2.4; signature form of flwr 1.41
(`flwr.supercore.primitives.asymmetric_ed25519.create_message_to_sign`).
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady
from compliance.signing.keys import SigningKey
from hub.federation.commands import flower_environment, run_flower

APP = "@consilium/consilium-study"
SOURCE = Path(__file__).parents[1] / "study-app"
CARD = "signed.json"


@dataclass(frozen=True)
class Bundle:
    """The bundle's bytes with what lets a site believe them.

    Args:
        content: the `.fab` file.
        sha256: `sha256:` + hex of the content; `bundle_sha256` of charters.
        signers: signer id → `ssh-ed25519 …`, for a site's `signers.yaml`.
        verifications: what Flower passes on: public_key_id, signature, signed_at.
    """

    content: bytes
    sha256: str
    signers: dict[str, str]
    verifications: list[dict[str, Any]]


def sign(
    folder: Path, signer: SigningKey, signed_at: int, environment: Mapping[str, str]
) -> Bundle:
    """Build the bundle, sign it and store both; earlier signatures of the same bytes stay.

    Args:
        folder: `<home>/bundle`.
        signer: Ed25519 key of a bundle signer.
        signed_at: Unix seconds that the signature covers.
        environment: of the process, handed to `flwr build`.

    Raises:
        NotReady: Flower could not build it, or the folder cannot be written.
    """
    content = build(environment)
    name = sha256_id(content)
    signers, proofs = _earlier(folder, name)
    signers[signer.name] = openssh_text(signer.verifier.public)
    proofs = [proof for proof in proofs if proof["public_key_id"] != signer.name]
    made = Bundle(content, name, signers, [*proofs, verification(content, signer, signed_at)])
    card = {
        "bundle_sha256": made.sha256,
        "signers": made.signers,
        "verifications": made.verifications,
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(_content_path(folder, name), content)
        _write(folder / CARD, json.dumps(card, indent=1).encode())
    except OSError as error:
        raise NotReady(
            f"the folder {folder} cannot be written ({error.strerror}).", "Give write access."
        ) from error
    return made


def read(folder: Path) -> Bundle:
    """Read the stored bundle and check its hash.

    Raises:
        NotReady: there is none.
        Malformed: the file is not the one that was signed.
    """
    try:
        card = json.loads((folder / CARD).read_bytes())
        content = _content_path(folder, card["bundle_sha256"]).read_bytes()
    except FileNotFoundError as error:
        raise NotReady(
            f"{error.filename} is missing.", "Sign the bundle with `consilium hub sign-bundle`."
        ) from error
    if sha256_id(content) != card["bundle_sha256"]:
        raise Malformed(f"bundle in {folder}", "its hash is not the one that was signed")
    return Bundle(content, card["bundle_sha256"], card["signers"], card["verifications"])


def _content_path(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256.removeprefix('sha256:')}.fab"


def _earlier(folder: Path, sha256: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    try:
        card = json.loads((folder / CARD).read_bytes())
    except FileNotFoundError:
        return {}, []
    if card["bundle_sha256"] != sha256:
        return {}, []
    return dict(card["signers"]), list(card["verifications"])


def build(environment: Mapping[str, str]) -> bytes:
    """Let Flower build the bundle: the same settings give the same bytes.

    Raises:
        NotReady: Flower could not build it.
    """
    with tempfile.TemporaryDirectory(prefix="consilium-bundle-") as name:
        folder = Path(name)
        calm = flower_environment(environment, folder / "home")
        run_flower(["build", "--app", str(SOURCE)], calm, folder=folder)
        return next(folder.glob("*.fab")).read_bytes()


def verification(content: bytes, signer: SigningKey, signed_at: int) -> dict[str, Any]:
    """Sign SHA-256(content) and a time, as Flower's nodes verify it."""
    digest = bytes.fromhex(sha256_id(content).removeprefix("sha256:"))
    signature = signer.sign(signed_at.to_bytes(8, "big") + digest)
    return {
        "public_key_id": signer.name,
        "signature": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
        "signed_at": signed_at,
    }


def openssh_text(public: bytes) -> str:
    """Write a raw Ed25519 public key as `ssh-ed25519 …`."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
