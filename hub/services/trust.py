"""Which Flower bundle this hub hands out, and who of the consortium signed it.

`<home>/bundle/<sha256>.fab` and `<home>/bundle/signed.json`; written by `hub sign-bundle`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.errors import NotReady

FILE = "signed.json"


@dataclass(frozen=True)
class SignedBundle:
    """The bundle's hash, its signatures as Flower wants them, and the signers' public keys."""

    bundle_sha256: str
    verifications: list[dict[str, Any]]
    signers: dict[str, str]


def read_trust(home: Path) -> SignedBundle:
    """Read what was signed last.

    Raises:
        NotReady: no bundle was signed yet.
    """
    path = home / "bundle" / FILE
    try:
        plain = json.loads(path.read_text())
        return SignedBundle(plain["bundle_sha256"], plain["verifications"], plain["signers"])
    except (OSError, ValueError, KeyError) as error:
        raise NotReady(
            "no Flower bundle is signed yet.",
            "A signer of the consortium runs `consilium hub sign-bundle --key FILE`.",
        ) from error
