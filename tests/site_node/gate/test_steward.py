"""The steward reads, signs, refuses, leaves; every act is remembered here before it is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady, Refused, Unreachable
from compliance.records.consortium import DatasetRegistered
from compliance.records.envelope import parse_event
from compliance.records.recipe import shipped
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import parse, parse_line, verified
from dashboard.console_card import card_parts
from site_node.gate.card import masks_words, read_draft
from site_node.gate.hub_client import HubClient
from site_node.gate.say import card_lines, study_lines
from site_node.store.outbox import of_study
from site_node.store.studies import WITHDRAWN, StudyDecision, all_decisions, claim_telling
from site_node.wiring import Rooms
from tests.site_node.gate import world as gate_world
from tests.site_node.gate.world import (
    BUNDLE,
    DESCRIPTION,
    RECIPE,
    STUDY,
    THEM,
    US,
    VERSION,
    World,
    key,
    public_of,
)

SECRET = "correct horse battery"
OTHER_HUB = str(SigningKey("hub.example/events", 1, key("impostor").seed).verifier)


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A joined site and a charter that waits."""
    made = world.joined(passphrase=SECRET)
    world.hub.propose(world.charter(made))
    return made


def test_the_card_says_what_will_happen_here(rooms: Rooms) -> None:
    """Exact own numbers, what leaves, the bundle against the trusted one, every verdict."""
    card = rooms.steward.show(STUDY)

    assert card["datasets"][0]["cases"] == {"train": 40, "test": 12}
    assert card["leaves"]["metrics"] == ["auroc", "sensitivity"]
    assert card["leaves"]["model_change_mib_per_round"] > 0
    assert card["bundle"] == {"charter": BUNDLE, "trusted": BUNDLE, "same": True}
    assert card["legal"]["controller"] == f"{US} Hospital"
    assert all(row["allowed"] for row in card["verdicts"])
    text = "\n".join(card_lines(card))
    assert card["charter_id"] in text
    assert "nothing else" in text
    assert "say yes" in text


def test_the_card_names_masks_where_the_charter_has_them_and_only_there(
    world: World, rooms: Rooms
) -> None:
    """What never leaves, what the lists are, what is excluded; without masks not a word of it."""
    plain = rooms.steward.show(STUDY)
    body = read_draft(sha256_id(world.hub.charter or b""), world.hub.charter or b"").body
    rule = body.aggregator
    masked = body.model_copy(update={"aggregator": rule.model_copy(update={"masked": True})})

    assert plain["masks"] is masks_words(body) is None
    card = plain | {"masks": masks_words(masked)}

    on_paper = "\n".join(card_lines(card))
    on_pages = {line.name: line.text for part in card_parts(card) for line in part.lines}
    for name, part in (("Masks", "never leaves"), ("Lists", "one list"), ("Excluded", "robust")):
        assert part in card["masks"][name]
        assert card["masks"][name] in on_paper
        assert on_pages[name] == card["masks"][name]
        assert card["masks"][name] not in "\n".join(card_lines(plain))


def test_a_study_is_found_by_the_first_characters_of_its_id(rooms: Rooms) -> None:
    """Study id or charter id, six characters or more."""
    card = rooms.steward.show(STUDY[:6])

    assert rooms.steward.show(card["charter_id"])["study"] == STUDY
    assert rooms.steward.show(card["charter_id"].removeprefix("sha256:")[:9])["study"] == STUDY


@pytest.mark.parametrize("unknown", ["ffffffffffffffff", "001", "", "../../etc"])
def test_an_unknown_study_is_answered_with_what_to_do(rooms: Rooms, unknown: str) -> None:
    """No study fits: say how to list them."""
    with pytest.raises(NotReady, match="site studies"):
        rooms.steward.show(unknown)


def test_a_signature_covers_the_text_itself(world: World, rooms: Rooms) -> None:
    """The line verifies over the charter's bytes with the hospital's key."""
    told = rooms.steward.approve(STUDY, SECRET, None)

    line = parse_line(world.hub.lines[0])
    institution = rooms.keys.public.institution
    assert told["sent"]
    assert institution.verifies(world.hub.charter or b"", line.signature)
    assert rooms.steward.studies()[0]["own_answer"] == "signed"
    assert "charter.signed" in [row["kind"] for row in rooms.journal.lines()]


