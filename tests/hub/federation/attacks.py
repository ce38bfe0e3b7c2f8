"""What a hospital that means harm may send in place of its update, one line each."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.envelope import DOMAIN, write_event
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.records.wire import ARRAYS, NOTES, VECTOR, WORDS, vector_file
from compliance.signing.note import seal
from hub.federation.exchange import Failure, read_message
from hub.federation.replies import Reply
from tests.hub.federation.post import Post
from tests.site_node.gate.world import LAYOUT

CANARY = "mueller-hans-19440203"
COUNT = LAYOUT.count
Content = RecordDict | None


@dataclass
class Turn:
    """One order in a hostile hospital's hands.

    Args:
        post: carries the messages.
        site: the hospital.
        order: what it was asked.
        first: what it answered, honestly, in its first round.
    """

    post: Post
    site: str
    order: Order
    first: tuple[bytes, bytes] | None = None

    @property
    def delta(self) -> np.ndarray[Any, Any]:
        """The update that it would send if it were honest."""
        return np.frombuffer(self.post.delta(self.site, self.order), dtype="<f4")

    @property
    def others(self) -> np.ndarray[Any, Any]:
        """What the honest hospitals send, one a row: an attacker who knows everything."""
        sites = [site for site in self.post.house.sites if site != self.site]
        rows = [np.frombuffer(self.post.delta(site, self.order), dtype="<f4") for site in sites]
        return np.stack(rows)

    def body(self, data: bytes, **changes: Any) -> dict[str, Any]:
        """What would be said about these bytes."""
        state = self.post.house.hub.ledger.state(self.post.house.study)
        return {
            "round": self.order.round,
            "base_model_sha256": self.order.model_sha256,
            "dataset": "chest",
            "dataset_version": state.dataset_versions[self.site, "chest"],
            "update_sha256": sha256_id(data),
            "bytes": len(data),
            "encoding": "packed-f32",
            "masked": False,
            "n": 40,
            "dp": None,
        } | changes

    def text(self, data: bytes, actor: str | None = None, **changes: Any) -> bytes:
        """The statement as text."""
        place = f"{self.site} {self.order.round} {changes}".encode()
        return write_event(
            "update.submitted",
            self.body(data, **changes),
            actor=f"{actor or self.site}/node",
            log=self.order.log,
            nonce=hashlib.sha256(place).hexdigest()[:32],
            time=time_text(self.post.house.time.now),
        )

    def note(self, data: bytes, by: str | None = None, **changes: Any) -> bytes:
        """The statement, signed by this hospital or by another one."""
        key = self.post.house.sites[by or self.site].keys.node
        return seal(self.text(data, **changes), key)

    def spelled(self, value: bytes) -> bytes:
        """A statement whose number of cases is written as one likes."""
        text = self.text(self.delta.tobytes()).replace(b'"n":40', b'"n":' + value)
        assert text.startswith(DOMAIN)
        return seal(text, self.post.house.sites[self.site].keys.node)


def sent(array: bytes | None, *notes: bytes, **more: Any) -> RecordDict:
    """A reply as Flower carries it."""
    content: dict[str, Any] = {WORDS: ConfigRecord({NOTES: list(notes)})}
    if array is not None:
        content[ARRAYS] = ArrayRecord({VECTOR: Array("float32", (COUNT,), "numpy.ndarray", array)})
    return RecordDict(content | more)


def values(turn: Turn, array: Any) -> RecordDict:
    """Values that are properly packed and signed, whatever they are."""
    data = np.asarray(array).astype("<f4").tobytes()
    return sent(vector_file(data), turn.note(data))


def one_value(turn: Turn, value: float) -> RecordDict:
    """An ordinary update but for one value."""
    array = turn.delta.copy()
    array[COUNT // 2] = value
    return values(turn, array)


def packed(turn: Turn, file: bytes) -> RecordDict:
    """An honest statement with a file of another form."""
    return sent(file, turn.note(turn.delta.tobytes()))


def saved(array: Any, version: tuple[int, int] = (1, 0)) -> bytes:
    """A `.npy` file as numpy writes it."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version=version, allow_pickle=True)
    return file.getvalue()


def cases(turn: Turn, value: bytes) -> RecordDict:
    """An honest update whose number of cases is something else."""
    return sent(vector_file(turn.delta.tobytes()), turn.spelled(value))


def said(turn: Turn, **changes: Any) -> RecordDict:
    """Honest values with another statement about them."""
    data = turn.delta.tobytes()
    return sent(vector_file(data), turn.note(data, **changes))


def named(turn: Turn, **places: Any) -> RecordDict:
    """A canary as a name: of a record, of a key, of an array."""
    data = turn.delta.tobytes()
    content = sent(vector_file(data), turn.note(data))
    array = Array("float32", (COUNT,), "numpy.ndarray", vector_file(data))
    if "record" in places:
        content[CANARY] = ConfigRecord({"x": 1})
    if "key" in places:
        content[WORDS] = ConfigRecord({NOTES: [turn.note(data)], CANARY: CANARY})
    if "array" in places:
        content[ARRAYS] = ArrayRecord({VECTOR: array, CANARY: array})
    return content


def _alie(turn: Turn) -> RecordDict:
    others = turn.others
    return values(turn, others.mean(axis=0) - 1.5 * others.std(axis=0))


def _fortran(turn: Turn) -> RecordDict:
    file = vector_file(turn.delta.tobytes())
    return packed(turn, file.replace(b"'fortran_order': False", b"'fortran_order': True ", 1))


def _behind_the_back(turn: Turn) -> None:
    """The statement by another door, and no values at all."""
    with contextlib.suppress(Refused):  # said before: the order came a second time
        turn.post.house.hub.ledger.submit(turn.post.house.study, turn.note(turn.delta.tobytes()))


