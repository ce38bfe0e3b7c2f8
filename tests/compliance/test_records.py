"""Records: one form each, nothing bent into a type, nothing unknown."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.charter import CharterBody
from compliance.records.consortium import bucket_of
from compliance.records.envelope import NotAnEvent, body_of, parse_event, write_event
from compliance.records.kinds import CONSORTIUM, ENTRY0, KINDS, STUDY
from compliance.records.types import (
    Code,
    ConsortiumOrigin,
    Dec,
    Key,
    Origin,
    Root,
    Sha,
    Site,
    Slug,
    Text120,
    Time,
    VKeyText,
    Who,
    seconds_of,
    time_text,
)
from compliance.signing.note import parse
from tests import factories as make
from tests.shared import shared_data

GOOD: list[tuple[Any, list[str], list[Any]]] = [
    (Sha, ["sha256:" + "0" * 64],
     ["sha256:" + "0" * 63, "sha256:" + "A" * 64, "0" * 64, "sha256:" + "0" * 64 + "\n", 1]),
    (Dec, ["0", "-1", "0.5", "3.0", "-0.5", "123456789012.123456789012"],
     ["-0", "-0.0", "00", "01", "1e3", ".5", "1.", "+1", "1,0", "NaN", "0.5\n", "1" * 13,
      "0." + "1" * 13, 1, 0.5, "\u0661"]),
    (Time, ["2026-11-22T09:00:00Z", "2028-02-29T23:59:59Z"],
     ["2026-11-22T09:00:00", "2026-11-22T09:00:00+00:00", "2026-02-29T00:00:00Z",
      "2026-11-22T24:00:00Z", "2026-11-22T09:00:00.5Z", "1999-01-01T00:00:00Z",
      "2026-11-22t09:00:00Z", "\u0662\u0660\u0662\u0666-11-22T09:00:00Z", 5]),
    (Site, ["north.example", "a.b"], ["north", "North.example", "a..b", ".a.b", "a" * 99 + ".b"]),
    (Slug, ["a", "0", "roc.t01.tpr"], ["", "-a", "A", "a" * 65, "a b", "ä"]),
    (Key, ["north.example/node", "lead.example/r-7"], ["node", "a/b/c", "A/node", "a b/node"]),
    (Origin, ["hub.example/study/00112233445566aa"],
     ["hub.example/study/00112233445566AA", "hub.example/study/0011", "hub.example/consortium"]),
    (Code, ["MONDO:0005249", "DOID:162"], ["mondo:0005249", "MONDO:1", "MONDO0005249"]),
    (Root, ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
     ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "47DE", ""]),
    (Text120, ["Lungenentzündung"], ["", "x" * 121, "a\nb", "a\x07", "a\u2028b", "u\u0308"]),
    (VKeyText, [make.vkey("north.example/node")],
     ["north.example/node", make.vkey("north.example/node")[:-4] + "AAA="]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "good", "bad"), GOOD)
def test_each_form_is_written_in_one_way(form: Any, good: list[str], bad: list[Any]) -> None:
    """What is agreed passes unchanged; everything near it is refused."""
    adapter = TypeAdapter(form)
    for text in good:
        assert adapter.validate_python(text, strict=True) == text
    for text in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(text, strict=True)


def bodies() -> dict[str, dict[str, Any]]:
    """A valid body of each kind, from the golden log and the factories."""
    golden = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))["entries"]
    found: dict[str, dict[str, Any]] = {}
    for entry in golden:
        event = parse_event(parse(entry.encode()).text)
        found.setdefault(event.type, event.body.plain())
    model = make.sha("model 1")
    return (
        make.consortium_bodies()
        | found
        | {
            "charter.amended": {"charter": make.charter(), "previous": model},
            "coalition.measured": make.coalitions(),
            "dataset.withdrawn": {"dataset": "cxr", "reason": "consent"},
            "mask.key": {"public": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
            "round.unmasking": {
                "round": 1,
                "alive": {"a.example": model},
                "gone": ["b.example"],
            },
            "release.refused": {"model_sha256": model, "reason": "leak_test"},
            "model.recalled": {"model_sha256": model, "reason": "safety", "replaced_by": None},
        }
    )


BODIES = bodies()


def test_every_kind_of_the_closed_list_has_a_body_in_these_tests() -> None:
    """A new kind brings its own example."""
    assert set(BODIES) == set(KINDS)
    assert set(STUDY) < set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_body_comes_back_as_it_was_written(kind: str) -> None:
    """Reading and writing are one another's opposite."""
    assert body_of(kind, BODIES[kind]).plain() == BODIES[kind]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_wrong_missing_or_unknown_field_is_refused(kind: str) -> None:
    """Each field of each kind is looked at."""
    text = kind.removesuffix(".amended")
    expected = {f"{text}.form" if kind in ENTRY0 else "event.form"}
    expected |= {f"{text}.form"} if kind.endswith(".amended") else set()
    for name in BODIES[kind]:
        for value in ({"odd": 1}, 1.5, "\n", True if name != "masked" else "true", -1):
            if isinstance(value, bool) and isinstance(BODIES[kind][name], bool):
                continue
            with pytest.raises(NotAnEvent) as refusal:
                body_of(kind, BODIES[kind] | {name: value})
            assert refusal.value.rule_id in expected
        rest = {key: value for key, value in BODIES[kind].items() if key != name}
        with pytest.raises(NotAnEvent):
            body_of(kind, rest)
    with pytest.raises(NotAnEvent):
        body_of(kind, BODIES[kind] | {"unknown": None})