def test_a_wrong_passphrase_signs_nothing(world: World, rooms: Rooms) -> None:
    """The key stays shut and nothing is remembered."""
    with pytest.raises(Refused, match="passphrase"):
        rooms.steward.approve(STUDY, "wrong", None)

    assert world.hub.lines == []
    assert rooms.steward.show(STUDY)["own_answer"] is None


@pytest.mark.parametrize("typed", ["", "00000000", "yes"])
def test_other_characters_than_the_charters_sign_nothing(
    world: World, rooms: Rooms, typed: str
) -> None:
    """Whoever signs has looked at the id of what is signed."""
    with pytest.raises(Refused, match="nothing signed"):
        rooms.steward.approve(STUDY, SECRET, typed)

    assert world.hub.lines == []


def test_the_first_eight_characters_confirm(world: World, rooms: Rooms) -> None:
    """Upper case and blanks do not matter."""
    asked = rooms.steward.show(STUDY)["type_to_confirm"]

    rooms.steward.approve(STUDY, SECRET, f" {asked.upper()} ")

    assert len(world.hub.lines) == 1


def test_a_signature_waits_for_a_hub_that_rests(world: World, rooms: Rooms) -> None:
    """Signed here, handed over when the hub answers again."""
    steward = rooms.steward
    draft = rooms.drafts.find(STUDY)
    rooms.drafts.find = lambda _: draft  # type: ignore[method-assign]
    world.hub.away = True
    told = steward.approve(STUDY, SECRET, None)
    assert (told["sent"], world.hub.lines) == (False, [])

    world.hub.away = False
    steward.keep_word()

    assert len(world.hub.lines) == 1


@pytest.mark.parametrize(
    ("rule", "waits"),
    [("request.time", True), ("request.signature", True), ("charter.phase", False)],
)
def test_a_hub_that_did_not_listen_has_not_refused(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, rule: str, *, waits: bool
) -> None:
    """The clock of this machine was wrong: the yes is handed over when it is right again."""
    with monkeypatch.context() as patch:
        patch.setattr(HubClient, "sign_charter", _refusing(rule))
        with contextlib.suppress(Refused):
            rooms.steward.approve(STUDY, SECRET, None)
        rooms.steward.keep_word()

    with rooms.store() as session:
        (row,) = [row for row in all_decisions(session) if row.study == STUDY]
    assert row.sent == (not waits)


def _refusing(rule: str) -> Callable[..., Any]:
    def act(*_told: Any) -> Any:
        raise Refused(rule)

    return act


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"bundle_sha256": sha256_id(b"another bundle")}, "round.bundle"),
        ({"min_examples": 0}, "charter.terms"),
        ({"min_cell": 4}, "site.floor"),
        ({"min_examples": 41}, "update.min_examples"),
        ({"hub_key": OTHER_HUB}, "charter.members"),
        ({"expires": "2026-11-23T09:00:00Z", "starts": "2026-11-22T09:00:00Z"}, "charter.expired"),
    ],
)
def test_a_charter_that_breaks_a_rule_is_not_signed(
    world: World, changes: dict[str, Any], rule: str
) -> None:
    """The same rules as everywhere plus this hospital's own say no before the key is asked for."""
    rooms = world.joined(passphrase=SECRET)
    world.hub.propose(world.charter(rooms, **changes))
    world.time.forward(days=2)

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, None, None)

    assert caught.value.rule == rule
    assert world.hub.lines == []
    assert rooms.journal.lines()[-1]["kind"] == "not.signed"


def test_a_charter_over_data_that_are_not_here_is_not_signed(world: World, rooms: Rooms) -> None:
    """Another version than the one that lies here cannot be promised."""
    rooms.catalogue.version = sha256_id(b"newer")  # type: ignore[attr-defined]

    with pytest.raises(Refused, match=r"version"):
        rooms.steward.approve(STUDY, SECRET, None)


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"task": {"kind": "segmentation", "classes": ["lesion"]}}, "dataset.task"),
        ({"task": {"kind": "binary", "classes": ["pneumonia", "normal"]}}, "dataset.task"),
        ({"shape": [1, 16, 28, 28]}, "dataset.shape"),
    ],
)
def test_a_charter_over_masks_or_volumes_is_not_signed_for_a_network_of_images(
    world: World, rooms: Rooms, said: dict[str, Any], rule: str
) -> None:
    """What training would refuse is said before the steward signs."""
    shelf = rooms.catalogue
    shelf.said = shelf.said | said  # type: ignore[attr-defined]

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, SECRET, None)

    assert caught.value.rule == rule
    assert world.hub.lines == []


