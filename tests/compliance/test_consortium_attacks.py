"""Somebody cheats in the consortium log: each rule refuses, and says which it is."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.records.envelope import write_event
from compliance.rules.consortium.fold import judge, may
from compliance.rules.verdict import Verdict
from compliance.rules.words import CONSORTIUM, SENTENCES
from compliance.signing.note import parse, seal
from tests import factories as make
from tests.consortium import HUB, Consortium, institutions
from tests.simulator import Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES
Attack = Callable[[Consortium], Verdict]
OTHER = make.sha("something else")
RULES = Path(__file__).resolve().parents[2] / "compliance" / "rules" / "consortium"


def market(world: Consortium) -> Consortium:
    """A researcher, and an offer of the north."""
    world.must("researcher.admitted", HUB)
    return world.must("offer.made", f"{NORTH}/node")


def asked(world: Consortium) -> Consortium:
    """A request for that offer; it is entry 3."""
    return market(world).must("request.made", make.RESEARCHER)


def suspended(world: Consortium) -> Consortium:
    """The south is suspended."""
    world.suspend(SOUTH, EAST, NORTH)
    return world


def four(world: Consortium) -> Consortium:
    """The west is admitted."""
    world.admit(WEST, EAST, NORTH)
    return world


def left(world: Consortium) -> Consortium:
    """The south has left."""
    return world.must("member.left", f"{SOUTH}/node", site=SOUTH)


def sealed(world: Consortium, change: Callable[[bytes], bytes]) -> Verdict:
    """An honest registration whose text is changed before it is signed."""
    note = parse(world.draft("recipe.registered", HUB))
    return world.push(seal(change(note.text), world.key(HUB)))


def twice(world: Consortium, kind: str, actor: str, **how: Any) -> Verdict:
    """The same thing is said twice, in two statements."""
    return world.must(kind, actor, **how).say(kind, actor, **how)


def replayed(world: Consortium) -> Verdict:
    """A statement that was made before is offered again."""
    world.must("recipe.registered", HUB)
    return world.push(world.entries[-1])


def from_a_study(world: Consortium) -> Verdict:
    """A statement made for a study, whose type both logs know."""
    study = Federation()
    who = {"what": "sealed", "commitment": None}
    return world.push(study.draft("erasure.done", who, HUB))


def forged_admission(world: Consortium) -> Verdict:
    """The newcomer signs for the members with keys of its own making."""
    forged = tuple(make.key(name, generation=9) for name in institutions(EAST, NORTH))
    names = institutions(EAST, NORTH, WEST)
    keys = (*forged, make.key(f"{WEST}/institution"))
    body = make.admission(WEST)
    return world.say("member.admitted", names[0], signers=names, keys=keys, body=body)


def brought_along(world: Consortium) -> Verdict:
    """Among the newcomer's keys is one with a member's name, and that one signs for the member."""
    name = f"{EAST}/institution"
    forged = make.key(name, generation=9)
    keys = (forged, world.key(f"{NORTH}/institution"), world.key(f"{WEST}/institution"))
    body = make.admission(WEST, node=str(forged.verifier))
    return world.say("member.admitted", name, keys=keys, body=body)


def admitted(world: Consortium, body: dict[str, str], *others: str) -> Verdict:
    """An admission with these keys, by everybody whose word it takes."""
    names = institutions(EAST, NORTH, *others)
    own = f"{body['site']}/institution"
    keys = [world.key(name) for name in names]
    generations = [make.key(own, generation=n) for n in range(3)]
    mine = next(key for key in generations if str(key.verifier) == body["institution"])
    return world.say("member.admitted", names[0], keys=(*keys, mine), body=body)


def stolen_key(world: Consortium) -> Verdict:
    """The old node key speaks after it was replaced."""
    old = world.key(f"{NORTH}/node")
    world.rotate(f"{NORTH}/node", f"{NORTH}/institution", reason="stolen")
    return world.say("dataset.registered", f"{NORTH}/node", keys=(old,))


def denied(world: Consortium, **changes: Any) -> Verdict:
    """The hub logs a refusal."""
    body = {"action": "study.proposed", "who": None, "rule": "charter.floors",
            "round": None, "suppressed": 0}  # fmt: skip
    return world.say("decision.denied", HUB, body=body | changes)


def storm(world: Consortium) -> Verdict:
    """Twenty-one refusals in less than an hour."""
    for _ in range(20):
        world.must("decision.denied", HUB, body={
            "action": "study.proposed", "who": None, "rule": "charter.floors",
            "round": None, "suppressed": 0})  # fmt: skip
    return denied(world)


def export(world: Consortium, **changes: Any) -> Verdict:
    """The hub records an export."""
    return world.say("export.created", HUB, body=world.exporting(**changes))


def review(world: Consortium, start: int, end: int) -> Verdict:
    """A hospital says that it looked through a range of entries."""
    body = {"from": start, "to": end, "result": "nothing_found", "on_behalf": None}
    return world.say("review.noted", f"{EAST}/node", body=body)


def rotated_by_itself(world: Consortium) -> Verdict:
    """A suspended hospital replaces its own key with its own key."""
    return suspended(world).rotate(f"{SOUTH}/node", f"{SOUTH}/institution")


def lost_offer(world: Consortium) -> Verdict:
    """Somebody asks for an offer whose maker was suspended."""
    market(world).suspend(NORTH, EAST, SOUTH)
    return world.say("request.made", make.RESEARCHER)


def crowd(world: Consortium) -> Verdict:
    """A thirty-third hospital asks to come in."""
    names = [f"h{number:02}.example" for number in range(32)]
    world = Consortium(sites=tuple(names), admit_k=17, amend_k=17)
    return world.admit(WEST, *names[:20])


ATTACKS: list[tuple[str, str, Attack]] = [
    # --- the note ---
    ("note.form", "no note", lambda w: w.push(b"nothing")),
    ("note.size", "a note of 70,000 bytes", lambda w: w.push(b"x" * 70_000 + b"\n\n")),
    ("note.form", "a stranger's signature", lambda w: w.say(
        "recipe.registered", HUB, signers=(HUB, "x.example/node"))),
    ("note.form", "two signatures where one speaks", lambda w: w.say(
        "recipe.registered", HUB, signers=(HUB, f"{EAST}/node"))),
    ("note.form", "a signature of the log key", lambda w: w.say(
        "recipe.registered", make.CONSORTIUM)),
    ("note.form", "a stolen key after its replacement", stolen_key),
    ("event.form", "a second encoding", lambda w: sealed(
        w, lambda text: text.replace(b'{"actor"', b'{ "actor"'))),
    ("event.type", "a statement of a study", lambda w: w.push(Federation().draft(
        "study.stopped", {"reason": "safety", "on_behalf": None}, HUB))),
    ("event.type", "a second agreement", lambda w: w.push(make.agreement0(make.agreement()))),
    ("event.log", "a statement made for a study", from_a_study),
    ("event.log", "a statement of another consortium", lambda w: w.say(
        "recipe.registered", HUB, envelope={"log": OTHER})),
    ("event.signer", "the hub speaks for a hospital", lambda w: w.say(
        "dataset.registered", f"{EAST}/node", signers=(HUB,))),
    ("event.replay", "the same statement again", replayed),
    ("time.order", "an old statement of one signer", lambda w: w.say(
        "recipe.registered", HUB, envelope={"time": make.later(make.BEGINS, days=-1)})),
    ("time.order", "an old statement of several", lambda w: w.say(
        "member.suspended", f"{EAST}/institution", signers=institutions(EAST, NORTH),
        envelope={"time": make.later(make.BEGINS, days=-31)})),
    ("time.form", "a day that does not exist", lambda w: sealed(
        w, lambda text: text.replace(b'"time":"2026-11-22', b'"time":"2026-11-31'))),
    ("time.clock", "a statement from the future", lambda w: w.push(
        w.draft("recipe.registered", HUB), now="2026-11-22T08:00:00Z")),
    # --- who may say what ---
    ("authority", "a node registers a recipe", lambda w: w.say(
        "recipe.registered", f"{EAST}/node")),
    ("authority", "the question of a stranger", lambda w: may(
        w.state, "recipe.registered", w.bodies["recipe.registered"], "x.example/node", w.time)),
    ("event.type", "the question of a second agreement", lambda w: may(
        w.state, "agreement", make.agreement(), f"{EAST}/institution", w.time)),
    ("authority", "a node admits a hospital", lambda w: w.say(
        "member.admitted", f"{EAST}/node")),
    ("authority", "a hospital speaks on behalf of somebody", lambda w: w.say(
        "offer.made", f"{EAST}/node", on_behalf=make.WHO)),
    ("authority", "the hub proposes for nobody", lambda w: w.say("study.proposed", HUB)),
    ("authority", "one hospital leaves for another", lambda w: w.say(
        "member.left", f"{EAST}/institution", site=SOUTH)),
    # --- members ---
    ("member.signatures", "an admission without enough members", lambda w: w.admit(WEST, EAST)),
    ("member.signatures", "an admission by the newcomer alone", lambda w: w.admit(WEST)),
    ("member.signatures", "an admission of one who was not asked", lambda w: w.say(
        "member.admitted", f"{EAST}/institution", signers=institutions(EAST, NORTH))),
    ("note.form", "an admission with forged members", forged_admission),
    ("note.form", "a newcomer brings the key of a member's institution", brought_along),
    ("note.form", "a suspended hospital admits", lambda w: suspended(w).admit(
        WEST, EAST, NORTH, SOUTH)),
    ("note.form", "a node signs an admission", lambda w: w.say(
        "member.admitted", f"{EAST}/institution",
        signers=(*institutions(EAST, NORTH, WEST), f"{SOUTH}/node"))),
    ("member.known", "a member is admitted again", lambda w: w.say(
        "member.admitted", f"{EAST}/institution", signers=institutions(EAST, NORTH, SOUTH),
        body=make.admission(SOUTH))),
    ("note.form", "a member's keys are swapped by an admission", lambda w: admitted(
        w, make.admission(SOUTH, 1))),
    ("member.known", "a thirty-third hospital", crowd),
    ("key.reuse", "a newcomer with the key of a member", lambda w: admitted(
        w, make.admission(WEST, node=renamed(f"{EAST}/node", f"{WEST}/node")))),
    ("key.reuse", "a newcomer with one key for two things", lambda w: admitted(
        w, make.admission(WEST, node=renamed(f"{WEST}/institution", f"{WEST}/node")))),
    ("key.name", "a newcomer whose key has another's name", lambda w: admitted(
        w, make.admission(WEST, node=make.vkey(f"{EAST}/node", generation=1)))),
    ("key.name", "a newcomer whose witness could sign statements", lambda w: admitted(
        w, make.admission(WEST, witness=make.vkey(f"{WEST}/witness")))),
    ("member.signatures", "a suspension by too few", lambda w: w.suspend(SOUTH, EAST)),
    ("note.form", "a hospital signs its own suspension", lambda w: w.suspend(
        SOUTH, EAST, NORTH, SOUTH)),
    ("member.known", "a suspension of a stranger", lambda w: w.suspend(WEST, EAST, NORTH)),
    ("member.known", "a suspension of a suspended", lambda w: suspended(w).suspend(
        SOUTH, EAST, NORTH)),
    ("site.suspended", "a suspended hospital speaks", lambda w: suspended(w).say(
        "dataset.registered", f"{SOUTH}/node")),
    ("site.suspended", "a suspended hospital refuses a study", lambda w: suspended(w).say(
        "study.refused", f"{SOUTH}/institution")),
    ("site.suspended", "a suspended hospital replaces its key itself", rotated_by_itself),
    ("member.known", "a hospital that left speaks", lambda w: left(w).say(
        "dataset.registered", f"{SOUTH}/node")),
    ("member.known", "a hospital leaves twice", lambda w: left(w).say(
        "member.left", f"{SOUTH}/node", site=SOUTH)),
    ("member.known", "a researcher is admitted twice", lambda w: twice(
        w, "researcher.admitted", HUB)),
    ("member.known", "a researcher's name comes back with another key", lambda w: market(w).must(
        "researcher.left", HUB).say(
        "researcher.admitted", HUB, vkey=make.vkey(make.RESEARCHER, generation=1))),
    ("authority", "the question of a researcher who left", lambda w: may(
        market(w).must("researcher.left", HUB).state, "request.made",
        w.bodies["request.made"], make.RESEARCHER, w.time)),
    ("member.known", "an unknown researcher leaves", lambda w: w.say("researcher.left", HUB)),
    ("member.known", "a researcher leaves twice", lambda w: twice(
        w.must("researcher.admitted", HUB), "researcher.left", HUB)),
    ("key.name", "a researcher with a hospital's kind of name", lambda w: w.say(
        "researcher.admitted", HUB, name=f"{WEST}/x", vkey=make.vkey(f"{WEST}/x"))),
    ("key.name", "a researcher under another's key", lambda w: w.say(
        "researcher.admitted", HUB, vkey=make.vkey("lead.example/r-8"))),
    ("key.reuse", "a researcher with a hospital's key", lambda w: w.say(
        "researcher.admitted", HUB, vkey=renamed(f"{EAST}/node", make.RESEARCHER))),
    ("note.form", "a researcher who left speaks", lambda w: market(w).must(
        "researcher.left", HUB).say("request.made", make.RESEARCHER)),
    # --- the agreement ---
    ("agreement.signatures", "amended by too few", lambda w: w.amend(EAST)),
    ("note.form", "amended with a suspended hospital", lambda w: suspended(w).amend(
        EAST, NORTH, SOUTH)),
    ("amend.previous", "amended on another version", lambda w: w.say(
        "agreement.amended", f"{EAST}/institution", signers=institutions(EAST, NORTH))),
    ("amend.fixed", "another log", lambda w: w.amend(
        EAST, NORTH, origin="new.example/consortium")),
    ("amend.fixed", "another log key", lambda w: w.amend(
        EAST, NORTH, log_key=make.vkey(make.CONSORTIUM, generation=1))),
    ("amend.fixed", "another hub key", lambda w: w.amend(
        EAST, NORTH, hub=make.vkey(HUB, generation=1))),
    ("agreement.form", "a member is dropped by an amendment", lambda w: w.amend(
        EAST, NORTH, members=[make.member(EAST), make.member(NORTH)],
        quorum={"k": 2, "witnesses": [EAST, NORTH]})),
    ("agreement.form", "a member's key is swapped by an amendment", lambda w: w.amend(
        EAST, NORTH, members=[make.member(EAST), make.member(NORTH), make.member(SOUTH, 1)])),
    ("agreement.form", "a member's country is swapped by an amendment", lambda w: w.amend(
        EAST, NORTH, members=[
            make.member(EAST), make.member(NORTH), make.member(SOUTH) | {"country": "XX"}])),
    ("agreement.form", "a minority amends from now on", lambda w: w.amend(
        EAST, NORTH, amend_k=1)),
    # --- keys ---
    ("key.name", "another name takes over", lambda w: w.rotate(
        f"{EAST}/node", f"{EAST}/institution", vkey=make.vkey(f"{NORTH}/node", generation=1))),
    ("key.reuse", "an old key returns", lambda w: w.rotate(
        f"{EAST}/node", f"{EAST}/institution", vkey=make.vkey(f"{EAST}/node"))),
    ("key.authority", "one hospital replaces another's key", lambda w: w.rotate(
        f"{EAST}/node", f"{NORTH}/institution")),
    ("key.authority", "too few take over the hub", lambda w: four(w).rotate(
        HUB, f"{EAST}/institution", reason="takeover")),
    # --- what is registered ---
    ("recipe.twice", "a recipe changes under its name", lambda w: w.must(
        "recipe.registered", HUB).say("recipe.registered", HUB, recipe_sha256=OTHER)),
    ("recipe.unknown", "an unknown recipe is retired", lambda w: w.say("recipe.retired", HUB)),
    ("recipe.unknown", "a recipe is retired twice", lambda w: twice(
        w.must("recipe.registered", HUB), "recipe.retired", HUB)),
    ("dataset.twice", "a dataset changes under its version", lambda w: w.must(
        "dataset.registered", f"{EAST}/node").say(
        "dataset.registered", f"{EAST}/node", quality_sha256=OTHER)),
    ("dataset.unknown", "another hospital's dataset is withdrawn", lambda w: w.must(
        "dataset.registered", f"{EAST}/node").say("dataset.withdrawn", f"{NORTH}/node")),
    ("dataset.unknown", "an unknown version is withdrawn", lambda w: w.must(
        "dataset.registered", f"{EAST}/node").say(
        "dataset.withdrawn", f"{EAST}/node", version=OTHER)),
    ("dataset.withdrawn", "a dataset is withdrawn twice", lambda w: twice(
        w.must("dataset.registered", f"{EAST}/node"), "dataset.withdrawn", f"{EAST}/node")),
    # --- offers ---
    ("offer.unknown", "an offer's name is taken", lambda w: market(w).say(
        "offer.made", f"{EAST}/node")),
    ("event.form", "an offer that is over already", lambda w: w.say(
        "offer.made", f"{EAST}/node", until=make.BEGINS)),
    ("event.form", "an offer that is over at once", lambda w: w.say(
        "offer.made", f"{EAST}/node", until=make.later(make.BEGINS, minutes=1))),
    ("offer.unknown", "an offer is withdrawn that nobody made", lambda w: w.say(
        "offer.withdrawn", f"{EAST}/node")),
    ("offer.unknown", "the offer of someone else is withdrawn", lambda w: market(w).say(
        "offer.withdrawn", f"{EAST}/node")),
    ("offer.unknown", "the hub withdraws a hospital's offer", lambda w: market(w).say(
        "offer.withdrawn", HUB)),
    ("offer.unknown", "an offer is withdrawn twice", lambda w: twice(
        market(w), "offer.withdrawn", f"{NORTH}/node")),
    ("offer.unknown", "a request for nothing", lambda w: market(w).say(
        "request.made", make.RESEARCHER, offer="unknown")),
    ("offer.unknown", "a request for what was withdrawn", lambda w: market(w).must(
        "offer.withdrawn", f"{NORTH}/node").say("request.made", make.RESEARCHER)),
    ("offer.unknown", "a request after the offer's end", lambda w: market(w).say(
        "request.made", make.RESEARCHER, envelope={"time": "2027-01-01T00:00:00Z"})),
    ("offer.unknown", "a request for a suspended hospital's offer", lost_offer),
    ("request.unknown", "a request is answered twice", lambda w: twice(
        asked(w), "request.answered", f"{NORTH}/node", request=3)),
    ("request.unknown", "an answer to no request", lambda w: asked(w).say(
        "request.answered", f"{NORTH}/node", request=2)),
    ("request.unknown", "another hospital answers", lambda w: asked(w).say(
        "request.answered", f"{EAST}/institution", request=3)),
    ("request.unknown", "the hub answers for a hospital", lambda w: asked(w).say(
        "request.answered", HUB, request=3)),
    ("event.form", "a grant with a reason against it", lambda w: asked(w).say(
        "request.answered", f"{NORTH}/node", request=3, reason="legal")),
    ("event.form", "a refusal without a reason", lambda w: asked(w).say(
        "request.answered", f"{NORTH}/node", request=3, answer="refused")),
    # --- studies ---
    ("study.twice", "a charter is proposed twice", lambda w: twice(
        w, "study.proposed", HUB, on_behalf=make.WHO)),
    ("study.twice", "a hospital refuses twice", lambda w: twice(
        w, "study.refused", f"{EAST}/institution", reason="legal")),
    ("study.twice", "a study is listed twice", lambda w: w.must("study.opened", HUB).say(
        "study.opened", HUB, origin=f"{make.HUB}/study/ffffffffffffffff")),
    ("study.twice", "two charters for one log", lambda w: w.must("study.opened", HUB).say(
        "study.opened", HUB, charter=OTHER)),
    ("study.unlisted", "a study is closed that is not there", lambda w: w.say(
        "study.closed", HUB)),
    ("study.unlisted", "a study is closed with another beginning", lambda w: w.must(
        "study.opened", HUB).say("study.closed", HUB, entry0=OTHER)),
    ("study.closed", "a study is closed twice", lambda w: twice(
        w.must("study.opened", HUB), "study.closed", HUB)),
    # --- what both logs know ---
    ("event.form", "a refusal by a rule that does not exist", lambda w: denied(w, rule="no.rule")),
    ("denied.rate", "a storm of refusals", storm),
    ("export.range", "an export of more than there is", lambda w: export(w, size=9)),
    ("export.range", "an export with another root", lambda w: export(
        w.must("recipe.registered", HUB), size=1)),
    ("review.range", "a review of what is not there", lambda w: review(w, 0, 7)),
    ("review.range", "a review of nothing", lambda w: review(w, 1, 1)),
]  # fmt: skip


def renamed(name: str, other: str) -> str:
    """The public key of one name under another one."""
    key = make.key(name)
    return str(type(key)(other, key.kind, key.seed).verifier)


@pytest.mark.parametrize(("rule", "what", "attack"), ATTACKS, ids=[row[1] for row in ATTACKS])
def test_whoever_cheats_in_the_consortium_is_refused(rule: str, what: str, attack: Attack) -> None:
    """The rule that refuses is the one that protects against exactly this."""
    world = Consortium()
    verdict = attack(world)
    assert refused(verdict) == rule, what
    assert SENTENCES[rule]


FOUNDING: list[tuple[str, str, Callable[[], bytes]]] = [
    ("note.form", "no note", lambda: b"nothing"),
    ("event.type", "a charter begins the consortium", lambda: make.entry0(make.charter())),
    ("event.type", "a statement of a study begins it", lambda: Federation().draft(
        "study.stopped", {"reason": "safety", "on_behalf": None}, HUB)),
    ("event.type", "an event begins it", lambda: Consortium().draft("recipe.registered", HUB)),
    ("agreement.signatures", "too few founders signed", lambda: make.agreement0(
        make.agreement(), f"{EAST}/institution")),
    ("note.form", "a founder's signature is forged", lambda: seal(
        write_event("agreement", make.agreement(), time=make.BEGINS),
        make.key(f"{EAST}/institution"), make.key(f"{NORTH}/institution", generation=1))),
    ("note.form", "the hub signs among the founders", lambda: make.agreement0(
        make.agreement(), *institutions(EAST, NORTH), HUB)),
    ("note.form", "a stranger signs among the founders", lambda: make.agreement0(
        make.agreement(), *institutions(EAST, NORTH, WEST))),
    ("agreement.form", "a minority may admit", lambda: make.agreement0(
        make.agreement(admit_k=1))),
    ("agreement.form", "an agreement without a title", lambda: seal(
        write_event("agreement", make.agreement(), time=make.BEGINS).replace(
            b'"title":"Radiology of four towns"', b'"title":""'),
        make.key(f"{EAST}/institution"))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "what", "note"), FOUNDING, ids=[row[1] for row in FOUNDING])
def test_no_consortium_begins_with_less_than_its_signed_agreement(
    rule: str, what: str, note: Callable[[], bytes]
) -> None:
    """Entry 0 is the founders' own text with their own keys, or there is no consortium."""
    assert refused(judge(None, note())) == rule, what


