"""Would this be allowed? A question in a few words, completed from the log and judged by its rules.

"North submits with 12 cases" leaves out the round, the model and the version of the data. What is
left out is what an honest speaker would say now, so that the verdict is about what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from compliance.errors import NotReady
from compliance.records.types import seconds_of, time_text
from compliance.rules.authority import MAY_SAY
from compliance.rules.logs import State, family_of
from compliance.rules.noise import FREE
from compliance.rules.state import StudyState
from compliance.rules.updates import ENCODING
from compliance.rules.verdict import Denied, Verdict
from compliance.signing.keys import VerifierKey

Plain = dict[str, Any]
NOTHING = "sha256:" + "00" * 32
"""Stands for the hash of something that does not exist yet."""

OF_A_SITE = {"N": "node", "I": "institution"}


@dataclass(frozen=True)
class Question:
    """A statement that nobody has made.

    Args:
        kind: type of the statement.
        given: fields of its body as far as they were said.
        actor: name of the key that would sign; empty for the first who may.
        site: the hospital that would say it, where `actor` is empty.
    """

    kind: str
    given: Mapping[str, Any]
    actor: str = ""
    site: str = ""


@dataclass(frozen=True)
class Reply:
    """The verdict, the whole statement it is about, and how much of the log it rests on."""

    verdict: Verdict
    kind: str
    body: Plain
    actor: str
    size: int

    def plain(self) -> Plain:
        """The same for machines; one form at the hub and at a hospital."""
        no = self.verdict if isinstance(self.verdict, Denied) else None
        return {
            "allowed": no is None,
            "rule": no and no.rule,
            "sentence": no and no.sentence,
            "found": None if no is None or no.found is None else str(no.found),
            "agreed": None if no is None or no.agreed is None else str(no.agreed),
            "type": self.kind,
            "body": self.body,
            "actor": self.actor,
            "size": self.size,
        }


def lines_of(reply: Mapping[str, Any]) -> list[str]:
    """A reply, as `Reply.plain` writes it, in lines for people."""
    act = f"{reply['type']} by {reply['actor']}, after {reply['size']} entries"
    if reply["allowed"]:
        return [f"✓ It would be allowed: {act}."]
    lines = [f"✕ It would be refused: {act}.", f"{reply['rule']}: {reply['sentence']}"]
    lines += [f"Found: {reply['found']}."] if reply["found"] is not None else []
    return lines + ([f"Agreed: {reply['agreed']}."] if reply["agreed"] is not None else [])


def read_given(text: str) -> Plain:
    """Fields of a question as typed: one JSON object.

    Raises:
        NotReady: it is none.
    """
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise NotReady("the body is no JSON object.", """Write it as '{"n": 12}'.""")
    return given


def ask(log: str, state: State, question: Question, now: str) -> Reply:
    """Ask the rules of a log; nothing is said by it.

    A question to the consortium's log names its actor and whole body.

    Raises:
        NotReady: a hospital would say this, and none is named.
    """
    body, actor = dict(question.given), question.actor
    if isinstance(state, StudyState):
        actor = actor or speaker(state, question)
        body = whole(state, question, actor.partition("/")[0], now)
    verdict = family_of(log).may(state, question.kind, body, actor, now)
    return Reply(verdict, question.kind, body, actor, state.size)


def speaker(state: StudyState, question: Question) -> str:
    """The key that would sign: of the hub, the researcher, or the named hospital.

    Raises:
        NotReady: a hospital would say this, and none is named.
    """
    roles = MAY_SAY.get(question.kind, "H")
    if not question.site:
        roles = "".join(role for role in roles if role not in OF_A_SITE)
    if not roles:
        raise NotReady(
            f"a hospital says {question.kind}, and none is named.",
            f"Name one of {', '.join(state.charter.site_names())}.",
        )
    if roles[0] in OF_A_SITE:
        return f"{question.site}/{OF_A_SITE[roles[0]]}"
    key = state.charter.researcher if roles[0] == "R" else state.charter.hub_key
    return VerifierKey.parse(key).name


def whole(state: StudyState, question: Question, site: str, now: str) -> Plain:
    """The body with what was left out; a kind without a usual form stays as it was given."""
    usual = USUAL.get(question.kind)
    return {**(usual(state, site, now, question.given) if usual else {}), **question.given}


Usual = Callable[[StudyState, str, str, Mapping[str, Any]], Plain]


def _opening(state: StudyState, _site: str, now: str, _given: Mapping[str, Any]) -> Plain:
    return {
        "round": state.rounds_opened + 1,
        "sites": state.active_sites(),
        "model_sha256": state.model_sha256,
        "bundle_sha256": state.charter.bundle_sha256,
        "deadline": _later(now, state.charter.round_seconds),
        "on_behalf": None,
    }


def _update(state: StudyState, site: str, now: str, given: Mapping[str, Any]) -> Plain:
    running, terms = state.open_round, state.charter.dp
    return {
        **_data(state, site, now, given),
        "round": running.number if running else state.rounds_opened + 1,
        "base_model_sha256": running.model_sha256 if running else state.model_sha256,
        "update_sha256": NOTHING,
        "bytes": 0,
        "encoding": ENCODING[state.charter.aggregator.masked],
        "masked": state.charter.aggregator.masked,
        "n": state.charter.min_examples,
        "dp": None if terms is None else FREE,
    }


def _data(state: StudyState, site: str, _now: str, given: Mapping[str, Any]) -> Plain:
    own = state.charter.datasets_of(site)
    name = str(given.get("dataset") or (own[0].id if own else "none"))
    return {"dataset": name, "dataset_version": state.dataset_versions.get((site, name), NOTHING)}


def _model(state: StudyState, _site: str, _now: str, _given: Mapping[str, Any]) -> Plain:
    return {"model_sha256": state.model_sha256}


def _handed_out(state: StudyState, *rest: Any) -> Plain:
    return _model(state, *rest) | {"form": state.charter.release.outputs[0]}


def _reason(word: str, **more: Any) -> Usual:
    return lambda _state, _site, _now, _given: {"reason": word, **more}


def _later(now: str, seconds: int) -> str:
    return time_text(seconds_of(now) + timedelta(seconds=seconds))


USUAL: dict[str, Usual] = {
    "round.opened": _opening,
    "update.submitted": _update,
    "metric.reported": lambda *asked: {
        **_data(*asked),
        **_model(*asked),
        "round": None,
        "phase": "release_check",
        "split": "test",
    },
    "round.aborted": lambda state, *_: {
        "round": state.open_round.number if state.open_round else state.rounds_opened + 1,
        "reason": "operator",
        "on_behalf": None,
    },
    "site.joined": lambda state, *_: {"charter": state.version_id},
    "site.withdrawn": _reason("other"),
    "dataset.withdrawn": lambda *asked: {"dataset": _data(*asked)["dataset"], "reason": "other"},
    "study.stopped": _reason("operator", on_behalf=None),
    "study.resumed": lambda state, *_: {"stopped": state.stopped or 0},
    "study.closed": _reason("completed", on_behalf=None),
    "release.approved": lambda *asked: {**_handed_out(*asked), "checks_sha256": NOTHING},
    "release.refused": lambda *asked: {**_model(*asked), "reason": "other"},
    "model.released": lambda *asked: {
        **_handed_out(*asked), "card_sha256": NOTHING, "on_behalf": None,
    },
    "model.recalled": lambda *asked: {
        **_model(*asked), "reason": "superseded", "replaced_by": None,
    },
}  # fmt: skip
"""For each kind the body that an honest speaker would write now."""
