"""Flower's SuperNode with one more question, one thing less that it says, and warm ClientApps.

The question: is this the very bundle that this hospital trusts?

Flower believes any bundle that a trusted signer signed, and a bundle's folder comes first when its
program is looked up. A signer's mistake or a stolen signer key must not bring other code into a
hospital: the bytes are compared with the pinned hash before anything of them is unpacked.

What it says less: whatever fails around our ClientApp (a bundle that cannot be unpacked because the
disk is full, a program that cannot be loaded), Flower would send the exception's text to the hub,
and with it a path of this hospital. Its code leaves, its words do not.

What is warm: `site_node.federation.warm_clients` takes the place of Flower's SuperExec.

Run as `python -m site_node.federation.pinned_supernode SHA256 WORDS…`; the words go to Flower.

Source: design/federation.md §1, §2.4; flwr 1.41 (`start_client_internal._verify_fab`).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any

from flwr.app import Error, Message
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supernode import start_client_internal
from flwr.supernode.cli import flower_supernode

from compliance.errors import NotReady

QUESTION = "_verify_fab"
"""The one place where Flower 1.41 decides whether a bundle may run; a test looks for it."""

WAY_OUT = "_push_messages"
"""The one place where Flower 1.41 sends replies to the hub; a test looks for it too."""

FAILED = "The answer failed; the story stays in the hospital."

STARTER = "subprocess"
"""The module by which Flower 1.41 starts its SuperExec there; a test looks for it too."""

Verify = Callable[[Any, dict[str, str]], bool]
Send = Callable[[Message, Any, float], tuple[set[str], str]]
Push = Callable[[int, str, str, bytes], None]


def pinned(original: Verify, sha256: str) -> Verify:
    """Ask for the hash first, then Flower's own question about the signer."""

    def verify(bundle: Any, trusted: dict[str, str]) -> bool:
        found = "sha256:" + hashlib.sha256(bundle.content).hexdigest()
        return found == sha256 and original(bundle, trusted)

    return verify


def wordless(original: Callable[..., None]) -> Callable[..., None]:
    """Let replies out as Flower does, and errors without their words."""

    def push_messages(*, state: Any, object_store: Any, send: Send, push_object: Push) -> None:
        def tell(message: Message, tree: Any, seconds: float) -> tuple[set[str], str]:
            if not message.has_error():
                return send(message, tree, seconds)
            plain = without_words(message)
            wanted, session = send(plain, get_object_tree(plain), seconds)
            for name, part in get_all_nested_objects(plain).items():
                if name in wanted:
                    push_object(plain.metadata.run_id, session, name, part.deflate())
            return set(), session

        original(state=state, object_store=object_store, send=tell, push_object=push_object)

    return push_messages


def without_words(message: Message) -> Message:
    """The same error with its code and a sentence that is always the same."""
    plain = Message(  # type: ignore[call-overload]  # as Flower itself rebuilds a message
        metadata=copy(message.metadata), error=Error(message.error.code, FAILED)
    )
    plain.metadata.__dict__["_message_id"] = plain.object_id  # as Flower itself names it
    return plain


def warm(words: list[str]) -> subprocess.Popen[bytes]:
    """Start our SuperExec where Flower starts its own, with the same words."""
    _, *rest = words
    return subprocess.Popen([sys.executable, "-m", "site_node.federation.warm_clients", *rest])  # noqa: S603 - our own program, words of the SuperNode in this process


def main(words: list[str]) -> int:
    """Start the SuperNode.

    Raises:
        NotReady: this version of Flower asks its question elsewhere.
    """
    sha256, *rest = words
    question, way_out, starter = (
        getattr(start_client_internal, name, None) for name in (QUESTION, WAY_OUT, STARTER)
    )
    if question is None or way_out is None or starter is None:
        raise NotReady(
            "this version of Flower checks bundles, answers or starts programs in another place.",
            "Install the locked version (flwr 1.41).",
        )
    setattr(start_client_internal, QUESTION, pinned(question, sha256))
    setattr(start_client_internal, WAY_OUT, wordless(way_out))
    setattr(start_client_internal, STARTER, SimpleNamespace(Popen=warm))
    sys.argv = ["flower-supernode", *rest]
    flower_supernode()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
