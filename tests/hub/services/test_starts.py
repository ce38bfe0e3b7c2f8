"""A study begins with weights that somebody has: read as numbers, named in the charter."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, Malformed, NotProven, NotReady, Refused
from compliance.records.charter import StartModel
from compliance.records.envelope import parse_event, write_event
from compliance.records.layout import Layout, model_sha256
from compliance.records.recipe import layout_of, shipped
from hub.services import starts
from tests import factories as make
from tests.hub.house import NAMES, House, key_of

SEED = 20261130
LAYOUT = layout_of(shipped()["cnn2d-small"])
VECTOR = np.random.default_rng(SEED).normal(0, 0.05, LAYOUT.count).astype("<f4")


def file_of(vector: Any = VECTOR, layout: Layout = LAYOUT, **metadata: str) -> bytes:
    """A safetensors file whose tensors lie in the opposite order of the layout's."""
    parts, header, at = [], {"__metadata__": metadata} if metadata else {}, 0
    for entry in reversed(layout.entries):
        part = vector[entry.offset : entry.offset + entry.count].tobytes()
        place = [at, at + len(part)]
        header[entry.name] = {"dtype": "F32", "shape": entry.shape, "data_offsets": place}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def handed_in(house: House, data: bytes, account: int = 1, piece: int = 1 << 16) -> str:
    """Hand a file in as a researcher's command does; returns its name."""
    name = sha256_id(data)
    for at in range(0, len(data), piece):
        told = house.rooms.starts.take(account, name, at, len(data), data[at : at + piece])
    assert told == {"file": name, "bytes": len(data), "whole": True}
    return name


def researcher() -> str:
    """The verifier key of the researcher of these tests."""
    return str(key_of(make.RESEARCHER).verifier)


@pytest.fixture
def joined(house: House) -> House:
    """Three hospitals have joined."""
    house.join(*NAMES)
    return house


@pytest.mark.parametrize("form", [file_of, lambda: VECTOR.tobytes()], ids=["safetensors", "f32"])
def test_a_charter_names_the_given_weights_by_their_hash(joined, form: Callable[[], bytes]):
    """Both forms are the same model; the registry has it, and the charter says where it is from."""
    data = form()
    name = handed_in(joined, data)

    joined.propose(start_model={"file": name})

    body = parse_event(joined.text).body
    assert body.start_model == StartModel(source="file", sha256=name)
    assert body.initial_model_sha256 == model_sha256(LAYOUT.sha256, VECTOR.tobytes())
    assert joined.rooms.registry.read(joined.study, body.initial_model_sha256) == VECTOR.tobytes()
    joined.sign(*NAMES)
    joined.rooms.charters.launch(joined.charter_id)
    assert joined.rooms.ledger.state(joined.study).model_sha256 == body.initial_model_sha256
    assert joined.rooms.runs.wanted() == [joined.study]


def test_a_drawn_start_leaves_the_charter_as_it_was(joined):
    """Charters of before have no such field, and keep their hash."""
    joined.propose()

    assert b"start_model" not in joined.text
    body = parse_event(joined.text).body
    assert body.start_model is None
    assert write_event("charter", body.plain(), time=joined.time.text()) == joined.text


def other_network() -> bytes:
    """A model of the same form for another network."""
    layout = layout_of(shipped()["heart-logistic"])
    return file_of(np.zeros(layout.count, "<f4"), layout)


