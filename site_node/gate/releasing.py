"""Releasing: this hospital's yes or no to a model that would leave the study.

The question is answered from the own mirror, signed with the institution's key, and remembered
here before it is sent. Without enough of these signatures no model leaves (design/ledger.md §2.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady, Refused, Unreachable
from compliance.records.envelope import parse_event
from compliance.records.reasons import ReleaseRefused
from compliance.records.recipe import layout_of
from compliance.records.releases import ReleaseApproved, ReleaseDenied
from compliance.records.sealed import Sealed
from compliance.records.types import time_text
from compliance.rules.fold import may
from compliance.rules.releases import standing
from compliance.rules.state import ClosedRound, StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.leaks import LEAKS, kept_tests
from site_node.gate.mirror import Mirror, find_mirrored
from site_node.gate.model_checks import own_numbers, report, told
from site_node.gate.statements import Statements
from site_node.gate.steward import check_reason
from site_node.gate.terms import known_recipe
from site_node.settings import Settings
from site_node.store import outbox
from site_node.store import studies as decisions
from site_node.store.journal import Sessions

FORM = "weights"
AGREED, OBJECTED = "agreed", "objected"
SHORTEST, TYPED = 8, 8


@dataclass(frozen=True)
class Candidate:
    """A model that could leave, by this hospital's own fold, with its check report."""

    study: str
    state: StudyState
    made: ClosedRound
    checks: dict[str, Any]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.made.model_sha256


