"""Which bundles a hospital SuperNode believes: the pinned bytes under a trusted signature."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal
from flwr.supernode.nodestate import NodeStateFactory

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.signing.keys import NOTE, SigningKey
from hub.federation.bundle import openssh_text, verification
from site_node.federation import pinned_supernode
from site_node.federation.pinned_supernode import (
    FAILED,
    QUESTION,
    STARTER,
    WAY_OUT,
    pinned,
    wordless,
)

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


class Hub:
    """What a hub would receive of a SuperNode's replies."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.objects: dict[str, bytes] = {}

    def send(self, message: Message, tree: ObjectTree, _: float) -> tuple[set[str], str]:
        """Take a message; ask for every object of it."""
        self.messages.append(message)
        return {part.object_id for part in iterate_object_tree(tree)}, "session"

    def push_object(self, run: int, session: str, name: str, content: bytes) -> None:
        """Take an object."""
        self.objects[name] = content


def replied(reply: Message, push_messages: Callable[..., None]) -> Hub:
    """Let a reply lie in a SuperNode's real store and be pushed; returns what the hub received."""
    store = ObjectStoreFactory().store()
    state = NodeStateFactory(objectstore_factory=ObjectStoreFactory()).state()
    state.set_node_id(7)
    start_client_internal._insert_message(reply, state, store)
    hub = Hub()
    push_messages(state=state, object_store=store, send=hub.send, push_object=hub.push_object)
    return hub


def reply_with(monkeypatch: pytest.MonkeyPatch, said: Error | RecordDict) -> Message:
    """A reply of a ClientApp."""
    for name in ("_run_id", "_task_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 7)
    order = Message(RecordDict(), dst_node_id=7, message_type="train")
    order.metadata.__dict__["_message_id"] = order.object_id
    return Message(said, reply_to=order)


def test_the_words_of_an_error_do_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full and Flower tells where: the hub receives the code and our one sentence."""
    words = "<class 'OSError'>:<'[Errno 28] /srv/MUELLER-HANS-19440203/flower'>"
    original = getattr(start_client_internal, WAY_OUT)
    error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, words)

    told = replied(reply_with(monkeypatch, error), original)
    assert b"MUELLER" in b"".join(told.objects.values())  # what Flower would have sent

    told = replied(reply_with(monkeypatch, error), wordless(original))
    (message,) = told.messages
    assert (message.error.code, message.error.reason) == (error.code, FAILED)
    assert set(told.objects) == {message.metadata.message_id}
    everything = b"".join(told.objects.values()) + message_to_proto(message).SerializeToString()
    assert b"MUELLER" not in everything
    assert FAILED.encode() in everything


def test_an_answer_leaves_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error is Flower's own business: the same message, every object of it."""
    reply = reply_with(monkeypatch, RecordDict({"words": ConfigRecord({"notes": [b"note"]})}))

    told = replied(reply, wordless(getattr(start_client_internal, WAY_OUT)))

    assert told.messages[0].content == reply.content
    assert b"note" in b"".join(told.objects.values())


@pytest.mark.parametrize("name", [QUESTION, WAY_OUT, STARTER])
def test_another_flower_is_not_started(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A version that does it elsewhere would not meet ours: it is refused at the start."""
    monkeypatch.delattr(start_client_internal, name)

    with pytest.raises(NotReady, match="another place"):
        pinned_supernode.main([sha256_id(CONTENT), "--help"])