def with_value(value: float) -> bytes:
    """A file in which one number is none."""
    bad = VECTOR.copy()
    bad[LAYOUT.count // 2] = value
    return file_of(bad)


def torch_zip() -> bytes:
    """What `torch.save` writes: a zip file with a pickle in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"w": [1.0]}))
    return out.getvalue()


def wrong_shape() -> bytes:
    """All names and numbers are there; one tensor lies on its side."""
    data = file_of()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = next(n for n, row in header.items() if len(row["shape"]) == 4)
    header[name]["shape"] = header[name]["shape"][::-1]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


BAD = {
    "another network": (other_network, "another network"),
    "not a number": (lambda: with_value(np.nan), "no finite number"),
    "infinite": (lambda: with_value(np.inf), "no finite number"),
    "a pickle": (lambda: pickle.dumps({"w": [1.0] * 1000}), "no safetensors file"),
    "a torch file": (torch_zip, "no safetensors file"),
    "one value less": (lambda: VECTOR[:-1].tobytes(), "bare values"),
    "one value more": (lambda: VECTOR.tobytes() + bytes(4), "bare values"),
    "another layout": (lambda: file_of(layout_sha256=make.sha("other")), "layout"),
    "another hash": (lambda: file_of(model_sha256=make.sha("other")), "its numbers are"),
    "another shape": (wrong_shape, "another form"),
    "far too long": (lambda: file_of() + bytes(17 << 20), "larger than the recipe's network"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_model_of_this_network_begins_nothing(joined, kind):
    """Checked while the draft is written, refused when it is proposed; nothing is stored."""
    made, words = BAD[kind]
    name = handed_in(joined, made(), piece=1 << 20)
    draft = joined.draft(start_model={"file": name})

    found = [row for row in joined.rooms.charters.check(draft, researcher()) if not row.allowed]
    with pytest.raises(ConsiliumError, match=words):
        joined.rooms.charters.prepare(draft, researcher())

    assert [row.rule for row in found] == ["charter.form"]
    assert words in found[0].sentence
    assert not list((joined.home / "studies").glob("*/models/*"))


@pytest.mark.parametrize(
    "asked",
    [{"file": make.sha("never handed in")}, {"file": "../../keys/events.key"}, {"file": "*"},
     {"study": "0011223344556677"}, {"study": ".."}, {}, {"path": "/etc/passwd"}, "drawn",
     {"file": make.sha("a"), "study": "0011223344556677"}],
)  # fmt: skip
def test_a_start_that_is_not_there_is_named(joined, asked):
    """No word of a draft is a path, and nothing is guessed."""
    draft = joined.draft(start_model=asked)

    found = [row for row in joined.rooms.charters.check(draft, researcher()) if not row.allowed]
    with pytest.raises((NotReady, Malformed)):
        joined.rooms.charters.prepare(draft, researcher())

    assert len(found) == 1


def test_pieces_come_in_order_and_the_whole_is_checked(joined, monkeypatch):
    """A piece that came twice does no harm, a gap is named, wrong bytes are dropped."""
    data, take = file_of(), joined.rooms.starts.take
    name, size, half = sha256_id(data), len(data), len(data) // 2
    take(1, name, 0, size, data[:half])
    take(1, name, 0, size, data[:half])
    with pytest.raises(NotReady, match="not here"):
        take(1, name, half + 1, size, data[half + 1 :])
    with pytest.raises(Malformed, match="a piece"):
        take(1, name, half, size, data[half:] + b"x")
    with pytest.raises(NotProven, match="arrived as"):
        take(1, name, half, size, data[half:-1] + b"\x7f")
    with pytest.raises(NotReady, match="not at this hub"):
        joined.propose(start_model={"file": name})
    monkeypatch.setattr(starts, "MOST_BYTES", size - 1)
    with pytest.raises(Refused, match="too large"):
        take(1, name, 0, size, data[:half])
    with pytest.raises(Malformed):
        take(1, "sha256:../x", 0, 8, b"12345678")


def test_a_person_keeps_one_file_and_nobody_elses_goes(joined):
    """The hub's disk holds as many start models as it has researchers."""
    first, second = handed_in(joined, file_of()), handed_in(joined, VECTOR.tobytes(), account=11)
    third = handed_in(joined, file_of(VECTOR * 2))

    kept = {path.name for path in (joined.home / "starts").iterdir()}

    assert kept == {f"11-{second[7:]}", f"1-{third[7:]}"}
    assert first[7:] not in str(kept)


def test_a_file_that_was_changed_at_the_hub_is_not_taken(joined):
    """Who owns the disk cannot give a study another start under the same name."""
    name = handed_in(joined, file_of())
    next((joined.home / "starts").iterdir()).write_bytes(file_of(VECTOR * 2))

    with pytest.raises(NotProven, match="was changed"):
        joined.propose(start_model={"file": name})


@pytest.mark.parametrize("lie", ["hidden", "claimed"])
def test_a_text_that_lies_about_its_start_is_no_proposal(joined, lie):
    """Given weights that the charter would call drawn, and the other way round."""
    asked = {"file": handed_in(joined, file_of())} if lie == "hidden" else None
    text = joined.rooms.charters.prepare(joined.draft(start_model=asked), researcher())
    event = parse_event(text)
    said = StartModel(source="file", sha256=make.sha("a")) if lie == "claimed" else None
    body = event.body.model_copy(update={"start_model": said})
    changed = write_event("charter", body.plain(), time=event.time)
    key = key_of(make.RESEARCHER)
    joined.rooms.accounts.add("lead", "researcher")

    with pytest.raises(Refused, match="not prepared by this hub"):
        joined.rooms.charters.propose(changed, key.line(changed), 1, researcher())
