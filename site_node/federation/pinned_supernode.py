"""Flower's SuperNode with one more question: is this the very bundle that this hospital trusts?

Flower believes any bundle that a trusted signer signed, and a bundle's folder comes first when its
program is looked up. A signer's mistake or a stolen signer key must not bring other code into a
hospital: the bytes are compared with the pinned hash before anything of them is unpacked.

Run as `python -m site_node.federation.pinned_supernode SHA256 WORDS…`; the words go to Flower.

Source: design/federation.md §1, §2.4; flwr 1.41 (`start_client_internal._verify_fab`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Any

from flwr.supernode import start_client_internal
from flwr.supernode.cli import flower_supernode

from compliance.errors import NotReady

QUESTION = "_verify_fab"
"""The one place where Flower 1.41 decides whether a bundle may run; a test looks for it."""

Verify = Callable[[Any, dict[str, str]], bool]


def pinned(original: Verify, sha256: str) -> Verify:
    """Ask for the hash first, then Flower's own question about the signer."""

    def verify(bundle: Any, trusted: dict[str, str]) -> bool:
        found = "sha256:" + hashlib.sha256(bundle.content).hexdigest()
        return found == sha256 and original(bundle, trusted)

    return verify


def main(words: list[str]) -> int:
    """Start the SuperNode.

    Raises:
        NotReady: this version of Flower asks its question elsewhere.
    """
    sha256, *rest = words
    original = getattr(start_client_internal, QUESTION, None)
    if original is None:
        raise NotReady(
            "this version of Flower checks bundles in another place.",
            "Install the locked version (flwr 1.41).",
        )
    setattr(start_client_internal, QUESTION, pinned(original, sha256))
    sys.argv = ["flower-supernode", *rest]
    flower_supernode()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
