"""Questions how many at the hub: taken from people, carried to hospitals, answered by nodes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.counts import COUNTS
from compliance.records.envelope import write_event
from compliance.rules.counts import MOST_A_DAY
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from hub.services.counts import classes_of
from tests import factories as make
from tests.hub.house import NAMES, House, key_of, rows_of

NORTH, OTHER = NAMES[1], NAMES[0]
CLASSES = {
    "variableMeasured": [{"name": "task"}, {"name": "classes", "value": "normal, pneumonia"}]
}
DESCRIPTION = json.dumps(CLASSES).encode()
COUNTER = iter(range(1, 10_000))


@pytest.fixture
def asking(house: House) -> House:
    """Three hospitals with a dataset each, and a researcher who is signed in."""
    house.join(*NAMES)
    house.celine = house.person("celine", "researcher")[1]
    return house


def ask(house: House, **words: Any) -> str:
    """Celine asks; returns the question's id."""
    who = house.celine
    return house.rooms.counts.ask(who.number, words, None, who.who)["question"]


def statement(house: House, kind: str, actor: str, body: dict[str, Any], key: SigningKey) -> bytes:
    """A statement about counts, signed by whatever key one likes."""
    text = write_event(
        kind,
        body,
        time=house.time.text(),
        actor=actor,
        log=house.agreement_id,
        nonce=f"{next(COUNTER):032x}",
        kinds=COUNTS,
    )
    return seal(text, key)


def answer(house: House, name: str, site: str = NORTH, n: int | None = 40, **more: Any) -> bytes:
    """A hospital's signed answer."""
    told = [{"dataset": make.DATASET, "patients": n}]
    body = {"question": name, "floor": 5, "told": told, **more}
    node = f"{site}/node"
    return statement(house, "counts.answered", node, body, key_of(node))


def declined(house: House, name: str, site: str) -> bytes:
    """A hospital's signed no."""
    node = f"{site}/node"
    return statement(house, "counts.declined", node, {"question": name}, key_of(node))


def test_a_question_is_signed_kept_and_carried_to_every_hospital(asking: House) -> None:
    """Its asker's key is on record first; the hub's own record says who asked."""
    name = ask(asking, body_part="chest")

    carried = [asking.rooms.counts.open_for(site) for site in NAMES]

    note = base64.b64decode(carried[0][0])
    assert carried == 3 * [carried[0]]
    assert sha256_id(parse(note).text) == name
    assert f"{make.HUB}/r-{asking.celine.number}" in asking.rooms.ledger.consortium().researchers
    mine = [row for row in rows_of(asking.rooms.database, "operation")
            if row["what"] == "counts.asked"]  # fmt: skip
    assert [(row["who"], row["about"]) for row in mine] == [(str(asking.celine.number), name)]


def test_no_question_is_an_entry_of_a_log(asking: House) -> None:
    """The first one puts the asker's key on record, the others leave the log alone."""
    ask(asking)
    size = asking.rooms.ledger.size("consortium")

    for sex in ("female", "male"):
        ask(asking, sex=sex)

    assert asking.rooms.ledger.size("consortium") == size


def test_each_hospital_is_shown_by_what_it_said(asking: House) -> None:
    """Told, too few, no answer yet, a no; the sum counts what was told, and nothing else."""
    name, counts = ask(asking), asking.rooms.counts
    counts.answer(NORTH, name, answer(asking, name))
    counts.answer(OTHER, name, answer(asking, name, OTHER, None))

    shown = counts.one(name)
    states = {row["site"]: row["state"] for row in shown["hospitals"]}
    assert states == {OTHER: "few", NORTH: "told", NAMES[2]: "waiting"}
    assert shown["told"] == 40
    counts.answer(NAMES[2], name, declined(asking, name, NAMES[2]))
    assert counts.one(name)["hospitals"][2]["state"] == "declined"
    assert counts.all() == [counts.one(name)]
    assert counts.open_for(NORTH) == counts.open_for(NAMES[2]) == []


def test_an_answer_signed_by_another_site_is_refused(asking: House) -> None:
    """By the request's hospital or by another's key: the node of the very hospital signs."""
    name, counts = ask(asking), asking.rooms.counts
    body = {"question": name, "floor": 5, "told": []}
    forged = statement(asking, "counts.answered", f"{NORTH}/node", body, key_of(f"{OTHER}/node"))

    for site, note in ((OTHER, answer(asking, name)), (NORTH, forged)):
        with pytest.raises(Refused):
            counts.answer(site, name, note)
    assert counts.one(name)["told"] == 0


@pytest.mark.parametrize(
    ("n", "more", "rule"),
    [
        (41, {}, "counts.steps"),
        (4, {"floor": 4}, "counts.floor"),
        (40, {"told": [{"dataset": "theirs", "patients": 40}]}, "counts.dataset"),
        (40, {"question": make.sha("another")}, "counts.question"),
    ],
)
def test_an_answer_in_another_form_is_refused(
    asking: House, n: int, more: dict[str, Any], rule: str
) -> None:
    """The hub takes no number that a floor of the agreement would not give."""
    name = ask(asking)

    with pytest.raises(Refused) as caught:
        asking.rooms.counts.answer(NORTH, name, answer(asking, name, n=n, **more))
    assert caught.value.rule == rule


def test_an_answer_is_given_once(asking: House) -> None:
    """The same bytes again change nothing; other ones are refused, and the first stay."""
    name, counts = ask(asking), asking.rooms.counts
    first = answer(asking, name)
    counts.answer(NORTH, name, first)
    counts.answer(NORTH, name, first)

    with pytest.raises(Refused) as caught:
        counts.answer(NORTH, name, answer(asking, name, n=45))
    assert caught.value.rule == "counts.twice"
    assert counts.one(name)["told"] == 40
    with pytest.raises(NotReady):
        counts.answer(NORTH, make.sha("unasked"), first)