class Releasing:
    """Shows a model before it leaves, and says yes or no with this hospital's own key.

    Args:
        settings: the site's name and own floor.
        keys: the institution key is unlocked for one act at a time.
        hub: the way out.
        look: brings the mirror of a study up to date, as a witness does.
        mirror: the site's own copies.
        statements: seals and keeps notes.
        sessions: the site's database.
        journal: every decision is written down.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        settings: Settings,
        keys: Keys,
        hub: Callable[[], HubClient],
        look: Callable[[str], object],
        mirror: Mirror,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._settings, self._keys, self._hub, self._look = settings, keys, hub, look
        self._mirror, self._statements, self._sessions = mirror, statements, sessions
        self._journal, self._clock = journal, clock

    @property
    def _site(self) -> str:
        return str(self._settings.site)

    def show(self, study: str, model: str | None = None) -> dict[str, Any]:
        """Everything a steward reads before a model leaves; nothing is signed.

        Raises:
            NotReady: no closed round made such a model, or a newer one is on its way.
            Refused: this hospital has not signed the study, or does not believe its log.
        """
        found = self._find(study, model)
        state, terms = found.state, found.state.charter.release
        counted = standing(state, found.model, FORM)
        return {
            "study": found.study,
            "title": state.charter.title,
            "model_sha256": found.model,
            "type_to_confirm": _digits(found.model)[:TYPED],
            "round": found.made.number,
            "rounds_closed": len(state.rounds_closed),
            "max_rounds": state.charter.max_rounds,
            "used": sorted(found.made.used),
            "left_out": _left_out(found.made),
            "numbers": own_numbers(state, found.model, self._site),
            "outputs": list(terms.outputs),
            "needed": counted.needed,
            "veto": counted.veto,
            "agreed": counted.agreed,
            "refused": counted.refused,
            "silent": counted.silent,
            "released": state.released.get(found.model),
            "own_answer": self._said(found),
            "checks": found.checks,
            "told": self._told(found),
        }

    def approve(
        self,
        study: str,
        model: str | None = None,
        *,
        passphrase: str | None = None,
        confirmed: str | None = None,
        despite: str | None = None,
    ) -> dict[str, Any]:
        """Agree that a model leaves, after the own checks and the fold said yes.

        Args:
            study: first characters of the study's or charter's id.
            model: first characters of the model's hash; None is the newest model.
            passphrase: of the institution's key; None when it has none.
            confirmed: the first 8 characters of the model's hash as typed, None if not asked.
            despite: `leak_test` to agree although the membership test found a leak.

        Raises:
            Refused: a rule, a count below the floor, the typed characters or the passphrase.
            NotReady: there is nothing to agree to, or it was agreed to before.
        """
        found = self._find(study, model)
        if confirmed is not None and confirmed.strip().lower() != _digits(found.model)[:TYPED]:
            raise Refused("confirm.typed", sentence="Other characters were typed: nothing signed.")
        if not found.checks["floor_holds"]:
            raise Refused(
                "site.floor",
                found.checks["smallest_count"],
                found.checks["floor"],
                "The numbers of this model show a count below the floor: object with small_cells.",
            )
        _check_leak(found.checks, despite)
        data = encode(found.checks)
        body = {"model_sha256": found.model, "form": FORM, "checks_sha256": sha256_id(data)}
        return self._say(found, AGREED, body, passphrase, data)

    def refuse(
        self, study: str, model: str | None, reason: str, passphrase: str | None
    ) -> dict[str, Any]:
        """Object to a model's release, with a reason of the list; it takes back an earlier yes.

        Raises:
            NotReady: the reason is not in the list, or it was said before.
        """
        check_reason(reason, ReleaseRefused)
        found = self._find(study, model)
        body = {"model_sha256": found.model, "reason": reason}
        return self._say(found, OBJECTED, body, passphrase, encode(found.checks))

    def candidate(self, study: str, model: str | None = None) -> Candidate:
        """The model that would leave, with its check report; it fails as `show` does."""
        return self._find(study, model)

    def _find(self, study: str, model: str | None) -> Candidate:
        full = find_mirrored(self._mirror, study)
        try:
            self._look(full)
        except Unreachable:
            self._mirror.forget(full)  # the own copy counts, as far as it is
        for alarm in self._mirror.alarms(full):
            raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
        state = self._mirror.state(full)
        self._check_signed(state)
        made = _chosen(state, model)
        return Candidate(full, state, made, self._checks(state, made))

    def _checks(self, state: StudyState, made: ClosedRound) -> dict[str, Any]:
        sha256 = state.charter.recipe.sha256
        with self._sessions() as session:
            recipe = known_recipe(sha256, decisions.find_document(session, sha256))
            tests = kept_tests(session, state, self._site, made.model_sha256)
        floor = max(state.charter.min_cell, self._settings.min_cell)
        layout = layout_of(recipe).sha256
        return report(state, made, self._site, floor=floor, layout_sha256=layout, leak_tests=tests)

    def _check_signed(self, state: StudyState) -> None:
        with self._sessions() as session:
            mine = decisions.find_decision(session, state.charter_id)
        if mine is None or mine.state != decisions.SIGNED:
            raise Refused(
                "site.unsigned",
                sentence="This hospital has not signed that study, or has left it: "
                "it has no say in the release.",
            )

    def _said(self, found: Candidate) -> str | None:
        with self._sessions() as session:
            rows = outbox.of_way(session, outbox.ENTRIES)
        for row in reversed(rows):
            if row.study != found.study or row.refused:
                continue
            body = parse_event(parse(row.note).text).body
            if isinstance(body, ReleaseApproved | ReleaseDenied) and (
                body.model_sha256 == found.model
            ):
                return AGREED if isinstance(body, ReleaseApproved) else OBJECTED
        return None

    def _say(
        self,
        found: Candidate,
        answer: str,
        body: dict[str, Any],
        passphrase: str | None,
        checks: bytes,
    ) -> dict[str, Any]:
        if self._said(found) == answer:
            raise NotReady(
                f"this hospital has {answer} already, about this model.",
                "Both answers stay on record; the newest one counts.",
            )
        kind = "release.approved" if answer == AGREED else "release.refused"
        now = time_text(self._clock())
        verdict = may(found.state, kind, body, f"{self._site}/institution", now)
        if isinstance(verdict, Denied):
            raise Refused(verdict.rule, verdict.found, verdict.agreed, verdict.sentence)
        key = self._keys.institution(passphrase)
        detail = self._statements.detail(self._told(found)) if answer == AGREED else None
        log = found.state.charter_id
        note = self._statements.seal(kind, body, log=log, key=key, detail=detail)
        self._keep(found, kind, note, checks, detail)
        return {
            "study": found.study,
            "model_sha256": found.model,
            "answer": answer,
            "signed": key.name,
            "checks_sha256": sha256_id(checks),
            "sent": self._send(note),
        }

    def _told(self, found: Candidate) -> dict[str, Any]:
        """What goes with a yes, sealed."""
        return told(found.checks, noise=found.state.charter.dp is not None)

    def _keep(
        self, found: Candidate, kind: str, note: bytes, checks: bytes, detail: Sealed | None
    ) -> None:
        with self._sessions.begin() as session:
            decisions.keep_document(session, sha256_id(checks), checks)
            if detail is not None:
                self._statements.keep_detail(session, detail)
            self._statements.keep(session, note, study=found.study, way=outbox.ENTRIES)
            self._journal.within(
                session, kind, study=found.study, model=found.model, checks=sha256_id(checks)
            )

    def _send(self, note: bytes) -> bool:
        self._statements.deliver(self._hub())
        with self._sessions() as session:
            row = outbox.find_note(session, sha256_id(parse(note).text))
        if row is not None and row.refused:
            raise Refused(row.refused, sentence=f"The hub refused it by its rule {row.refused}.")
        return row is not None and row.sent_at is not None


def _check_leak(checks: dict[str, Any], despite: str | None) -> None:
    """Where the model gives away who was trained on, the default is to object.

    Raises:
        Refused: a leak was found and the steward did not say that it leaves despite it.
    """
    if checks["membership_test"] == LEAKS and despite != LEAKS:
        raise Refused(
            "site.leak",
            sentence="The membership test found that this model gives away who was trained on: "
            f"object with {LEAKS}, or agree with --despite {LEAKS}; both are on record.",
        )


def _chosen(state: StudyState, model: str | None) -> ClosedRound:
    if not state.rounds_closed:
        raise NotReady("no round of this study is closed yet.", "Wait for the first model.")
    if model is None:
        if state.open_round is not None:
            raise NotReady(
                f"round {state.open_round.number} is open: a newer model is on its way.",
                "Wait until it is closed, or name the model with --model SHA.",
            )
        return state.rounds_closed[-1]
    wanted = _digits(model.lower())
    rows = [row for row in state.rounds_closed if _digits(row.model_sha256).startswith(wanted)]
    if len(wanted) < SHORTEST or not rows:
        raise Refused(
            "release.model",
            sentence="No closed round of this study made a model with this hash; give at least "
            f"its first {SHORTEST} characters.",
        )
    return rows[-1]


def _left_out(made: ClosedRound) -> dict[str, str]:
    return {site: str(reason) for site, reason in sorted({**made.excluded, **made.missing}.items())}


def _digits(name: str) -> str:
    return name.removeprefix("sha256:")