MASKS = {"task": {"kind": "segmentation", "classes": ["lesion"]}, "shape": [1, 16, 32, 32]}


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rooms:
    """A site with volumes and masks, and a study whose recipe draws in volumes."""
    monkeypatch.setattr(gate_world, "RECIPE", shipped()["unet-3d"])
    made = World(tmp_path)
    rooms = made.joined(passphrase=SECRET)
    made.hub.propose(made.charter(rooms))
    shelf = rooms.catalogue
    shelf.said = shelf.said | MASKS  # type: ignore[attr-defined]
    return rooms


def test_a_charter_over_volumes_and_masks_is_signed_and_the_card_says_what_is_trained(
    volumes: Rooms,
) -> None:
    """Task, classes, network, sides and length, by the recipe's own document."""
    card = volumes.steward.show(STUDY)

    refused = [row["rule"] for row in card["verdicts"] if not row["allowed"]]
    assert refused == []
    assert card["trains"] == (
        "masks of lesion; unet_gn on volumes of 64 x 128 x 128; 2 epochs a round, 2 at a time"
    )
    assert any(line.startswith("Trained") for line in card_lines(card))


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"shape": [1, 32, 32]}, "dataset.shape"),
        ({"shape": [2, 16, 32, 32]}, "dataset.shape"),
        ({"task": {"kind": "segmentation", "classes": ["nodule"]}}, "dataset.task"),
        ({"task": {"kind": "binary", "classes": ["normal", "lesion"]}}, "dataset.task"),
    ],
)
def test_a_charter_over_other_segments_or_another_kind_is_not_signed(
    volumes: Rooms, said: dict[str, Any], rule: str
) -> None:
    """Segments that differ between hospitals would be one number for two things."""
    shelf = volumes.catalogue
    shelf.said = shelf.said | said  # type: ignore[attr-defined]

    with pytest.raises(Refused) as caught:
        volumes.steward.approve(STUDY, SECRET, None)

    assert caught.value.rule == rule


def test_a_text_that_differs_from_its_id_is_refused(world: World, rooms: Rooms) -> None:
    """A hub that shows another text than the one it names is caught before reading."""
    text = world.hub.charter or b""

    with pytest.raises(Refused) as caught:
        read_draft(sha256_id(b"other"), text)

    assert caught.value.rule == "charter.id"


def test_a_refusal_is_signed_by_the_hospital_and_on_record(world: World, rooms: Rooms) -> None:
    """A no has a reason of the list and the institution's signature."""
    rooms.steward.refuse(STUDY, "privacy", SECRET)

    note = parse(world.hub.refusals[0])
    assert parse_event(note.text).body.plain()["reason"] == "privacy"
    assert verified(note, [rooms.keys.public.institution])
    assert rooms.steward.studies()[0]["own_answer"] == "refused"


def test_a_reason_that_is_not_in_the_list_is_answered_with_the_list(rooms: Rooms) -> None:
    """No free text ever leaves as a reason."""
    with pytest.raises(NotReady, match="purpose, privacy"):
        rooms.steward.refuse(STUDY, "Mrs Miller objected", SECRET)
    with pytest.raises(NotReady, match="consent, policy"):
        rooms.steward.withdraw(STUDY, "Mrs Miller objected")


def test_a_signed_study_is_left_not_refused(rooms: Rooms) -> None:
    """After a yes, the way out is to withdraw."""
    rooms.steward.approve(STUDY, SECRET, None)

    with pytest.raises(NotReady, match="site withdraw"):
        rooms.steward.refuse(STUDY, "other", SECRET)


def test_a_withdrawal_is_in_the_log_at_once(world: World, rooms: Rooms) -> None:
    """One hospital leaves alone, with the node key, without anybody's consent."""
    rooms.steward.approve(STUDY, SECRET, None)
    world.launch()
    rooms.witness.step(STUDY)

    told = rooms.steward.withdraw(STUDY, "consent")

    assert told["on_record"]
    assert world.hub.log.state is not None
    assert world.hub.log.state.withdrawn == {US}
    assert rooms.witness.step(STUDY).outcome == "cosigned"