def test_two_kinds_mean_another_thing_in_the_consortiums_log() -> None:
    """Read for one log, a body of the other is refused; without a word the study is meant."""
    both = {kind for kind in set(STUDY) & set(CONSORTIUM) if STUDY[kind] is not CONSORTIUM[kind]}
    assert both == {"dataset.withdrawn", "study.closed"}
    for kind in both:
        here = make.consortium_bodies()[kind]
        there = BODIES[kind]
        assert body_of(kind, here, kinds=CONSORTIUM).plain() == here
        assert body_of(kind, there).plain() == there
        said: dict[str, Any] = {
            "time": make.BEGINS, "actor": make.EVENTS, "log": make.sha("x"), "nonce": "0" * 32,
        }  # fmt: skip
        text = write_event(kind, here, kinds=CONSORTIUM, **said)
        assert parse_event(text, kinds=CONSORTIUM).body.plain() == here
        with pytest.raises(NotAnEvent, match="event"):
            parse_event(text)
        with pytest.raises(NotAnEvent):
            write_event(kind, here, **said)
        with pytest.raises(NotAnEvent):
            body_of(kind, there, kinds=CONSORTIUM)
    with pytest.raises(NotAnEvent) as refusal:
        body_of("round.opened", BODIES["round.opened"], kinds=CONSORTIUM)
    assert refusal.value.rule_id == "event.type"


def test_the_consortiums_log_has_a_name_of_its_own() -> None:
    """Host and the word consortium, nothing else."""
    form = TypeAdapter(ConsortiumOrigin)
    for good in ("hub.example/consortium", "hub.example:8443/consortium"):
        assert form.validate_python(good) == good
    for bad in ("hub.example/consortium/x", "consortium", make.ORIGIN, "hub.example/consortium\n"):
        with pytest.raises(ValidationError):
            form.validate_python(bad)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every object inside a value."""
    found = [path] if isinstance(value, dict) else []
    inside = value.items() if isinstance(value, dict) else []
    for key, inner in enumerate(value) if isinstance(value, list) else inside:
        found += leaves(inner, (*path, key))
    return found


@pytest.mark.parametrize("text", ["charter", "agreement"])
def test_no_part_of_a_charter_or_agreement_takes_an_unknown_key(text: str) -> None:
    """Also deep inside, nothing travels that nobody agreed on."""
    for path in leaves(BODIES[text]):
        changed = copy.deepcopy(BODIES[text])
        inner: Any = changed
        for key in path:
            inner = inner[key]
        inner["Unknown Key"] = "x"
        with pytest.raises(NotAnEvent):
            body_of(text, changed)


def test_a_missing_field_of_an_amended_charter_is_named_as_the_charters() -> None:
    """The amendment's own fields are the event's form, its text is the charter's."""
    body = make.charter()
    del body["title"]
    with pytest.raises(NotAnEvent) as refusal:
        body_of("charter.amended", {"charter": body, "previous": make.sha("x")})
    assert refusal.value.rule_id == "charter.form"
    with pytest.raises(NotAnEvent) as refusal:
        body_of("charter.amended", {"charter": make.charter(), "previous": "x"})
    assert refusal.value.rule_id == "event.form"
    with pytest.raises(NotAnEvent) as refusal:
        body_of("no.kind", {})
    assert refusal.value.rule_id == "event.type"


