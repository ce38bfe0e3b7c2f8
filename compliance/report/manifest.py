"""What the exporter of a bundle signs."""

from __future__ import annotations

import base64

from compliance.canonical import sha256_id
from compliance.ledger.checkpoint import Checkpoint

MANIFEST_DOMAIN = "consilium/manifest/v1"


def manifest_text(checkpoint: Checkpoint, manifest: bytes) -> bytes:
    """Five lines: domain, origin, size, root, hash of `manifest-sha512.txt`."""
    lines = (MANIFEST_DOMAIN, checkpoint.origin, str(checkpoint.size), root_text(checkpoint))
    return ("\n".join((*lines, sha256_id(manifest))) + "\n").encode()


def root_text(checkpoint: Checkpoint) -> str:
    """The root as the log writes it, base64."""
    return base64.b64encode(checkpoint.root).decode()