@pytest.mark.parametrize(
    "words",
    [{"floor": "1"}, {"age": "67"}, {"label": "Mrs Müller"}, {"body_part": "chest of Mr X"}],
)
def test_a_question_with_another_word_is_refused_and_not_repeated(
    asking: House, words: dict[str, str]
) -> None:
    """No floor and no free text; what was typed does not come back in the refusal."""
    with pytest.raises(Malformed) as caught:
        ask(asking, **words)

    assert next(iter(words)) in str(caught.value)
    assert next(iter(words.values())) not in str(caught.value)
    assert rows_of(asking.rooms.database, "question") == []


def test_a_word_that_no_dataset_has_is_refused_with_those_there_are(asking: House) -> None:
    """A slip of the pen would look like no patients."""
    with pytest.raises(Refused) as caught:
        ask(asking, body_part="knee")

    assert (caught.value.rule, caught.value.agreed) == ("counts.words", "chest")
    with pytest.raises(Refused):
        ask(asking, label="pneumonia")


def test_the_classes_of_descriptions_can_be_asked_for(house: House) -> None:
    """Labels come from what the hospitals registered."""
    house.join(*NAMES)
    changes = {"version": make.sha("v2"), "description_sha256": sha256_id(DESCRIPTION)}
    house.rooms.catalogue.register(NORTH, house.registration(NORTH, **changes))
    house.rooms.catalogue.describe(NORTH, make.DATASET, make.sha("v2"), DESCRIPTION)
    house.celine = house.person("celine", "researcher")[1]

    assert house.rooms.counts.words() == {
        "modality": ["cr"], "body_part": ["chest"], "label": ["normal", "pneumonia"],
    }  # fmt: skip
    assert ask(house, label="pneumonia")
    assert classes_of(None) == []


def test_a_day_takes_twenty_questions_of_one_person(asking: House) -> None:
    """A loop ends at the limit; tomorrow there are others."""
    for _ in range(MOST_A_DAY):
        ask(asking)

    with pytest.raises(Refused) as caught:
        ask(asking)
    assert caught.value.rule == "counts.limit"
    assert len(rows_of(asking.rooms.database, "question")) == MOST_A_DAY
    asking.time.forward(hours=25)
    assert ask(asking)


def test_a_question_is_carried_for_seven_days(asking: House) -> None:
    """After that the hub asks nobody any more, and the page says that it is closed."""
    name = ask(asking)
    assert asking.rooms.counts.one(name)["open"]
    asking.time.forward(days=8)

    assert asking.rooms.counts.open_for(NORTH) == []
    assert not asking.rooms.counts.one(name)["open"]


def own_key(house: House) -> SigningKey:
    """Celine has a key of her own, which the hub does not hold."""
    key = SigningKey(f"{make.HUB}/r-{house.celine.number}", 1, b"7" * 32)
    house.rooms.accounts.set_key(house.celine, str(key.verifier))
    return key


def test_whoever_has_an_own_key_signs_with_it(asking: House) -> None:
    """The hub writes the text, the person signs it; the hub's own try is refused."""
    ask(asking)
    key, who, counts = own_key(asking), asking.celine, asking.rooms.counts
    text = counts.draft({"sex": "male"}, str(key.verifier), by=who.who)

    told = counts.take(who.number, text, key.line(text))

    assert (told["words"], told["asker"]) == ({"sex": "male"}, key.name)
    assert counts.take(who.number, text, key.line(text)) == told
    with pytest.raises(Refused):
        counts.ask(who.number, {}, str(key.verifier), who.who)
    with pytest.raises(Refused):
        counts.take(who.number, text, asking.rooms.keys.researcher(who.number).line(text))


def test_nobody_hands_in_the_question_of_another_person(asking: House) -> None:
    """A signed text of Celine's comes from her account only: the limit is hers."""
    ask(asking)
    key, other = own_key(asking), asking.person("david", "researcher")[1]
    text = asking.rooms.counts.draft({}, str(key.verifier), by=asking.celine.who)

    with pytest.raises(Refused):
        asking.rooms.counts.take(other.number, text, key.line(text))


def test_without_a_consortium_nobody_is_asked(house: House) -> None:
    """There is nobody yet whose floor could be agreed."""
    who = house.person("celine", "researcher")[1]

    with pytest.raises(NotReady):
        house.rooms.counts.ask(who.number, {}, None, who.who)


def test_the_act_asks_what_the_page_said(asking: House) -> None:
    """Prepared and confirmed without a password; other words than shown are no act."""
    intents = asking.rooms.intents
    body = {"body_part": "chest"}
    good = intents.prepare(asking.celine, "counts.ask", "body part chest", body)
    bad = intents.prepare(asking.celine, "counts.ask", "any patient", body)

    done = intents.confirm(asking.celine, good["id"], None, None)

    assert done["result"]["words"] == body
    with pytest.raises(Malformed):
        intents.confirm(asking.celine, bad["id"], None, None)


def test_both_databases_keep_questions_and_answers(either: House) -> None:
    """SQLite and PostgreSQL: asked, answered, shown, and no more carried."""
    either.join(*NAMES)
    either.celine = either.person("celine", "researcher")[1]
    name = ask(either)
    either.rooms.counts.answer(NORTH, name, answer(either, name))

    assert either.rooms.counts.one(name)["told"] == 40
    assert [len(either.rooms.counts.open_for(site)) for site in (NORTH, OTHER)] == [0, 1]