def _first(turn: Turn) -> tuple[bytes, bytes]:
    assert turn.first is not None
    return turn.first


def _stolen(turn: Turn) -> RecordDict:
    other = next(site for site in turn.post.house.sites if site != turn.site)
    theirs = Turn(turn.post, other, turn.order)
    data = theirs.delta.tobytes()
    return sent(vector_file(data), theirs.note(data))


def _many(turn: Turn) -> RecordDict:
    data = turn.delta.tobytes()
    return sent(vector_file(data), *[turn.note(data, n=n) for n in (40, 41)])


Attack = Callable[[Turn], Content]

COUNTED, FAILED = "counted", "failed"

ATTACKS: dict[str, tuple[Attack, str]] = {
    # values: what looks like an update counts, and the rule of aggregation bounds it
    "labels flipped": (lambda t: values(t, -t.delta), COUNTED),
    "inner product": (lambda t: values(t, -0.5 * t.others.mean(axis=0)), COUNTED),
    "a little is enough": (_alie, COUNTED),
    "sign flipped, fifty times as large": (lambda t: values(t, -50 * t.delta), "norm_bound"),
    "the largest numbers": (lambda t: values(t, np.full(COUNT, 3e38)), "norm_bound"),
    "one NaN": (lambda t: one_value(t, np.nan), "not_finite"),
    "one infinity": (lambda t: one_value(t, np.inf), "not_finite"),
    "one infinity below": (lambda t: one_value(t, -np.inf), "not_finite"),
    # cases
    "10¹² cases": (lambda t: cases(t, b"1000000000000"), "bad_count"),
    "other cases than last time": (lambda t: cases(t, b"41"), "bad_count"),
    "-1 cases": (lambda t: cases(t, b"-1"), FAILED),
    "no case": (lambda t: cases(t, b"0"), FAILED),
    "NaN cases": (lambda t: cases(t, b"NaN"), FAILED),
    "cases as text": (lambda t: cases(t, b'"120"'), FAILED),
    "true cases": (lambda t: cases(t, b"true"), FAILED),
    "cases with a fraction": (lambda t: cases(t, b"40.0"), FAILED),
    "cases beyond any integer": (lambda t: cases(t, b"9" * 400), FAILED),
    # form of the array
    "one value": (lambda t: packed(t, saved(t.delta[:1])), "wrong_shape"),
    "one value less": (lambda t: packed(t, saved(t.delta[:-1])), "wrong_shape"),
    "one value more": (lambda t: packed(t, saved(np.append(t.delta, t.delta[:1]))), "wrong_shape"),
    "float64": (lambda t: packed(t, saved(t.delta.astype("<f8"))), "wrong_shape"),
    "big-endian": (lambda t: packed(t, saved(t.delta.astype(">f4"))), "wrong_shape"),
    "two axes": (lambda t: packed(t, saved(t.delta[:, None])), "wrong_shape"),
    "Fortran order": (_fortran, "wrong_shape"),
    "npy version 2": (lambda t: packed(t, saved(t.delta, (2, 0))), "wrong_shape"),
    "a pickle": (lambda t: packed(t, saved(np.array([{}], dtype=object))), "wrong_shape"),
    "bytes behind it": (lambda t: packed(t, vector_file(t.delta.tobytes()) + b"!"), "wrong_shape"),
    "no byte": (lambda t: packed(t, b""), "wrong_shape"),
    "no array": (lambda t: sent(None, t.note(t.delta.tobytes())), "wrong_shape"),
    "other values than signed": (
        lambda t: sent(vector_file(t.others[0].tobytes()), t.note(t.delta.tobytes())),
        "bad_hash",
    ),
    # the statement
    "an old round": (lambda t: said(t, round=t.order.round - 1), FAILED),
    "a round to come": (lambda t: said(t, round=t.order.round + 1), FAILED),
    "another base": (lambda t: said(t, base_model_sha256=sha256_id(b"mine")), FAILED),
    "another dataset": (lambda t: said(t, dataset="other"), FAILED),
    "another version": (lambda t: said(t, dataset_version=sha256_id(b"mine")), FAILED),
    "another length": (lambda t: said(t, bytes=4), "wrong_shape"),
    "half precision": (lambda t: said(t, encoding="packed-f16"), FAILED),
    "masked": (lambda t: said(t, masked=True, encoding="masked-u32"), FAILED),
    "signed by another hospital": (
        lambda t: said(t, by=next(s for s in t.post.house.sites if s != t.site)),
        FAILED,
    ),
    "in another hospital's name": (
        lambda t: said(t, actor=next(s for s in t.post.house.sites if s != t.site)),
        FAILED,
    ),
    "another hospital's update": (_stolen, FAILED),
    "an update of an earlier round": (lambda t: sent(*_first(t)), FAILED),
    "two updates": (_many, FAILED),
    "no note": (lambda t: sent(vector_file(t.delta.tobytes())), FAILED),
    "a note that is none": (lambda t: sent(None, b"\xff\x00 no note"), FAILED),
    "a hundred notes": (lambda t: sent(None, *[t.note(b"", n=n) for n in range(100)]), FAILED),
    "a word by another door": (_behind_the_back, "late"),
    # names
    "a canary as a record": (lambda t: named(t, record=True), FAILED),
    "a canary as a key": (lambda t: named(t, key=True), FAILED),
    "a canary as an array": (lambda t: named(t, array=True), "wrong_shape"),
    "nothing at all": (lambda t: RecordDict({}), FAILED),
}
"""By name: the attack, and what must become of it."""


def answered(site: str, content: RecordDict) -> Reply | Failure:
    """The reply as the hub takes it out of a real message of Flower."""
    return read_message(site, Message(content, dst_node_id=1, message_type="train"))