@pytest.mark.parametrize("inside", ["[]", "1", "{}", '{"v":1}', '{"body":{},"time":"","type":""}'])
def test_what_is_no_envelope_is_named_by_its_form(inside: str) -> None:
    """Canonical JSON alone is no statement."""
    with pytest.raises(NotAnEvent) as refusal:
        parse_event(f"consilium/v1\n{inside}\n".encode())
    assert refusal.value.rule_id == "event.form"


def test_a_charter_finds_its_hospitals_and_their_data() -> None:
    """By name; what is not there is not made up."""
    charter = CharterBody.model_validate(make.charter())
    east, south = make.NAMES[0], make.NAMES[2]
    site, dataset = charter.site(east), charter.dataset(south, make.DATASET)
    assert site is not None
    assert dataset is not None
    assert (site.name, dataset.site) == (east, south)
    assert [row.id for row in charter.datasets_of(east)] == [make.DATASET]
    assert charter.site("nobody.example") is None
    assert charter.dataset(south, "ct") is None


def test_writing_refuses_what_reading_would_refuse() -> None:
    """Nobody signs a statement that nobody accepts."""
    with pytest.raises(NotAnEvent):
        write_event("study.stopped", {"reason": "safety", "on_behalf": None}, time=make.BEGINS)
    with pytest.raises(NotAnEvent):
        write_event("charter", make.charter(), time=make.BEGINS, actor=make.EVENTS)
    with pytest.raises(NotAnEvent):
        write_event("charter", make.charter(), time="today")
    with pytest.raises(NotAnEvent):
        write_event("charter", make.charter(), time=5)  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_strange_bytes_only_make_the_reader_say_no(data: bytes) -> None:
    """Whatever arrives, the answer is one class of error."""
    for text in (data, b"consilium/v1\n" + data + b"\n"):
        with pytest.raises(Malformed):
            parse_event(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.fixed_dictionaries({"body": JSON, "time": JSON, "type": JSON, "v": JSON}))
def test_strange_envelopes_only_make_the_reader_say_no(fields: dict[str, Any]) -> None:
    """Canonical, but not ours."""
    with pytest.raises(Malformed):
        parse_event(b"consilium/v1\n" + canonical.encode(fields) + b"\n")


def test_times_are_read_and_written_in_utc_seconds() -> None:
    """Parts of a second are cut off, other zones are converted, no zone is refused."""
    moment = seconds_of("2026-11-22T09:00:00Z")
    assert time_text(moment.replace(microsecond=999)) == "2026-11-22T09:00:00Z"
    east = moment.astimezone(timezone(timedelta(hours=2)))
    assert time_text(east) == "2026-11-22T09:00:00Z"
    with pytest.raises(Malformed):
        time_text(moment.replace(tzinfo=None))


def test_a_size_is_told_as_a_bucket_and_never_as_a_number() -> None:
    """The lower edge of the bucket, or less than the floor."""
    told = {count: bucket_of(count, 10) for count in (0, 9, 10, 99, 100, 299, 300, 5_000_000)}
    assert told == {
        0: "<floor", 9: "<floor", 10: "≥floor", 99: "≥floor", 100: "≥100", 299: "≥100",
        300: "≥300", 5_000_000: "≥1000000",
    }  # fmt: skip


def test_records_are_frozen_and_named_by_their_canonical_bytes() -> None:
    """A record cannot change after it was read; its name is the hash of its bytes."""
    who = Who(dir="a" * 26, amr=["oidc"])
    with pytest.raises(ValidationError):
        who.dir = "b" * 26  # type: ignore[misc]
    plain = canonical.encode({"dir": "a" * 26, "amr": ["oidc"]})
    assert who.digest() == "sha256:" + hashlib.sha256(plain).hexdigest()