def test_two_processes_say_a_withdrawal_once(
    world: World, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that serves finds it while the command is about to say it: one note, on record."""
    rooms.steward.approve(STUDY, SECRET, None)
    world.launch()
    rooms.witness.step(STUDY)
    seal, others = rooms.statements.seal, []

    def while_the_node_does_the_same(*told: Any, **named: Any) -> bytes:
        note = seal(*told, **named)
        if not others:
            others.append("the node")
            rooms.steward.keep_word()
        return note

    monkeypatch.setattr(rooms.statements, "seal", while_the_node_does_the_same)

    told = rooms.steward.withdraw(STUDY, "consent")

    with rooms.store() as session:
        notes = [parse_event(parse(row.note).text).type for row in of_study(session, STUDY)]
    assert others == ["the node"]
    assert told["on_record"]
    assert notes.count("site.withdrawn") == 1


def test_what_was_told_never_brings_back_an_older_answer(rooms: Rooms) -> None:
    """The node has handed over the yes while the steward left: the departure stays."""
    rooms.steward.approve(STUDY, SECRET, None)
    with rooms.store() as session:
        yes = next(row for row in all_decisions(session) if row.study == STUDY)
    with rooms.store.begin() as session:
        left = update(StudyDecision).where(StudyDecision.study == STUDY)
        session.execute(left.values(state=WITHDRAWN, sent=False))

    with rooms.store.begin() as session:
        assert not claim_telling(session, yes)

    with rooms.store() as session:
        after = next(row for row in all_decisions(session) if row.study == STUDY)
        assert (after.state, after.sent) == (WITHDRAWN, False)


def test_a_withdrawal_that_waited_too_long_is_said_again(world: World, rooms: Rooms) -> None:
    """The hub was away and its log went on: the old words are refused, the hospital leaves."""
    rooms.steward.approve(STUDY, SECRET, None)
    world.launch()
    rooms.witness.step(STUDY)
    world.hub.away = True
    rooms.steward.withdraw(STUDY, "consent")
    world.time.forward(hours=2)
    world.hub.away = False
    world.hub.open_round()

    rooms.steward.keep_word()
    assert world.hub.log.state is not None
    assert world.hub.log.state.withdrawn == set()
    rooms.steward.keep_word()

    assert world.hub.log.state.withdrawn == {US}
    assert rooms.witness.step(STUDY).outcome == "cosigned"
    world.time.forward(hours=2)
    assert rooms.witness.silent(STUDY, world.time.now) == []
    assert rooms.statements.waiting() == 0


def test_a_fresh_statement_that_is_too_old_for_the_log_is_not_said_for_ever(
    world: World, rooms: Rooms
) -> None:
    """A clock that is an hour late makes the same mistake again: once is enough."""
    rooms.steward.approve(STUDY, SECRET, None)
    world.launch()
    rooms.witness.step(STUDY)
    world.time.forward(hours=1)
    world.hub.open_round()
    world.time.forward(hours=-1)

    rooms.steward.withdraw(STUDY, "consent")

    assert rooms.statements.waiting() == 0


def test_a_withdrawal_before_the_launch_is_said_as_soon_as_there_is_a_log(
    world: World, rooms: Rooms
) -> None:
    """A hub that launches with a signature we took back finds us gone at once."""
    rooms.steward.approve(STUDY, SECRET, None)
    assert not rooms.steward.withdraw(STUDY, "other")["on_record"]
    world.launch()

    rooms.steward.keep_word()

    assert world.hub.log.state is not None
    assert world.hub.log.state.withdrawn == {US}


def test_leaving_a_study_that_was_never_signed_says_so(rooms: Rooms) -> None:
    """There is nothing to take back."""
    with pytest.raises(NotReady, match="nothing to leave"):
        rooms.steward.withdraw(STUDY, "other")


def test_a_late_signature_joins_the_running_study(world: World) -> None:
    """A study that runs already is joined by a statement in its log, signed by the hospital."""
    rooms = world.joined(passphrase=SECRET, founded=False)
    agreement = world.hub.found(THEM, "west.example")
    rooms.motions.sign(rooms.motions.find(agreement), SECRET, None)
    body = world.charter(rooms)
    west = {"name": "west.example", **public_of("west.example")}
    legal = body.legal.plain()
    legal["sites"] = [*legal["sites"], {**legal["sites"][0], "site": "west.example"}]
    data = [row.plain() for row in body.datasets]
    world.hub.propose(
        world.charter(
            rooms,
            sites=[*(row.plain() for row in body.sites), west],
            datasets=[*data, {**data[0], "site": "west.example"}],
            legal=legal,
        )
    )
    text = world.hub.charter or b""
    world.hub.launch(*(key(f"{site}/institution").line(text) for site in (THEM, "west.example")))

    told = rooms.steward.approve(STUDY, SECRET, None)

    assert told["sent"]
    assert world.hub.log.state is not None
    assert US in world.hub.log.state.signed
    assert rooms.witness.step(STUDY).outcome == "cosigned"


def test_an_unreachable_hub_shows_what_is_remembered(world: World, rooms: Rooms) -> None:
    """A signed charter can be read again without the hub; an unknown one cannot."""
    rooms.steward.approve(STUDY, SECRET, None)
    world.hub.away = True

    assert rooms.steward.show(STUDY)["own_answer"] == "signed"
    with pytest.raises(Unreachable):
        rooms.steward.show("ffffffffff")


def test_a_dataset_is_registered_in_buckets_and_hashes(world: World, rooms: Rooms) -> None:
    """The consortium learns `≥floor`, closed words and hashes; no number."""
    assert rooms.registrar.register_new() == 1
    rooms.statements.deliver(rooms.hub)

    note = parse(world.hub.datasets[0])
    body = parse_event(note.text).body
    assert isinstance(body, DatasetRegistered)
    assert (body.dataset, body.version, body.examples) == ("chest", VERSION, "≥floor")
    assert verified(note, [VerifierKey.parse(str(rooms.keys.public.node))])
    assert world.hub.descriptions["chest"] == encode(DESCRIPTION)
    assert rooms.registrar.register_new() == 0


def test_a_registration_waits_for_a_hub_that_rests(world: World, rooms: Rooms) -> None:
    """An import never depends on the network."""
    world.hub.away = True
    rooms.registrar.register_new()
    rooms.statements.deliver(rooms.hub)
    assert (rooms.statements.waiting(), world.hub.datasets) == (1, [])

    world.hub.away = False
    rooms.statements.deliver(rooms.hub)

    assert (rooms.statements.waiting(), len(world.hub.datasets)) == (0, 1)


def test_everything_that_leaves_is_in_the_journal_first(world: World, rooms: Rooms) -> None:
    """What, how many bytes, which hash: for each body that was sent."""
    rooms.registrar.register_new()
    rooms.statements.deliver(rooms.hub)
    rooms.steward.approve(STUDY, SECRET, None)

    sent = [row["data"] for row in rooms.journal.lines() if row["kind"] == "sent"]
    assert [row["what"] for row in sent] == [
        "motion.signature",
        "cosignature",
        "dataset.registered",
        "dataset.description",
        "charter.signature",
    ]
    assert sent[2]["sha256"] == sha256_id(world.hub.datasets[0])


def test_a_journal_line_can_be_neither_changed_nor_deleted(rooms: Rooms) -> None:
    """The hospital's own record is append-only."""
    rooms.journal.write("test")
    for deed in ("UPDATE journal SET kind = 'x'", "DELETE FROM journal"):
        with pytest.raises(Exception, match="append-only"), rooms.store.begin() as session:
            session.connection().exec_driver_sql(deed)


def test_the_card_says_in_words_what_its_quorum_bears(rooms: Rooms) -> None:
    """One of two witnesses is enough here: the steward reads what that means."""
    card = rooms.steward.show(STUDY)

    assert card["quorum"].startswith("1 of 2: one hospital may be down; a hub alone could show")


def test_the_list_of_studies_is_readable(rooms: Rooms) -> None:
    """One line a study, with our own answer."""
    lines = study_lines(rooms.steward.studies())

    assert STUDY in lines[1]
    assert "waiting" in lines[1]
    assert study_lines([]) == ["No study names this hospital."]
    assert RECIPE.id == "cnn2d-small"