def test_an_agreement_from_the_future_is_refused_on_arrival() -> None:
    """The hub's own clock counts when the agreement comes in."""
    note = make.agreement0(make.agreement())
    assert refused(judge(None, note, now="2026-11-21T09:00:00Z")) == "time.clock"


def test_every_rule_of_the_consortiums_fold_is_reached_by_an_attack() -> None:
    """A rule without an attack would be a rule nobody has seen refuse."""
    reached = {rule for rule, *_ in ATTACKS} | {rule for rule, *_ in FOUNDING}
    assert reached >= set(CONSORTIUM)
    assert reached >= said_in_sources() - SAID_OF_CHARTERS


SAID_OF_CHARTERS = {"charter.members", "charter.recipe", "charter.floors", "charter.legal"}


def said_in_sources() -> set[object]:
    """Every rule id by which a file of the consortium's rules refuses."""
    said: set[object] = set()
    for path in RULES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Denied":
                first = node.args[0]
                said |= {first.value} if isinstance(first, ast.Constant) else set()
    return said


def test_the_consortiums_rules_read_no_clock_and_no_file() -> None:
    """Pure functions: nothing that could answer differently at another party."""
    forbidden = {"time", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "requests"}
    for path in [*RULES.glob("*.py"), RULES.parent / "logs.py", RULES.parent / "quorum.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.split(".")[0] for name in names}, path.name
